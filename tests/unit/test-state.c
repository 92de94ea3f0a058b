/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "capture.h"
#include "runtime/conditions.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/state.h"

#include <dirent.h>
#include <math.h>

static char directory[64];
static Capture capture;
static State *state;

static void setup(void)
{
        scratch_make(directory);
        capture_begin(&capture);
        log_init("test", LOG_INFO);
        ck_assert_int_eq(state_new(directory, "remote", &state), 0);
}

static void teardown(void)
{
        state = state_free(state);
        (void) capture_end(&capture);
        scratch_remove(directory);
}

/* The file of a condition without its SINCE= line, which must be a time in UTC. */
static const char *condition_file(const char *name)
{
        static char text[64 * 1024 + 1];
        char path[128], *since, *end;
        const char *file;

        (void) snprintf(path, sizeof path, "remote/%s", name);
        file = scratch_read(directory, path);
        if (!file)
                return NULL;
        (void) snprintf(text, sizeof text, "%s", file);
        since = strstr(text, "\nSINCE=20");
        ck_assert_ptr_nonnull(since);
        end = strchr(since + 1, '\n');
        ck_assert_ptr_nonnull(end);
        ck_assert_int_eq(end[-1], 'Z');
        memmove(since, end, strlen(end) + 1);
        return text;
}

static unsigned count_files(const char *name)
{
        char path[128];
        unsigned n = 0;
        DIR *dir;

        (void) snprintf(path, sizeof path, "%s/%s", directory, name);
        dir = opendir(path);
        ck_assert_ptr_nonnull(dir);
        while (readdir(dir))
                n++;
        (void) closedir(dir);
        return n - 2;
}

START_TEST(a_condition_is_a_file_as_long_as_it_holds)
{
        const char *names[1];

        state_raise(state, "network_down", "connection refused",
                    "PEER=192.0.2.1:6560\nHOW=it's \"so\" $(rm) `x` \\");
        ck_assert_str_eq(condition_file("network_down"),
                         "COMPONENT=remote\nCONDITION=network_down\nREASON=\"connection refused\"\nCOUNT=1\n"
                         "PEER=192.0.2.1:6560\nHOW=\"it's \\\"so\\\" \\$(rm) \\`x\\` \\\\\"\n");
        ck_assert(state_holds(state, "network_down"));
        state_raise(state, "spool_low", "1 % free", NULL);
        ck_assert_uint_eq(state_list(state, names, 1), 2);
        ck_assert_str_eq(names[0], "network_down");
        ck_assert_uint_eq(count_files("remote"), 2);
        state_clear(state, "network_down");
        state_clear(state, "network_down");
        ck_assert(!state_holds(state, "network_down"));
        ck_assert_ptr_null(condition_file("network_down"));
        ck_assert_ptr_nonnull(condition_file("spool_low"));
        ck_assert_str_eq(capture_end(&capture), "<4>test: remote/network_down: connection refused\n"
                                                "<4>test: remote/spool_low: 1 % free\n"
                                                "<5>test: remote/network_down has ended\n");
        capture_begin(&capture);
}
END_TEST

START_TEST(what_a_peer_says_stays_in_its_line)
{
        state_raise(state, "refused", "a\nEVIL=1\x1b[0m", "PEER=x\nnot a key\n=y\nEMPTY=");
        ck_assert_str_eq(condition_file("refused"), "COMPONENT=remote\nCONDITION=refused\nREASON=\"a EVIL=1 "
                                                    "[0m\"\nCOUNT=1\nPEER=x\nEMPTY=\"\"\n");
}
END_TEST

START_TEST(updates_are_written_once_a_second)
{
        state_raise(state, "refused", "first", NULL);
        for (unsigned i = 0; i < 999; i++)
                state_raise(state, "refused", "again", "PEER=y");
        /* The file is of the first second or later, never in between. */
        status_begin(state);
        status_end(state, "x");
        (void) usleep(1000000);
        status_begin(state);
        status_end(state, "x");
        ck_assert_str_eq(condition_file("refused"),
                         "COMPONENT=remote\nCONDITION=refused\nREASON=again\nCOUNT=1000\nPEER=y\n");
        ck_assert_str_eq(capture_end(&capture), "<3>test: remote/refused: first\n");
        capture_begin(&capture);
}
END_TEST

