/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whether a store is whole: its segments and their entries, from the oldest to the newest.
 *
 *  1. Each entry is believed as far as its own checksum goes; what follows it is judged by it. So one damage is told
 *     once, where it is, and not again by everything behind.
 *  2. A segment that another one follows ends at the entry that the next one's header names as its head. What is
 *     behind belongs to a group that failed, if there is a disk error to explain it, or to nobody.
 *  3. In the newest segment, what lies behind the last COMMIT was promised to nobody: it may be under way, or torn.
 *  4. Segments go while they are read: the oldest of them, by their owner. The next one is the oldest, then.
 */

#include "store/verify-private.h"

#include <fcntl.h>

/* Entries between two reports of progress. */
#define PROGRESS_ENTRIES 256U

/* What a segment's first entry says. */
typedef struct Head {
        bool whole;
        uint64_t previous;
        uint32_t rows;
        bool chained;
        uint8_t head[SHA256_SIZE];
} Head;

/* --- Findings --- */

void verify_find(Verify *verify, VerifyFinding finding)
{
        verify->result.damages += verify_is_damage(finding.kind);
        verify->handler->finding(&finding, verify->userdata);
}

VerifyFinding verify_at(const Verify *verify, VerifyKind kind, uint32_t number)
{
        return (VerifyFinding) {
                .kind = kind,
                .segment = verify->view->first,
                .offset = (uint64_t) number * INDEX_ENTRY_SIZE,
                .size = INDEX_ENTRY_SIZE,
                .first = verify->last + 1,
                .last = verify->last,
        };
}

/* Entries that are none, and the own seqs that no other entry has. */
static void flush_entries(Verify *verify, uint64_t last)
{
        VerifyFinding finding;

        if (verify->bad == 0)
                return;
        finding = verify_at(verify, VERIFY_ENTRY, verify->bad_first);
        finding.size *= verify->bad;
        finding.last = MAX(last, verify->last);
        verify_find(verify, finding);
        verify->last = finding.last;
        verify->bad = 0;
}

/* --- Entries --- */

static const uint8_t *bytes_of(const StoreView *view, uint32_t number)
{
        return view->chunk + (size_t) (number - view->chunk_first) * INDEX_ENTRY_SIZE;
}

static void check_chain(Verify *verify, const IndexEntry *entry)
{
        if (!verify->chained)
                return;
        if (verify->chain_known) {
                index_chain(bytes_of(verify->view, entry->number), verify->hash, verify->chain);
                if (memcmp(verify->chain, entry->chain, SHA256_SIZE) != 0)
                        verify_find(verify, verify_at(verify, VERIFY_CHAIN, entry->number));
        }
        memcpy(verify->chain, entry->chain, SHA256_SIZE);
        verify->chain_known = true;
}

/* --- Checkpoints --- */

static void note_head(Verify *verify, const uint8_t chain[static SHA256_SIZE])
{
        VerifyHead *head = &verify->heads[verify->n_heads++ % VERIFY_HEADS];

        memcpy(head->chain, chain, SHA256_SIZE);
        head->seq = verify->last;
        if (verify->handler->chained)
                verify->handler->chained(chain, verify->last, verify->userdata);
}

static bool has_head(const Verify *verify, const uint8_t chain[static SHA256_SIZE], uint64_t seq)
{
        for (size_t i = 0; i < MIN(verify->n_heads, VERIFY_HEADS); i++) {
                const VerifyHead *head = &verify->heads[(verify->n_heads - 1 - i) % VERIFY_HEADS];

                if (memcmp(head->chain, chain, SHA256_SIZE) == 0)
                        return head->seq == seq;
        }
        return false;
}

/* What is repeated in a header was looked at where it stood first; what it speaks of may be in a segment that is not here. */
static void take_checkpoint(Verify *verify, const IndexEntry *entry)
{
        VerifyFinding finding = verify_at(verify, VERIFY_CHECKPOINT, entry->number);

        if (entry->number <= verify->rows)
                return;
        if (entry->checkpoint.seq >= verify->oldest && !verify->entries_missing &&
            !has_head(verify, entry->checkpoint.head, entry->checkpoint.seq))
                verify_find(verify, finding);
        else if (verify->handler->checkpoint)
                verify->handler->checkpoint(entry, verify->userdata);
}

