/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The load: audit records as a kernel and its users write them, each with its number at its end. A line is a
 * function of its number alone, so that whoever knows the number of records knows every byte.
 *
 *      [node=NODE ]type=PATH msg=audit(1700000000.017:10000017): item=0 name="/usr/bin/id" … n=0000000104
 */

#include "basic/macro.h"

/* In front of the newline, so that it is found without parsing. */
#define RECORDS_DIGITS 10U
/* Of one cycle: enough to be varied, few enough that they stay in the cache and cost those who are measured
 * nothing. */
#define RECORDS_EVENTS 128U
/* Events have 5 to 7 records; those of users have one. */
#define RECORDS_TEMPLATES (RECORDS_EVENTS * 7U)
#define RECORDS_LINE_MAX 8192U

typedef struct RecordsTemplate {
        uint32_t offset, size; /* in Records.text */
        uint32_t head;         /* where SEC.MSEC:SERIAL is */
        uint32_t event;
        bool end_of_event;
} RecordsTemplate;

typedef struct Records {
        char *text;
        size_t used, allocated;
        RecordsTemplate templates[RECORDS_TEMPLATES];
        size_t n_templates;
        uint64_t next; /* number of the next record, from 1 */
        size_t position; /* its template */
        uint64_t cycle;
        uint32_t event; /* that `head` is for, counted from 1 */
        char head[32];
        char number[RECORDS_DIGITS];
} Records;

/* node NULL: lines without node=, as producers write them. */
int records_init(Records *records, const char *node) _must_check_;
void records_done(Records *records);

/* The next record is that one. */
void records_seek(Records *records, uint64_t number);
/* Whether the next record is an EOE. */
bool records_at_end_of_event(const Records *records);
/* Writes the next line and returns its size. `out` has RECORDS_LINE_MAX bytes. */
size_t records_put(Records *records, uint8_t *out);
/* As many whole lines as fit, up to and with number `last`. Returns their size. */
size_t records_fill(Records *records, uint8_t *out, size_t size, uint64_t last);
/* The number of a line (with or without its newline); 0: it has none. */
uint64_t records_number(const uint8_t *line, size_t size);

typedef struct RecordsSum {
        uint64_t bytes, bytes_without_eoe;
        uint64_t hash; /* XXH3-64 of all */
} RecordsSum;

/* Of all lines up to number `last`. */
int records_sum(const char *node, uint64_t last, RecordsSum *ret) _must_check_;
