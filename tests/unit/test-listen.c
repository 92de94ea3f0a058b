/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "capture.h"
#include "runtime/listen.h"
#include "runtime/log.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static char directory[64];
static Capture capture;

static void setup(void)
{
        scratch_make(directory);
        log_init("test", LOG_INFO);
}

static void teardown(void)
{
        scratch_remove(directory);
}

/* Its assertions are of assert(3). */
static void in_child(void (*run)(void))
{
        pid_t pid = fork();
        int status;

        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                run();
                _exit(0);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
}

/* Puts sockets of these families at 3, 4, … as systemd does. libcheck has descriptors there: hence a child.
 */
static void pass(const int *families, int n, const char *names)
{
        char number[16];

        for (int i = 0; i < n; i++) {
                int fd = socket(families[i], SOCK_STREAM, 0);

                assert(fd >= 0);
                if (fd != 3 + i) {
                        assert(dup2(fd, 3 + i) == 3 + i);
                        (void) close(fd);
                }
        }
        (void) snprintf(number, sizeof number, "%d", n);
        assert(setenv("LISTEN_FDS", number, 1) == 0);
        (void) snprintf(number, sizeof number, "%d", (int) getpid());
        assert(setenv("LISTEN_PID", number, 1) == 0);
        if (names)
                assert(setenv("LISTEN_FDNAMES", names, 1) == 0);
        else
                (void) unsetenv("LISTEN_FDNAMES");
}

static void child_nothing_passed(void)
{
        ListenFds fds;

        (void) unsetenv("LISTEN_FDS");
        (void) unsetenv("LISTEN_PID");
        assert(listen_fds_get(&fds) == 0);
        assert(fds.n == 0);
        assert(listen_fds_take(&fds, "tls", AF_INET) == -ENOENT);
        listen_fds_done(&fds);
}

START_TEST(nothing_passed)
{
        in_child(child_nothing_passed);
}
END_TEST

static void child_found_by_name(void)
{
        ListenFds fds;

        pass((const int[]) { AF_UNIX, AF_INET, AF_UNIX, AF_UNIX }, 4, "input:tls:lines:input");
        assert(listen_fds_get(&fds) == 0);
        assert(fds.n == 4);
        for (int i = 3; i < 7; i++) {
                assert((fcntl(i, F_GETFD) & FD_CLOEXEC) != 0);
                assert((fcntl(i, F_GETFL) & O_NONBLOCK) != 0);
        }
        /* A child must not think that they are for it. */
        assert(!getenv("LISTEN_FDS"));
        assert(listen_fds_take(&fds, "tls", AF_INET) == 4);
        assert(listen_fds_take(&fds, "tls", AF_INET) == -ENOENT);
        assert(listen_fds_take(&fds, "input", AF_UNIX) == 3);
        assert(listen_fds_take(&fds, "input", AF_UNIX) == 6);
        /* One with another name is not taken for its family. */
        assert(listen_fds_take(&fds, "input", AF_UNIX) == -ENOENT);
        capture_begin(&capture);
        listen_fds_warn_rest(&fds);
        assert(strcmp(capture_end(&capture),
                      "<4>test: A socket named \"lines\" was handed in that is not used here; closed\n") ==
               0);
        assert(fcntl(5, F_GETFD) == -1);
        listen_fds_done(&fds);
        assert(fcntl(3, F_GETFD) >= 0); /* taken: ours */
}

START_TEST(found_by_name)
{
        in_child(child_found_by_name);
}
END_TEST

static void child_without_names_found_by_family(void)
{
        ListenFds fds;

        pass((const int[]) { AF_INET6, AF_UNIX }, 2, NULL);
        assert(listen_fds_get(&fds) == 0);
        assert(listen_fds_take(&fds, "kernel", AF_NETLINK) == -ENOENT);
        assert(listen_fds_take(&fds, "remote", AF_UNSPEC) == -ENOENT);
        assert(listen_fds_take(&fds, "remote", AF_UNIX) == 4);
        assert(listen_fds_take(&fds, "tls", AF_INET) == 3);
        listen_fds_done(&fds);
}

START_TEST(without_names_found_by_family)
{
        in_child(child_without_names_found_by_family);
}
END_TEST

static mode_t mode_of(const char *path)
{
        struct stat st;

        ck_assert_int_eq(stat(path, &st), 0);
        return st.st_mode;
}

START_TEST(unix_sockets)
{
        char path[128], too_long[256];
        int fd, second;

        (void) snprintf(path, sizeof path, "%s/input", directory);
        (void) umask(077);
        fd = listen_unix(path, 0660);
        ck_assert_int_ge(fd, 0);
        ck_assert_uint_eq(mode_of(path), S_IFSOCK | 0660);
        /* Somebody listens there. */
        ck_assert_int_eq(listen_unix(path, 0660), -EADDRINUSE);
        (void) close(fd);
        /* Nobody does any more. */
        second = listen_unix(path, 0600);
        ck_assert_int_ge(second, 0);
        ck_assert_uint_eq(mode_of(path), S_IFSOCK | 0600);
        (void) close(second);
        memset(too_long, 'x', sizeof too_long - 1);
        too_long[sizeof too_long - 1] = '\0';
        ck_assert_int_eq(listen_unix(too_long, 0600), -ENAMETOOLONG);
        ck_assert_int_eq(listen_unix("", 0600), -EINVAL);
}
END_TEST

START_TEST(a_file_of_another_kind_stays)
{
        char path[128];

        (void) snprintf(path, sizeof path, "%s/precious", directory);
        scratch_write(directory, "precious", "data");
        ck_assert_int_lt(listen_unix(path, 0600), 0);
        ck_assert_str_eq(scratch_read(directory, "precious"), "data");
}
END_TEST

START_TEST(tcp_addresses)
{
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        char text[64];
        int fd = listen_tcp("127.0.0.1:0");

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *) &address, &size), 0);
        ck_assert_int_eq(address.ss_family, AF_INET);
        (void) snprintf(text, sizeof text, "127.0.0.1:%u",
                        ntohs(((struct sockaddr_in *) &address)->sin_port));
        ck_assert_int_eq(listen_tcp(text), -EADDRINUSE);
        (void) close(fd);
        fd = listen_tcp(text);
        ck_assert_int_ge(fd, 0);
        (void) close(fd);
        fd = listen_tcp("0");
        ck_assert_int_ge(fd, 0);
        (void) close(fd);
        fd = listen_tcp("*:0");
        ck_assert_int_ge(fd, 0);
        (void) close(fd);
        ck_assert_int_eq(listen_tcp("::1:80"), -EINVAL);
        ck_assert_int_eq(listen_tcp("[::1:80"), -EINVAL);
        ck_assert_int_eq(listen_tcp("host.example:80"), -EINVAL); /* no look-ups */
        ck_assert_int_eq(listen_tcp("127.0.0.1:http"), -EINVAL);
        ck_assert_int_eq(listen_tcp(""), -EINVAL);
        ck_assert_int_eq(listen_tcp("127.0.0.1:"), -EINVAL);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("listen");
        TCase *tcase = tcase_create("listen");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, nothing_passed);
        tcase_add_test(tcase, found_by_name);
        tcase_add_test(tcase, without_names_found_by_family);
        tcase_add_test(tcase, unix_sockets);
        tcase_add_test(tcase, a_file_of_another_kind_stays);
        tcase_add_test(tcase, tcp_addresses);
        suite_add_tcase(suite, tcase);
        (void) unsetenv("AUDIT_RELAY_LOG_LEVEL");
        (void) unsetenv("JOURNAL_STREAM");
        return check_main(suite);
}
