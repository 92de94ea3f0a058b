/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "capture.h"
#include "basic/macro.h"
#include "runtime/log.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

static Capture capture;

START_TEST(a_line_has_its_priority_and_identifier)
{
        capture_begin(&capture);
        log_init("remote", LOG_INFO);
        log_error("disk %d", 7);
        log_message(LOG_NOTICE, MESSAGE_ID_STARTED, "PEER=x", "text");
        log_debug("not said");
        ck_assert_str_eq(capture_end(&capture), "<3>remote: disk 7\n<5>remote: text\n");
}
END_TEST

START_TEST(a_tool_writes_plain_lines)
{
        capture_begin(&capture);
        log_init_tool("audit-relay", LOG_INFO);
        log_warning("text");
        ck_assert_str_eq(capture_end(&capture), "audit-relay: text\n");
}
END_TEST

START_TEST(nobody_forges_a_line)
{
        capture_begin(&capture);
        log_init("remote", LOG_INFO);
        log_info("peer said %s", "a\n<0>kernel: b\x1b[0m\x7f m\xc3\xbcller");
        ck_assert_str_eq(capture_end(&capture), "<6>remote: peer said a <0>kernel: b [0m  m\xc3\xbcller\n");
}
END_TEST

START_TEST(a_long_message_is_cut)
{
        char text[3 * LOG_MESSAGE_MAX];
        size_t n;

        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        capture_begin(&capture);
        log_init("remote", LOG_INFO);
        log_info("%s", text);
        n = strlen(capture_end(&capture));
        ck_assert_uint_eq(n, LOG_MESSAGE_MAX - 1 + strlen("<6>remote: \n"));
        ck_assert_int_eq(capture.text[n - 1], '\n');
}
END_TEST

START_TEST(the_environment_sets_the_level)
{
        static const struct {
                const char *level;
                const char *expected;
        } cases[] = {
                { "debug", "<6>x: info\n<7>x: debug\n" },
                { "7", "<6>x: info\n<7>x: debug\n" },
                { "err", "" },
                { "loud", "<6>x: info\n" },
                { "77", "<6>x: info\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                ck_assert_int_eq(setenv("AUDIT_RELAY_LOG_LEVEL", cases[i].level, 1), 0);
                capture_begin(&capture);
                log_init("x", LOG_INFO);
                log_info("info");
                log_debug("debug");
                ck_assert_str_eq(capture_end(&capture), cases[i].expected);
        }
        ck_assert_int_eq(unsetenv("AUDIT_RELAY_LOG_LEVEL"), 0);
}
END_TEST

START_TEST(a_full_pipe_is_not_waited_for_but_said)
{
        int saved = dup(STDERR_FILENO), fds[2];
        char text[65536 * 2];
        size_t n = 0;
        ssize_t got;

        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        ck_assert_int_ge(dup2(fds[1], STDERR_FILENO), 0);
        log_init("x", LOG_INFO);
        for (unsigned i = 0; i < 5000; i++)
                log_info("%04u %0100d", i, 0);
        /* Empty it, and the next message brings the number of those that are missing. */
        ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
        while ((got = read(fds[0], text + n, sizeof text - 1 - n)) > 0)
                n += (size_t) got;
        text[n] = '\0';
        log_info("afterwards");
        got = read(fds[0], text + n, sizeof text - 1 - n);
        ck_assert_int_gt(got, 0);
        text[n + (size_t) got] = '\0';
        ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);

        {
                const char *last = strrchr(text, '<'), *note;
                unsigned long lines = 0, dropped = 0;

                ck_assert_str_eq(last, "<6>x: afterwards\n");
                for (const char *p = text; (p = strstr(p, "<6>x: ")); p++)
                        lines++;
                note = strstr(text, "<4>x: ");
                ck_assert_ptr_nonnull(note);
                ck_assert_int_eq(sscanf(note, "<4>x: %lu messages were dropped here", &dropped), 1);
                ck_assert_uint_gt(dropped, 0);
                ck_assert_uint_eq(lines - 1 + dropped, 5000);
        }
        (void) close(fds[0]);
        (void) close(fds[1]);
        (void) close(saved);
}
END_TEST

