/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The store as a source: from a seq to the batch that begins there.
 *
 * 1. Only what is durable is shown.
 * 2. The payload is hashed before it is shown; what does not verify, or has no readable entry, is explained
 *    as lost with the reason store-damaged, exactly those seqs, and everything else goes on.
 * 3. An entry whose seqs lie behind its segment's end (text and index of a failed group) is not looked at.
 *
 * 4. What the job in flight deletes is not looked at: when that has ended it is explained.
 *
 * A reader has its own handles, so writing and rotating do not care where readers stand. Reading
 * in order costs one read of the text a batch, and one of the index every CACHE_ENTRIES batches.
 */

#include "store/store-internal.h"

#include <fcntl.h>

#define CACHE_ENTRIES 32U

void reader_close(Collector *collector)
{
        segment_files_close(collector->store, &collector->files);
        segment_text_close(collector->store->disk, &collector->text);
        collector->sized = false;
        collector->n_cached = 0;
}

/* Bytes that are not there or cannot be read are damage; anything else passes. */
static bool error_is_damage(int error)
{
        return error == -EIO || error == -EBADMSG || error == -EUCLEAN;
}

static bool file_is_missing(int error)
{
        return error == -ENOENT || error == -EUCLEAN;
}

static int open_files(Collector *collector, const Segment *segment)
{
        Disk *disk = collector->store->disk;
        char name[STORE_NAME_MAX];
        SegmentFiles files = { .first = segment->first, .text = -EBADF };
        int r;

        if (collector->files.first == segment->first)
                return 0;
        reader_close(collector);
        segment_name(segment->first, ".idx", name);
        files.index = disk->open(disk, name, O_RDONLY);
        if (files.index < 0 && !file_is_missing(files.index))
                return files.index;
        r = segment_text_open(disk, segment->first, &collector->text);
        if (r < 0 && !file_is_missing(r) && !error_is_damage(r)) {
                segment_files_close(collector->store, &files);
                return r;
        }
        collector->files = files;
        return 0;
}

/* How many entries of the segment may be looked at. */
static int count_entries(Collector *collector)
{
        const Store *store = collector->store;
        uint64_t size;
        int r;

        if (collector->files.index < 0) {
                collector->index_entries = 0;
                return 0;
        }
        if (collector->files.first == store->durable.segment && store->open) {
                collector->index_entries = store->durable.entries;
                return 0;
        }
        if (collector->sized)
                return 0;
        r = store->disk->size(store->disk, collector->files.index, &size);
        if (r < 0)
                return r;
        collector->index_entries = MIN(size / INDEX_ENTRY_SIZE, UINT32_MAX);
        collector->sized = true;
        return 0;
}

static int fill_cache(Collector *collector, uint32_t number)
{
        Disk *disk = collector->store->disk;
        uint32_t n = (uint32_t) MIN(collector->index_entries - number, CACHE_ENTRIES);
        uint64_t offset = (uint64_t) number * INDEX_ENTRY_SIZE;
        int r;

        if (!collector->cache)
                collector->cache = malloc((size_t) CACHE_ENTRIES * INDEX_ENTRY_SIZE);
        if (!collector->cache)
                return -ENOMEM;
        collector->n_cached = 0;
        r = segment_read(disk, collector->files.index, collector->cache, (size_t) n * INDEX_ENTRY_SIZE,
                         offset);
        if (r < 0 && n > 1) {
                /* One bad block must not hide its neighbours. */
                n = 1;
                r = segment_read(disk, collector->files.index, collector->cache, INDEX_ENTRY_SIZE, offset);
        }
        if (r < 0)
                return r;
        collector->cached_first = number;
        collector->n_cached = n;
        return 0;
}

/* 1: a readable entry; 0: none; or a negative errno. */
static int entry_at(Collector *collector, uint32_t number, IndexEntry *ret)
{
        int r;

        if (number < collector->cached_first || number - collector->cached_first >= collector->n_cached) {
                r = fill_cache(collector, number);
                if (r < 0)
                        return error_is_damage(r) ? 0 : r;
        }
        return index_decode(collector->cache +
                                    (size_t) (number - collector->cached_first) * INDEX_ENTRY_SIZE,
                            number, ret) == 0;
}

/* From entry *number on, the first batch that is not before seq. 1: found; 0: none; or a negative errno. */
static int scan(Collector *collector, uint64_t seq, uint32_t *number, IndexEntry *ret)
{
        int r;

        for (; *number < collector->index_entries; (*number)++) {
                r = entry_at(collector, *number, ret);
                if (r < 0)
                        return r;
                if (r > 0 && ret->kind == INDEX_BATCH && ret->batch.stored.count > 0 &&
                    ret->batch.stored.last >= seq)
                        return 1;
        }
        return 0;
}

/* Halves the range in which that batch's entry is, down to what one read of the index covers. */
static int search(Collector *collector, uint64_t seq, uint32_t *ret_number)
{
        uint32_t low = 0, high = (uint32_t) collector->index_entries, middle, probe;
        IndexEntry entry;
        int r;

        while (high - low > CACHE_ENTRIES) {
                middle = low + (high - low) / 2;
                for (probe = middle; probe < high; probe++) {
                        r = entry_at(collector, probe, &entry);
                        if (r < 0)
                                return r;
                        if (r > 0 && entry.kind == INDEX_BATCH)
                                break;
                }
                if (probe < high && entry.batch.stored.last < seq)
                        low = probe + 1;
                else
                        high = middle;
        }
        *ret_number = low;
        return 0;
}

