/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "runtime/connection-sender.h"
#include "runtime/connection.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define SIZE 64U
/* The kernel's SCM_MAX_FD. */
#define DESCRIPTORS_MAX 253U

static int pair[2];
static ConnectionSender sender;
static char data[SIZE];

static void setup(void)
{
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        sender = CONNECTION_SENDER_INIT;
}

static void teardown(void)
{
        connection_sender_done(&sender);
        close_fd(pair[0]);
        close_fd(pair[1]);
}

/* A process that writes and waits to be killed. */
static pid_t writer(const char *text)
{
        int ready[2];
        pid_t pid;
        char c;

        ck_assert_int_eq(pipe(ready), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                if (write(pair[1], text, strlen(text)) < 0 || write(ready[1], "", 1) < 0)
                        _exit(1);
                for (;;)
                        (void) pause();
        }
        ck_assert_int_eq(read(ready[0], &c, 1), 1);
        close_fd(ready[0]);
        close_fd(ready[1]);
        return pid;
}

static void end(pid_t pid)
{
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static bool is_alive(int pidfd)
{
        struct pollfd pollfd = { .fd = pidfd, .events = POLLIN };

        return poll(&pollfd, 1, 0) == 0;
}

START_TEST(each_writer_by_its_bytes)
{
        pid_t first, second;

        ck_assert_int_eq(connection_sender_watch(&sender, pair[0]), 0);
        first = writer("one");
        second = writer("two");
        ck_assert_int_eq(connection_sender_recv(&sender, pair[0], data, SIZE), 3);
        ck_assert_int_eq(sender.pid, first);
        ck_assert_uint_eq(sender.uid, getuid());
        if (sender.pidfd >= 0)
                ck_assert(is_alive(sender.pidfd));
        end(first);
        if (sender.pidfd >= 0)
                ck_assert(!is_alive(sender.pidfd));
        ck_assert_int_eq(connection_sender_recv(&sender, pair[0], data, SIZE), 3);
        ck_assert_int_eq(sender.pid, second);
        ck_assert_mem_eq(data, "two", 3);
        if (sender.pidfd >= 0)
                ck_assert(is_alive(sender.pidfd));
        end(second);
}
END_TEST

/* One byte, and descriptors with it. */
static void send_with_descriptors(size_t n)
{
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
        } control = { 0 };
        struct iovec iovec = { data, 1 };
        struct msghdr message = { .msg_iov = &iovec, .msg_iovlen = 1, .msg_control = &control,
                                  .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        for (size_t i = 0; i < n; i++)
                memcpy(CMSG_DATA(c) + i * sizeof(int), &pair[0], sizeof(int));
        ck_assert_int_eq(sendmsg(pair[1], &message, 0), 1);
}

START_TEST(descriptors_are_not_let_in)
{
        static const size_t counts[] = { 1, 2, DESCRIPTORS_MAX };
        int probe, before = dup(0);

        close_fd(before);
        if (_i >= 3)
                ck_assert_int_eq(connection_sender_watch(&sender, pair[0]), 0);
        send_with_descriptors(counts[_i % 3]);
        ck_assert_int_eq(connection_sender_recv(&sender, pair[0], data, SIZE), 1);
        connection_sender_done(&sender);
        probe = dup(0); /* the lowest that is free */
        ck_assert_int_eq(probe, before);
        close_fd(probe);
}
END_TEST

/* Who sends some is not seen less for it. */
START_TEST(descriptors_hide_nobody)
{
        bool known;

        ck_assert_int_eq(connection_sender_watch(&sender, pair[0]), 0);
        ck_assert_int_eq(write(pair[1], "x", 1), 1);
        ck_assert_int_eq(connection_sender_recv(&sender, pair[0], data, SIZE), 1);
        known = sender.pidfd >= 0;
        send_with_descriptors(_i == 0 ? 1 : DESCRIPTORS_MAX);
        ck_assert_int_eq(connection_sender_recv(&sender, pair[0], data, SIZE), 1);
        ck_assert_int_eq(sender.pid, getpid());
        ck_assert(known == (sender.pidfd >= 0));
}
END_TEST

START_TEST(nothing_to_read_changes_nothing)
{
        sender.pid = 7;
        ck_assert_int_lt(connection_sender_recv(&sender, pair[0], data, SIZE), 0);
        ck_assert_int_eq(errno, EAGAIN);
        ck_assert_int_eq(sender.pid, 7);
        pair[1] = close_fd(pair[1]);
        ck_assert_int_eq(connection_sender_recv(&sender, pair[0], data, SIZE), 0);
}
END_TEST

/* --- Of a connection --- */

static int on_established(Connection *connection)
{
        return 0;
}

static int on_received(Connection *connection, Buffer *input)
{
        buffer_consume(input, buffer_size(input));
        *(bool *) connection_userdata(connection) = true;
        return 0;
}

static void on_closed(Connection *connection, int error, const char *why)
{
}

static const ConnectionHandler handler = { .established = on_established, .received = on_received,
                                           .closed = on_closed };

/* Unwatched it is who made the socket; watched, who writes. */
START_TEST(a_connection_knows_its_sender)
{
        Connection *connection;
        bool received = false;
        sd_event *event;
        pid_t child, pid;
        gid_t *groups;
        int pidfd;
        size_t n;
        uid_t uid;

        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_ge(connection_new(event, pair[0], NULL, &handler, &received, &connection), 0);
        pair[0] = -EBADF;
        ck_assert_int_ge(connection_start(connection, USEC_INFINITY), 0);
        if (_i == 1)
                connection_watch(connection);
        child = writer("x");
        while (!received)
                ck_assert_int_ge(sd_event_run(event, 1000000), 0);
        connection_sender(connection, &pid, &uid, &pidfd);
        ck_assert_int_eq(pid, _i == 1 ? child : getpid());
        ck_assert_uint_eq(uid, getuid());
        if (pidfd >= 0)
                ck_assert(is_alive(pidfd));
        end(child);
        if (pidfd >= 0)
                ck_assert(is_alive(pidfd) == (_i == 0));
        close_fd(pidfd);

        ck_assert_int_eq(connection_groups(connection, &groups, &n), 0);
        ck_assert_int_eq(getgroups(0, NULL), (int) n);
        free(groups);
        connection_free(connection);
        sd_event_unref(event);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("connection-sender");
        TCase *tc = tcase_create("all");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, each_writer_by_its_bytes);
        tcase_add_loop_test(tc, descriptors_are_not_let_in, 0, 6);
        tcase_add_loop_test(tc, descriptors_hide_nobody, 0, 2);
        tcase_add_test(tc, nothing_to_read_changes_nothing);
        tcase_add_loop_test(tc, a_connection_knows_its_sender, 0, 2);
        suite_add_tcase(suite, tc);
        return check_main(suite);
}
