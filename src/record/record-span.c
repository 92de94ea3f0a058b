/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What all lines of a payload have in common, so that an index can say which batches hold records of a time
 * and a node. It is told, not trusted: who looks for records by it looks at each record again.
 */

#include "record/record.h"

static uint64_t time_usec(const RecordTime *time)
{
        uint64_t usec;

        if (__builtin_mul_overflow(time->sec, USEC_PER_SEC, &usec) ||
            __builtin_add_overflow(usec, time->msec * USEC_PER_MSEC, &usec))
                return UINT64_MAX;
        return usec;
}

void record_span_add(RecordSpan *sum, const RecordPrefix *prefix)
{
        uint64_t usec = time_usec(&prefix->time);

        sum->span.oldest_usec = MIN(sum->span.oldest_usec, usec);
        sum->span.newest_usec = MAX(sum->span.newest_usec, usec);
        if (!sum->node.data)
                sum->node = prefix->node;
        sum->one = sum->one && prefix->node.size > 0 && prefix->node.size == sum->node.size &&
                   memcmp(prefix->node.data, sum->node.data, sum->node.size) == 0;
}

void record_span_end(const RecordSpan *sum, BatchSpan *ret)
{
        *ret = sum->span;
        if (sum->one && sum->node.data)
                ret->node = checksum64(sum->node.data, sum->node.size);
}

void record_span(const uint8_t *payload, size_t size, BatchSpan *ret)
{
        RecordSpan sum = RECORD_SPAN_INIT;
        RecordPrefix prefix;
        size_t line;

        *ret = (BatchSpan) { 0 };
        for (; (line = record_next(payload, size)) > 0; payload += line, size -= line) {
                if (line == SIZE_MAX || record_parse(payload, line, &prefix) != RECORD_OK)
                        return;
                record_span_add(&sum, &prefix);
        }
        record_span_end(&sum, ret);
}
