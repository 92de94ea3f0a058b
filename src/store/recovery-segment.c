/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The last segment at start: from its entries to the state, what is cut and what is damage.
 *
 * 1. The mark is the last COMMIT entry that speaks of this segment, at least the end of its header. What
 *    lies behind it and does not verify, with all that follows, is a torn end and is cut: it was never
 *    acked, or not by us.
 * 2. What lies before the mark and does not verify is damage: nothing is cut, the segment is not written
 *    again, its seqs are reported and named in DAMAGED entries of the next segment.
 * 3. Accepted bytes behind the mark are written again and synced before they count: they may be in the page
 *    cache only, left by a process whose sync failed, and then another sync alone would say "done" without
 *    doing anything.
 * 4. Only errors of the disk make opening fail, and none is taken for damage behind the mark, where it
 *    could hide what was acked.
 * 5. Doing all this twice, or dying at any point of it, leads to the same.
 */

#include "store/store-internal.h"

#include <fcntl.h>

#define CHUNK_ENTRIES 64U

/* The last segment as it is found. */
typedef struct Found {
        Store *store;
        StoreReport *report;
        uint64_t first;
        uint64_t now_usec;
        uint64_t text_size, index_size; /* of the files */
        uint32_t n_entries;
        uint32_t header; /* its entries, 0: not readable */
        bool header_whole;
        bool chained;
        uint64_t created_usec;
        bool mark_known;
        uint32_t mark; /* entries before it were durable */
        uint64_t mark_text, mark_last;
        bool damaged;
        uint32_t accepted;
        Replay replay;
        uint8_t *payload;
        uint8_t chunk[CHUNK_ENTRIES * INDEX_ENTRY_SIZE];
        uint32_t chunk_first, n_chunk;
} Found;

/* 1: a readable entry; 0: damaged; or a negative errno. */
static int entry_at(Found *found, int handle, uint32_t number, IndexEntry *ret)
{
        uint32_t n = MIN(found->n_entries - number, CHUNK_ENTRIES);
        uint64_t offset = (uint64_t) number * INDEX_ENTRY_SIZE;
        int r;

        if (number < found->chunk_first || number - found->chunk_first >= found->n_chunk) {
                recovery_progress(found->store);
                found->n_chunk = 0;
                r = segment_read(found->store->disk, handle, found->chunk, (size_t) n * INDEX_ENTRY_SIZE,
                                 offset);
                if (r < 0) {
                        n = 1;
                        r = segment_read(found->store->disk, handle, found->chunk, INDEX_ENTRY_SIZE, offset);
                }
                if (r < 0)
                        return r;
                found->chunk_first = number;
                found->n_chunk = n;
        }
        return index_decode(found->chunk + (size_t) (number - found->chunk_first) * INDEX_ENTRY_SIZE, number,
                            ret) == 0;
}

/* Reads all entries once: where the mark is, and whether the header can be relied on. */
static int find_mark(Found *found, int handle)
{
        IndexEntry entry;
        uint32_t unreadable = UINT32_MAX, whole_until = 0;
        int r;

        for (uint32_t i = 0; i < found->n_entries; i++) {
                r = entry_at(found, handle, i, &entry);
                if (r < 0 && r != -EIO)
                        return r;
                if (r < 0)
                        unreadable = i;
                if (r <= 0)
                        continue;
                if (whole_until == i)
                        whole_until = i + 1;
                if (i == 0 && entry.kind == INDEX_SEGMENT && entry.segment.first == found->first) {
                        if (entry.segment.version > INDEX_FORMAT_VERSION)
                                return -EPROTONOSUPPORT;
                        found->mark_known = true;
                        found->mark = found->header = MIN(entry.segment.rows, UINT32_MAX - 1) + 1;
                        found->mark_last = found->first - 1;
                        found->chained = entry.flags & INDEX_FLAG_CHAINED;
                        found->created_usec = entry.segment.created_usec;
                }
                if (entry.kind == INDEX_COMMIT && entry.commit.segment == found->first &&
                    entry.commit.index_size <= (uint64_t) i * INDEX_ENTRY_SIZE &&
                    entry.commit.last < UINT64_MAX &&
                    (!found->mark_known || entry.commit.index_size / INDEX_ENTRY_SIZE >= found->mark)) {
                        found->mark_known = true;
                        found->mark = (uint32_t) (entry.commit.index_size / INDEX_ENTRY_SIZE);
                        found->mark_text = entry.commit.text_size;
                        found->mark_last = MAX(found->mark_last, entry.commit.last);
                }
        }
        found->header_whole = found->header > 0 && whole_until >= found->header;
        if (unreadable != UINT32_MAX && unreadable >= found->mark)
                return -EIO;
        return 0;
}

