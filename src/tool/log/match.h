/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which records are asked for. */

#include "lib/fields.h"
#include "record/record.h"

typedef struct LogQuery {
        uint64_t since_usec, until_usec; /* both included */
        char **nodes;                    /* NULL: all */
        RecordFilter *types;             /* NULL: all */
        Keys keys;                       /* none: all */
        uint64_t serial_first, serial_last;
} LogQuery;

/* What of it a record is; together they are a record that is asked for. */
enum {
        LOG_MATCH_EVENT = 1U << 0, /* time, node and serial: the same for all records of an event */
        LOG_MATCH_TYPE = 1U << 1,
        LOG_MATCH_KEY = 1U << 2,
        LOG_MATCH_ALL = LOG_MATCH_EVENT | LOG_MATCH_TYPE | LOG_MATCH_KEY,
};

/* What follows the prefix of a line, without the newline. */
RecordSlice log_record_text(const uint8_t *line, size_t size, const RecordPrefix *prefix);

unsigned log_match(const LogQuery *query, const uint8_t *line, size_t size, const RecordPrefix *prefix);
