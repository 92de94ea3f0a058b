/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the store does when everything goes well: positions, groups, rotation, streams that end, the clean
 * end, names for ausearch.
 */

#include "store-case.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

/* --- Delivering --- */

START_TEST(a_new_directory_is_empty)
{
        Source *source = store_source(store, "collector");
        SourceRange range = range_of(source);
        Batch batch;

        ck_assert(report.created);
        ck_assert(!store_dirty(store));
        ck_assert_uint_eq(range.oldest, 1);
        ck_assert_uint_eq(range.newest, 0);
        ck_assert(!stream_id_is_null(&range.stream));
        ck_assert_int_eq(source->get(source, 1, NULL, &batch), 0);
        ck_assert_int_eq(source->get(source, 2, NULL, &batch), -ESTALE);
        ck_assert_uint_eq(position(1), 0);
}
END_TEST

START_TEST(nothing_is_shown_before_it_is_durable)
{
        Source *source = store_source(store, "collector");
        StoreJob job;
        Batch batch;

        ck_assert_int_eq(append(1, 1, 3), 0);
        ck_assert_uint_eq(position(1), 3);
        ck_assert_uint_eq(range_of(source).newest, 0);
        ck_assert_int_eq(source->get(source, 1, NULL, &batch), 0);
        ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        ck_assert_int_eq(append(1, 4, 4), 0);
        ck_assert_uint_eq(range_of(source).newest, 0);
        ck_assert_int_eq(source->get(source, 1, NULL, &batch), 0);
        ck_assert_int_eq(source->get(source, 2, NULL, &batch), -ESTALE);
        ck_assert_int_eq(store_job_run(&job), 0);
        ck_assert_int_eq(store_commit_end(store, 0, now), 0);
        ck_assert_uint_eq(range_of(source).newest, 3);
        ck_assert(store_dirty(store));
        commit();
        ck_assert_uint_eq(range_of(source).newest, 4);
        ck_assert_uint_eq(expect(source, 1, BATCH_RECORDS, NULL), 3);
        ck_assert_uint_eq(expect(source, 4, BATCH_RECORDS, NULL), 4);
        ck_assert(!store_dirty(store));
}
END_TEST

START_TEST(batches_come_in_order_from_their_owner)
{
        StreamId id = fixture_stream(1), null = { { 0 } };
        Sink *sink = store_sink(store);
        uint64_t last, checksum;
        char text[256];
        Batch batch;

        ck_assert_int_eq(append(1, 2, 3), -ESTALE);
        ck_assert_int_eq(append(1, 1, 3), 0);
        ck_assert_int_eq(append(1, 1, 3), -ESTALE);
        ck_assert_int_eq(append(1, 5, 6), -ESTALE);
        ck_assert_int_eq(sink->position(sink, &id, "thief", &last, &checksum), -EPERM);
        batch = fixture_batch(1, 4, 4, text);
        ck_assert_int_eq(sink->append(sink, &id, "thief", &batch, &batch, now), -EPERM);
        ck_assert_int_eq(sink->append(sink, &null, "owner", &batch, &batch, now), -EINVAL);
        commit();
        reopen();
        sink = store_sink(store);
        ck_assert_int_eq(sink->position(sink, &id, "thief", &last, &checksum), -EPERM);
        ck_assert_int_eq(sink->position(sink, &id, "OWNER", &last, &checksum), 0);
        ck_assert_uint_eq(last, 3);
        ck_assert_uint_eq(position(1), 3);
        /* A heartbeat is nothing to store. */
        batch = (Batch) { .first = 4, .last = 3, .origin = BATCH_ORIGIN_KERNEL };
        batch_seal(&batch);
        ck_assert_int_eq(sink->append(sink, &id, "owner", &batch, &batch, now), 0);
        ck_assert(!store_dirty(store));
}
END_TEST

