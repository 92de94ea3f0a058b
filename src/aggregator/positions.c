/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Positions out of one store into another.
 *
 *  1. A stream's sender holds nothing up to the highest position that any store of this collector has acked: whoever
 *     delivers next must be asked for what comes behind that, or records would be missing or come twice.
 *  2. So a store takes over what is higher than its own, and nothing else; to do it twice changes nothing.
 *  3. The seqs between are explained, as in every store: they are in another one's custody.
 */

#include "aggregator/positions.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/notify.h"
#include "store/view.h"

#include <strings.h>

typedef struct Position {
        StreamId stream;
        char *owner;
        uint64_t last, checksum;
} Position;

struct Positions {
        Position *positions;
        size_t n, allocated;
};

int positions_has_store(const char *directory)
{
        _cleanup_(disk_freep) Disk *disk = NULL;
        StoreView *view;
        int r = disk_open(directory, &disk);

        if (r == -ENOENT || r == -ENOTDIR)
                return 0;
        if (r < 0)
                return r;
        r = store_view_open(disk, false, &view);
        if (r < 0)
                return r == -ENODATA ? 0 : r;
        disk = NULL;
        store_view_free(view);
        return 1;
}

static int add(Positions *positions, const StoreStream *stream)
{
        Position *position;

        if (positions->n == positions->allocated) {
                size_t allocated = MAX(2 * positions->allocated, (size_t) 64);

                position = reallocarray(positions->positions, allocated, sizeof *position);
                if (!position)
                        return -ENOMEM;
                positions->positions = position;
                positions->allocated = allocated;
        }
        position = &positions->positions[positions->n];
        *position = (Position) { stream->id, strdup(stream->owner), stream->last, stream->checksum };
        if (!position->owner)
                return -ENOMEM;
        positions->n++;
        return 0;
}

static int add_all(Positions *positions, const Store *store, PositionsSkip skip, void *userdata)
{
        const void *place = NULL;
        StoreStream stream;
        int r = 0;

        while (r == 0 && store_stream_next(store, &place, &stream))
                if (!skip || !skip(&stream, userdata))
                        r = add(positions, &stream);
        return r;
}

int positions_add(Positions *positions, const StoreLoopOptions *store, const char *directory, PositionsSkip skip,
                  void *userdata)
{
        StoreLoopOptions options = {
                .directory = directory,
                .store = {
                        .hash = store->store.hash,
                        .segment_size_max = store->store.segment_size_max,
                        .progress = notify_starting,
                },
        };
        StoreOpening opening;
        int r = store_loop_open(&options, &opening);

        if (r >= 0)
                r = add_all(positions, opening.store, skip, userdata);
        else
                store_loop_log_open(directory, r);
        if (r >= 0 && opening.report.n_damages > 0)
                log_warning("The store in %s is damaged: what was delivered under another Layout= may come again; see `audit-relay verify`",
                            directory);
        store_opening_done(&opening);
        return r;
}

size_t positions_count(const Positions *positions)
{
        return positions->n;
}

/* --- Into a store --- */

static int commit(Store *store, uint64_t now_usec)
{
        StoreJob job;
        int r = store_commit_begin(store, now_usec, &job);

        return r > 0 ? store_commit_end(store, store_job_run(&job), now_usec) : r;
}

/* 1: the stream has moved; 0: there was no need. */
static int import_one(const Position *position, Store *store, uint64_t now_usec)
{
        Sink *sink = store_sink(store);
        uint64_t last, checksum;
        Batch received, stored;
        int r = sink->position(sink, &position->stream, position->owner, &last, &checksum);

        if (r == -EPERM || (r >= 0 && last >= position->last))
                return 0;
        if (r < 0)
                return r;
        received = (Batch) {
                .first = last + 1,
                .last = position->last,
                .origin = BATCH_ORIGIN_REMOTE,
                .reason = BATCH_CUSTODY,
                .payload = (const uint8_t *) "",
        };
        batch_seal(&received);
        stored = received;
        /* What the sender will be told stands there: it knows the batch by this. */
        received.checksum = position->checksum;
        r = sink->append(sink, &position->stream, position->owner, &received, &stored, now_usec);
        if (r == -EAGAIN) {
                r = commit(store, now_usec);
                if (r >= 0)
                        r = sink->append(sink, &position->stream, position->owner, &received, &stored, now_usec);
        }
        return r < 0 ? r : 1;
}

int positions_import(const Positions *positions, const char *owner, Store *store, uint64_t now_usec)
{
        int n = 0, r = 0;

        for (size_t i = 0; r >= 0 && i < positions->n; i++) {
                const Position *position = &positions->positions[i];

                if (owner && strcasecmp(position->owner, owner) != 0)
                        continue;
                r = import_one(position, store, now_usec);
                n += r > 0;
        }
        if (r >= 0 && n > 0)
                r = commit(store, now_usec);
        return r < 0 ? r : n;
}

/* --- Life --- */

int positions_new(Positions **ret)
{
        Positions *positions = calloc(1, sizeof *positions);

        if (!positions)
                return -ENOMEM;
        *ret = positions;
        return 0;
}

Positions *positions_free(Positions *positions)
{
        if (!positions)
                return NULL;
        for (size_t i = 0; i < positions->n; i++)
                free(positions->positions[i].owner);
        free(positions->positions);
        free(positions);
        return NULL;
}
