/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The open segment: a text and an index that are only ever appended to, at explicit offsets.
 *
 * 1. A segment's index is written as new.idx and gets its own name when its header and first group are
 *    synced: an index under its own name always begins with a whole header, and without it there is no
 *    segment.
 * 2. After a write or sync that failed with anything but no room, nothing is written to that file any more.
 * 3. Room is allocated before it is needed, so that no room is found out before anything is half written,
 *    and so that the record that says so still fits.
 */

#include "store/store-internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#define NAME_DIGITS 20U

void segment_name(uint64_t first, const char *suffix, char ret[static STORE_NAME_MAX])
{
        (void) snprintf(ret, STORE_NAME_MAX, "%020" PRIu64 "%s", first, suffix);
}

bool segment_parse_name(const char *name, const char *suffix, uint64_t *ret_first)
{
        uint64_t first = 0;
        unsigned digit;

        for (size_t i = 0; i < NAME_DIGITS; i++) {
                if (name[i] < '0' || name[i] > '9')
                        return false;
                digit = (unsigned) (name[i] - '0');
                if (first > (UINT64_MAX - digit) / 10)
                        return false;
                first = first * 10 + digit;
        }
        if (first == 0 || first == UINT64_MAX || strcmp(name + NAME_DIGITS, suffix) != 0)
                return false;
        *ret_first = first;
        return true;
}

void segment_files_close(Store *store, SegmentFiles *files)
{
        if (files->text >= 0)
                store->disk->close(store->disk, files->text);
        if (files->index >= 0)
                store->disk->close(store->disk, files->index);
        *files = SEGMENT_FILES_NULL;
}

Segment *segment_add(Store *store, uint64_t first)
{
        size_t allocated = MAX(2 * store->allocated_segments, 16U);
        Segment *segments;

        if (store->n_segments == store->allocated_segments) {
                segments = reallocarray(store->segments, allocated, sizeof *segments);
                if (!segments)
                        return NULL;
                store->segments = segments;
                store->allocated_segments = allocated;
        }
        store->segments[store->n_segments] = (Segment) { .first = first };
        return &store->segments[store->n_segments++];
}

void segment_set_bytes(Store *store, Segment *segment, uint64_t bytes)
{
        store->segment_bytes += bytes - segment->bytes;
        segment->bytes = bytes;
}

static void drop_newest(Store *store)
{
        segment_set_bytes(store, &store->segments[store->n_segments - 1], 0);
        store->n_segments--;
}

void segment_drop_oldest(Store *store, size_t n)
{
        if (n == 0)
                return;
        for (size_t i = 0; i < n; i++)
                segment_set_bytes(store, &store->segments[i], 0);
        store->n_segments -= n;
        memmove(store->segments, store->segments + n, store->n_segments * sizeof *store->segments);
}

