/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A store as others read it: beside its owner, by its index, with damage, and while it goes on. */

#include "store-view-case.h"

START_TEST(no_store)
{
        Disk *disk = sim_disk_attach(sim);
        StoreView *view;

        ck_assert_int_eq(store_view_open(disk, false, &view), -ENODATA);
        (void) disk_free(disk);
        ck_assert_ptr_null(store_view_free(NULL));
}
END_TEST

START_TEST(all_of_it_beside_its_owner)
{
        StoreView *view;
        StoreStatus status;

        write_batches(1, 3, 4);
        rotate();
        write_batches(13, 2, 4);
        store_status(store, &status);
        view = view_open(false);
        for (unsigned i = 0; i < 5; i++)
                expect_batch(view, 4 * i + 1, 4 * i + 4);
        expect_end(view);
        /* And again, and under the names that the store has for itself and its sender. */
        ck_assert_int_eq(store_view_seek(view, UINT64_MAX), 1);
        {
                ViewBatch batch;
                StreamId id = fixture_stream(1);

                ck_assert_int_eq(store_view_next(view, &batch), 1);
                ck_assert(stream_id_equal(&batch.store, &status.stream));
                ck_assert(stream_id_equal(&batch.stream, &id));
                ck_assert_uint_eq(batch.received_last, 4);
        }
        view = store_view_free(view);
}
END_TEST

START_TEST(a_renamed_store_has_its_new_name)
{
        StoreView *view;
        StoreStatus status;
        ViewBatch batch;

        write_batches(1, 1, 1);
        ck_assert_int_eq(store_restart_stream(store, now), 0);
        commit();
        write_batches(2, 1, 1);
        store_status(store, &status);
        view = view_open(false);
        ck_assert_int_eq(store_view_next(view, &batch), 1);
        ck_assert(!stream_id_equal(&batch.store, &status.stream));
        ck_assert_int_eq(store_view_next(view, &batch), 1);
        ck_assert(stream_id_equal(&batch.store, &status.stream));
        store_view_free(view);
}
END_TEST

/* Of a store of 40 segments, each with much text, one minute: that batch's text, and index. */
START_TEST(a_time_reads_the_index_and_not_the_text)
{
        StoreView *view;
        uint64_t size, text;

        for (unsigned i = 0; i < 40; i++) {
                write_batches(1 + 2000 * i, 20, 100);
                rotate();
        }
        ck_assert_uint_gt(count_segments(), 39);
        ck_assert_ptr_nonnull(sim_disk_bytes(sim, "00000000000000000001.log", &text));
        ck_assert_uint_gt(text, 150000);
        ck_assert_ptr_nonnull(sim_disk_bytes(sim, "00000000000000000001.idx", &size));

        view = view_open(false);
        store_view_select(view, 70050 * MINUTE, 70050 * MINUTE, 0);
        expect_batch(view, 70001, 70100);
        expect_end(view);
        /* The header of each segment, one index, one batch twice (see expect_batch), and the last index. */
        ck_assert_uint_le(bytes_read, 41 * INDEX_ENTRY_SIZE + 2 * size + 2 * text / 20 + 4096);

        /* Ends included; what is between, too. */
        ck_assert_int_eq(store_view_seek(view, UINT64_MAX), 1);
        store_view_select(view, 1900 * MINUTE, 2001 * MINUTE, 0);
        expect_batch(view, 1801, 1900);
        expect_batch(view, 1901, 2000);
        expect_batch(view, 2001, 2100);
        expect_end(view);
        ck_assert_int_eq(store_view_seek(view, UINT64_MAX), 1);
        store_view_select(view, 1900 * MINUTE + 1, 1901 * MINUTE - 1, 0);
        expect_end(view);
        store_view_free(view);
}
END_TEST

/* A sender that was away delivers old records long after. */
START_TEST(late_records_are_found)
{
        StoreView *view;

        write_batches(1, 2, 100);
        rotate();
        ck_assert_int_eq(append_timed(2, 1, 10), 0);
        commit();
        write_batches(201, 2, 100);
        rotate();
        write_batches(401, 1, 100);
        view = view_open(false);
        store_view_select(view, 5 * MINUTE, 5 * MINUTE, 0);
        expect_batch(view, 1, 100);
        expect_batch(view, 201, 210);
        expect_end(view);
        store_view_free(view);
}
END_TEST

