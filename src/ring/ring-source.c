/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The ring as a subscriber's source, and the table of those it waits for.
 *
 *  1. An awaited subscriber's row moves only forward, and seq and checksum move as one: the copy that does not hold is
 *     written, then the word that says which one does.
 *  2. A new row begins at the newest seq: what was published before was promised to nobody. While it is still there it is
 *     sent all the same.
 *  3. A cursor is a hint: position and seq of the batch expected there. It counts only while the position is not before
 *     head, and what is found there must begin with that seq. Acks come in order, so another one leads from each to the next.
 */

#include "ring/ring-internal.h"

static const char lost_reason[] = "overflow";

static void source_range(Source *base, SourceRange *ret)
{
        RingSource *source = container_of(base, RingSource, source);

        *ret = (SourceRange) {
                .stream = source->ring->file->header.stream,
                .oldest = source->ring->oldest,
                .newest = ring_published(source->ring)->newest,
        };
}

/* What stands for the seqs below the oldest. */
static void explain(const Ring *ring, uint64_t seq, Batch *ret)
{
        MARK("ring.lost-explained");
        *ret = (Batch) {
                .first = seq,
                .last = ring->oldest - 1,
                .size = sizeof lost_reason - 1,
                .origin = BATCH_ORIGIN_LOCAL,
                .reason = BATCH_LOST,
                .payload = (const uint8_t *) lost_reason,
        };
        batch_seal(ret);
}

static int source_get(Source *base, uint64_t seq, Cursor *cursor, Batch *ret)
{
        const Ring *ring = container_of(base, RingSource, source)->ring;
        uint64_t newest = ring_published(ring)->newest, from = cursor->position[0], next;

        if (seq == 0 || seq > newest + 1)
                return -ESTALE;
        if (seq == newest + 1)
                return 0;
        if (seq < ring->oldest) {
                explain(ring, seq, ret);
                *cursor = (Cursor) { { ring_head(ring), ring->oldest } };
                return 1;
        }
        if (cursor->position[1] != seq || from < ring_head(ring) || from > ring_end(ring) ||
            ring_entry(ring, from, ret, &next) <= 0 || ret->first != seq) {
                MARK("ring.search");
                if (!ring_find(ring, seq, ring_head(ring), ret, &next) || ret->first != seq)
                        return -ESTALE;
        }
        *cursor = (Cursor) { { next, ret->last + 1 } };
        return 1;
}

static int source_ended(Source *base, uint64_t seq, uint64_t *ret_checksum)
{
        RingSource *source = container_of(base, RingSource, source);
        const Ring *ring = source->ring;
        uint64_t from = ring_head(ring), next;
        Batch batch;

        if (seq > ring_published(ring)->newest)
                return -ESTALE;
        if (seq < ring->oldest) {
                const RingKept *row = source->kept;
                unsigned turn = row ? ring_word(&row->turn) & 1 : 0;

                if (!row || row->acked[turn].seq != seq || row->acked[turn].checksum == 0)
                        return 0;
                *ret_checksum = row->acked[turn].checksum;
                return 1;
        }
        if (source->ended.position[0] > from && source->ended.position[1] <= seq)
                from = source->ended.position[0];
        if (!ring_find(ring, seq, from, &batch, &next) || batch.last != seq)
                return -ESTALE;
        source->ended = (Cursor) { { next, seq + 1 } };
        *ret_checksum = batch.checksum;
        return 1;
}

static void set_acked(RingKept *row, uint64_t seq, uint64_t checksum)
{
        unsigned turn = !(ring_word(&row->turn) & 1);

        row->acked[turn].seq = seq;
        STEP();
        row->acked[turn].checksum = checksum;
        ring_set_word(&row->turn, turn);
}

static void source_release(Source *base, uint64_t seq, uint64_t checksum)
{
        RingSource *source = container_of(base, RingSource, source);

        if (!source->kept || seq <= ring_kept_seq(source->kept) || seq > ring_published(source->ring)->newest)
                return;
        set_acked(source->kept, seq, checksum);
        ring_advance_held(source->ring);
}

bool ring_source_acked(const Source *base, uint64_t *ret_seq, uint64_t *ret_checksum)
{
        const RingKept *row = container_of(base, const RingSource, source)->kept;
        unsigned turn;

        if (!row)
                return false;
        turn = ring_word(&row->turn) & 1;
        *ret_seq = row->acked[turn].seq;
        *ret_checksum = row->acked[turn].checksum;
        return true;
}

