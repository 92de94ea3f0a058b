/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "runtime/tls-private.h"
#include "tls-fixture.h"
#include "transport-write.h"

#include <gnutls/gnutls.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define COLLECTOR "logs.example.org"
#define CLIENT "web1.example.org"
#define TRANSFER_SIZE (3U * 1024U * 1024U)

static Fixture fixture;

static void setup(void)
{
        fixture_setup(&fixture);
}

static void teardown(void)
{
        fixture_teardown(&fixture);
}

/* Two sessions on a pair of sockets. */
typedef struct Pair {
        int fds[2];
        Transport *server, *client;
} Pair;

static void pair_open(Pair *pair, Tls *server, Tls *client, const char *expected)
{
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair->fds), 0);
        ck_assert_int_eq(tls_session_new(server, true, NULL, pair->fds[0], &pair->server), 0);
        pair->client = NULL;
        if (client)
                ck_assert_int_eq(tls_session_new(client, false, expected, pair->fds[1], &pair->client), 0);
}

static void pair_close(Pair *pair)
{
        transport_free(pair->server);
        transport_free(pair->client);
        close_fd(pair->fds[0]);
        close_fd(pair->fds[1]);
}

static void shake(Pair *pair)
{
        int s = -EAGAIN, c = -EAGAIN;

        for (unsigned i = 0; i < 20 && (s == -EAGAIN || c == -EAGAIN); i++) {
                if (c == -EAGAIN)
                        c = pair->client->handshake(pair->client);
                if (s == -EAGAIN)
                        s = pair->server->handshake(pair->server);
        }
        ck_assert_msg(s == 0, "%s", pair->server->error(pair->server));
        ck_assert_msg(c == 0, "%s", pair->client->error(pair->client));
}

static void expect_accepted(Transport *session, Tls *tls)
{
        _cleanup_(freep) char *why = NULL;

        ck_assert_msg(tls_session_judge(tls_session_of(session), tls, &why) == 0, "%s", why);
        ck_assert_ptr_null(why);
}

