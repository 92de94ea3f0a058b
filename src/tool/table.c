/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tool/table.h"
#include "tool/terminal.h"

#include <stdarg.h>

#define GAP "  "

struct Table {
        char *headings;   /* its blanks replaced by NUL */
        char **cells;     /* the headings first; they are part of the string above */
        bool *right;      /* of each column */
        size_t n_columns, n, allocated;
        bool incomplete;
};

/* Columns that a cell takes: one for each character, which is what our words and names are made of. */
static int width_of(const char *cell)
{
        int width = 0;

        for (; *cell; cell++)
                width += ((unsigned char) *cell & 0xc0) != 0x80;
        return width;
}

static int add_cell(Table *table, char *cell)
{
        size_t allocated = MAX(2 * table->allocated, 32U);
        char **cells;

        if (table->n == table->allocated) {
                cells = reallocarray(table->cells, allocated, sizeof *cells);
                if (!cells)
                        return -ENOMEM;
                table->cells = cells;
                table->allocated = allocated;
        }
        table->cells[table->n++] = cell;
        return 0;
}

int table_new(const char *headings, Table **ret)
{
        _cleanup_(table_freep) Table *table = calloc(1, sizeof *table);
        char *position = NULL;
        int r;

        if (!table)
                return -ENOMEM;
        table->headings = strdup(headings);
        table->right = calloc(strlen(headings) / 2 + 1, sizeof *table->right);
        if (!table->headings || !table->right)
                return -ENOMEM;
        for (char *p = strtok_r(table->headings, " ", &position); p; p = strtok_r(NULL, " ", &position)) {
                table->right[table->n_columns++] = *p == '>';
                r = add_cell(table, p + (*p == '>'));
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(table);
        return 0;
}

Table *table_free(Table *table)
{
        if (!table)
                return NULL;
        for (size_t i = table->n_columns; i < table->n; i++)
                free(table->cells[i]);
        free(table->cells);
        free(table->headings);
        free(table->right);
        free(table);
        return NULL;
}

void table_add(Table *table, const char *format, ...)
{
        char *cell = NULL;
        va_list ap;
        int n;

        if (table->incomplete)
                return;
        va_start(ap, format);
        n = vasprintf(&cell, format, ap);
        va_end(ap);
        table->incomplete = n < 0;
        if (n < 0)
                return;
        for (char *p = cell; *p; p++)
                if ((unsigned char) *p < 0x20 || *p == 0x7f)
                        *p = '?';
        table->incomplete = add_cell(table, cell) < 0;
        if (table->incomplete)
                free(cell);
}

bool table_has_rows(const Table *table)
{
        return table->n > table->n_columns;
}

static const char *shown(const char *cell)
{
        return *cell ? cell : "-";
}

static void print_row(const Table *table, size_t row, const int *widths, FILE *to)
{
        for (size_t c = 0; c < table->n_columns; c++) {
                const char *cell = shown(table->cells[row * table->n_columns + c]);
                int pad = widths[c] - width_of(cell);

                fputs(c > 0 ? GAP : "", to);
                if (table->right[c])
                        fprintf(to, "%*s%s", pad, "", cell);
                else
                        fprintf(to, "%s%*s", cell, c + 1 < table->n_columns ? pad : 0, "");
        }
}

int table_print(const Table *table, FILE *to)
{
        _cleanup_(freep) int *widths = calloc(MAX(table->n_columns, (size_t) 1), sizeof *widths);
        bool bold = terminal_has_colours(to);

        if (!widths)
                return -ENOMEM;
        for (size_t i = 0; i < table->n; i++)
                widths[i % table->n_columns] = MAX(widths[i % table->n_columns], width_of(shown(table->cells[i])));
        for (size_t row = 0; (row + 1) * table->n_columns <= table->n; row++) {
                fputs(bold && row == 0 ? "\033[1m" : "", to);
                print_row(table, row, widths, to);
                fputs(bold && row == 0 ? "\033[0m\n" : "\n", to);
        }
        return table->incomplete ? -ENOMEM : 0;
}