/* Behind what was promised, as at a start: what does not follow is a torn end. */
static bool follows(const Verify *verify, const IndexEntry *entry)
{
        uint8_t chain[SHA256_SIZE];

        if (entry->kind == INDEX_BATCH && !verify_batch_follows(verify, entry))
                return false;
        if (!verify->chained || !verify->chain_known)
                return true;
        memcpy(chain, verify->chain, sizeof chain);
        index_chain(bytes_of(verify->view, entry->number), verify->hash, chain);
        return memcmp(chain, entry->chain, sizeof chain) == 0;
}

/* What was deleted is said in more than one header. */
static void take_deleted(Verify *verify, const IndexEntry *entry)
{
        if (verify->oldest_loaded && entry->deleted.last + 1 == verify->oldest &&
            memcmp(entry->deleted.head, verify->oldest_head, SHA256_SIZE) == 0)
                verify->oldest_explained = true;
        if (entry->deleted.last <= verify->deleted)
                return;
        verify->deleted = entry->deleted.last;
        verify_find(verify, (VerifyFinding) {
                                    .kind = VERIFY_DELETED,
                                    .segment = entry->deleted.first,
                                    .size = entry->deleted.bytes,
                                    .first = entry->deleted.first,
                                    .last = entry->deleted.last,
                                    .reason = entry->deleted.reason,
                                    .time_usec = entry->deleted.time_usec,
                            });
}

/* 1; 0: nothing from here on counts; or a negative errno. */
static int take_entry(Verify *verify, const IndexEntry *entry)
{
        const StoreView *view = verify->view;

        bool promised = view->end > 0 || entry->number < view->mark;

        if (!promised && !follows(verify, entry))
                return 0;
        if (entry->kind == INDEX_BATCH && entry->batch.stored.count > 0 && verify->bad > 0) {
                flush_entries(verify, entry->batch.stored.first - 1);
                verify->text_end = entry->batch.offset;
        }
        check_chain(verify, entry);
        switch (entry->kind) {
        case INDEX_SEGMENT:
                verify->result.stream = entry->segment.stream;
                if (stream_id_is_null(&verify->result.first_stream))
                        verify->result.first_stream = entry->segment.stream;
                return 1;
        case INDEX_RESTART:
                verify->result.stream = entry->restart.stream;
                return 1;
        case INDEX_STREAM:
                return verify_row(verify, entry);
        case INDEX_STREAM_END:
                return verify_stream_end(verify, entry);
        case INDEX_BATCH:
                return verify_batch(verify, entry, promised);
        case INDEX_DELETED:
                take_deleted(verify, entry);
                return 1;
        case INDEX_CHECKPOINT:
                take_checkpoint(verify, entry);
                return 1;
        default:
                return 1;
        }
}

static void report_progress(const Verify *verify, uint32_t number)
{
        const StoreView *view = verify->view;
        double part = (double) number / view->limit;

        if (verify->handler->progress && number % PROGRESS_ENTRIES == 0)
                verify->handler->progress((unsigned) (((double) verify->result.segments + part) * 1000 /
                                                      (double) MAX(view->n, verify->result.segments + 1)),
                                          verify->userdata);
}

/* A header is the first entry, of the segment whose name the file has; and nothing else is. */
static bool is_in_place(const StoreView *view, const IndexEntry *entry)
{
        return (entry->kind == INDEX_SEGMENT) == (entry->number == 0) &&
               (entry->kind != INDEX_SEGMENT || entry->segment.first == view->first);
}

