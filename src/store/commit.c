/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Group commit. The text of a group is written as it comes; its index entries are written here, by one
 * write:
 *
 *      [header, in a new segment]  COMMIT: how far it was durable before  [own entries]  BATCH, BATCH, …
 *
 * then a job syncs text and index, and only its good end makes the group durable.
 *
 * 1. A COMMIT entry is written only when everything it speaks of is synced. So whatever is found damaged at
 *    or before it is damage, and only what lies behind it can be a torn end. When nothing follows at once
 *    it is written alone: that costs one small write and no sync of its own.
 * 2. An index of a new segment gets its name in the job, behind the syncs.
 * 3. The segment rotated out is synced with the first group of the next, so the order of segments is the
 *    order of time.
 * 4. An error of the job ends the segment: what was not durable is forgotten, everything steps back.
 */

#include "store/store-internal.h"

static void put_commit(Writer *writer, uint32_t flags, uint64_t now_usec)
{
        const Store *store = writer->store;
        IndexEntry entry = {
                .kind = INDEX_COMMIT,
                .flags = flags,
                .commit = {.segment = store->durable.segment,
                           .last = store->durable.last,
                           .time_usec = now_usec},
        };

        /* Of a segment that this one replaces, sizes would be taken for those of this file. */
        if (!store->replaces) {
                entry.commit.text_size = store->durable.text_size;
                entry.commit.index_size = (uint64_t) store->durable.entries * INDEX_ENTRY_SIZE;
        }
        writer_put(writer, &entry);
}

static void put_stream_ends(Writer *writer, uint64_t now_usec)
{
        if (writer->store->streams.n_ending == 0)
                return;
        for (const Stream *s = NULL; (s = streams_next(&writer->store->streams, s));)
                if (s->ending == STREAM_ENDS)
                        writer_put(writer, &(IndexEntry) {
                                                   .kind = INDEX_STREAM_END,
                                                   .stream_end = {
                                                           .stream = s->id,
                                                           .last = s->written.last,
                                                           .time_usec = now_usec,
                                                           .reason = s->end_reason,
                                                   },
                                           });
}

/* The end is a commit of its own, so that its mark covers everything. */
static bool finishes(const Store *store)
{
        return store->finish && !store->finished && store->group.n == 0;
}

/* The store's own entries of this commit. */
static void put_own(Writer *writer, uint64_t now_usec)
{
        Store *store = writer->store;
        IndexEntry entry;

        if ((store->mark_due || (store->begin && store->durable.segment != 0)) && !finishes(store))
                put_commit(writer, 0, now_usec);
        for (size_t i = 0; i < store->n_pending; i++)
                writer_put(writer, &store->pending[i]);
        if (store->restart_unsaved)
                writer_put(writer, &store->restart);
        for (size_t i = 0; i < store->n_collectors; i++)
                if (store->collectors[i]->unsaved)
                        header_put_custody(writer, store->collectors[i], now_usec);
        for (size_t i = 0; i < store->n_victims; i++) {
                retention_entry(store, i, now_usec, &entry);
                writer_put(writer, &entry);
                store->flight_deleted = entry;
        }
        if (store->checkpoint_next.kind == INDEX_CHECKPOINT)
                writer_put(writer, &store->checkpoint_next);
        if (store->restart_wanted) {
                store->flight_restart = (IndexEntry) {
                        .kind = INDEX_RESTART,
                        .restart = {
                                .stream = store->restart_stream,
                                .old = store->stream,
                                .last = store->durable.last,
                                .released = MAX(custody_released(store), custody_released_before(store)),
                                .time_usec = now_usec,
                        },
                };
                writer_put(writer, &store->flight_restart);
        }
}

static bool begins_header_only(const Store *store)
{
        return store->group.n == 0 && store->open && !store->fresh && store->rotate;
}

bool store_dirty(const Store *store)
{
        if (store->group.n > 0 || store->begin || store->custody_due || store->restart_wanted || store->n_pending > 0 ||
            store->streams.n_ending > 0 || store->checkpoint_next.kind == INDEX_CHECKPOINT || begins_header_only(store) ||
            finishes(store) ||
            retention_due(store))
                return true;
        /* With one collector its custody can wait for the next group: nothing depends on it yet. */
        for (size_t i = 0; i < store->n_collectors; i++)
                if (store->collectors[i]->unsaved && store->n_collectors > 1)
                        return true;
        return false;
}

/* Streams idle for too long end when the table is written anyway. */
static void forget_idle(Store *store, uint64_t now_usec)
{
        uint64_t limit = store->options.stream_forget_usec;

        if (limit == 0)
                return;
        for (Stream *s = NULL; (s = streams_next(&store->streams, s));)
                if (!s->in_group && now_usec > s->seen_usec && now_usec - s->seen_usec >= limit)
                        streams_end(&store->streams, s, INDEX_STREAM_END_IDLE);
}

