/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A store read back from its end; and onwards from where somebody left off. That back is the same as onwards is
 * compared behind each test, here and in test-store-view. */

#include "store-view-case.h"

static void expect_before(StoreView *view, uint64_t first, uint64_t last)
{
        ViewBatch batch;

        ck_assert_int_eq(store_view_previous(view, &batch), 1);
        ck_assert(!batch.damaged);
        ck_assert_uint_eq(batch.stored.first, first);
        ck_assert_uint_eq(batch.stored.last, last);
        ck_assert_int_eq(store_view_read(view, &batch), 1);
}

static void expect_begin(StoreView *view)
{
        ViewBatch batch;

        ck_assert_int_eq(store_view_previous(view, &batch), 0);
        ck_assert_int_eq(store_view_previous(view, &batch), 0);
}

/* --- Back --- */

START_TEST(the_newest_first)
{
        StoreView *view;

        write_batches(1, 3, 4);
        rotate();
        write_batches(13, 2, 4);
        view = view_open(false);
        for (unsigned i = 5; i > 0; i--)
                expect_before(view, 4 * i - 3, 4 * i);
        expect_begin(view);
        ck_assert_int_eq(store_view_seek(view, UINT64_MAX), 1);
        expect_before(view, 17, 20);
        /* A newest one without records. */
        rotate();
        ck_assert_int_eq(store_view_seek(view, UINT64_MAX), 1);
        store_view_select(view, 14 * MINUTE, 14 * MINUTE, 0);
        expect_before(view, 13, 16);
        expect_begin(view);
        store_view_free(view);
}
END_TEST

/* The last of 40 segments: their text is not read, nor the index of any other. */
START_TEST(the_newest_of_much)
{
        uint64_t size, text;
        StoreView *view;

        for (unsigned i = 0; i < 40; i++) {
                write_batches(1 + 2000 * i, 20, 100);
                rotate();
        }
        write_batches(80001, 20, 100);
        ck_assert_ptr_nonnull(sim_disk_bytes(sim, "00000000000000000001.log", &text));
        ck_assert_ptr_nonnull(sim_disk_bytes(sim, "00000000000000000001.idx", &size));
        view = view_open(false);
        expect_before(view, 81901, 82000);
        ck_assert_uint_le(bytes_read, 4 * size + text / 10);
        /* A time: the headers of those behind it. */
        ck_assert_int_eq(store_view_seek(view, UINT64_MAX), 1);
        bytes_read = 0;
        store_view_select(view, 10050 * MINUTE, 10050 * MINUTE, 0);
        expect_before(view, 10001, 10100);
        ck_assert_uint_le(bytes_read, 41 * INDEX_ENTRY_SIZE + 8 * size + text / 10);
        store_view_free(view);
}
END_TEST

/* Under a name for each record that the store had when it was stored. */
START_TEST(a_renamed_store)
{
        StoreStatus before, after;
        StoreView *view;
        ViewBatch batch;

        write_batches(1, 2, 1);
        store_status(store, &before);
        ck_assert_int_eq(store_restart_stream(store, now), 0);
        commit();
        write_batches(3, 1, 1);
        store_status(store, &after);
        rotate();
        write_batches(4, 1, 1);
        view = view_open(false);
        for (unsigned i = 0; i < 4; i++) {
                ck_assert_int_eq(store_view_previous(view, &batch), 1);
                ck_assert(stream_id_equal(&batch.store, i < 2 ? &after.stream : &before.stream));
        }
        expect_begin(view);
        store_view_free(view);
}
END_TEST

START_TEST(damage_is_told_where_it_stands)
{
        StoreView *view;
        ViewBatch batch;

        write_batches(1, 6, 1);
        rotate();
        write_batches(7, 1, 1);
        /* SEGMENT STREAM BATCH(1) COMMIT BATCH(2) COMMIT BATCH(3) … */
        for (unsigned i = 2; i <= 12; i += 5)
                ck_assert(sim_disk_flip(sim, "00000000000000000001.idx", i * INDEX_ENTRY_SIZE + 100, 1));
        ck_assert(sim_disk_flip(sim, "00000000000000000001.idx", 6 * INDEX_ENTRY_SIZE + 100, 1));
        view = view_open(false);
        store_view_select(view, 4 * MINUTE, 4 * MINUTE, 0);
        for (uint64_t seq = 6; seq > 0; seq--) {
                if (seq == 2 || seq == 5)
                        continue;
                ck_assert_int_eq(store_view_previous(view, &batch), 1);
                ck_assert_int_eq(batch.damaged, seq != 4);
                ck_assert_uint_eq(batch.stored.first, seq);
                ck_assert_uint_eq(batch.stored.last, seq);
        }
        expect_begin(view);
        store_view_free(view);
}
END_TEST