static int note_damage(Found *found, uint64_t first, uint64_t last)
{
        StoreReport *report = found->report;
        Store *store = found->store;
        StoreDamage *damages;
        IndexEntry *pending;

        damages = reallocarray(report->damages, report->n_damages + 1, sizeof *damages);
        if (!damages)
                return -ENOMEM;
        report->damages = damages;
        pending = reallocarray(store->pending, store->n_pending + 1, sizeof *pending);
        if (!pending)
                return -ENOMEM;
        store->pending = pending;
        report->damages[report->n_damages++] = (StoreDamage) { first, last, found->first };
        store->pending[store->n_pending++] = (IndexEntry) {
                .kind = INDEX_DAMAGED,
                .damaged = { first, last, found->now_usec, found->first },
        };
        found->damaged = true;
        MARK("store.damage");
        return 0;
}

/* 1: the text of the batch is there and verifies; 0: not; or a negative errno. */
static int verify_text(Found *found, int handle, const IndexEntry *entry)
{
        Batch batch = entry->batch.stored;
        int r;

        if (batch.count == 0)
                return 1;
        if (entry->batch.offset > found->text_size || batch.size > found->text_size - entry->batch.offset)
                return 0;
        r = segment_read(found->store->disk, handle, found->payload, batch.size, entry->batch.offset);
        if (r < 0)
                return r == -EBADMSG ? 0 : r;
        batch.payload = found->payload;
        return batch_payload_intact(&batch);
}

/* An entry before the mark, where what does not verify is damage. */
static int replay_marked(Found *found, const SegmentFiles *files, uint32_t number)
{
        Replay *replay = &found->replay;
        const Batch *stored;
        IndexEntry entry;
        int r;

        r = entry_at(found, files->index, number, &entry);
        if (r < 0 && r != -EIO)
                return r;
        if (r <= 0) {
                found->damaged = true;
                return 0;
        }
        if (entry.kind == INDEX_BATCH && entry.batch.stored.count > 0) {
                stored = &entry.batch.stored;
                if (stored->first <= replay->last) {
                        found->damaged = true;
                        return 0;
                }
                if (stored->first > replay->last + 1) {
                        r = note_damage(found, replay->last + 1, stored->first - 1);
                        if (r < 0)
                                return r;
                }
                r = verify_text(found, files->text, &entry);
                if (r < 0 && r != -EIO)
                        return r;
                if (r <= 0 && (r = note_damage(found, stored->first, stored->last)) < 0)
                        return r;
        }
        r = replay_entry(replay, &entry);
        return MIN(r, 0);
}

/* The first entry that does not follow ends what is accepted. */
static int replay_tail(Found *found, const SegmentFiles *files)
{
        IndexEntry entry;
        int r;

        found->replay.strict = true;
        for (; found->accepted < found->n_entries; found->accepted++) {
                r = entry_at(found, files->index, found->accepted, &entry);
                if (r > 0 && (entry.kind == INDEX_SEGMENT))
                        r = 0;
                if (r > 0 && entry.kind == INDEX_BATCH)
                        r = verify_text(found, files->text, &entry);
                if (r > 0)
                        r = replay_entry(&found->replay, &entry);
                if (r <= 0)
                        return r;
        }
        return 0;
}

/* How far own seqs went, whatever became of the batches: a collector's custody says it as well as a mark. Seqs
 * that are used twice would be taken for repetitions. */
static uint64_t last_named(const Found *found)
{
        uint64_t last = found->mark_last;

        for (size_t i = 0; i < found->store->n_collectors; i++)
                last = MAX(last, found->store->collectors[i]->seq);
        return last;
}

static int replay_last(Found *found, const SegmentFiles *files)
{
        Replay *replay = &found->replay;
        uint64_t last;
        int r;

        for (; found->accepted < found->mark && found->accepted < found->n_entries; found->accepted++) {
                r = replay_marked(found, files, found->accepted);
                if (r < 0)
                        return r;
        }
        if (found->mark > found->n_entries || !found->header_whole || found->mark_text > found->text_size)
                found->damaged = true;
        last = last_named(found);
        if (last > replay->last) {
                r = note_damage(found, replay->last + 1, last);
                if (r < 0)
                        return r;
                replay->last = last;
        }
        replay->text_size = MAX(replay->text_size, found->mark_text);
        return replay_tail(found, files);
}

