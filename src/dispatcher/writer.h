/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lines into the ring: begins a batch when the first line asks for room, seals it when it is full, begins
 * the next. Nothing is visible before the caller's ring_publish(). */

#include "ring/ring.h"

typedef struct Writer {
        Ring *ring;
        BatchOrigin origin;
        size_t expected; /* bytes that may still come: no more room is asked for than can be needed */
        uint8_t *space;  /* of the batch begun; NULL: none is */
        size_t size, used;
        uint32_t count;
        uint64_t records, batches, bytes; /* sealed */
} Writer;

static inline Writer writer_begin(Ring *ring, BatchOrigin origin, size_t expected)
{
        return (Writer) { .ring = ring, .origin = origin, .expected = expected };
}

/* See writer_room(). */
uint8_t *writer_next_batch(Writer *writer);

/* Room for one line of RECORD_LINE_MAX. NULL: the ring is full. */
static inline uint8_t *writer_room(Writer *writer)
{
        if (writer->space && writer->size - writer->used >= RECORD_LINE_MAX)
                return writer->space + writer->used;
        return writer_next_batch(writer);
}

/* A line of `size` bytes was written there. */
static inline void writer_commit(Writer *writer, size_t size)
{
        writer->used += size;
        writer->count++;
}

/* Seals what is begun. Returns whether anything was sealed. */
bool writer_end(Writer *writer);