START_TEST(nodes)
{
        StoreView *view;
        uint64_t n2 = checksum64("n2", 2);

        for (uint64_t i = 1; i <= 4; i++) {
                ck_assert_int_eq(append_timed(1, i, i), 0);
                ck_assert_int_eq(append_timed(2, i, i), 0);
                commit();
        }
        view = view_open(false);
        store_view_select(view, 0, UINT64_MAX, n2);
        for (unsigned i = 1; i <= 4; i++)
                expect_batch(view, 2 * i, 2 * i);
        expect_end(view);
        store_view_free(view);
}
END_TEST

/* A store of which the index does not know the times: everything might be meant. */
START_TEST(without_times_all_is_read)
{
        StoreView *view;

        options.span = NULL;
        reopen();
        write_batches(1, 1, 1);
        rotate();
        options.span = record_span;
        reopen();
        write_batches(2, 2, 1);
        view = view_open(false);
        store_view_select(view, 3 * MINUTE, 3 * MINUTE, checksum64("n1", 2));
        expect_batch(view, 1, 1);
        expect_batch(view, 3, 3);
        expect_end(view);
        store_view_free(view);
}
END_TEST

/* What a reopened store knows of its last segment stands in the next one's header. */
START_TEST(times_outlive_a_restart)
{
        StoreView *view;

        write_batches(1, 3, 10);
        reopen();
        write_batches(31, 1, 10);
        rotate();
        write_batches(41, 1, 10);
        view = view_open(false);
        store_view_select(view, 45 * MINUTE, 45 * MINUTE, 0);
        expect_batch(view, 41, 50);
        ck_assert_uint_lt(bytes_read, 8192);
        ck_assert_int_eq(store_view_seek(view, UINT64_MAX), 1);
        store_view_select(view, 15 * MINUTE, 15 * MINUTE, 0);
        expect_batch(view, 11, 20);
        store_view_free(view);
}
END_TEST

START_TEST(the_last_records)
{
        StoreView *view;

        write_batches(1, 300, 2);
        rotate();
        write_batches(601, 2, 2);
        view = view_open(false);
        ck_assert_int_eq(store_view_seek(view, 3), 0);
        expect_batch(view, 601, 602);
        expect_batch(view, 603, 604);
        expect_end(view);
        ck_assert_int_eq(store_view_seek(view, 5), 0);
        expect_batch(view, 599, 600);
        expect_batch(view, 601, 602);
        ck_assert_int_eq(store_view_seek(view, 0), 0);
        expect_end(view);
        ck_assert_int_eq(store_view_seek(view, 604), 1);
        expect_batch(view, 1, 2);
        rotate();
        /* The newest has none. */
        ck_assert_int_eq(store_view_seek(view, 1), 0);
        expect_batch(view, 603, 604);
        store_view_free(view);
}
END_TEST

START_TEST(following)
{
        StoreView *view;

        view = NULL;
        write_batches(1, 1, 1);
        view = view_open(true);
        expect_batch(view, 1, 1);
        expect_end(view);
        write_batches(2, 2, 1);
        expect_batch(view, 2, 2);
        expect_batch(view, 3, 3);
        expect_end(view);
        /* Several segments at once; the first of them ends behind what was seen. */
        write_batches(4, 1, 1);
        rotate();
        write_batches(5, 1, 1);
        rotate();
        expect_batch(view, 4, 4);
        expect_batch(view, 5, 5);
        expect_end(view);
        write_batches(6, 1, 1);
        expect_batch(view, 6, 6);
        expect_end(view);
        store_view_free(view);
}
END_TEST

/* Only what is durable: a group in flight may yet be taken back. */
START_TEST(following_shows_what_is_durable)
{
        StoreView *follower, *reader;
        StoreJob job;

        write_batches(1, 1, 1);
        ck_assert_int_eq(append_timed(1, 2, 2), 0);
        ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        follower = view_open(true);
        expect_batch(follower, 1, 1);
        expect_end(follower);
        /* Who reads what is there sees what a start would find. */
        reader = view_open(false);
        expect_batch(reader, 1, 1);
        expect_batch(reader, 2, 2);
        expect_end(reader);
        store_view_free(reader);
        /* The disk says no: the record comes again in another segment, and once. */
        ck_assert_int_eq(store_commit_end(store, -EIO, now), -EIO);
        expect_end(follower);
        ck_assert_int_eq(append_timed(1, 2, 2), 0);
        commit();
        expect_batch(follower, 2, 2);
        expect_end(follower);
        store_view_free(follower);
}
END_TEST

