/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading a store beside its owner, or a copy of one, by its index.
 *
 * 1. A segment is passed over only when the header of the next one says that no record in it can be meant;
 *    that costs one entry. Of the others every entry is read, so that no clock has to be believed: neither
 *    the senders' nor the collector's need ever have gone only forward.
 * 2. A segment ends where the next begins; entries behind that are of a group that failed.
 * 3. The next segment has its name only when this one is all on disk. So once it is seen, this one is read to
 *    its end, and then it is done.
 * 4. Own seqs that no readable entry has are told, whatever is looked for: they might be it.
 * 5. A segment that goes while it is read was deleted by its owner; it might have gone before we came.
 */

#include "store/view-private.h"

#include <fcntl.h>


/* --- The directory --- */

static int found_name(const char *entry, void *userdata)
{
        StoreView *view = userdata;
        size_t allocated = MAX(2 * view->allocated, 64U);
        uint64_t *firsts, first;

        if (strlen(entry) != 24 || !segment_parse_name(entry, ".idx", &first))
                return 0;
        if (view->n == view->allocated) {
                firsts = reallocarray(view->firsts, allocated, sizeof *firsts);
                if (!firsts)
                        return -ENOMEM;
                view->firsts = firsts;
                view->allocated = allocated;
        }
        view->firsts[view->n++] = first;
        return 0;
}

static int compare(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return (x > y) - (x < y);
}

int view_list_segments(StoreView *view)
{
        int r;

        view->n = 0;
        r = view->disk->list(view->disk, ".", found_name, view);
        if (r == 0 && view->n > 0)
                qsort(view->firsts, view->n, sizeof *view->firsts, compare);
        return r;
}

