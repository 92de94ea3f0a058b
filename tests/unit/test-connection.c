/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Connections over socket pairs, both ends in one loop. Each test runs plain (loop 0) and over TLS (loop 1)
 * where both apply. */

#include "check-main.h"
#include "runtime/connection.h"
#include "tls-fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define COLLECTOR "logs.example.org"
#define CLIENT "web1.example.org"
#define TIMEOUT_USEC (10 * USEC_PER_SEC)
#define TRANSFER_SIZE (10U * 1024U * 1024U)
/* What a pause leaves in the input: no more than the turn in which it was said had read. */
#define INPUT_KEPT_MAX (32U * 1024U)
/* Turns of the loop that end any test: far more than the longest needs. */
#define TURNS_MAX 200000U

typedef struct End {
        Connection *connection;
        bool server;
        unsigned established, closed;
        int error;
        char why[256];
        size_t sent, received, wrong;
        size_t to_send;       /* by drained() */
        size_t turn_received; /* in this turn of the loop */
        uint8_t last[8];      /* the last bytes received */
        int answer;           /* of received() */
        bool finish_established, pause_received, keep;
} End;

static Fixture fixture;
static sd_event *event;
static Tls *server_tls, *client_tls;
static End ends[2];
static int fds[2]; /* those of the pair; the connections own them */

static void setup(void)
{
        memset(ends, 0, sizeof ends);
        fixture_setup(&fixture);
        server_tls = fixture_tls(&fixture, ISSUE_COLLECTOR, COLLECTOR);
        client_tls = fixture_tls(&fixture, ISSUE_CLIENT, CLIENT);
        ck_assert_int_ge(sd_event_new(&event), 0);
}

static void teardown(void)
{
        for (unsigned i = 0; i < 2; i++)
                connection_free(ends[i].connection);
        sd_event_unref(event);
        tls_unref(server_tls);
        tls_unref(client_tls);
        fixture_teardown(&fixture);
}

static uint8_t byte_at(size_t offset)
{
        return (uint8_t) ((offset * 2654435761U) >> 13);
}

static int on_established(Connection *connection)
{
        End *end = connection_userdata(connection);

        end->established++;
        if (!end->finish_established)
                return 0;
        ck_assert_int_eq(buffer_append(connection_output(connection), "BYE", 3), 0);
        connection_finish(connection);
        return -EACCES; /* finish() was said: the BYE goes out all the same */
}

static int on_received(Connection *connection, Buffer *input)
{
        End *end = connection_userdata(connection);
        size_t size = buffer_size(input);

        ck_assert_uint_gt(size, 0);
        if (end->pause_received) {
                connection_pause(connection, true);
                return 0;
        }
        if (end->keep) {
                connection_pause(connection, false); /* as one does who says it after every feed */
                return 0;
        }
        for (size_t i = 0; i < size; i++)
                end->wrong += buffer_head(input)[i] != byte_at(end->received + i);
        end->received += size;
        end->turn_received += size;
        for (size_t i = 0; i < size && i < sizeof end->last; i++)
                end->last[i] = buffer_head(input)[i];
        buffer_consume(input, size);
        return end->answer;
}

static int on_drained(Connection *connection, Buffer *output)
{
        End *end = connection_userdata(connection);
        size_t n = MIN(end->to_send - end->sent, 100000U);
        uint8_t *space;

        if (n == 0)
                return 0;
        space = buffer_reserve(output, n);
        ck_assert_ptr_nonnull(space);
        for (size_t i = 0; i < n; i++)
                space[i] = byte_at(end->sent + i);
        buffer_extend(output, n);
        end->sent += n;
        return 1;
}

static void on_closed(Connection *connection, int error, const char *why)
{
        End *end = connection_userdata(connection);

        end->closed++;
        end->error = error;
        snprintf(end->why, sizeof end->why, "%s", why);
        end->connection = connection_free(connection);
}

static const ConnectionHandler handler = { on_established, on_received, on_drained, on_closed };

static void end_open(End *end, int fd, bool tls, bool server)
{
        Transport *session = NULL;

        end->server = server;
        if (tls)
                ck_assert_int_eq(tls_session_new(server ? server_tls : client_tls, server,
                                                 server ? NULL : COLLECTOR, fd, &session),
                                 0);
        ck_assert_int_eq(connection_new(event, fd, session, &handler, end, &end->connection), 0);
}