/* All that can be read of an older segment, for its header and for what it says. */
static int replay_older(Found *older, Store *store, uint64_t first, bool apply)
{
        char name[STORE_NAME_MAX];
        IndexEntry entry;
        int handle, r;

        *older = (Found) { .store = store, .first = first, .replay = { .store = store, .first = first } };
        older->n_entries =
                (uint32_t) MIN(segment_file_size(store->disk, first, ".idx") / INDEX_ENTRY_SIZE, UINT32_MAX);
        segment_name(first, ".idx", name);
        handle = store->disk->open(store->disk, name, O_RDONLY);
        if (handle < 0)
                return handle == -ENOENT ? 0 : handle;
        r = find_mark(older, handle);
        for (uint32_t n = 0; apply && n < older->n_entries && r >= 0; n++) {
                r = entry_at(older, handle, n, &entry);
                if (r > 0)
                        r = replay_entry(&older->replay, &entry);
                else if (r == -EIO)
                        r = 0;
        }
        store->disk->close(store->disk, handle);
        return MIN(r, 0);
}

/* With the last header damaged, what it repeated is taken from the segments before it, as far back as
 * needed. */
static int replay_before(Found *found)
{
        Store *store = found->store;
        size_t begin = store->n_segments - 1;
        Found *older = malloc(sizeof *older);
        int r = 0;

        if (!older)
                return -ENOMEM;
        do {
                if (begin == 0)
                        break;
                r = replay_older(older, store, store->segments[--begin].first, false);
        } while (r == 0 && !older->header_whole);
        for (; r == 0 && begin < store->n_segments - 1; begin++) {
                r = replay_older(older, store, store->segments[begin].first, true);
                if (!stream_id_is_null(&older->replay.stream))
                        found->replay.stream = older->replay.stream;
        }
        free(older);
        return r;
}

/* Writes accepted bytes behind the mark once more (see above); without room for that a sync must do. */
static int write_again(Found *found, int handle, uint64_t from, uint64_t to)
{
        uint64_t size;
        int r;

        for (; from < to; from += size) {
                MARK("store.written-again");
                recovery_progress(found->store);
                size = MIN(to - from, BATCH_PAYLOAD_MAX);
                r = segment_read(found->store->disk, handle, found->payload, size, from);
                if (r == 0)
                        r = segment_write(found->store->disk, handle, found->payload, size, from);
                if (r < 0)
                        return error_is_no_room(r) ? 0 : r;
        }
        return 0;
}

static int make_durable(Found *found, const SegmentFiles *files)
{
        Disk *disk = found->store->disk;
        uint64_t text_end = MIN(found->replay.text_size, found->text_size);
        int r;

        r = write_again(found, files->text, MIN(found->mark_text, text_end), text_end);
        if (r == 0)
                r = write_again(found, files->index,
                                (uint64_t) MIN(found->mark, found->accepted) * INDEX_ENTRY_SIZE,
                                (uint64_t) found->accepted * INDEX_ENTRY_SIZE);
        if (r == 0)
                r = disk->sync(disk, files->text);
        if (r == 0)
                r = disk->sync(disk, files->index);
        return r;
}

static int cut(Found *found, const SegmentFiles *files)
{
        Disk *disk = found->store->disk;
        uint64_t index_end = (uint64_t) found->accepted * INDEX_ENTRY_SIZE;
        int r = 0;

        if (found->text_size > found->replay.text_size) {
                MARK("store.cut");
                found->report->cut_bytes = found->text_size - found->replay.text_size;
                r = disk->truncate(disk, files->text, found->replay.text_size);
        }
        if (r == 0 && found->index_size > index_end)
                r = disk->truncate(disk, files->index, index_end);
        return r;
}

/* Lines of the text, when the index does not say how many records there are. */
static uint64_t count_lines(Found *found, const SegmentFiles *files)
{
        uint64_t n = 0, size;

        for (uint64_t at = 0; at < found->text_size; at += size) {
                recovery_progress(found->store);
                size = MIN(found->text_size - at, BATCH_PAYLOAD_MAX);
                if (segment_read(found->store->disk, files->text, found->payload, size, at) < 0)
                        break;
                for (const uint8_t *p = found->payload;
                     (p = memchr(p, '\n', size - (size_t) (p - found->payload))); p++)
                        n++;
        }
        return n;
}

/* Not even the header: how far own seqs went is not certain, so what follows is another stream. */
static int restart_uncertain(Found *found, const SegmentFiles *files)
{
        Replay *replay = &found->replay;
        Store *store = found->store;
        uint64_t last = MAX(replay->last, MAX(found->first, found->first - 1 + count_lines(found, files)));
        uint64_t released = custody_released_before(store);
        StreamId id;
        int r = 0;

        if (last > replay->last)
                r = note_damage(found, replay->last + 1, last);
        if (r < 0)
                return r;
        store->options.random(&id, sizeof id);
        store->restart = (IndexEntry){
                .kind = INDEX_RESTART,
                .restart = {.stream = id,
                            .old = replay->stream,
                            .last = replay->last,
                            .time_usec = found->now_usec},
        };
        released = MAX(released, custody_until(store, 1));
        custody_forget(store);
        store->restart.restart.released = released;
        replay->last = last;
        replay->stream = id;
        return 0;
}