/* All entries up to the one that the next segment names as the last. Returns how many count, or a negative errno. */
static int take_entries(Verify *verify, const Head *next, uint32_t *ret_n)
{
        StoreView *view = verify->view;
        bool has_end = next->whole && verify->chained && next->previous == view->first, ended = false;
        IndexEntry entry;
        uint32_t n;
        int r = 1;

        for (n = 0; n < view->limit && !ended; n++) {
                report_progress(verify, n);
                r = view_entry_at(view, n, view->limit, &entry);
                if (r < 0)
                        return r;
                if (r == 0 || !is_in_place(view, &entry)) {
                        if (verify->bad++ == 0)
                                verify->bad_first = n;
                        verify->chain_known = false;
                        verify->entries_missing = true;
                        continue;
                }
                if (!verify->chained && view->end > 0 && entry.kind == INDEX_BATCH &&
                    entry.batch.stored.first >= view->end)
                        break;
                r = take_entry(verify, &entry);
                if (r <= 0)
                        break;
                if (verify->chained)
                        note_head(verify, entry.chain);
                ended = has_end && memcmp(entry.chain, next->head, SHA256_SIZE) == 0;
        }
        if (r < 0)
                return r;
        /* Entries that are none may be the reason. */
        if (has_end && !ended && verify->bad == 0) {
                VerifyFinding finding = verify_at(verify, VERIFY_LINK, 0);

                finding.segment = view->end;
                verify_find(verify, finding);
        }
        *ret_n = n;
        return 0;
}

/* --- Segments --- */

static int read_head(StoreView *view, uint64_t first, Head *ret)
{
        uint8_t bytes[INDEX_ENTRY_SIZE];
        IndexEntry entry;
        int r;

        *ret = (Head) { 0 };
        if (first == 0)
                return 0;
        r = view_read_index(view, first, bytes, sizeof bytes);
        if (r <= 0)
                return r;
        if (index_decode(bytes, 0, &entry) < 0 || entry.kind != INDEX_SEGMENT || entry.segment.first != first)
                return 0;
        if (entry.segment.version > INDEX_FORMAT_VERSION)
                return -EPROTONOSUPPORT;
        ret->whole = true;
        ret->previous = entry.segment.previous;
        ret->rows = entry.segment.rows;
        ret->chained = entry.flags & INDEX_FLAG_CHAINED;
        memcpy(ret->head, entry.segment.head, SHA256_SIZE);
        return 0;
}

static void begin_segment(Verify *verify, const Head *head, const Head *next)
{
        StoreView *view = verify->view;
        uint64_t first = view->first;

        if (!verify->begun) {
                verify->oldest = verify->result.oldest = first;
                memcpy(verify->oldest_head, head->head, SHA256_SIZE);
                verify->oldest_loaded = head->whole;
                verify->oldest_explained = head->whole && head->previous == 0;
        } else if (head->whole && head->previous > verify->before) {
                verify_find(verify, (VerifyFinding) {
                                            .kind = VERIFY_MISSING,
                                            .segment = head->previous,
                                            .first = verify->last + 1,
                                            .last = first - 1,
                                    });
                verify->chain_known = false;
        } else if (head->whole && head->previous < verify->before) {
                verify_find(verify, verify_at(verify, VERIFY_LINK, 0));
        }
        verify->begun = true;
        verify->last = first - 1;
        verify->rows = head->rows;
        /* Of a header that cannot be read, its neighbours say it. */
        if (head->whole || next->whole)
                verify->chained = head->whole ? head->chained : next->chained;
        verify->result.unchained += !verify->chained;
        if (head->whole)
                memcpy(verify->chain, head->head, SHA256_SIZE);
        verify->chain_known = head->whole && verify->chained;
        if (verify->chain_known)
                note_head(verify, head->head);
        verify->text_end = 0;
        verify->shift = 0;
}

static bool has_clean_end(StoreView *view)
{
        IndexEntry entry;

        return view->limit > 0 && view_entry_at(view, view->limit - 1, view->limit, &entry) > 0 &&
               entry.kind == INDEX_COMMIT && (entry.flags & INDEX_FLAG_CLEAN_END);
}

/* Bytes of the two files that are of no batch. */
static int end_files(Verify *verify, uint32_t n)
{
        StoreView *view = verify->view;
        VerifyKind kind = view->end > 0 || has_clean_end(view) ? VERIFY_SURPLUS : VERIFY_UNFINISHED;
        uint64_t size, end = (uint64_t) n * INDEX_ENTRY_SIZE, text_end = verify->text_end + verify->shift;
        VerifyFinding finding = verify_at(verify, kind, n);
        int r;

        r = view->disk->size(view->disk, view->index, &size);
        if (r < 0)
                return r;
        if (size > end) {
                finding.size = size - end;
                verify_find(verify, finding);
        }
        if (!verify->text_missing && verify->text_size > text_end) {
                finding.text = true;
                finding.packed = view->text.packed >= 0;
                finding.offset = text_end;
                finding.size = verify->text_size - text_end;
                verify_find(verify, finding);
        }
        return 0;
}