/* The entry of the batch that holds seq, or of the first behind it. 1: found; 0: none in this segment; or
 * negative errno. */
static int find(Collector *collector, const Segment *segment, uint64_t seq, Cursor *cursor, IndexEntry *ret)
{
        uint64_t end = segment_last(collector->store, segment);
        uint32_t number;
        int r;

        r = open_files(collector, segment);
        if (r == 0)
                r = count_entries(collector);
        if (r < 0)
                return r;
        if (cursor && cursor->position[0] == segment->first &&
            cursor->position[1] < collector->index_entries) {
                number = (uint32_t) cursor->position[1];
                r = scan(collector, seq, &number, ret);
                if (r < 0)
                        return r;
                if (r > 0 && ret->batch.stored.first == seq) {
                        cursor->position[1] = (uint64_t) number + 1;
                        return 1;
                }
        }
        r = search(collector, seq, &number);
        if (r == 0)
                r = scan(collector, seq, &number, ret);
        if (r < 0)
                return r;
        if (cursor)
                *cursor = (Cursor) { { segment->first, (uint64_t) number + 1 } };
        return r > 0 && ret->batch.stored.first <= end;
}

/* 1: the payload is read and intact; 0: it is damaged; or a negative errno. */
static int read_payload(Collector *collector, const IndexEntry *entry, Batch *ret)
{
        Disk *disk = collector->store->disk;
        int r;

        if (!segment_text_is_open(&collector->text))
                return 0;
        if (!collector->payload)
                collector->payload = malloc(BATCH_PAYLOAD_MAX);
        if (!collector->payload)
                return -ENOMEM;
        r = segment_text_read(disk, &collector->text, collector->payload, entry->batch.stored.size,
                              entry->batch.offset);
        if (r < 0)
                return error_is_damage(r) ? 0 : r;
        *ret = entry->batch.stored;
        ret->payload = collector->payload;
        return batch_payload_intact(ret);
}

static int source_get(Source *source, uint64_t seq, Cursor *cursor, Batch *ret)
{
        Collector *collector = container_of(source, Collector, source);
        Store *store = collector->store;
        const Batch *stored;
        Segment *segment;
        IndexEntry entry;
        uint64_t end;
        int r;

        if (seq == 0 || seq > store->durable.last)
                return seq == store->durable.last + 1 ? 0 : -ESTALE;
        r = custody_shows(collector, seq);
        if (r == -ENOENT)
                custody_explain(collector, seq, ret);
        if (r <= 0)
                return r == -ENOENT;
        segment = segment_find(store, seq);
        assert(segment);
        if (retention_is_going(store, segment))
                return 0;
        end = segment_last(store, segment);
        r = find(collector, segment, seq, cursor, &entry);
        if (r < 0)
                return r;
        stored = &entry.batch.stored;
        if (r > 0 && stored->first < seq)
                return -ESTALE;
        if (r > 0 && stored->first > seq) {
                end = stored->first - 1;
        } else if (r > 0 && stored->last <= end) {
                end = stored->last;
                r = read_payload(collector, &entry, ret);
                if (r != 0)
                        return r;
        }
        segment->damaged = true;
        store->damaged++;
        custody_explain_damage(seq, end, ret);
        return 1;
}

static int source_ended(Source *source, uint64_t seq, uint64_t *ret_checksum)
{
        Collector *collector = container_of(source, Collector, source);
        const Store *store = collector->store;
        const Segment *segment = segment_find(store, seq);
        IndexEntry entry;
        Batch batch;
        int r;

        if (seq > store->durable.last)
                return -ESTALE;
        if (seq > 0 && seq == collector->seq) {
                *ret_checksum = collector->checksum;
                return 1;
        }
        if (custody_shows(collector, seq) < 0 || retention_is_going(store, segment))
                return 0;
        r = find(collector, segment, seq, NULL, &entry);
        if (r <= 0)
                return r;
        if (entry.batch.stored.first > seq)
                return 0;
        /* A damaged batch was not what the peer was sent. */
        r = read_payload(collector, &entry, &batch);
        if (r <= 0)
                return r;
        if (batch.last != seq)
                return -ESTALE;
        *ret_checksum = batch.checksum;
        return 1;
}

static void source_range(Source *source, SourceRange *ret)
{
        const Collector *collector = container_of(source, Collector, source);

        *ret = (SourceRange) {
                .stream = collector->store->stream,
                .oldest = custody_oldest(collector),
                .newest = collector->store->durable.last,
        };
}

static void source_release(Source *source, uint64_t seq, uint64_t checksum)
{
        Collector *collector = container_of(source, Collector, source);

        if (seq > collector->store->durable.last)
                return;
        /* It says where it stands: no word for what is newer has reached it. */
        if (seq <= collector->seq && collector->from > seq + 1) {
                collector->from = seq + 1;
                collector->unsaved = true;
        }
        if (seq == collector->seq)
                return;
        if (seq < collector->seq)
                custody_set_back(collector, seq);
        collector->seq = seq;
        collector->checksum = checksum;
        collector->unsaved = true;
}

void reader_init(Collector *collector)
{
        collector->source = (Source) {
                .range = source_range, .get = source_get, .ended = source_ended, .release = source_release
        };
}