/* A journal of our own, with stderr "connected" to it. */
static int journal_make(char directory[static 64])
{
        static char path[96];
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        char stream[64];
        struct stat st;

        scratch_make(directory);
        (void) snprintf(path, sizeof path, "%s/socket", directory);
        (void) snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        ck_assert_int_eq(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
        log_journal_socket = path;
        ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
        (void) snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long) st.st_dev,
                        (unsigned long long) st.st_ino);
        ck_assert_int_eq(setenv("JOURNAL_STREAM", stream, 1), 0);
        return fd;
}

static const char *journal_read(int fd)
{
        static char text[16384];
        ssize_t n = recv(fd, text, sizeof text - 1, 0);

        if (n < 0)
                return NULL;
        text[n] = '\0';
        return text;
}

START_TEST(the_journal_gets_fields)
{
        char directory[64];
        int fd = journal_make(directory);

        log_init("remote", LOG_INFO);
        log_message(LOG_WARNING, MESSAGE_ID_PEER_REFUSED,
                    "PEER=a\tb\nlower=x\n=y\n_HOSTNAME=z\nNOVALUE\nCOUNT=3", "Refused %s", "b\nX=1");
        ck_assert_str_eq(journal_read(fd),
                         "PRIORITY=4\nSYSLOG_IDENTIFIER=remote\nMESSAGE_ID=" MESSAGE_ID_PEER_REFUSED
                         "\nMESSAGE=Refused b X=1\nPEER=a b\nCOUNT=3\n");
        ck_assert_ptr_null(journal_read(fd));
        /* Another stream than ours is not the journal. */
        ck_assert_int_eq(setenv("JOURNAL_STREAM", "1:1", 1), 0);
        capture_begin(&capture);
        log_init("remote", LOG_INFO);
        log_info("text");
        ck_assert_str_eq(capture_end(&capture), "<6>remote: text\n");
        ck_assert_ptr_null(journal_read(fd));
        (void) close(fd);
        scratch_remove(directory);
}
END_TEST

START_TEST(a_full_journal_is_not_waited_for_but_said)
{
        unsigned long lines = 0, dropped = 0;
        const char *text;
        char directory[64];
        int fd = journal_make(directory);

        log_init("remote", LOG_INFO);
        for (unsigned i = 0; i < 5000; i++)
                log_info("%u", i);
        while ((text = journal_read(fd)))
                lines++;
        log_info("afterwards");
        text = strstr(journal_read(fd), "MESSAGE=");
        ck_assert_int_eq(sscanf(text, "MESSAGE=%lu messages were dropped here", &dropped), 1);
        ck_assert_uint_eq(lines + dropped, 5000);
        ck_assert_ptr_nonnull(strstr(journal_read(fd), "MESSAGE=afterwards\n"));
        (void) close(fd);
        scratch_remove(directory);
}
END_TEST

START_TEST(errno_survives)
{
        capture_begin(&capture);
        log_init("x", LOG_INFO);
        errno = ENOTTY;
        log_info("text");
        ck_assert_int_eq(errno, ENOTTY);
        (void) capture_end(&capture);
}
END_TEST

START_TEST(a_limit_lets_one_through)
{
        uint64_t last = 0;

        ck_assert(log_limit(&last, USEC_INFINITY));
        ck_assert(!log_limit(&last, USEC_INFINITY));
        ck_assert(log_limit(&last, 0));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("log");
        TCase *tcase = tcase_create("log");

        tcase_add_test(tcase, a_line_has_its_priority_and_identifier);
        tcase_add_test(tcase, a_tool_writes_plain_lines);
        tcase_add_test(tcase, nobody_forges_a_line);
        tcase_add_test(tcase, a_long_message_is_cut);
        tcase_add_test(tcase, the_environment_sets_the_level);
        tcase_add_test(tcase, a_full_pipe_is_not_waited_for_but_said);
        tcase_add_test(tcase, the_journal_gets_fields);
        tcase_add_test(tcase, a_full_journal_is_not_waited_for_but_said);
        tcase_add_test(tcase, errno_survives);
        tcase_add_test(tcase, a_limit_lets_one_through);
        suite_add_tcase(suite, tcase);
        (void) unsetenv("AUDIT_RELAY_LOG_LEVEL");
        (void) unsetenv("JOURNAL_STREAM");
        return check_main(suite);
}