START_TEST(a_predecessor_leaves_nothing)
{
        state = state_free(state);
        scratch_write(directory, "remote/network_down", "COUNT=1\n");
        scratch_write(directory, "remote/.status", "half");
        scratch_write(directory, "remote/status", "old");
        ck_assert_int_eq(state_new(directory, "remote", &state), 0);
        ck_assert_uint_eq(count_files("remote"), 0);
        ck_assert(!state_holds(state, "network_down"));
}
END_TEST

START_TEST(nothing_outlives_the_component)
{
        state_raise(state, "network_down", "x", NULL);
        status_begin(state);
        status_end(state, "x");
        ck_assert_uint_eq(count_files("remote"), 2);
        state = state_free(state);
        ck_assert_uint_eq(count_files("remote"), 0);
}
END_TEST

START_TEST(one_process_per_directory)
{
        char expected[160];
        State *second;

        ck_assert_int_eq(state_new(directory, "remote", &second), -EBUSY);
        (void) snprintf(expected, sizeof expected,
                        "<3>test: %s/remote: cannot be used for the state: another process has it\n",
                        directory);
        ck_assert_str_eq(capture_end(&capture), expected);
        capture_begin(&capture);
        /* Another component is its own. */
        ck_assert_int_eq(state_new(directory, "dispatcher", &second), 0);
        state_free(second);
}
END_TEST

START_TEST(a_missing_directory_is_made_but_not_its_parent)
{
        char path[160], expected[320];
        State *second;
        struct stat st;

        (void) umask(077);
        (void) snprintf(path, sizeof path, "%s/state", directory);
        ck_assert_int_eq(state_new(path, "remote", &second), 0);
        state_raise(second, "refused", "x", NULL);
        ck_assert_ptr_nonnull(scratch_read(directory, "state/remote/refused"));
        (void) snprintf(path, sizeof path, "%s/state/remote/refused", directory);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0644); /* whatever the umask */
        state_free(second);
        (void) capture_end(&capture);
        capture_begin(&capture);
        log_init("test", LOG_INFO);
        (void) snprintf(path, sizeof path, "%s/a/b", directory);
        ck_assert_int_eq(state_new(path, "remote", &second), -ENOENT);
        (void) snprintf(expected, sizeof expected,
                        "<3>test: %s/remote: cannot be used for the state: No such file or directory\n",
                        path);
        ck_assert_str_eq(capture_end(&capture), expected);
        capture_begin(&capture);
}
END_TEST

static void publish(uint64_t records)
{
        Histogram histogram = { 0 }, more = { 0 };

        histogram_add(&histogram, 0);
        histogram_add(&histogram, 500);
        histogram_add(&histogram, 501);
        histogram_add(&more, 10000000);
        histogram_add(&more, 10000001);
        histogram_merge(&histogram, &more);
        status_begin(state);
        status_counter(state, "records", NULL, records, "Records taken");
        status_counter(state, "peer_records", status_label(state, "peer", "a\"b\\c\nd"), 7, "Of a peer");
        status_counter(state, "peer_records", "peer=\"x\"", UINT64_MAX, NULL);
        status_histogram(state, "sync_seconds", &histogram, "Time it took");
        status_gauge(state, "lag_seconds", NULL, 0.25, "Age of the oldest");
        status_gauge(state, "limit", NULL, INFINITY, "None");
        status_end(state, "Connected to %s,\nfine", "\"log\"");
}

