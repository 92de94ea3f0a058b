/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a store keeps, for how long, and what becomes of records that nobody has when it is full. */

#include "store-case.h"

static uint64_t oldest(void)
{
        return range_of(store_source(store, "c")).oldest;
}

static StoreStatus status(void)
{
        StoreStatus s;

        store_status(store, &s);
        return s;
}

/* Acks all that is durable. */
static void take_all_there_is(void)
{
        Source *source = store_source(store, "c");

        source->release(source, range_of(source).newest, 0);
}

/* What the collector takes from `seq` on, all up to the newest: each seq once, as records or told as lost. Returns how many were
 * lost. */
static uint64_t take_all(uint64_t seq, const char *reason)
{
        Source *source = store_source(store, "c");
        uint64_t newest = range_of(source).newest, lost = 0;
        char text[4096];
        Batch batch, sent;

        while (seq <= newest) {
                ck_assert_int_eq(source->get(source, seq, NULL, &batch), 1);
                ck_assert_uint_eq(batch.first, seq);
                if (batch.reason == BATCH_LOST) {
                        ck_assert_uint_eq(batch.size, strlen(reason));
                        ck_assert_mem_eq(batch.payload, reason, batch.size);
                        lost += batch.last - batch.first + 1;
                } else {
                        ck_assert_int_eq(batch.reason, BATCH_RECORDS);
                        sent = fixture_batch(1, batch.first, batch.last, text);
                        ck_assert_uint_eq(batch.checksum, sent.checksum);
                }
                source->release(source, batch.last, batch.checksum);
                seq = batch.last + 1;
        }
        return lost;
}

/* What the collector is told is what was counted, from one start to the next. */
START_TEST(full_it_drops_the_oldest_and_tells_exactly_what)
{
        uint64_t dropped;

        options.segment_size_max = 200;
        options.use_max = 16 * 1024;
        options.delete_acked = options.delete_unacked = true;
        reopen();
        (void) store_source(store, "c");
        fill(1, 10);
        ck_assert_uint_eq(take_all(1, ""), 0);
        fill(11, 90);
        dropped = status().dropped;
        ck_assert_uint_gt(dropped, 0);
        ck_assert_uint_le(status().bytes, options.use_max);
        ck_assert_uint_eq(status().oldest, 11 + dropped);
        ck_assert_uint_eq(status().released, 10);
        if (_i == 1) {
                reopen();
                ck_assert_uint_eq(status().dropped, 0);
        }
        ck_assert_uint_eq(take_all(11, "deleted-for-size"), dropped);
        ck_assert_uint_eq(status().released, 100);
        ck_assert_uint_eq(status().bytes_awaited, 0);
        commit_all();
        /* What goes now is missed by nobody. */
        ck_assert_uint_eq(status().dropped, _i == 1 ? 0 : dropped);
}
END_TEST

static int count_file(const char *entry, void *userdata)
{
        *(unsigned *) userdata += strncmp(entry, "00000000000000000001.", 21) == 0;
        return 0;
}

/* Files of the first segment. */
static unsigned count_files(void)
{
        Disk *disk = sim_disk_attach(sim);
        unsigned n = 0;

        ck_assert_int_eq(disk->list(disk, ".", count_file, &n), 0);
        (void) disk_free(disk);
        return n;
}

/* The job takes the files away while the loop goes on: what was in them is said when it has ended, and what is packed
 * meanwhile does not stay. 0: the packing begins before it and ends behind it; 1: all of it before; 2: the job fails. */