/* A segment without records, replaced by another of its name. */
START_TEST(following_a_replaced_segment)
{
        StoreView *follower;
        StoreJob job;

        write_batches(1, 1, 1);
        rotate();
        follower = view_open(true);
        expect_batch(follower, 1, 1);
        expect_end(follower);
        ck_assert_int_eq(append_timed(1, 2, 2), 0);
        ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        ck_assert_int_eq(store_commit_end(store, -EIO, now), -EIO);
        expect_end(follower);
        ck_assert_int_eq(append_timed(1, 2, 2), 0);
        commit();
        expect_batch(follower, 2, 2);
        expect_end(follower);
        store_view_free(follower);
}
END_TEST

START_TEST(damaged_text_is_told)
{
        StoreView *view;
        ViewBatch batch;

        write_batches(1, 3, 2);
        ck_assert(sim_disk_flip(sim, "00000000000000000001.log", 5, 1));
        view = view_open(false);
        ck_assert_int_eq(store_view_next(view, &batch), 1);
        ck_assert_int_eq(store_view_read(view, &batch), 0);
        expect_batch(view, 3, 4);
        store_view_free(view);
}
END_TEST

START_TEST(damaged_entries_are_told_whatever_is_looked_for)
{
        StoreView *view;
        char name[64];
        uint64_t size;

        write_batches(1, 6, 1);
        rotate();
        write_batches(7, 1, 1);
        /* SEGMENT STREAM BATCH(1) COMMIT BATCH(2) COMMIT BATCH(3) … */
        (void) snprintf(name, sizeof name, "%020d.idx", 1);
        ck_assert_ptr_nonnull(sim_disk_bytes(sim, name, &size));
        ck_assert(sim_disk_flip(sim, name, 4 * INDEX_ENTRY_SIZE + 100, 1));
        view = view_open(false);
        store_view_select(view, 4 * MINUTE, 4 * MINUTE, 0);
        expect_damage(view, 2, 2);
        expect_batch(view, 4, 4);
        expect_end(view);
        ck_assert_int_eq(store_view_seek(view, 4), 0);
        expect_batch(view, 4, 4);
        /* The last of a segment. */
        ck_assert(sim_disk_flip(sim, name, 12 * INDEX_ENTRY_SIZE + 100, 1));
        ck_assert_int_eq(store_view_seek(view, UINT64_MAX), 1);
        store_view_select(view, 5 * MINUTE, UINT64_MAX, 0);
        expect_damage(view, 2, 2);
        expect_batch(view, 5, 5);
        expect_damage(view, 6, 6);
        expect_batch(view, 7, 7);
        expect_end(view);
        store_view_free(view);
}
END_TEST

/* The newest segment: before the mark it is damage, behind it where recovery would cut. */
START_TEST(the_torn_end_is_none)
{
        static const char idx[] = "00000000000000000001.idx";
        StoreView *view;
        ViewBatch batch;
        StoreJob job;
        uint64_t size;

        write_batches(1, 3, 1);
        ck_assert_int_eq(append_timed(1, 4, 4), 0);
        ck_assert_int_eq(append_timed(1, 5, 5), 0);
        ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        ck_assert_ptr_nonnull(sim_disk_bytes(sim, idx, &size));
        view = view_open(false);
        /* Of text that never reached the disk. */
        ck_assert(sim_disk_flip(sim, "00000000000000000001.log", 5, 1));
        for (unsigned i = 0; i < 4; i++)
                ck_assert_int_eq(store_view_next(view, &batch), 1);
        sim_disk_flip(sim, idx, size - 2 * INDEX_ENTRY_SIZE + 100, 1);
        ck_assert_int_eq(store_view_seek(view, UINT64_MAX), 1);
        ck_assert_int_eq(store_view_next(view, &batch), 1);
        ck_assert_int_eq(store_view_read(view, &batch), 0);
        expect_batch(view, 2, 2);
        expect_batch(view, 3, 3);
        expect_end(view);
        /* The entry behind it is whole, and does not follow. */
        store_view_free(view);
        ck_assert_int_eq(store_commit_end(store, -EIO, now), -EIO);
}
END_TEST