/* The sentence must hold every one of the words. */
static void expect_refused(Transport *session, Tls *tls, const char *const *words)
{
        _cleanup_(freep) char *why = NULL;
        int r = tls_session_judge(tls_session_of(session), tls, &why);

        ck_assert_ptr_nonnull(why);
        ck_assert_int_eq(r, strstr(why, "revoked")   ? -EKEYREVOKED
                            : strstr(why, "expired") ? -EKEYEXPIRED
                                                     : -EACCES);
        for (; *words; words++)
                ck_assert_msg(strstr(why, *words), "\"%s\" does not say \"%s\"", why, *words);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

START_TEST(both_sides_accept_and_know_each_other)
{
        Tls *server = fixture_tls(&fixture, ISSUE_COLLECTOR, COLLECTOR),
            *client = fixture_tls(&fixture, ISSUE_CLIENT, CLIENT);
        Pair pair;

        pair_open(&pair, server, client, "LOGS.example.org");
        shake(&pair);
        expect_accepted(pair.server, server);
        expect_accepted(pair.client, client);
        ck_assert_str_eq(tls_session_peer_name(tls_session_of(pair.server)), CLIENT);
        ck_assert_str_eq(tls_session_peer_name(tls_session_of(pair.client)), COLLECTOR);
        ck_assert_str_eq(tls_session_description(tls_session_of(pair.server)), "TLS1.3 AES-128-GCM");
        ck_assert(tls_session_speaks_for(tls_session_of(pair.server), "WEB1.example.org"));
        ck_assert(!tls_session_speaks_for(tls_session_of(pair.server), "example.org"));
        ck_assert(!tls_session_speaks_for(tls_session_of(pair.server), "web2.example.org"));
        ck_assert_str_eq(tls_name(client), CLIENT);
        ck_assert_int_ge(tls_expires(client), time(NULL) + FIXTURE_DAY - 100);
        ck_assert_int_le(tls_expires(client), time(NULL) + FIXTURE_DAY);
        pair_close(&pair);
        tls_unref(server);
        tls_unref(client);
}
END_TEST

/* A client whose certificate is `issued`: what the collector says of it. */
static void refuse_client(IssuePair issued, const char *trusted, const char *crl, const char *const *words)
{
        Tls *server, *client = fixture_tls_of(&fixture, &issued, "ca.pem", NULL);
        IssuePair collector = fixture_issue(ISSUE_COLLECTOR, COLLECTOR, &fixture.ca, -1, 1);
        Pair pair;

        server = fixture_tls_of(&fixture, &collector, trusted, crl);
        pair_open(&pair, server, client, COLLECTOR);
        shake(&pair);
        expect_refused(pair.server, server, words);
        pair_close(&pair);
        issue_pair_done(&collector);
        issue_pair_done(&issued);
        tls_unref(server);
        tls_unref(client);
}

START_TEST(expired_client_is_refused)
{
        refuse_client(fixture_issue(ISSUE_CLIENT, CLIENT, &fixture.ca, -2, -1), "ca.pem", NULL,
                      WORDS("client", CLIENT, "expired on 20"));
}
END_TEST

START_TEST(early_client_is_refused)
{
        refuse_client(fixture_issue(ISSUE_CLIENT, CLIENT, &fixture.ca, 1, 2), "ca.pem", NULL,
                      WORDS("client", CLIENT, "not yet valid", "clocks"));
}
END_TEST

START_TEST(client_of_another_ca_is_refused)
{
        refuse_client(fixture_issue(ISSUE_CLIENT, CLIENT, &fixture.other_ca, -1, 1), "ca.pem", NULL,
                      WORDS("client", CLIENT, "unknown CA", "CN=Other CA", "/ca.pem"));
}
END_TEST

/* The signature has to tell them apart. */
START_TEST(client_of_a_namesake_ca_is_refused)
{
        IssuePair ca = fixture_issue(ISSUE_CA, "Test CA", NULL, -1, 1);

        refuse_client(fixture_issue(ISSUE_CLIENT, CLIENT, &ca, -1, 1), "ca.pem", NULL,
                      WORDS("client", CLIENT, "unknown CA"));
        issue_pair_done(&ca);
}
END_TEST

START_TEST(self_signed_client_is_refused)
{
        refuse_client(fixture_issue(ISSUE_CLIENT, CLIENT, NULL, -1, 1), "ca.pem", NULL,
                      WORDS("client", CLIENT, "unknown CA"));
}
END_TEST

START_TEST(revoked_client_is_refused)
{
        IssuePair revoked = fixture_issue(ISSUE_CLIENT, CLIENT, &fixture.ca, -1, 1);
        IssuePair also = fixture_issue(ISSUE_CLIENT, CLIENT, &fixture.ca, -1, 1);
        char *list = NULL, *longer = NULL, *why = NULL;
        size_t added = 0;

        ck_assert_int_eq(issue_revocations(&fixture.ca, NULL, &also.certificate, 1, &list, &added, &why), 0);
        ck_assert_uint_eq(added, 1);
        ck_assert_int_eq(issue_revocations(&fixture.ca, list,
                                           (char *[]){ revoked.certificate, also.certificate }, 2, &longer,
                                           &added, &why),
                         0);
        ck_assert_uint_eq(added, 1);
        fixture_write(&fixture, "crl.pem", longer);
        refuse_client(revoked, "ca.pem", "crl.pem", WORDS("client", CLIENT, "revoked", "crl.pem"));
        refuse_client(also, "ca.pem", "crl.pem", WORDS("revoked"));
        free(list);
        free(longer);
}
END_TEST

/* What the client says of a collector. */
static void refuse_collector(IssuePair issued, const char *expected, const char *const *words)
{
        Tls *client = fixture_tls(&fixture, ISSUE_CLIENT, CLIENT),
            *server = fixture_tls_of(&fixture, &issued, "ca.pem", NULL);
        Pair pair;

        pair_open(&pair, server, client, expected);
        shake(&pair);
        expect_refused(pair.client, client, words);
        pair_close(&pair);
        issue_pair_done(&issued);
        tls_unref(server);
        tls_unref(client);
}

START_TEST(collector_of_another_name_is_refused)
{
        refuse_collector(fixture_issue(ISSUE_COLLECTOR, COLLECTOR, &fixture.ca, -1, 1), "other.example.org",
                         WORDS("collector", "wanted \"other.example.org\"", "has " COLLECTOR));
}
END_TEST

START_TEST(client_certificate_is_no_collectors)
{
        refuse_collector(fixture_issue(ISSUE_CLIENT, COLLECTOR, &fixture.ca, -1, 1), COLLECTOR,
                         WORDS(COLLECTOR, "key usage"));
}
END_TEST

START_TEST(collector_of_another_ca_is_refused)
{
        refuse_collector(fixture_issue(ISSUE_COLLECTOR, COLLECTOR, &fixture.other_ca, -1, 1), COLLECTOR,
                         WORDS("collector", "unknown CA"));
}
END_TEST

/* A client that is not ours. */
static gnutls_session_t stranger(int fd, const char *priority, const char *alpn,
                                 gnutls_certificate_credentials_t *ret_credentials)
{
        gnutls_session_t session;

        ck_assert_int_eq(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL), 0);
        ck_assert_int_eq(gnutls_priority_set_direct(session, priority, NULL), 0);
        ck_assert_int_eq(gnutls_certificate_allocate_credentials(ret_credentials), 0);
        ck_assert_int_eq(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, *ret_credentials), 0);
        if (alpn) {
                gnutls_datum_t name = { (unsigned char *) alpn, (unsigned) strlen(alpn) };

                ck_assert_int_eq(gnutls_alpn_set_protocols(session, &name, 1, 0), 0);
        }
        gnutls_transport_set_int(session, fd);
        return session;
}