START_TEST(nobody_looks_at_what_is_being_deleted)
{
        uint64_t seq = 1, checksum;
        Source *source;
        StorePack pack;
        StoreJob job;
        Batch batch;
        int r;

        options.segment_size_max = 200;
        options.use_max = 16 * 1024;
        options.delete_unacked = true;
        reopen();
        source = store_source(store, "c");
        for (;; seq++) {
                ck_assert_int_eq(append(1, seq, seq), 0);
                ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
                if (job.n_gone > 0)
                        break;
                ck_assert_int_eq(store_commit_end(store, store_job_run(&job), now), 0);
                ck_assert_int_eq(source->get(source, 1, NULL, &batch), 1);
                if (seq == 20)
                        ck_assert(store_pack_begin(store, &pack));
        }
        ck_assert_uint_eq(job.gone[0].first, 1);
        ck_assert_uint_eq(pack.first, 1);
        if (_i == 1)
                ck_assert_int_eq(store_pack_end(store, &pack, store_pack_run(&pack)), 0);
        ck_assert_uint_eq(count_files(), 2);
        r = _i == 2 ? -EIO : store_job_run(&job);
        ck_assert_uint_eq(count_files(), r == 0 ? 0 : 2);
        ck_assert_int_eq(source->get(source, 1, NULL, &batch), 0);
        ck_assert_int_eq(source->ended(source, 1, &checksum), 0);
        if (_i == 0) {
                ck_assert_int_lt(store_pack_run(&pack), 0);
                ck_assert_int_eq(store_pack_end(store, &pack, -ENOENT), 0);
        }
        ck_assert_int_eq(store_commit_end(store, r, now), r);
        expect(source, 1, r == 0 ? BATCH_LOST : BATCH_RECORDS, r == 0 ? "deleted-for-size" : NULL);
        ck_assert_uint_eq(status().damaged, 0);
        ck_assert_uint_eq(count_files(), r == 0 ? 0 : 2);
}
END_TEST

/* Many batches at a time, and one more group while a commit is under way: what is too much is little. */
START_TEST(a_bound_is_passed_by_two_eighths)
{
        const uint64_t bound = 256 * 1024;
        uint64_t seq = 1, most = 0;
        StoreJob job;

        options.use_max = bound;
        options.delete_unacked = true;
        reopen();
        for (unsigned round = 0; round < 20; round++) {
                while (append(1, seq, seq + 9) == 0)
                        seq += 10;
                ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
                while (append(1, seq, seq + 9) == 0)
                        seq += 10;
                most = MAX(most, status().bytes);
                ck_assert_int_eq(store_commit_end(store, store_job_run(&job), now), 0);
        }
        commit_all();
        ck_assert_uint_gt(status().oldest, 1);
        ck_assert_uint_le(status().bytes, bound);
        ck_assert_uint_gt(most, bound);
        ck_assert_uint_le(most, bound + bound / 4 + bound / 16);
}
END_TEST

/* Two of them are more than all that may be there: the first goes, once it was acked or may be dropped. */
START_TEST(a_batch_that_is_large_beside_the_bound_finds_room)
{
        const bool drops = _i == 1;

        options.use_max = 4096;
        options.delete_acked = true;
        options.delete_unacked = drops;
        reopen();
        (void) store_source(store, "c");
        for (uint64_t seq = 1; seq < 500; seq += 50) {
                ck_assert_int_eq(append(1, seq, seq + 49), 0);
                commit_all();
                if (drops)
                        continue;
                ck_assert_int_eq(append(1, seq + 50, seq + 99), -ENOSPC);
                take_all_there_is();
        }
        ck_assert_uint_eq(status().newest, 500);
        ck_assert_uint_eq(status().oldest, 451);
}
END_TEST

/* A filter lets almost nothing through: the entries of what it left out fill an index, beside which there is no text. */
START_TEST(entries_without_text_do_not_fill_a_bound)
{
        StreamId id = fixture_stream(1);
        Sink *sink = store_sink(store);
        char text[256];
        Batch batch;

        options.use_max = 256 * 1024;
        options.delete_acked = true;
        options.delete_unacked = _i == 1;
        reopen();
        sink = store_sink(store);
        fill(1, 1);
        for (uint64_t seq = 2; seq < 5000; seq++) {
                batch = fixture_batch(1, seq, seq, text);
                /* At first often, and then not for so long that the entries alone are more than may be. */
                if (seq > 2000 ? seq < 4990 : seq % 100 != 0) {
                        batch.reason = BATCH_FILTERED;
                        batch.count = batch.size = 0;
                        batch_seal(&batch);
                }
                while (sink->append(sink, &id, "owner", &batch, &batch, now) == -ENOSPC) {
                        /* As the owner does once a second. */
                        ck_assert(store_due(store, now) || store_dirty(store));
                        commit();
                }
                commit();
                if (_i == 0)
                        take_all_there_is();
        }
        while (store_due(store, now) || store_dirty(store))
                commit();
        ck_assert_uint_eq(position(1), 4999);
        ck_assert_uint_le(status().bytes, options.use_max);
        ck_assert_uint_gt(status().oldest, 1);
}
END_TEST