START_TEST(text_that_was_never_durable)
{
        StoreView *view;
        ViewBatch batch;
        StoreJob job;
        uint64_t size;

        write_batches(1, 1, 1);
        ck_assert_int_eq(append_timed(1, 2, 2), 0);
        ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        ck_assert_ptr_nonnull(sim_disk_bytes(sim, "00000000000000000001.log", &size));
        ck_assert(sim_disk_flip(sim, "00000000000000000001.log", size - 2, 1));
        view = view_open(false);
        expect_batch(view, 1, 1);
        ck_assert_int_eq(store_view_next(view, &batch), 1);
        ck_assert_int_eq(store_view_read(view, &batch), -ENODATA);
        store_view_free(view);
        ck_assert_int_eq(store_commit_end(store, -EIO, now), -EIO);
}
END_TEST

/* Deleted under the reader: as if it had never been there. */
START_TEST(a_deleted_segment)
{
        Disk *disk = sim_disk_attach(sim);
        StoreView *view;
        ViewBatch batch;

        for (unsigned i = 0; i < 4; i++) {
                write_batches(1 + 2 * i, 2, 1);
                rotate();
        }
        view = view_open(false);
        expect_batch(view, 1, 1);
        ck_assert_int_eq(disk->unlink(disk, "00000000000000000003.idx"), 0);
        ck_assert_int_eq(disk->unlink(disk, "00000000000000000003.log"), 0);
        expect_batch(view, 2, 2);
        expect_batch(view, 5, 5);
        ck_assert_int_eq(store_view_next(view, &batch), 1);
        store_view_free(view);

        view = view_open(false);
        ck_assert_int_eq(store_view_next(view, &batch), 1);
        ck_assert_int_eq(disk->unlink(disk, "00000000000000000001.log"), 0);
        ck_assert_int_eq(store_view_read(view, &batch), 0);
        ck_assert_int_eq(disk->unlink(disk, "00000000000000000001.idx"), 0);
        ck_assert_int_eq(store_view_read(view, &batch), -ENODATA);
        store_view_free(view);
        (void) disk_free(disk);
}
END_TEST

/* Whatever call fails: an error is returned, or what is shown is right. */
START_TEST(a_disk_that_fails)
{
        static const int errors[] = { -EIO, -EMFILE, -EACCES, -ENOENT, -EINTR, FAULT_SHORT };
        FaultPlan plan;
        unsigned hits = 0;

        write_batches(1, 3, 1);
        rotate();
        /* One without records, and names that are not the store's. */
        ck_assert_int_eq(append_explained(4, 6), 0);
        sim_disk_put(sim, "README", "", 0);
        write_batches(7, 3, 1);
        for (size_t e = 0; e < 8 * ELEMENTSOF(errors); e++)
                for (uint64_t n = 1, more = 1; more; n++) {
                        Disk *disk;
                        StoreView *view = NULL;
                        ViewBatch batch;
                        uint64_t last = 0;
                        int r;

                        plan = (FaultPlan) { .at = n, .error = errors[e / 8], .more = e % 8 / 4 };
                        disk = fault_disk_new(sim_disk_attach(sim), &plan);
                        r = store_view_open(disk, e % 2 == 0, &view);
                        if (r < 0)
                                (void) disk_free(disk);
                        if (r == 0 && e % 4 / 2 == 0)
                                r = store_view_seek(view, 2);
                        store_view_free(r < 0 ? TAKE_PTR(view) : NULL);
                        for (unsigned i = 0; view && i < 20; i++) {
                                r = store_view_next(view, &batch);
                                if (r <= 0)
                                        continue;
                                ck_assert_uint_gt(batch.stored.first, last);
                                last = batch.stored.last;
                                if (!batch.damaged && store_view_read(view, &batch) > 0)
                                        ck_assert_mem_eq(batch.stored.payload, "node=n1", 7);
                        }
                        store_view_free(view);
                        more = plan.hit;
                        hits += plan.hit;
                }
        ck_assert_uint_gt(hits, 50);
}
END_TEST