START_TEST(batches_without_records_move_the_stream_only)
{
        static const BatchReason reasons[] = { BATCH_FILTERED, BATCH_CUSTODY, BATCH_LOST };
        Batch batch = { .first = 4, .last = 9, .origin = BATCH_ORIGIN_KERNEL };
        StreamId id = fixture_stream(1);
        Sink *sink = store_sink(store);
        uint64_t last, checksum;

        ck_assert_int_eq(append(1, 1, 3), 0);
        batch.reason = reasons[_i];
        batch.size = batch.reason == BATCH_FILTERED ? 0 : 4;
        batch.payload = (const uint8_t *) "name";
        batch_seal(&batch);
        ck_assert_int_eq(sink->append(sink, &id, "owner", &batch, &batch, now), 0);
        ck_assert_int_eq(append(1, 10, 10), 0);
        commit();
        reopen();
        ck_assert_uint_eq(expect(store_source(store, "c"), 1, BATCH_RECORDS, NULL), 3);
        ck_assert_uint_eq(expect(store_source(store, "c"), 4, BATCH_RECORDS, NULL), 4);
        ck_assert_uint_eq(position(1), 10);
        /* … also when it is the last of all. */
        batch.first = 11;
        batch.last = 12;
        batch_seal(&batch);
        sink = store_sink(store);
        ck_assert_int_eq(sink->append(sink, &id, "owner", &batch, &batch, now), 0);
        commit();
        reopen();
        sink = store_sink(store);
        ck_assert_int_eq(sink->position(sink, &id, "owner", &last, &checksum), 0);
        ck_assert_uint_eq(last, 12);
        ck_assert_uint_eq(checksum, batch.checksum);
        ck_assert_uint_eq(range_of(store_source(store, "c")).newest, 4);
}
END_TEST

START_TEST(what_is_stored_may_differ_from_what_came)
{
        char came[512], kept[256];
        Batch received = fixture_batch(1, 1, 5, came), stored = fixture_batch(2, 1, 1, kept), shown;
        StreamId id = fixture_stream(1);
        Sink *sink = store_sink(store);
        Source *source;

        ck_assert_int_eq(sink->append(sink, &id, "owner", &received, &stored, now), 0);
        commit();
        reopen();
        source = store_source(store, "c");
        ck_assert_uint_eq(position(1), 5);
        ck_assert_int_eq(source->get(source, 1, NULL, &shown), 1);
        ck_assert_uint_eq(shown.last, 1);
        ck_assert_uint_eq(shown.size, stored.size);
        ck_assert_mem_eq(shown.payload, kept, stored.size);
}
END_TEST

START_TEST(a_group_has_a_limit)
{
        unsigned n = 0;

        options.group_bytes_max = 500 + 8 * INDEX_ENTRY_SIZE;
        reopen();
        while (append(1, n + 1, n + 1) == 0)
                n++;
        ck_assert_uint_gt(n, 3);
        ck_assert_int_eq(append(1, n + 1, n + 1), -EAGAIN);
        commit();
        ck_assert_int_eq(append(1, n + 1, n + 1), 0);
}
END_TEST

START_TEST(records_of_our_own_have_no_stream)
{
        char text[256];
        Batch batch = fixture_batch(1, 1, 1, text);
        StoreStatus status;

        batch.origin = BATCH_ORIGIN_LOCAL;
        batch_seal(&batch);
        ck_assert_int_eq(store_append_own(store, &batch, now), 0);
        commit();
        reopen();
        store_status(store, &status);
        ck_assert_uint_eq(status.streams, 0);
        ck_assert_uint_eq(status.newest, 1);
        ck_assert_uint_eq(report.last_usec, now);
        ck_assert_uint_eq(expect(store_source(store, "c"), 1, BATCH_RECORDS, NULL), 1);
}
END_TEST

/* --- Segments --- */

