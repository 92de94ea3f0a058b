/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which segments go and when, who has what in custody, and what a collector is told about seqs that are not
 * shown to it. */

#include "store-case.h"

START_TEST(acked_segments_go)
{
        Source *source;
        unsigned before;

        options.segment_size_max = 200;
        options.delete_acked = true;
        reopen();
        fill(1, 20);
        source = store_source(store, "c");
        before = count_segments();
        ck_assert(!store_dirty(store));
        release(source, 10);
        ck_assert(store_dirty(store));
        commit_all();
        ck_assert_uint_lt(count_segments(), before);
        ck_assert_uint_gt(range_of(source).oldest, 1);
        ck_assert_uint_le(range_of(source).oldest, 11);
        reopen();
        source = store_source(store, "c");
        ck_assert_uint_gt(range_of(source).oldest, 1);
        release(source, 20);
        commit_all();
        /* The last stays: it holds the table. */
        ck_assert_uint_eq(count_segments(), 1);
        reopen();
        ck_assert_uint_eq(position(1), 20);
        fill(21, 1);
}
END_TEST

/* The segment that says what is deleted has its name from a process that died before it was synced. Power goes at each
 * call of the next start: what is left of the deleted one without that name would be taken for damage. */
START_TEST(nothing_goes_before_the_name_of_what_says_so_is_synced)
{
        StoreJob job;

        for (uint64_t seed = 1; seed < 100; seed++) {
                uint64_t calls = seed / 10 + 1;

                close_store();
                (void) sim_disk_free(sim);
                sim = sim_disk_new(seed);
                options.delete_acked = true;
                open_store();
                fill(1, 3);
                release(store_source(store, "collector"), 3);
                store_rotate(store);
                ck_assert_int_eq(append(1, 4, 4), 0);
                ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
                job.directory = false;
                job.n_gone = 0;
                ck_assert_int_eq(store_job_run(&job), 0);
                close_store();

                options.disk = sim_disk_attach(sim);
                sim_disk_cut_at(sim, calls);
                if (store_open(&options, now, &store, &report) < 0)
                        (void) disk_free(options.disk);
                close_store();
                sim_disk_power_cycle(sim);
                open_store();
                ck_assert_uint_eq(report.n_damages, 0);
                ck_assert_uint_ge(position(1), 3);
        }
}
END_TEST

START_TEST(another_collector_is_told_of_custody)
{
        Source *first, *second;
        uint64_t checksum;
        Batch batch;

        options.segment_size_max = 200;
        options.delete_acked = true;
        reopen();
        fill(1, 20);
        first = store_source(store, "first");
        second = store_source(store, "second");
        release(first, 10);
        commit_all();
        ck_assert_uint_eq(range_of(second).oldest, 11);
        ck_assert_uint_eq(expect(second, 1, BATCH_CUSTODY, "first"), 10);
        ck_assert_uint_eq(expect(second, 4, BATCH_CUSTODY, "first"), 10);
        ck_assert_uint_eq(expect(second, 11, BATCH_RECORDS, NULL), 11);
        /* The explanation is acked like any other, and remembered. */
        ck_assert_int_eq(second->get(second, 1, NULL, &batch), 1);
        second->release(second, batch.last, batch.checksum);
        commit_all();
        reopen();
        second = store_source(store, "second");
        ck_assert_int_eq(second->ended(second, 10, &checksum), 1);
        ck_assert_uint_eq(checksum, batch.checksum);
        ck_assert_uint_eq(expect(second, 1, BATCH_CUSTODY, "first"), 10);
        ck_assert_int_eq(second->ended(second, 5, &checksum), 0);
}
END_TEST

/* Forgotten by a crash, it would be an answer to which nothing here fits. */
START_TEST(custody_is_told_when_it_is_written_down)
{
        Source *first = store_source(store, "first"), *second = store_source(store, "second");
        Batch batch;

        fill(1, 20);
        release(first, 10);
        ck_assert_int_eq(second->get(second, 1, NULL, &batch), 0);
        ck_assert_int_eq(second->get(second, 11, NULL, &batch), 1);
        ck_assert_uint_eq(range_of(second).oldest, 1);
        commit_all();
        ck_assert_uint_eq(expect(second, 1, BATCH_CUSTODY, "first"), 10);
        ck_assert_uint_eq(range_of(second).oldest, 11);
}
END_TEST

