/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What stock clients may take, with real sockets and a real store: handshakes, connections, bytes a second. */

#include "acceptor-fixture.h"
#include "aggregator/stock-clients.h"
#include "aggregator/stock-records.h"
#include "runtime/loop.h"
#include "runtime/tls-psk.h"
#include "stock/stock-frame.h"

#define RATE 10000U
#define RECORD_SIZE 4000U
#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
/* A turn of the loop in which nothing happens is awaited for so long. */
#define IDLE_USEC (50 * USEC_PER_MSEC)

typedef struct Client {
        int fd;
        Transport *tls; /* NULL: plain */
} Client;

static char directory[64], store_directory[80], keys[80];
static State *state;
static StoreLoop *store;
static StockClients *stock;
static Roster *roster;
static Peers *peers;
static AggregatorConfig config;

/* --- The store --- */

static void on_flush(IntakeSession *session)
{
}

static void on_submitted(StoreLoop *loop, void *userdata)
{
        stock_clients_submitted(stock);
}

static void on_settled(StoreLoop *loop, int error, void *userdata)
{
        stock_clients_settled(stock, error);
}

static const IntakeHandler intake_handler = { .flush = on_flush };
static const StoreLoopHandler store_handler = { .submitted = on_submitted, .settled = on_settled };

static void make_store(void)
{
        StoreLoopOptions options = {
                .directory = store_directory,
                .store = { .segment_size_max = 1024 * 1024 },
                .state = state,
                .conditions = { "disk_low", "disk_full", "disk_error", "store_damaged" },
                .node = "collector",
                .name = "collector",
                .intake = &intake_handler,
                .window = 1024,
                .handler = &store_handler,
        };

        ck_assert_int_eq(store_loop_new(event, &options, &store), 0);
}

/* --- Setting up --- */

static void write_key(const char *identity)
{
        char path[128];
        FILE *file;

        (void) snprintf(path, sizeof path, "%s/%s.psk", keys, identity);
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(KEY "\n", file), 0);
        ck_assert_int_eq(fclose(file), 0);
}

static void setup(void)
{
        static char *const networks[] = { (char *) "127.0.0.0/8", NULL };
        const char *wrong;

        scratch_make(directory);
        (void) snprintf(store_directory, sizeof store_directory, "%s/store", directory);
        (void) snprintf(keys, sizeof keys, "%s/keys", directory);
        ck_assert_int_eq(mkdir(keys, 0700), 0);
        write_key("web1");
        write_key("web2");
        loop_setup();
        ck_assert_int_eq(state_new(directory, "aggregator", &state), 0);
        ck_assert_int_eq(roster_new(&roster), 0);
        ck_assert_int_eq(peers_load(keys, &peers), 0); /* no files of theirs: nobody has a rule of his own */
        config = (AggregatorConfig) {
                .connections_max = 100,
                .peer_connections_max = 2,
                .handshakes_max = 3,
                .address_handshakes_max = 2,
                .connect_timeout_usec = USEC_INFINITY,
        };
        ck_assert_int_eq(networks_parse(networks, &config.auditd_allow, &wrong), 0);
        make_store();
}

static void serve(bool tls, uint64_t rate)
{
        StockClientsOptions options = { .config = &config, .store = store, .roster = roster, .peers = &peers };
        int fd = listen_here();
        char *name = (char *) "auditd";
        ListenFds fds = { .fds = &fd, .names = &name, .n = 1 };

        config.auditd_psk_directory = tls ? keys : NULL;
        config.peer_rate = rate;
        ck_assert_int_eq(stock_clients_new(event, &options, &fds, &stock), 0);
        ck_assert_ptr_nonnull(stock);
}

static void teardown(void)
{
        stock = stock_clients_free(stock);
        store = store_loop_free(store);
        peers = peers_free(peers);
        roster = roster_free(roster);
        networks_done(&config.auditd_allow);
        state = state_free(state);
        loop_teardown();
        scratch_remove(directory);
}

/* --- Clients --- */

static void turn(void)
{
        ck_assert_int_ge(sd_event_run(event, IDLE_USEC), 0);
}

static void settle(void)
{
        run_idle(IDLE_USEC);
}

static Client dial(unsigned host)
{
        return (Client) { .fd = come(host) };
}

static void hang_up(Client *client)
{
        transport_free(client->tls);
        close_fd(client->fd);
        *client = (Client) { .fd = -EBADF };
}