static size_t entries_max(const Store *store)
{
        size_t n = 4 + store->n_pending + 2 * store->n_collectors + store->n_victims + 1 +
                   store->streams.n_ending + store->group.n + 1;

        return store->fresh ? n + 4 + store->streams.n + store->n_replaced : n;
}

/* Writes all entries of the commit; on success the group is submitted. */
static int write_group(Store *store, uint64_t now_usec)
{
        Writer writer = { .store = store, .n_max = entries_max(store) };
        _cleanup_(freep) uint8_t *bytes = NULL;
        bool end = finishes(store);
        int r;

        writer.bytes = bytes = malloc(writer.n_max * INDEX_ENTRY_SIZE);
        if (!bytes)
                return -ENOMEM;
        memcpy(writer.chain, store->written.chain, SHA256_SIZE);
        if (store->fresh)
                header_put(&writer, now_usec);
        put_own(&writer, now_usec);
        for (size_t i = 0; i < store->group.n; i++)
                writer_put(&writer, &store->group.entries[i]);
        put_stream_ends(&writer, now_usec);
        if (end)
                put_commit(&writer, store->finish_clean ? INDEX_FLAG_CLEAN_END : 0, now_usec);
        r = segment_write_index(store, bytes, writer.n * INDEX_ENTRY_SIZE);
        if (r < 0)
                return r;
        store->written.entries += (uint32_t) writer.n;
        memcpy(store->written.chain, writer.chain, SHA256_SIZE);
        store->mark_due = false;
        store->finished = end;
        return 0;
}

static void submit(Store *store)
{
        Segment *segment = &store->segments[store->n_segments - 1];

        segment_set_bytes(store, segment, store->written.text_size + (uint64_t) store->written.entries * INDEX_ENTRY_SIZE);
        streams_submit(&store->streams);
        for (size_t i = 0; i < store->n_collectors; i++) {
                store->collectors[i]->unsaved = false;
                store->collectors[i]->flight = store->collectors[i]->seq;
        }
        store->custody_due = store->restart_unsaved = false;
        store->flight_checkpoint = store->checkpoint_next;
        store->checkpoint_next.kind = 0;
        store->group.n = 0;
        store->group.bytes = 0;
        store->n_pending_flight = store->n_pending;
        store->flight = store->written;
        store->flight_began = store->fresh;
        store->flight_restarts = store->restart_wanted;
        store->in_flight = true;
}

static void make_job(Store *store, StoreJob *ret)
{
        *ret = (StoreJob) {
                .disk = store->disk,
                .cut = { store->ended.text, store->ended.index },
                .directory = store->fresh || store->directory_dirty,
        };
        if (store->before.text >= 0) {
                ret->handles[ret->n_handles++] = store->before.text;
                ret->handles[ret->n_handles++] = store->before.index;
        }
        ret->handles[ret->n_handles++] = store->current.text;
        ret->handles[ret->n_handles++] = store->current.index;
        if (store->fresh) {
                strcpy(ret->from, STORE_INDEX_NEW);
                segment_name(store->current.first, ".idx", ret->to);
                if (store->options.links)
                        segment_name(store->current.first, ".log", ret->newest);
        }
        store->directory_dirty = false;
        for (size_t i = 0; i < store->n_victims; i++)
                ret->gone[ret->n_gone++] = (StoreGone) { store->segments[i].first, store->segments[i].damaged };
}

bool store_due(Store *store, uint64_t now_usec)
{
        /* What is in flight has victims of its own. */
        if (store->in_flight || store->failed)
                return false;
        retention_choose(store, now_usec);
        return store->n_victims > 0 || store_newest_is_old(store, now_usec);
}

int store_commit_begin(Store *store, uint64_t now_usec, StoreJob *ret_job)
{
        int r;

        assert(!store->in_flight);
        if (store->failed)
                return -EIO;
        if (!store_due(store, now_usec) && !store_dirty(store))
                return 0;
        if (store_newest_is_old(store, now_usec))
                store_rotate(store);
        if (!store->open || begins_header_only(store)) {
                r = segment_begin(store, 0, true, now_usec);
                if (r < 0) {
                        retention_choose_none(store);
                        return r;
                }
                /* What it took the place of counts no more. */
                retention_choose(store, now_usec);
        }
        if (store->fresh)
                forget_idle(store, now_usec);
        r = write_group(store, now_usec);
        if (r < 0) {
                retention_choose_none(store);
                return r;
        }
        submit(store);
        make_job(store, ret_job);
        MARK("store.commit");
        return 1;
}

/* Nothing that was promised is at stake, so a file that can no more be synced holds nobody up; being tried
 * twice, one error does not bring back what was cut. */
static void sync_cut(const StoreJob *job)
{
        for (size_t i = 0; i < ELEMENTSOF(job->cut); i++)
                if (job->cut[i] >= 0 && job->disk->sync(job->disk, job->cut[i]) < 0)
                        (void) job->disk->sync(job->disk, job->cut[i]);
}