START_TEST(the_status_is_openmetrics)
{
        static const char begins_with[] =
                "# TYPE audit_relay_remote_records counter\n"
                "# HELP audit_relay_remote_records Records taken\n"
                "audit_relay_remote_records_total 12345\n"
                "# TYPE audit_relay_remote_peer_records counter\n"
                "# HELP audit_relay_remote_peer_records Of a peer\n"
                "audit_relay_remote_peer_records_total{peer=\"a\\\"b\\\\c d\"} 7\n"
                "audit_relay_remote_peer_records_total{peer=\"x\"} 18446744073709551615\n"
                "# TYPE audit_relay_remote_sync_seconds histogram\n"
                "# HELP audit_relay_remote_sync_seconds Time it took\n"
                "audit_relay_remote_sync_seconds_bucket{le=\"0.0005\"} 2\n"
                "audit_relay_remote_sync_seconds_bucket{le=\"0.001\"} 3\n"
                "audit_relay_remote_sync_seconds_bucket{le=\"0.0025\"} 3\n"
                "audit_relay_remote_sync_seconds_bucket{le=\"0.005\"} 3\n"
                "audit_relay_remote_sync_seconds_bucket{le=\"0.01\"} 3\n"
                "audit_relay_remote_sync_seconds_bucket{le=\"0.025\"} 3\n"
                "audit_relay_remote_sync_seconds_bucket{le=\"0.05\"} 3\n"
                "audit_relay_remote_sync_seconds_bucket{le=\"0.1\"} 3\n"
                "audit_relay_remote_sync_seconds_bucket{le=\"0.25\"} 3\n"
                "audit_relay_remote_sync_seconds_bucket{le=\"0.5\"} 3\n"
                "audit_relay_remote_sync_seconds_bucket{le=\"1\"} 3\n"
                "audit_relay_remote_sync_seconds_bucket{le=\"2.5\"} 3\n"
                "audit_relay_remote_sync_seconds_bucket{le=\"5\"} 3\n"
                "audit_relay_remote_sync_seconds_bucket{le=\"10\"} 4\n"
                "audit_relay_remote_sync_seconds_bucket{le=\"+Inf\"} 5\n"
                "audit_relay_remote_sync_seconds_sum 20.001002\n"
                "audit_relay_remote_sync_seconds_count 5\n"
                "# TYPE audit_relay_remote_lag_seconds gauge\n"
                "# HELP audit_relay_remote_lag_seconds Age of the oldest\n"
                "audit_relay_remote_lag_seconds 0.25\n"
                "# TYPE audit_relay_remote_limit gauge\n"
                "# HELP audit_relay_remote_limit None\n"
                "audit_relay_remote_limit +Inf\n"
                "# TYPE audit_relay_condition gauge\n";
        const char *text, *up;

        state_raise(state, "network_down", "x", NULL);
        state_raise(state, "of_a_test", "x", NULL);
        publish(12345);
        text = scratch_read(directory, "remote/status");
        ck_assert_ptr_nonnull(text);
        ck_assert_int_eq(strncmp(text, begins_with, strlen(begins_with)), 0);
        ck_assert_ptr_nonnull(strstr(
                text, "\naudit_relay_condition{component=\"remote\",condition=\"network_down\"} 1\n"));
        ck_assert_ptr_nonnull(
                strstr(text, "\naudit_relay_condition{component=\"remote\",condition=\"spool_full\"} 0\n"));
        ck_assert_ptr_nonnull(
                strstr(text, "\naudit_relay_condition{component=\"remote\",condition=\"of_a_test\"} 1\n"));
        ck_assert_ptr_null(strstr(text, "ring_full")); /* the dispatcher's */
        up = strstr(text, "# TYPE audit_relay_remote_up");
        ck_assert_str_eq(up, "# TYPE audit_relay_remote_up gauge\n"
                             "# HELP audit_relay_remote_up STATUS=Connected to \\\"log\\\", fine\n"
                             "audit_relay_remote_up 1\n"
                             "# EOF\n");
}
END_TEST

START_TEST(the_status_is_written_at_most_once_a_second)
{
        uint64_t before = monotonic_usec();

        publish(1);
        publish(2);
        if (monotonic_usec() - before < 500 * USEC_PER_MSEC) /* else this machine stood still */
                ck_assert_ptr_nonnull(
                        strstr(scratch_read(directory, "remote/status"), "remote_records_total 1\n"));
        (void) usleep(1000000);
        publish(3);
        ck_assert_ptr_nonnull(strstr(scratch_read(directory, "remote/status"), "remote_records_total 3\n"));
        ck_assert_uint_eq(count_files("remote"), 1);
}
END_TEST

START_TEST(a_directory_that_fails_is_said_and_tried_again)
{
        char path[128];

        /* A directory in the place of the file: rename() fails. */
        scratch_write(directory, "remote/refused/x", "");
        state_raise(state, "refused", "x", NULL);
        ck_assert(state_holds(state, "refused"));
        ck_assert_ptr_nonnull(strstr(capture_end(&capture), "/remote/refused: cannot be written: "));
        capture_begin(&capture);
        (void) snprintf(path, sizeof path, "%s/remote/refused", directory);
        scratch_remove(path);
        (void) usleep(1000000);
        status_begin(state);
        status_end(state, "x");
        ck_assert_str_eq(condition_file("refused"),
                         "COMPONENT=remote\nCONDITION=refused\nREASON=x\nCOUNT=1\n");
}
END_TEST