static Client dial_as(const char *identity)
{
        Client client = dial(1);
        char path[128], *why = NULL;
        Tls *tls;
        int r;

        (void) snprintf(path, sizeof path, "%s/%s.psk", keys, identity);
        ck_assert_int_eq(tls_psk_client_new(identity, path, &tls, &why), 0);
        ck_assert_int_eq(tls_session_new(tls, false, NULL, client.fd, &client.tls), 0);
        tls_unref(tls);
        while ((r = client.tls->handshake(client.tls)) == -EAGAIN)
                turn();
        ck_assert_int_eq(r, 0);
        settle();
        return client;
}

static void say(Client *client, uint32_t seq, size_t size)
{
        char text[RECORD_SIZE + 100];
        int n = snprintf(text, sizeof text, "type=USER msg=audit(1700000000.000:%u): op=", seq);
        Buffer buffer = BUFFER_INIT(STOCK_FRAME_MAX);

        memset(text + n, 'x', size);
        ck_assert_int_eq(stock_frame_put(&buffer, STOCK_MESSAGE, seq, text, (uint16_t) ((size_t) n + size)), 0);
        ck_assert_int_eq(send(client->fd, buffer_head(&buffer), buffer_size(&buffer), 0), buffer_size(&buffer));
        buffer_done(&buffer);
}

static bool has_reply(const Client *client)
{
        uint8_t bytes[STOCK_HEADER_SIZE];

        return recv(client->fd, bytes, sizeof bytes, MSG_PEEK) == sizeof bytes;
}

/* However long the disk takes. */
static void expect_ack(const Client *client, uint32_t seq)
{
        uint8_t bytes[STOCK_HEADER_SIZE];

        while (!has_reply(client))
                turn();
        ck_assert_int_eq(recv(client->fd, bytes, sizeof bytes, 0), sizeof bytes);
        ck_assert_uint_eq(bytes[9], STOCK_ACK >> 24);
        ck_assert_uint_eq(bytes[12], seq);
}

static void expect_nothing(const Client *client)
{
        settle();
        ck_assert(!has_reply(client));
}

/* Whether the server has ended it. */
static bool is_over(Client *client)
{
        uint8_t bytes[256];
        ssize_t n;

        settle();
        if (!client->tls)
                return recv(client->fd, bytes, sizeof bytes, 0) == 0 || errno == ECONNRESET;
        do
                n = client->tls->read(client->tls, bytes, sizeof bytes);
        while (n > 0);
        return n != -EAGAIN;
}

static size_t handshakes(size_t *ret_waiting)
{
        settle();
        return stock_clients_handshakes(stock, ret_waiting);
}

/* --- Tests --- */

START_TEST(a_rate_is_kept_by_all_connections_of_an_address)
{
        Client one, two, other;

        serve(false, RATE);
        one = dial(1);
        two = dial(1);
        for (uint32_t seq = 1; seq <= 3; seq++) {
                say(&one, seq, RECORD_SIZE);
                expect_ack(&one, seq);
        }
        /* Neither this one is read now, nor another of the same address, nor one that comes. */
        say(&one, 4, RECORD_SIZE);
        expect_nothing(&one);
        say(&two, 1, 1);
        expect_nothing(&two);
        hang_up(&two);
        two = dial(1);
        say(&two, 2, 1);
        expect_nothing(&two);
        other = dial(2);
        say(&other, 1, RECORD_SIZE);
        expect_ack(&other, 1);
        stock_clients_tick(stock);
        expect_nothing(&one);
        /* Nothing is lost by it. */
        (void) roster_refill(roster, USEC_PER_SEC);
        stock_clients_tick(stock);
        expect_ack(&one, 4);
        expect_ack(&two, 2);
        hang_up(&one);
        hang_up(&two);
        hang_up(&other);
        settle();
}
END_TEST

START_TEST(without_a_rate_there_is_none)
{
        Client one;

        serve(false, 0);
        one = dial(1);
        for (uint32_t seq = 1; seq <= 50; seq++) {
                say(&one, seq, RECORD_SIZE);
                expect_ack(&one, seq);
        }
        ck_assert_uint_eq(roster_count(roster), 0);
        hang_up(&one);
        settle();
}
END_TEST

/* Somebody who speaks the link, and knows the store's id by its receipts, delivers it as his own. */
static void take_stream(const char *client, unsigned turn)
{
        static const char line[] = "node=thief type=USER msg=audit(1700000000.000:1): op=x\n";
        Sink *sink = store_sink(store_loop_store(store));
        Batch batch = { .first = 1, .last = 1, .count = 1, .size = sizeof line - 1, .origin = BATCH_ORIGIN_KERNEL,
                        .payload = (const uint8_t *) line };
        StoreStatus status;
        StreamId stream;

        batch_seal(&batch);
        store_status(store_loop_store(store), &status);
        stock_records_stream(&status.stream, client, false, turn, &stream);
        ck_assert_int_eq(sink->append(sink, &stream, "thief", &batch, &batch, realtime_usec()), 0);
}