static void end_segment(Verify *verify, const Head *next)
{
        StoreView *view = verify->view;
        /* What is missing behind it has more to say. */
        bool follows = view->end > 0 && (!next->whole || next->previous == view->first);
        uint64_t last = follows ? view->end - 1 : MAX(view->mark_last, verify->last);
        VerifyFinding finding;

        flush_entries(verify, last);
        verify_flush_text(verify);
        if (last > verify->last) {
                finding = verify_at(verify, VERIFY_ORDER, view->limit);
                finding.size = 0;
                finding.last = last;
                verify_find(verify, finding);
                verify->last = last;
        }
        verify->result.newest = verify->last;
        verify->result.text_bytes += verify->text_end;
        verify->result.packed += view->text.packed >= 0;
        verify->result.segments++;
        verify->before = view->first;
}

/* 1; 0: it has gone; or a negative errno. */
static int verify_segment(Verify *verify, uint64_t first, uint64_t end)
{
        StoreView *view = verify->view;
        Head head, next;
        uint32_t n = 0;
        int r;

        r = view_open_segment(view, first, end);
        if (r <= 0)
                return r;
        r = read_head(view, first, &head);
        if (r == 0)
                r = read_head(view, end, &next);
        if (r == 0)
                begin_segment(verify, &head, &next);
        if (r == 0)
                r = verify_open_text(verify);
        if (r == 0)
                r = take_entries(verify, &next, &n);
        if (r == 0) {
                end_segment(verify, &next);
                r = end_files(verify, n);
        }
        view_close_segment(view);
        return r == -ESTALE ? 0 : r < 0 ? r : 1;
}

/* Seqs were there before the oldest: was it their owner who deleted them? */
static void check_oldest(Verify *verify)
{
        const StoreView *view = verify->view;

        /* Its owner deletes all but the last. */
        if (!verify->begun)
                verify_find(verify, (VerifyFinding) {
                                            .kind = VERIFY_MISSING,
                                            .segment = view->firsts[view->n - 1],
                                            .first = view->firsts[view->n - 1],
                                            .last = view->firsts[view->n - 1] - 1,
                                    });
        if (!verify->begun || verify->oldest_explained || verify->oldest == 1)
                return;
        verify_find(verify, (VerifyFinding) {
                                    .kind = VERIFY_MISSING,
                                    .segment = verify->oldest,
                                    .first = verify->deleted < verify->oldest ? verify->deleted + 1 : 1,
                                    .last = verify->oldest - 1,
                            });
}

static int verify_segments(Verify *verify)
{
        StoreView *view = verify->view;
        int r;

        for (size_t i = 0; i < view->n; i++) {
                uint64_t end = i + 1 < view->n ? view->firsts[i + 1] : 0;

                r = verify_segment(verify, view->firsts[i], end);
                if (r < 0)
                        return r;
                if (r == 0) {
                        verify->begun = false;
                        verify->epoch++;
                }
        }
        check_oldest(verify);
        return verify_collect_streams(verify);
}

void verify_result_done(VerifyResult *result)
{
        free(result->streams);
        *result = (VerifyResult) { 0 };
}

int store_verify(Disk *disk, StoreHash hash, const VerifyHandler *handler, void *userdata, VerifyResult *ret)
{
        Verify verify = { .hash = hash, .handler = handler, .userdata = userdata, .epoch = 1 };
        int r = store_view_open(disk, false, &verify.view);

        if (r < 0)
                return r;
        verify.heads = malloc(VERIFY_HEADS * sizeof *verify.heads);
        r = verify.heads ? verify_segments(&verify) : -ENOMEM;
        free(verify.heads);
        verify_free_streams(&verify);
        /* The disk stays its owner's. */
        verify.view->disk = NULL;
        (void) store_view_free(verify.view);
        if (r < 0)
                verify_result_done(&verify.result);
        else
                *ret = verify.result;
        return r;
}
