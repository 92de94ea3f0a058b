/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The states of the disk as conditions: where they begin, that they do not flap, and what ends them. The disk's answers are the
 * test's; time passes by setting back when trouble was last seen.
 */

#include "check-main.h"
#include "capture.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/store-loop-private.h"

#include <stdio.h>
#include <unistd.h>

#define MIB (UINT64_C(1024) * 1024)

static char directory[64], store_directory[80];
static Capture capture;
static State *state;
static sd_event *event;
static StoreLoop *loop;
static StoreLoopOptions options;
static DiskSpace space;
static unsigned n_begun[_STORE_CONDITION_MAX], n_ended[_STORE_CONDITION_MAX];

static void on_condition(StoreLoop *l, StoreCondition condition, bool on, void *userdata)
{
        *(on ? &n_begun[condition] : &n_ended[condition]) += 1;
}

static const StoreLoopHandler store_handler = { .condition = on_condition };

static void flush(IntakeSession *session)
{
}

static const IntakeHandler intake_handler = { .flush = flush };

static int space_of_the_test(Disk *disk, DiskSpace *ret)
{
        *ret = space;
        return 0;
}

static int space_unknown(Disk *disk, DiskSpace *ret)
{
        return -EIO;
}

static void open_loop(void)
{
        ck_assert_int_eq(store_loop_new(event, &options, &loop), 0);
        loop->disk->space = space_of_the_test;
}

static void setup(void)
{
        scratch_make(directory);
        (void) snprintf(store_directory, sizeof store_directory, "%s/store", directory);
        capture_begin(&capture);
        log_init("test", LOG_INFO);
        ck_assert_int_eq(state_new(directory, "remote", &state), 0);
        ck_assert_int_ge(sd_event_new(&event), 0);
        space = (DiskSpace) { 1000 * MIB, 1000 * MIB, 1000, 1000 };
        options = (StoreLoopOptions) {
                .directory = store_directory,
                .store = { .segment_size_max = MIB },
                .state = state,
                .conditions = { "spool_low", "spool_full", "spool_error", "store_damaged", "spool_dropping" },
                .node = "host",
                .name = "host",
                .intake = &intake_handler,
                .window = 1024,
                .handler = &store_handler,
        };
}

static void teardown(void)
{
        loop = store_loop_free(loop);
        state = state_free(state);
        event = sd_event_unref(event);
        (void) capture_end(&capture);
        scratch_remove(directory);
}

/* Whether the disk counts as low, with what the test says of it; the file and the peers' news agree. */
static bool low(void)
{
        char path[128];

        store_loop_check_space(loop);
        (void) snprintf(path, sizeof path, "%s/remote/spool_low", directory);
        ck_assert_int_eq(access(path, F_OK) == 0, loop->held[STORE_LOW]);
        ck_assert_uint_eq(n_begun[STORE_LOW], n_ended[STORE_LOW] + loop->held[STORE_LOW]);
        return loop->held[STORE_LOW];
}

static bool low_at_bytes(uint64_t mib)
{
        space.bytes_free = mib * MIB;
        return low();
}

static bool low_at_inodes(uint64_t n)
{
        space.inodes_free = n;
        return low();
}

/* --- Room --- */

START_TEST(low_begins_below_the_limit_and_ends_an_eighth_above)
{
        if (_i == 0)
                options.space_left.n = 80 * MIB;
        else
                options.space_left = (DiskAmount) { 8, true };
        open_loop();
        ck_assert(!low_at_bytes(80));
        ck_assert(low_at_bytes(79));
        ck_assert(low_at_bytes(80));
        ck_assert(low_at_bytes(90));
        ck_assert(!low_at_bytes(91));
        ck_assert(!low_at_bytes(80));
        ck_assert(low_at_bytes(1));
        ck_assert_uint_eq(n_begun[STORE_LOW], 2);
        loop->disk->space = space_unknown;
        ck_assert(low_at_bytes(1000));
}
END_TEST

