/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Writing the ring: landing, sealing, publishing, and giving up the oldest batches.
 *
 * The file is memory that outlives the process, so a crash is a kill between two stores. Everything is written where
 * nobody looks, and then one 64-bit store makes it true:
 *
 *  1. Nothing between head and the published end is ever written; head moves on before its space is used again.
 *  2. The state copy that belongs to the published end is not written; the other one is what ring_state() hands out.
 *  3. A landing group is landed until the publication that counts it (RingState.landings), and never after.
 *  4. Head never passes what an awaited subscriber has not acked.
 *  5. Seqs are contiguous from head to the published end, whose last is the published state's newest.
 *
 * Positions are bytes since the file was made, never wrapping in practice; position % size is the place in the area.
 */

#include "basic/bytes.h"
#include "ring/ring-internal.h"

const char *ring_node(const Ring *ring)
{
        return ring->file->header.node;
}

const char *ring_set_aside(const Ring *ring)
{
        return ring->set_aside;
}

/* --- Entries --- */

int ring_entry(const Ring *ring, uint64_t position, Batch *ret, uint64_t *ret_next)
{
        uint64_t end = ring_end(ring), offset = position % ring->size;

        if (position == end)
                return 0;
        if (offset != 0 && get_le64(ring->area + offset) == RING_WRAP) {
                position += ring->size - offset;
                offset = 0;
        }
        if (position >= end || ring->size - offset < BATCH_HEADER_SIZE ||
            batch_decode(ring->area + offset, ret) < 0)
                return -EBADMSG;
        if (ring_entry_size(ret->size) > MIN(ring->size - offset, end - position))
                return -EBADMSG;
        ret->payload = ring->area + offset + BATCH_HEADER_SIZE;
        *ret_next = position + ring_entry_size(ret->size);
        return 1;
}

int ring_find(const Ring *ring, uint64_t seq, uint64_t from, Batch *ret, uint64_t *ret_next)
{
        for (uint64_t position = from; ring_entry(ring, position, ret, ret_next) > 0; position = *ret_next) {
                if (ret->first > seq)
                        return 0;
                if (ret->last >= seq)
                        return 1;
        }
        return 0;
}

uint64_t ring_floor(const Ring *ring)
{
        uint64_t floor = UINT64_MAX;

        for (size_t i = 0; i < RING_KEPT_MAX; i++) {
                const RingKept *row = &ring->file->words.kept[i];

                if (ring_word(&row->used) == RING_AWAITS)
                        floor = MIN(floor, ring_kept_seq(row));
        }
        return floor;
}

/* --- Landing --- */

struct mmsghdr *ring_landing_prepare(Ring *ring)
{
        RingLanding *landing = &ring->file->landing;

        assert(ring_landed(ring) == 0);
        ring_set_word(&landing->number, 0);
        for (size_t i = 0; i < RING_LANDING_MAX; i++) {
                landing->parts[i] = (struct iovec) { landing->messages[i], RING_MESSAGE_MAX };
                landing->senders[i] = (struct sockaddr_nl) { 0 };
                landing->headers[i] = (struct mmsghdr) {
                        .msg_hdr = {
                                .msg_name = &landing->senders[i],
                                .msg_namelen = sizeof landing->senders[i],
                                .msg_iov = &landing->parts[i],
                                .msg_iovlen = 1,
                        },
                        .msg_len = RING_NOT_LANDED,
                };
        }
        ring_set_word(&landing->number, ring_published(ring)->landings + 1);
        return landing->headers;
}

unsigned ring_landed(const Ring *ring)
{
        const RingLanding *landing = &ring->file->landing;
        unsigned n = 0;

        if (ring_word(&landing->number) != ring_published(ring)->landings + 1)
                return 0;
        while (n < RING_LANDING_MAX && landing->headers[n].msg_len != RING_NOT_LANDED)
                n++;
        return n;
}

