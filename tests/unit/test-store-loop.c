/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The store in the loop, on a real directory. */

#include "check-main.h"
#include "capture.h"
#include "runtime/log.h"
#include "runtime/store-loop.h"

#include <stdio.h>

static char directory[64], store_directory[80];
static Capture capture;
static State *state;
static sd_event *event;

static void setup(void)
{
        scratch_make(directory);
        (void) snprintf(store_directory, sizeof store_directory, "%s/store", directory);
        capture_begin(&capture);
        log_init("test", LOG_INFO);
        ck_assert_int_eq(state_new(directory, "remote", &state), 0);
        ck_assert_int_ge(sd_event_new(&event), 0);
}

static void teardown(void)
{
        state = state_free(state);
        event = sd_event_unref(event);
        (void) capture_end(&capture);
        scratch_remove(directory);
}

static void flush(IntakeSession *session)
{
}

static const IntakeHandler intake_handler = { .flush = flush };

static const StoreLoopHandler store_handler;
static uint64_t segment_age_usec;

static StoreLoop *open_in_boot(const char *boot_id)
{
        StoreLoopOptions options = {
                .directory = store_directory,
                .store = { .segment_size_max = 1024 * 1024, .segment_age_usec = segment_age_usec },
                .state = state,
                .conditions = { "spool_low", "spool_full", "spool_error", "store_damaged" },
                .node = "host",
                .name = "host",
                .boot_id = boot_id,
                .intake = &intake_handler,
                .window = 1024,
                .handler = &store_handler,
        };
        StoreLoop *loop;

        ck_assert_int_eq(store_loop_new(event, &options, &loop), 0);
        return loop;
}

static uint64_t written(const StoreLoop *loop)
{
        StoreStatus status;

        store_status(store_loop_store((StoreLoop *) loop), &status);
        return status.written;
}

/* A dispatcher may be waiting already: what it delivers in the first turn of the loop is of this boot. */
START_TEST(what_recovery_has_to_say_stands_before_all_that_comes)
{
        StoreLoop *loop = open_in_boot("first");

        ck_assert_uint_eq(written(loop), 0);
        store_loop_free(loop);

        loop = open_in_boot("second");
        ck_assert_uint_eq(written(loop), 1);
        store_loop_free(loop);
}
END_TEST

START_TEST(a_crash_in_the_same_boot_is_no_death_of_the_machine)
{
        StoreLoop *loop = open_in_boot("first");

        store_loop_free(loop);
        loop = open_in_boot("first");
        ck_assert_uint_eq(written(loop), 0);
        store_loop_free(loop);
}
END_TEST

static uint64_t segments(StoreLoop *loop)
{
        StoreStatus status;

        store_status(store_loop_store(loop), &status);
        return status.segments;
}

/* What is written is the gap record of the second start; then nobody writes. */
START_TEST(a_segment_ends_by_age_though_nobody_writes)
{
        StoreLoop *loop = open_in_boot("first");

        store_loop_free(loop);
        segment_age_usec = 1;
        loop = open_in_boot("second");
        ck_assert_uint_eq(segments(loop), 1);
        while (segments(loop) == 1)
                ck_assert_int_gt(sd_event_run(event, 10 * USEC_PER_SEC), 0);
        ck_assert_uint_eq(written(loop), 1);
        store_loop_free(loop);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-loop");
        TCase *tcase = tcase_create("store-loop");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, what_recovery_has_to_say_stands_before_all_that_comes);
        tcase_add_test(tcase, a_crash_in_the_same_boot_is_no_death_of_the_machine);
        tcase_add_test(tcase, a_segment_ends_by_age_though_nobody_writes);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
