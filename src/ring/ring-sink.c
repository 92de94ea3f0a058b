/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The ring as the sink of producers that speak the link: appended is published, published is in custody.
 *
 *  1. A producer's position moves in the same publication as its batch, so that a crash repeats nothing.
 *  2. A publication made here never counts a landing group as done.
 *  3. A batch without records (filtered to nothing, custody) moves the position alone; seqs stay contiguous.
 */

#include "ring/ring-internal.h"

static uint64_t owner_hash(const char *owner)
{
        return checksum64(owner, strlen(owner));
}

static RingProducer *find_producer(RingState *state, const StreamId *stream)
{
        for (size_t i = 0; i < RING_PRODUCERS_MAX; i++)
                if (stream_id_equal(&state->producers[i].stream, stream))
                        return &state->producers[i];
        return NULL;
}

static size_t count_rows(const RingState *state, uint64_t owner)
{
        size_t n = 0;

        for (size_t i = 0; i < RING_PRODUCERS_MAX; i++)
                n += state->producers[i].seen > 0 && state->producers[i].owner == owner;
        return n;
}

/* A free row; else, of those of the owner that has most, the one silent for the longest: who makes many streams makes only his
 * own be forgotten. Free rows were never seen. */
static RingProducer *claim_producer(RingState *state)
{
        RingProducer *oldest = NULL;
        size_t most = 0;

        for (size_t i = 0; i < RING_PRODUCERS_MAX; i++) {
                RingProducer *row = &state->producers[i];
                size_t n = row->seen > 0 ? count_rows(state, row->owner) : SIZE_MAX;

                if (!oldest || n > most || (n == most && row->seen < oldest->seen)) {
                        oldest = row;
                        most = n;
                }
        }
        *oldest = (RingProducer) { 0 };
        return oldest;
}

static int sink_position(Sink *sink, const StreamId *stream, const char *owner, uint64_t *ret_last,
                         uint64_t *ret_checksum)
{
        Ring *ring = container_of(sink, Ring, sink);
        const RingProducer *producer = find_producer(ring_state(ring), stream);

        *ret_last = *ret_checksum = 0;
        if (stream_id_is_null(stream))
                return -EINVAL;
        if (!producer)
                return 0;
        if (producer->owner != owner_hash(owner))
                return -EPERM;
        *ret_last = producer->last;
        *ret_checksum = producer->checksum;
        return 0;
}

static int append_records(Ring *ring, const Batch *stored)
{
        Batch batch = *stored;
        RingStatus status;
        uint8_t *out;

        ring_status(ring, &status);
        if (ring->sink_limit > 0 && status.used >= ring->sink_limit)
                return -ENOSPC;
        out = ring_begin(ring, stored->size, false);
        if (!out)
                return -ENOSPC;
        memcpy(out, stored->payload, stored->size);
        batch.reason = BATCH_RECORDS;
        batch.payload = out;
        ring_seal_batch(ring, &batch);
        return 0;
}

static int sink_append(Sink *sink, const StreamId *stream, const char *owner, const Batch *received,
                       const Batch *stored, uint64_t realtime_usec)
{
        Ring *ring = container_of(sink, Ring, sink);
        RingState *state = ring_state(ring);
        RingProducer *producer = find_producer(state, stream);
        int r;

        /* What the dispatcher has sealed but not published would be published here without its landing group. */
        assert(ring->pending == ring_end(ring));
        if (stream_id_is_null(stream))
                return -EINVAL;
        if (producer && producer->owner != owner_hash(owner))
                return -EPERM;
        if (batch_is_heartbeat(received))
                return 0;
        if (stored->count > 0) {
                r = append_records(ring, stored);
                if (r < 0)
                        return r;
        }
        if (!producer)
                producer = claim_producer(state);
        *producer = (RingProducer) {
                .stream = *stream,
                .last = received->last,
                .checksum = received->checksum,
                .seen = state->publications + 1,
                .owner = owner_hash(owner),
        };
        ring_publish_word(ring, false);
        return 0;
}

void ring_sink_init(Ring *ring)
{
        ring->sink = (Sink) { .position = sink_position, .append = sink_append };
}

void ring_limit_sink(Ring *ring, uint64_t used)
{
        ring->sink_limit = used;
}

Sink *ring_sink(Ring *ring)
{
        return &ring->sink;
}
