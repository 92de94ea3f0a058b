/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* 1. Of one store, batches keep the order of its own seqs; between stores the time of receipt decides.
 * 2. A batch has two names: the seqs of the stream it was received from, and the seqs under which the store
 *    itself sends it on. Who has shown it under one of them does not show it again: so the stores of several
 *    collectors, copies of them, and that of the sender can be read together.
 * 3. A record that stands for lost ones never hides those, should another store have them.
 */

#include "tool/log/merge.h"
#include "tool/log/seen.h"
#include "tool/reason.h"

#include <stdio.h>

typedef struct Input {
        StoreView *view;
        const char *directory;
        ViewBatch head; /* what comes next of this one */
        bool loaded;
} Input;

struct LogMerge {
        Input *inputs;
        size_t n, allocated;
        LogSeen *records, *losses;
        bool reverse;
};

static bool is_loss(const ViewBatch *batch)
{
        return batch->received_reason == BATCH_LOST;
}

static bool is_named(const ViewBatch *batch)
{
        return !stream_id_is_null(&batch->stream) && batch->received_last >= batch->received_first;
}

static bool is_duplicate(const LogMerge *merge, const ViewBatch *batch)
{
        if (log_seen_has(merge->records, &batch->store, batch->stored.first, batch->stored.last))
                return true;
        if (!is_named(batch))
                return false;
        return log_seen_has(merge->records, &batch->stream, batch->received_first, batch->received_last) ||
               (is_loss(batch) &&
                log_seen_has(merge->losses, &batch->stream, batch->received_first, batch->received_last));
}

static int note(LogMerge *merge, const ViewBatch *batch)
{
        int r = log_seen_add(merge->records, &batch->store, batch->stored.first, batch->stored.last);

        if (r == 0 && is_named(batch))
                r = log_seen_add(is_loss(batch) ? merge->losses : merge->records, &batch->stream,
                                 batch->received_first, batch->received_last);
        return r;
}

/* 1: there is a next one; 0: none for now; or a negative errno. */
static int load(LogMerge *merge, Input *input)
{
        int r = 1;

        while (!input->loaded && r > 0) {
                r = merge->reverse ? store_view_previous(input->view, &input->head)
                                   : store_view_next(input->view, &input->head);
                /* Alone it has no duplicates. */
                input->loaded = r > 0 && (merge->n == 1 || input->head.damaged || !is_duplicate(merge, &input->head));
        }
        return r;
}

static bool comes_before(const LogMerge *merge, const Input *a, const Input *b)
{
        if (a->head.damaged != b->head.damaged)
                return a->head.damaged;
        return merge->reverse ? a->head.received_usec > b->head.received_usec
                              : a->head.received_usec < b->head.received_usec;
}

/* NULL with 0: none for now. */
static int choose(LogMerge *merge, Input **ret, const char **ret_directory)
{
        *ret = NULL;
        for (size_t i = 0; i < merge->n; i++) {
                Input *input = &merge->inputs[i];
                int r;

                /* Meanwhile another may have shown what is waiting here. */
                if (input->loaded && !input->head.damaged && merge->n > 1 && is_duplicate(merge, &input->head))
                        input->loaded = false;
                *ret_directory = input->directory;
                r = load(merge, input);
                if (r < 0)
                        return r;
                if (r > 0 && (!*ret || comes_before(merge, input, *ret)))
                        *ret = input;
        }
        return 0;
}

int log_merge_next(LogMerge *merge, ViewBatch *ret, const char **ret_directory)
{
        for (;;) {
                Input *input;
                int r = choose(merge, &input, ret_directory);

                if (r < 0 || !input)
                        return r;
                *ret_directory = input->directory;
                input->loaded = false;
                *ret = input->head;
                if (ret->damaged)
                        return 1;
                r = store_view_read(input->view, ret);
                if (r == -ENODATA)
                        continue;
                if (r < 0)
                        return r;
                if (r > 0)
                        return merge->n > 1 ? note(merge, ret) < 0 ? -ENOMEM : 1 : 1;
                ret->damaged = true;
                return 1;
        }
}

static int reset_seen(LogMerge *merge)
{
        int r;

        merge->records = log_seen_free(merge->records);
        merge->losses = log_seen_free(merge->losses);
        r = log_seen_new(&merge->records);
        return r < 0 ? r : log_seen_new(&merge->losses);
}

int log_merge_seek(LogMerge *merge, uint64_t n)
{
        int r = reset_seen(merge), all = 1;

        for (size_t i = 0; i < merge->n && r >= 0; i++) {
                merge->inputs[i].loaded = false;
                r = store_view_seek(merge->inputs[i].view, n);
                all = MIN(all, r);
        }
        return r < 0 ? r : all;
}