/* What its owner deletes meanwhile might have gone before. */
START_TEST(a_segment_that_goes)
{
        Disk *disk = sim_disk_attach(sim);
        StoreView *view;

        for (unsigned i = 0; i < 3; i++) {
                write_batches(1 + 2 * i, 2, 1);
                rotate();
        }
        view = view_open(false);
        expect_before(view, 6, 6);
        ck_assert_int_eq(disk->unlink(disk, "00000000000000000003.idx"), 0);
        expect_before(view, 5, 5);
        expect_before(view, 2, 2);
        expect_before(view, 1, 1);
        expect_begin(view);
        store_view_free(view);
        (void) disk_free(disk);
}
END_TEST

START_TEST(a_disk_that_fails)
{
        static const int errors[] = { -EIO, -EMFILE, -ENOENT, FAULT_SHORT };
        unsigned hits = 0;
        FaultPlan plan;

        write_batches(1, 3, 1);
        rotate();
        write_batches(4, 3, 1);
        for (size_t e = 0; e < 2 * ELEMENTSOF(errors); e++)
                for (uint64_t n = 1, more = 1; more; n++) {
                        Disk *disk;
                        StoreView *view = NULL;
                        uint64_t next = UINT64_MAX;
                        ViewBatch batch;

                        plan = (FaultPlan) { .at = n, .error = errors[e / 2], .more = e % 2 };
                        disk = fault_disk_new(sim_disk_attach(sim), &plan);
                        if (store_view_open(disk, false, &view) < 0)
                                (void) disk_free(disk);
                        for (unsigned i = 0; view && i < 20; i++) {
                                if (store_view_previous(view, &batch) <= 0)
                                        continue;
                                ck_assert_uint_lt(batch.stored.last, next);
                                next = batch.stored.first;
                        }
                        store_view_free(view);
                        more = plan.hit;
                        hits += plan.hit;
                }
        ck_assert_uint_gt(hits, 20);
}
END_TEST

/* --- Onwards from where somebody left off --- */

typedef struct Mark {
        StreamId stream;
        uint64_t seq, checksum;
} Mark;

static Mark read_all(void)
{
        static Seen seen[SEEN_MAX];
        StoreView *view = view_open(true);
        Mark mark;

        (void) collect(view, store_view_next, seen);
        store_view_position(view, &mark.stream, &mark.seq, &mark.checksum);
        store_view_free(view);
        return mark;
}

static int seek(StoreView *view, const Mark *mark)
{
        return store_view_seek_behind(view, &mark->stream, mark->seq, mark->checksum);
}

START_TEST(going_on_shows_what_came_since)
{
        StoreView *view;
        Mark mark;

        ck_assert_int_eq(store_begin(store, now), 0);
        mark = read_all();
        ck_assert_uint_eq(mark.seq, 0);
        write_batches(1, 3, 2);
        if (_i == 1)
                rotate();
        mark = read_all();
        ck_assert_uint_eq(mark.seq, 6);
        ck_assert_uint_ne(mark.checksum, 0);
        view = view_open(true);
        ck_assert_int_eq(seek(view, &mark), 1);
        expect_end(view);
        write_batches(7, 1, 2);
        rotate();
        write_batches(9, 1, 2);
        expect_batch(view, 7, 8);
        expect_batch(view, 9, 10);
        expect_end(view);
        /* It need not be of the end; and looking for something else is no matter. */
        ck_assert_int_eq(seek(view, &mark), 1);
        store_view_select(view, 9 * MINUTE, 9 * MINUTE, 0);
        expect_batch(view, 9, 10);
        expect_end(view);
        store_view_position(view, &mark.stream, &mark.seq, &mark.checksum);
        ck_assert_uint_eq(mark.seq, 10);
        store_view_free(view);
}
END_TEST

START_TEST(going_on_behind_a_deletion_says_so)
{
        StoreView *view;
        Mark mark;

        options.delete_acked = true;
        reopen();
        write_batches(1, 3, 2);
        mark = read_all();
        for (unsigned i = 0; i < 3; i++) {
                rotate();
                write_batches(7 + 2 * i, 1, 2);
        }
        release(store_source(store, "c"), 8);
        commit_all();
        view = view_open(true);
        ck_assert_int_eq(seek(view, &mark), 0);
        expect_batch(view, 9, 10);
        expect_batch(view, 11, 12);
        expect_end(view);
        store_view_free(view);
}
END_TEST