static void pair_open(bool tls)
{
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        for (unsigned i = 0; i < 2; i++)
                end_open(&ends[i], fds[i], tls, i == 0);
}

static void pair_start(void)
{
        for (unsigned i = 0; i < 2; i++)
                ck_assert_int_eq(connection_start(ends[i].connection, TIMEOUT_USEC), 0);
}

/* One turn of the loop; waits for something to happen. */
static void turn(void)
{
        ck_assert_int_gt(sd_event_run(event, TIMEOUT_USEC), 0);
}

#define run_until(condition)                                                                                \
        do {                                                                                                \
                unsigned _turns = 0;                                                                        \
                while (!(condition)) {                                                                      \
                        ck_assert_uint_lt(_turns++, TURNS_MAX);                                             \
                        turn();                                                                             \
                }                                                                                           \
        } while (0)

/* Runs what is due now. Returns how many turns that were: TURNS_MAX when it never ends. */
static unsigned run_idle(void)
{
        unsigned n = 0;

        while (n < TURNS_MAX && sd_event_run(event, 0) > 0)
                n++;
        return n;
}

START_TEST(much_arrives_in_both_directions)
{
        size_t most = 0;

        pair_open(_i == 1);
        ends[0].to_send = ends[1].to_send = TRANSFER_SIZE;
        pair_start();
        while (ends[0].received < TRANSFER_SIZE || ends[1].received < TRANSFER_SIZE) {
                ends[0].turn_received = ends[1].turn_received = 0;
                turn();
                most = MAX(most, MAX(ends[0].turn_received, ends[1].turn_received));
        }
        ck_assert_uint_eq(ends[0].wrong + ends[1].wrong, 0);
        ck_assert_uint_eq(ends[0].established + ends[1].established, 2);
        ck_assert_uint_eq(ends[0].closed + ends[1].closed, 0);
        ck_assert_uint_le(most, CONNECTION_TURN_MAX);
        ck_assert_uint_gt(connection_heard_usec(ends[0].connection), 0);
        /* And then nothing goes on. */
        ck_assert_uint_lt(run_idle(), 10);
}
END_TEST

START_TEST(flush_sends_at_once)
{
        pair_open(_i == 1);
        pair_start();
        run_until(ends[0].established && ends[1].established);
        for (size_t i = 0; i < 1000; i++) {
                ck_assert_int_eq(
                        buffer_append(connection_output(ends[0].connection), &(uint8_t) { byte_at(i) }, 1),
                        0);
                connection_flush(ends[0].connection);
                ck_assert_uint_eq(buffer_size(connection_output(ends[0].connection)), 0);
                ck_assert_uint_eq(ends[1].received, i);
                run_until(ends[1].received == i + 1);
        }
        ck_assert_uint_eq(ends[1].wrong, 0);
}
END_TEST

/* What is sent from the caller's own memory is the connection's matter no more once the call is over. */
START_TEST(sent_from_where_it_is)
{
        static const size_t heads[] = { 0, 64, 20000 }, bodies[] = { 16384, 100, 262144, 70000 };
        static uint8_t body[262144];
        unsigned full = 0;
        size_t sent = 0;

        pair_open(_i == 1);
        pair_start();
        run_until(ends[0].established && ends[1].established);
        for (unsigned i = 0; sent < TRANSFER_SIZE; i++) {
                Buffer *output = connection_output(ends[0].connection);
                size_t head = heads[i % ELEMENTSOF(heads)], size = bodies[i % ELEMENTSOF(bodies)];

                for (size_t j = 0; j < head; j++, sent++)
                        ck_assert_int_eq(buffer_append(output, &(uint8_t) { byte_at(sent) }, 1), 0);
                for (size_t j = 0; j < size; j++, sent++)
                        body[j] = byte_at(sent);
                if (connection_send(ends[0].connection, body, size))
                        ck_assert_uint_eq(buffer_size(output), 0);
                else
                        full++;
                memset(body, 0xee, size);
                connection_flush(ends[0].connection);
                /* Now and then also behind what waits. */
                if (i % 3 > 0)
                        run_until(!connection_is_full(ends[0].connection));
        }
        run_until(ends[1].received == sent);
        ck_assert_uint_gt(full, 2);
        ck_assert_uint_eq(ends[1].wrong, 0);
        connection_finish(ends[0].connection);
        ck_assert(!connection_send(ends[0].connection, body, sizeof body));
        run_until(ends[0].closed && ends[1].closed);
        ck_assert_uint_eq(ends[1].received, sent);
}
END_TEST

