/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rounds of commits of several stores, whose jobs are the test's: no files, but a directory that is synced. */

#include "check-main.h"
#include "runtime/loop.h"
#include "runtime/store-workers.h"

#include <pthread.h>

#define N 3U

static sd_event *event;
static StoreWorkers *workers;

typedef struct Fake {
        StoreCommit commit;
        Disk disk;
        int error;       /* of its job */
        unsigned asks;   /* again, in end(), so many times */
        bool idle, asks_at_once;
        unsigned begun, ended;
        int result;
} Fake;

static Fake fakes[N];
static char order[64];
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* held by the test, jobs wait */

static void note(const Fake *fake, char what)
{
        size_t n = strlen(order);

        if (n + 3 < sizeof order) {
                order[n] = (char) ('a' + (fake - fakes));
                order[n + 1] = what;
        }
}

static int on_sync(Disk *disk)
{
        pthread_mutex_lock(&gate);
        pthread_mutex_unlock(&gate);
        return container_of(disk, Fake, disk)->error;
}

static bool on_begin(StoreCommit *commit)
{
        Fake *fake = container_of(commit, Fake, commit);

        note(fake, '<');
        fake->begun++;
        if (fake->asks_at_once)
                store_workers_commit(workers, commit);
        fake->asks_at_once = false;
        commit->job = (StoreJob) { .disk = &fake->disk, .cut = { -1, -1 }, .directory = true };
        return !fake->idle;
}

static void on_end(StoreCommit *commit, int result)
{
        Fake *fake = container_of(commit, Fake, commit);

        note(fake, '>');
        fake->ended++;
        fake->result = result;
        if (fake->asks > 0) {
                fake->asks--;
                store_workers_commit(workers, commit);
        }
}

static void setup(void)
{
        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(store_workers_new(event, false, &workers), 0);
        memset(fakes, 0, sizeof fakes);
        memset(order, 0, sizeof order);
        for (size_t i = 0; i < N; i++)
                fakes[i] = (Fake) { .commit = { .begin = on_begin, .end = on_end }, .disk.sync_directory = on_sync };
}

static void teardown(void)
{
        workers = store_workers_free(workers);
        event = sd_event_unref(event);
}

static void ask(size_t i)
{
        store_workers_commit(workers, &fakes[i].commit);
}

/* Until nothing has happened for a moment. */
static void run(void)
{
        while (sd_event_run(event, 100 * USEC_PER_MSEC) > 0)
                ;
}

START_TEST(all_who_wait_go_out_in_one_round)
{
        ask(0);
        ask(1);
        ask(0);
        run();
        ck_assert_str_eq(order, "a<b<a>b>");
        run();
        ck_assert_uint_eq(fakes[0].begun, 1);
}
END_TEST

START_TEST(who_comes_meanwhile_is_in_the_next)
{
        pthread_mutex_lock(&gate);
        ask(0);
        run();
        ck_assert(fakes[0].commit.in_flight);
        ck_assert(store_workers_busy(workers, &fakes[0].commit, NULL));
        ck_assert(!store_workers_busy(workers, &fakes[1].commit, (Store *) fakes));
        ask(1);
        ask(0); /* is under way: nothing */
        run();
        ck_assert_str_eq(order, "a<");
        fakes[0].asks = 1;
        pthread_mutex_unlock(&gate);
        run();
        ck_assert_str_eq(order, "a<a>b<a<b>a>");
}
END_TEST

START_TEST(each_has_its_own_result)
{
        fakes[1].error = -EIO;
        for (size_t i = 0; i < N; i++)
                ask(i);
        run();
        ck_assert_int_eq(fakes[0].result, 0);
        ck_assert_int_eq(fakes[1].result, -EIO);
        ck_assert_int_eq(fakes[2].result, 0);
}
END_TEST

START_TEST(nothing_to_do_is_no_job)
{
        fakes[0].idle = true;
        ask(0);
        run();
        ck_assert_uint_eq(fakes[0].begun, 1);
        ck_assert_uint_eq(fakes[0].ended, 0);
        /* Asked for again while it began. */
        fakes[0].asks_at_once = true;
        ask(0);
        run();
        ck_assert_uint_eq(fakes[0].begun, 3);
        fakes[0].idle = false;
        fakes[0].asks_at_once = true;
        ask(0);
        run();
        ck_assert_uint_eq(fakes[0].begun, 4);
        ck_assert_uint_eq(fakes[0].ended, 1);
}
END_TEST

START_TEST(who_leaves_is_not_called)
{
        ask(0);
        ask(1);
        store_workers_leave(workers, &fakes[0].commit);
        store_workers_leave(workers, &fakes[0].commit);
        run();
        ck_assert_str_eq(order, "b<b>");
}
END_TEST

START_TEST(at_the_end_nobody_hears_of_what_runs)
{
        ask(0);
        pthread_mutex_lock(&gate);
        run();
        ask(1);
        pthread_mutex_unlock(&gate);
        workers = store_workers_free(workers);
        ck_assert_uint_eq(fakes[0].ended, 0);
        for (size_t i = 0; i < N; i++)
                ck_assert(!fakes[i].commit.in_flight && !fakes[i].commit.asked);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-workers");
        TCase *tcase = tcase_create("store-workers");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, all_who_wait_go_out_in_one_round);
        tcase_add_test(tcase, who_comes_meanwhile_is_in_the_next);
        tcase_add_test(tcase, each_has_its_own_result);
        tcase_add_test(tcase, nothing_to_do_is_no_job);
        tcase_add_test(tcase, who_leaves_is_not_called);
        tcase_add_test(tcase, at_the_end_nobody_hears_of_what_runs);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