START_TEST(segments_end_by_size)
{
        Source *source;

        options.segment_size_max = 200;
        reopen();
        fill(1, 20);
        ck_assert_uint_gt(count_segments(), 4);
        reopen();
        ck_assert_uint_eq(position(1), 20);
        source = store_source(store, "c");
        ck_assert_uint_eq(range_of(source).oldest, 1);
        ck_assert_uint_eq(range_of(source).newest, 20);
        for (uint64_t seq = 1; seq <= 20; seq++)
                ck_assert_uint_eq(expect(source, seq, BATCH_RECORDS, NULL), seq);
        /* Backwards, too: no cursor to help. */
        for (uint64_t seq = 20; seq >= 1; seq--)
                ck_assert_uint_eq(expect(source, seq, BATCH_RECORDS, NULL), seq);
}
END_TEST

START_TEST(segments_end_by_age_and_when_told)
{
        options.segment_age_usec = 60 * USEC_PER_SEC;
        reopen();
        fill(1, 2);
        ck_assert_uint_eq(count_segments(), 1);
        now += 61 * USEC_PER_SEC;
        fill(3, 1);
        ck_assert_uint_eq(count_segments(), 2);
        store_rotate(store);
        ck_assert(store_dirty(store));
        commit();
        ck_assert_uint_eq(count_segments(), 3);
        ck_assert(!store_dirty(store));
        /* Nothing in it yet: nothing to end. */
        store_rotate(store);
        ck_assert(!store_dirty(store));
        reopen();
        ck_assert_uint_eq(position(1), 3);
        fill(4, 1);
        ck_assert_uint_eq(count_segments(), 3);
}
END_TEST

/* Nobody writes: it ends all the same, once, and what comes then goes on behind it. */
START_TEST(a_quiet_segment_ends_by_age)
{
        options.segment_age_usec = 60 * USEC_PER_SEC;
        reopen();
        ck_assert(!store_due(store, now));
        fill(1, 2);
        now += 59 * USEC_PER_SEC;
        ck_assert(!store_due(store, now));
        now += USEC_PER_SEC;
        ck_assert(!store_dirty(store));
        ck_assert(store_due(store, now));
        if (_i == 1) {
                /* So does one that a start has found, and one that a failed disk has ended. */
                reopen();
                ck_assert(store_due(store, now));
                sim_disk_fail_sync_at(sim, 1);
                store_probe(store);
                ck_assert_int_eq(fixture_commit(store, now), -EIO);
                ck_assert(store_due(store, now));
        }
        commit();
        ck_assert_uint_eq(count_segments(), 2);
        /* The new one has nothing that could be too old. */
        now += 600 * USEC_PER_SEC;
        ck_assert(!store_due(store, now));
        ck_assert_int_eq(fixture_commit(store, now), 0);
        reopen();
        ck_assert(!store_due(store, now));
        fill(3, 1);
        ck_assert_uint_eq(count_segments(), 2);
        ck_assert_uint_eq(position(1), 3);
        /* One that ends in order is left as it is. */
        now += 60 * USEC_PER_SEC;
        ck_assert_int_eq(store_finish(store, true, now), 0);
        commit_all();
        ck_assert_uint_eq(count_segments(), 2);
        reopen();
        ck_assert(report.clean_end);
}
END_TEST

/* Neither while a job is out, which has victims of its own, nor behind a failure. */
START_TEST(time_asks_for_nothing_that_cannot_be_done_now)
{
        StoreJob job;

        options.segment_age_usec = 60 * USEC_PER_SEC;
        reopen();
        fill(1, 1);
        ck_assert_int_eq(append(1, 2, 2), 0);
        ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        now += 60 * USEC_PER_SEC;
        ck_assert(!store_due(store, now));
        ck_assert_int_eq(store_commit_end(store, store_job_run(&job), now), 0);
        ck_assert(store_due(store, now));
        /* What is in the open group is of this segment. */
        ck_assert_int_eq(append(1, 3, 3), 0);
        ck_assert(!store_due(store, now));
        sim_disk_cut_at(sim, 1);
        ck_assert_int_eq(append(1, 4, 4), -EIO);
        ck_assert(!store_due(store, now));
        sim_disk_power_cycle(sim);
        store_step_back(store);
        reopen();
        ck_assert_uint_eq(position(1), 2);
}
END_TEST