const uint8_t *ring_landed_message(const Ring *ring, unsigned i, size_t *ret_size, uint32_t *ret_port)
{
        const RingLanding *landing = &ring->file->landing;

        assert(i < RING_LANDING_MAX);
        *ret_size = MIN(landing->headers[i].msg_len, RING_MESSAGE_MAX);
        *ret_port = landing->senders[i].nl_pid;
        return landing->messages[i];
}

/* --- Writing --- */

RingState *ring_state(Ring *ring)
{
        return &ring->file->states[!ring_copy(ring)];
}

/* Gives up oldest batches that nobody waits for until `end` is less than `limit` behind head. */
static bool make_room(Ring *ring, uint64_t end, uint64_t limit)
{
        uint64_t head = ring_head(ring), floor = ring_floor(ring), next;
        bool moved = false;
        Batch batch;

        while (end - head > limit && ring_entry(ring, head, &batch, &next) > 0 && batch.last <= floor) {
                head = next;
                ring->oldest = batch.last + 1;
                moved = true;
        }
        if (moved) {
                MARK("ring.head");
                ring_set_word(&ring->file->words.head, head);
        }
        return end - head <= limit;
}

uint8_t *ring_begin(Ring *ring, size_t size_max, bool reserve)
{
        uint64_t offset = ring->pending % ring->size, skip = 0, need = ring_entry_size(size_max);

        assert(size_max <= BATCH_PAYLOAD_MAX);
        if (ring->size - offset < need)
                skip = ring->size - offset;
        if (!make_room(ring, ring->pending + skip + need, ring->size - (reserve ? 0 : RING_RESERVE))) {
                MARK("ring.full");
                return NULL;
        }
        if (skip > 0) {
                MARK("ring.wrap");
                put_le64(ring->area + offset, RING_WRAP);
                STEP();
        }
        ring->begun = ring->pending + skip;
        ring->begun_max = size_max;
        return ring->area + ring->begun % ring->size + BATCH_HEADER_SIZE;
}

void ring_seal_batch(Ring *ring, Batch *batch)
{
        RingState *state = ring_state(ring);

        assert(batch->count > 0 && batch->size <= ring->begun_max);
        batch_renumber(batch, state->newest + 1, state->newest + batch->count);
        STEP();
        batch_encode(batch, ring->area + ring->begun % ring->size);
        STEP();
        state->newest = batch->last;
        ring->pending = ring->begun + ring_entry_size(batch->size);
        ring->begun_max = 0;
}

void ring_seal(Ring *ring, size_t size, uint32_t count, BatchOrigin origin)
{
        Batch batch = {
                .count = count,
                .size = (uint32_t) size,
                .origin = origin,
                .payload = ring->area + ring->begun % ring->size + BATCH_HEADER_SIZE,
        };

        batch.payload_hash = checksum64(batch.payload, size);
        ring_seal_batch(ring, &batch);
}

void ring_publish_word(Ring *ring, bool landed)
{
        unsigned copy = !ring_copy(ring);
        RingState *states = ring->file->states;

        states[copy].publications++;
        if (landed)
                states[copy].landings++;
        ring_set_word(&ring->file->words.published, ring->pending | copy);
        /* Some 12 KiB: a third of a microsecond, against about ten for the hash of a full batch. */
        states[!copy] = states[copy];
        STEP();
}

void ring_publish(Ring *ring)
{
        ring_publish_word(ring, ring_landed(ring) > 0);
}

void ring_advance_held(Ring *ring)
{
        uint64_t floor = ring_floor(ring), next;
        Batch batch;

        ring->held = MAX(ring->held, ring_head(ring));
        while (ring_entry(ring, ring->held, &batch, &next) > 0 && batch.last <= floor)
                ring->held = next;
}

void ring_status(const Ring *ring, RingStatus *ret)
{
        *ret = (RingStatus) {
                .stream = ring->file->header.stream,
                .oldest = ring->oldest,
                .newest = ring_published(ring)->newest,
                .size = ring->size,
                .dropped = ring_published(ring)->dropped_total,
        };
        if (ring_floor(ring) != UINT64_MAX)
                ret->used = ring_end(ring) - MAX(ring->held, ring_head(ring));
}