/* Returns the server's result; *ret_client the stranger's of GnuTLS. */
static int shake_with_stranger(Pair *pair, gnutls_session_t session, int *ret_client)
{
        int s = -EAGAIN, c = GNUTLS_E_AGAIN;

        for (unsigned i = 0; i < 20 && (s == -EAGAIN || c == GNUTLS_E_AGAIN); i++) {
                if (c == GNUTLS_E_AGAIN)
                        c = gnutls_handshake(session);
                if (s == -EAGAIN)
                        s = pair->server->handshake(pair->server);
        }
        *ret_client = c;
        return s;
}

/* What comes behind the tickets. */
static int read_stranger(gnutls_session_t session, char *text, size_t size)
{
        ssize_t r = GNUTLS_E_AGAIN;

        for (unsigned i = 0; i < 4 && r == GNUTLS_E_AGAIN; i++)
                r = gnutls_record_recv(session, text, size);
        return (int) r;
}

static void refuse_stranger(const char *priority, const char *alpn, const char *words)
{
        Tls *server = fixture_tls(&fixture, ISSUE_COLLECTOR, COLLECTOR);
        gnutls_certificate_credentials_t credentials;
        gnutls_session_t session;
        Pair pair;
        int c;

        pair_open(&pair, server, NULL, NULL);
        session = stranger(pair.fds[1], priority, alpn, &credentials);
        ck_assert_int_eq(shake_with_stranger(&pair, session, &c), -EPROTO);
        ck_assert_msg(strstr(pair.server->error(pair.server), words), "%s", pair.server->error(pair.server));
        /* It is told: at once, or with its first read when its side of the handshake was over already. */
        if (c == 0)
                c = read_stranger(session, &(char){ 0 }, 1);
        ck_assert_int_eq(c, GNUTLS_E_FATAL_ALERT_RECEIVED);
        gnutls_deinit(session);
        gnutls_certificate_free_credentials(credentials);
        pair_close(&pair);
        tls_unref(server);
}

START_TEST(tls_1_2_is_refused)
{
        refuse_stranger("NORMAL:-VERS-ALL:+VERS-TLS1.2", "audit-relay/1", "TLS 1.3");
}
END_TEST

