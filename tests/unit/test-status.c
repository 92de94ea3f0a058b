/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay status, run as a program (its path is the first argument) against state directories that this
 * process holds. */

#include "runtime/log.h"
#include "runtime/state.h"
#include "tool-run.h"

#include <fcntl.h>
#include <sys/wait.h>

static char directory[64];
static State *state;

static void setup(void)
{
        scratch_make(directory);
        log_init("test", -1);
        ck_assert_int_eq(state_new(directory, "remote", &state), 0);
}

static void teardown(void)
{
        state = state_free(state);
        scratch_remove(directory);
}

static void publish(void)
{
        status_begin(state);
        status_counter(state, "records", NULL, 12345, "Records");
        status_counter(state, "peer_records", "peer=\"a\"", 7, "Of a peer");
        status_gauge(state, "idle", NULL, 0, "Nothing");
        status_gauge(state, "limit", NULL, 1.0 / 0.0, "None");
        status_end(state, "Connected to \"log\"");
}

/* Runs it with these further arguments; what it writes is in `output`. Returns its exit status. */
static int run(const char *arguments)
{
        return tool_run("'%s' status --state-dir='%s' %s", tool, directory, arguments);
}

START_TEST(all_is_well)
{
        publish();
        ck_assert_int_eq(run(""), 0);
        ck_assert_str_eq(output, "remote  running\n"
                                 "  Connected to \"log\"\n");
        ck_assert_int_eq(run("--all"), 0);
        ck_assert_ptr_nonnull(strstr(output, "    records_total                               12345\n"));
        ck_assert_ptr_nonnull(strstr(output, "    limit                                        +Inf\n"));
        ck_assert_ptr_nonnull(strstr(output, "    peer_records_total{peer=\"a\"}                    7\n"));
        ck_assert_ptr_nonnull(strstr(output, "    idle                                            0\n"));
}
END_TEST

START_TEST(one_screen)
{
        State *dispatcher, *aggregator;

        ck_assert_int_eq(state_new(directory, "dispatcher", &dispatcher), 0);
        status_begin(dispatcher);
        status_counter(dispatcher, "records", "origin=\"kernel\"", 900, "x");
        status_counter(dispatcher, "records", "origin=\"local\"", 45, NULL);
        status_counter(dispatcher, "kernel_events_lost", NULL, 2, "x");
        status_gauge(dispatcher, "kernel_lost", NULL, 7, "x");
        status_gauge(dispatcher, "kernel_backlog", NULL, 3, "x");
        status_gauge(dispatcher, "kernel_backlog_limit", NULL, 8192, "x");
        status_gauge(dispatcher, "ring_used_bytes", NULL, 1024 * 1024, "x");
        status_gauge(dispatcher, "ring_size_bytes", NULL, 64 * 1024 * 1024, "x");
        status_gauge(dispatcher, "subscriber_lag_records", "subscriber=\"remote\"", 12, "x");
        status_gauge(dispatcher, "subscriber_queued_bytes", "subscriber=\"remote\"", 2048, "x");
        status_gauge(dispatcher, "subscriber_connected", "subscriber=\"remote\"", 1, "x");
        status_gauge(dispatcher, "subscriber_connected", "subscriber=\"mine\"", 0, NULL);
        status_end(dispatcher, "Dispatching");
        status_begin(state);
        status_gauge(state, "connected", NULL, 1, "x");
        status_gauge(state, "collector_in_use", "collector=\"logs\"", 1, "x");
        status_gauge(state, "waiting_records", NULL, 3, "x");
        status_gauge(state, "store_bytes", NULL, 100, "x");
        status_gauge(state, "store_segments", NULL, 2, "x");
        status_gauge(state, "certificate_days", NULL, 823.4, "x");
        status_end(state, "Sending");
        ck_assert_int_eq(state_new(directory, "aggregator", &aggregator), 0);
        status_begin(aggregator);
        status_gauge(aggregator, "peers", NULL, 2, "x");
        status_gauge(aggregator, "peer_lag_seconds", "node=\"a\"", 0.5, "x");
        status_counter(aggregator, "peer_records_lost", "node=\"a\"", 4, "x");
        status_gauge(aggregator, "peer_connected", "node=\"a\",address=\"\",stream=\"x\"", 1, "x");
        status_gauge(aggregator, "peer_connected", "node=\"b\",address=\"\",stream=\"y\"", 0, NULL);
        status_end(aggregator, "Collecting");
        ck_assert_int_eq(run(""), 0);
        ck_assert_str_eq(output,
                         "aggregator  running\n"
                         "  Collecting\n"
                         "  peers       1 of 2 connected, 0.5 s behind at most, 4 records lost on their way (--peers lists all)\n"
                         "dispatcher  running\n"
                         "  Dispatching\n"
                         "  records     900 from the kernel, 45 from producers\n"
                         "  lost        2 events, 0 cut; 7 records by the kernel's count, 0 dropped from a full ring\n"
                         "  backlog     3 of 8192 in the kernel\n"
                         "  ring        1.6% of 64.0M waits for subscribers\n"
                         "\n"
                         "SUBSCRIBER  STATE      LAG  QUEUED  DROPPED\n"
                         "remote      connected   12    2.0K        0\n"
                         "mine        away         0      0B        0\n"
                         "remote  running\n"
                         "  Sending\n"
                         "  collector   connected to logs\n"
                         "  waiting     3 records\n"
                         "  store       100B in 2 segments\n"
                         "  certificate 823 days left\n");
        state_free(dispatcher);
        state_free(aggregator);
}
END_TEST

