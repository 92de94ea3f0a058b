/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Limits of the store and what it is asked at or beyond them; names and entries that it did not write. */

#include "store-case.h"
#include "fault-disk.h"
#include "basic/bytes.h"
#include "store/index.h"

#include <inttypes.h>

/* The entry's fields changed, with the checksum that fits. */
static int decode_changed(const IndexEntry *entry, size_t offset, uint8_t value)
{
        uint8_t bytes[INDEX_ENTRY_SIZE], chain[SHA256_SIZE] = { 0 };
        IndexEntry decoded;

        index_encode(entry, NULL, chain, bytes);
        ck_assert_int_eq(index_decode(bytes, entry->number, &decoded), 0);
        bytes[offset] = value;
        put_le64(bytes + 8, checksum64_pair(bytes, 8, bytes + 16, sizeof bytes - 16));
        return index_decode(bytes, entry->number, &decoded);
}

START_TEST(entries_keep_their_rules)
{
        IndexEntry stream = { .kind = INDEX_STREAM, .stream = { .stream = fixture_stream(1), .owner = "owner" } };
        IndexEntry custody = { .kind = INDEX_CUSTODY, .custody = { .seq = 1, .collector = "c" } };
        IndexEntry batch = { .kind = INDEX_BATCH, .batch = { .received_first = 1, .received_last = 1 } };
        IndexEntry filtered;
        char text[256];

        batch.batch.stored = fixture_batch(1, 1, 1, text);
        ck_assert_int_eq(decode_changed(&stream, 4, 0), -EBADMSG); /* kind */
        ck_assert_int_eq(decode_changed(&stream, 4, 200), -EBADMSG);
        ck_assert_int_eq(decode_changed(&stream, 64, NODE_NAME_MAX + 1), -EBADMSG); /* length of the owner */
        ck_assert_int_eq(decode_changed(&stream, 66, 0), -EBADMSG);                 /* NUL within */
        ck_assert_int_eq(decode_changed(&custody, 64, UINT8_MAX), -EBADMSG);
        ck_assert_int_eq(decode_changed(&batch, 128, _BATCH_REASON_MAX), -EBADMSG); /* reason received */
        ck_assert_int_eq(decode_changed(&batch, 24, 9), -EBADMSG);                  /* first, within the header */
        filtered = batch;
        filtered.batch.stored.reason = BATCH_FILTERED;
        batch_seal(&filtered.batch.stored);
        ck_assert_int_eq(index_decode((uint8_t[INDEX_ENTRY_SIZE]){ 0 }, 0, &stream), -EBADMSG);
        {
                uint8_t bytes[INDEX_ENTRY_SIZE], chain[SHA256_SIZE] = { 0 };
                IndexEntry decoded;

                index_encode(&filtered, NULL, chain, bytes);
                ck_assert_int_eq(index_decode(bytes, 0, &decoded), -EBADMSG);
        }
}
END_TEST

START_TEST(foreign_names_are_left_alone)
{
        static const char *const names[] = {
                "audit.log.old", "0000000000000000000a.log", "+0000000000000000001.log", "00000000000000000000.log",
                "18446744073709551615.idx", "18446744073709551616.idx", "99999999999999999999.log",
                "00000000000000000001.tmp", ":0000000000000000000.log",
        };
        uint64_t size;

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                sim_disk_put(sim, names[i], "x", 1);
        fill(1, 3);
        reopen();
        ck_assert_uint_eq(position(1), 3);
        ck_assert_uint_eq(range_of(store_source(store, "c")).oldest, 1);
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                ck_assert_msg(sim_disk_bytes(sim, names[i], &size) != NULL, "%s", names[i]);
}
END_TEST

