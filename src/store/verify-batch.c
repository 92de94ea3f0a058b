/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whether a store is whole: its batches. Their text is what was stored, and lies where the index says; own seqs and those
 * received of each stream go on where they ended.
 *
 * Bytes put into a text, or taken out of it, move all that is behind. So when a batch is not where it should be, it is
 * looked for as far off as the whole text is too long or too short: then only what is between is damaged.
 */

#include "store/verify-private.h"

#include <search.h>

/* --- Text --- */

/* Behind the last batch that the index has. */
static int expected_end(StoreView *view, uint64_t *ret)
{
        IndexEntry entry;
        int r;

        *ret = 0;
        for (uint32_t n = view->limit; n > 0; n--) {
                r = view_entry_at(view, n - 1, view->limit, &entry);
                if (r < 0)
                        return r;
                if (r > 0 && entry.kind == INDEX_BATCH && entry.batch.stored.count > 0) {
                        *ret = entry.batch.offset + entry.batch.stored.size;
                        return 0;
                }
        }
        return 0;
}

static bool is_gone(StoreView *view)
{
        int handle = view_open_index(view, view->first);

        if (handle >= 0)
                view->disk->close(view->disk, handle);
        return handle == -ENOENT;
}

int verify_open_text(Verify *verify)
{
        StoreView *view = verify->view;
        uint64_t expected;
        int r = segment_text_open(view->disk, view->first, &view->text);

        if (r == -ENOENT && is_gone(view))
                return -ESTALE;
        verify->text_missing = r == -ENOENT || r == -EBADMSG;
        verify->text_size = 0;
        if (r < 0 && !verify->text_missing)
                return r;
        if (r == 0 && view->text.packed >= 0)
                verify->text_size = segment_text_packed_size(&view->text);
        else if (r == 0)
                r = view->disk->size(view->disk, view->text.plain, &verify->text_size);
        if (r < 0 && !verify->text_missing)
                return r;
        r = expected_end(view, &expected);
        verify->difference = verify->text_size - expected;
        return r;
}

/* 1: it is the text that was stored; 0: it is not; or a negative errno. */
static int read_at(Verify *verify, const IndexEntry *entry, uint64_t shift)
{
        StoreView *view = verify->view;
        Batch batch = entry->batch.stored;
        uint64_t offset = entry->batch.offset + shift;
        uint8_t digest[SHA256_SIZE];
        int r;

        if (verify->text_missing || offset > verify->text_size || batch.size > verify->text_size - offset)
                return 0;
        r = segment_text_read(view->disk, &view->text, view->payload, batch.size, offset);
        if (r < 0)
                return r == -EIO || r == -EBADMSG ? 0 : r;
        batch.payload = view->payload;
        if (!batch_payload_intact(&batch))
                return 0;
        if (!verify->chained)
                return 1;
        verify->hash(view->payload, batch.size, digest);
        return memcmp(digest, entry->batch.sha256, SHA256_SIZE) == 0;
}

void verify_flush_text(Verify *verify)
{
        VerifyFinding *torn = &verify->torn;

        if (torn->kind == VERIFY_TEXT && !verify->text_missing && torn->offset + torn->size > verify->text_size) {
                torn->kind = VERIFY_REMOVED;
                torn->size -= verify->text_size - MIN(torn->offset, verify->text_size);
        }
        if (torn->size > 0)
                verify_find(verify, *torn);
        *torn = (VerifyFinding) { 0 };
}

static void tear(Verify *verify, const IndexEntry *entry)
{
        const Batch *stored = &entry->batch.stored;
        VerifyFinding *torn = &verify->torn;

        if (torn->size == 0)
                *torn = (VerifyFinding) {
                        .kind = VERIFY_TEXT,
                        .segment = verify->view->first,
                        .text = true,
                        .packed = verify->view->text.packed >= 0,
                        .offset = entry->batch.offset + verify->shift,
                        .first = stored->first,
                };
        torn->last = stored->last;
        torn->size += stored->size;
}

