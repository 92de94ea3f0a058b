/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay stop, run as a program (its path is the first argument) with a systemctl of our own, which writes down what it is
 * asked for, and components that are this test's. */

#include "runtime/log.h"
#include "runtime/state.h"
#include "tool-run.h"

#include <signal.h>
#include <sys/wait.h>

static char directory[64];

static void setup(void)
{
        scratch_make(directory);
        log_init("test", -1);
        write_systemctl(directory, "#!/bin/sh\ntest $1 = show && exec cat ${0%/*}/units\necho \"$@\" >>${0%/*}/asked\n");
}

static void teardown(void)
{
        scratch_remove(directory);
}

static int run(const char *arguments)
{
        return tool_run("'%s' stop --state-dir='%s' %s", tool, directory, arguments);
}

/* remote, which hands one of its records over with each status. */
static pid_t start_remote(unsigned records, bool connected)
{
        char path[128];
        pid_t pid = fork();
        State *state;

        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                if (state_new(directory, "remote", &state) < 0)
                        _exit(1);
                for (;; records -= records > 0 && connected) {
                        status_begin(state);
                        status_gauge(state, "connected", NULL, connected, "x");
                        status_gauge(state, "waiting_records", NULL, records, "x");
                        status_end(state, "x");
                        (void) usleep(950000);
                }
        }
        (void) snprintf(path, sizeof path, "%s/remote/status", directory);
        while (access(path, F_OK) < 0)
                (void) usleep(10000);
        return pid;
}

static void end_component(pid_t pid)
{
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(the_order)
{
        ck_assert_int_eq(run("--timeout=0"), 0);
        ck_assert_str_eq(scratch_read(directory, "asked"),
                         "stop audit-relay-dispatcher.socket audit-relay-dispatcher-subscribe.socket audit-relay-dispatcher-lines.socket "
                         "audit-relay-dispatcher-kernel.socket audit-relay-dispatcher-multicast.socket\n"
                         "stop audit-relay-dispatcher.service\n"
                         "stop audit-relay-plugin@*.socket audit-relay-plugin@*.service\n"
                         "stop audit-relay-remote.socket audit-relay-remote.service\n"
                         "stop audit-relay-client.target\n"
                         "stop audit-relay-aggregator.socket audit-relay-aggregator-auditd.socket\n"
                         "stop audit-relay-aggregator.service\n"
                         "stop audit-relay-collector.target\n");
        expect_output("the dispatcher's sockets   stopped\nthe dispatcher             stopped, nothing is left\n");
}
END_TEST

START_TEST(one_role)
{
        ck_assert_int_eq(run("--collector"), 0);
        ck_assert_str_eq(output, "the aggregator's sockets   stopped\nthe aggregator             stopped\n"
                                 "the collector              stopped\n");
        ck_assert_ptr_null(strstr(scratch_read(directory, "asked"), "remote"));
        ck_assert_int_eq(run("--client --timeout=0"), 0);
        ck_assert_ptr_null(strstr(output, "aggregator"));
}
END_TEST

START_TEST(remote_is_waited_for)
{
        pid_t pid = start_remote(3, true);

        ck_assert_int_eq(run("--client"), 0);
        expect_output("remote                     stopped, nothing is left\n");
        end_component(pid);
}
END_TEST

START_TEST(remote_has_nobody)
{
        pid_t pid = start_remote(7, false);

        ck_assert_int_eq(run("--client"), 3);
        expect_output("remote                     stopped; 7 records that no collector has: they stay on this disk, and are sent at the next start\n");
        ck_assert_int_eq(run("--client --json --timeout=0"), 3);
        expect_output("    \"step\": \"remote\",\n    \"stopped\": true,\n    \"left\": 7,\n    \"unit\": \"records that no collector has\"\n");
        end_component(pid);
}
END_TEST

/* Of what is before it in the order nothing is stopped either. */
START_TEST(what_may_not_be_stopped)
{
        char path[128];

        scratch_write(directory, "units", "Id=audit-relay-dispatcher.service\nActiveState=active\nRefuseManualStop=no\n\n"
                                          "Id=audit-relay-remote.service\nActiveState=active\nRefuseManualStop=yes\n");
        ck_assert_int_eq(run("--timeout=0"), 1);
        expect_output("audit-relay-remote.service may not be stopped by hand here (RefuseManualStop=yes); nothing was stopped");
        expect_output("systemctl cat audit-relay-remote.service names the drop-in");
        ck_assert_int_eq(run("--json --timeout=0"), 1);
        expect_output("    \"step\": \"audit-relay-remote.service\",\n    \"stopped\": false,\n    \"reason\": \"RefuseManualStop=yes\"\n");
        (void) snprintf(path, sizeof path, "%s/asked", directory);
        ck_assert_int_eq(access(path, F_OK), -1);
        /* It is the client's alone. */
        ck_assert_int_eq(run("--collector"), 0);
        /* One that does not run is none to be stopped. */
        scratch_write(directory, "units", "Id=audit-relay-remote.service\nActiveState=inactive\nRefuseManualStop=yes\n");
        ck_assert_int_eq(run("--client --timeout=0"), 0);
}
END_TEST

START_TEST(what_does_not_stop)
{
        write_systemctl(directory, "#!/bin/sh\ncase \"$*\" in *dispatcher.service) exit 4;; esac\n");
        ck_assert_int_eq(run("--timeout=0"), 1);
        expect_output("the dispatcher             does not stop\n");
        ck_assert_ptr_null(strstr(output, "remote"));
        ck_assert_int_eq(run("--timeout=soon"), 2);
        ck_assert_int_eq(run("remote"), 2);
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("stop");
        TCase *tcase = tcase_create("stop");

        assert(argc == 2);
        tool = argv[1];
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 30);
        tcase_add_test(tcase, the_order);
        tcase_add_test(tcase, one_role);
        tcase_add_test(tcase, remote_is_waited_for);
        tcase_add_test(tcase, remote_has_nobody);
        tcase_add_test(tcase, what_may_not_be_stopped);
        tcase_add_test(tcase, what_does_not_stop);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