START_TEST(bye_arrives_against_a_flood)
{
        pair_open(_i == 1);
        ends[0].finish_established = true;
        ends[1].to_send = TRANSFER_SIZE;
        pair_start();
        run_until(ends[0].closed && ends[1].closed);
        ck_assert_int_eq(ends[0].error, 0);
        ck_assert_int_eq(ends[1].error, 0);
        ck_assert_uint_eq(ends[0].received, 0);
        ck_assert_uint_eq(ends[1].received, 3);
        ck_assert_mem_eq(ends[1].last, "BYE", 3);
        ck_assert_str_eq(ends[0].why, "Finished");
}
END_TEST

START_TEST(finish_sends_all_output_first)
{
        pair_open(_i == 1);
        pair_start();
        run_until(ends[0].established && ends[1].established);
        ends[0].to_send = 1000000;
        connection_refill(ends[0].connection);
        connection_flush(ends[0].connection);
        run_until(ends[0].sent == 1000000);
        connection_finish(ends[0].connection);
        connection_finish(ends[0].connection);
        connection_flush(ends[0].connection);
        ck_assert_uint_eq(ends[0].closed, 0);
        run_until(ends[0].closed && ends[1].closed);
        ck_assert_uint_eq(ends[1].received, 1000000);
        ck_assert_uint_eq(ends[1].wrong, 0);
        ck_assert_int_eq(ends[0].error, 0);
        ck_assert_int_eq(ends[1].error, 0);
        ck_assert_uint_eq(ends[0].closed + ends[1].closed, 2);
}
END_TEST

START_TEST(both_finish_at_once)
{
        pair_open(_i == 1);
        ends[0].finish_established = ends[1].finish_established = true;
        pair_start();
        run_until(ends[0].closed && ends[1].closed);
        ck_assert_int_eq(ends[0].error, 0);
        ck_assert_int_eq(ends[1].error, 0);
}
END_TEST

START_TEST(draining_is_bounded)
{
        uint8_t junk[65536] = { 0 };
        size_t sent = 0;
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        end_open(&ends[0], fds[0], false, true);
        ends[0].finish_established = true;
        ck_assert_int_eq(connection_start(ends[0].connection, TIMEOUT_USEC), 0);
        while (!ends[0].closed) {
                ssize_t n = send(fds[1], junk, sizeof junk, MSG_NOSIGNAL);

                sent += n > 0 ? (size_t) n : 0;
                ck_assert_uint_lt(sent, 64U * 1024U * 1024U);
                turn();
        }
        ck_assert_int_eq(ends[0].error, 0);
        ck_assert_ptr_nonnull(strstr(ends[0].why, "went on sending"));
        close(fds[1]);
}
END_TEST

START_TEST(pause_stops_and_resume_offers)
{
        pair_open(_i == 1);
        ends[0].pause_received = true;
        ends[1].to_send = TRANSFER_SIZE;
        pair_start();
        run_until(ends[0].established && ends[1].established);
        ck_assert_uint_lt(run_idle(), 1000);
        ck_assert_uint_eq(ends[0].received, 0);
        ck_assert_uint_lt(ends[1].sent, TRANSFER_SIZE);
        ends[0].pause_received = false;
        connection_pause(ends[0].connection, false);
        ck_assert_uint_eq(ends[0].received, 0); /* not from within the call */
        run_until(ends[0].received == TRANSFER_SIZE);
        ck_assert_uint_eq(ends[0].wrong, 0);
}
END_TEST