START_TEST(owners_and_names_have_a_longest)
{
        char text[256], longest[NODE_NAME_MAX + 2];
        Batch batch = fixture_batch(1, 1, 1, text);
        Sink *sink = store_sink(store);
        StreamId id = fixture_stream(1), null = { { 0 } };
        uint64_t last, checksum;

        memset(longest, 'x', sizeof longest - 1);
        longest[sizeof longest - 1] = '\0';
        ck_assert_int_eq(sink->append(sink, &id, longest, &batch, &batch, now), -EINVAL);
        ck_assert_int_eq(sink->append(sink, &null, "owner", &batch, &batch, now), -EINVAL);
        ck_assert_ptr_null(store_source(store, longest));
        longest[NODE_NAME_MAX] = '\0';
        ck_assert_ptr_nonnull(store_source(store, longest));
        ck_assert_int_eq(sink->append(sink, &id, longest, &batch, &batch, now), 0);
        commit();
        reopen();
        sink = store_sink(store);
        ck_assert_int_eq(sink->position(sink, &id, longest, &last, &checksum), 0);
        ck_assert_uint_eq(last, 1);
        ck_assert_int_eq(sink->position(sink, &id, NULL, &last, &checksum), -EPERM);
        ck_assert_int_eq(sink->append(sink, &id, NULL, &batch, &batch, now), -EPERM);
}
END_TEST

START_TEST(the_collector_furthest_behind_makes_room)
{
        Source *source;
        char name[16];

        fill(1, 40);
        /* Remembered from an earlier life, not used in this one. */
        for (unsigned i = 0; i < 32; i++) {
                (void) snprintf(name, sizeof name, "c%u", i);
                source = store_source(store, name);
                ck_assert_ptr_nonnull(source);
                if (i != 7)
                        source->release(source, 3 + i, 1);
        }
        ck_assert_ptr_null(store_source(store, "one more"));
        store_source(store, "c7")->release(store_source(store, "c7"), 2, 1);
        commit_all();
        reopen();
        ck_assert_ptr_nonnull(store_source(store, "one more"));
        /* The others are known as before: below them nothing is offered twice. */
        ck_assert_uint_eq(range_of(store_source(store, "one more")).oldest, 35);
        for (unsigned i = 8; i < 32; i++) {
                (void) snprintf(name, sizeof name, "c%u", i);
                ck_assert_ptr_nonnull(store_source(store, name));
        }
}
END_TEST

static int append_filtered(unsigned s, uint64_t seq)
{
        Batch batch = { .first = seq, .last = seq, .origin = BATCH_ORIGIN_LOCAL, .reason = BATCH_FILTERED };
        StreamId id = fixture_stream(s);
        Sink *sink = store_sink(store);

        batch.payload = (const uint8_t *) "";
        batch_seal(&batch);
        return sink->append(sink, &id, "owner", &batch, &batch, now);
}

/* A segment of nothing but these is replaced by one of the same name, which begins with all that it said. */
START_TEST(what_is_in_flight_is_not_missing_where_its_segment_is_replaced)
{
        StreamId id = fixture_stream(2);
        StoreJob job;

        ck_assert_int_eq(append_filtered(2, 1), 0);
        commit();
        options.hash = fixture_hash;
        reopen();
        ck_assert_int_eq(store_stream_end(store, &id, now), 0);
        ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        ck_assert_int_eq(append_filtered(1, 1), -EAGAIN);
        ck_assert_int_eq(store_commit_end(store, store_job_run(&job), now), 0);
        ck_assert_int_eq(append_filtered(1, 1), 0);
        commit();
        reopen();
        ck_assert_uint_eq(count_segments(), 1);
        ck_assert_uint_eq(position(1), 1);
        ck_assert_uint_eq(position(2), 0);
}
END_TEST

START_TEST(tiny_batches_are_limited_too)
{
        uint64_t n = 0;
        int r;

        while ((r = append_filtered(1, n + 1)) == 0)
                n++;
        ck_assert_int_eq(r, -EAGAIN);
        ck_assert_uint_gt(n, 1000);
        commit();
        reopen();
        ck_assert_uint_eq(position(1), n);
}
END_TEST