/* The batch is as far off as the text is too long, or too short. */
static void found_shifted(Verify *verify, const IndexEntry *entry)
{
        uint64_t more = verify->difference - verify->shift;
        bool inserted = more <= verify->text_size;

        if (verify->torn.size == 0)
                verify->torn = (VerifyFinding) {
                        .segment = verify->view->first,
                        .text = true,
                        .packed = verify->view->text.packed >= 0,
                        .offset = entry->batch.offset + verify->shift,
                        .first = entry->batch.stored.first,
                        .last = entry->batch.stored.first - 1,
                };
        verify->torn.kind = inserted ? VERIFY_INSERTED : VERIFY_REMOVED;
        verify->torn.size = inserted ? more : -more;
        verify->shift = verify->difference;
        verify_flush_text(verify);
}

static int check_text(Verify *verify, const IndexEntry *entry)
{
        int r = read_at(verify, entry, verify->shift);

        if (r != 0)
                verify_flush_text(verify);
        if (r == 0 && verify->shift != verify->difference) {
                r = read_at(verify, entry, verify->difference);
                if (r > 0)
                        found_shifted(verify, entry);
        }
        return r;
}

/* --- Streams --- */

static int compare_ids(const void *a, const void *b)
{
        const VerifyStream *x = a, *y = b;

        return memcmp(&x->id, &y->id, sizeof x->id);
}

/* NULL: no memory. */
static VerifyStream *get_stream(Verify *verify, const StreamId *id)
{
        VerifyStream wanted = { .id = *id }, *stream, **found = tfind(&wanted, &verify->streams, compare_ids);

        if (found)
                return *found;
        stream = malloc(sizeof *stream);
        if (!stream)
                return NULL;
        *stream = wanted;
        if (!tsearch(stream, &verify->streams, compare_ids)) {
                free(stream);
                return NULL;
        }
        verify->result.n_streams++;
        return stream;
}

static bool is_known(const Verify *verify, const VerifyStream *stream)
{
        return stream->epoch == verify->epoch;
}

/* Where the stream is now, by what the index says: seqs between are not here, or were here before. */
static void go_on_at(Verify *verify, VerifyStream *stream, uint64_t last, uint32_t number)
{
        VerifyFinding finding = verify_at(verify, VERIFY_STREAM, number);

        finding.stream = stream;
        if (is_known(verify, stream) && last > stream->last) {
                finding.first = stream->last + 1;
                finding.last = last;
                verify_find(verify, finding);
        } else if (is_known(verify, stream) && last < stream->last) {
                finding.kind = VERIFY_REPEATED;
                finding.first = last + 1;
                finding.last = stream->last;
                verify_find(verify, finding);
        }
        stream->last = last;
        stream->epoch = verify->epoch;
}

int verify_row(Verify *verify, const IndexEntry *entry)
{
        VerifyStream *stream = get_stream(verify, &entry->stream.stream);

        if (!stream)
                return -ENOMEM;
        strcpy(stream->owner, entry->stream.owner);
        /* An index without a chain does not say where its end is: batches of a group that failed may be behind. */
        if (!verify->chained && entry->number <= verify->rows && entry->stream.last < stream->last)
                stream->epoch = 0;
        go_on_at(verify, stream, entry->stream.last, entry->number);
        return 1;
}

int verify_stream_end(Verify *verify, const IndexEntry *entry)
{
        VerifyStream *stream = get_stream(verify, &entry->stream_end.stream);

        if (!stream)
                return -ENOMEM;
        /* It may begin again. */
        stream->epoch = 0;
        stream->last = 0;
        return 1;
}