bool ring_seek(const Ring *ring, uint64_t seq, Cursor *ret)
{
        uint64_t position = ring_head(ring), next;
        Batch batch;

        if (seq == ring_published(ring)->newest + 1) {
                *ret = (Cursor) { { ring_end(ring), seq } };
                return true;
        }
        while (ring_entry(ring, position, &batch, &next) > 0 && batch.first <= seq) {
                if (batch.first == seq) {
                        *ret = (Cursor) { { position, seq } };
                        return true;
                }
                position = next;
        }
        return false;
}

uint64_t ring_behind(const Ring *ring, const Cursor *cursor)
{
        return ring_end(ring) - cursor->position[0];
}

static RingKept *find_row(Ring *ring, const char *subscriber)
{
        for (size_t i = 0; i < RING_KEPT_MAX; i++) {
                RingKept *row = &ring->file->words.kept[i];

                if (ring_word(&row->used) && strcmp(row->name, subscriber) == 0)
                        return row;
        }
        return NULL;
}

/* Whether no more can be kept in this way. Each way has rows of its own, so that many plugins leave room for remote. */
static bool table_is_full(const Ring *ring, RingKeep keep)
{
        unsigned n = 0;

        for (size_t i = 0; i < RING_KEPT_MAX; i++)
                n += ring_word(&ring->file->words.kept[i].used) == keep;
        return n >= (keep == RING_AWAITS ? RING_AWAITED_MAX : RING_REMEMBERED_MAX);
}

static RingKept *add_row(Ring *ring, const char *subscriber, RingKeep keep)
{
        for (size_t i = 0; i < RING_KEPT_MAX; i++) {
                RingKept *row = &ring->file->words.kept[i];

                if (ring_word(&row->used))
                        continue;
                memset(row->name, 0, sizeof row->name);
                memcpy(row->name, subscriber, strlen(subscriber));
                set_acked(row, ring_published(ring)->newest, 0);
                ring_set_word(&row->used, keep);
                ring_advance_held(ring);
                return row;
        }
        return NULL;
}

/* The row of a subscriber, kept in this way from now on. */
static RingKept *take_row(Ring *ring, const char *subscriber, RingKeep keep)
{
        RingKept *row = find_row(ring, subscriber);

        if (row && ring_word(&row->used) == keep)
                return row;
        if (table_is_full(ring, keep))
                return NULL;
        if (!row)
                return add_row(ring, subscriber, keep);
        ring_set_word(&row->used, keep);
        ring->held = 0; /* it may go back: found again from head on */
        ring_advance_held(ring);
        return row;
}

Source *ring_source(Ring *ring, const char *subscriber, RingKeep keep)
{
        _cleanup_(freep) RingSource *source = NULL;
        RingKept *row = NULL;

        if (strlen(subscriber) > NODE_NAME_MAX)
                return NULL;
        source = malloc(sizeof *source);
        if (!source)
                return NULL;
        if (keep != RING_FORGETS) {
                row = take_row(ring, subscriber, keep);
                if (!row)
                        return NULL;
        }
        *source = (RingSource) {
                .source = {
                        .range = source_range,
                        .get = source_get,
                        .ended = source_ended,
                        .release = source_release,
                },
                .ring = ring,
                .kept = row,
        };
        LIST_INSERT_HEAD(&ring->sources, source, sources);
        return &TAKE_PTR(source)->source;
}

void ring_source_free(Ring *ring, Source *base)
{
        RingSource *source;

        if (!base)
                return;
        source = container_of(base, RingSource, source);
        assert(source->ring == ring);
        LIST_REMOVE(source, sources);
        free(source);
}

void ring_forget(Ring *ring, const char *subscriber)
{
        RingKept *row = find_row(ring, subscriber);
        RingSource *source;

        if (!row)
                return;
        LIST_FOREACH(source, &ring->sources, sources)
                if (source->kept == row)
                        source->kept = NULL;
        ring_set_word(&row->used, 0);
        ring_advance_held(ring);
}

const char *ring_kept(const Ring *ring, unsigned i)
{
        const RingKept *row = ring->file->words.kept;

        assert(i < RING_KEPT_MAX);
        return ring_word(&row[i].used) ? row[i].name : NULL;
}
