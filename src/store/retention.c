/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which segments go: whole ones, the oldest first, never the last (it holds the table of streams).
 *
 * 1. What no collector has in custody goes only with delete_unacked. It is counted, and its collectors are told
 *    that it is lost, and why (custody.c).
 * 2. The custody of what goes, and an entry that says that it goes, are durable before the first unlink. The job that makes
 *    them so goes on to unlink: throwing a file's pages away takes the time of many batches. Until it has ended nobody reads what goes.
 * 3. A segment in which damage was found is kept under another name: it is evidence of its own.
 */

#include "store/store-internal.h"

#include <fcntl.h>

/* --- Of several stores --- */

/* Brings the pool up to date. */
static void count(Store *store)
{
        uint64_t held = store->segment_bytes + store->group.bytes;

        if (!store->pool)
                return;
        store->pool->used += held - store->pooled;
        store->pooled = held;
}

static void go(Store *store, uint64_t bytes)
{
        if (store->pool) {
                store->pool->going += bytes;
                store->going += bytes;
        }
}

static bool over_pool(const Store *store)
{
        const StorePool *pool = store->pool;

        return pool && pool->max > 0 && pool->used + pool->wanted > pool->max + pool->going;
}

void retention_choose_none(Store *store)
{
        store->n_victims = 0;
        if (store->pool)
                store->pool->going -= store->going;
        store->going = 0;
}

void retention_leave_pool(Store *store)
{
        retention_choose_none(store);
        if (store->pool)
                store->pool->used -= store->pooled;
        store->pool = NULL;
}

void store_join(Store *store, StorePool *pool)
{
        store->pool = pool;
        count(store);
}

/* --- Of one --- */

static bool deletes_for_use(const Store *store)
{
        return store->options.use_max > 0 && !store->options.use_blocks;
}

static bool is_acked(const Store *store, size_t i)
{
        return custody_until(store, store->segments[i].first) >= store->segments[i + 1].first - 1;
}

static bool may_go(const Store *store, size_t i)
{
        return i + 1 < store->n_segments && (store->options.delete_unacked || is_acked(store, i));
}

/* When the next segment was begun, this one's last batch was there. */
static bool is_old(Store *store, size_t i, uint64_t age_usec, uint64_t now_usec)
{
        Segment *next = &store->segments[i + 1];

        segment_load(store, next);
        return next->loaded && now_usec > next->created_usec && now_usec - next->created_usec >= age_usec;
}

/* Acked, and not to be kept as a log of our own, or not any more. */
static bool is_done_with(Store *store, size_t i, uint64_t now_usec)
{
        const StoreOptions *options = &store->options;

        return options->delete_acked && is_acked(store, i) &&
               (options->acked_usec == 0 || is_old(store, i, options->acked_usec, now_usec));
}

static bool is_expired(Store *store, size_t i, uint64_t now_usec)
{
        uint64_t age = store->options.retention_usec;

        return age > 0 && is_old(store, i, age, now_usec);
}

/* Free bytes; what of them may not be used, 0: no limit. Without an answer there is room: the write will tell. */
static uint64_t free_bytes(Store *store, uint64_t *ret_keep)
{
        DiskAmount keep = store->options.keep_free;
        DiskSpace space;

        *ret_keep = 0;
        if (keep.n == 0 || store->disk->space(store->disk, &space) < 0)
                return UINT64_MAX;
        *ret_keep = disk_amount_of(keep, space.bytes_total);
        /* What others are about to delete is as good as free. */
        return space.bytes_free + (store->pool ? store->pool->going : 0);
}

/* Room that somebody makes by moving the oldest segments away counts at once, and not only after the next start. */
static void notice_gone(Store *store)
{
        char name[STORE_NAME_MAX];
        int handle;

        while (store->refused && !store->packing && store->n_segments > 1) {
                segment_name(store->segments[0].first, ".idx", name);
                handle = store->disk->open(store->disk, name, O_RDONLY);
                if (handle >= 0)
                        store->disk->close(store->disk, handle);
                if (handle != -ENOENT)
                        break;
                custody_forget_files(store, store->segments[0].first);
                segment_drop_oldest(store, 1);
                store->links_due = true;
        }
}

void retention_choose(Store *store, uint64_t now_usec)
{
        const StoreOptions *options = &store->options;
        uint64_t held, keep, left;
        IndexDeleted reason;

        retention_choose_none(store);
        notice_gone(store);
        count(store);
        held = store->segment_bytes;
        left = free_bytes(store, &keep);
        for (size_t i = 0; i < STORE_VICTIMS_MAX && may_go(store, i); i++) {
                if (is_done_with(store, i, now_usec))
                        reason = INDEX_DELETED_ACKED;
                else if (is_expired(store, i, now_usec))
                        reason = INDEX_DELETED_AGE;
                else if (deletes_for_use(store) && held > options->use_max)
                        reason = INDEX_DELETED_SIZE;
                else if (over_pool(store))
                        reason = INDEX_DELETED_SIZE;
                else if (left < keep)
                        reason = INDEX_DELETED_SPACE;
                else
                        break;
                store->victim_reason[store->n_victims++] = (uint8_t) reason;
                held -= store->segments[i].bytes;
                go(store, store->segments[i].bytes);
                if (left != UINT64_MAX)
                        left += store->segments[i].bytes;
        }
        store->space_short = left < keep;
        if (store->n_victims > 0 && store->pool && !over_pool(store))
                store->pool->wanted = 0;
}