/* What a failed sync leaves of a segment without records is replaced by the next one: nothing has to go for its bytes. */
START_TEST(for_a_segment_that_is_replaced_nothing_is_deleted)
{
        Source *first, *second;
        StoreJob job;

        options.segment_size_max = 4096;
        options.delete_unacked = true;
        reopen();
        fill(1, 200);
        store_rotate(store);
        first = store_source(store, "c");
        second = store_source(store, "second");
        for (uint64_t seq = 1; seq <= 20; seq++) {
                release(first, seq);
                release(second, seq);
                commit_all();
        }
        options.use_max = status().bytes - 1024;
        reopen();
        ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        ck_assert_int_eq(store_commit_end(store, -EIO, now), -EIO);
        commit_all();
        ck_assert_uint_le(status().bytes, options.use_max);
        ck_assert_uint_eq(status().oldest, 1);
}
END_TEST

/* A batch is under way when its segment goes: its ack is taken like any other, and so is its coming back without one. */
START_TEST(what_is_dropped_while_it_is_under_way_can_be_acked)
{
        Source *source;
        uint64_t checksum;

        options.segment_size_max = 200;
        options.use_max = 16 * 1024;
        options.delete_acked = options.delete_unacked = true;
        reopen();
        source = store_source(store, "c");
        fill(1, 5);
        ck_assert_uint_eq(expect(source, 1, BATCH_RECORDS, NULL), 1);
        fill(6, 95);
        ck_assert_uint_gt(oldest(), 6);
        ck_assert_int_eq(source->ended(source, 3, &checksum), 0);
        source->release(source, 3, 0);
        ck_assert_uint_eq(take_all(4, "deleted-for-size"), status().oldest - 4);
}
END_TEST

START_TEST(acked_records_stay_for_their_time)
{
        options.segment_size_max = 200;
        options.delete_acked = true;
        options.acked_usec = 3600 * USEC_PER_SEC;
        reopen();
        (void) store_source(store, "c");
        fill(1, 20);
        ck_assert_uint_eq(take_all(1, ""), 0);
        ck_assert(!store_dirty(store));
        now += 3599 * USEC_PER_SEC;
        fill(21, 1);
        ck_assert_uint_eq(status().oldest, 1);
        /* What is not acked stays however old it is. */
        now += 2 * USEC_PER_SEC;
        fill(22, 10);
        now += 3601 * USEC_PER_SEC;
        fill(32, 1);
        ck_assert_uint_gt(status().oldest, 1);
        ck_assert_uint_le(status().oldest, 21);
        ck_assert_uint_eq(status().dropped, 0);
}
END_TEST

/* In a store that nobody writes to any more: no record is older than its time and an eighth. */
START_TEST(age_deletes_from_a_quiet_store)
{
        const uint64_t age = 3600 * USEC_PER_SEC;
        uint64_t waited = 0;

        if (_i == 0) {
                options.retention_usec = age;
                options.delete_unacked = true;
        } else {
                options.delete_acked = true;
                options.acked_usec = age;
        }
        reopen();
        (void) store_source(store, "c");
        fill(1, 20);
        ck_assert_uint_eq(take_all(1, ""), 0);
        for (; oldest() == 1 && waited < 2 * age; waited += USEC_PER_SEC) {
                now += USEC_PER_SEC;
                while (store_due(store, now) || store_dirty(store))
                        commit();
        }
        ck_assert_uint_ge(waited, age);
        ck_assert_uint_le(waited, age + age / 8);
        ck_assert_uint_eq(oldest(), 21);
        ck_assert_uint_eq(count_segments(), 1);
        reopen();
        ck_assert_uint_eq(position(1), 20);
        fill(21, 1);
        ck_assert_uint_eq(take_all(21, ""), 0);
}
END_TEST

/* They are a convenience: when room is short, they go for those that come. */
START_TEST(acked_records_make_room_before_their_time)
{
        options.segment_size_max = 200;
        options.use_max = 16 * 1024;
        options.delete_acked = true;
        options.acked_usec = 3600 * USEC_PER_SEC;
        reopen();
        (void) store_source(store, "c");
        fill(1, 8);
        ck_assert_uint_eq(take_all(1, ""), 0);
        for (uint64_t n = 9; n < 100; n++) {
                fill(n, 1);
                ck_assert_uint_eq(take_all(n, ""), 0);
        }
        commit_all();
        ck_assert_uint_le(status().bytes, options.use_max);
        ck_assert_uint_eq(status().dropped, 0);
        ck_assert_uint_gt(status().oldest, 1);
}
END_TEST