/* More waits in the socket than one turn may take; the last of it is in TLS and not in the socket. */
START_TEST(turns_are_bounded_and_continued)
{
        size_t most = 0;
        int size = 8 * 1024 * 1024;

        pair_open(_i % 2 == 1);
        /* Without the privilege the socket holds less than a turn: then there is less to see. */
        (void) setsockopt(fds[1], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
        ends[0].pause_received = true;
        ends[1].to_send = INPUT_KEPT_MAX + 2 * CONNECTION_TURN_MAX + 2000U * (unsigned) _i;
        pair_start();
        run_until(ends[0].established && ends[1].established);
        ck_assert_uint_lt(run_idle(), 1000);
        ends[0].pause_received = false;
        connection_pause(ends[0].connection, false);
        while (ends[0].received < ends[1].to_send) {
                size_t before = ends[0].received;

                turn();
                most = MAX(most, ends[0].received - before);
        }
        ck_assert_uint_eq(ends[0].wrong, 0);
        /* What was offered again was read in another turn. */
        ck_assert_uint_le(most, CONNECTION_TURN_MAX + INPUT_KEPT_MAX);
}
END_TEST

/* What is left in the input is offered with the next bytes, not again and again; a full input stops
 * reading. */
START_TEST(kept_input_neither_spins_nor_grows)
{
        pair_open(_i == 1);
        ends[0].keep = true;
        ends[1].to_send = TRANSFER_SIZE;
        pair_start();
        run_until(ends[0].established && ends[1].established);
        ck_assert_uint_lt(run_idle(), 1000);
        ck_assert_uint_lt(ends[1].sent, TRANSFER_SIZE);
        connection_pause(ends[0].connection, false);
        ck_assert_uint_lt(run_idle(), 1000);
        ends[0].keep = false;
        connection_pause(ends[0].connection, true);
        connection_pause(ends[0].connection, false);
        run_until(ends[0].received == TRANSFER_SIZE);
        ck_assert_uint_eq(ends[0].wrong, 0);
}
END_TEST

START_TEST(hang_up_while_paused_waits)
{
        pair_open(_i == 1);
        ends[1].to_send = 1000;
        pair_start();
        connection_pause(ends[0].connection, true);
        run_until(ends[1].established && ends[1].sent == 1000);
        run_idle();
        ends[1].connection = connection_free(ends[1].connection);
        ck_assert_uint_lt(run_idle(), 10);
        ck_assert_uint_eq(ends[0].closed, 0);
        connection_pause(ends[0].connection, false);
        run_until(ends[0].closed);
        ck_assert_uint_eq(ends[0].received, 1000);
        ck_assert_int_eq(ends[0].error, _i == 1 ? -ECONNRESET : 0); /* no close_notify came */
        ck_assert_uint_eq(ends[0].closed, 1);
}
END_TEST

START_TEST(handler_error_closes_once)
{
        pair_open(_i == 1);
        ends[0].answer = -EBADMSG;
        ends[1].to_send = TRANSFER_SIZE;
        pair_start();
        run_until(ends[0].closed && ends[1].closed);
        run_idle();
        ck_assert_uint_eq(ends[0].closed, 1);
        ck_assert_uint_eq(ends[1].closed, 1);
        ck_assert_int_eq(ends[0].error, -EBADMSG);
        ck_assert_int_lt(ends[1].error, 0);
        ck_assert_uint_gt(strlen(ends[1].why), 0);
}
END_TEST

/* Nobody answers: a handshake that never comes, a connect() that never ends. */
START_TEST(silence_times_out)
{
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        end_open(&ends[0], fds[0], true, _i == 1);
        ck_assert_int_eq(connection_start(ends[0].connection, 1000), 0);
        run_until(ends[0].closed);
        ck_assert_int_eq(ends[0].error, -ETIMEDOUT);
        ck_assert_ptr_nonnull(strstr(ends[0].why, "handshake"));
        ck_assert_uint_eq(ends[0].established, 0);
        close(fds[1]);
}
END_TEST

START_TEST(garbage_instead_of_tls_is_an_error)
{
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        end_open(&ends[0], fds[0], true, _i == 1);
        ck_assert_int_eq(connection_start(ends[0].connection, TIMEOUT_USEC), 0);
        ck_assert_int_eq(send(fds[1], "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
        run_until(ends[0].closed);
        ck_assert_int_eq(ends[0].error, -EPROTO);
        ck_assert_uint_gt(strlen(ends[0].why), 0);
        close(fds[1]);
}
END_TEST

static int tcp_listen(struct sockaddr_in *address)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        *address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        ck_assert_int_eq(bind(fd, (struct sockaddr *) address, sizeof *address), 0);
        ck_assert_int_eq(listen(fd, 1), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *) address, &(socklen_t){ sizeof *address }), 0);
        return fd;
}

