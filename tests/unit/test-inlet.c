/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients that are refused, one after the other, for each reason there is: told why, and nothing of them stays. */

#include "inlet-fixture.h"

#include <dirent.h>
#include <poll.h>

#define CONNECTIONS_MAX 2U
#define CLIENTS 20U

static LinkByeCode admits, judges;
static bool admits_held;
static const char *admits_peer;
static uint64_t idle_usec = 10 * USEC_PER_SEC, hello_usec = 10 * USEC_PER_SEC;
static unsigned n_refused;

static LinkByeCode on_judge(IntakeSession *session, const LinkHello *hello, const char **ret_why)
{
        *ret_why = "not this node";
        return judges;
}

static LinkByeCode on_admit(InletSession *session, InletIdentity *ret_identity, char **ret_why)
{
        *ret_identity = (InletIdentity) { .owner = "n1", .node = "n1", .accept = "n1", .held = admits_held,
                                          .peer = admits_peer, .connections_max = 1 };
        *ret_why = admits ? strdup("not you") : NULL;
        return admits;
}

static void on_refused(InletSession *session, LinkByeCode code, const char *why)
{
        n_refused++;
}

static const InletHandler inlet_handler = { .admit = on_admit, .refused = on_refused };

static unsigned count_descriptors(void)
{
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        ck_assert_ptr_nonnull(dir);
        while (readdir(dir))
                n++;
        (void) closedir(dir);
        return n;
}

/* Returns the client's end. */
static int connect_client(void)
{
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        ck_assert_int_eq(acceptor_take(inlet_acceptor(inlet), fds[0]), 0);
        run_idle(0);
        return fds[1];
}

static void setup(void)
{
        InletOptions options = {
                .handler = &inlet_handler,
                .connections_max = CONNECTIONS_MAX,
                .connect_usec = hello_usec,
                .idle_usec = idle_usec,
        };

        admits = judges = 0;
        admits_held = false;
        admits_peer = NULL;
        n_refused = 0;
        inlet_setup(options, on_judge);
        /* What the loop keeps for any client is not counted. */
        (void) close(connect_client());
        run_idle(0);
}

static void teardown(void)
{
        inlet_teardown();
}

static void send_hello(int fd)
{
        LinkHello hello = {
                .version_min = LINK_VERSION,
                .version_max = LINK_VERSION,
                .role = LINK_ROLE_SENDER,
                .stream = { { 1 } },
                .oldest = 1,
                .node = link_string("n1"),
                .software = link_string("test"),
        };
        Buffer buffer = BUFFER_INIT(LINK_FRAME_MAX);

        ck_assert_int_eq(frame_put_hello(&buffer, &hello), 0);
        ck_assert_int_eq(send(fd, buffer_head(&buffer), buffer_size(&buffer), MSG_NOSIGNAL),
                         (ssize_t) buffer_size(&buffer));
        buffer_done(&buffer);
        run_idle(0);
}

/* The last frame that came, which must be a BYE of that code, and then the end. Closes. */
static void expect_bye(int fd, LinkByeCode code)
{
        uint8_t bytes[4096];
        const char *why;
        Frame frame;
        ssize_t n;

        n = recv(fd, bytes, sizeof bytes, 0);
        ck_assert_int_gt(n, 0);
        ck_assert_int_eq(frame_decode(bytes, (size_t) n, &frame, &why), 1);
        ck_assert_uint_eq(frame.type, FRAME_BYE);
        ck_assert_uint_eq(frame.bye.code, code);
        ck_assert_int_eq(recv(fd, bytes, sizeof bytes, 0), 0);
        (void) close(fd);
        run_idle(0);
}

