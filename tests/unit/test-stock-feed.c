/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a stock collector is sent of a source, and what its acks release. */

#include "check-main.h"
#include "array-source.h"
#include "remote/stock-feed.h"
#include "remote/stock-position.h"

static ArraySource source;
static StockFeed feed;
static uint64_t passed;

static void on_passed(StockFeed *f, uint64_t seq)
{
        ck_assert_uint_ge(seq, passed);
        passed = seq;
}

static void begin(uint64_t released, uint64_t acked)
{
        passed = 0;
        ck_assert_int_eq(stock_feed_init(&feed, &source.source, "web1", released, acked), 0);
        feed.passed = on_passed;
}

static void setup(void)
{
        array_init(&source, 1);
}

static void teardown(void)
{
        stock_feed_done(&feed);
        array_done(&source);
}

static void append(const char *lines, uint32_t n)
{
        array_append_lines(&source, n, n, lines, BATCH_ORIGIN_KERNEL);
}

#define LINE(type, n) "node=web1 type=" type " msg=audit(1.000:" #n "): \n"

static const char *next(void)
{
        static char text[1024];
        const uint8_t *line;
        size_t size;
        int r = stock_feed_next(&feed, 1000000, &line, &size);

        ck_assert_int_ge(r, 0);
        if (r == 0)
                return NULL;
        ck_assert_uint_lt(size, sizeof text);
        memcpy(text, line, size);
        text[size] = '\0';
        return text;
}

/* Puts the next under way; it is this one. */
static void take(const char *line)
{
        const char *found = next();

        ck_assert_ptr_nonnull(found);
        ck_assert_str_eq(found, line);
        stock_feed_sent(&feed);
}

START_TEST(lines_pass_and_batches_are_released)
{
        append(LINE("A", 1) LINE("B", 2), 2);
        append(LINE("C", 3), 1);
        begin(0, 0);
        take(LINE("A", 1));
        take(LINE("B", 2));
        take(LINE("C", 3));
        ck_assert_ptr_null(next());
        ck_assert_uint_eq(source.n_releases, 0);
        stock_feed_acked(&feed);
        ck_assert_uint_eq(passed, 1);
        ck_assert_uint_eq(source.n_releases, 0);
        stock_feed_acked(&feed);
        ck_assert_uint_eq(passed, 2);
        ck_assert_uint_eq(source.released, 2);
        ck_assert_uint_eq(source.released_checksum, source.batches[0].batch.checksum);
        stock_feed_acked(&feed);
        ck_assert_uint_eq(source.released, 3);
        append(LINE("D", 4), 1);
        take(LINE("D", 4));
}
END_TEST

START_TEST(eoe_passes_with_what_is_before_it)
{
        append(LINE("EOE", 1) LINE("A", 2) LINE("EOE", 3), 3);
        append(LINE("EOE", 4), 1);
        begin(0, 0);
        take(LINE("A", 2));
        ck_assert_uint_eq(passed, 1);
        ck_assert_ptr_null(next());
        ck_assert_uint_eq(feed.skipped_eoe, 3);
        ck_assert_uint_eq(source.n_releases, 0);
        stock_feed_acked(&feed);
        ck_assert_uint_eq(passed, 4);
        ck_assert_uint_eq(source.released, 4);
        ck_assert_uint_eq(source.released_checksum, source.batches[1].batch.checksum);
        append(LINE("EOE", 5), 1);
        ck_assert_ptr_null(next());
        ck_assert_uint_eq(source.released, 5);
}
END_TEST

START_TEST(what_was_under_way_is_sent_again)
{
        append(LINE("A", 1) LINE("B", 2) LINE("C", 3), 3);
        begin(0, 0);
        take(LINE("A", 1));
        take(LINE("B", 2));
        take(LINE("C", 3));
        stock_feed_acked(&feed);
        stock_feed_restart(&feed);
        take(LINE("B", 2));
        stock_feed_restart(&feed);
        take(LINE("B", 2));
        take(LINE("C", 3));
        stock_feed_acked(&feed);
        stock_feed_acked(&feed);
        ck_assert_uint_eq(source.released, 3);
        stock_feed_restart(&feed);
        ck_assert_ptr_null(next());
}
END_TEST

START_TEST(a_restart_in_the_middle_of_a_batch_leaves_nothing_of_it)
{
        append(LINE("A", 1) LINE("B", 2), 2);
        begin(0, 0);
        take(LINE("A", 1));
        stock_feed_restart(&feed);
        source.error = -EIO;
        {
                const uint8_t *line;
                size_t size;

                ck_assert_int_eq(stock_feed_next(&feed, 0, &line, &size), -EIO);
        }
        source.error = 0;
        take(LINE("A", 1));
}
END_TEST

