/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bits rot, files vanish, disks lie. What was acked is never cut as if it were a torn end: it is reported
 * with exactly its seqs, the segment is left as it is, and everything else is still there.
 */

#include "mark.h"
#include "store-case.h"

#include <fcntl.h>
#include <inttypes.h>

#define FIRST_TEXT "00000000000000000001.log"
#define FIRST_INDEX "00000000000000000001.idx"

/* Where in the index of the first segment the batch with this own seq is described. */
static uint64_t entry_of(uint64_t own)
{
        IndexEntry entry;
        const uint8_t *bytes;
        uint64_t size;

        bytes = sim_disk_bytes(sim, FIRST_INDEX, &size);
        for (uint32_t i = 0; i < size / INDEX_ENTRY_SIZE; i++)
                if (index_decode(bytes + (size_t) i * INDEX_ENTRY_SIZE, i, &entry) == 0 &&
                    entry.kind == INDEX_BATCH && entry.batch.stored.first <= own &&
                    own <= entry.batch.stored.last)
                        return (uint64_t) i * INDEX_ENTRY_SIZE;
        ck_abort_msg("own seq %" PRIu64 " has no entry", own);
}

static uint64_t text_of(uint64_t own)
{
        IndexEntry entry;
        uint64_t offset = entry_of(own), size;

        ck_assert_int_eq(index_decode(sim_disk_bytes(sim, FIRST_INDEX, &size) + offset,
                                      (uint32_t) (offset / INDEX_ENTRY_SIZE), &entry),
                         0);
        return entry.batch.offset;
}

/* Batches 1..3, 4..6 and 7..9, a commit each. */
static void fill_three(void)
{
        for (uint64_t first = 1; first < 9; first += 3) {
                ck_assert_int_eq(append(1, first, first + 2), 0);
                commit();
        }
}

static void expect_report(uint64_t first, uint64_t last)
{
        ck_assert_uint_eq(report.n_damages, 1);
        ck_assert_uint_eq(report.damages[0].first, first);
        ck_assert_uint_eq(report.damages[0].last, last);
        ck_assert_uint_eq(report.damages[0].segment, 1);
}

/* All but first..last is shown; that is told as lost; the stream goes on behind it. */
static void expect_rest(uint64_t first, uint64_t last)
{
        for (unsigned i = 0; i < 2; i++) {
                Source *source = store_source(store, "c");

                ck_assert_uint_eq(range_of(source).newest, 9 + i);
                for (uint64_t seq = 1; seq <= 9; seq += 3)
                        ck_assert_uint_eq(expect(source, seq, seq == first ? BATCH_LOST : BATCH_RECORDS,
                                                 seq == first ? "store-damaged" : NULL),
                                          seq == first ? last : seq + 2);
                ck_assert_uint_eq(position(1), 9 + i);
                ck_assert_int_eq(append(1, 10 + i, 10 + i), 0);
                commit();
                /* Reported once. */
                reopen();
                ck_assert_uint_eq(report.n_damages, 0);
        }
        ck_assert_uint_eq(count_segments(), 2);
}

START_TEST(a_rotten_text_is_reported_and_passed_over)
{
        uint64_t first = 1 + 3 * (uint64_t) _i, size_before, size;

        fill_three();
        ck_assert(sim_disk_flip(sim, FIRST_TEXT, text_of(first) + 5, 1));
        ck_assert(sim_disk_bytes(sim, FIRST_TEXT, &size_before));
        reopen();
        expect_report(first, first + 2);
        ck_assert_uint_eq(report.cut_bytes, 0);
        ck_assert(sim_disk_bytes(sim, FIRST_TEXT, &size));
        ck_assert_uint_eq(size, size_before);
        expect_rest(first, first + 2);
}
END_TEST

START_TEST(a_rotten_entry_is_reported_and_passed_over)
{
        uint64_t first = 1 + 3 * (uint64_t) _i;

        fill_three();
        ck_assert(sim_disk_flip(sim, FIRST_INDEX, entry_of(first) + 30, 4));
        reopen();
        expect_report(first, first + 2);
        if (first < 7)
                expect_rest(first, first + 2);
        else
                /* The stream's last entry is gone: as far as can be read is as far as it is. */
                ck_assert_uint_eq(position(1), 6);
}
END_TEST