START_TEST(reading_inside_a_batch_is_refused)
{
        Source *source = store_source(store, "c");
        uint64_t checksum;
        Batch batch;

        ck_assert_int_eq(append(1, 1, 5), 0);
        commit();
        ck_assert_int_eq(source->get(source, 3, NULL, &batch), -ESTALE);
        ck_assert_int_eq(source->ended(source, 3, &checksum), -ESTALE);
        ck_assert_int_eq(source->ended(source, 6, &checksum), -ESTALE);
        ck_assert_int_eq(source->ended(source, 0, &checksum), 0);
        ck_assert_int_eq(source->ended(source, 5, &checksum), 1);
        ck_assert_int_eq(source->get(source, 1, NULL, &batch), 1);
        ck_assert_uint_eq(batch.checksum, checksum);
}
END_TEST

START_TEST(a_cursor_reads_on_through_segments)
{
        Cursor cursor = { { 0 } };
        Source *source;
        Batch batch;
        uint64_t seq;

        options.segment_size_max = 500;
        reopen();
        fill(1, 100);
        source = store_source(store, "c");
        for (seq = 1; source->get(source, seq, &cursor, &batch) > 0; seq = batch.last + 1)
                ck_assert_int_eq(batch.reason, BATCH_RECORDS);
        ck_assert_uint_eq(seq, 101);
        fill(101, 3);
        ck_assert_int_eq(source->get(source, 101, &cursor, &batch), 1);
        ck_assert_int_eq(source->get(source, 7, &cursor, &batch), 1);
        ck_assert_uint_eq(batch.first, 7);
        cursor = (Cursor) { { 1, UINT64_MAX } };
        ck_assert_int_eq(source->get(source, 2, &cursor, &batch), 1);
}
END_TEST

/* --- Streams --- */

START_TEST(a_stream_that_ended_is_forgotten)
{
        StreamId id = fixture_stream(1);

        ck_assert_int_eq(append(1, 1, 3), 0);
        ck_assert_int_eq(append(2, 1, 1), 0);
        commit();
        ck_assert_int_eq(store_stream_end(store, &id, now), 0);
        ck_assert(store_dirty(store));
        ck_assert_uint_eq(position(1), 3);
        commit();
        ck_assert_uint_eq(position(1), 0);
        reopen();
        ck_assert_uint_eq(position(1), 0);
        ck_assert_uint_eq(position(2), 1);
        /* Ended in the group in which it came. */
        ck_assert_int_eq(append(1, 1, 2), 0);
        ck_assert_int_eq(store_stream_end(store, &id, now), 0);
        commit();
        reopen();
        ck_assert_uint_eq(position(1), 0);
        /* It goes on after all: before the commit, and while the commit runs. */
        ck_assert_int_eq(append(1, 1, 2), 0);
        commit();
        ck_assert_int_eq(store_stream_end(store, &id, now), 0);
        ck_assert_int_eq(append(1, 3, 3), 0);
        commit();
        reopen();
        ck_assert_uint_eq(position(1), 3);
}
END_TEST

START_TEST(streams_are_listed_until_they_are_forgotten)
{
        StreamId id = fixture_stream(1), unknown = fixture_stream(9);
        const void *position_of = NULL;
        StoreStream row;

        ck_assert_int_eq(append(1, 1, 3), 0);
        ck_assert(!store_stream_next(store, &position_of, &row)); /* not durable yet */
        commit();
        ck_assert(store_stream_next(store, &position_of, &row));
        ck_assert(stream_id_equal(&row.id, &id));
        ck_assert_uint_eq(row.last, 3);
        ck_assert_uint_gt(row.seen_usec, 0);
        ck_assert(!store_stream_next(store, &position_of, &row));
        store_stream_forget(store, &unknown);
        ck_assert(!store_dirty(store));
        store_stream_forget(store, &id);
        ck_assert(store_dirty(store));
        commit();
        position_of = NULL;
        ck_assert(!store_stream_next(store, &position_of, &row));
        reopen();
        ck_assert_uint_eq(position(1), 0);
}
END_TEST