/* Restored from a backup, a collector is sent what is still here. */
START_TEST(what_is_held_goes_to_a_collector_that_was_set_back)
{
        Source *source = store_source(store, "c");
        StoreStatus status;

        options.segment_size_max = 200;
        options.delete_acked = true;
        reopen();
        fill(1, 20);
        source = store_source(store, "c");
        release(source, 20);
        source->release(source, 5, 0);
        /* Though it is alone, and nothing else is to be committed: it must not be forgotten. */
        ck_assert(store_dirty(store));
        for (unsigned i = 0; i < 2; i++) {
                commit_all();
                store_status(store, &status);
                ck_assert_uint_eq(status.released, 5);
                ck_assert_uint_eq(status.set_backs, i == 0);
                for (uint64_t seq = 6; seq <= 20; seq++)
                        ck_assert_uint_eq(expect(source, seq, BATCH_RECORDS, NULL), seq);
                reopen();
                source = store_source(store, "c");
        }
        /* To nothing at all: it was made anew. */
        source->release(source, 0, 0);
        commit_all();
        reopen();
        source = store_source(store, "c");
        store_status(store, &status);
        ck_assert_uint_eq(status.released, 0);
        fill(21, 1);
        release(source, 21);
        commit_all();
        (void) expect(source, 1, BATCH_LOST, NULL);
}
END_TEST

/* The other one was told that the first had 1 to 10, and took 11 to 14: it cannot be asked for 7 to 10. */
START_TEST(what_a_collector_lost_is_not_said_to_be_at_another)
{
        Source *first, *second;

        options.segment_size_max = 200;
        options.delete_acked = true;
        reopen();
        fill(1, 20);
        first = store_source(store, "first");
        second = store_source(store, "second");
        release(first, 10);
        commit_all();
        ck_assert_uint_eq(expect(second, 1, BATCH_CUSTODY, "first"), 10);
        release(second, 14);
        commit_all();
        first->release(first, 6, 0);
        for (unsigned i = 0; i < 2; i++) {
                commit_all();
                ck_assert_uint_eq(expect(first, 7, BATCH_LOST, "deleted-when-acked"), 10);
                ck_assert_uint_eq(expect(first, 11, BATCH_CUSTODY, "second"), 14);
                ck_assert_uint_eq(expect(first, 15, BATCH_RECORDS, NULL), 15);
                ck_assert_uint_eq(expect(second, 1, BATCH_CUSTODY, "first"), 6);
                reopen();
                first = store_source(store, "first");
                second = store_source(store, "second");
        }
}
END_TEST

/* The same, when of what is written about it the second half is torn off. */
/* The other one was told so, too, and took it, but we have not heard yet when the first is found to have been set back: it is
 * known here only as somebody who has nothing, or, after a start, not at all. */
START_TEST(what_was_told_and_not_yet_acked_is_doubted_as_well)
{
        Source *first, *second, *third;

        fill(1, 20);
        first = store_source(store, "first");
        second = store_source(store, "second");
        release(first, 10);
        commit_all();
        ck_assert_uint_eq(expect(second, 1, BATCH_CUSTODY, "first"), 10);
        if (_i > 0) {
                reopen();
                first = store_source(store, "first");
        }
        first->release(first, 0, 0);
        commit_all();
        if (_i > 1) {
                /* All that is known is repeated in the next segment. */
                store_rotate(store);
                fill(21, 1);
                reopen();
        }
        first = store_source(store, "first");
        second = store_source(store, "second");
        release(second, 14);
        commit_all();
        for (uint64_t seq = 1; seq <= 10; seq++)
                ck_assert_uint_eq(expect(first, seq, BATCH_RECORDS, NULL), seq);
        ck_assert_uint_eq(expect(first, 11, BATCH_CUSTODY, "second"), 14);

        /* Who comes and says it has less knows of no such word, and what it takes then counts. */
        third = store_source(store, "third");
        third->release(third, 0, 0);
        release(third, 4);
        release(first, 10);
        commit_all();
        first->release(first, 0, 0);
        third->release(third, 4, 0);
        release(third, 10);
        commit_all();
        for (uint64_t seq = 1; seq <= 4; seq++)
                ck_assert_uint_eq(expect(first, seq, BATCH_RECORDS, NULL), seq);
        ck_assert_uint_eq(expect(first, 5, BATCH_CUSTODY, "third"), 10);
}
END_TEST