void log_merge_reverse(LogMerge *merge)
{
        merge->reverse = true;
}

/* The place of a store: the one that stands where it does, or any other; of copies of one store each has its own. 1; 0:
 * records behind it are gone; -ENOENT: none is of this store; -ESTALE: those that are, are of another history. */
static int resume_input(Input *input, const LogCursor *cursor, size_t own)
{
        int r = -ENOENT, last;

        for (size_t i = 0; i < cursor->n; i++) {
                const AuditRelayCursor *place = &cursor->places[(own + i) % cursor->n];
                StreamId stream;

                memcpy(stream.bytes, place->stream, sizeof stream.bytes);
                last = store_view_seek_behind(input->view, &stream, place->seq, place->checksum);
                if (last != -ENOENT)
                        r = last;
                if (r != -ENOENT && r != -ESTALE)
                        break;
        }
        return r;
}

int log_merge_resume(LogMerge *merge, const LogCursor *cursor)
{
        size_t known = 0;

        for (size_t i = 0; i < merge->n; i++) {
                Input *input = &merge->inputs[i];
                int r = resume_input(input, cursor, i);

                if (r == -ENOENT) {
                        r = store_view_seek(input->view, UINT64_MAX);
                } else {
                        known++;
                        if (r == 0)
                                fprintf(stderr, "%s: records behind the cursor are not there any more, look for them on another collector or in a backup\n", input->directory);
                }
                if (r < 0) {
                        fprintf(stderr, "Cannot read %s: %s\n", input->directory, log_merge_reason(r));
                        return r;
                }
        }
        if (known > 0 || cursor->n == 0)
                return 0;
        fprintf(stderr, "The cursor is of none of these stores: name its store by --store=, or begin anew without it\n");
        return -ENOENT;
}

void log_merge_position(const LogMerge *merge, LogCursor *ret)
{
        ret->n = 0;
        for (size_t i = 0; i < merge->n; i++) {
                AuditRelayCursor place = { 0 };
                StreamId stream;

                store_view_position(merge->inputs[i].view, &stream, &place.seq, &place.checksum);
                memcpy(place.stream, stream.bytes, sizeof place.stream);
                if (place.seq > 0)
                        ret->places[ret->n++] = place;
        }
}

const char *log_merge_reason(int error)
{
        return error == -ESTALE ? "its records are not those that the cursor knows: it was set back; begin anew without the cursor"
                                : tool_reason(error);
}

void log_merge_select(LogMerge *merge, const LogQuery *query)
{
        /* The index knows one node of a batch: of several it cannot say which of them. */
        const char *node = query->nodes && query->nodes[0] && !query->nodes[1] ? query->nodes[0] : NULL;

        for (size_t i = 0; i < merge->n; i++)
                store_view_select(merge->inputs[i].view, query->since_usec, query->until_usec,
                                  node ? checksum64(node, strlen(node)) : 0);
}

static int make_room(LogMerge *merge)
{
        size_t allocated = MAX(2 * merge->allocated, (size_t) 16);
        Input *inputs;

        if (merge->n == LOG_STORES_MAX)
                return -E2BIG;
        if (merge->n < merge->allocated)
                return 0;
        inputs = reallocarray(merge->inputs, allocated, sizeof *inputs);
        if (!inputs)
                return -ENOMEM;
        memset(inputs + merge->n, 0, (allocated - merge->n) * sizeof *inputs);
        merge->inputs = inputs;
        merge->allocated = allocated;
        return 0;
}

int log_merge_add(LogMerge *merge, const char *directory, bool follow)
{
        _cleanup_(disk_freep) Disk *disk = NULL;
        int r;

        r = make_room(merge);
        if (r >= 0)
                r = disk_open(directory, &disk);
        if (r >= 0)
                r = store_view_open(disk, follow, &merge->inputs[merge->n].view);
        if (r < 0)
                return r;
        disk = NULL;
        merge->inputs[merge->n++].directory = directory;
        return 0;
}

int log_merge_new(LogMerge **ret)
{
        LogMerge *merge = calloc(1, sizeof *merge);
        int r;

        if (!merge)
                return -ENOMEM;
        r = reset_seen(merge);
        if (r < 0)
                return log_merge_free(merge), r;
        *ret = merge;
        return 0;
}

LogMerge *log_merge_free(LogMerge *merge)
{
        if (!merge)
                return NULL;
        for (size_t i = 0; i < merge->n; i++)
                store_view_free(merge->inputs[i].view);
        free(merge->inputs);
        log_seen_free(merge->records);
        log_seen_free(merge->losses);
        free(merge);
        return NULL;
}