/* Whether the segments from before are still there or not. */
START_TEST(going_on_in_a_renamed_store)
{
        StoreView *view;
        Mark mark;

        write_batches(1, 2, 1);
        mark = read_all();
        ck_assert_int_eq(store_restart_stream(store, now), 0);
        commit();
        write_batches(3, 1, 1);
        if (_i == 1) {
                Disk *disk = sim_disk_attach(sim);

                rotate();
                write_batches(4, 1, 1);
                ck_assert_int_eq(disk->unlink(disk, "00000000000000000001.idx"), 0);
                (void) disk_free(disk);
        }
        view = view_open(true);
        ck_assert_int_eq(seek(view, &mark), _i == 0);
        expect_batch(view, _i == 0 ? 3 : 4, _i == 0 ? 3 : 4);
        expect_end(view);
        /* Of another store. */
        mark.stream.bytes[0] ^= 1;
        ck_assert_int_eq(seek(view, &mark), -ENOENT);
        store_view_free(view);
}
END_TEST

/* A backup of the store took its place: it has less, or other records by now. */
START_TEST(another_history_is_noticed)
{
        StoreView *view;
        ViewBatch batch;
        Mark mark;

        write_batches(1, 2, 1);
        mark = read_all();
        mark.seq++;
        view = view_open(true);
        ck_assert_int_eq(seek(view, &mark), -ESTALE);
        mark.seq--;
        mark.checksum++;
        if (_i == 1) {
                rotate();
                write_batches(3, 1, 1);
        }
        ck_assert_int_eq(seek(view, &mark), 1);
        ck_assert_int_eq(store_view_next(view, &batch), -ESTALE);
        /* Where no batch that can be read ended, there is nothing to compare. */
        mark.checksum = 0;
        ck_assert_int_eq(seek(view, &mark), 1);
        ck_assert_int_eq(store_view_next(view, &batch), _i);
        store_view_free(view);
}
END_TEST

START_TEST(a_place_behind_damage)
{
        StoreView *view;
        Mark mark;

        write_batches(1, 3, 1);
        rotate();
        /* SEGMENT STREAM BATCH(1) COMMIT BATCH(2) COMMIT BATCH(3) */
        ck_assert(sim_disk_flip(sim, "00000000000000000001.idx", 6 * INDEX_ENTRY_SIZE + 100, 1));
        mark = read_all();
        ck_assert_uint_eq(mark.seq, 3);
        ck_assert_uint_eq(mark.checksum, 0);
        write_batches(4, 1, 1);
        view = view_open(true);
        ck_assert_int_eq(seek(view, &mark), 1);
        expect_batch(view, 4, 4);
        expect_end(view);
        store_view_free(view);
        /* No segment says of which store it is. */
        ck_assert(sim_disk_flip(sim, "00000000000000000001.idx", 100, 1));
        ck_assert(sim_disk_flip(sim, "00000000000000000004.idx", 100, 1));
        view = view_open(true);
        ck_assert_int_eq(seek(view, &mark), -ENOENT);
        store_view_free(view);
}
END_TEST

START_TEST(going_on_with_a_disk_that_fails)
{
        static const int errors[] = { -EIO, -EMFILE, -ENOENT, FAULT_SHORT };
        FaultPlan plan;
        Mark mark;

        write_batches(1, 2, 1);
        mark = read_all();
        rotate();
        write_batches(3, 1, 1);
        for (size_t e = 0; e < ELEMENTSOF(errors); e++)
                for (uint64_t n = 1, more = 1; more; n++) {
                        StoreView *view = NULL;
                        Disk *disk;
                        int r;

                        plan = (FaultPlan) { .at = n, .error = errors[e] };
                        disk = fault_disk_new(sim_disk_attach(sim), &plan);
                        r = store_view_open(disk, true, &view);
                        if (r < 0)
                                (void) disk_free(disk);
                        else
                                r = seek(view, &mark);
                        /* Without a fault, or by itself: a short read is read on. */
                        if (!plan.hit)
                                ck_assert_int_eq(r, 1);
                        store_view_free(view);
                        more = plan.hit;
                }
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-view-back");
        TCase *tcase = tcase_create("view-back");

        tcase_add_checked_fixture(tcase, setup_timed, teardown_timed);
        tcase_add_test(tcase, the_newest_first);
        tcase_add_test(tcase, the_newest_of_much);
        tcase_add_test(tcase, a_renamed_store);
        tcase_add_test(tcase, damage_is_told_where_it_stands);
        tcase_add_test(tcase, a_segment_that_goes);
        tcase_add_test(tcase, a_disk_that_fails);
        tcase_add_loop_test(tcase, going_on_shows_what_came_since, 0, 2);
        tcase_add_test(tcase, going_on_behind_a_deletion_says_so);
        tcase_add_loop_test(tcase, going_on_in_a_renamed_store, 0, 2);
        tcase_add_loop_test(tcase, another_history_is_noticed, 0, 2);
        tcase_add_test(tcase, a_place_behind_damage);
        tcase_add_test(tcase, going_on_with_a_disk_that_fails);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
