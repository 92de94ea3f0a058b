/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Checkpoints in the index: what they speak of, when they are there, and that they stay. */

#include "store-verify-case.h"
#include "fault-disk.h"

static StoreHead head;

static void checkpoint(void)
{
        ck_assert(fixture_checkpoint(store, now));
        ck_assert(store_dirty(store));
        commit();
        ck_assert(store_head(store, &head));
}

START_TEST(of_nothing_there_is_none)
{
        ck_assert(!store_head(store, &head));
        /* Nor of a store without a chain. */
        options.hash = NULL;
        reopen();
        append_batches(1, 1, 3);
        ck_assert(!store_head(store, &head));
        options.hash = fixture_hash;
        reopen();
        ck_assert(!store_head(store, &head));
        append_batches(4, 1, 3);
        ck_assert(store_head(store, &head));
        ck_assert_uint_eq(head.seq, 6);
}
END_TEST

START_TEST(it_goes_with_the_next_commit)
{
        append_batches(1, 2, 3);
        ck_assert(fixture_checkpoint(store, now));
        ck_assert(!fixture_checkpoint(store, now));
        ck_assert(store_head(store, &head));
        ck_assert_int_eq(head.last.kind, 0);
        ck_assert_uint_eq(head.seq, 6);
        append_batches(7, 1, 3);
        ck_assert(store_head(store, &head));
        ck_assert_uint_eq(head.last.checkpoint.serial, 1);
        ck_assert_uint_eq(head.last.checkpoint.seq, 6);
        ck_assert_uint_eq(head.seq, 9);
        /* Also when nothing came. */
        checkpoint();
        checkpoint();
        ck_assert_uint_eq(head.last.checkpoint.serial, 3);
        expect_whole(1, 9);
        ck_assert_uint_eq(found.checkpoints, 3);
}
END_TEST

/* The last segment alone tells it. */
START_TEST(each_header_repeats_the_last)
{
        append_batches(1, 1, 3);
        checkpoint();
        rotate();
        append_batches(4, 1, 3);
        rotate();
        close_store();
        remove_file(name_of(1, ".idx"));
        remove_file(name_of(1, ".log"));
        open_store();
        ck_assert(store_head(store, &head));
        ck_assert_uint_eq(head.last.checkpoint.serial, 1);
        ck_assert_uint_eq(head.last.checkpoint.seq, 3);
        ck_assert_uint_eq(head.seq, 6);
        /* In a segment without own seqs, it is of the one before. */
        checkpoint();
        ck_assert_uint_eq(head.last.checkpoint.seq, 6);
        /* What it speaks of is not here any more. */
        expect_damage(VERIFY_MISSING, 4, 1, 3);
        ck_assert_uint_eq(found.checkpoints, 1);
}
END_TEST

/* What was told of a segment without own seqs is true of the one that takes its place. */
START_TEST(of_a_segment_that_is_replaced)
{
        FaultPlan plan = { 0 };
        IndexEntry kept;
        Disk *disk;

        close_store();
        options.disk = fault_disk_new(sim_disk_attach(sim), &plan);
        ck_assert_int_eq(store_open(&options, now, &store, &report), 0);
        append_batches(1, 2, 3);
        rotate();
        checkpoint();
        kept = head.last;
        plan.at = plan.calls + 1;
        plan.error = -EIO;
        ck_assert_int_eq(append(1, 7, 9), -EIO);
        plan.at = 0;
        store_step_back(store);
        append_batches(7, 1, 3);
        expect_whole(1, 9);
        disk = sim_disk_attach(sim);
        ck_assert_int_eq(fixture_verify_kept(disk, &kept, &found, &result), 0);
        (void) disk_free(disk);
        ck_assert(found.seen);
        ck_assert(store_head(store, &head));
        ck_assert_uint_eq(head.last.checkpoint.serial, 1);
}
END_TEST

START_TEST(of_a_header_that_cannot_be_read)
{
        append_batches(1, 1, 3);
        rotate();
        reopen();
        ck_assert(sim_disk_flip(sim, name_of(4, ".idx"), 30, 1));
        ck_assert(!store_head(store, &head));
        ck_assert(sim_disk_flip(sim, name_of(4, ".idx"), 30, 1));
        ck_assert(store_head(store, &head));
}
END_TEST

START_TEST(a_commit_that_fails_forgets_it)
{
        append_batches(1, 1, 3);
        sim_disk_fail_sync_at(sim, 1);
        ck_assert(fixture_checkpoint(store, now));
        ck_assert_int_eq(fixture_commit(store, now), -EIO);
        ck_assert(!store_dirty(store));
        append_batches(4, 1, 3);
        ck_assert(store_head(store, &head));
        ck_assert_int_eq(head.last.kind, 0);
        checkpoint();
        ck_assert_uint_eq(head.last.checkpoint.serial, 1);
        expect_whole(1, 6);
}
END_TEST