START_TEST(what_was_acked_before_is_not_sent)
{
        append(LINE("A", 1) LINE("B", 2), 2);
        append(LINE("C", 3) LINE("D", 4), 2);
        append(LINE("E", 5) LINE("F", 6), 2);
        begin(2, 5);
        take(LINE("F", 6));
        ck_assert_uint_eq(source.released, 4);
        stock_feed_acked(&feed);
        ck_assert_uint_eq(source.released, 6);
        ck_assert_uint_eq(feed.skipped_eoe, 0);
}
END_TEST

START_TEST(what_is_lost_is_told)
{
        const char *gap;

        append(LINE("A", 1) LINE("B", 2), 2);
        append(LINE("C", 3), 1);
        source.dropped = 1;
        begin(0, 0);
        gap = next();
        ck_assert_ptr_nonnull(gap);
        ck_assert_ptr_nonnull(strstr(gap, "op=relay-gap"));
        ck_assert_ptr_nonnull(strstr(gap, "node=web1 "));
        ck_assert_ptr_nonnull(strstr(gap, "lost=2 "));
        stock_feed_sent(&feed);
        take(LINE("C", 3));
        stock_feed_acked(&feed);
        ck_assert_uint_eq(passed, 2);
        ck_assert_uint_eq(source.released, 2);
}
END_TEST

START_TEST(what_another_has_passes)
{
        ArrayBatch *entry = array_new_batch(&source);

        entry->batch = (Batch) { .first = 1, .last = 9, .size = 4, .origin = BATCH_ORIGIN_LOCAL, .reason = BATCH_CUSTODY };
        memcpy(entry->payload, "log2", 4);
        entry->batch.payload = entry->payload;
        batch_seal(&entry->batch);
        source.newest = 9;
        append(LINE("A", 10), 1);
        begin(0, 0);
        take(LINE("A", 10));
        ck_assert_uint_eq(source.released, 9);
}
END_TEST

START_TEST(a_window_goes_round)
{
        unsigned sent = 0, acked = 0;

        for (unsigned i = 0; i < 60; i++)
                array_append(&source, 40, 1);
        begin(0, 0);
        while (acked < 2400) {
                while (sent - acked < STOCK_WINDOW_MAX && next()) {
                        stock_feed_sent(&feed);
                        sent++;
                }
                for (unsigned i = 0; i < 333 && acked < sent; i++, acked++)
                        stock_feed_acked(&feed);
                ck_assert_uint_eq(passed, acked);
        }
        ck_assert_uint_eq(source.released, 2400);
}
END_TEST

/* --- The position --- */

START_TEST(a_position_is_kept_for_its_stream_and_collector)
{
        static const StreamId one = { { 1 } }, two = { { 2 } };
        char directory[] = "/tmp/stock-position.XXXXXX", path[64];
        StockPosition position;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        ck_assert_int_eq(stock_position_open(&position, directory, &one, "a"), 0);
        ck_assert_uint_eq(stock_position_get(&position), 0);
        stock_position_set(&position, 4711);
        stock_position_close(&position);
        stock_position_close(&position);
        ck_assert_int_eq(stock_position_open(&position, directory, &one, "a"), 0);
        ck_assert_uint_eq(stock_position_get(&position), 4711);
        stock_position_close(&position);
        ck_assert_int_eq(stock_position_open(&position, directory, &one, "b"), 0);
        ck_assert_uint_eq(stock_position_get(&position), 0);
        stock_position_set(&position, 4711);
        stock_position_close(&position);
        ck_assert_int_eq(stock_position_open(&position, directory, &two, "b"), 0);
        ck_assert_uint_eq(stock_position_get(&position), 0);
        stock_position_close(&position);
        ck_assert_int_eq(stock_position_open(&position, "/nowhere", &two, "b"), -ENOENT);
        snprintf(path, sizeof path, "%s/stock-position", directory);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(rmdir(directory), 0);
        memset(&feed, 0, sizeof feed);
}
END_TEST

static Suite *stock_feed_suite(void)
{
        Suite *suite = suite_create("stock-feed");
        TCase *all = tcase_create("all");

        tcase_add_checked_fixture(all, setup, teardown);
        tcase_add_test(all, lines_pass_and_batches_are_released);
        tcase_add_test(all, eoe_passes_with_what_is_before_it);
        tcase_add_test(all, what_was_under_way_is_sent_again);
        tcase_add_test(all, a_restart_in_the_middle_of_a_batch_leaves_nothing_of_it);
        tcase_add_test(all, what_was_acked_before_is_not_sent);
        tcase_add_test(all, what_is_lost_is_told);
        tcase_add_test(all, what_another_has_passes);
        tcase_add_test(all, a_window_goes_round);
        tcase_add_test(all, a_position_is_kept_for_its_stream_and_collector);
        suite_add_tcase(suite, all);
        return suite;
}

int main(void)
{
        return check_main(stock_feed_suite());
}