START_TEST(after_a_clean_end_everything_counts)
{
        fill_three();
        ck_assert_int_eq(store_finish(store, true, now), 0);
        commit_all();
        ck_assert(sim_disk_flip(sim, FIRST_TEXT, text_of(7), 1));
        reopen();
        ck_assert(!report.clean_end);
        expect_report(7, 9);
        expect_rest(7, 9);
}
END_TEST

/* Who wrote there was not the one who ended it. */
START_TEST(a_clean_end_is_the_last_entry)
{
        uint8_t bytes[4096] = { 0 };
        uint64_t size;
        const uint8_t *index;

        fill_three();
        ck_assert_int_eq(store_finish(store, true, now), 0);
        commit_all();
        index = sim_disk_bytes(sim, FIRST_INDEX, &size);
        ck_assert_uint_le(size + INDEX_ENTRY_SIZE, sizeof bytes);
        memcpy(bytes, index, size);
        sim_disk_put(sim, FIRST_INDEX, bytes, size + INDEX_ENTRY_SIZE);
        reopen();
        ck_assert(!report.clean_end);
        ck_assert_uint_eq(report.n_damages, 0);
        ck_assert_uint_eq(position(1), 9);
}
END_TEST

START_TEST(damage_that_appears_while_open_is_told_to_the_reader)
{
        StoreStatus status;
        Source *source;

        fill_three();
        ck_assert(sim_disk_flip(sim, FIRST_TEXT, text_of(4), 1));
        source = store_source(store, "c");
        ck_assert_uint_eq(expect(source, 4, BATCH_LOST, "store-damaged"), 6);
        ck_assert_uint_eq(expect(source, 7, BATCH_RECORDS, NULL), 9);
        store_status(store, &status);
        ck_assert_uint_eq(status.damaged, 1);
}
END_TEST

START_TEST(damage_in_an_older_segment_is_told_to_the_reader)
{
        Source *source;

        fill_three();
        store_rotate(store);
        commit();
        fill(10, 1);
        ck_assert(sim_disk_flip(sim, FIRST_TEXT, text_of(1), 1));
        ck_assert(sim_disk_flip(sim, FIRST_INDEX, entry_of(4), 1));
        reopen();
        ck_assert_uint_eq(report.n_damages, 0);
        source = store_source(store, "c");
        ck_assert_uint_eq(expect(source, 1, BATCH_LOST, "store-damaged"), 3);
        ck_assert_uint_eq(expect(source, 4, BATCH_LOST, "store-damaged"), 6);
        ck_assert_uint_eq(expect(source, 7, BATCH_RECORDS, NULL), 9);
        ck_assert_uint_eq(expect(source, 10, BATCH_RECORDS, NULL), 10);
}
END_TEST

static void remove_file(const char *name)
{
        Disk *disk = sim_disk_attach(sim);

        ck_assert_int_eq(disk->unlink(disk, name), 0);
        ck_assert_int_eq(disk->sync_directory(disk), 0);
        (void) disk_free(disk);
}

START_TEST(a_missing_text_is_damage)
{
        fill_three();
        remove_file(FIRST_TEXT);
        reopen();
        ck_assert_uint_eq(report.n_damages, 3);
        ck_assert_uint_eq(position(1), 9);
        ck_assert_int_eq(append(1, 10, 10), 0);
        commit();
        ck_assert_uint_eq(expect(store_source(store, "c"), 1, BATCH_LOST, "store-damaged"), 3);
        ck_assert_uint_eq(expect(store_source(store, "c"), 10, BATCH_RECORDS, NULL), 10);
}
END_TEST

START_TEST(a_missing_index_of_an_older_segment_is_damage)
{
        fill_three();
        store_rotate(store);
        commit();
        fill(10, 1);
        remove_file(FIRST_INDEX);
        reopen();
        /* The oldest segment is as good as gone; its text stays where it is. */
        ck_assert_uint_eq(expect(store_source(store, "c"), 1, BATCH_LOST, "store-damaged"), 9);
        ck_assert_uint_eq(expect(store_source(store, "c"), 10, BATCH_RECORDS, NULL), 10);
        ck_assert_uint_eq(count_segments(), 2);
}
END_TEST