START_TEST(it_is_watched)
{
        char command[512], text[4096];
        const char *second;
        FILE *pipe;
        size_t n;

        publish();
        (void) snprintf(command, sizeof command, "timeout 1.5 '%s' status --watch --state-dir='%s'", tool, directory);
        pipe = popen(command, "re");
        ck_assert_ptr_nonnull(pipe);
        n = fread(text, 1, sizeof text - 1, pipe);
        text[n] = '\0';
        ck_assert_int_eq(WEXITSTATUS(pclose(pipe)), 124);
        ck_assert_int_eq(strncmp(text, "remote  running\n", 16), 0);
        second = strstr(text + 1, "remote  running\n");
        ck_assert_ptr_nonnull(second);
}
END_TEST

START_TEST(a_condition_is_shown_and_told_by_the_exit_status)
{
        state_raise(state, "refused", "it's \"not\" ours, $x\n\\", "PEER=192.0.2.1:6560");
        publish();
        ck_assert_int_eq(run("remote"), 3);
        ck_assert_ptr_nonnull(strstr(output, "  ! refused\n      SINCE    20"));
        ck_assert_ptr_nonnull(strstr(output, "      REASON   it's \"not\" ours, $x \\\n"
                                             "      COUNT    1\n"
                                             "      PEER     192.0.2.1:6560\n"));
        ck_assert_int_eq(run("--json"), 3);
        ck_assert_ptr_nonnull(strstr(output,
                                     "[\n  {\n    \"component\": \"remote\",\n    \"health\": \"running\",\n"
                                     "    \"status\": \"Connected to \\\"log\\\"\",\n"
                                     "    \"conditions\": [\n      {\n        \"name\": \"refused\",\n"));
        ck_assert_ptr_nonnull(strstr(output, "        \"REASON\": \"it's \\\"not\\\" ours, $x \\\\\",\n"));
        ck_assert_ptr_nonnull(strstr(output,
                                     "    \"metrics\": {\n      \"records_total\": 12345,\n"
                                     "      \"peer_records_total{peer=\\\"a\\\"}\": 7,\n"
                                     "      \"idle\": 0,\n      \"limit\": \"+Inf\"\n    }\n  }\n]\n"));
        state_clear(state, "refused");
        ck_assert_int_eq(run(""), 0);
}
END_TEST

START_TEST(peers_are_a_table)
{
        State *aggregator;

        ck_assert_int_eq(run("--peers"), 4);
        ck_assert_str_eq(output, "No aggregator is running here.\n");
        ck_assert_int_eq(state_new(directory, "aggregator", &aggregator), 0);
        status_begin(aggregator);
        status_gauge(aggregator, "peer_connected", "node=\"web2\",address=\"192.0.2.2\",stream=\"ab\"", 1, "x");
        status_gauge(aggregator, "peer_connected", "node=\"web1\",address=\"\",stream=\"cd\"", 0, NULL);
        status_gauge(aggregator, "peer_connected", "node=\"web3\",address=\"::1\",stream=\"ef\"", 0, NULL);
        status_gauge(aggregator, "peer_refused", "node=\"web3\"", 1, "x");
        status_gauge(aggregator, "peer_seq", "node=\"web2\"", 12345678901.0, "x");
        status_gauge(aggregator, "peer_seq", "node=\"web1\"", 7, NULL);
        status_gauge(aggregator, "peer_certificate_days", "node=\"web2\"", 29.9, "x");
        status_gauge(aggregator, "peer_certificate_days", "node=\"web1\"", 0.0 / 0.0, NULL);
        status_gauge(aggregator, "peer_lag_seconds", "node=\"web2\"", 1.25, "x");
        status_gauge(aggregator, "peer_seen_timestamp_seconds", "node=\"web1\"", 86400, "x");
        status_counter(aggregator, "peer_records_lost", "node=\"web1\"", 3, "x");
        status_end(aggregator, "fine");
        ck_assert_int_eq(run("--peers"), 0);
        ck_assert_str_eq(output,
                         "NODE  STATE      ADDRESS            SEQ   LAG  LOST  CERT  SEEN\n"
                         "web1  away       -                    7  0.0s     3     -  1970-01-02T00:00:00Z\n"
                         "web2  connected  192.0.2.2  12345678901  1.2s     0   29d  -\n"
                         "web3  refused    ::1                  0  0.0s     0     -  -\n");
        ck_assert_int_eq(run("--peers --json"), 0);
        ck_assert_ptr_nonnull(strstr(output, "[\n  {\n    \"node\": \"web1\",\n    \"state\": \"away\",\n"
                                             "    \"address\": null,\n    \"stream\": \"cd\",\n"
                                             "    \"seq\": 7,\n"));
        ck_assert_ptr_nonnull(strstr(output, "    \"certificate_days\": null,\n"));
        aggregator = state_free(aggregator);
}
END_TEST

