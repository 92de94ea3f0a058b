/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A store whose disk says no at a chosen call, or whose memory does, one case at a time: which trouble is an
 * ordinary result, which ends the segment, and what is then still there. Random trouble: tests/sim.
 */

#include "store-case.h"
#include "capture.h"
#include "fault-disk.h"

#include <sys/wait.h>

/* --- The memory --- */

/* Of the calls from now on the nth fails, once. 0: none. */
static uint64_t memory_fails_at;
static bool memory_failed;

static bool memory_strikes(void)
{
        if (memory_fails_at == 0 || --memory_fails_at > 0)
                return false;
        memory_failed = true;
        return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);

void *__wrap_malloc(size_t size)
{
        return memory_strikes() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
        return memory_strikes() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
        return memory_strikes() ? NULL : __real_reallocarray(old, n, size);
}

/* --- The disk --- */

static FaultPlan plan;

static void open_faulty(void)
{
        close_store();
        plan = (FaultPlan) { 0 };
        options.disk = fault_disk_new(sim_disk_attach(sim), &plan);
        ck_assert_int_eq(store_open(&options, now, &store, &report), 0);
}

/* The nth call from now. */
static void fail_call(uint64_t n, int error)
{
        plan.at = plan.calls + n;
        plan.error = error;
        plan.hit = false;
}

START_TEST(no_room_is_an_ordinary_result)
{
        static const int errors[] = { -ENOSPC, -EDQUOT, -EFBIG };
        unsigned refused = 0;

        open_faulty();
        ck_assert_int_eq(append(1, 1, 3), 0);
        commit();
        for (uint64_t n = 1;; n++) {
                uint64_t first = position(1) + 1;
                int r;

                store_rotate(store);
                fail_call(n, errors[_i]);
                r = append(1, first, first + 2);
                if (!plan.hit)
                        break;
                ck_assert(r == 0 || r == errors[_i]);
                refused += r < 0;
                /* The same again, and nothing was forgotten. */
                if (r < 0)
                        ck_assert_int_eq(append(1, first, first + 2), 0);
                commit();
                ck_assert_uint_eq(position(1), first + 2);
        }
        ck_assert_uint_ge(refused, 2);
        reopen();
        ck_assert_uint_eq(report.n_damages, 0);
        ck_assert_uint_gt(position(1), 3);
}
END_TEST

/* Of lines 1..last of stream 1. */
static uint64_t text_size(uint64_t last)
{
        char line[256];
        uint64_t size = 0;

        for (uint64_t seq = 1; seq <= last; seq++)
                size += fixture_line(1, seq, line);
        return size;
}

/* So many bytes more are there. */
static void leave_room(uint64_t bytes)
{
        Disk *disk = sim_disk_attach(sim);
        DiskSpace space = { 0 };

        ck_assert_int_eq(disk->space(disk, &space), 0);
        sim_disk_set_capacity(sim, space.bytes_total - space.bytes_free + bytes);
        (void) disk_free(disk);
}

/* On a file system that cannot reserve, the write itself finds out that there is no room, and half of it is
 * there. */
START_TEST(half_a_line_does_not_stay)
{
        unsigned found_out = 0;

        for (uint64_t n = 1;; n++) {
                uint64_t size;

                teardown();
                setup();
                open_faulty();
                fail_call(n, -EOPNOTSUPP);
                if (append(1, 1, 3) < 0)
                        continue;
                if (!plan.hit)
                        break;
                leave_room(1024);
                if (append(1, 4, 60) != -ENOSPC)
                        continue;
                found_out++;
                ck_assert_ptr_nonnull(sim_disk_bytes(sim, "00000000000000000001.log", &size));
                ck_assert_uint_eq(size, text_size(3));
        }
        ck_assert_uint_gt(found_out, 0);
}
END_TEST

START_TEST(a_failed_commit_steps_back)
{
        open_faulty();
        ck_assert_int_eq(append(1, 1, 3), 0);
        commit();
        ck_assert_int_eq(append(1, 4, 6), 0);
        ck_assert_int_eq(append(2, 1, 1), 0);
        sim_disk_fail_sync_at(sim, 1);
        ck_assert_int_eq(fixture_commit(store, now), -EIO);
        ck_assert_uint_eq(position(1), 3);
        ck_assert_uint_eq(position(2), 0);
        ck_assert_int_eq(append(1, 4, 6), 0);
        ck_assert_int_eq(append(2, 1, 1), 0);
        commit();
        ck_assert_uint_eq(count_segments(), 2);
        reopen();
        ck_assert_uint_eq(position(1), 6);
        ck_assert_uint_eq(position(2), 1);
}
END_TEST

/* A process dies between a new segment's name and its sync; the next one is not to rely on it. */
START_TEST(names_left_unsynced_are_synced_by_the_next_start)
{
        StoreJob job;

        for (uint64_t seed = 1; seed < 50; seed++) {
                close_store();
                (void) sim_disk_free(sim);
                sim = sim_disk_new(seed);
                open_store();
                ck_assert_int_eq(append(1, 1, 3), 0);
                ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
                job.directory = false;
                ck_assert_int_eq(store_job_run(&job), 0);
                reopen();
                ck_assert_uint_eq(position(1), 3);
                ck_assert_int_eq(append(1, 4, 6), 0);
                commit();
                close_store();
                sim_disk_power_cycle(sim);
                open_store();
                ck_assert_uint_eq(position(1), 6);
        }
}
END_TEST

START_TEST(nothing_is_released_that_was_not_shown)
{
        Source *source = store_source(store, "collector");
        StoreStatus status;

        fill(1, 3);
        ck_assert_int_eq(append(1, 4, 4), 0);
        release(source, 2);
        source->release(source, 4, 1);
        source->release(source, 1, 1);
        store_status(store, &status);
        ck_assert_uint_eq(status.released, 2);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-trouble");
        TCase *tcase = tcase_create("store-trouble");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, no_room_is_an_ordinary_result, 0, 3);
        tcase_add_test(tcase, half_a_line_does_not_stay);
        tcase_add_test(tcase, a_failed_commit_steps_back);
        tcase_add_test(tcase, names_left_unsynced_are_synced_by_the_next_start);
        tcase_add_test(tcase, nothing_is_released_that_was_not_shown);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