Segment *segment_find(const Store *store, uint64_t seq)
{
        size_t low = 0, high = store->n_segments, middle;

        while (low < high) {
                middle = (low + high) / 2;
                if (store->segments[middle].first <= seq)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low > 0 ? &store->segments[low - 1] : NULL;
}

uint64_t segment_last(const Store *store, const Segment *segment)
{
        size_t i = (size_t) (segment - store->segments);

        if (i + 1 < store->n_segments)
                return MIN(store->segments[i + 1].first - 1, store->durable.last);
        return store->durable.last;
}

void segment_load(Store *store, Segment *segment)
{
        uint8_t bytes[INDEX_ENTRY_SIZE];
        char name[STORE_NAME_MAX];
        IndexEntry entry;
        int handle;

        if (segment->loaded)
                return;
        segment_name(segment->first, ".idx", name);
        handle = store->disk->open(store->disk, name, O_RDONLY);
        if (handle < 0)
                return;
        if (segment_read(store->disk, handle, bytes, sizeof bytes, 0) == 0 &&
            index_decode(bytes, 0, &entry) == 0 && entry.kind == INDEX_SEGMENT) {
                segment->created_usec = entry.segment.created_usec;
                memcpy(segment->head, entry.segment.head, SHA256_SIZE);
                segment->loaded = true;
        }
        store->disk->close(store->disk, handle);
}

uint64_t segment_file_size(Disk *disk, uint64_t first, const char *suffix)
{
        char name[STORE_NAME_MAX];
        uint64_t size = 0;
        int handle;

        segment_name(first, suffix, name);
        handle = disk->open(disk, name, O_RDONLY);
        if (handle < 0)
                return 0;
        if (disk->size(disk, handle, &size) < 0)
                size = 0;
        disk->close(disk, handle);
        return size;
}

int segment_read(Disk *disk, int handle, void *data, size_t size, uint64_t offset)
{
        unsigned interrupted = 0;
        uint8_t *p = data;
        ssize_t n;

        while (size > 0) {
                n = disk->read(disk, handle, p, size, offset);
                if (n == -EINTR && ++interrupted < STORE_INTERRUPTED_MAX)
                        continue;
                if (n < 0)
                        return (int) n;
                if (n == 0)
                        return -EBADMSG;
                p += n;
                size -= (size_t) n;
                offset += (uint64_t) n;
        }
        return 0;
}

int segment_write(Disk *disk, int handle, const uint8_t *data, size_t size, uint64_t offset)
{
        unsigned interrupted = 0;
        struct iovec part;
        ssize_t n;

        while (size > 0) {
                part = (struct iovec) { .iov_base = (void *) (uintptr_t) data, .iov_len = size };
                n = disk->write(disk, handle, &part, 1, offset);
                if (n == -EINTR && ++interrupted < STORE_INTERRUPTED_MAX)
                        continue;
                if (n < 0)
                        return (int) n;
                if (n == 0)
                        return -EIO;
                data += n;
                size -= (size_t) n;
                offset += (uint64_t) n;
        }
        return 0;
}

/* Creates a file that nobody else has; what an earlier attempt left under the name has nothing durable in
 * it. */
static int create_file(Disk *disk, const char *name)
{
        int handle = disk->open(disk, name, O_RDWR | O_CREAT | O_EXCL), r;

        if (handle != -EEXIST)
                return handle;
        r = disk->unlink(disk, name);
        if (r < 0)
                return r;
        return disk->open(disk, name, O_RDWR | O_CREAT | O_EXCL);
}

static int create_files(Store *store, SegmentFiles *ret)
{
        char name[STORE_NAME_MAX];
        SegmentFiles files = SEGMENT_FILES_NULL;

        files.first = store->written.last + 1;
        segment_name(files.first, ".log", name);
        files.index = create_file(store->disk, STORE_INDEX_NEW);
        if (files.index < 0)
                return files.index;
        files.text = create_file(store->disk, name);
        if (files.text < 0) {
                int r = files.text;

                segment_files_close(store, &files);
                return r;
        }
        *ret = files;
        return 0;
}

static int begin(Store *store, uint64_t now_usec)
{
        Segment *last = store->n_segments > 0 ? &store->segments[store->n_segments - 1] : NULL;
        Point left = store->written;
        SegmentFiles files;
        bool replaces = last && last->first == store->written.last + 1;
        int r;

        assert(store->group.n == 0 && !store->fresh);
        /* The one rotated out before this is still being synced: one at a time. And what is in flight is not yet known to be in
         * the one to be replaced, all of which goes into this. */
        if (store->before.text >= 0 || (replaces && store->in_flight))
                return -EAGAIN;
        if (replaces) {
                custody_forget_files(store, last->first);
                segment_load(store, last);
                r = header_load_replaced(store, last);
                if (r < 0)
                        return r;
        } else if (!segment_add(store, store->written.last + 1)) {
                return -ENOMEM;
        }
        r = create_files(store, &files);
        if (r < 0) {
                if (!replaces)
                        drop_newest(store);
                return r;
        }
        last = &store->segments[store->n_segments - 1];
        /* The entries of the one replaced go with it: the chain goes on from where it began. */
        if (replaces) {
                MARK("store.replaced");
                memcpy(store->written.chain, last->head, SHA256_SIZE);
        }
        segment_set_bytes(store, last, 0);
        *last = (Segment) { .first = files.first, .created_usec = now_usec, .loaded = true };
        memcpy(last->head, store->written.chain, SHA256_SIZE);
        store->before = store->current;
        store->left.written = left;
        store->left.text_allocated = store->text_allocated;
        store->left.index_allocated = store->index_allocated;
        store->left.created_usec = store->created_usec;
        store->left.chained = store->chained;
        store->left.rotate = store->rotate;
        store->current = files;
        store->open = store->fresh = true;
        store->replaces = replaces;
        store->rotate = store->ragged = false;
        store->chained = store->options.hash != NULL;
        store->created_usec = now_usec;
        store->text_allocated = store->index_allocated = 0;
        store->written.segment = files.first;
        store->written.text_size = 0;
        store->written.entries = 0;
        store->written.span = BATCH_SPAN_NONE;
        return 0;
}

/* Takes back a segment of which nothing is durable. If its index got its name already it says no more than
 * was durable before, so it does not matter in which order these become lasting. */
static void discard(Store *store)
{
        char name[STORE_NAME_MAX];

        (void) store->disk->unlink(store->disk, STORE_INDEX_NEW);
        header_forget_replaced(store);
        if (store->replaces)
                return;
        segment_name(store->current.first, ".idx", name);
        (void) store->disk->unlink(store->disk, name);
        segment_name(store->current.first, ".log", name);
        (void) store->disk->unlink(store->disk, name);
        store->directory_dirty = true;
        drop_newest(store);
}

/* Our own readers stop at the next segment's first seq; people's read the text to its end, and what is cut
 * comes again in the next segment. The files stay open until the cut is synced. */
static void cut_files(Store *store, SegmentFiles *files)
{
        uint64_t index_size = (uint64_t) store->durable.entries * INDEX_ENTRY_SIZE;
        Segment *segment = segment_find(store, files->first);

        (void) store->disk->truncate(store->disk, files->text, store->durable.text_size);
        (void) store->disk->truncate(store->disk, files->index, index_size);
        if (segment)
                segment_set_bytes(store, segment, store->durable.text_size + index_size);
        MARK("store.poisoned");
        segment_files_close(store, &store->ended);
        store->ended = *files;
        *files = SEGMENT_FILES_NULL;
}

static void take_back(Store *store)
{
        discard(store);
        segment_files_close(store, &store->current);
        store->current = store->before;
        store->before = SEGMENT_FILES_NULL;
        store->written = store->left.written;
        store->text_allocated = store->left.text_allocated;
        store->index_allocated = store->left.index_allocated;
        store->created_usec = store->left.created_usec;
        store->chained = store->left.chained;
        store->rotate = store->left.rotate;
        store->fresh = false;
}

int segment_begin(Store *store, uint64_t size, bool own, uint64_t now_usec)
{
        int r;

        r = begin(store, now_usec);
        if (r < 0)
                return r;
        r = segment_reserve(store, size, own);
        if (error_is_no_room(r) && store->before.text >= 0 && !store->replaces) {
                MARK("store.taken-back");
                take_back(store);
        }
        return r;
}

void segment_end(Store *store)
{
        if (store->open && store->fresh)
                discard(store);
        else if (store->open)
                cut_files(store, &store->current);
        /* Its last group may have been in flight when the next segment was begun. */
        if (store->before.text >= 0 && store->before.first == store->durable.segment) {
                MARK("store.poisoned-unsynced-rotation");
                cut_files(store, &store->before);
        }
        segment_files_close(store, &store->current);
        segment_files_close(store, &store->before);
        store->open = store->fresh = store->replaces = store->ragged = store->rotate = false;
}

/* Allocates up to `needed`, in chunks while the disk has them. */
static int reserve(Store *store, int handle, uint64_t *allocated, uint64_t needed, uint64_t chunk)
{
        uint64_t target = MAX(needed, *allocated + MIN(chunk, store->options.segment_size_max));
        unsigned interrupted = 0;
        int r;

        if (needed <= *allocated)
                return 0;
        do
                r = store->disk->allocate(store->disk, handle, *allocated, target - *allocated);
        while (r == -EINTR && ++interrupted < STORE_INTERRUPTED_MAX);
        if (error_is_no_room(r) && target > needed) {
                target = needed;
                r = store->disk->allocate(store->disk, handle, *allocated, target - *allocated);
        }
        if (r == -EOPNOTSUPP || r == -ENOSYS) {
                /* Without reserve, then: no room is found out by the write. */
                *allocated = UINT64_MAX;
                return 0;
        }
        if (r < 0)
                return r;
        *allocated = target;
        return 0;
}

int segment_reserve(Store *store, uint64_t size, bool own)
{
        uint64_t text = store->written.text_size + size + (own ? 0 : STORE_RESERVE);
        uint64_t entries = store->written.entries + store->group.n + 1;
        uint64_t chunk = store->options.chunk > 0 ? store->options.chunk : STORE_TEXT_CHUNK;
        int r;

        entries += own ? STORE_INDEX_RESERVE / 2 : STORE_INDEX_RESERVE;
        if (store->fresh)
                entries += store->streams.n + 1 + store->n_collectors + 4 + store->n_replaced;
        r = reserve(store, store->current.text, &store->text_allocated, text, chunk);
        if (r < 0)
                return r;
        return reserve(store, store->current.index, &store->index_allocated, entries * INDEX_ENTRY_SIZE,
                       STORE_INDEX_CHUNK);
}

/* Half a line must not stay for those who follow the text. Truncating gives allocated room back, too. */
static int cut_text(Store *store)
{
        int r = store->disk->truncate(store->disk, store->current.text, store->written.text_size);

        store->ragged = r < 0;
        if (r < 0)
                return r;
        if (store->text_allocated != UINT64_MAX)
                store->text_allocated = MIN(store->text_allocated, store->written.text_size);
        return 0;
}

int segment_write_text(Store *store, const uint8_t *data, size_t size)
{
        int r = 0;

        if (store->ragged)
                r = cut_text(store);
        if (r == 0) {
                r = segment_write(store->disk, store->current.text, data, size, store->written.text_size);
                if (r < 0)
                        (void) cut_text(store);
        }
        if (r < 0 && !error_is_no_room(r)) {
                MARK_IF(store->in_flight, "store.failed-in-flight");
                store->failed = true;
        }
        return r;
}

int segment_write_index(Store *store, const uint8_t *data, size_t size)
{
        uint64_t end = (uint64_t) store->written.entries * INDEX_ENTRY_SIZE;
        int r = segment_write(store->disk, store->current.index, data, size, end);

        if (r == 0)
                return 0;
        if (store->disk->truncate(store->disk, store->current.index, end) < 0 || !error_is_no_room(r))
                store->failed = true;
        else if (store->index_allocated != UINT64_MAX)
                store->index_allocated = MIN(store->index_allocated, end);
        return r;
}