START_TEST(another_protocol_is_refused)
{
        refuse_stranger("NORMAL", "h2", "audit-relay/1");
}
END_TEST

START_TEST(no_protocol_is_refused)
{
        refuse_stranger("NORMAL", NULL, "audit-relay/1");
}
END_TEST

START_TEST(client_without_certificate_is_refused_in_words)
{
        Tls *server = fixture_tls(&fixture, ISSUE_COLLECTOR, COLLECTOR);
        gnutls_certificate_credentials_t credentials;
        gnutls_session_t session;
        char text[16];
        Pair pair;
        int c;

        pair_open(&pair, server, NULL, NULL);
        session = stranger(pair.fds[1], "NORMAL", "audit-relay/1", &credentials);
        ck_assert_int_eq(shake_with_stranger(&pair, session, &c), 0);
        ck_assert_int_eq(c, 0);
        ck_assert_ptr_null(tls_session_peer_name(tls_session_of(pair.server)));
        ck_assert(!tls_session_speaks_for(tls_session_of(pair.server), CLIENT));
        expect_refused(pair.server, server, WORDS("no certificate"));
        ck_assert_int_eq(transport_write(pair.server, "bye", 3), 3);
        ck_assert_int_eq(pair.server->shutdown(pair.server), 0);
        ck_assert_int_eq(read_stranger(session, text, sizeof text), 3);
        ck_assert_int_eq(read_stranger(session, text, sizeof text), 0);
        gnutls_deinit(session);
        gnutls_certificate_free_credentials(credentials);
        pair_close(&pair);
        tls_unref(server);
}
END_TEST

/* A pair that accepted each other; the credentials are the sessions' alone from here. */
static void pair_ready(Pair *pair)
{
        Tls *server = fixture_tls(&fixture, ISSUE_COLLECTOR, COLLECTOR),
            *client = fixture_tls(&fixture, ISSUE_CLIENT, CLIENT);

        pair_open(pair, server, client, COLLECTOR);
        shake(pair);
        tls_unref(server);
        tls_unref(client);
}

START_TEST(truncation_is_an_error_and_close_notify_is_not)
{
        char text[16];
        Pair pair;

        pair_ready(&pair);
        ck_assert_int_eq(transport_write(pair.client, "12345", 5), 5);
        ck_assert_int_eq(shutdown(pair.fds[1], SHUT_WR), 0);
        ck_assert_int_eq(transport_write(pair.server, "678", 3), 3);
        ck_assert_int_eq(pair.server->shutdown(pair.server), 0);
        ck_assert_int_eq(pair.server->read(pair.server, text, sizeof text), 5);
        ck_assert_int_eq(pair.server->read(pair.server, text, sizeof text), -ECONNRESET);
        ck_assert_msg(strstr(pair.server->error(pair.server), "close_notify"), "%s",
                      pair.server->error(pair.server));
        ck_assert_int_eq(pair.client->read(pair.client, text, sizeof text), 3);
        ck_assert_uint_gt(pair.client->pending(pair.client), 0);
        ck_assert_int_eq(pair.client->read(pair.client, text, sizeof text), 0);
        pair_close(&pair);
}
END_TEST

START_TEST(damaged_record_is_an_error)
{
        uint8_t record[128];
        char text[16];
        ssize_t n;
        Pair pair;

        pair_ready(&pair);
        ck_assert_int_eq(transport_write(pair.client, "good", 4), 4);
        ck_assert_int_eq(transport_write(pair.client, "12345", 5), 5);
        n = recv(pair.fds[0], record, sizeof record, 0);
        ck_assert_int_gt(n, 5);
        record[n - 1] ^= 1;
        ck_assert_int_eq(send(pair.fds[1], record, (size_t) n, MSG_NOSIGNAL), n);
        /* First what came before it, and poll() will not tell of the rest. */
        ck_assert_int_eq(pair.server->read(pair.server, text, sizeof text), 4);
        ck_assert_uint_gt(pair.server->pending(pair.server), 0);
        ck_assert_int_eq(pair.server->read(pair.server, text, sizeof text), -EPROTO);
        ck_assert_int_eq(pair.server->read(pair.server, text, sizeof text), -EPROTO);
        ck_assert_uint_gt(strlen(pair.server->error(pair.server)), 0);
        pair_close(&pair);
}
END_TEST

