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

void record_span(const uint8_t *payload, size_t size, BatchSpan *ret)
{
        BatchSpan span = BATCH_SPAN_NONE;
        RecordSlice node = { 0 };
        RecordPrefix prefix;
        size_t line;
        bool one = true;

        *ret = (BatchSpan) { 0 };
        for (; (line = record_next(payload, size)) > 0; payload += line, size -= line) {
                uint64_t usec;

                if (line == SIZE_MAX || record_parse(payload, line, &prefix) != RECORD_OK)
                        return;
                usec = time_usec(&prefix.time);
                span.oldest_usec = MIN(span.oldest_usec, usec);
                span.newest_usec = MAX(span.newest_usec, usec);
                if (!node.data)
                        node = prefix.node;
                one = one && prefix.node.size > 0 && prefix.node.size == node.size &&
                      memcmp(prefix.node.data, node.data, node.size) == 0;
        }
        if (one && node.data)
                span.node = checksum64(node.data, node.size);
        *ret = span;
}