static int tcp_connect(const struct sockaddr_in *address)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        ck_assert(connect(fd, (const struct sockaddr *) address, sizeof *address) == 0 ||
                  errno == EINPROGRESS);
        return fd;
}

START_TEST(refused_connect_is_told)
{
        struct sockaddr_in address;
        int fd = tcp_listen(&address);

        close(fd);
        end_open(&ends[0], tcp_connect(&address), _i == 1, false);
        ck_assert_int_eq(connection_start(ends[0].connection, TIMEOUT_USEC), 0);
        run_until(ends[0].closed);
        ck_assert_int_eq(ends[0].error, -ECONNREFUSED);
        ck_assert_ptr_nonnull(strstr(ends[0].why, "Cannot connect"));
        ck_assert_uint_eq(ends[0].established, 0);
}
END_TEST

START_TEST(peers_are_named)
{
        struct sockaddr_in address;
        int listener = tcp_listen(&address);
        char expected[64];
        pid_t pid;
        uid_t uid;
        gid_t gid;

        end_open(&ends[0], tcp_connect(&address), true, false);
        ck_assert_int_eq(connection_start(ends[0].connection, TIMEOUT_USEC), 0);
        end_open(&ends[1], accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), true, true);
        ck_assert_int_eq(connection_start(ends[1].connection, TIMEOUT_USEC), 0);
        run_until(ends[0].established && ends[1].established);
        snprintf(expected, sizeof expected, "127.0.0.1:%u", (unsigned) ntohs(address.sin_port));
        ck_assert_str_eq(connection_peer(ends[0].connection), expected);
        ck_assert(connection_loopback(ends[0].connection));
        connection_credentials(ends[0].connection, &pid, &uid, &gid);
        ck_assert_int_eq(pid, -1);
        connection_free(ends[0].connection);
        connection_free(ends[1].connection);
        close(listener);

        memset(ends, 0, sizeof ends);
        pair_open(false);
        pair_start();
        snprintf(expected, sizeof expected, "pid %d uid %u", (int) getpid(), (unsigned) getuid());
        ck_assert_str_eq(connection_peer(ends[0].connection), expected);
        ck_assert(!connection_loopback(ends[0].connection));
        connection_credentials(ends[0].connection, &pid, &uid, &gid);
        ck_assert_int_eq(pid, getpid());
        ck_assert_uint_eq(uid, getuid());
        ck_assert_uint_eq(gid, getgid());
}
END_TEST

START_TEST(finish_before_the_handshake_closes)
{
        pair_open(true);
        pair_start();
        connection_finish(ends[0].connection);
        ck_assert_uint_eq(ends[0].closed, 0);
        run_until(ends[0].closed && ends[1].closed);
        ck_assert_int_eq(ends[0].error, 0);
        ck_assert_int_lt(ends[1].error, 0);
        ck_assert_uint_eq(ends[0].established, 0);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("connection");
        TCase *tcase = tcase_create("connection");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, much_arrives_in_both_directions, 0, 2);
        tcase_add_loop_test(tcase, flush_sends_at_once, 0, 2);
        tcase_add_loop_test(tcase, sent_from_where_it_is, 0, 2);
        tcase_add_loop_test(tcase, bye_arrives_against_a_flood, 0, 2);
        tcase_add_loop_test(tcase, finish_sends_all_output_first, 0, 2);
        tcase_add_loop_test(tcase, both_finish_at_once, 0, 2);
        tcase_add_test(tcase, draining_is_bounded);
        tcase_add_loop_test(tcase, pause_stops_and_resume_offers, 0, 2);
        tcase_add_loop_test(tcase, turns_are_bounded_and_continued, 0, 8);
        tcase_add_loop_test(tcase, kept_input_neither_spins_nor_grows, 0, 2);
        tcase_add_loop_test(tcase, hang_up_while_paused_waits, 0, 2);
        tcase_add_loop_test(tcase, handler_error_closes_once, 0, 2);
        tcase_add_loop_test(tcase, silence_times_out, 0, 2);
        tcase_add_loop_test(tcase, garbage_instead_of_tls_is_an_error, 0, 2);
        tcase_add_loop_test(tcase, refused_connect_is_told, 0, 2);
        tcase_add_test(tcase, peers_are_named);
        tcase_add_test(tcase, finish_before_the_handshake_closes);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