START_TEST(a_stream_that_goes_on_while_its_end_is_committed_keeps_its_owner)
{
        StreamId id = fixture_stream(1);
        uint64_t last, checksum;
        Sink *sink;
        StoreJob job;

        ck_assert_int_eq(append(1, 1, 2), 0);
        commit();
        ck_assert_int_eq(store_stream_end(store, &id, now), 0);
        ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        ck_assert_int_eq(append(1, 3, 3), 0);
        ck_assert_int_eq(store_commit_end(store, store_job_run(&job), now), 0);
        ck_assert_uint_eq(position(1), 3);
        commit();
        reopen();
        ck_assert_uint_eq(position(1), 3);
        sink = store_sink(store);
        ck_assert_int_eq(sink->position(sink, &id, "thief", &last, &checksum), -EPERM);
}
END_TEST

START_TEST(idle_streams_leave_with_the_next_segment)
{
        options.stream_forget_usec = 400 * 86400 * USEC_PER_SEC;
        reopen();
        ck_assert_int_eq(append(1, 1, 1), 0);
        commit();
        now += 401 * 86400 * USEC_PER_SEC;
        ck_assert_int_eq(append(2, 1, 1), 0);
        commit();
        ck_assert_uint_eq(position(1), 1);
        store_rotate(store);
        commit();
        ck_assert_uint_eq(position(1), 0);
        ck_assert_uint_eq(position(2), 1);
        reopen();
        ck_assert_uint_eq(position(1), 0);
        ck_assert_uint_eq(position(2), 1);
}
END_TEST

/* Or its session would find itself in a stream that nobody knows, and the next batch that it takes would be none of the store's. */
START_TEST(who_has_nothing_to_say_is_not_forgotten)
{
        static const Batch beat = { .first = 2, .last = 1, .origin = BATCH_ORIGIN_LOCAL };
        StreamId id = fixture_stream(1);
        Sink *sink;

        options.stream_forget_usec = 400 * 86400 * USEC_PER_SEC;
        reopen();
        sink = store_sink(store);
        ck_assert_int_eq(append(1, 1, 1), 0);
        ck_assert_int_eq(append(2, 1, 1), 0);
        commit();
        now += 401 * 86400 * USEC_PER_SEC;
        ck_assert_int_eq(sink->append(sink, &id, "owner", &beat, &beat, now), 0);
        id = fixture_stream(9);
        ck_assert_int_eq(sink->append(sink, &id, "owner", &beat, &beat, now), 0);
        ck_assert(!store_dirty(store));
        store_rotate(store);
        commit();
        ck_assert_uint_eq(position(1), 1);
        ck_assert_uint_eq(position(2), 0);
        ck_assert_int_eq(append(1, 2, 2), 0);
        commit();
}
END_TEST

START_TEST(many_streams_are_known)
{
        for (unsigned s = 0; s < 200; s++)
                ck_assert_int_eq(append(s, 1, s % 7 + 1), 0);
        commit();
        store_rotate(store);
        commit();
        for (unsigned s = 0; s < 200; s += 2)
                ck_assert_int_eq(append(s, s % 7 + 2, s % 7 + 2), 0);
        commit();
        reopen();
        for (unsigned s = 0; s < 200; s++)
                ck_assert_uint_eq(position(s), s % 2 ? s % 7 + 1 : s % 7 + 2);
}
END_TEST

/* --- Ends --- */