START_TEST(the_table_is_sound)
{
        for (const Condition *c = conditions; c->name; c++) {
                ck_assert_uint_eq(strlen(c->message_id), 32);
                ck_assert_ptr_eq(condition_find(c->component, c->name), c);
                for (const Condition *d = conditions; d < c; d++)
                        ck_assert_str_ne(c->message_id, d->message_id);
        }
        ck_assert_ptr_null(condition_find("remote", "ring_full"));
}
END_TEST

static void tick(void)
{
        status_begin(state);
        status_end(state, "x");
}

START_TEST(a_drill_is_for_those_who_look)
{
        scratch_write(directory, "remote.drill", "spool_full\n");
        tick();
        ck_assert_str_eq(condition_file("spool_full"), "COMPONENT=remote\nCONDITION=spool_full\n"
                                                       "REASON=\"A drill (audit-relay drill): nothing is wrong\"\nCOUNT=1\nDRILL=yes\n");
        ck_assert_ptr_nonnull(strstr(scratch_read(directory, "remote/status"), "condition=\"spool_full\"} 1\n"));
        ck_assert(!state_holds(state, "spool_full"));
        state_clear(state, "spool_full");
        ck_assert_ptr_nonnull(condition_file("spool_full"));
        scratch_write(directory, "remote.drill", "spool_low");
        tick();
        ck_assert_ptr_null(condition_file("spool_full"));
        ck_assert_ptr_nonnull(condition_file("spool_low"));
        scratch_write(directory, "remote.drill", "");
        tick();
        ck_assert_uint_eq(state_list(state, NULL, 0), 0);
}
END_TEST

START_TEST(a_drill_gives_way_to_what_is)
{
        scratch_write(directory, "remote.drill", "spool_full\n");
        tick();
        state_raise(state, "spool_full", "No room", NULL);
        ck_assert_str_eq(condition_file("spool_full"), "COMPONENT=remote\nCONDITION=spool_full\nREASON=\"No room\"\nCOUNT=1\n");
        scratch_write(directory, "remote.drill", "");
        tick();
        ck_assert(state_holds(state, "spool_full"));
        scratch_write(directory, "remote.drill", "spool_full\n");
        tick();
        ck_assert_str_eq(condition_file("spool_full"), "COMPONENT=remote\nCONDITION=spool_full\nREASON=\"No room\"\nCOUNT=1\n");
        state_clear(state, "spool_full");
        ck_assert(!state_holds(state, "spool_full"));
}
END_TEST

START_TEST(a_drill_that_is_none)
{
        char path[128];
        struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

        scratch_write(directory, "remote.drill", "no_such_condition\n");
        tick();
        scratch_write(directory, "remote.drill", "disk_full\n"); /* the aggregator's */
        tick();
        (void) snprintf(path, sizeof path, "%s/remote.drill", directory);
        scratch_write(directory, "remote.drill", "spool_full\n");
        ck_assert_int_eq(utimensat(AT_FDCWD, path, old, 0), 0);
        tick();
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(symlink("remote/status", path), 0);
        tick();
        ck_assert_uint_eq(state_list(state, NULL, 0), 0);
        ck_assert_int_eq(unlink(path), 0);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("state");
        TCase *tcase = tcase_create("state");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, a_condition_is_a_file_as_long_as_it_holds);
        tcase_add_test(tcase, what_a_peer_says_stays_in_its_line);
        tcase_add_test(tcase, updates_are_written_once_a_second);
        tcase_add_test(tcase, a_predecessor_leaves_nothing);
        tcase_add_test(tcase, nothing_outlives_the_component);
        tcase_add_test(tcase, one_process_per_directory);
        tcase_add_test(tcase, a_missing_directory_is_made_but_not_its_parent);
        tcase_add_test(tcase, the_status_is_openmetrics);
        tcase_add_test(tcase, the_status_is_written_at_most_once_a_second);
        tcase_add_test(tcase, a_directory_that_fails_is_said_and_tried_again);
        tcase_add_test(tcase, the_table_is_sound);
        tcase_add_test(tcase, a_drill_is_for_those_who_look);
        tcase_add_test(tcase, a_drill_gives_way_to_what_is);
        tcase_add_test(tcase, a_drill_that_is_none);
        suite_add_tcase(suite, tcase);
        (void) unsetenv("AUDIT_RELAY_LOG_LEVEL");
        (void) unsetenv("JOURNAL_STREAM");
        return check_main(suite);
}
