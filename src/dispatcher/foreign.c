/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dispatcher/foreign.h"
#include "record/record.h"

#include <strings.h>

static bool is_of(const uint8_t *line, size_t size, const char *node)
{
        RecordPrefix prefix;

        return record_parse(line, size, &prefix) == RECORD_OK && prefix.node.size == strlen(node) &&
               strncasecmp((const char *) prefix.node.data, node, prefix.node.size) == 0;
}

void foreign_keep(Foreign *foreign, const char *node, Batch *batch)
{
        const uint8_t *p = batch->payload, *end = p + batch->size;
        uint32_t size = 0, dropped = 0;

        for (size_t n; batch->count > 0 && p < end; p += n) {
                /* It is judged later: what is no line at all is somebody else's business. */
                n = MIN(record_next(p, (size_t) (end - p)), (size_t) (end - p));
                if (is_of(p, n, node)) {
                        dropped++;
                        continue;
                }
                memcpy(foreign->payload + size, p, n);
                size += (uint32_t) n;
        }
        if (dropped == 0)
                return;
        foreign->came_back += dropped;
        batch->payload = foreign->payload;
        batch->size = size;
        /* A batch with another count than lines keeps that fault. */
        batch->count = size == 0 ? 0 : batch->count > dropped ? batch->count - dropped : 1;
        batch->reason = BATCH_FILTERED;
        batch_seal(batch);
}