START_TEST(single_bytes_arrive)
{
        Pair pair;

        pair_ready(&pair);
        for (unsigned i = 0; i < 1000; i++) {
                uint8_t out = (uint8_t) (i * 7), in = 0;

                ck_assert_int_eq(pair.server->read(pair.server, &in, 1), -EAGAIN);
                ck_assert_int_eq(transport_write(pair.client, &out, 1), 1);
                ck_assert_int_eq(pair.server->read(pair.server, &in, 1), 1);
                ck_assert_uint_eq(in, out);
        }
        /* Many small records with one look at the socket: the rest is pending. */
        for (unsigned i = 0; i < 100; i++)
                ck_assert_int_eq(transport_write(pair.client, &(char){ (char) i }, 1), 1);
        for (unsigned i = 0; i < 100; i++) {
                uint8_t in = 0;

                ck_assert_int_eq(pair.server->read(pair.server, &in, 1), 1);
                ck_assert_uint_eq(in, i);
                ck_assert_uint_eq(pair.server->pending(pair.server) > 0, i < 99);
        }
        pair_close(&pair);
}
END_TEST

/* A record costs the same whatever it holds: a peer that makes many of few bytes gets no longer turn for it. */
START_TEST(tiny_records_take_no_longer_turn)
{
        enum { RECORDS = 10000, SIZE = 16384 };
        static uint8_t records[RECORDS * 64], text[SIZE];
        size_t size = 0, sent = 0, received = 0;
        int left = 0, most = 0;
        ssize_t n;
        Pair pair;

        pair_ready(&pair);
        for (unsigned i = 0; i < RECORDS; i++) {
                ck_assert_int_eq(transport_write(pair.client, "x", 1), 1);
                n = recv(pair.fds[0], records + size, sizeof records - size, 0);
                ck_assert_int_gt(n, 0);
                size += (size_t) n;
        }
        while (received < RECORDS) {
                /* As much at once as the socket holds. */
                while (sent < size && (n = send(pair.fds[1], records + sent, size - sent, MSG_NOSIGNAL)) > 0)
                        sent += (size_t) n;
                n = pair.server->read(pair.server, text, SIZE);
                ck_assert_int_gt(n, 0);
                received += (size_t) n;
                ck_assert_int_eq(ioctl(pair.fds[0], FIONREAD, &left), 0);
                most = MAX(most, left);
        }
        /* It left something to others' turns. */
        ck_assert_int_gt(most, 0);
        ck_assert_uint_eq(received, RECORDS);
        pair_close(&pair);
}
END_TEST

static uint64_t random_state;

static uint32_t random_next(void)
{
        random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t) (random_state >> 33);
}

typedef struct Direction {
        Transport *from, *to;
        size_t sent, received;
} Direction;

/* The byte at an offset, another one for each direction. */
static uint8_t byte_at(size_t offset, unsigned way)
{
        return (uint8_t) ((offset * 2654435761U) >> 13) ^ (uint8_t) (way * 0x5a);
}

static void step(Direction *d, unsigned way, uint8_t *scratch, size_t size)
{
        size_t n = random_next() % (random_next() % 4 == 0 ? size : 700) + 1, wrong = 0;
        ssize_t r;

        n = MIN(n, size);
        if (random_next() % 2 == 0 && d->sent < TRANSFER_SIZE) {
                n = MIN(n, TRANSFER_SIZE - d->sent);
                for (size_t i = 0; i < n; i++)
                        scratch[i] = byte_at(d->sent + i, way);
                r = transport_write(d->from, scratch, n);
                ck_assert(r > 0 || r == -EAGAIN);
                ck_assert(r != -EAGAIN || d->from->wants_write(d->from));
                memset(scratch, 0xff, n); /* it must not be wanted again */
                d->sent += r > 0 ? (size_t) r : 0;
                return;
        }
        if (d->from->wants_write(d->from))
                ck_assert_int_le(transport_write(d->from, NULL, 0), 0);
        r = d->to->read(d->to, scratch, n);
        ck_assert(r > 0 || r == -EAGAIN);
        /* One assertion for all: libcheck writes something for each. */
        for (ssize_t i = 0; i < r; i++)
                wrong += scratch[i] != byte_at(d->received + (size_t) i, way);
        ck_assert_uint_eq(wrong, 0);
        d->received += r > 0 ? (size_t) r : 0;
}