START_TEST(whose_stream_is_taken_gets_another)
{
        Client one;

        serve(false, 0);
        take_stream("127.0.0.1", 0);
        take_stream("127.0.0.1", 1);
        one = dial(1);
        say(&one, 1, 10);
        expect_ack(&one, 1);
        hang_up(&one);
        settle();
}
END_TEST

START_TEST(handshakes_wait_for_their_turn)
{
        Client clients[2 + 16 * 2 + 1], other, third;
        size_t waiting;

        serve(true, 0);
        for (unsigned i = 0; i < ELEMENTSOF(clients); i++)
                clients[i] = dial(1);
        ck_assert_uint_eq(handshakes(&waiting), 2);
        ck_assert_uint_eq(waiting, 16 * 2);
        ck_assert(is_over(&clients[ELEMENTSOF(clients) - 1]));
        ck_assert(!is_over(&clients[ELEMENTSOF(clients) - 2]));
        /* Others do not queue behind them. */
        other = dial(2);
        ck_assert_uint_eq(handshakes(&waiting), 3);
        ck_assert_uint_eq(waiting, 16 * 2);
        third = dial(3);
        ck_assert_uint_eq(handshakes(&waiting), 3);
        ck_assert_uint_eq(waiting, 16 * 2 + 1);
        hang_up(&clients[0]);
        ck_assert_uint_eq(handshakes(&waiting), 3);
        ck_assert_uint_eq(waiting, 16 * 2); /* the third: fewest of its address are served */
        hang_up(&other);
        ck_assert_uint_eq(handshakes(&waiting), 3);
        ck_assert_uint_eq(waiting, 16 * 2 - 1);
        /* At the end nobody is left behind. */
        stock_clients_end(stock);
        ck_assert_uint_eq(handshakes(&waiting), 0);
        ck_assert_uint_eq(waiting, 0);
        for (unsigned i = 1; i < ELEMENTSOF(clients); i++)
                hang_up(&clients[i]);
        hang_up(&third);
        settle();
}
END_TEST

START_TEST(who_has_shown_who_he_is_is_in_nobodys_way)
{
        Client clients[4];
        size_t waiting;

        serve(true, 0);
        config.peer_connections_max = 100;
        for (unsigned i = 0; i < ELEMENTSOF(clients); i++)
                clients[i] = dial_as("web1");
        ck_assert_uint_eq(handshakes(&waiting), 0);
        ck_assert_uint_eq(waiting, 0);
        for (unsigned i = 0; i < ELEMENTSOF(clients); i++)
                hang_up(&clients[i]);
        settle();
}
END_TEST

START_TEST(so_many_connections_of_one_identity)
{
        Client other, clients[3];

        serve(true, 0);
        other = dial_as("web2");
        for (unsigned i = 0; i < ELEMENTSOF(clients); i++)
                clients[i] = dial_as("web1");
        ck_assert(is_over(&clients[0]));
        ck_assert(!is_over(&clients[1]));
        ck_assert(!is_over(&clients[2]));
        ck_assert(!is_over(&other));
        for (unsigned i = 0; i < ELEMENTSOF(clients); i++)
                hang_up(&clients[i]);
        hang_up(&other);
        settle();
}
END_TEST

START_TEST(who_is_too_many_waits_for_a_place)
{
        Client clients[3];

        config.connections_max = 2;
        serve(false, 0);
        for (unsigned i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = dial(i + 1);
                say(&clients[i], 1, 1);
        }
        expect_ack(&clients[0], 1);
        expect_ack(&clients[1], 1);
        expect_nothing(&clients[2]);
        stock_clients_tick(stock);
        expect_nothing(&clients[2]);
        hang_up(&clients[0]);
        expect_ack(&clients[2], 1);
        hang_up(&clients[1]);
        hang_up(&clients[2]);
        settle();
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("stock-clients");
        TCase *tcase = tcase_create("all");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, a_rate_is_kept_by_all_connections_of_an_address);
        tcase_add_test(tcase, without_a_rate_there_is_none);
        tcase_add_test(tcase, whose_stream_is_taken_gets_another);
        tcase_add_test(tcase, handshakes_wait_for_their_turn);
        tcase_add_test(tcase, who_has_shown_who_he_is_is_in_nobodys_way);
        tcase_add_test(tcase, so_many_connections_of_one_identity);
        tcase_add_test(tcase, who_is_too_many_waits_for_a_place);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
