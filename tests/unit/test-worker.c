/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The loop and the worker: signals, ticks, what systemd is told, jobs on the thread. */

#include "check-main.h"
#include "capture.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/worker.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

static Loop *loop;
static Worker *worker;
static unsigned n_terminate, n_reload, n_rotate, n_tick, n_done;
static unsigned exit_after_ticks;
static pthread_t job_thread;

static void on_terminate(void *userdata)
{
        n_terminate++;
        ck_assert(loop_terminating(loop));
        loop_exit(loop, 7);
}

static void on_rotate_then_end(void *userdata)
{
        n_rotate++;
        ck_assert_int_eq(kill(getpid(), SIGTERM), 0);
        ck_assert_int_eq(kill(getpid(), SIGINT), 0);
}

static void on_reload_then_rotate(void *userdata)
{
        n_reload++;
        ck_assert_int_eq(kill(getpid(), SIGUSR1), 0);
}

static void on_tick(void *userdata)
{
        if (++n_tick == exit_after_ticks)
                loop_exit(loop, 3);
}

static const LoopHandler handler = { on_terminate, on_reload_then_rotate, on_rotate_then_end, on_tick };

static void setup(void)
{
        n_terminate = n_reload = n_rotate = n_tick = n_done = exit_after_ticks = 0;
        log_init("test", LOG_INFO);
        ck_assert_int_eq(loop_new(&handler, NULL, &loop), 0);
        ck_assert_int_eq(worker_new(loop_event(loop), "test-worker-with-a-long-name", LOOP_COMMIT, &worker),
                         0);
}

static void teardown(void)
{
        worker = worker_free(worker);
        loop = loop_free(loop);
        (void) unsetenv("NOTIFY_SOCKET");
}

START_TEST(terminates_once_with_the_code_given)
{
        /* Blocked, hence pending: none is lost although it comes before the loop runs. */
        ck_assert_int_eq(kill(getpid(), SIGHUP), 0);
        ck_assert_int_eq(loop_run(loop), 7);
        ck_assert_uint_eq(n_reload, 1);
        ck_assert_uint_eq(n_rotate, 1);
        ck_assert_uint_eq(n_terminate, 1);
}
END_TEST

/* Binds an address for NOTIFY_SOCKET. */
static int notify_socket(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        socklen_t size = sizeof(sa_family_t);
        char name[32];

        /* Autobind gives an abstract name nobody else has. */
        ck_assert_int_eq(bind(fd, (struct sockaddr *) &address, size), 0);
        size = sizeof address;
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *) &address, &size), 0);
        (void) snprintf(name, sizeof name, "@%.*s",
                        (int) (size - offsetof(struct sockaddr_un, sun_path) - 1), address.sun_path + 1);
        ck_assert_int_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
        return fd;
}

static const char *notified(int fd)
{
        static char text[256];
        ssize_t n = recv(fd, text, sizeof text - 1, 0);

        if (n < 0)
                return NULL;
        text[n] = '\0';
        return text;
}

START_TEST(systemd_is_told)
{
        int fd = notify_socket();

        ck_assert_int_eq(kill(getpid(), SIGHUP), 0);
        ck_assert_int_eq(loop_run(loop), 7);
        ck_assert_str_eq(notified(fd), "READY=1\nSTATUS=Started");
        ck_assert_int_eq(strncmp(notified(fd), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
        ck_assert_str_eq(notified(fd), "READY=1");
        ck_assert_str_eq(notified(fd), "STOPPING=1\nSTATUS=Draining");
        ck_assert_ptr_null(notified(fd));
        (void) close(fd);
}
END_TEST

START_TEST(ticks_each_second)
{
        uint64_t before = monotonic_usec();

        exit_after_ticks = 2;
        ck_assert_int_eq(loop_run(loop), 3);
        ck_assert_uint_eq(n_tick, 2);
        ck_assert_uint_ge(monotonic_usec() - before, 2 * LOOP_TICK_USEC);
}
END_TEST

static int run_and_note_thread(void *userdata)
{
        job_thread = pthread_self();
        return -ENOSPC;
}

static void count_and_repeat(int result, void *userdata)
{
        ck_assert_int_eq(result, -ENOSPC);
        ck_assert(!worker_busy(worker));
        ck_assert(!pthread_equal(job_thread, pthread_self()));
        if (++n_done == 1000)
                loop_exit(loop, 11);
        else
                worker_start(worker, run_and_note_thread, count_and_repeat, userdata);
}

START_TEST(a_job_runs_on_the_thread_and_ends_in_the_loop)
{
        worker_start(worker, run_and_note_thread, count_and_repeat, &n_done);
        ck_assert(worker_busy(worker));
        ck_assert_int_eq(loop_run(loop), 11);
        ck_assert_uint_eq(n_done, 1000);
}
END_TEST

static int run_signal_mask(void *userdata)
{
        sigset_t mask;

        return pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0 && sigismember(&mask, SIGTERM) &&
               sigismember(&mask, SIGCHLD);
}

static void end_with_result(int result, void *userdata)
{
        /* The worker may go from here. */
        worker = worker_free(worker);
        loop_exit(loop, result);
}

START_TEST(the_thread_takes_no_signals_and_done_may_free_the_worker)
{
        worker_start(worker, run_signal_mask, end_with_result, NULL);
        ck_assert_int_eq(loop_run(loop), 1);
        ck_assert_ptr_null(worker);
}
END_TEST

static sem_t job_began, job_may_end;
static bool job_ended;

static int run_until_allowed(void *userdata)
{
        sem_post(&job_began);
        while (sem_wait(&job_may_end) < 0)
                ;
        job_ended = true;
        return 0;
}

static void never_called(int result, void *userdata)
{
        ck_abort_msg("done() after the worker was freed");
}

static void *allow_end(void *userdata)
{
        sem_post(&job_may_end);
        return NULL;
}

START_TEST(freeing_waits_for_the_job)
{
        pthread_t helper;

        sem_init(&job_began, 0, 0);
        sem_init(&job_may_end, 0, 0);
        job_ended = false;
        worker_start(worker, run_until_allowed, never_called, NULL);
        while (sem_wait(&job_began) < 0)
                ;
        ck_assert_int_eq(pthread_create(&helper, NULL, allow_end, NULL), 0);
        worker = worker_free(worker);
        ck_assert(job_ended);
        ck_assert_int_eq(pthread_join(helper, NULL), 0);
        exit_after_ticks = 1;
        ck_assert_int_eq(loop_run(loop), 3);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("worker");
        TCase *tcase = tcase_create("worker");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, terminates_once_with_the_code_given);
        tcase_add_test(tcase, systemd_is_told);
        tcase_add_test(tcase, ticks_each_second);
        tcase_add_test(tcase, a_job_runs_on_the_thread_and_ends_in_the_loop);
        tcase_add_test(tcase, the_thread_takes_no_signals_and_done_may_free_the_worker);
        tcase_add_test(tcase, freeing_waits_for_the_job);
        suite_add_tcase(suite, tcase);
        (void) unsetenv("AUDIT_RELAY_LOG_LEVEL");
        return check_main(suite);
}
