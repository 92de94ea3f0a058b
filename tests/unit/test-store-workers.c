/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rounds of commits of several stores, whose jobs are the test's: no files, but a directory that is synced. And the links of
 * stores on a real disk.
 */

#include "capture.h"
#include "check-main.h"
#include "runtime/loop.h"
#include "runtime/store-workers.h"
#include "store-fixture.h"

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
        ck_assert_int_eq(store_workers_new(event, false, false, &workers), 0);
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

/* --- Links --- */

static char directory[64];
static Disk *disk;
static Store *store;
static uint64_t rest_until;
static int (*read_link_really)(Disk *disk, const char *name, char *ret_target, size_t size);
static pthread_t loop_thread;
static uint64_t n_reads; /* of links, by the thread */

static int read_link_when_let(Disk *of, const char *name, char *ret_target, size_t size)
{
        if (!pthread_equal(pthread_self(), loop_thread)) {
                pthread_mutex_lock(&gate);
                n_reads++;
                pthread_mutex_unlock(&gate);
        }
        return read_link_really(of, name, ret_target, size);
}

static void setup_links(void)
{
        StoreReport report;
        StoreOptions options;

        setup();
        workers = store_workers_free(workers);
        ck_assert_int_eq(store_workers_new(event, false, true, &workers), 0);
        scratch_make(directory);
        ck_assert_int_eq(disk_open(directory, &disk), 0);
        loop_thread = pthread_self();
        read_link_really = disk->read_link;
        disk->read_link = read_link_when_let;
        options = fixture_options(disk);
        options.links = true;
        ck_assert_int_eq(store_open(&options, 1, &store, &report), 0);
        store_report_done(&report);
        rest_until = n_reads = 0;
}

static void teardown_links(void)
{
        workers = store_workers_free(workers);
        store = store_free(store);
        scratch_remove(directory);
        teardown();
}

/* One more segment, durable; the links are left to the workers. */
static void add_segment(uint64_t seq)
{
        StreamId id = fixture_stream(1);
        Sink *sink = store_sink(store);
        StoreJob job;
        char text[1024];
        Batch batch = fixture_batch(1, seq, seq, text);

        store_rotate(store);
        ck_assert_int_eq(sink->append(sink, &id, "owner", &batch, &batch, seq), 0);
        ck_assert_int_eq(store_commit_begin(store, seq, &job), 1);
        ck_assert_int_eq(store_commit_end(store, store_job_run(&job), seq), 0);
}

static void expect_link(const char *name, uint64_t first)
{
        char target[128], expected[64] = "";

        if (read_link_really(disk, name, target, sizeof target) < 0)
                target[0] = '\0';
        if (first > 0)
                (void) snprintf(expected, sizeof expected, "../%020llu.log", (unsigned long long) first);
        ck_assert_msg(strcmp(target, expected) == 0, "%s leads to %s, not to %s", name, target, expected);
}

/* A folder of links from this segment back to the first. */
static void expect_links(uint64_t newest)
{
        char name[64];

        expect_link("ausearch/audit.log", newest);
        for (uint64_t i = 1; i <= newest; i++) {
                (void) snprintf(name, sizeof name, "ausearch/audit.log.%llu", (unsigned long long) i);
                expect_link(name, newest - i);
        }
}