START_TEST(half_a_set_back_is_a_whole_one)
{
        static const char index[] = "00000000000000000001.idx";
        Source *first, *second;
        IndexEntry entry;
        StoreJob job;
        uint64_t size;
        uint32_t last;

        fill(1, 20);
        first = store_source(store, "first");
        second = store_source(store, "second");
        release(first, 10);
        commit_all();
        release(second, 14);
        commit_all();
        first->release(first, 6, 0);
        ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        last = 0;
        (void) sim_disk_bytes(sim, index, &size);
        for (uint32_t i = 0; i < size / INDEX_ENTRY_SIZE; i++)
                if (index_decode(sim_disk_bytes(sim, index, &size) + (size_t) i * INDEX_ENTRY_SIZE, i, &entry) == 0 &&
                    entry.kind == INDEX_CUSTODY && strcmp(entry.custody.collector, "second") == 0)
                        last = i;
        ck_assert_uint_gt(last, 0);
        sim_disk_flip(sim, index, (uint64_t) last * INDEX_ENTRY_SIZE + 40, 1);
        reopen();
        first = store_source(store, "first");
        second = store_source(store, "second");
        ck_assert_uint_eq(expect(first, 7, BATCH_RECORDS, NULL), 7);
        ck_assert_uint_eq(expect(first, 11, BATCH_CUSTODY, "second"), 14);
        ck_assert_uint_eq(expect(second, 1, BATCH_CUSTODY, "first"), 6);
}
END_TEST

START_TEST(a_source_has_several_users)
{
        Source *source = store_source(store, "c");

        fill(1, 20);
        ck_assert_ptr_eq(store_source(store, "c"), source);
        ck_assert_uint_eq(expect(source, 1, BATCH_RECORDS, NULL), 1);
        store_source_end(source);
        ck_assert_uint_eq(expect(source, 2, BATCH_RECORDS, NULL), 2);
        /* The last one gone, what was opened for it is closed; and may be opened again. */
        store_source_end(source);
        ck_assert_ptr_eq(store_source(store, "c"), source);
        ck_assert_uint_eq(expect(source, 3, BATCH_RECORDS, NULL), 3);
}
END_TEST

START_TEST(what_is_deleted_unacked_is_told_as_lost)
{
        Source *source;
        uint64_t oldest;

        options.segment_size_max = 200;
        options.use_max = 16 * 1024;
        options.delete_unacked = true;
        reopen();
        fill(1, 60);
        source = store_source(store, "c");
        oldest = range_of(source).oldest;
        ck_assert_uint_gt(oldest, 1);
        ck_assert_uint_eq(expect(source, 1, BATCH_LOST, "deleted-for-size"), oldest - 1);
        reopen();
        source = store_source(store, "c");
        ck_assert_uint_eq(expect(source, 1, BATCH_LOST, "deleted-for-size"), oldest - 1);
        ck_assert_uint_eq(expect(source, oldest, BATCH_RECORDS, NULL), oldest);
}
END_TEST