START_TEST(a_component_that_does_not_run)
{
        /* As kill -9 leaves it. */
        scratch_write(directory, "dispatcher/status",
                      "# HELP audit_relay_dispatcher_up STATUS=fine\n# EOF\n");
        scratch_write(directory, "dispatcher/ring_low", "REASON=x\n");
        publish();
        ck_assert_int_eq(run(""), 4);
        ck_assert_int_eq(strncmp(output, "dispatcher  not running\n", 24), 0);
        ck_assert_int_eq(run("remote"), 0);
        ck_assert_int_eq(run("remote aggregator"), 4);
        ck_assert_ptr_nonnull(strstr(output, "aggregator  not running\n"));
}
END_TEST

START_TEST(a_component_that_is_stuck)
{
        static const struct timespec long_ago[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
        char path[128];

        publish();
        (void) snprintf(path, sizeof path, "%s/remote/status", directory);
        ck_assert_int_eq(utimensat(AT_FDCWD, path, long_ago, 0), 0);
        ck_assert_int_eq(run(""), 4);
        ck_assert_int_eq(strncmp(output, "remote  not responding\n", 23), 0);
}
END_TEST

START_TEST(nothing_at_all)
{
        state = state_free(state);
        scratch_remove(directory);
        ck_assert_int_eq(run(""), 4);
        ck_assert_str_eq(output, "No program of audit-relay is running here.\n");
        ck_assert_int_eq(run("--json"), 4);
        ck_assert_str_eq(output, "[]\n");
        scratch_make(directory);
        ck_assert_int_eq(state_new(directory, "remote", &state), 0);
}
END_TEST

START_TEST(bytes_that_are_no_text_stay_harmless)
{
        scratch_write(directory, "remote/odd", "REASON=\"\x1b[2J\xff\xc3\xbc\"\nNOVALUE\n=x\nHALF=\"\n");
        publish();
        ck_assert_int_eq(run(""), 3);
        ck_assert_ptr_nonnull(strstr(output, "      REASON   ?[2J\xff\xc3\xbc\n"));
        ck_assert_int_eq(run("--json"), 3);
        ck_assert_ptr_nonnull(
                strstr(output, "\"REASON\": \"?[2J\\ufffd\xc3\xbc\",\n        \"NOVALUE\": \"\","));
}
END_TEST

START_TEST(usage)
{
        ck_assert_int_eq(run("--frobnicate"), 2);
        ck_assert_ptr_nonnull(strstr(output, "audit-relay status: unrecognized option '--frobnicate'\n"));
        ck_assert_int_eq(run("--help"), 0);
        ck_assert_ptr_nonnull(strstr(output, "3 a condition holds; 4 a component is not running"));
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("status");
        TCase *tcase = tcase_create("status");

        assert(argc == 2);
        tool = argv[1];
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, all_is_well);
        tcase_add_test(tcase, one_screen);
        tcase_add_test(tcase, it_is_watched);
        tcase_add_test(tcase, a_condition_is_shown_and_told_by_the_exit_status);
        tcase_add_test(tcase, peers_are_a_table);
        tcase_add_test(tcase, a_component_that_does_not_run);
        tcase_add_test(tcase, a_component_that_is_stuck);
        tcase_add_test(tcase, nothing_at_all);
        tcase_add_test(tcase, bytes_that_are_no_text_stay_harmless);
        tcase_add_test(tcase, usage);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
