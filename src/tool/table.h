/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A table for people: columns as wide as their widest cell, two blanks between, headings bold where it goes to a
 * terminal. What would move the cursor there is shown as '?'. For programs there is json.h.
 */

#include "basic/macro.h"

#include <stdio.h>

typedef struct Table Table;

/* `headings`: one string, a heading for each column, separated by blanks; ">LAG" aligns its column to the right. */
int table_new(const char *headings, Table **ret) _must_check_;
Table *table_free(Table *table);
DEFINE_CLEANUP(Table *, table_free)

/* The next cell, row by row; an empty one is shown as "-". Without memory the table is shown up to there, and
 * table_print() says so. */
void table_add(Table *table, const char *format, ...) _printf_(2, 3);
/* Whether there is a row. */
bool table_has_rows(const Table *table);
/* Returns 0 or -ENOMEM, when rows are missing. */
int table_print(const Table *table, FILE *to) _must_check_;