START_TEST(a_clean_end_is_known)
{
        ck_assert_int_eq(append(1, 1, 1), 0);
        ck_assert_int_eq(store_finish(store, true, now), 0);
        /* What is open goes first, the mark behind it. */
        commit_all();
        reopen();
        ck_assert(report.clean_end);
        ck_assert(!report.created);
        ck_assert_uint_eq(report.last_usec, now);
        ck_assert_int_eq(append(1, 2, 2), 0);
        commit();
        reopen();
        ck_assert(!report.clean_end);
        ck_assert_int_eq(store_finish(store, true, now), 0);
        ck_assert_int_eq(append(1, 3, 3), 0);
        commit_all();
        reopen();
        ck_assert(!report.clean_end);
        ck_assert_uint_eq(position(1), 3);
}
END_TEST

/* Begun again, it has no clean end any more, whatever becomes durable then; also on a disk without room. */
START_TEST(a_clean_end_is_taken_back)
{
        ck_assert_int_eq(append(1, 1, 1), 0);
        ck_assert_int_eq(store_finish(store, true, now), 0);
        commit_all();
        for (unsigned i = 0; i < 2; i++) {
                reopen();
                ck_assert(report.clean_end);
                if (i == 0)
                        continue;
                sim_disk_set_capacity(sim, 0);
                ck_assert_int_eq(store_begin(store, now), 0);
                ck_assert(!store_dirty(store));
        }
        close_store();
        sim_disk_power_cycle(sim);
        open_store();
        ck_assert(!report.clean_end);
        ck_assert_int_eq(report.n_damages, 0);
        ck_assert_uint_eq(position(1), 1);
        /* Not twice. */
        ck_assert_int_eq(store_begin(store, now), 0);
        sim_disk_set_capacity(sim, UINT64_MAX);
        ck_assert_int_eq(store_finish(store, true, now), 0);
        commit_all();
        reopen();
        ck_assert(report.clean_end);
}
END_TEST

START_TEST(a_failed_beginning_is_tried_again)
{
        ck_assert_int_eq(append(1, 1, 1), 0);
        ck_assert_int_eq(store_finish(store, true, now), 0);
        commit_all();
        reopen();
        sim_disk_fail_sync_at(sim, 1);
        ck_assert_int_eq(store_begin(store, now), -EIO);
        ck_assert(store_dirty(store));
        commit();
        close_store();
        sim_disk_power_cycle(sim);
        open_store();
        ck_assert(!report.clean_end);
        ck_assert_uint_eq(position(1), 1);
}
END_TEST

/* A new store that was begun is not new any more, though it holds nothing. */
START_TEST(a_new_store_is_begun)
{
        ck_assert(report.created);
        ck_assert_int_eq(store_begin(store, now), 0);
        close_store();
        sim_disk_power_cycle(sim);
        open_store();
        ck_assert(!report.created);
        ck_assert(!report.clean_end);
        ck_assert_uint_eq(report.last_usec, now);
        ck_assert_int_eq(append(1, 1, 1), 0);
        commit();
}
END_TEST

/* The end that is not called clean is an end all the same: its mark covers everything. */
START_TEST(an_end_need_not_be_clean)
{
        ck_assert_int_eq(append(1, 1, 1), 0);
        ck_assert_int_eq(store_finish(store, false, now), 0);
        commit_all();
        reopen();
        ck_assert(!report.clean_end);
        ck_assert_uint_eq(position(1), 1);
}
END_TEST

START_TEST(an_unused_store_ends_cleanly_too)
{
        ck_assert_int_eq(store_finish(store, true, now), 0);
        commit_all();
        reopen();
        ck_assert(report.clean_end);
        ck_assert_int_eq(append(1, 1, 1), 0);
        commit();
        reopen();
        ck_assert_uint_eq(position(1), 1);
}
END_TEST

static unsigned n_progress;

static void on_progress(void)
{
        n_progress++;
}