/* Place in the list of the first segment behind `first`. */
static size_t behind(const StoreView *view, uint64_t first)
{
        size_t low = 0, high = view->n, middle;

        while (low < high) {
                middle = (low + high) / 2;
                if (view->firsts[middle] <= first)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/* --- A segment's index --- */

void view_close_segment(StoreView *view)
{
        if (view->index >= 0)
                view->disk->close(view->disk, view->index);
        segment_text_close(view->disk, &view->text);
        view->index = -EBADF;
        view->first = 0;
}

int view_open_index(StoreView *view, uint64_t first)
{
        char name[STORE_NAME_MAX];

        segment_name(first, ".idx", name);
        return view->disk->open(view->disk, name, O_RDONLY);
}

int view_read_index(StoreView *view, uint64_t first, uint8_t *ret_bytes, size_t size)
{
        int handle = view_open_index(view, first), r;

        if (handle < 0)
                return handle == -ENOENT ? 0 : handle;
        r = segment_read(view->disk, handle, ret_bytes, size, 0);
        view->disk->close(view->disk, handle);
        if (r < 0)
                return r == -EIO || r == -EBADMSG ? 0 : r;
        return 1;
}

int view_entry_at(StoreView *view, uint32_t number, uint32_t n_entries, IndexEntry *ret)
{
        uint32_t begin = number - number % VIEW_CHUNK_ENTRIES, n;
        int r;

        if (number < view->chunk_first || number - view->chunk_first >= view->n_chunk) {
                n = MIN(n_entries - begin, VIEW_CHUNK_ENTRIES);
                view->n_chunk = 0;
                r = segment_read(view->disk, view->index, view->chunk, (size_t) n * INDEX_ENTRY_SIZE,
                                 (uint64_t) begin * INDEX_ENTRY_SIZE);
                if (r < 0 && n > 1) {
                        /* One bad block must not hide its neighbours. */
                        begin = number;
                        n = 1;
                        r = segment_read(view->disk, view->index, view->chunk, INDEX_ENTRY_SIZE,
                                         (uint64_t) number * INDEX_ENTRY_SIZE);
                }
                if (r < 0)
                        return r == -EIO || r == -EBADMSG ? 0 : r;
                view->chunk_first = begin;
                view->n_chunk = n;
        }
        return index_decode(view->chunk + (size_t) (number - view->chunk_first) * INDEX_ENTRY_SIZE, number,
                            ret) == 0;
}

/* How far the newest segment is said to be durable: a COMMIT stands behind what it speaks of. */
static int find_mark(StoreView *view, uint32_t n_entries)
{
        IndexEntry entry;
        int r;

        for (uint32_t i = view->mark; i < n_entries; i++) {
                r = view_entry_at(view, i, n_entries, &entry);
                if (r < 0)
                        return r;
                if (r > 0 && i == 0 && entry.kind == INDEX_SEGMENT)
                        view->mark = (uint32_t) MIN(entry.segment.rows + UINT64_C(1), n_entries);
                if (r > 0 && entry.kind == INDEX_COMMIT && entry.commit.segment == view->first) {
                        view->mark = MAX(view->mark, (uint32_t) MIN(entry.commit.index_size / INDEX_ENTRY_SIZE, i));
                        view->mark_last = entry.commit.last;
                }
        }
        return 0;
}

/* How many entries may be looked at: all, when the segment is ended; else those that are durable, and, when
 * the store is taken as it is, those behind that follow whole. */
static int measure(StoreView *view)
{
        uint64_t size;
        uint32_t n, i;
        IndexEntry entry;
        int r;

        r = view->disk->size(view->disk, view->index, &size);
        if (r < 0)
                return r;
        /* STORE_SEGMENT_ENTRIES_MAX and a group: far fewer than can be counted. */
        n = (uint32_t) (size / INDEX_ENTRY_SIZE);
        /* What was at the end may have been half written. */
        view->n_chunk = 0;
        view->limit = n;
        if (view->end > 0)
                return 0;
        r = find_mark(view, n);
        if (r < 0)
                return r;
        /* Without a mark nobody knows what was durable: then all might be. */
        i = view->mark > 0 || view->follow ? view->mark : n;
        for (r = 1; !view->follow && i < n && r > 0; i += r > 0)
                r = view_entry_at(view, i, n, &entry);
        view->limit = i;
        return MIN(r, 0);
}

/* Whether the index says that nothing in the segment before this one is meant. */
bool view_header_excludes(StoreView *view, uint64_t first, uint64_t before)
{
        uint8_t bytes[INDEX_ENTRY_SIZE];
        IndexEntry entry;

        return view_read_index(view, first, bytes, sizeof bytes) > 0 && index_decode(bytes, 0, &entry) == 0 &&
               entry.kind == INDEX_SEGMENT && entry.segment.previous == before &&
               !batch_span_meets(&entry.segment.before, view->since_usec, view->until_usec);
}

int view_open_segment(StoreView *view, uint64_t first, uint64_t end)
{
        int handle = view_open_index(view, first), r;

        if (handle < 0)
                return handle == -ENOENT ? 0 : handle;
        view->index = handle;
        view->first = first;
        view->end = end;
        view->number = view->mark = 0;
        view->mark_last = 0;
        r = measure(view);
        if (r == 0)
                return 1;
        view_close_segment(view);
        return r;
}

/* Opens the next segment in which something may be. 1; 0: there is none; or a negative errno. */
static int advance(StoreView *view)
{
        int r;

        for (size_t i = behind(view, view->done); i < view->n; i++) {
                uint64_t first = view->firsts[i], end = i + 1 < view->n ? view->firsts[i + 1] : 0;

                if (end > 0 && (end < view->from || view_header_excludes(view, end, first))) {
                        view->done = first;
                        continue;
                }
                r = view_open_segment(view, first, end);
                if (r < 0)
                        return r;
                view->done = first;
                if (r == 0)
                        continue;
                if (view->last != first - 1)
                        view->last_checksum = 0;
                view->last = first - 1;
                return 1;
        }
        return 0;
}

/* --- Batches --- */

bool view_is_wanted(const StoreView *view, const IndexEntry *entry)
{
        return entry->batch.stored.last >= view->from &&
               batch_span_meets(&entry->batch.stored.span, view->since_usec, view->until_usec) &&
               (view->node == 0 || entry->batch.stored.span.node == 0 || entry->batch.stored.span.node == view->node);
}

/* Returns whether that is to be told. */
static bool put_damage(StoreView *view, uint64_t last, ViewBatch *ret)
{
        *ret = (ViewBatch) {
                .stored = { .first = view->last + 1, .last = last },
                .store = view->stream,
                .damaged = true,
        };
        view->last = last;
        view->last_checksum = 0;
        return last >= view->from;
}

void view_put_batch(StoreView *view, const IndexEntry *entry, ViewBatch *ret)
{
        view->entry = *entry;
        *ret = (ViewBatch) {
                .stored = entry->batch.stored,
                .store = view->stream,
                .stream = entry->batch.stream,
                .received_first = entry->batch.received_first,
                .received_last = entry->batch.received_last,
                .received_reason = entry->batch.received_reason,
                .received_usec = entry->batch.received_usec,
        };
}

/* Whether this is not the batch that ended where we are to go on. */
static bool is_another(const StoreView *view, const Batch *stored)
{
        return stored->last == view->behind && view->behind_checksum != 0 && stored->checksum != view->behind_checksum;
}

/* An entry of the segment. 1: a batch, or damage, in *ret; 0: nothing in it that is asked for; -ESTALE. */
static int take(StoreView *view, const IndexEntry *entry, ViewBatch *ret)
{
        const Batch *stored = &entry->batch.stored;

        if (entry->kind == INDEX_SEGMENT)
                view->stream = entry->segment.stream;
        else if (entry->kind == INDEX_RESTART)
                view->stream = entry->restart.stream;
        if (entry->kind != INDEX_BATCH || stored->count == 0 || stored->first <= view->last)
                return 0;
        if (view->end > 0 && stored->first >= view->end) {
                view->limit = view->number;
                return 0;
        }
        if (stored->first > view->last + 1) {
                view->number--;
                return put_damage(view, stored->first - 1, ret);
        }
        view->last = stored->last;
        view->last_checksum = stored->checksum;
        if (is_another(view, stored))
                return -ESTALE;
        if (!view_is_wanted(view, entry))
                return 0;
        view_put_batch(view, entry, ret);
        return 1;
}

/* At the end of what may be looked at: the rest of the seqs, if there should be more. */
static bool take_rest(StoreView *view, ViewBatch *ret)
{
        uint64_t last = view->end > 0 ? view->end - 1 : view->mark_last;

        return last > view->last && put_damage(view, last, ret);
}

/* The newest segment was read to its end: has it, or the store, gone on? 1; 0; or a negative errno. */
static int refresh(StoreView *view)
{
        size_t next;
        int r;

        if (!view->follow)
                return 0;
        if (view->last < view->first) {
                /* One without records may have been replaced by another of the same name. */
                view->again = !view->again;
                if (!view->again)
                        return 0;
                view->done = view->first - 1;
                view_close_segment(view);
                r = view_list_segments(view);
                return r < 0 ? r : 1;
        }
        r = measure(view);
        if (r < 0 || view->limit > view->number)
                return r < 0 ? r : 1;
        r = view_list_segments(view);
        next = behind(view, view->first);
        if (r < 0 || next == view->n)
                return r;
        view->end = view->firsts[next];
        r = measure(view);
        return r < 0 ? r : 1;
}

int store_view_next(StoreView *view, ViewBatch *ret)
{
        IndexEntry entry;
        int r;

        for (;;) {
                if (view->first == 0) {
                        r = advance(view);
                        if (r == 0 && view->follow)
                                r = view_list_segments(view);
                        if (r == 0 && view->follow)
                                r = advance(view);
                        if (r <= 0)
                                return r;
                }
                while (view->number < view->limit) {
                        r = view_entry_at(view, view->number, view->limit, &entry);
                        if (r < 0)
                                return r;
                        view->number++;
                        r = r > 0 ? take(view, &entry, ret) : 0;
                        if (r != 0)
                                return r;
                }
                if (take_rest(view, ret))
                        return 1;
                if (view->end > 0) {
                        view_close_segment(view);
                        view->again = false;
                        continue;
                }
                r = refresh(view);
                if (r <= 0)
                        return r;
        }
}

/* The text is missing, or not what it was: did its owner delete the segment, or was it never durable? */
static int judge_missing(StoreView *view)
{
        int handle;

        if (view->end == 0 && view->entry.number >= view->mark)
                return -ENODATA;
        handle = view_open_index(view, view->first);
        if (handle >= 0)
                view->disk->close(view->disk, handle);
        return handle == -ENOENT ? -ENODATA : 0;
}

int store_view_read(StoreView *view, ViewBatch *batch)
{
        const IndexEntry *entry = &view->entry;
        int r = 0;

        if (!segment_text_is_open(&view->text))
                r = segment_text_open(view->disk, view->first, &view->text);
        if (r == 0)
                r = segment_text_read(view->disk, &view->text, view->payload, entry->batch.stored.size,
                                      entry->batch.offset);
        if (r < 0 && r != -ENOENT && r != -EIO && r != -EBADMSG)
                return r;
        batch->stored.payload = view->payload;
        return r == 0 && batch_payload_intact(&batch->stored) ? 1 : judge_missing(view);
}

/* --- Life --- */

void store_view_select(StoreView *view, uint64_t since_usec, uint64_t until_usec, uint64_t node)
{
        view->since_usec = since_usec;
        view->until_usec = until_usec;
        view->node = node;
}

/* Last own seq of the store. */
static int find_newest(StoreView *view, uint64_t *ret)
{
        IndexEntry entry;
        int r;

        *ret = 0;
        if (view->n == 0)
                return 0;
        view->done = view->firsts[view->n - 1] - 1;
        r = advance(view);
        if (r <= 0)
                return r;
        *ret = view->first - 1;
        for (uint32_t i = view->limit; i > 0 && r >= 0; i--) {
                r = view_entry_at(view, i - 1, view->limit, &entry);
                if (r > 0 && entry.kind == INDEX_BATCH) {
                        *ret = entry.batch.stored.last;
                        break;
                }
        }
        return MIN(r, 0);
}

/* Begins again, with what is there now. */
static int begin_again(StoreView *view, bool find, uint64_t *ret_newest)
{
        int r;

        view_close_segment(view);
        view->from = view->behind = view->done = 0;
        r = view_list_segments(view);
        if (r == 0 && find)
                r = find_newest(view, ret_newest);
        view_close_segment(view);
        view->done = 0;
        view->left = view->n;
        return r;
}

int store_view_seek(StoreView *view, uint64_t n)
{
        uint64_t newest = 0;
        int r = begin_again(view, n < UINT64_MAX, &newest);

        view->from = newest >= n ? newest + 1 - n : 0;
        return r < 0 ? r : view->n == 0 || view->from <= view->firsts[0];
}

/* Whether a segment was begun when the store's stream had this id, or had just got another. 1; 0; or a negative
 * errno. */
static int is_of_stream(StoreView *view, uint64_t first, const StreamId *stream)
{
        uint8_t bytes[2 * INDEX_ENTRY_SIZE];
        int r = view_read_index(view, first, bytes, sizeof bytes);
        IndexEntry entry;

        if (r <= 0)
                return r;
        if (index_decode(bytes, 0, &entry) == 0 && entry.kind == INDEX_SEGMENT &&
            stream_id_equal(&entry.segment.stream, stream))
                return 1;
        return index_decode(bytes + INDEX_ENTRY_SIZE, 1, &entry) == 0 && entry.kind == INDEX_RESTART &&
               stream_id_equal(&entry.restart.old, stream);
}

int store_view_seek_behind(StoreView *view, const StreamId *stream, uint64_t seq, uint64_t checksum)
{
        uint64_t newest = 0;
        int r = begin_again(view, true, &newest), known = 0;

        for (size_t i = view->n; r == 0 && known == 0 && i > 0; i--) {
                known = is_of_stream(view, view->firsts[i - 1], stream);
                r = MIN(known, 0);
        }
        if (r < 0)
                return r;
        if (known == 0)
                return -ENOENT;
        if (seq > newest)
                return -ESTALE;
        view->from = seq + 1;
        view->behind = seq;
        view->behind_checksum = checksum;
        return view->firsts[0] <= view->from;
}

void store_view_position(const StoreView *view, StreamId *ret_stream, uint64_t *ret_seq, uint64_t *ret_checksum)
{
        *ret_stream = view->stream;
        *ret_seq = view->last;
        *ret_checksum = view->last_checksum;
}

int store_view_open(Disk *disk, bool follow, StoreView **ret)
{
        StoreView *view = calloc(1, sizeof *view);
        int r;

        if (!view)
                return -ENOMEM;
        *view = (StoreView) {
                .disk = disk,
                .follow = follow,
                .until_usec = UINT64_MAX,
                .index = -EBADF,
                .text = SEGMENT_TEXT_NULL,
        };
        r = view_list_segments(view);
        if (r == 0 && view->n == 0)
                r = -ENODATA;
        if (r < 0) {
                view->disk = NULL;
                (void) store_view_free(view);
                return r;
        }
        view->left = view->n;
        *ret = view;
        return 0;
}

StoreView *store_view_free(StoreView *view)
{
        if (!view)
                return NULL;
        if (view->disk)
                view_close_segment(view);
        free(view->firsts);
        (void) disk_free(view->disk);
        free(view);
        return NULL;
}
