/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay drill, run as a program (its path is the first argument) with a systemctl of our own and a component that is this
 * test's. */

#include "runtime/log.h"
#include "runtime/state.h"
#include "tool-run.h"

#include <signal.h>
#include <sys/wait.h>

static char directory[64];

/* Says what is in the file `units`; while the condition holds, its service is active. */
static const char systemctl[] =
        "#!/bin/sh\n"
        "here=${0%/*}\n"
        "state=inactive; test -e $here/remote/spool_full && state=active\n"
        "sed \"s/@STATE@/$state/\" $here/units\n";

#define PATH_UNIT "Id=audit-relay-state@remote-spool_full.path\n"
#define SERVICE "Id=audit-relay-state@remote-spool_full.service\n"
#define BEGIN "ExecStartPreEx={ path=/bin/sh ; argv[]=/bin/sh -c echo begin ; flags=ignore-failure privileged ; start_time=[n/a] }\n"
#define END "ExecStopPostEx={ path=/bin/true ; argv[]=/bin/true x ; flags= ; start_time=[n/a] }\n"

static void setup(void)
{
        scratch_make(directory);
        log_init("test", -1);
        write_systemctl(directory, systemctl);
}

static void teardown(void)
{
        scratch_remove(directory);
}

static int run(const char *arguments)
{
        return tool_run("'%s' drill --state-dir='%s' %s", tool, directory, arguments);
}

/* A component that looks as often as it may. */
static pid_t start_component(void)
{
        char path[128];
        pid_t pid = fork();
        State *state;

        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                if (state_new(directory, "remote", &state) < 0)
                        _exit(1);
                for (;;) {
                        status_begin(state);
                        status_end(state, "x");
                        (void) usleep(20000);
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

START_TEST(what_would_happen)
{
        scratch_write(directory, "units", PATH_UNIT "ActiveState=active\nUnitFileState=enabled\n\n" SERVICE
                                          "DropInPaths=/etc/x.conf\n" BEGIN END "ActiveState=inactive\n");
        ck_assert_int_eq(run("remote/spool_full"), 0);
        expect_output("remote/spool_full\n  to do      ");
        expect_output("  path unit  audit-relay-state@remote-spool_full.path: active, enabled\n  drop-ins   /etc/x.conf\n"
               "  begin      /bin/sh -c echo begin    (as root)\n  end        /bin/true x\n");
        ck_assert_int_eq(run("--json remote-spool_full"), 0);
        expect_output("  \"begin\": [\n    {\n      \"command\": \"/bin/sh -c echo begin\",\n      \"root\": true\n    }\n  ],\n");
        expect_output("  \"result\": null\n");
        ck_assert_int_eq(run(""), 0);
        expect_output("CONDITION ");
        expect_output("remote/spool_full               on        enabled\n");
        expect_output("remote/spool_low                -         -\n");
        ck_assert_int_eq(run("--json"), 0);
        expect_output("    \"condition\": \"remote/spool_full\",\n    \"path_unit\": \"audit-relay-state@remote-spool_full.path\",\n"
               "    \"active\": true,\n");
}
END_TEST

START_TEST(nothing_would)
{
        scratch_write(directory, "units", PATH_UNIT "ActiveState=inactive\nUnitFileState=disabled\n\n" SERVICE "ActiveState=inactive\n");
        ck_assert_int_eq(run("remote/spool_full"), 3);
        expect_output("No reaction would run.");
        expect_output("systemctl enable --now audit-relay-state@remote-spool_full.path\n");
        ck_assert_int_eq(run("remote/colour"), 2);
        expect_output("there is no condition \"remote/colour\"");
        ck_assert_int_eq(run("--yes"), 2);
        ck_assert_int_eq(run("--seconds=90 remote/spool_full"), 2);
        ck_assert_int_eq(run("--yes remote/spool_full"), 4);
        expect_output("remote does not run");
}
END_TEST

START_TEST(it_works)
{
        pid_t pid = start_component();

        scratch_write(directory, "units", PATH_UNIT "ActiveState=active\nUnitFileState=enabled\n\n" SERVICE BEGIN "ActiveState=@STATE@\n");
        ck_assert_int_eq(run("--yes --seconds=1 remote/spool_full"), 0);
        expect_output("spool_full has begun\naudit-relay-state@remote-spool_full.service runs: what it does at the beginning is done\n"
               "spool_full has ended\naudit-relay-state@remote-spool_full.service has ended: what it does at the end is done\n");
        ck_assert_ptr_null(scratch_read(directory, "remote.drill"));
        ck_assert_ptr_null(scratch_read(directory, "remote/spool_full"));
        scratch_write(directory, "units", PATH_UNIT "ActiveState=inactive\nUnitFileState=disabled\n\n" SERVICE "ActiveState=inactive\n");
        ck_assert_int_eq(run("--yes --seconds=1 --json remote/spool_full"), 3);
        expect_output("\"result\": \"no reaction\"\n");
        end_component(pid);
}
END_TEST

START_TEST(it_holds_already)
{
        State *state;

        scratch_write(directory, "units", PATH_UNIT "ActiveState=active\n\n" SERVICE BEGIN "ActiveState=active\n");
        ck_assert_int_eq(state_new(directory, "remote", &state), 0);
        state_raise(state, "spool_full", "No room", NULL);
        ck_assert_int_eq(run("--yes remote/spool_full"), 4);
        expect_output("remote/spool_full holds already, for real");
        state_free(state);
}
END_TEST

START_TEST(no_systemd)
{
        scratch_write(directory, "systemctl", "#!/bin/sh\nexit 1\n");
        ck_assert_int_eq(run("remote/spool_full"), 1);
        expect_output("systemd cannot be asked");
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("drill");
        TCase *tcase = tcase_create("drill");

        assert(argc == 2);
        tool = argv[1];
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 30);
        tcase_add_test(tcase, what_would_happen);
        tcase_add_test(tcase, nothing_would);
        tcase_add_test(tcase, it_works);
        tcase_add_test(tcase, it_holds_already);
        tcase_add_test(tcase, no_systemd);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