START_TEST(a_clock_that_goes_back_rotates_and_forgets_nothing)
{
        options.segment_age_usec = 60 * USEC_PER_SEC;
        options.retention_usec = 60 * USEC_PER_SEC;
        options.delete_unacked = true;
        options.stream_forget_usec = 60 * USEC_PER_SEC;
        reopen();
        fill(1, 1);
        now += USEC_PER_SEC;
        fill(2, 1);
        now -= 100 * USEC_PER_SEC;
        fill(3, 2);
        ck_assert_uint_eq(count_segments(), 1);
        store_rotate(store);
        fill(5, 1);
        fill(6, 1);
        ck_assert_uint_eq(range_of(store_source(store, "c")).oldest, 1);
        ck_assert_uint_eq(position(1), 6);
        now += 10 * USEC_PER_SEC;
        fill(7, 2);
        ck_assert_uint_eq(range_of(store_source(store, "c")).oldest, 1);
        now += 151 * USEC_PER_SEC;
        fill(9, 1);
        ck_assert_uint_gt(range_of(store_source(store, "c")).oldest, 1);
        now -= 30 * USEC_PER_SEC;
        fill(10, 1);
        now = 1000 * USEC_PER_SEC;
}
END_TEST

START_TEST(the_end_of_a_stream_survives_a_failed_commit)
{
        StreamId id = fixture_stream(1), unknown = fixture_stream(9);
        StoreJob job;

        fill(1, 1);
        ck_assert_int_eq(append(3, 1, 1), 0);
        commit();
        ck_assert_int_eq(append(2, 1, 1), 0);
        ck_assert_int_eq(store_stream_end(store, &unknown, now), 0);
        ck_assert_int_eq(store_stream_end(store, &id, now), 0);
        ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        ck_assert_int_eq(store_commit_end(store, -EIO, now), -EIO);
        ck_assert_uint_eq(position(1), 1);
        ck_assert_uint_eq(position(2), 0);
        ck_assert(store_dirty(store));
        commit();
        ck_assert_uint_eq(position(1), 0);
        reopen();
        ck_assert_uint_eq(position(1), 0);
}
END_TEST

START_TEST(a_poisoned_store_says_so_until_it_steps_back)
{
        char text[256];
        Batch own = fixture_batch(0, 1, 1, text), none = own;
        StoreJob job;

        none.count = none.size = 0;
        ck_assert_int_eq(store_append_own(store, &none, now), -EINVAL);
        fill(1, 1);
        sim_disk_cut_at(sim, 1);
        ck_assert_int_eq(append(1, 2, 2), -EIO);
        sim_disk_power_cycle(sim);
        ck_assert_int_eq(append(1, 2, 2), -EIO);
        ck_assert_int_eq(store_append_own(store, &own, now), -EIO);
        ck_assert_int_eq(store_commit_begin(store, now, &job), -EIO);
        ck_assert_int_eq(store_finish(store, true, now), -EIO);
        store_step_back(store);
        reopen();
        fill(2, 1);
}
END_TEST

START_TEST(a_limit_smaller_than_a_segment_is_kept)
{
        options.use_max = 4;
        options.delete_unacked = true;
        reopen();
        ck_assert_int_eq(append(1, 1, 1), -ENOSPC);
        options.use_max = 0;
        reopen();
        fill(1, 1);
}
END_TEST

/* What is acked goes first when room is short; what is not stays, and delivery is refused until there is some. */
START_TEST(room_that_is_short_is_said_and_ends)
{
        Source *source;
        uint64_t n = 0;
        int r = 0;

        options.segment_size_max = 4096;
        options.keep_free.n = 256 * 1024;
        options.use_max = 8 * 1024 * 1024;
        sim_disk_set_capacity(sim, 1024 * 1024);
        reopen();
        for (; r == 0 && n < 20000; n += r == 0) {
                r = append(1, n + 1, n + 1);
                if (r == 0 && n % 10 == 0)
                        commit();
        }
        ck_assert_int_eq(r, -ENOSPC);
        ck_assert_int_eq(append(1, n + 1, n + 1), -ENOSPC);
        commit_all();
        /* A collector takes all of it. */
        source = store_source(store, "c");
        release(source, n);
        now += USEC_PER_SEC;
        sim_disk_set_capacity(sim, 2 * 1024 * 1024);
        ck_assert_int_eq(append(1, n + 1, n + 1), 0);
        commit();
}
END_TEST

