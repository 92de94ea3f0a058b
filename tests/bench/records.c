/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lines are made once, for RECORDS_EVENTS events; then only time, serial and number change in them. So a
 * record costs its copying, and who makes them is never what limits those who carry them.
 */

#include "records.h"
#include "templates.h"

#include <stdio.h>
#include <xxhash.h>

#define TIME_FIRST 1700000000U
/* Of eight digits from the first to the last one. */
#define SERIAL_FIRST 10000000U
#define HEAD_SIZE 23U /* 1700000000.000:10000000 */

int records_init(Records *records, const char *node)
{
        int r;

        *records = (Records) { .next = 1 };
        memset(records->number, '0', sizeof records->number);
        records->number[RECORDS_DIGITS - 1] = '1';
        r = templates_make(records, node);
        if (r < 0)
                records_done(records);
        return r;
}

void records_done(Records *records)
{
        free(records->text);
        *records = (Records) { 0 };
}

void records_seek(Records *records, uint64_t number)
{
        char digits[32];

        if (records->next == number)
                return;
        records->next = number;
        records->cycle = (number - 1) / records->n_templates;
        records->position = (number - 1) % records->n_templates;
        records->event = 0;
        (void) snprintf(digits, sizeof digits, "%010llu", (unsigned long long) number);
        memcpy(records->number, digits, RECORDS_DIGITS);
}

bool records_at_end_of_event(const Records *records)
{
        return records->templates[records->position].end_of_event;
}

/* Events are a millisecond apart. */
static void begin_event(Records *records, uint32_t event)
{
        uint64_t n = records->cycle * RECORDS_EVENTS + event;

        (void) snprintf(records->head, sizeof records->head, "%010u.%03u:%08u",
                        (unsigned) (TIME_FIRST + n / 1000), (unsigned) (n % 1000), (unsigned) (SERIAL_FIRST + n));
        records->event = event + 1;
}

static void count_up(Records *records)
{
        for (unsigned i = RECORDS_DIGITS; i-- > 0;) {
                if (++records->number[i] <= '9')
                        break;
                records->number[i] = '0';
        }
        records->next++;
        if (++records->position < records->n_templates)
                return;
        records->position = 0;
        records->cycle++;
        records->event = 0;
}

size_t records_put(Records *records, uint8_t *out)
{
        const RecordsTemplate *template = &records->templates[records->position];

        if (records->event != template->event + 1)
                begin_event(records, template->event);
        memcpy(out, records->text + template->offset, template->size);
        memcpy(out + template->head, records->head, HEAD_SIZE);
        memcpy(out + template->size - 1 - RECORDS_DIGITS, records->number, RECORDS_DIGITS);
        count_up(records);
        return template->size;
}

size_t records_fill(Records *records, uint8_t *out, size_t size, uint64_t last)
{
        size_t used = 0;

        while (records->next <= last && size - used >= records->templates[records->position].size)
                used += records_put(records, out + used);
        return used;
}

uint64_t records_number(const uint8_t *line, size_t size)
{
        uint64_t number = 0;

        if (size > 0 && line[size - 1] == '\n')
                size--;
        if (size < RECORDS_DIGITS + 2 || memcmp(line + size - RECORDS_DIGITS - 2, "n=", 2) != 0)
                return 0;
        for (size_t i = size - RECORDS_DIGITS; i < size; i++) {
                if (line[i] < '0' || line[i] > '9')
                        return 0;
                number = number * 10 + (uint64_t) (line[i] - '0');
        }
        return number;
}

int records_sum(const char *node, uint64_t last, RecordsSum *ret)
{
        uint8_t *line = malloc(RECORDS_LINE_MAX);
        XXH3_state_t *state = XXH3_createState();
        Records records = { 0 };
        int r = line && state ? records_init(&records, node) : -ENOMEM;

        *ret = (RecordsSum) { 0 };
        if (r >= 0)
                (void) XXH3_64bits_reset(state);
        while (r >= 0 && records.next <= last) {
                bool end = records_at_end_of_event(&records);
                size_t size = records_put(&records, line);

                (void) XXH3_64bits_update(state, line, size);
                ret->bytes += size;
                ret->bytes_without_eoe += end ? 0 : size;
        }
        if (r >= 0)
                ret->hash = XXH3_64bits_digest(state);
        XXH3_freeState(state);
        records_done(&records);
        free(line);
        return r;
}