/* So that whoever waits for it can tell a long start from one that hangs; but not for each entry, as he looks at the clock. */
START_TEST(opening_says_that_it_gets_on)
{
        uint64_t size, entries;

        for (uint64_t n = 1; n <= 500; n++) {
                ck_assert_int_eq(append(1, n, n), 0);
                commit();
        }
        ck_assert_ptr_nonnull(sim_disk_bytes(sim, "00000000000000000001.idx", &size));
        entries = size / INDEX_ENTRY_SIZE;
        close_store();
        options.progress = on_progress;
        n_progress = 0;
        open_store();
        ck_assert_uint_ge(n_progress, entries / 64);
        ck_assert_uint_lt(n_progress, entries / 8);
        options.progress = NULL;
}
END_TEST

START_TEST(two_cannot_have_one_store)
{
        StoreOptions second = fixture_options(sim_disk_attach(sim));
        StoreReport ignored;
        Store *other;

        ck_assert_int_eq(store_open(&second, now, &other, &ignored), -EBUSY);
        (void) disk_free(second.disk);
}
END_TEST

START_TEST(a_newer_format_is_left_alone)
{
        uint8_t bytes[INDEX_ENTRY_SIZE], chain[SHA256_SIZE] = { 0 };
        IndexEntry entry = {.kind = INDEX_SEGMENT,
                            .segment = {.version = INDEX_FORMAT_VERSION + 1, .first = 1}};
        StoreOptions newer;
        StoreReport ignored;
        Store *other;

        index_encode(&entry, NULL, chain, bytes);
        close_store();
        sim_disk_put(sim, "00000000000000000001.idx", bytes, sizeof bytes);
        newer = fixture_options(sim_disk_attach(sim));
        ck_assert_int_eq(store_open(&newer, now, &other, &ignored), -EPROTONOSUPPORT);
        (void) disk_free(newer.disk);
}
END_TEST

START_TEST(a_chain_begins_where_it_is_asked_for)
{
        uint8_t chain[SHA256_SIZE], again[INDEX_ENTRY_SIZE];
        IndexEntry entry;
        const uint8_t *bytes;
        uint64_t size;

        fill(1, 2);
        options.hash = fixture_hash;
        reopen();
        fill(3, 2);
        ck_assert_uint_eq(count_segments(), 2);
        bytes = sim_disk_bytes(sim, "00000000000000000003.idx", &size);
        ck_assert_int_eq(index_decode(bytes, 0, &entry), 0);
        ck_assert_uint_eq(entry.flags, INDEX_FLAG_CHAINED);
        memcpy(chain, entry.segment.head, SHA256_SIZE);
        for (uint32_t i = 0; i < size / INDEX_ENTRY_SIZE; i++) {
                ck_assert_int_eq(index_decode(bytes + (size_t) i * INDEX_ENTRY_SIZE, i, &entry), 0);
                index_encode(&entry, fixture_hash, chain, again);
                ck_assert_mem_eq(again, bytes + (size_t) i * INDEX_ENTRY_SIZE, INDEX_ENTRY_SIZE);
        }
}
END_TEST

/* --- Names for ausearch, on a real file system --- */