START_TEST(random_chunks_arrive_in_both_directions)
{
        const char *seed = getenv("AUDIT_RELAY_TEST_SEED");
        size_t size = 300 * 1024;
        uint8_t *scratch = malloc(size);
        Direction ways[2];
        Pair pair;

        random_state = seed ? strtoull(seed, NULL, 0) : (uint64_t) time(NULL);
        fprintf(stderr, "# AUDIT_RELAY_TEST_SEED=%llu\n", (unsigned long long) random_state);
        pair_ready(&pair);
        /* Sockets so small that a record does not fit. */
        for (unsigned i = 0; _i == 1 && i < 2; i++)
                ck_assert_int_eq(setsockopt(pair.fds[i], SOL_SOCKET, SO_SNDBUF, &(int){ 4096 }, sizeof(int)),
                                 0);
        ways[0] = (Direction){ .from = pair.client, .to = pair.server };
        ways[1] = (Direction){ .from = pair.server, .to = pair.client };
        while (ways[0].received < TRANSFER_SIZE || ways[1].received < TRANSFER_SIZE) {
                unsigned way = random_next() % 2;

                step(&ways[way], way, scratch, size);
        }
        pair_close(&pair);
        free(scratch);
}
END_TEST

/* A session and a record each way, with which the ticket comes. */
static bool talk(Tls *server, Tls *client, Pair *pair)
{
        char text[8];

        pair_open(pair, server, client, COLLECTOR);
        shake(pair);
        ck_assert_int_eq(transport_write(pair->client, "hello", 5), 5);
        ck_assert_int_eq(pair->server->read(pair->server, text, sizeof text), 5);
        ck_assert_int_eq(transport_write(pair->server, "world", 5), 5);
        ck_assert_int_eq(pair->client->read(pair->client, text, sizeof text), 5);
        ck_assert(tls_session_resumed(tls_session_of(pair->client)) == tls_session_resumed(tls_session_of(pair->server)));
        return tls_session_resumed(tls_session_of(pair->server));
}

START_TEST(a_resumed_session_is_judged_again)
{
        IssuePair of_server = fixture_issue(ISSUE_COLLECTOR, COLLECTOR, &fixture.ca, -1, 1);
        IssuePair of_client = fixture_issue(ISSUE_CLIENT, CLIENT, &fixture.ca, -1, 1);
        Tls *server = fixture_tls_of(&fixture, &of_server, "ca.pem", NULL), *revoking;
        Tls *client = fixture_tls_of(&fixture, &of_client, "ca.pem", NULL);
        char *list, *why;
        size_t added;
        Pair pair;

        for (unsigned i = 0; i < 3; i++) {
                ck_assert(talk(server, client, &pair) == (i > 0));
                expect_accepted(pair.server, server);
                expect_accepted(pair.client, client);
                ck_assert_str_eq(tls_session_peer_name(tls_session_of(pair.server)), CLIENT);
                ck_assert_str_eq(tls_session_peer_name(tls_session_of(pair.client)), COLLECTOR);
                ck_assert(tls_session_speaks_for(tls_session_of(pair.server), CLIENT));
                pair_close(&pair);
        }
        /* Revoked meanwhile. */
        ck_assert_int_eq(issue_revocations(&fixture.ca, NULL, &of_client.certificate, 1, &list, &added, &why), 0);
        fixture_write(&fixture, "crl.pem", list);
        revoking = fixture_tls_of(&fixture, &of_server, "ca.pem", "crl.pem");
        ck_assert_int_gt(tls_revocation_expires(revoking), time(NULL));
        ck_assert(talk(server, client, &pair));
        expect_refused(pair.server, revoking, WORDS("revoked", CLIENT));
        pair_close(&pair);
        /* Credentials that were read again know no tickets of those before. */
        ck_assert(!talk(revoking, client, &pair));
        expect_refused(pair.server, revoking, WORDS("revoked", CLIENT));
        pair_close(&pair);
        free(list);
        issue_pair_done(&of_server);
        issue_pair_done(&of_client);
        tls_unref(server);
        tls_unref(revoking);
        tls_unref(client);
}
END_TEST

