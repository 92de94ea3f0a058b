/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the dispatcher of this host is shown of the store.
 *
 *  1. Boundaries and order are the store's: what is left out is a batch without records, reason filtered.
 *  2. Records that came by a relay (origin remote) are left out. So a record passes at most one relay, and collectors
 *     that relay to each other, in whatever circle, end after one turn.
 *  3. A dispatcher that has nothing of the stream has a new ring: it begins behind the floor, not with the whole log.
 *  4. It never counts as a collector that has custody: the log is not deleted because plugins have read it.
 */

#include "aggregator/published.h"

static Published *published_of(Source *source)
{
        return container_of(source, Published, source);
}

static void leave_out(Batch *batch)
{
        batch->count = batch->size = 0;
        batch->payload = (const uint8_t *) "";
        batch->reason = BATCH_FILTERED;
        batch_seal(batch);
}

static void on_range(Source *source, SourceRange *ret)
{
        const Published *published = published_of(source);

        published->store->range(published->store, ret);
}

static int on_get(Source *source, uint64_t seq, Cursor *cursor, Batch *ret)
{
        Published *published = published_of(source);
        int r;

        if (seq == 1 && published->floor > 0) {
                *ret = (Batch) { .first = 1, .last = published->floor, .origin = BATCH_ORIGIN_REMOTE };
                leave_out(ret);
                return 1;
        }
        r = published->store->get(published->store, seq, cursor, ret);
        if (r > 0 && ret->origin == BATCH_ORIGIN_REMOTE)
                leave_out(ret);
        if (r > 0)
                published->records += ret->count;
        return r;
}

/* What was sent for a batch is not what the store knows of it: nothing to compare. */
static int on_ended(Source *source, uint64_t seq, uint64_t *ret_checksum)
{
        return 0;
}

static void on_release(Source *source, uint64_t seq, uint64_t checksum)
{
        Published *published = published_of(source);

        published->floor = MAX(published->floor, seq);
}

void published_init(Published *published, Source *store, uint64_t floor)
{
        *published = (Published) {
                .source = { .range = on_range, .get = on_get, .ended = on_ended, .release = on_release },
                .store = store,
                .floor = floor,
        };
}