static char directory[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

static void open_real(void)
{
        ck_assert_int_eq(disk_open(directory, &options.disk), 0);
        ck_assert_int_eq(store_open(&options, now, &store, &report), 0);
}

static void setup_real(void)
{
        strcpy(directory, "/tmp/test-store-XXXXXX");
        ck_assert(mkdtemp(directory));
        options = fixture_options(NULL);
        options.links = true;
        options.segment_size_max = 200;
        options.delete_acked = true;
        open_real();
}

static void teardown_real(void)
{
        close_store();
        (void) nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* All links lead to text, the newest first, and there are n of them. */
static void check_links(unsigned n)
{
        char path[256], line[256];
        unsigned long long seq, before = UINT64_MAX;
        FILE *file;

        for (unsigned i = 0; i < n; i++) {
                if (i == 0)
                        snprintf(path, sizeof path, "%s/ausearch/audit.log", directory);
                else
                        snprintf(path, sizeof path, "%s/ausearch/audit.log.%u", directory, i);
                file = fopen(path, "re");
                ck_assert_msg(file != NULL, "%s", path);
                ck_assert(fgets(line, sizeof line, file));
                ck_assert_int_eq(sscanf(line, "node=n1 type=USER msg=audit(1.000:%llu)", &seq), 1);
                ck_assert(seq < before);
                before = seq;
                fclose(file);
        }
        snprintf(path, sizeof path, "%s/ausearch/audit.log.%u", directory, n);
        ck_assert_int_eq(access(path, F_OK), -1);
        snprintf(path, sizeof path, "%s/audit.log", directory);
        ck_assert_int_eq(access(path, R_OK), 0);
}

START_TEST(ausearch_finds_its_names)
{
        StoreStatus status;
        char path[128];
        Source *source;

        fill(1, 12);
        store_status(store, &status);
        ck_assert_uint_gt(status.segments, 3);
        check_links((unsigned) status.segments);
        source = store_source(store, "c");
        release(source, 6);
        commit_all();
        store_status(store, &status);
        check_links((unsigned) status.segments);
        snprintf(path, sizeof path, "%s/ausearch", directory);
        ck_assert_int_eq(unlink(path), 0);
        close_store();
        open_real();
        check_links((unsigned) status.segments);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store");
        TCase *tcase = tcase_create("simulated"), *real = tcase_create("real");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, a_new_directory_is_empty);
        tcase_add_test(tcase, nothing_is_shown_before_it_is_durable);
        tcase_add_test(tcase, batches_come_in_order_from_their_owner);
        tcase_add_loop_test(tcase, batches_without_records_move_the_stream_only, 0, 3);
        tcase_add_test(tcase, what_is_stored_may_differ_from_what_came);
        tcase_add_test(tcase, a_group_has_a_limit);
        tcase_add_test(tcase, records_of_our_own_have_no_stream);
        tcase_add_test(tcase, segments_end_by_size);
        tcase_add_test(tcase, segments_end_by_age_and_when_told);
        tcase_add_loop_test(tcase, a_quiet_segment_ends_by_age, 0, 2);
        tcase_add_test(tcase, time_asks_for_nothing_that_cannot_be_done_now);
        tcase_add_test(tcase, reading_inside_a_batch_is_refused);
        tcase_add_test(tcase, a_cursor_reads_on_through_segments);
        tcase_add_test(tcase, a_stream_that_ended_is_forgotten);
        tcase_add_test(tcase, streams_are_listed_until_they_are_forgotten);
        tcase_add_test(tcase, a_stream_that_goes_on_while_its_end_is_committed_keeps_its_owner);
        tcase_add_test(tcase, idle_streams_leave_with_the_next_segment);
        tcase_add_test(tcase, who_has_nothing_to_say_is_not_forgotten);
        tcase_add_test(tcase, many_streams_are_known);
        tcase_add_test(tcase, a_clean_end_is_known);
        tcase_add_test(tcase, a_clean_end_is_taken_back);
        tcase_add_test(tcase, a_failed_beginning_is_tried_again);
        tcase_add_test(tcase, a_new_store_is_begun);
        tcase_add_test(tcase, an_end_need_not_be_clean);
        tcase_add_test(tcase, an_unused_store_ends_cleanly_too);
        tcase_add_test(tcase, opening_says_that_it_gets_on);
        tcase_add_test(tcase, two_cannot_have_one_store);
        tcase_add_test(tcase, a_newer_format_is_left_alone);
        tcase_add_test(tcase, a_chain_begins_where_it_is_asked_for);
        suite_add_tcase(suite, tcase);
        tcase_add_checked_fixture(real, setup_real, teardown_real);
        tcase_add_test(real, ausearch_finds_its_names);
        suite_add_tcase(suite, real);
        return check_main(suite);
}