START_TEST(a_lost_header_is_made_up_from_the_segments_before)
{
        const char *last = "00000000000000000012.idx";

        fill_three();
        ck_assert_int_eq(append(2, 1, 1), 0);
        commit();
        store_rotate(store);
        fill(10, 1);
        store_rotate(store);
        fill(11, 1);
        ck_assert_uint_eq(count_segments(), 3);
        close_store();
        ck_assert(sim_disk_flip(sim, last, (uint64_t) _i * INDEX_ENTRY_SIZE + 40, 1));
        open_store();
        ck_assert_uint_gt(report.n_damages, 0);
        ck_assert_uint_eq(position(1), 11);
        ck_assert_uint_eq(position(2), 1);
        fill(12, 1);
        reopen();
        ck_assert_uint_eq(report.n_damages, 0);
        ck_assert_uint_eq(position(1), 12);
        ck_assert_uint_eq(position(2), 1);
}
END_TEST

START_TEST(with_nothing_left_of_the_index_another_stream_begins)
{
        static const uint8_t zero[16 * INDEX_ENTRY_SIZE];
        SourceRange before, after;
        Source *source;

        fill_three();
        before = range_of(store_source(store, "c"));
        close_store();
        sim_disk_put(sim, FIRST_INDEX, zero, sizeof zero);
        open_store();
        source = store_source(store, "c");
        after = range_of(source);
        ck_assert(!stream_id_equal(&before.stream, &after.stream));
        /* The lines say how many records there were. */
        expect_report(1, 9);
        ck_assert_uint_eq(after.newest, 9);
        ck_assert_uint_eq(expect(source, 1, BATCH_LOST, "store-damaged"), 9);
        ck_assert_uint_eq(position(1), 0);
        ck_assert_int_eq(append(1, 1, 1), 0);
        commit();
        before = after;
        reopen();
        ck_assert_uint_eq(report.n_damages, 0);
        after = range_of(store_source(store, "c"));
        ck_assert(stream_id_equal(&before.stream, &after.stream));
        ck_assert_uint_eq(expect(store_source(store, "c"), 10, BATCH_RECORDS, NULL), 10);
}
END_TEST

START_TEST(a_deleted_segment_that_was_damaged_is_kept_aside)
{
        Disk *disk;
        uint64_t size;
        Source *source;

        options.delete_acked = true;
        reopen();
        fill_three();
        store_rotate(store);
        commit();
        ck_assert(sim_disk_flip(sim, FIRST_TEXT, 3, 1));
        source = store_source(store, "c");
        ck_assert_uint_eq(expect(source, 1, BATCH_LOST, "store-damaged"), 3);
        release(source, 9);
        commit_all();
        ck_assert_uint_eq(range_of(source).oldest, 10);
        disk = sim_disk_attach(sim);
        ck_assert_int_eq(disk->open(disk, FIRST_TEXT, O_RDONLY), -ENOENT);
        (void) disk_free(disk);
        ck_assert(sim_disk_bytes(sim, FIRST_TEXT ".damaged", &size));
        ck_assert(sim_disk_bytes(sim, FIRST_INDEX ".damaged", &size));
}
END_TEST

START_TEST(what_was_begun_and_never_durable_is_set_aside)
{
        uint64_t size;

        fill_three();
        store_rotate(store);
        commit();
        close_store();
        sim_disk_put(sim, "00000000000000000099.log", "half", 4);
        sim_disk_put(sim, "00000000000000000098.log", "", 0);
        sim_disk_put(sim, "new.idx", "half", 4);
        open_store();
        ck_assert_uint_eq(report.n_damages, 0);
        ck_assert(!sim_disk_bytes(sim, "00000000000000000098.log", &size));
        ck_assert(!sim_disk_bytes(sim, "00000000000000000099.log", &size));
        ck_assert(!sim_disk_bytes(sim, "new.idx", &size));
        ck_assert(sim_disk_bytes(sim, "00000000000000000099.log.orphan", &size));
        ck_assert_uint_eq(size, 4);
        fill(10, 1);
}
END_TEST