START_TEST(tickets_of_many_collectors)
{
        Tls *client = fixture_tls(&fixture, ISSUE_CLIENT, CLIENT);
        TlsTicket ticket;
        char name[16];

        for (unsigned i = 0; i < TLS_TICKETS_MAX + 2; i++) {
                gnutls_datum_t data = { gnutls_malloc(1), 1 };

                (void) snprintf(name, sizeof name, "c%u", i);
                tls_ticket_keep(client, name, data);
        }
        ck_assert(!tls_ticket_take(client, "c0", &ticket));
        ck_assert(tls_ticket_take(client, "c2", &ticket));
        tls_ticket_done(&ticket);
        ck_assert(!tls_ticket_take(client, "c2", &ticket));
        ck_assert_ptr_ne(strstr(tls_priority(true), "+AES-128-GCM"), NULL);
        ck_assert(strstr(tls_priority(true), "+AES") < strstr(tls_priority(true), "+CHACHA20"));
        ck_assert(strstr(tls_priority(false), "+AES") > strstr(tls_priority(false), "+CHACHA20"));
        tls_unref(client);
}
END_TEST

START_TEST(reload_keeps_sessions_and_judges_anew)
{
        IssuePair pair_of_server = fixture_issue(ISSUE_COLLECTOR, COLLECTOR, &fixture.ca, -1, 1);
        Tls *server = fixture_tls_of(&fixture, &pair_of_server, "ca.pem", NULL);
        Tls *client = fixture_tls(&fixture, ISSUE_CLIENT, CLIENT), *fresh;
        char text[8];
        Pair pair;

        pair_open(&pair, server, client, COLLECTOR);
        shake(&pair);
        expect_accepted(pair.server, server);
        /* Now another CA is trusted. */
        fresh = fixture_tls_of(&fixture, &pair_of_server, "other-ca.pem", NULL);
        tls_unref(server);
        ck_assert_int_eq(transport_write(pair.client, "still", 5), 5);
        ck_assert_int_eq(pair.server->read(pair.server, text, sizeof text), 5);
        expect_refused(pair.server, fresh, WORDS("unknown CA", "other-ca.pem"));
        pair_close(&pair);
        issue_pair_done(&pair_of_server);
        tls_unref(fresh);
        tls_unref(client);
}
END_TEST

static void expect_unusable(const TlsOptions *options, int error, const char *words)
{
        _cleanup_(freep) char *message = NULL;
        Tls *tls = NULL;

        ck_assert_int_eq(tls_new(options, &tls, &message), error);
        ck_assert_ptr_nonnull(message);
        ck_assert_msg(strstr(message, words), "\"%s\" does not say \"%s\"", message, words);
}