/* … and no other failure does: nobody would hear of it, and its owner wait for ever. */
START_TEST(a_mark_that_fails_does_not_forget_it)
{
        FaultPlan plan = { 0 };
        StoreJob job;

        close_store();
        options.disk = fault_disk_new(sim_disk_attach(sim), &plan);
        ck_assert_int_eq(store_open(&options, now, &store, &report), 0);
        append_batches(1, 1, 3);
        ck_assert_int_eq(append(1, 4, 6), 0);
        ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        ck_assert(fixture_checkpoint(store, now));
        ck_assert_int_eq(store_job_run(&job), 0);
        plan.at = plan.calls + 1;
        plan.error = -EIO;
        ck_assert_int_eq(store_commit_end(store, 0, now), 0);
        plan.at = 0;
        commit();
        ck_assert(store_head(store, &head));
        ck_assert_uint_eq(head.last.checkpoint.serial, 1);
        ck_assert_uint_eq(head.seq, 6);
        expect_whole(1, 6);
}
END_TEST

START_TEST(one_at_a_time)
{
        StoreJob job;

        append_batches(1, 1, 3);
        ck_assert(fixture_checkpoint(store, now));
        ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        ck_assert(!fixture_checkpoint(store, now));
        ck_assert_int_eq(store_commit_end(store, store_job_run(&job), now), 0);
        ck_assert(fixture_checkpoint(store, now));
        commit();
}
END_TEST

/* Where entries are none any more, the one that it speaks of may be among them: that is told once. */
START_TEST(beside_entries_that_are_damaged)
{
        const VerifyHandler handler = { .finding = found_finding };
        Disk *disk = sim_disk_attach(sim);
        IndexEntry entry;

        append_batches(1, 2, 3);
        checkpoint();
        append_batches(7, 1, 3);
        ck_assert_int_eq(store_verify(disk, fixture_hash, &handler, &found, &result), 0);
        verify_result_done(&result);
        (void) disk_free(disk);
        ck_assert(sim_disk_flip(sim, name_of(1, ".idx"), entry_of(1, 4, &entry) + 60, 1));
        verify();
        ck_assert(has(VERIFY_ENTRY) && has(VERIFY_STREAM));
        ck_assert_uint_eq(found.n_damages, 2);
        ck_assert_uint_eq(found.checkpoints, 1);
}
END_TEST

/* A DELETED entry has to be of what stood before the oldest. */
START_TEST(a_deletion_of_something_else)
{
        uint64_t size, offset = 0, segment;
        const uint8_t *bytes;
        IndexEntry entry;

        options.use_max = 6000;
        options.delete_unacked = true;
        reopen();
        for (unsigned i = 0; i < 40; i++)
                append_batches(1 + 5 * i, 1, 5);
        commit_all();
        verify();
        ck_assert_uint_eq(found.n_damages, 0);
        ck_assert_uint_gt(result.oldest, 1);
        for (segment = result.oldest; segment < 200; segment++) {
                bytes = sim_disk_bytes(sim, name_of(segment, ".idx"), &size);
                for (offset = 0; bytes && offset < size; offset += INDEX_ENTRY_SIZE)
                        if (index_decode(bytes + offset, (uint32_t) (offset / INDEX_ENTRY_SIZE), &entry) == 0 &&
                            entry.kind == INDEX_DELETED && entry.deleted.last + 1 == result.oldest) {
                                entry.deleted.head[0] ^= 1;
                                forge(segment, offset, &entry, false);
                        }
        }
        verify();
        ck_assert(has(VERIFY_MISSING) && has(VERIFY_CHAIN));
}
END_TEST

START_TEST(of_another_history)
{
        IndexEntry entry;
        uint64_t offset, size;
        const uint8_t *bytes;

        append_batches(1, 2, 3);
        checkpoint();
        append_batches(7, 1, 3);
        bytes = sim_disk_bytes(sim, name_of(1, ".idx"), &size);
        for (offset = 0; index_decode(bytes + offset, (uint32_t) (offset / INDEX_ENTRY_SIZE), &entry) == 0 &&
                         entry.kind != INDEX_CHECKPOINT;)
                offset += INDEX_ENTRY_SIZE;
        entry.checkpoint.head[5] ^= 1;
        forge(1, offset, &entry, true);
        ck_assert_uint_eq(expect_damage(VERIFY_CHECKPOINT, 1, 7, 6)->offset, offset);
        entry.checkpoint.head[5] ^= 1;
        entry.checkpoint.seq--;
        forge(1, offset, &entry, true);
        expect_damage(VERIFY_CHECKPOINT, 1, 7, 6);
        ck_assert_uint_eq(found.checkpoints, 0);
        entry.checkpoint.seq++;
        forge(1, offset, &entry, true);
        expect_whole(1, 9);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-checkpoint");
        TCase *tcase = tcase_create("store-checkpoint");

        tcase_add_checked_fixture(tcase, setup_chained, teardown);
        tcase_add_test(tcase, of_nothing_there_is_none);
        tcase_add_test(tcase, it_goes_with_the_next_commit);
        tcase_add_test(tcase, each_header_repeats_the_last);
        tcase_add_test(tcase, of_a_segment_that_is_replaced);
        tcase_add_test(tcase, of_a_header_that_cannot_be_read);
        tcase_add_test(tcase, a_commit_that_fails_forgets_it);
        tcase_add_test(tcase, a_mark_that_fails_does_not_forget_it);
        tcase_add_test(tcase, one_at_a_time);
        tcase_add_test(tcase, beside_entries_that_are_damaged);
        tcase_add_test(tcase, a_deletion_of_something_else);
        tcase_add_test(tcase, of_another_history);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