static void count(VerifyStream *stream, const IndexEntry *entry)
{
        uint64_t n = entry->batch.received_last - entry->batch.received_first + 1;

        if (stream->first == 0)
                stream->first = entry->batch.received_first;
        stream->last_usec = entry->batch.received_usec;
        if (entry->batch.received_reason == BATCH_LOST)
                stream->lost += n;
        else if (entry->batch.received_reason == BATCH_CUSTODY)
                stream->elsewhere += n;
        else
                stream->records += entry->batch.stored.count;
        if (entry->batch.received_reason == BATCH_FILTERED)
                stream->filtered += n - MIN(n, (uint64_t) entry->batch.stored.count);
}

static int take_received(Verify *verify, const IndexEntry *entry, VerifyStream **ret)
{
        VerifyStream *stream = NULL;

        *ret = NULL;
        if (stream_id_is_null(&entry->batch.stream))
                return 0;
        stream = get_stream(verify, &entry->batch.stream);
        if (!stream)
                return -ENOMEM;
        go_on_at(verify, stream, entry->batch.received_first - 1, entry->number);
        stream->last = entry->batch.received_last;
        count(stream, entry);
        *ret = stream;
        return 0;
}

/* In the order of owners and ids. */
static int compare_owners(const void *a, const void *b)
{
        const VerifyStream *x = a, *y = b;
        int r = strcmp(x->owner, y->owner);

        return r != 0 ? r : compare_ids(a, b);
}

static void collect(const void *node, VISIT visit, void *userdata)
{
        const VerifyStream *const *stream = node;
        VerifyResult *result = userdata;

        if (visit == preorder || visit == leaf)
                result->streams[result->n_streams++] = **stream;
}

int verify_collect_streams(Verify *verify)
{
        VerifyResult *result = &verify->result;

        result->streams = calloc(MAX(result->n_streams, (size_t) 1), sizeof *result->streams);
        if (!result->streams)
                return -ENOMEM;
        result->n_streams = 0;
        twalk_r(verify->streams, collect, result);
        if (result->n_streams > 0)
                qsort(result->streams, result->n_streams, sizeof *result->streams, compare_owners);
        return 0;
}

void verify_free_streams(Verify *verify)
{
        tdestroy(verify->streams, free);
}

/* --- Batches --- */

/* Own seqs and text go on where the batch before ended. */
static bool check_order(Verify *verify, const IndexEntry *entry)
{
        const Batch *stored = &entry->batch.stored;
        VerifyFinding finding = verify_at(verify, VERIFY_ORDER, entry->number);

        if (stored->first == verify->last + 1 && (stored->count == 0 || entry->batch.offset == verify->text_end))
                return true;
        finding.last = MAX(stored->first - 1, verify->last);
        verify_find(verify, finding);
        return stored->first > verify->last;
}

bool verify_batch_follows(const Verify *verify, const IndexEntry *entry)
{
        const VerifyStream wanted = { .id = entry->batch.stream };
        const VerifyStream *const *stream = tfind(&wanted, &verify->streams, compare_ids);

        if (entry->batch.stored.first != verify->last + 1 ||
            (entry->batch.stored.count > 0 && entry->batch.offset != verify->text_end))
                return false;
        return !stream || !is_known(verify, *stream) || entry->batch.received_first == (*stream)->last + 1;
}

int verify_batch(Verify *verify, const IndexEntry *entry, bool promised)
{
        const Batch *stored = &entry->batch.stored;
        VerifyStream *stream;
        bool whole;
        int r = stored->count > 0 ? check_text(verify, entry) : 1;

        if (r < 0 || (r == 0 && !promised))
                return r;
        whole = r > 0;
        if (!whole)
                tear(verify, entry);
        if (verify->bad > 0 || check_order(verify, entry))
                verify->last = MAX(stored->last, verify->last);
        if (stored->count > 0) {
                verify->text_end = entry->batch.offset + stored->size;
                verify->result.records += stored->count;
        }
        r = take_received(verify, entry, &stream);
        if (r < 0)
                return r;
        if (whole && verify->handler->batch)
                verify->handler->batch(entry, stream, stored->count > 0 ? verify->view->payload : NULL,
                                       verify->userdata);
        return 1;
}