START_TEST(without_leave_to_delete_a_full_store_says_so)
{
        char text[256];
        Batch gap = fixture_batch(9, 1, 1, text);
        uint64_t n = 0;
        int r;

        options.segment_size_max = 400;
        options.use_max = 16 * 1024;
        options.delete_acked = true;
        reopen();
        while ((r = append(1, n + 1, n + 1)) == 0) {
                n++;
                commit();
        }
        ck_assert_int_eq(r, -ENOSPC);
        ck_assert(!store_dirty(store));
        /* The record that says so still fits. */
        ck_assert_int_eq(store_append_own(store, &gap, now), 0);
        commit();
        ck_assert_int_eq(append(1, n + 1, n + 1), -ENOSPC);
        release(store_source(store, "c"), n - 1);
        commit_all();
        ck_assert_int_eq(append(1, n + 1, n + 1), 0);
}
END_TEST

/* Full to the last sector, in the middle of a segment and where the next would begin. */
START_TEST(on_a_full_disk_the_record_that_says_so_still_fits)
{
        char text[256];
        Batch gap = fixture_batch(9, 1, 1, text);
        uint64_t n = 0;
        int r;

        options.segment_size_max = _i == 0 ? 1024 * 1024 : 8192;
        sim_disk_set_capacity(sim, 512 * 1024);
        reopen();
        while ((r = append(1, n + 1, n + 1)) == 0) {
                n++;
                commit();
        }
        ck_assert_int_eq(r, -ENOSPC);
        for (unsigned i = 0; i < 5; i++) {
                ck_assert_int_eq(append(1, n + 1, n + 1), -ENOSPC);
                ck_assert_int_eq(store_append_own(store, &gap, now), 0);
                commit();
        }
        ck_assert_int_eq(store_finish(store, true, now), 0);
        commit_all();
        reopen();
        ck_assert(report.clean_end);
        ck_assert_uint_eq(position(1), n);
        ck_assert_uint_eq(range_of(store_source(store, "c")).newest, n + 5);
        ck_assert_uint_eq(expect(store_source(store, "c"), n + 5, BATCH_RECORDS, NULL), n + 5);
        sim_disk_set_capacity(sim, 1024 * 1024);
        ck_assert_int_eq(append(1, n + 1, n + 1), 0);
        commit();
}
END_TEST

START_TEST(old_segments_go)
{
        options.segment_size_max = 200;
        options.retention_usec = 3600 * USEC_PER_SEC;
        options.delete_unacked = true;
        reopen();
        fill(1, 8);
        now += 3601 * USEC_PER_SEC;
        fill(9, 6);
        ck_assert_uint_gt(range_of(store_source(store, "c")).oldest, 1);
        ck_assert_uint_le(range_of(store_source(store, "c")).oldest, 9);
        (void) expect(store_source(store, "c"), 1, BATCH_LOST, "deleted-for-age");
}
END_TEST

START_TEST(room_is_left_on_the_file_system)
{
        options.segment_size_max = 4096;
        options.keep_free.n = 256 * 1024;
        options.delete_unacked = true;
        sim_disk_set_capacity(sim, 512 * 1024);
        reopen();
        for (uint64_t n = 1; n <= 4000; n++) {
                ck_assert_int_eq(append(1, n, n), 0);
                if (n % 10 == 0)
                        commit();
        }
        (void) expect(store_source(store, "c"), 1, BATCH_LOST, "deleted-for-space");
}
END_TEST

START_TEST(a_restarted_stream_offers_what_is_held)
{
        Source *source;
        SourceRange before, after;
        uint64_t oldest, checksum;
        char old[33];

        options.segment_size_max = 200;
        options.delete_acked = true;
        reopen();
        fill(1, 20);
        source = store_source(store, "c");
        release(source, 12);
        commit_all();
        before = range_of(source);
        ck_assert_int_eq(store_restart_stream(store, now), 0);
        after = range_of(source);
        ck_assert(stream_id_equal(&after.stream, &before.stream));
        commit_all();
        for (unsigned i = 0; i < 2; i++) {
                source = store_source(store, "c");
                after = range_of(source);
                ck_assert(!stream_id_equal(&after.stream, &before.stream));
                ck_assert_uint_eq(after.oldest, before.oldest);
                ck_assert_uint_eq(after.newest, 20);
                oldest = after.oldest;
                stream_id_format(&before.stream, old);
                ck_assert_uint_eq(expect(source, 1, BATCH_CUSTODY, old), oldest - 1);
                ck_assert_uint_eq(expect(source, oldest, BATCH_RECORDS, NULL), oldest);
                ck_assert_int_eq(source->ended(source, oldest - 1, &checksum), 0);
                /* The same after a new segment repeated it. */
                if (i == 0) {
                        store_rotate(store);
                        commit();
                        reopen();
                }
        }
}
END_TEST