static int open_files(Found *found, SegmentFiles *files)
{
        Disk *disk = found->store->disk;
        char name[STORE_NAME_MAX];
        int r;

        files->first = found->first;
        segment_name(found->first, ".idx", name);
        files->index = disk->open(disk, name, O_RDWR);
        if (files->index < 0)
                return files->index;
        segment_name(found->first, ".log", name);
        files->text = disk->open(disk, name, O_RDWR);
        if (files->text == -ENOENT) {
                /* The entry in the directory was lost with all that was not synced; if not, its batches are
                 * damaged. */
                files->text = disk->open(disk, name, O_RDWR | O_CREAT);
                found->store->directory_dirty = true;
        }
        if (files->text < 0)
                return files->text;
        r = disk->size(disk, files->text, &found->text_size);
        if (r == 0)
                r = disk->size(disk, files->index, &found->index_size);
        found->n_entries = (uint32_t) MIN(found->index_size / INDEX_ENTRY_SIZE, UINT32_MAX - 1);
        return r;
}

/* The store goes on behind what was accepted: in this segment, or in a new one when this one must not be
 * written. */
static void take_over(Found *found, SegmentFiles *files, bool go_on)
{
        Store *store = found->store;
        Segment *segment = &store->segments[store->n_segments - 1];
        const Replay *replay = &found->replay;

        store->durable = (Point) {
                .segment = found->first,
                .text_size = replay->text_size,
                .entries = found->accepted,
                .last = replay->last,
                .last_usec = replay->last_usec,
                .span = replay->span,
        };
        memcpy(store->durable.chain, replay->chain, SHA256_SIZE);
        store->written = store->flight = store->durable;
        store->stream = replay->stream;
        /* A last entry that says everything before it is durable needs no other to say so. */
        store->mark_due = found->mark + 1 != found->accepted;
        segment->damaged = found->damaged;
        if (!go_on)
                return;
        segment_set_bytes(store, segment, replay->text_size + (uint64_t) found->accepted * INDEX_ENTRY_SIZE);
        store->current = *files;
        *files = SEGMENT_FILES_NULL;
        store->open = true;
        store->chained = found->chained;
        store->created_usec = found->created_usec;
        store->text_allocated = replay->text_size;
        store->index_allocated = (uint64_t) found->accepted * INDEX_ENTRY_SIZE;
}

static int examine(Found *found, SegmentFiles *files)
{
        bool uncertain;
        int r;

        r = open_files(found, files);
        if (r == 0)
                r = find_mark(found, files->index);
        if (r == 0 && !found->header_whole)
                r = replay_before(found);
        if (r < 0)
                return r;
        uncertain = !found->mark_known;
        if (uncertain)
                found->mark = found->n_entries;
        r = replay_last(found, files);
        if (r == 0 && uncertain)
                r = restart_uncertain(found, files);
        if (r == 0 && found->damaged && found->report->n_damages == 0)
                r = note_damage(found, found->replay.last + 1, found->replay.last);
        return r;
}

int recovery_segment(Store *store, uint64_t now_usec, StoreReport *report)
{
        uint64_t first = store->segments[store->n_segments - 1].first;
        SegmentFiles files = SEGMENT_FILES_NULL;
        bool go_on = false;
        Found *found;
        int r = -ENOMEM;

        found = calloc(1, sizeof *found);
        if (!found)
                return -ENOMEM;
        *found = (Found) {
                .store = store,
                .report = report,
                .first = first,
                .now_usec = now_usec,
                .replay = { .store = store, .first = first, .last = first - 1, .span = BATCH_SPAN_NONE },
        };
        found->payload = malloc(BATCH_PAYLOAD_MAX);
        if (found->payload)
                r = examine(found, &files);
        if (r == 0) {
                /* A file that refuses to be cut is not written to again; who reads it stops at its last
                 * batch. */
                go_on = !found->damaged && cut(found, &files) == 0;
                r = make_durable(found, &files);
        }
        if (r == 0) {
                report->clean_end = go_on && found->replay.clean_end && found->accepted == found->n_entries;
                report->last_usec = found->replay.last_usec;
                take_over(found, &files, go_on);
                store->finished = report->clean_end;
        }
        segment_files_close(store, &files);
        free(found->payload);
        free(found);
        return r;
}
