/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading a store back from its end. The same as onwards (view.c), by the same index, the other way round.
 *
 * 1. What is behind the end of a segment, and which id the store's stream had there, is found by going over its
 *    index onwards first: that is cheap beside the text.
 * 2. Own seqs that no readable entry has are told where they would stand.
 */

#include "store/view-private.h"

/* How far the segment that was opened goes. */
static int find_end(StoreView *view)
{
        uint64_t last = MAX(view->first - 1, view->mark_last);
        IndexEntry entry;
        int r;

        for (uint32_t i = 0; i < view->limit; i++) {
                r = view_entry_at(view, i, view->limit, &entry);
                if (r < 0)
                        return r;
                if (r > 0 && entry.kind == INDEX_SEGMENT)
                        view->stream = entry.segment.stream;
                if (r > 0 && entry.kind == INDEX_RESTART)
                        view->stream = entry.restart.stream;
                if (r == 0 || entry.kind != INDEX_BATCH || entry.batch.stored.count == 0)
                        continue;
                /* Of a group that failed, and so is all behind it. */
                if (view->end > 0 && entry.batch.stored.first >= view->end)
                        view->limit = i;
                else
                        last = MAX(last, entry.batch.stored.last);
        }
        view->number = view->limit;
        view->next = view->end > 0 ? view->end : last + 1;
        return 0;
}

/* Opens the segment before, of those in which something may be. 1; 0: there is none; or a negative errno. */
static int step_back(StoreView *view)
{
        int r = 0;

        while (r == 0 && view->left > 0) {
                size_t i = --view->left;
                uint64_t first = view->firsts[i], end = i + 1 < view->n ? view->firsts[i + 1] : 0;

                if (end == 0 || !view_header_excludes(view, end, first))
                        r = view_open_segment(view, first, end);
        }
        if (r <= 0)
                return r;
        r = find_end(view);
        if (r == 0)
                return 1;
        view_close_segment(view);
        return r;
}

static int put_damage(StoreView *view, uint64_t first, ViewBatch *ret)
{
        *ret = (ViewBatch) {
                .stored = { .first = first, .last = view->next - 1 },
                .store = view->stream,
                .damaged = true,
        };
        view->next = first;
        return 1;
}

/* An entry of the segment. 1: a batch, or damage, in *ret; 0: nothing in it that is asked for. */
static int take(StoreView *view, const IndexEntry *entry, ViewBatch *ret)
{
        const Batch *stored = &entry->batch.stored;

        if (entry->kind == INDEX_RESTART)
                view->stream = entry->restart.old;
        if (entry->kind != INDEX_BATCH || stored->count == 0 || stored->first < view->first ||
            stored->last >= view->next)
                return 0;
        if (stored->last + 1 < view->next) {
                view->number++;
                return put_damage(view, stored->last + 1, ret);
        }
        view->next = stored->first;
        if (!view_is_wanted(view, entry))
                return 0;
        view_put_batch(view, entry, ret);
        return 1;
}

int store_view_previous(StoreView *view, ViewBatch *ret)
{
        IndexEntry entry;
        int r;

        for (;;) {
                if (view->first == 0) {
                        r = step_back(view);
                        if (r <= 0)
                                return r;
                }
                while (view->number > 0) {
                        r = view_entry_at(view, --view->number, view->limit, &entry);
                        if (r > 0)
                                r = take(view, &entry, ret);
                        if (r != 0)
                                return r;
                }
                if (view->next > view->first)
                        return put_damage(view, view->first, ret);
                view_close_segment(view);
        }
}