/* Nothing new comes: what has to go goes all the same, and a disk that does not say how full it is deletes nothing. */
START_TEST(retention_needs_no_delivery)
{
        FaultPlan plan = { .error = -EIO };
        StoreJob job;

        options.segment_size_max = 4096;
        options.use_max = 1024 * 1024;
        options.delete_unacked = true;
        options.keep_free.n = 1;
        reopen();
        fill(1, 3);
        for (unsigned i = 0; i < 20; i++) {
                store_rotate(store);
                fill(4 + i, 1);
        }
        ck_assert(!store_dirty(store));
        options.use_max = 8 * 1024;
        reopen();
        ck_assert(store_dirty(store));
        commit_all();
        ck_assert_uint_gt(range_of(store_source(store, "c")).oldest, 1);
        close_store();
        options.use_max = 0;
        options.keep_free.n = UINT64_MAX / 2;
        options.disk = fault_disk_new(sim_disk_attach(sim), &plan);
        ck_assert_int_eq(store_open(&options, now, &store, &report), 0);
        fill(24, 1);
        ck_assert_uint_gt(range_of(store_source(store, "c")).oldest, 1);
        plan.at = plan.calls + 1;
        plan.for_ever = true;
        ck_assert_int_lt(store_commit_begin(store, now, &job), 1);
        plan.at = 0;
}
END_TEST

/* So many at a time, and only what some collector has, however much else may go by size. */
START_TEST(acked_segments_go_in_portions)
{
        StoreStatus status;
        Source *source;

        options.delete_acked = true;
        options.delete_unacked = true;
        reopen();
        for (unsigned i = 1; i <= 40; i++) {
                fill(i, 1);
                store_rotate(store);
        }
        commit_all();
        ck_assert_uint_ge(count_segments(), 40);
        source = store_source(store, "c");
        release(source, 38);
        commit();
        store_status(store, &status);
        ck_assert_uint_gt(status.oldest, 1);
        ck_assert_uint_lt(status.oldest, 38);
        commit_all();
        store_status(store, &status);
        ck_assert_uint_eq(status.oldest, 39);
}
END_TEST

START_TEST(a_full_disk_at_the_start_is_no_failure)
{
        uint64_t size;

        options.segment_size_max = 200;
        reopen();
        fill(1, 3);
        close_store();
        ck_assert(sim_disk_bytes(sim, "00000000000000000001.log", &size));
        ck_assert(sim_disk_flip(sim, "00000000000000000001.log", 10, 1));
        sim_disk_set_capacity(sim, 1);
        open_store();
        ck_assert_uint_eq(position(1), 3);
        sim_disk_set_capacity(sim, UINT64_C(1) << 40);
        commit_all();
        fill(4, 1);
        reopen();
        ck_assert_uint_eq(position(1), 4);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-edges");
        TCase *tcase = tcase_create("store-edges");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, entries_keep_their_rules);
        tcase_add_test(tcase, foreign_names_are_left_alone);
        tcase_add_test(tcase, owners_and_names_have_a_longest);
        tcase_add_test(tcase, the_collector_furthest_behind_makes_room);
        tcase_add_test(tcase, tiny_batches_are_limited_too);
        tcase_add_test(tcase, what_is_in_flight_is_not_missing_where_its_segment_is_replaced);
        tcase_add_test(tcase, a_clock_that_goes_back_rotates_and_forgets_nothing);
        tcase_add_test(tcase, the_end_of_a_stream_survives_a_failed_commit);
        tcase_add_test(tcase, a_poisoned_store_says_so_until_it_steps_back);
        tcase_add_test(tcase, a_limit_smaller_than_a_segment_is_kept);
        tcase_add_test(tcase, room_that_is_short_is_said_and_ends);
        tcase_add_test(tcase, retention_needs_no_delivery);
        tcase_add_test(tcase, acked_segments_go_in_portions);
        tcase_add_test(tcase, a_full_disk_at_the_start_is_no_failure);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
