/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bounds that block, and one that several stores share. */

#include "store-case.h"

static SimDisk *other_disk;
static Store *other;
static StorePool pool;

static StoreStatus status(void)
{
        StoreStatus s;

        store_status(store, &s);
        return s;
}

/* One batch after another, each committed, until one is refused. Returns how many were taken. */
static unsigned fill_up(uint64_t first, unsigned most)
{
        unsigned n = 0;

        while (n < most && append(1, first + n, first + n) == 0) {
                commit_all();
                n++;
        }
        return n;
}

static void remove_oldest(void)
{
        Disk *disk = sim_disk_attach(sim);
        char name[32];

        (void) snprintf(name, sizeof name, "%020llu.idx", (unsigned long long) status().oldest);
        ck_assert_int_eq(disk->unlink(disk, name), 0);
        strcpy(name + 20, ".log");
        ck_assert_int_eq(disk->unlink(disk, name), 0);
        (void) disk_free(disk);
}

static void open_bounded(uint64_t use_max, bool blocks)
{
        options.segment_size_max = 200;
        options.use_max = use_max;
        options.use_blocks = blocks;
        options.chunk = 1024;
        options.delete_unacked = true;
        reopen();
}

START_TEST(a_quota_blocks_though_other_bounds_delete)
{
        unsigned n;

        open_bounded(16 * 1024, true);
        n = fill_up(1, 200);
        ck_assert_uint_lt(n, 200);
        ck_assert_uint_eq(status().oldest, 1);
        ck_assert(status().use_reached);
        ck_assert_uint_eq(status().bytes_awaited, status().bytes);
        ck_assert_int_eq(append(1, n + 1, n + 1), -ENOSPC);
        /* By age they go, and then there is room. */
        options.retention_usec = 60 * USEC_PER_SEC;
        reopen();
        now += 120 * USEC_PER_SEC;
        store_probe(store);
        commit_all();
        ck_assert_uint_gt(status().oldest, 1);
        ck_assert_int_eq(append(1, n + 1, n + 1), 0);
        ck_assert(!status().use_reached);
        commit_all();
}
END_TEST

START_TEST(what_is_moved_away_makes_room_at_once)
{
        unsigned n;

        open_bounded(16 * 1024, true);
        n = fill_up(1, 200);
        /* Nothing was: nothing changes. */
        store_probe(store);
        commit();
        ck_assert_uint_eq(status().oldest, 1);
        ck_assert_int_eq(append(1, n + 1, n + 1), -ENOSPC);
        remove_oldest();
        store_probe(store);
        commit();
        ck_assert_uint_gt(status().oldest, 1);
        ck_assert_int_eq(append(1, n + 1, n + 1), 0);
        commit_all();
        /* And while nothing is refused nobody looks. */
        remove_oldest();
        store_probe(store);
        commit();
        ck_assert_uint_gt(status().oldest, 1);
}
END_TEST

/* --- Several stores --- */

static void setup_pool(void)
{
        setup();
        pool = (StorePool) { .max = 32 * 1024 };
        other_disk = sim_disk_new(2);
        other = NULL;
}

static void teardown_pool(void)
{
        other = store_free(other);
        teardown();
        other_disk = sim_disk_free(other_disk);
        ck_assert_uint_eq(pool.used, 0);
        ck_assert_uint_eq(pool.going, 0);
}

static void swap(void)
{
        Store *s = store;
        SimDisk *d = sim;

        store = other;
        sim = other_disk;
        other = s;
        other_disk = d;
}

/* Both in the pool; `store` is the first. */
static void open_both(bool deletes)
{
        options.segment_size_max = 200;
        options.delete_unacked = deletes;
        reopen();
        store_join(store, &pool);
        swap();
        open_store();
        store_join(store, &pool);
        swap();
}

START_TEST(without_deleting_it_is_full_for_all)
{
        unsigned n;

        open_both(false);
        swap();
        ck_assert_uint_eq(fill_up(1, 5), 5);
        swap();
        n = fill_up(1, 500);
        ck_assert_uint_lt(n, 500);
        ck_assert(!status().use_reached);
        /* What an index takes for the last batch is not foreseen. */
        ck_assert_uint_le(pool.used, pool.max + 2048);
        swap();
        (void) fill_up(6, 500);
        ck_assert_uint_le(pool.used, pool.max + 2048);
        swap();
        ck_assert_uint_eq(status().oldest, 1);
        /* What one gives back is the other's. */
        n = fill_up(n + 1, 500);
        ck_assert_uint_eq(n, 0);
        other = store_free(other);
        ck_assert_uint_gt(fill_up(position(1) + 1, 500), 0);
}
END_TEST

START_TEST(who_delivers_makes_the_room)
{
        open_both(true);
        swap();
        ck_assert_uint_eq(fill_up(1, 5), 5);
        swap();
        ck_assert_uint_eq(fill_up(1, 200), 200);
        ck_assert_uint_gt(status().oldest, 1);
        ck_assert_uint_le(pool.used, pool.max);
        swap();
        ck_assert_uint_eq(status().oldest, 1);
        swap();
}
END_TEST

