/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dispatcher/writer.h"
#include "dispatcher/gap.h"

#define RECOVERED(size) ((size) / 4 * 3)

static void seal(Writer *writer)
{
        if (writer->count > 0) {
                ring_seal(writer->ring, writer->used, writer->count, writer->origin);
                writer->records += writer->count;
                writer->batches++;
                writer->bytes += writer->used;
        }
        writer->expected -= MIN(writer->expected, writer->used);
        writer->space = NULL;
        writer->used = 0;
        writer->count = 0;
}

/* Whether records may be written again after some were dropped: only with real room, or every few records
 * would be followed by a gap. */
static bool has_recovered(Ring *ring)
{
        RingStatus status;

        ring_status(ring, &status);
        return status.used <= RECOVERED(status.size);
}

uint8_t *writer_next_batch(Writer *writer)
{
        seal(writer);
        /* What was dropped is told first, so that the gap stands where the records are missing. */
        if (ring_state(writer->ring)->dropped > 0 &&
            (!has_recovered(writer->ring) || !gap_write_dropped(writer->ring, false)))
                return NULL;
        writer->size = MIN(writer->expected + RECORD_LINE_MAX, (size_t) BATCH_PAYLOAD_MAX);
        writer->space = ring_begin(writer->ring, writer->size, false);
        return writer->space;
}

bool writer_end(Writer *writer)
{
        seal(writer);
        return writer->batches > 0;
}