/* A disk that refuses to be cut: what a failed group left behind the end of its segment is nobody's. */
START_TEST(behind_the_end_of_a_segment)
{
        FaultPlan plan = { 0 };
        StoreView *view;
        StoreJob job;

        write_batches(1, 1, 1);
        close_store();
        options.disk = fault_disk_new(sim_disk_attach(sim), &plan);
        ck_assert_int_eq(store_open(&options, now, &store, &report), 0);
        ck_assert_int_eq(append_timed(1, 2, 2), 0);
        ck_assert_int_eq(append_timed(1, 3, 3), 0);
        ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        plan = (FaultPlan) { .at = 1, .error = -EIO, .more = 1 };
        ck_assert_int_eq(store_commit_end(store, -EIO, now), -EIO);
        ck_assert_int_eq(append_timed(1, 2, 2), 0);
        commit();
        view = view_open(false);
        expect_batch(view, 1, 1);
        expect_batch(view, 2, 2);
        expect_end(view);
        ck_assert_int_eq(store_view_seek(view, 1), 0);
        expect_batch(view, 2, 2);
        store_view_free(view);
}
END_TEST

/* A directory whose only segment goes before it is read, and one that comes back. */
START_TEST(nothing_left)
{
        Disk *disk = sim_disk_attach(sim);
        StoreView *view, *follower;

        write_batches(1, 1, 1);
        view = view_open(false);
        follower = view_open(true);
        ck_assert_int_eq(disk->unlink(disk, "00000000000000000001.idx"), 0);
        expect_end(view);
        expect_end(follower);
        ck_assert_int_eq(store_view_seek(view, 1), 1);
        expect_end(view);
        rotate();
        write_batches(2, 1, 1);
        expect_batch(follower, 2, 2);
        store_view_free(view);
        store_view_free(follower);
        (void) disk_free(disk);
}
END_TEST

/* Headers that do not say what is before them: nothing is passed over. */
START_TEST(headers_that_cannot_be_read)
{
        const uint8_t *bytes;
        StoreView *view;
        uint64_t size;

        write_batches(1, 1, 1);
        rotate();
        write_batches(2, 1, 1);
        rotate();
        write_batches(3, 1, 1);
        ck_assert(sim_disk_flip(sim, "00000000000000000002.idx", 100, 1));
        view = view_open(false);
        store_view_select(view, 1 * MINUTE, 1 * MINUTE, 0);
        expect_batch(view, 1, 1);
        expect_end(view);
        store_view_free(view);
        /* The newest without header and marks: nobody can say any more what was durable. */
        bytes = sim_disk_bytes(sim, "00000000000000000003.idx", &size);
        ck_assert_ptr_nonnull(bytes);
        for (uint64_t i = 0; i < size; i += INDEX_ENTRY_SIZE)
                if (bytes[i + 4] != INDEX_BATCH)
                        ck_assert(sim_disk_flip(sim, "00000000000000000003.idx", i + 100, 1));
        view = view_open(false);
        ck_assert_int_eq(store_view_seek(view, 1), 0);
        expect_batch(view, 3, 3);
        expect_end(view);
        store_view_free(view);
        view = view_open(true);
        store_view_select(view, 3 * MINUTE, 3 * MINUTE, 0);
        expect_end(view);
        store_view_free(view);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-view");
        TCase *tcase = tcase_create("view");

        tcase_add_checked_fixture(tcase, setup_timed, teardown_timed);
        tcase_add_test(tcase, no_store);
        tcase_add_test(tcase, all_of_it_beside_its_owner);
        tcase_add_test(tcase, a_renamed_store_has_its_new_name);
        tcase_add_test(tcase, a_time_reads_the_index_and_not_the_text);
        tcase_add_test(tcase, late_records_are_found);
        tcase_add_test(tcase, nodes);
        tcase_add_test(tcase, without_times_all_is_read);
        tcase_add_test(tcase, times_outlive_a_restart);
        tcase_add_test(tcase, the_last_records);
        tcase_add_test(tcase, following);
        tcase_add_test(tcase, following_shows_what_is_durable);
        tcase_add_test(tcase, following_a_replaced_segment);
        tcase_add_test(tcase, damaged_text_is_told);
        tcase_add_test(tcase, damaged_entries_are_told_whatever_is_looked_for);
        tcase_add_test(tcase, the_torn_end_is_none);
        tcase_add_test(tcase, text_that_was_never_durable);
        tcase_add_test(tcase, a_deleted_segment);
        tcase_add_test(tcase, a_disk_that_fails);
        tcase_add_test(tcase, behind_the_end_of_a_segment);
        tcase_add_test(tcase, nothing_left);
        tcase_add_test(tcase, headers_that_cannot_be_read);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