/* Segments are as small as the share needs them, however large they may be: there is always something to choose from. If they
 * are to be smaller still, they are. */
START_TEST(a_share_has_several_segments)
{
        uint64_t first, segments;

        pool.max = 2 * 1024 * 1024;
        pool.n = 4;
        options.segment_size_max = 1024 * 1024 * 1024;
        options.delete_unacked = true;
        reopen();
        store_join(store, &pool);
        for (first = 1; status().bytes < pool.max / pool.n; first += 50) {
                ck_assert_int_eq(append(1, first, first + 49), 0);
                commit_all();
        }
        ck_assert_uint_ge(status().segments, 4);
        ck_assert_uint_le(status().segments, 9);

        options.segment_size_max = 400;
        options.delete_unacked = false;
        pool.max *= 2;
        reopen();
        store_join(store, &pool);
        segments = status().segments;
        fill(first, 40);
        ck_assert_uint_ge(status().segments, segments + 4);
        pool.n = 0;
}
END_TEST

START_TEST(who_has_nothing_to_delete_has_others_do_it)
{
        uint64_t last;

        open_both(true);
        ck_assert_uint_eq(fill_up(1, 200), 200);
        last = pool.used;
        pool.max = last;
        swap();
        ck_assert_int_eq(append(1, 1, 1), -ENOSPC);
        ck_assert_uint_gt(pool.wanted, 0);
        swap();
        ck_assert(store_dirty(store));
        commit_all();
        ck_assert_uint_eq(pool.wanted, 0);
        ck_assert_uint_lt(pool.used, last);
        swap();
        ck_assert_int_eq(append(1, 1, 1), 0);
        commit_all();
        swap();
}
END_TEST

/* Two that are short of free space at the same time do not both delete what one has to. */
START_TEST(what_one_deletes_the_other_need_not)
{
        uint64_t held;
        StoreJob job;

        open_both(true);
        pool.max *= 16;
        ck_assert_uint_eq(fill_up(1, 50), 50);
        swap();
        ck_assert_uint_eq(fill_up(1, 50), 50);
        swap();
        held = status().bytes;
        pool.max = pool.used - 1;
        ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        ck_assert_uint_gt(pool.going, 0);
        swap();
        ck_assert(!store_dirty(store));
        ck_assert_uint_eq(status().oldest, 1);
        swap();
        ck_assert_int_eq(store_commit_end(store, _i == 0 ? store_job_run(&job) : -EIO, now), _i == 0 ? 0 : -EIO);
        ck_assert_uint_eq(pool.going, 0);
        if (_i == 0)
                ck_assert_uint_lt(status().bytes, held);
        else
                ck_assert_uint_eq(status().oldest, 1);
}
END_TEST

/* … and of free space that is to be left. */
START_TEST(what_is_about_to_go_is_as_good_as_free)
{
        open_both(true);
        pool.max = 0;
        ck_assert_uint_eq(fill_up(1, 50), 50);
        ck_assert(!store_due(store, now));
        options.keep_free.n = UINT64_C(1) << 40;
        reopen();
        store_join(store, &pool);
        pool.going = options.keep_free.n;
        ck_assert(!store_due(store, now));
        pool.going = 0;
        ck_assert(store_due(store, now));
        ck_assert_uint_gt(pool.going, 0);
        commit_all();
}
END_TEST

START_TEST(what_is_wanted_stays_wanted_until_there_is_room)
{
        open_both(true);
        pool.max *= 16;
        ck_assert_uint_eq(fill_up(1, 100), 100);
        /* More than one commit deletes. */
        pool.max = 1024;
        pool.wanted = 1;
        ck_assert(store_due(store, now));
        ck_assert_uint_eq(pool.wanted, 1);
        commit_all();
        ck_assert_uint_eq(pool.wanted, 1);
        ck_assert_uint_eq(status().segments, 1);
        pool.max *= 1024;
        pool.wanted = 0;
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-pool");
        TCase *one = tcase_create("one"), *several = tcase_create("several");

        tcase_add_checked_fixture(one, setup, teardown);
        tcase_add_test(one, a_quota_blocks_though_other_bounds_delete);
        tcase_add_test(one, what_is_moved_away_makes_room_at_once);
        suite_add_tcase(suite, one);
        tcase_add_checked_fixture(several, setup_pool, teardown_pool);
        tcase_add_test(several, without_deleting_it_is_full_for_all);
        tcase_add_test(several, who_delivers_makes_the_room);
        tcase_add_test(several, a_share_has_several_segments);
        tcase_add_test(several, who_has_nothing_to_delete_has_others_do_it);
        tcase_add_test(several, what_is_about_to_go_is_as_good_as_free);
        tcase_add_test(several, what_is_wanted_stays_wanted_until_there_is_room);
        tcase_add_loop_test(several, what_one_deletes_the_other_need_not, 0, 2);
        suite_add_tcase(suite, several);
        return check_main(suite);
}