/* Behind one of twenty batches, of which "c" has twelve. */
static void begin_another_stream(void)
{
        options.segment_size_max = 200;
        options.delete_acked = true;
        reopen();
        fill(1, 20);
        release(store_source(store, "c"), 12);
        commit_all();
        ck_assert_int_eq(store_restart_stream(store, now), 0);
        commit_all();
}

/* Who had the old stream is not known any more. */
START_TEST(a_restored_collector_makes_the_old_streams_custody_doubtful)
{
        Source *source;
        uint64_t oldest;

        begin_another_stream();
        source = store_source(store, "c");
        oldest = range_of(source).oldest;
        (void) expect(source, 1, BATCH_CUSTODY, NULL);
        release(store_source(store, "other"), oldest + 3);
        release(source, oldest);
        source->release(source, 0, 0);
        for (unsigned i = 0; i < 3; i++) {
                (void) expect(source, 1, BATCH_LOST, "deleted-when-acked");
                commit_all();
                /* What the other one has is no more doubtful than before. */
                (void) expect(source, oldest + 1, BATCH_CUSTODY, "other");
                if (i == 1) {
                        store_rotate(store);
                        commit();
                }
                reopen();
                source = store_source(store, "c");
        }
}
END_TEST

/* The doubt is said in a commit that fails, and the segment it was for is replaced by one that begins with what that one said
 * before. */
START_TEST(a_doubt_whose_commit_fails_is_said_again)
{
        Source *source;

        begin_another_stream();
        store_rotate(store);
        commit();
        source = store_source(store, "c");
        release(source, range_of(source).oldest);
        commit_all();
        source->release(source, 0, 0);
        sim_disk_fail_sync_at(sim, 1);
        ck_assert_int_eq(fixture_commit(store, now), -EIO);
        (void) expect(source, 1, BATCH_LOST, "deleted-when-acked");
        fill(21, 1);
        reopen();
        (void) expect(store_source(store, "c"), 1, BATCH_LOST, "deleted-when-acked");
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-custody");
        TCase *tcase = tcase_create("store-custody");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, acked_segments_go);
        tcase_add_test(tcase, nothing_goes_before_the_name_of_what_says_so_is_synced);
        tcase_add_test(tcase, another_collector_is_told_of_custody);
        tcase_add_test(tcase, custody_is_told_when_it_is_written_down);
        tcase_add_test(tcase, what_is_held_goes_to_a_collector_that_was_set_back);
        tcase_add_test(tcase, what_a_collector_lost_is_not_said_to_be_at_another);
        tcase_add_loop_test(tcase, what_was_told_and_not_yet_acked_is_doubted_as_well, 0, 3);
        tcase_add_test(tcase, half_a_set_back_is_a_whole_one);
        tcase_add_test(tcase, a_source_has_several_users);
        tcase_add_test(tcase, what_is_deleted_unacked_is_told_as_lost);
        tcase_add_test(tcase, without_leave_to_delete_a_full_store_says_so);
        tcase_add_loop_test(tcase, on_a_full_disk_the_record_that_says_so_still_fits, 0, 2);
        tcase_add_test(tcase, old_segments_go);
        tcase_add_test(tcase, room_is_left_on_the_file_system);
        tcase_add_test(tcase, a_restarted_stream_offers_what_is_held);
        tcase_add_test(tcase, a_restored_collector_makes_the_old_streams_custody_doubtful);
        tcase_add_test(tcase, a_doubt_whose_commit_fails_is_said_again);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