START_TEST(inodes_run_low_like_bytes)
{
        options.space_left.n = 80 * MIB;
        options.inodes_left = (DiskAmount) { 8, _i == 1 };
        if (_i == 0)
                options.inodes_left.n = 80;
        open_loop();
        ck_assert(!low_at_inodes(80));
        ck_assert(low_at_inodes(79));
        ck_assert(low_at_inodes(90));
        ck_assert(!low_at_inodes(91));
        /* Both, and one of them is better again. */
        ck_assert(low_at_inodes(1));
        ck_assert(low_at_bytes(1));
        ck_assert(low_at_inodes(900));
        ck_assert(!low_at_bytes(900));
        /* A file system that makes inodes as they are needed. */
        space.inodes_total = 0;
        ck_assert(!low_at_inodes(0));
}
END_TEST

static void commit(void)
{
        StoreJob job;

        ck_assert_int_eq(store_commit_begin(loop->store, realtime_usec(), &job), 1);
        ck_assert_int_eq(store_commit_end(loop->store, store_job_run(&job), realtime_usec()), 0);
}

static void append_own(size_t size)
{
        static uint8_t line[RECORD_LINE_MAX];
        Batch batch = { .first = 1, .last = 1, .count = 1, .size = (uint32_t) size, .origin = BATCH_ORIGIN_LOCAL, .payload = line };

        memset(line, 'x', size);
        line[size - 1] = '\n';
        batch_seal(&batch);
        ck_assert_int_eq(store_append_own(loop->store, &batch, realtime_usec()), 0);
        commit();
}

/* Well over 1 MiB, in segments. */
static void append_too_much(void)
{
        for (unsigned i = 0; i < 100; i++) {
                append_own(16 * 1024);
                if (i % 8 == 7) {
                        store_rotate(loop->store);
                        commit();
                }
        }
}

START_TEST(low_is_said_before_the_bound_is_reached)
{
        options.store.use_max = MIB;
        open_loop();
        (void) store_source(loop->store, "c");
        ck_assert(!low());
        for (unsigned i = 0; i < 40; i++)
                append_own(16 * 1024);
        ck_assert(!low());
        for (unsigned i = 0; i < 12; i++)
                append_own(16 * 1024);
        ck_assert(low());
        /* A collector has all of it. */
        store_source(loop->store, "c")->release(store_source(loop->store, "c"), 52, 0);
        ck_assert(!low());
}
END_TEST

/* --- Dropping --- */

START_TEST(dropping_lasts_until_the_collector_has_been_told)
{
        Source *source;
        Batch batch;

        options.store.use_max = MIB;
        options.store.delete_unacked = options.store.delete_acked = true;
        open_loop();
        source = store_source(loop->store, "c");
        append_too_much();
        store_loop_check_store(loop);
        ck_assert(loop->held[STORE_DROPPING]);
        ck_assert(state_holds(state, "spool_dropping"));
        loop->trouble_usec[STORE_DROPPING] -= 60 * USEC_PER_SEC;
        store_loop_check_store(loop);
        ck_assert(loop->held[STORE_DROPPING]);
        ck_assert_int_eq(source->get(source, 1, NULL, &batch), 1);
        ck_assert_int_eq(batch.reason, BATCH_LOST);
        source->release(source, batch.last, batch.checksum);
        store_loop_check_store(loop);
        ck_assert(!loop->held[STORE_DROPPING]);
        ck_assert_uint_eq(n_ended[STORE_DROPPING], 1);
}
END_TEST

START_TEST(where_nobody_waits_deleting_is_no_condition)
{
        options.conditions[STORE_DROPPING] = NULL;
        options.store.use_max = MIB;
        options.store.delete_unacked = true;
        open_loop();
        (void) store_source(loop->store, "c");
        append_too_much();
        store_loop_check_store(loop);
        ck_assert(!loop->held[STORE_DROPPING]);
        ck_assert_uint_eq(state_list(state, NULL, 0), 0);
}
END_TEST

/* --- Full, and failing --- */

START_TEST(full_ends_when_the_disk_has_been_calm)
{
        open_loop();
        store_loop_note_no_room(loop, -ENOSPC);
        ck_assert(state_holds(state, "spool_full"));
        store_loop_calm(loop, true);
        ck_assert(loop->held[STORE_FULL]);
        loop->trouble_usec[STORE_FULL] -= 60 * USEC_PER_SEC;
        store_loop_note_no_room(loop, -ENOSPC);
        store_loop_calm(loop, true);
        ck_assert(loop->held[STORE_FULL]);
        loop->trouble_usec[STORE_FULL] -= 60 * USEC_PER_SEC;
        store_loop_calm(loop, false);
        ck_assert(!loop->held[STORE_FULL]);
        ck_assert_uint_eq(n_begun[STORE_FULL], 1);
        ck_assert_uint_eq(n_ended[STORE_FULL], 1);
}
END_TEST