START_TEST(unusable_files_are_named)
{
        IssuePair pair = fixture_issue(ISSUE_CLIENT, CLIENT, &fixture.ca, -1, 1);
        IssuePair other = fixture_issue(ISSUE_CLIENT, CLIENT, &fixture.ca, -1, 1);
        TlsOptions good = {fixture_path(&fixture, "c"), fixture_path(&fixture, "k"),
                           fixture_path(&fixture, "ca.pem"), fixture_path(&fixture, "crl")};
        TlsOptions bad = good;
        char *list = NULL, *why = NULL, *message = NULL;
        size_t added;
        Tls *tls;

        expect_unusable(&good, -ENOENT, "/c:");
        fixture_write(&fixture, "c", pair.certificate);
        expect_unusable(&good, -ENOENT, "/k:");
        fixture_write(&fixture, "k", "-----BEGIN nonsense");
        expect_unusable(&good, -EINVAL, "/k ");
        fixture_write(&fixture, "k", other.key);
        expect_unusable(&good, -EINVAL, "made together");
        fixture_write(&fixture, "k", pair.key);
        bad.ca = fixture_path(&fixture, "k");
        expect_unusable(&bad, -EINVAL, "The CA ");
        bad = good;
        bad.key = "pkcs11:token=there-is-none;object=key;type=private";
        expect_unusable(&bad, -EINVAL, "The key pkcs11:token=there-is-none;object=key;type=private is not found");
        bad.key = "tpmkey:file=/etc/key";
        expect_unusable(&bad, -EINVAL, "The key cannot be a tpmkey: URL");
        bad = good;
        bad.ca = "pkcs11:token=there-is-none;object=ca;type=cert";
        expect_unusable(&bad, -EINVAL, "The CA pkcs11:token=there-is-none");
        /* No list: nothing is revoked. */
        ck_assert_int_eq(tls_new(&good, &tls, &message), 0);
        ck_assert_ptr_null(message);
        tls_unref(tls);
        fixture_write(&fixture, "crl", "nonsense");
        expect_unusable(&good, -EINVAL, "/crl ");
        ck_assert_int_eq(
                issue_revocations(&fixture.other_ca, NULL, &other.certificate, 1, &list, &added, &why), 0);
        fixture_write(&fixture, "crl", list);
        expect_unusable(&good, -EINVAL, "not signed");
        fixture_write(&fixture, "c", "nonsense");
        expect_unusable(&good, -EINVAL, "/c ");
        free(list);
        issue_pair_done(&pair);
        issue_pair_done(&other);
}
END_TEST

START_TEST(names_are_host_names)
{
        static const char *const good[] = { "a", "web1", "web1.example.org", "a_b.c-d", "1.2.3.4" };
        static const char *const bad[] = {"",    ".",    "a.",  ".a", "a..b", "-a", "a-", "*.example.org",
                                          "a/b", "../a", "a b", "a\n"};

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                ck_assert_msg(issue_name_is_valid(good[i]), "%s", good[i]);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                ck_assert_msg(!issue_name_is_valid(bad[i]), "%s", bad[i]);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("tls");
        TCase *tcase = tcase_create("tls");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, both_sides_accept_and_know_each_other);
        tcase_add_test(tcase, expired_client_is_refused);
        tcase_add_test(tcase, early_client_is_refused);
        tcase_add_test(tcase, client_of_another_ca_is_refused);
        tcase_add_test(tcase, client_of_a_namesake_ca_is_refused);
        tcase_add_test(tcase, self_signed_client_is_refused);
        tcase_add_test(tcase, revoked_client_is_refused);
        tcase_add_test(tcase, collector_of_another_name_is_refused);
        tcase_add_test(tcase, client_certificate_is_no_collectors);
        tcase_add_test(tcase, collector_of_another_ca_is_refused);
        tcase_add_test(tcase, tls_1_2_is_refused);
        tcase_add_test(tcase, another_protocol_is_refused);
        tcase_add_test(tcase, no_protocol_is_refused);
        tcase_add_test(tcase, client_without_certificate_is_refused_in_words);
        tcase_add_test(tcase, truncation_is_an_error_and_close_notify_is_not);
        tcase_add_test(tcase, damaged_record_is_an_error);
        tcase_add_test(tcase, single_bytes_arrive);
        tcase_add_test(tcase, tiny_records_take_no_longer_turn);
        tcase_add_loop_test(tcase, random_chunks_arrive_in_both_directions, 0, 2);
        tcase_add_test(tcase, reload_keeps_sessions_and_judges_anew);
        tcase_add_test(tcase, a_resumed_session_is_judged_again);
        tcase_add_test(tcase, tickets_of_many_collectors);
        tcase_add_test(tcase, unusable_files_are_named);
        tcase_add_test(tcase, names_are_host_names);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