/* However many segments come meanwhile: the loop goes on, and the links are made once more. */
START_TEST(links_are_made_beside_the_loop)
{
        Store *other = (Store *) fakes;
        StoreCommit idle = { .in_flight = false };

        add_segment(1);
        add_segment(2);
        pthread_mutex_lock(&gate);
        store_workers_links(workers, store, &rest_until);
        ck_assert(store_workers_busy(workers, &idle, store));
        add_segment(3);
        add_segment(4);
        store_workers_links(workers, store, &rest_until);
        /* Of another one at a time; it is not even looked at. */
        store_workers_links(workers, other, &rest_until);
        run();
        expect_link("ausearch/audit.log", 0);
        pthread_mutex_unlock(&gate);
        run();
        ck_assert(!store_workers_busy(workers, &idle, store));
        expect_links(2);
        expect_link("ausearch/audit.log.2", 0);
        /* Not at once again … */
        ck_assert_uint_gt(rest_until, 0);
        rest_until = UINT64_MAX;
        store_workers_links(workers, store, &rest_until);
        ck_assert(!store_workers_busy(workers, &idle, store));
        rest_until = 0;
        store_workers_links(workers, store, &rest_until);
        run();
        expect_links(4);
        /* … and not when nothing has changed. */
        n_reads = rest_until = 0;
        store_workers_links(workers, store, &rest_until);
        ck_assert(!store_workers_busy(workers, &idle, store));
        run();
        ck_assert_uint_eq(n_reads, 0);
}
END_TEST

/* Something of that name is in the way. */
START_TEST(links_that_cannot_be_made_are_tried_again)
{
        uint64_t now = monotonic_usec();

        ck_assert_int_eq(disk->make_directory(disk, "ausearch"), 0);
        add_segment(1);
        store_workers_links(workers, store, &rest_until);
        run();
        expect_link("ausearch/audit.log", 0);
        ck_assert_uint_ge(rest_until, now + 30 * USEC_PER_SEC);
        ck_assert_int_eq(disk->remove_directory(disk, "ausearch"), 0);
        rest_until = 0;
        store_workers_links(workers, store, &rest_until);
        run();
        expect_links(1);
}
END_TEST

START_TEST(links_that_are_made_at_the_end_are_made_again)
{
        add_segment(1);
        pthread_mutex_lock(&gate);
        store_workers_links(workers, store, &rest_until);
        add_segment(2);
        pthread_mutex_unlock(&gate);
        workers = store_workers_free(workers);
        ck_assert_int_eq(store_links_now(store), 0);
        expect_links(2);
        ck_assert_int_eq(store_workers_new(event, false, false, &workers), 0);
        /* Nobody is there to make them. */
        add_segment(3);
        store_workers_links(workers, store, &rest_until);
        run();
        expect_links(2);
}
END_TEST

/* What has nothing durable may be taken back, and nobody is to see it. */
START_TEST(a_segment_that_is_only_begun_has_no_link)
{
        StreamId id = fixture_stream(1);
        Sink *sink = store_sink(store);
        char text[1024];
        Batch batch = fixture_batch(1, 2, 2, text);
        StoreJob job;

        add_segment(1);
        store_rotate(store);
        ck_assert_int_eq(sink->append(sink, &id, "owner", &batch, &batch, 2), 0);
        ck_assert_int_eq(store_links_now(store), 0);
        expect_links(1);
        ck_assert_int_eq(store_commit_begin(store, 2, &job), 1);
        ck_assert_int_eq(store_links_now(store), 0);
        expect_links(1);
        ck_assert_int_eq(store_commit_end(store, store_job_run(&job), 2), 0);
        ck_assert_int_eq(store_links_now(store), 0);
        expect_links(2);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-workers");
        TCase *tcase = tcase_create("store-workers"), *links = tcase_create("links");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, all_who_wait_go_out_in_one_round);
        tcase_add_test(tcase, who_comes_meanwhile_is_in_the_next);
        tcase_add_test(tcase, each_has_its_own_result);
        tcase_add_test(tcase, nothing_to_do_is_no_job);
        tcase_add_test(tcase, who_leaves_is_not_called);
        tcase_add_test(tcase, at_the_end_nobody_hears_of_what_runs);
        suite_add_tcase(suite, tcase);
        tcase_add_checked_fixture(links, setup_links, teardown_links);
        tcase_add_test(links, links_are_made_beside_the_loop);
        tcase_add_test(links, links_that_cannot_be_made_are_tried_again);
        tcase_add_test(links, links_that_are_made_at_the_end_are_made_again);
        tcase_add_test(links, a_segment_that_is_only_begun_has_no_link);
        suite_add_tcase(suite, links);
        return check_main(suite);
}