START_TEST(room_to_leave_may_be_hundredths_of_the_disk)
{
        uint64_t n = 0;
        int r = 0;

        options.segment_size_max = 4096;
        options.keep_free = (DiskAmount) { 50, true };
        options.delete_unacked = _i == 1;
        sim_disk_set_capacity(sim, 1024 * 1024);
        reopen();
        for (; r == 0 && n < 8000; n += r == 0) {
                r = append(1, n + 1, n + 1);
                if (r == 0 && n % 10 == 0)
                        commit();
        }
        if (_i == 1) {
                ck_assert_int_eq(r, 0);
                ck_assert_uint_gt(oldest(), 1);
        } else {
                ck_assert_int_eq(r, -ENOSPC);
                ck_assert_uint_eq(oldest(), 1);
                /* Nothing was acked that is not there. */
                commit_all();
                ck_assert_uint_eq(status().newest, n);
        }
}
END_TEST

START_TEST(what_is_awaited_is_what_would_be_missed)
{
        Source *source;
        uint64_t all;

        options.segment_size_max = 200;
        reopen();
        fill(1, 20);
        /* Nobody takes anything from here, and nothing may go. */
        ck_assert_uint_eq(status().bytes_awaited, status().bytes);
        options.delete_unacked = true;
        reopen();
        ck_assert_uint_eq(status().bytes_awaited, 0);
        source = store_source(store, "c");
        all = status().bytes_awaited;
        ck_assert_uint_eq(all, status().bytes);
        release(source, 10);
        ck_assert_uint_lt(status().bytes_awaited, all);
        ck_assert_uint_gt(status().bytes_awaited, 0);
        release(source, 20);
        ck_assert_uint_eq(status().bytes_awaited, 0);
        fill(21, 20);
        ck_assert_uint_gt(status().bytes_awaited, 0);
        /* It is only remembered now. */
        reopen();
        ck_assert_uint_eq(status().bytes_awaited, 0);
}
END_TEST

/* A probe is a commit of its own, and nothing but that: after a failure only one that is done says that the disk works. */
START_TEST(a_probe_says_whether_the_disk_works)
{
        StoreStatus before = status();

        ck_assert(!store_dirty(store));
        store_probe(store);
        ck_assert(store_dirty(store));
        commit();
        ck_assert(!store_dirty(store));
        ck_assert_uint_eq(status().newest, before.newest);
        fill(1, 3);
        sim_disk_fail_sync_at(sim, 1);
        store_probe(store);
        ck_assert_int_eq(fixture_commit(store, now), -EIO);
        ck_assert(store_dirty(store));
        commit();
        ck_assert(!store_dirty(store));
        fill(4, 3);
        reopen();
        ck_assert_uint_eq(position(1), 6);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-policy");
        TCase *tcase = tcase_create("store-policy");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, full_it_drops_the_oldest_and_tells_exactly_what, 0, 2);
        tcase_add_loop_test(tcase, nobody_looks_at_what_is_being_deleted, 0, 3);
        tcase_add_test(tcase, a_bound_is_passed_by_two_eighths);
        tcase_add_loop_test(tcase, a_batch_that_is_large_beside_the_bound_finds_room, 0, 2);
        tcase_add_loop_test(tcase, entries_without_text_do_not_fill_a_bound, 0, 2);
        tcase_add_test(tcase, for_a_segment_that_is_replaced_nothing_is_deleted);
        tcase_add_test(tcase, what_is_dropped_while_it_is_under_way_can_be_acked);
        tcase_add_test(tcase, acked_records_stay_for_their_time);
        tcase_add_loop_test(tcase, age_deletes_from_a_quiet_store, 0, 2);
        tcase_add_test(tcase, acked_records_make_room_before_their_time);
        tcase_add_loop_test(tcase, room_to_leave_may_be_hundredths_of_the_disk, 0, 2);
        tcase_add_test(tcase, what_is_awaited_is_what_would_be_missed);
        tcase_add_test(tcase, a_probe_says_whether_the_disk_works);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
