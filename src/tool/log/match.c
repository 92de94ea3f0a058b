/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tool/log/match.h"

static bool time_matches(const LogQuery *query, const RecordTime *time)
{
        uint64_t usec;

        if (__builtin_mul_overflow(time->sec, USEC_PER_SEC, &usec) ||
            __builtin_add_overflow(usec, time->msec * USEC_PER_MSEC, &usec))
                usec = UINT64_MAX;
        return usec >= query->since_usec && usec <= query->until_usec;
}

static bool node_matches(const LogQuery *query, const RecordSlice *node)
{
        for (size_t i = 0; query->nodes && query->nodes[i]; i++)
                if (strlen(query->nodes[i]) == node->size && memcmp(query->nodes[i], node->data, node->size) == 0)
                        return true;
        return !query->nodes;
}

RecordSlice log_record_text(const uint8_t *line, size_t size, const RecordPrefix *prefix)
{
        const uint8_t *end = line + size, *p = prefix->type.data;

        end -= size > 0 && end[-1] == '\n';
        /* The prefix was parsed: its "):" is there. */
        while (p < end && !(p[0] == ')' && p[1] == ':'))
                p++;
        p = MIN(p + 2, end);
        p += p < end && *p == ' ';
        return (RecordSlice) { p, (size_t) (end - p) };
}

unsigned log_match(const LogQuery *query, const uint8_t *line, size_t size, const RecordPrefix *prefix)
{
        unsigned match = 0;

        if (time_matches(query, &prefix->time) && node_matches(query, &prefix->node) &&
            prefix->time.serial >= query->serial_first && prefix->time.serial <= query->serial_last)
                match |= LOG_MATCH_EVENT;
        if (record_filter_line(query->types, line, size))
                match |= LOG_MATCH_TYPE;
        if (query->keys.n == 0 ||
            keys_match(&query->keys, type_number(prefix->type), log_record_text(line, size, prefix)))
                match |= LOG_MATCH_KEY;
        return match;
}