/* Any one byte of either file: opening works, what is shown is right, and what is not shown is told. */
static void flip_each(const char *name)
{
        uint64_t size, seq, shown;
        char text[4096];
        Batch batch, expected;
        Source *source;
        int r;

        for (uint64_t offset = 0;; offset++) {
                teardown();
                setup();
                fill_three();
                ck_assert_int_eq(store_finish(store, true, now), 0);
                commit_all();
                ck_assert(sim_disk_bytes(sim, name, &size));
                if (offset >= size)
                        break;
                close_store();
                ck_assert(sim_disk_flip(sim, name, offset, (uint8_t) (1 + offset % 255)));
                open_store();
                source = store_source(store, "c");
                shown = 0;
                for (seq = 1; (r = source->get(source, seq, NULL, &batch)) > 0; seq = batch.last + 1) {
                        if (batch.reason != BATCH_RECORDS)
                                continue;
                        shown += batch.count;
                        expected = fixture_batch(1, batch.first, batch.last, text);
                        ck_assert_uint_eq(batch.size, expected.size);
                        ck_assert_mem_eq(batch.payload, text, batch.size);
                }
                ck_assert_int_eq(r, 0);
                ck_assert_uint_eq(seq, 10);
                ck_assert_uint_ge(shown, 6);
                ck_assert_uint_ge(position(1), 6);
                ck_assert(report.n_damages > 0 || shown == 9);
        }
}

START_TEST(any_byte_of_the_text_may_rot)
{
        flip_each(FIRST_TEXT);
}
END_TEST

START_TEST(any_byte_of_the_index_may_rot)
{
        flip_each(FIRST_INDEX);
        ck_assert(marks_reached("store-damage"));
}
END_TEST

/* A process whose sync failed leaves its bytes in the page cache: the next process must not count them as
 * durable. */
START_TEST(bytes_left_by_a_failed_sync_are_written_again)
{
        StoreJob job;

        ck_assert_int_eq(append(1, 1, 3), 0);
        commit();
        ck_assert_int_eq(append(1, 4, 6), 0);
        ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        sim_disk_fail_sync_at(sim, 1 + (uint64_t) _i);
        ck_assert_int_lt(store_job_run(&job), 0);
        /* Killed before it could do anything about it. */
        reopen();
        ck_assert_uint_eq(position(1), 6);
        close_store();
        sim_disk_power_cycle(sim);
        open_store();
        ck_assert_uint_eq(position(1), 6);
        ck_assert_uint_eq(expect(store_source(store, "c"), 4, BATCH_RECORDS, NULL), 6);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-damage");
        TCase *tcase = tcase_create("store-damage");

        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, a_rotten_text_is_reported_and_passed_over, 0, 3);
        tcase_add_loop_test(tcase, a_rotten_entry_is_reported_and_passed_over, 0, 3);
        tcase_add_test(tcase, after_a_clean_end_everything_counts);
        tcase_add_test(tcase, a_clean_end_is_the_last_entry);
        tcase_add_test(tcase, damage_that_appears_while_open_is_told_to_the_reader);
        tcase_add_test(tcase, damage_in_an_older_segment_is_told_to_the_reader);
        tcase_add_test(tcase, a_missing_text_is_damage);
        tcase_add_test(tcase, a_missing_index_of_an_older_segment_is_damage);
        tcase_add_loop_test(tcase, a_lost_header_is_made_up_from_the_segments_before, 0, 3);
        tcase_add_test(tcase, with_nothing_left_of_the_index_another_stream_begins);
        tcase_add_test(tcase, a_deleted_segment_that_was_damaged_is_kept_aside);
        tcase_add_test(tcase, what_was_begun_and_never_durable_is_set_aside);
        tcase_add_test(tcase, any_byte_of_the_text_may_rot);
        tcase_add_test(tcase, any_byte_of_the_index_may_rot);
        tcase_add_loop_test(tcase, bytes_left_by_a_failed_sync_are_written_again, 0, 2);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
