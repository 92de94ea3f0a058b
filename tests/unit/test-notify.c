/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Words to the service manager: they arrive, and one that does not read stops nobody. */

#include "check-main.h"
#include "capture.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/notify.h"
#include "runtime/state.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

static int manager;
static Loop *loop;
static unsigned n_ticks;

/* An abstract socket of our own stands for the manager's. */
static void setup(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        socklen_t size = sizeof address;
        char name[sizeof address.sun_path + 1] = "@";

        manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_ge(manager, 0);
        ck_assert_int_eq(bind(manager, (struct sockaddr *) &address, sizeof address.sun_family), 0);
        ck_assert_int_eq(getsockname(manager, (struct sockaddr *) &address, &size), 0);
        memcpy(name + 1, address.sun_path + 1, size - offsetof(struct sockaddr_un, sun_path) - 1);
        ck_assert_int_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
        n_ticks = 0;
}

static void teardown(void)
{
        close_fd(manager);
}

/* Reads all there is; returns whether `text` was among it. */
static bool heard(const char *text)
{
        char buffer[256];
        bool found = false;
        ssize_t n;

        while ((n = recv(manager, buffer, sizeof buffer - 1, 0)) >= 0) {
                buffer[n] = '\0';
                found = found || strcmp(buffer, text) == 0;
        }
        return found;
}

static void fill_queue(void)
{
        unsigned n = 0;

        while (notify_manager("STATUS=full") > 0)
                ck_assert_uint_lt(++n, 1000000);
        ck_assert_int_eq(notify_manager("STATUS=full"), -EAGAIN);
}

START_TEST(words_arrive)
{
        ck_assert_int_eq(notify_manager("READY=1\nSTATUS=Started"), 1);
        ck_assert(heard("READY=1\nSTATUS=Started"));
}
END_TEST

START_TEST(without_a_manager_nothing_is_said)
{
        unsetenv("NOTIFY_SOCKET");
        ck_assert_int_eq(notify_manager("READY=1"), 0);
        setenv("NOTIFY_SOCKET", "relative", 1);
        ck_assert_int_eq(notify_manager("READY=1"), -EINVAL);
        setenv("NOTIFY_SOCKET", "@audit-relay-nobody-listens-here", 1);
        ck_assert_int_eq(notify_manager("READY=1"), -ECONNREFUSED);
}
END_TEST

static void on_event(void *userdata)
{
        loop_exit(loop, 0);
}

static void on_tick(void *userdata)
{
        if (++n_ticks == 1)
                (void) heard("");
        else if (heard("READY=1"))
                loop_exit(loop, 0);
        else
                ck_assert_uint_lt(n_ticks, 10);
}

START_TEST(a_manager_that_does_not_read_stops_no_loop)
{
        static const LoopHandler handler = { .terminate = on_event, .reload = on_event, .tick = on_tick };

        setenv("WATCHDOG_USEC", "1000000", 1);
        unsetenv("WATCHDOG_PID");
        fill_queue();
        ck_assert_int_eq(loop_new(&handler, NULL, &loop), 0);
        /* The first tick comes though nobody reads; then READY=1 is said again. */
        ck_assert_int_eq(loop_run(loop), 0);
        ck_assert_uint_ge(n_ticks, 2);
        loop = loop_free(loop);
}
END_TEST

/* Once a second, however often there is progress. */
START_TEST(a_start_that_gets_on_is_given_time)
{
        uint64_t begin = monotonic_usec();

        notify_starting();
        ck_assert(heard("EXTEND_TIMEOUT_USEC=90000000\nSTATUS=Reading the store"));
        notify_starting();
        ck_assert(!heard("EXTEND_TIMEOUT_USEC=90000000\nSTATUS=Reading the store") || monotonic_usec() - begin >= USEC_PER_SEC);
        (void) usleep(USEC_PER_SEC);
        notify_starting();
        ck_assert(heard("EXTEND_TIMEOUT_USEC=90000000\nSTATUS=Reading the store"));
}
END_TEST

static void say_status(State *state)
{
        status_begin(state);
        status_end(state, "%s", "fine");
}

START_TEST(the_status_line_tells_of_conditions)
{
        char directory[64], text[] = "STATUS=fine; conditions: network_down, spool_full";
        State *state;

        scratch_make(directory);
        log_init("test", -1);
        ck_assert_int_eq(state_new(directory, "remote", &state), 0);
        say_status(state);
        ck_assert(heard("STATUS=fine"));
        say_status(state);
        ck_assert(!heard("STATUS=fine")); /* it is known */
        state_raise(state, "network_down", "x", NULL);
        state_raise(state, "spool_full", "x", NULL);
        say_status(state);
        ck_assert(heard(text));
        state_clear(state, "network_down");
        say_status(state);
        ck_assert(heard("STATUS=fine; conditions: spool_full"));
        for (char name[] = "a_condition_with_a_long_name_a"; name[sizeof name - 2] <= 'p'; name[sizeof name - 2]++)
                state_raise(state, name, "x", NULL);
        say_status(state); /* more than fit: those that do */
        ck_assert(!heard(text));
        state = state_free(state);
        scratch_remove(directory);
}
END_TEST

START_TEST(the_watchdog_is_fed)
{
        static const LoopHandler handler = { .terminate = on_event, .reload = on_event };
        sd_event_source *timer = NULL;

        setenv("WATCHDOG_USEC", "4000000", 1);
        unsetenv("WATCHDOG_PID");
        ck_assert_int_eq(loop_new(&handler, NULL, &loop), 0);
        ck_assert_int_ge(sd_event_add_time_relative(loop_event(loop), &timer, CLOCK_MONOTONIC,
                                                    5 * USEC_PER_SEC / 2, 1, NULL, NULL), 0);
        ck_assert_int_eq(loop_run(loop), 0);
        ck_assert(heard("WATCHDOG=1"));
        sd_event_source_unref(timer);
        loop = loop_free(loop);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("notify");
        TCase *tcase = tcase_create("notify");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, words_arrive);
        tcase_add_test(tcase, without_a_manager_nothing_is_said);
        tcase_add_test(tcase, a_manager_that_does_not_read_stops_no_loop);
        tcase_add_test(tcase, a_start_that_gets_on_is_given_time);
        tcase_add_test(tcase, the_status_line_tells_of_conditions);
        tcase_add_test(tcase, the_watchdog_is_fed);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
