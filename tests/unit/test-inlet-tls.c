/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* TLS clients of an inlet on a real socket, beside others that only take its time. */

#include "inlet-fixture.h"
#include "tls-fixture.h"

#define HANDSHAKES_MAX 4U
#define ADDRESS_MAX 2U
#define GRACE_USEC (500 * USEC_PER_MSEC)
/* Longer than anything here takes, however loaded the machine is. */
#define PATIENCE_USEC (30 * USEC_PER_SEC)

static Fixture fixture;
static Tls *server_tls, *client_tls;
static unsigned established, closed;

/* --- The inlet --- */

static int on_secure(Inlet *in, int fd, Transport **ret_transport)
{
        return tls_session_new(server_tls, true, NULL, fd, ret_transport);
}

static LinkByeCode on_admit(InletSession *session, InletIdentity *ret_identity, char **ret_why)
{
        TlsSession *tls = tls_session_of(connection_transport(inlet_session_connection(session)));

        *ret_identity = (InletIdentity) { .owner = "n1", .node = "n1", .accept = "n1" };
        return tls_session_judge(tls, server_tls, ret_why) < 0 ? LINK_BYE_CERTIFICATE : 0;
}

static const InletHandler inlet_handler = { .secure = on_secure, .admit = on_admit };

/* --- A client --- */

static int on_established(Connection *connection)
{
        established++;
        return 0;
}

static int on_received(Connection *connection, Buffer *input)
{
        buffer_consume(input, buffer_size(input));
        return 0;
}

static void on_closed(Connection *connection, int error, const char *why)
{
        closed++;
        connection_free(connection);
}

static const ConnectionHandler client_handler = {
        .established = on_established, .received = on_received, .closed = on_closed
};

static Connection *come_with_certificate(unsigned host)
{
        Connection *connection;
        Transport *tls;
        int fd = come(host);

        ck_assert_int_eq(tls_session_new(client_tls, false, "collector", fd, &tls), 0);
        ck_assert_int_eq(connection_new(event, fd, tls, &client_handler, NULL, &connection), 0);
        ck_assert_int_eq(connection_start(connection, PATIENCE_USEC), 0);
        return connection;
}

/* Turns of the loop, and the ticks of its clock, until it is so. */
#define run_until(condition)                                                                \
        do {                                                                                \
                uint64_t end = monotonic_usec() + PATIENCE_USEC;                            \
                                                                                            \
                while (!(condition)) {                                                      \
                        ck_assert_int_ge(sd_event_run(event, 20 * USEC_PER_MSEC), 0);        \
                        if (inlet)                                                          \
                                inlet_tick(inlet);                                          \
                        ck_assert_msg(monotonic_usec() < end, "not in time: " #condition);  \
                }                                                                           \
        } while (false)

static size_t served(void)
{
        size_t waiting;

        return acceptor_handshakes(inlet_acceptor(inlet), &waiting);
}

static size_t waiting(void)
{
        size_t n;

        (void) acceptor_handshakes(inlet_acceptor(inlet), &n);
        return n;
}

/* --- The fixture --- */

static void setup(void)
{
        InletOptions options = {
                .handler = &inlet_handler,
                .connections_max = 100,
                .admission = { HANDSHAKES_MAX, ADDRESS_MAX, GRACE_USEC },
                .connect_usec = PATIENCE_USEC,
                .idle_usec = PATIENCE_USEC,
        };

        fixture_setup(&fixture);
        server_tls = fixture_tls(&fixture, ISSUE_COLLECTOR, "collector");
        client_tls = fixture_tls(&fixture, ISSUE_CLIENT, "n1");
        established = closed = 0;
        inlet_setup(options, NULL);
        ck_assert_int_eq(acceptor_listen(inlet_acceptor(inlet), listen_here()), 0);
}

static void teardown(void)
{
        inlet_teardown();
        server_tls = tls_unref(server_tls);
        client_tls = tls_unref(client_tls);
        fixture_teardown(&fixture);
}

START_TEST(who_says_nothing_keeps_nobody_of_another_address_waiting)
{
        int silent[20];

        for (unsigned i = 0; i < ELEMENTSOF(silent); i++)
                silent[i] = come(2);
        run_until(served() + waiting() == ELEMENTSOF(silent));
        ck_assert_uint_eq(served(), ADDRESS_MAX);
        /* No handshake had to give way for it: it had a place of its own. */
        (void) come_with_certificate(3);
        run_until(established == 1);
        ck_assert_uint_eq(acceptor_counters(inlet_acceptor(inlet))->hurried, 0);
        for (unsigned i = 0; i < ELEMENTSOF(silent); i++)
                (void) close(silent[i]);
        run_until(served() + waiting() == 0);
        inlet = inlet_free(inlet);
        run_until(closed == 1);
}
END_TEST

START_TEST(who_says_nothing_gives_way)
{
        int silent[10];

        /* From many addresses: all places are taken. */
        for (unsigned i = 0; i < ELEMENTSOF(silent); i++)
                silent[i] = come(2 + i);
        run_until(served() == HANDSHAKES_MAX && waiting() == ELEMENTSOF(silent) - HANDSHAKES_MAX);
        (void) come_with_certificate(99);
        run_until(established == 1);
        ck_assert_uint_ge(acceptor_counters(inlet_acceptor(inlet))->hurried, 1);
        for (unsigned i = 0; i < ELEMENTSOF(silent); i++)
                (void) close(silent[i]);
        run_until(served() + waiting() == 0);
        inlet = inlet_free(inlet);
        run_until(closed == 1);
}
END_TEST

START_TEST(all_of_a_crowd_get_through)
{
        unsigned n = ADDRESS_MAX + ADMISSION_WAITING * ADDRESS_MAX;

        for (unsigned i = 0; i < n; i++)
                (void) come_with_certificate(2);
        run_until(established == n && served() + waiting() == 0);
        ck_assert_uint_eq(inlet_connections(inlet), n);
        ck_assert_uint_eq(acceptor_counters(inlet_acceptor(inlet))->surplus, 0);
        inlet = inlet_free(inlet);
        run_until(closed == n);
}
END_TEST

START_TEST(a_flood_of_one_address_is_cut_off)
{
        unsigned n = 5 * (ADDRESS_MAX + ADMISSION_WAITING * ADDRESS_MAX);
        int *flood = calloc(n, sizeof *flood);

        ck_assert_ptr_nonnull(flood);
        for (unsigned i = 0; i < n; i++)
                flood[i] = come(2);
        run_until(acceptor_counters(inlet_acceptor(inlet))->accepted == n);
        ck_assert_uint_eq(served() + waiting(), n / 5);
        ck_assert_uint_eq(acceptor_counters(inlet_acceptor(inlet))->surplus, n / 5 * 4);
        (void) come_with_certificate(3);
        run_until(established == 1);
        for (unsigned i = 0; i < n; i++)
                (void) close(flood[i]);
        free(flood);
        inlet = inlet_free(inlet);
        run_until(closed == 1);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("inlet-tls");
        TCase *tcase = tcase_create("inlet-tls");

        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, who_says_nothing_keeps_nobody_of_another_address_waiting);
        tcase_add_test(tcase, who_says_nothing_gives_way);
        tcase_add_test(tcase, all_of_a_crowd_get_through);
        tcase_add_test(tcase, a_flood_of_one_address_is_cut_off);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
