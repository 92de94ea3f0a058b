/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "dispatcher/feed.h"
#include "dispatcher/told.h"
#include "runtime/loop.h"

#include <stdio.h>

#define KB 1024U
/* What a batch of one line of that size takes in the ring. */
#define TAKES(size) ((uint64_t) (size) + BATCH_HEADER_SIZE)
#define SIZE (100U * KB)
/* Room for seven of these, and for the least a queue may have. */
#define LIMIT (7 * TAKES(SIZE))

static char directory[64], path[80];
static Ring *ring;
static Feed *feed;
static Cursor cursor;
static uint64_t now_usec;

/* The feed's clock. */
uint64_t monotonic_usec(void)
{
        return now_usec;
}

static void open_ring(void)
{
        const RingOptions options = {
                .path = path, .size = RING_SIZE_MIN, .node = "n1", .stream = { { 1 } }
        };
        bool created;

        ck_assert_int_eq(ring_open(&options, &ring, &created), 0);
}

static void set_up(void)
{
        strcpy(directory, "/tmp/test-feed-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        (void) snprintf(path, sizeof path, "%s/ring", directory);
        open_ring();
        now_usec = 1000;
        cursor = (Cursor) { 0 };
}

static void tear_down(void)
{
        char command[128];

        feed = feed_free(feed);
        ring = ring_free(ring);
        (void) snprintf(command, sizeof command, "rm -r %s", directory);
        ck_assert_int_eq(system(command), 0);
}

static void begin(Overflow overflow, uint64_t limit, const RecordFilter *filter,
                  const RecordFilter *pressure)
{
        const FeedOptions options = {
                .ring = ring,
                .name = "s",
                .filter = filter,
                .pressure_filter = pressure,
                .queue_limit = limit,
                .overflow = overflow,
        };

        feed = feed_free(feed);
        ck_assert_int_eq(feed_new(&options, &feed), 0);
}

static RecordFilter *parse(const char *text)
{
        RecordFilter *filter;
        char *why;

        ck_assert_int_eq(record_filter_parse(text, strlen(text), &filter, &why), 0);
        return filter;
}

/* A batch of one line of each of these types, of `size` bytes in all. */
static void put(const char *const *types, uint32_t n, size_t size)
{
        uint8_t *out = ring_begin(ring, size, false), *p = out;

        ck_assert_ptr_nonnull(out);
        memset(out, 'x', size);
        for (uint32_t i = 0; i < n; i++) {
                memcpy(p, "node=n1 type=", 13);
                memcpy(p + 13, types[i], strlen(types[i]));
                p[13 + strlen(types[i])] = ' ';
                p += size / n;
                p[-1] = '\n';
        }
        out[size - 1] = '\n';
        ring_seal(ring, size, n, BATCH_ORIGIN_KERNEL);
        ring_publish(ring);
}

static void put_many(unsigned n)
{
        static const char *const one[] = { "SYSCALL" };

        while (n-- > 0)
                put(one, 1, SIZE);
}

static int get(uint64_t seq, Batch *ret)
{
        Source *source = feed_source(feed);

        *ret = (Batch) { 0 };
        return source->get(source, seq, &cursor, ret);
}

/* The next batch is of these seqs and that reason, and is whole. */
static void expect(uint64_t first, uint64_t last, BatchReason reason)
{
        Batch batch;

        ck_assert_int_eq(get(first, &batch), 1);
        ck_assert_uint_eq(batch.first, first);
        ck_assert_uint_eq(batch.last, last);
        ck_assert_int_eq(batch.reason, reason);
        ck_assert(batch_payload_intact(&batch));
        if (reason == BATCH_LOST) {
                ck_assert_uint_eq(batch.size, 8);
                ck_assert_mem_eq(batch.payload, "overflow", 8);
        }
}

static void expect_records(uint64_t first, uint64_t last)
{
        for (; first <= last; first++)
                expect(first, first, BATCH_RECORDS);
}

static void expect_nothing(uint64_t seq)
{
        Batch batch;

        ck_assert_int_eq(get(seq, &batch), 0);
}

static FeedStatus status(void)
{
        FeedStatus now;

        feed_status(feed, &now);
        return now;
}

static void expect_dropped(uint64_t dropped, bool dropping)
{
        ck_assert_uint_eq(status().dropped, dropped);
        ck_assert_int_eq(status().dropping, dropping);
}

static void ack(uint64_t seq)
{
        Source *source = feed_source(feed);

        source->release(source, seq, 0);
}

/* The sender forgets its session, and so its cursor. */
static void reconnect(void)
{
        cursor = (Cursor) { 0 };
}

/* --- The ring as it is --- */

START_TEST(without_limit_it_is_the_ring)
{
        Source *source;
        SourceRange range;
        Batch batch;

        begin(OVERFLOW_DROP_OLDEST, 0, NULL, NULL);
        source = feed_source(feed);
        expect_nothing(1);
        put_many(3);
        source->range(source, &range);
        ck_assert_uint_eq(range.oldest, 1);
        ck_assert_uint_eq(range.newest, 3);
        ck_assert_uint_eq(status().queued_records, 3);
        ck_assert_uint_eq(status().queued_bytes, 3 * TAKES(SIZE));
        expect_records(1, 2);
        ck_assert_uint_eq(status().sent, 2);
        ck_assert_uint_eq(status().queued_records, 1);
        ck_assert_uint_eq(status().queued_bytes, TAKES(SIZE));
        ack(1);
        ck_assert_uint_eq(status().acked, 1);
        expect_records(3, 3);
        expect_nothing(4);
        ck_assert_uint_eq(status().queued_bytes, 0);
        reconnect();
        expect_records(2, 3);
        ck_assert_int_eq(get(0, &batch), -ESTALE);
        ck_assert_int_eq(get(5, &batch), -ESTALE);
        expect_dropped(0, false);
}
END_TEST

START_TEST(what_the_ring_overwrites_is_lost)
{
        RingStatus held;

        begin(OVERFLOW_DROP_OLDEST, 0, NULL, NULL);
        put_many(200);
        ring_status(ring, &held);
        ck_assert_uint_gt(held.oldest, 100);
        expect_dropped(held.oldest - 1, true);
        ck_assert_uint_eq(status().queued_records, 201 - held.oldest);
        expect(1, held.oldest - 1, BATCH_LOST);
        expect_dropped(held.oldest - 1, true);
        ck_assert_uint_eq(status().gaps, 1);
        expect_records(held.oldest, 200);
        ack(200);
        expect_dropped(held.oldest - 1, false);
}
END_TEST

/* A subscriber that is new, and says that it has nothing, did not lose what nobody kept for it. */
START_TEST(what_was_gone_before_is_told_and_not_counted)
{
        RingStatus held;

        put_many(200);
        ring_status(ring, &held);
        begin(OVERFLOW_DROP_OLDEST, 0, NULL, NULL);
        expect_dropped(0, false);
        ck_assert_uint_eq(status().queued_records, 0);
        expect(1, held.oldest - 1, BATCH_LOST);
        expect_dropped(0, true);
        ack(held.oldest - 1);
        expect_dropped(0, false);
}
END_TEST

START_TEST(a_place_inside_a_batch_is_none)
{
        static const char *const two[] = { "CWD", "PATH" };
        Batch batch;

        begin(OVERFLOW_DROP_OLDEST, 0, NULL, NULL);
        put(two, 2, KB);
        put(two, 2, KB);
        ck_assert_int_eq(get(2, &batch), -ESTALE);
        expect(3, 4, BATCH_RECORDS);
        ck_assert_int_eq(get(4, &batch), -ESTALE);
}
END_TEST

/* --- drop-oldest --- */

START_TEST(drop_oldest_keeps_the_limit)
{
        SourceRange range;
        Source *source;

        begin(OVERFLOW_DROP_OLDEST, LIMIT, NULL, NULL);
        put_many(7);
        expect_dropped(0, false);
        put_many(1);
        expect_dropped(1, true);
        put_many(2);
        expect_dropped(3, true);
        ck_assert_uint_eq(status().queued_records, 7);
        ck_assert_uint_eq(status().queued_bytes, LIMIT);
        ck_assert_uint_eq(status().gaps, 0);
        source = feed_source(feed);
        source->range(source, &range);
        ck_assert_uint_eq(range.oldest, 4);
        expect(1, 3, BATCH_LOST);
        expect_records(4, 6);
        put_many(10); /* 7..13 go before they are sent */
        expect(7, 13, BATCH_LOST);
        expect_records(14, 20);
        expect_nothing(21);
        expect_dropped(10, true);
        ck_assert_uint_eq(status().gaps, 2);
        ack(6);
        expect_dropped(10, true);
        ack(20);
        expect_dropped(10, false);
}
END_TEST

START_TEST(drop_oldest_counts_once_what_it_tells_twice)
{
        begin(OVERFLOW_DROP_OLDEST, LIMIT, NULL, NULL);
        put_many(10);
        expect(1, 3, BATCH_LOST);
        expect_records(4, 5);
        expect_dropped(3, true);
        reconnect();
        expect(1, 3, BATCH_LOST);
        expect_dropped(3, true);
        ck_assert_uint_eq(status().gaps, 1);
        expect_records(4, 5);
        put_many(4); /* what was sent and not acked is gone too, now that the session is */
        expect_dropped(5, true);
        reconnect();
        expect(1, 7, BATCH_LOST);
        expect_dropped(7, true);
        ck_assert_uint_eq(status().gaps, 1);
        ack(7);
        reconnect();
        expect_records(8, 14);
        expect_dropped(7, false);
}
END_TEST

START_TEST(a_limit_has_a_minimum_and_the_ring_is_its_maximum)
{
        begin(OVERFLOW_DROP_OLDEST, 1, NULL, NULL);
        put_many(6);
        ck_assert_uint_eq(status().queued_records, 5); /* twice BATCH_PAYLOAD_MAX */
        begin(OVERFLOW_DROP_OLDEST, UINT64_C(1) << 40, NULL, NULL);
        put_many(20);
        expect_dropped(0, false);
        ck_assert_uint_eq(status().queued_records, 20);
}
END_TEST

/* --- drop-newest --- */

START_TEST(drop_newest_has_one_hole)
{
        begin(OVERFLOW_DROP_NEWEST, LIMIT, NULL, NULL);
        put_many(7);
        expect_dropped(0, false);
        put_many(3);
        expect_dropped(3, true);
        ck_assert_uint_eq(status().queued_records, 7);
        ck_assert_uint_eq(status().queued_bytes, LIMIT);
        expect_records(1, 4);
        put_many(5); /* there would be room, but the hole is open */
        expect_dropped(8, true);
        ck_assert_uint_eq(status().queued_records, 3);
        ck_assert_uint_eq(status().queued_bytes, 3 * TAKES(SIZE));
        expect_records(5, 7);
        put_many(1);
        expect(8, 16, BATCH_LOST);
        expect_dropped(9, true);
        expect_nothing(17);
        put_many(7);
        expect_dropped(9, true);
        ck_assert_uint_eq(status().queued_records, 7);
        expect_records(17, 23);
        ck_assert_uint_eq(status().gaps, 1);
        ack(23);
        expect_dropped(9, false);
}
END_TEST

START_TEST(drop_newest_tells_the_same_hole_again)
{
        begin(OVERFLOW_DROP_NEWEST, LIMIT, NULL, NULL);
        put_many(10);
        expect_records(1, 7);
        expect(8, 10, BATCH_LOST);
        put_many(2);
        expect_records(11, 12);
        ack(5);
        reconnect();
        expect_records(6, 7);
        expect(8, 10, BATCH_LOST);
        expect_records(11, 12);
        expect_dropped(3, true);
        ck_assert_uint_eq(status().gaps, 1);
        ack(10);
        expect_dropped(3, false);
}
END_TEST

/* The ring does not wait for what is queued. */
START_TEST(drop_newest_and_the_ring_make_one_range)
{
        begin(OVERFLOW_DROP_NEWEST, LIMIT, NULL, NULL);
        put_many(10);
        expect_records(1, 2);
        put_many(200);
        expect_dropped(208, true);
        ck_assert_uint_eq(status().queued_records, 0);
        expect(3, 210, BATCH_LOST);
        expect_nothing(211);
        put_many(1);
        expect_records(211, 211);
        expect_dropped(208, true);
        ck_assert_uint_eq(status().gaps, 1);
}
END_TEST

START_TEST(drop_newest_of_the_whole_ring_is_the_ring)
{
        RingStatus held;

        begin(OVERFLOW_DROP_NEWEST, 0, NULL, NULL);
        put_many(200);
        ring_status(ring, &held);
        expect_dropped(held.oldest - 1, true);
        expect(1, held.oldest - 1, BATCH_LOST);
        expect_records(held.oldest, 200);
        expect_nothing(201);
}
END_TEST

/* --- Losses on their way --- */

START_TEST(too_many_losses_wait_for_an_ack)
{
        uint64_t seq = 1;

        begin(OVERFLOW_DROP_OLDEST, LIMIT, NULL, NULL);
        for (unsigned i = 0; i < TOLD_MAX; i++) {
                put_many(i > 0 ? 3 : 8);
                expect(seq, seq + (i > 0), BATCH_LOST);
                seq += 1 + (i > 0);
                expect_records(seq, seq);
                seq++;
                ck_assert_uint_eq(status().queued_records, 6);
        }
        put_many(3);
        expect_nothing(seq);
        ck_assert_uint_eq(status().gaps, TOLD_MAX);
        ack(2);
        expect(seq, seq + 1, BATCH_LOST);
        ck_assert_uint_eq(status().gaps, TOLD_MAX + 1);
}
END_TEST

START_TEST(told_ranges_merge_and_leave)
{
        Told told = { .begin = 15 };
        uint64_t last;

        ck_assert(told_add(&told, 10, 20));
        ck_assert_uint_eq(told.dropped, 6); /* 15..20 */
        ck_assert(told_add(&told, 31, 40));
        ck_assert(told_add(&told, 51, 60));
        ck_assert_uint_eq(told.dropped, 26);
        ck_assert_uint_eq(told.n, 3);
        ck_assert(told_holds(&told, 31, &last) && last == 40);
        ck_assert(!told_holds(&told, 30, &last) && !told_holds(&told, 41, &last));
        ck_assert_uint_eq(told_uncounted(&told, 1, 70), 70 - 14 - 26);
        /* From before the second to the end of the third: both are in it. */
        ck_assert(told_add(&told, 25, 60));
        ck_assert_uint_eq(told.n, 2);
        ck_assert_uint_eq(told.dropped, 42); /* 15..20, 25..60 */
        ck_assert_uint_eq(told.gaps, 3);
        told_acked(&told, 20);
        ck_assert_uint_eq(told.n, 1);
        ck_assert(told_add(&told, 22, 23));
        ck_assert_uint_eq(told.ranges[0].first, 22);
        ck_assert_uint_eq(told.ranges[1].first, 25);
        told_acked(&told, 59);
        ck_assert_uint_eq(told.n, 1);
        told_acked(&told, 60);
        ck_assert_uint_eq(told.n, 0);
}
END_TEST

/* --- Filters and pressure --- */

START_TEST(a_filter_keeps_the_boundaries)
{
        static const char *const mixed[] = { "SYSCALL", "AVC", "CWD", "AVC", "EOE" };
        static const char *const none[] = { "CWD", "PATH" };
        static const char *const all[] = { "AVC", "AVC" };
        _cleanup_(record_filter_freep) RecordFilter *filter = parse("AVC");
        Batch batch;

        begin(OVERFLOW_DROP_OLDEST, 0, filter, NULL);
        put(mixed, 5, 500);
        put(none, 2, 200);
        put(all, 2, 200);
        ck_assert_int_eq(get(1, &batch), 1);
        ck_assert_uint_eq(batch.last, 5);
        ck_assert_uint_eq(batch.count, 2);
        ck_assert_int_eq(batch.reason, BATCH_FILTERED);
        ck_assert(batch_payload_intact(&batch));
        ck_assert_int_eq(get(6, &batch), 1);
        ck_assert_uint_eq(batch.last, 7);
        ck_assert_uint_eq(batch.count, 0);
        ck_assert_uint_eq(batch.size, 0);
        ck_assert_int_eq(batch.reason, BATCH_FILTERED);
        expect(8, 9, BATCH_RECORDS);
        ck_assert_uint_eq(status().pressed, 0);
}
END_TEST

START_TEST(pressure_replaces_the_filter)
{
        static const char *const types[] = { "SYSCALL", "AVC", "CWD", "USER_LOGIN" };
        _cleanup_(record_filter_freep) RecordFilter *filter = parse("~CWD"), *pressure = parse("AVC CWD");
        Batch batch;

        begin(OVERFLOW_BLOCK, LIMIT, filter, pressure);
        for (unsigned i = 0; i < 8; i++)
                put(types, 4, SIZE);
        /* With 8, 7, 6, 5 and 4 of them queued it is more than three and a half; with 3 it is not. */
        for (unsigned i = 0; i < 8; i++) {
                ck_assert_int_eq(get(1 + 4 * i, &batch), 1);
                ck_assert_uint_eq(batch.count, i < 5 ? 2 : 3);
                ck_assert_int_eq(status().under_pressure, i < 5);
        }
        /* SYSCALL and USER_LOGIN of each. */
        ck_assert_uint_eq(status().pressed, 10);
        reconnect();
        ck_assert_int_eq(get(1, &batch), 1);
        ck_assert_uint_eq(status().pressed, 10);
        expect_dropped(0, false);
}
END_TEST

START_TEST(pressure_without_a_filter)
{
        static const char *const types[] = { "SYSCALL", "AVC" };
        _cleanup_(record_filter_freep) RecordFilter *pressure = parse("AVC");
        Batch batch;

        begin(OVERFLOW_DROP_NEWEST, LIMIT, NULL, pressure);
        for (unsigned i = 0; i < 9; i++)
                put(types, 2, SIZE);
        /* Seven of them are queued; the hole behind does not press. */
        for (unsigned i = 0; i < 7; i++) {
                ck_assert_int_eq(get(1 + 2 * i, &batch), 1);
                ck_assert_uint_eq(batch.count, i < 4 ? 1 : 2);
        }
        ck_assert_uint_eq(status().pressed, 4);
        expect(15, 18, BATCH_LOST);
}
END_TEST

/* --- Pause --- */

START_TEST(a_pause_shows_nothing_and_ends)
{
        begin(OVERFLOW_DROP_OLDEST, LIMIT, NULL, NULL);
        put_many(2);
        expect_records(1, 1);
        feed_pause(feed, now_usec + 100);
        expect_nothing(2);
        ck_assert(status().paused);
        put_many(10);
        expect_dropped(4, true); /* 2..5: the queue goes on */
        now_usec += 99;
        expect_nothing(2);
        now_usec++;
        ck_assert(!status().paused);
        expect(2, 5, BATCH_LOST);
        feed_pause(feed, USEC_INFINITY);
        expect_nothing(6);
        feed_resume(feed);
        expect_records(6, 12);
}
END_TEST

/* --- Resuming: which checksum is known --- */

static int ended(uint64_t seq, uint64_t *ret_checksum)
{
        Source *source = feed_source(feed);

        *ret_checksum = 0;
        return source->ended(source, seq, ret_checksum);
}

START_TEST(only_what_was_sent_is_compared)
{
        static const char *const two[] = { "CWD", "PATH" };
        _cleanup_(record_filter_freep) RecordFilter *filter = parse("PATH");
        Source *source;
        uint64_t checksum;
        Batch batch;

        begin(OVERFLOW_BLOCK, 0, NULL, NULL);
        for (unsigned i = 0; i < 3; i++)
                put(two, 2, KB);
        ck_assert_int_eq(get(1, &batch), 1);
        ck_assert_int_eq(ended(2, &checksum), 1);
        ck_assert_uint_eq(checksum, batch.checksum);
        ck_assert_int_eq(ended(3, &checksum), -ESTALE);
        ck_assert_int_eq(ended(7, &checksum), -ESTALE);
        source = feed_source(feed);
        source->release(source, 2, batch.checksum);
        /* Filtered from now on: what the ring holds is not what is sent. */
        begin(OVERFLOW_BLOCK, 0, filter, NULL);
        ck_assert_uint_eq(status().acked, 2);
        ck_assert_uint_eq(status().queued_records, 4);
        ck_assert_int_eq(ended(2, &checksum), 1); /* as the ring's file remembers it */
        ck_assert_uint_eq(checksum, batch.checksum);
        ck_assert_int_eq(get(3, &batch), 1);
        ck_assert_int_eq(batch.reason, BATCH_FILTERED);
        ck_assert_int_eq(ended(4, &checksum), 0);
        ck_assert_int_eq(ended(5, &checksum), -ESTALE);
        source = feed_source(feed);
        source->release(source, 4, batch.checksum);
        ck_assert_int_eq(ended(4, &checksum), 1);
        ck_assert_uint_eq(checksum, batch.checksum);
        /* And no longer: 5..6 may have been sent filtered. */
        begin(OVERFLOW_BLOCK, 0, NULL, NULL);
        ck_assert_int_eq(ended(4, &checksum), 1);
        ck_assert_uint_eq(checksum, batch.checksum);
        ck_assert_int_eq(ended(6, &checksum), 0);
        put(two, 2, KB);
        ck_assert_int_eq(ended(8, &checksum), 1);
}
END_TEST

START_TEST(a_range_told_lost_is_not_compared)
{
        uint64_t checksum;

        begin(OVERFLOW_DROP_OLDEST, LIMIT, NULL, NULL);
        put_many(10);
        expect(1, 3, BATCH_LOST);
        ck_assert_int_eq(ended(3, &checksum), 0);
        ck_assert_int_eq(ended(5, &checksum), 0);
        ck_assert_int_eq(ended(11, &checksum), -ESTALE);
        begin(OVERFLOW_DROP_NEWEST, LIMIT, NULL, NULL);
        ck_assert_int_eq(ended(10, &checksum), 0);
}
END_TEST

START_TEST(the_ring_waits_for_block_alone)
{
        RingStatus held;

        begin(OVERFLOW_BLOCK, LIMIT, NULL, NULL);
        while (ring_begin(ring, SIZE, false))
                put_many(1);
        ring_status(ring, &held);
        ck_assert_uint_eq(held.oldest, 1);
        expect_dropped(0, false);
        expect_records(1, held.newest);
        ack(held.newest);
        put_many(1);
        expect_records(held.newest + 1, held.newest + 1);
}
END_TEST

START_TEST(the_ring_waits_for_so_many)
{
        Feed *feeds[RING_AWAITED_MAX], *one = NULL;
        FeedOptions options = { .ring = ring, .overflow = OVERFLOW_BLOCK };
        char name[16];

        for (unsigned i = 0; i < RING_AWAITED_MAX; i++) {
                (void) snprintf(name, sizeof name, "s%u", i);
                options.name = name;
                ck_assert_int_eq(feed_new(&options, &feeds[i]), 0);
        }
        options.name = "another";
        ck_assert_int_eq(feed_new(&options, &one), -ENOBUFS);
        ck_assert_ptr_null(one);
        for (unsigned i = 0; i < RING_AWAITED_MAX; i++)
                feed_free(feeds[i]);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                without_limit_it_is_the_ring,
                what_the_ring_overwrites_is_lost,
                what_was_gone_before_is_told_and_not_counted,
                a_place_inside_a_batch_is_none,
                drop_oldest_keeps_the_limit,
                drop_oldest_counts_once_what_it_tells_twice,
                a_limit_has_a_minimum_and_the_ring_is_its_maximum,
                drop_newest_has_one_hole,
                drop_newest_tells_the_same_hole_again,
                drop_newest_and_the_ring_make_one_range,
                drop_newest_of_the_whole_ring_is_the_ring,
                too_many_losses_wait_for_an_ack,
                told_ranges_merge_and_leave,
                a_filter_keeps_the_boundaries,
                pressure_replaces_the_filter,
                pressure_without_a_filter,
                a_pause_shows_nothing_and_ends,
                only_what_was_sent_is_compared,
                a_range_told_lost_is_not_compared,
                the_ring_waits_for_block_alone,
                the_ring_waits_for_so_many,
        };
        Suite *suite = suite_create("feed");
        TCase *tcase = tcase_create("feed");

        tcase_add_checked_fixture(tcase, set_up, tear_down);
        for (size_t i = 0; i < ELEMENTSOF(tests); i++)
                tcase_add_test(tcase, tests[i]);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