START_TEST(refused_clients_leave_nothing)
{
        unsigned before = count_descriptors();

        for (unsigned i = 0; i < CLIENTS; i++) {
                int fd;

                admits = i % 3 == 0 ? LINK_BYE_CERTIFICATE : 0;
                judges = i % 3 == 1 ? LINK_BYE_NODE : 0;
                fd = connect_client();
                if (i % 3 == 1)
                        send_hello(fd);
                if (i % 3 == 2) {
                        ck_assert_int_eq(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
                        run_idle(0);
                }
                expect_bye(fd, i % 3 == 0 ? LINK_BYE_CERTIFICATE : i % 3 == 1 ? LINK_BYE_NODE : LINK_BYE_PROTOCOL);
                ck_assert_uint_eq(n_refused, i + 1);
        }
        ck_assert_uint_eq(inlet_connections(inlet), 0);
        ck_assert_uint_eq(count_descriptors(), before);
        ck_assert_uint_eq(acceptor_counters(inlet_acceptor(inlet))->accepted, CLIENTS + 1);
        ck_assert_uint_eq(inlet_counters(inlet)->refused + inlet_counters(inlet)->violations, CLIENTS);
}
END_TEST

static bool holds;

static bool on_hold(const InletSession *session)
{
        return holds;
}

/* A HELLO stays unread, and no time-out strikes, until the owner lets it. */
START_TEST(a_held_session_is_not_read)
{
        uint8_t bytes[4096];
        Frame frame;
        const char *why;
        ssize_t n;
        int fd;

        admits_held = true;
        fd = connect_client();
        send_hello(fd);
        ck_assert_int_lt(recv(fd, bytes, sizeof bytes, 0), 0);
        ck_assert_uint_eq(inlet_user_connections(inlet, geteuid()), 1);
        ck_assert_uint_eq(inlet_user_connections(inlet, geteuid() + 1), 0);
        holds = true;
        inlet_hold(inlet, on_hold);
        run_idle(0);
        ck_assert_int_lt(recv(fd, bytes, sizeof bytes, 0), 0);
        holds = false;
        inlet_hold(inlet, on_hold);
        run_idle(0);
        n = recv(fd, bytes, sizeof bytes, 0);
        ck_assert_int_gt(n, 0);
        ck_assert_int_eq(frame_decode(bytes, (size_t) n, &frame, &why), 1);
        ck_assert_uint_eq(frame.type, FRAME_WELCOME);
        (void) close(fd);
        run_idle(0);
        ck_assert_uint_eq(inlet_connections(inlet), 0);
}
END_TEST

START_TEST(one_too_many_is_turned_away)
{
        unsigned before = count_descriptors();
        int fds[CONNECTIONS_MAX];

        for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
                fds[i] = connect_client();
        expect_bye(connect_client(), LINK_BYE_OVERLOAD);
        ck_assert_uint_eq(inlet_connections(inlet), CONNECTIONS_MAX);
        ck_assert_uint_eq(inlet_counters(inlet)->surplus, 1);
        for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
                (void) close(fds[i]);
        run_idle(0);
        ck_assert_uint_eq(inlet_connections(inlet), 0);
        ck_assert_uint_eq(count_descriptors(), before);
}
END_TEST

START_TEST(a_returning_peer_takes_the_place_of_its_dead_connection)
{
        int dead, other, back;

        admits_peer = "web1";
        dead = connect_client();
        admits_peer = "web2";
        other = connect_client();
        /* All places are taken, and the peer's own share is. */
        ck_assert_uint_eq(inlet_connections(inlet), CONNECTIONS_MAX);
        admits_peer = "web1";
        back = connect_client();
        ck_assert_uint_eq(inlet_counters(inlet)->displaced, 1);
        ck_assert_uint_eq(inlet_counters(inlet)->surplus, 0);
        expect_bye(dead, LINK_BYE_REPLACED);
        ck_assert_uint_eq(inlet_connections(inlet), CONNECTIONS_MAX);
        /* Somebody else has to come back later. */
        admits_peer = "web3";
        expect_bye(connect_client(), LINK_BYE_OVERLOAD);
        (void) close(other);
        (void) close(back);
        run_idle(0);
        ck_assert_uint_eq(inlet_connections(inlet), 0);
}
END_TEST

static void on_left(void *userdata)
{
        ++*(unsigned *) userdata;
}

START_TEST(last_words_are_heard_before_we_leave)
{
        int fd = connect_client();
        uint8_t bytes[4096];
        unsigned left = 0;

        send_hello(fd);
        ck_assert_int_gt(recv(fd, bytes, sizeof bytes, 0), 0);
        intake_end_all(intake, LINK_BYE_ENDING, 0, "we stop");
        acceptor_leave(inlet_acceptor(inlet), on_left, &left);
        run_idle(0);
        ck_assert_uint_eq(left, 0);
        expect_bye(fd, LINK_BYE_ENDING);
        ck_assert_uint_eq(left, 1);
        /* Nobody is there: at once. */
        acceptor_leave(inlet_acceptor(inlet), on_left, &left);
        ck_assert_uint_eq(left, 2);
}
END_TEST

START_TEST(who_does_not_listen_is_not_waited_for)
{
        int fd = connect_client();
        unsigned left = 0;

        acceptor_leave(inlet_acceptor(inlet), on_left, &left);
        while (left == 0) {
                ck_assert_uint_eq(inlet_connections(inlet), 1);
                (void) poll(NULL, 0, 20);
                run_idle(0);
        }
        (void) close(fd);
        run_idle(0);
        ck_assert_uint_eq(left, 1);
}
END_TEST

/* What it was asked to say and does not. */
static void expect_timeout(int fd)
{
        struct pollfd wait = { .fd = fd, .events = POLLIN };

        while (poll(&wait, 1, 20) == 0) {
                inlet_tick(inlet);
                run_idle(0);
        }
        expect_bye(fd, LINK_BYE_TIMEOUT);
        ck_assert_uint_eq(inlet_counters(inlet)->timeouts, 1);
}

static void setup_hasty(void)
{
        hello_usec = idle_usec = 200 * USEC_PER_MSEC;
        setup();
}

START_TEST(a_hello_that_never_comes)
{
        int fd = connect_client();

        expect_timeout(fd);
}
END_TEST

START_TEST(a_frame_a_byte_at_a_time)
{
        static uint8_t payload[100000];
        int fd = connect_client();
        Batch batch = { .first = 1, .last = 1, .count = 1, .size = sizeof payload, .payload = payload,
                        .origin = BATCH_ORIGIN_LOCAL };
        Buffer frame = BUFFER_INIT(LINK_FRAME_MAX);
        uint8_t bytes[4096];
        uint64_t begin;

        batch_seal(&batch);
        ck_assert_int_ge(frame_put_batch(&frame, &batch), 0);
        send_hello(fd);
        ck_assert_int_gt(recv(fd, bytes, sizeof bytes, 0), 0);
        begin = monotonic_usec();
        /* Never silent, and never done. */
        while (recv(fd, bytes, 1, MSG_PEEK) < 0) {
                ck_assert_uint_lt(monotonic_usec() - begin, 30 * USEC_PER_SEC);
                ck_assert_int_eq(send(fd, buffer_head(&frame), 1, MSG_NOSIGNAL), 1);
                buffer_consume(&frame, 1);
                (void) poll(NULL, 0, 20);
                run_idle(0);
                inlet_tick(inlet);
                run_idle(0);
        }
        ck_assert_uint_ge(monotonic_usec() - begin, idle_usec);
        ck_assert_uint_eq(inlet_counters(inlet)->timeouts, 1);
        buffer_done(&frame);
        (void) close(fd);
        run_idle(0);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("inlet");
        TCase *tcase = tcase_create("inlet");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, refused_clients_leave_nothing);
        tcase_add_test(tcase, last_words_are_heard_before_we_leave);
        tcase_add_test(tcase, who_does_not_listen_is_not_waited_for);
        tcase_add_test(tcase, a_held_session_is_not_read);
        tcase_add_test(tcase, one_too_many_is_turned_away);
        tcase_add_test(tcase, a_returning_peer_takes_the_place_of_its_dead_connection);
        suite_add_tcase(suite, tcase);
        tcase = tcase_create("slow");
        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup_hasty, teardown);
        tcase_add_test(tcase, a_hello_that_never_comes);
        tcase_add_test(tcase, a_frame_a_byte_at_a_time);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