bool retention_due(const Store *store)
{
        if (!may_go(store, 0))
                return false;
        if (store->options.delete_acked && store->options.acked_usec == 0 && is_acked(store, 0))
                return true;
        return over_pool(store) || (deletes_for_use(store) && store->segment_bytes > store->options.use_max);
}

/* Who has nothing to delete asks the others. */
static bool pool_admits(Store *store, uint64_t size)
{
        StorePool *pool = store->pool;

        if (!pool || pool->max == 0)
                return true;
        count(store);
        if (may_go(store, 0) || pool->used + size <= pool->max + pool->going)
                return true;
        pool->wanted = MAX(pool->wanted, size);
        return false;
}

/* The oldest may go. If it is the only one it may once the next is begun, as it is for what comes: without that a batch that is
 * large beside the bound would never find room. */
static bool makes_room(const Store *store)
{
        if (store->n_segments != 1)
                return may_go(store, 0);
        return store->options.delete_unacked || custody_until(store, store->segments[0].first) >= store->written.last;
}

int retention_admit(Store *store, uint64_t size)
{
        const StoreOptions *options = &store->options;
        uint64_t keep;

        store->refused = true;
        store->use_reached = options->use_max > 0 && !(deletes_for_use(store) && makes_room(store)) &&
                             store->segment_bytes + store->group.bytes + size > options->use_max;
        if (store->use_reached)
                return -ENOSPC;
        if (!pool_admits(store, size))
                return -ENOSPC;
        if (store->space_short && free_bytes(store, &keep) < keep && !may_go(store, 0))
                return -ENOSPC;
        store->space_short = store->refused = false;
        return 0;
}

/* Whether there is a collector; those that are only remembered may never come again. */
static bool is_awaited(const Store *store)
{
        for (size_t i = 0; i < store->n_collectors; i++)
                if (store->collectors[i]->users > 0)
                        return true;
        return false;
}

uint64_t retention_awaited(const Store *store)
{
        uint64_t bytes = 0;

        /* Where nobody waits, what may not go is what is awaited. */
        if (!is_awaited(store))
                return store->options.delete_unacked && !store->options.use_blocks ? 0 : store->segment_bytes;
        for (size_t i = 0; i < store->n_segments; i++)
                if (i + 1 < store->n_segments ? !is_acked(store, i)
                                              : custody_until(store, store->segments[i].first) < store->durable.last)
                        bytes += store->segments[i].bytes;
        return bytes;
}

void retention_entry(Store *store, size_t i, uint64_t now_usec, IndexEntry *ret)
{
        Segment *segment = &store->segments[i], *next = segment + 1;

        segment_load(store, next);
        *ret = (IndexEntry) {
                .kind = INDEX_DELETED,
                .deleted = {
                        .first = segment->first,
                        .last = next->first - 1,
                        .time_usec = now_usec,
                        .bytes = segment->bytes,
                        .reason = store->victim_reason[i],
                },
        };
        memcpy(ret->deleted.head, next->head, SHA256_SIZE);
}

void retention_remove_files(Disk *disk, const StoreGone *gone)
{
        static const char *const suffixes[] = { ".idx", ".log", STORE_PACKED };
        char name[STORE_NAME_MAX], aside[STORE_NAME_MAX + sizeof ".damaged"];

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                segment_name(gone->first, suffixes[i], name);
                if (gone->damaged) {
                        strcpy(aside, name);
                        strcat(aside, ".damaged");
                        (void) disk->rename(disk, name, aside);
                } else {
                        /* What cannot be removed now is removed by the next start, which finds the entry. */
                        (void) disk->unlink(disk, name);
                }
        }
}

bool retention_is_going(const Store *store, const Segment *segment)
{
        return store->in_flight && (size_t) (segment - store->segments) < store->n_victims;
}

static void count_dropped(Store *store, size_t i)
{
        if (!is_awaited(store) || is_acked(store, i))
                return;
        MARK("store.dropped");
        store->dropped += store->segments[i + 1].first - 1 - custody_until(store, store->segments[i].first);
}

void retention_delete(Store *store)
{
        size_t n = store->n_victims;

        for (size_t i = 0; i < n; i++) {
                count_dropped(store, i);
                custody_forget_files(store, store->segments[i].first);
        }
        segment_drop_oldest(store, n);
        store->directory_dirty = true;
        retention_choose_none(store);
        count(store);
        store->links_due = store->links_due || n > 0;
}