int store_job_run(const StoreJob *job)
{
        int r;

        sync_cut(job);
        for (size_t i = 0; i < job->n_handles; i++) {
                r = job->disk->sync(job->disk, job->handles[i]);
                if (r < 0)
                        return r;
        }
        if (job->to[0] != '\0') {
                r = job->disk->rename(job->disk, job->from, job->to);
                if (r < 0)
                        return r;
        }
        r = job->directory ? job->disk->sync_directory(job->disk) : 0;
        if (r < 0)
                return r;
        if (job->newest[0] != '\0')
                links_follow(job->disk, job->newest);
        for (size_t i = 0; i < job->n_gone; i++)
                retention_remove_files(job->disk, &job->gone[i]);
        return 0;
}

/* The group is durable; nothing follows yet: say so in the index now (see above). */
void commit_write_mark(Store *store, uint64_t now_usec)
{
        uint8_t bytes[INDEX_ENTRY_SIZE];
        Writer writer = { .store = store, .bytes = bytes, .n_max = 1 };

        if (!store->mark_due || store->finished || store->failed || store_dirty(store) || store->fresh ||
            store->current.first != store->durable.segment)
                return;
        memcpy(writer.chain, store->written.chain, SHA256_SIZE);
        put_commit(&writer, 0, now_usec);
        if (segment_write_index(store, bytes, sizeof bytes) < 0) {
                /* No room: the next commit says it. Anything else: nothing of it was promised, and nothing waits to be
                 * written that would be forgotten, only the segment ends. */
                if (store->failed)
                        commit_step_back(store);
                return;
        }
        store->written.entries++;
        memcpy(store->written.chain, writer.chain, SHA256_SIZE);
        store->mark_due = false;
}

static void restart_done(Store *store)
{
        MARK("store.restarted");
        store->restart = store->flight_restart;
        store->stream = store->restart.restart.stream;
        store->restart_wanted = false;
        custody_forget(store);
}

/* The rotated-out segment is synced: its room ahead is given back, nobody writes to it again. */
static void close_before(Store *store)
{
        uint64_t size;

        if (store->before.text >= 0 && store->disk->size(store->disk, store->before.text, &size) == 0)
                (void) store->disk->truncate(store->disk, store->before.text, size);
        if (store->before.index >= 0 && store->disk->size(store->disk, store->before.index, &size) == 0)
                (void) store->disk->truncate(store->disk, store->before.index, size);
        segment_files_close(store, &store->before);
}

int store_commit_end(Store *store, int error, uint64_t now_usec)
{
        assert(store->in_flight);
        store->in_flight = false;
        if (error < 0) {
                commit_step_back(store);
                return error;
        }
        store->durable = store->flight;
        segment_files_close(store, &store->ended);
        store->mark_due = true;
        store->begin = false;
        streams_durable(&store->streams);
        for (size_t i = 0; i < store->n_collectors; i++)
                store->collectors[i]->durable = store->collectors[i]->flight;
        store->n_pending -= store->n_pending_flight;
        store->n_pending_flight = 0;
        if (store->flight_began) {
                MARK("store.begun");
                store->fresh = store->replaces = false;
                header_forget_replaced(store);
                store->links_due = true;
                close_before(store);
        }
        if (store->n_victims > 0) {
                MARK("store.deleted");
                store->deleted = store->flight_deleted;
                retention_delete(store);
        }
        if (store->flight_restarts)
                restart_done(store);
        if (store->flight_checkpoint.kind == INDEX_CHECKPOINT)
                store->checkpoint = store->flight_checkpoint;
        store->flight_checkpoint.kind = 0;
        commit_write_mark(store, now_usec);
        return 0;
}

void commit_step_back(Store *store)
{
        MARK("store.step-back");
        segment_end(store);
        store->written = store->flight = store->durable;
        streams_step_back(&store->streams);
        for (size_t i = 0; i < store->n_collectors; i++)
                store->collectors[i]->unsaved = custody_is_noted(store->collectors[i]);
        store->restart_unsaved = store->restart.kind == INDEX_RESTART;
        store->group.n = 0;
        store->group.bytes = 0;
        retention_choose_none(store);
        store->n_pending_flight = 0;
        store->checkpoint_next.kind = store->flight_checkpoint.kind = 0;
        store->failed = store->finished = store->flight_began = store->flight_restarts = false;
        store->mark_due = store->durable.segment != 0;
        store->links_due = true;
}

int commit_now(Store *store, uint64_t now_usec)
{
        StoreJob job;
        int r;

        r = store_commit_begin(store, now_usec, &job);
        if (r > 0)
                return store_commit_end(store, store_job_run(&job), now_usec);
        if (r < 0 && !error_is_no_room(r))
                commit_step_back(store);
        return r;
}

int store_begin(Store *store, uint64_t now_usec)
{
        store->begin = store->finished || store->n_segments == 0;
        return store->begin ? commit_now(store, now_usec) : 0;
}

void store_probe(Store *store)
{
        store->begin = true;
}

void store_step_back(Store *store)
{
        assert(!store->in_flight);
        commit_step_back(store);
}