START_TEST(an_error_ends_only_when_something_was_written)
{
        open_loop();
        store_loop_note_failure(loop, -EIO);
        loop->trouble_usec[STORE_ERROR] -= 60 * USEC_PER_SEC;
        store_loop_calm(loop, false);
        ck_assert(loop->held[STORE_ERROR]);
        /* Nobody delivers: the loop writes of itself. */
        while (loop->held[STORE_ERROR])
                ck_assert_int_gt(sd_event_run(event, UINT64_MAX), 0);
        ck_assert(!state_holds(state, "spool_error"));
        ck_assert_uint_ge(loop->commits, 1);
        ck_assert_uint_eq(n_ended[STORE_ERROR], 1);
}
END_TEST

/* Whoever reads it says so, and when it has gone well: what is written in between says nothing of that. */
START_TEST(an_error_of_reading_ends_only_when_something_was_read)
{
        open_loop();
        store_loop_not_read(loop, "Input/output error");
        ck_assert(state_holds(state, "spool_error"));
        loop->trouble_usec[STORE_ERROR] -= 60 * USEC_PER_SEC;
        ck_assert(!store_loop_needs_proof(loop));
        store_loop_calm(loop, true);
        ck_assert(loop->held[STORE_ERROR]);
        store_loop_was_read(loop);
        store_loop_calm(loop, false);
        ck_assert(loop->held[STORE_ERROR]);
        ck_assert(store_loop_needs_proof(loop));
        store_loop_calm(loop, true);
        ck_assert(!state_holds(state, "spool_error"));
        ck_assert_uint_eq(n_begun[STORE_ERROR], 1);
        ck_assert_uint_eq(n_ended[STORE_ERROR], 1);
        /* Of one that fails while the disk fails as well, neither ends the other. */
        store_loop_note_failure(loop, -EIO);
        store_loop_not_read(loop, "Input/output error");
        loop->trouble_usec[STORE_ERROR] -= 60 * USEC_PER_SEC;
        store_loop_calm(loop, true);
        ck_assert(loop->held[STORE_ERROR]);
        store_loop_was_read(loop);
        store_loop_note_failure(loop, -EIO);
        store_loop_calm(loop, true);
        ck_assert(loop->held[STORE_ERROR]);
}
END_TEST

static int sync_fails(Disk *disk, int handle)
{
        return -EIO;
}

START_TEST(an_error_stays_while_the_disk_fails)
{
        int (*sync)(Disk *disk, int handle);

        open_loop();
        sync = loop->disk->sync;
        store_loop_note_failure(loop, -EIO);
        loop->disk->sync = sync_fails;
        while (loop->errors < 3) {
                loop->trouble_usec[STORE_ERROR] -= 60 * USEC_PER_SEC;
                ck_assert_int_gt(sd_event_run(event, UINT64_MAX), 0);
                ck_assert(loop->held[STORE_ERROR]);
        }
        loop->disk->sync = sync;
        while (loop->held[STORE_ERROR]) {
                loop->trouble_usec[STORE_ERROR] -= 60 * USEC_PER_SEC;
                ck_assert_int_gt(sd_event_run(event, UINT64_MAX), 0);
        }
        ck_assert_uint_eq(n_begun[STORE_ERROR], 1);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-loop-disk");
        TCase *tcase = tcase_create("store-loop-disk");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, low_begins_below_the_limit_and_ends_an_eighth_above, 0, 2);
        tcase_add_loop_test(tcase, inodes_run_low_like_bytes, 0, 2);
        tcase_add_test(tcase, low_is_said_before_the_bound_is_reached);
        tcase_add_test(tcase, dropping_lasts_until_the_collector_has_been_told);
        tcase_add_test(tcase, where_nobody_waits_deleting_is_no_condition);
        tcase_add_test(tcase, full_ends_when_the_disk_has_been_calm);
        tcase_add_test(tcase, an_error_ends_only_when_something_was_written);
        tcase_add_test(tcase, an_error_of_reading_ends_only_when_something_was_read);
        tcase_add_test(tcase, an_error_stays_while_the_disk_fails);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
