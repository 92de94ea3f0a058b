/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Stock clients in the loop.
 *
 *  1. A client is in one list for the open group, and in one for the group in flight, while it has records there; each
 *     group's mark is the number of requests that are durable with it.
 *  2. A client is freed in closed() alone.
 *  3. A client that has been told to go (a refusal, ENDING) leaves by connection_finish(): its socket is drained, so that
 *     the reply is not lost with what it still sends.
 *  4. Who has as many connections as one may have loses the one that was silent longest: a client that comes back is
 *     never locked out by its dead connection.
 */

#include "aggregator/stock-clients.h"
#include "aggregator/networks.h"
#include "aggregator/stock-records.h"
#include "runtime/connection.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "stock/stock-receiver.h"

#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/queue.h>
#include <sys/socket.h>

/* Connections of one address: several hosts may be behind one translator. */
#define ADDRESS_CLIENTS_MAX 64U
#define LISTENERS_MAX 16U
/* Connections taken from one listener in one turn of the loop. */
#define ACCEPT_TURN_MAX 16U
/* So many log lines of a kind in so long; all is counted. */
#define LOG_USEC (10 * USEC_PER_SEC)
#define LOG_BURST 20U
/* A stock client may be silent for days: the kernel finds out whether it is still there. */
#define KEEPALIVE_IDLE_SEC 60
#define KEEPALIVE_INTERVAL_SEC 15
#define KEEPALIVE_PROBES 4

typedef struct StockClient {
        StockClients *clients;
        Connection *connection;
        StockReceiver receiver;
        Address address;
        char name[ADDRESS_NAME_MAX]; /* owns its stream, and is the node of records that name none */
        StreamId stream;
        uint64_t open, flying; /* marks; 0: none */
        uint64_t durable;
        bool waiting; /* for room in the open group */
        LIST_ENTRY(StockClient) all, opens, flyings;
} StockClient;

LIST_HEAD(StockClientList, StockClient);

struct StockClients {
        sd_event *event;
        const AggregatorConfig *config;
        StoreLoop *store;
        StockRecords records;
        StreamId store_stream;
        sd_event_source *listeners[LISTENERS_MAX];
        size_t n_listeners;
        struct StockClientList all, opens, flyings;
        size_t n;
        size_t n_waiting;
        bool resting; /* the listeners are */
        bool ending;
        uint64_t accepted, refused_addresses, replaced, violations, refused_requests;
        LogBurst refused_logged, violations_logged;
        uint64_t accept_logged_usec, records_logged_usec;
};

/* --- Records --- */

static StockClient *client_of(StockReceiver *receiver)
{
        return container_of(receiver, StockClient, receiver);
}

static int on_record(StockReceiver *receiver, const uint8_t *text, size_t size)
{
        StockClient *client = client_of(receiver);

        return stock_records_add(&client->clients->records, text, size, client->name, true, realtime_usec());
}

static void log_refused_records(StockClient *client)
{
        StockRecords *records = &client->clients->records;
        char field[300];

        if (records->refused_now == 0 || !log_limit(&client->clients->records_logged_usec, LOG_USEC))
                return;
        (void) snprintf(field, sizeof field, "PEER=%s\nNODE=%s", connection_peer(client->connection), client->name);
        log_message(LOG_WARNING, MESSAGE_ID_RECORDS_REFUSED, field,
                    "%" PRIu32 " records of stock client %s broke a rule (%s) and were stored escaped",
                    records->refused_now, client->name, record_fault_to_string(records->fault));
}

static int on_deliver(StockReceiver *receiver)
{
        StockClient *client = client_of(receiver);
        StockClients *clients = client->clients;
        Batch batch;
        int r;

        stock_records_batch(&clients->records, &batch);
        r = store_loop_append(clients->store, &client->stream, client->name, &batch);
        if (r >= 0)
                log_refused_records(client);
        stock_records_end(&clients->records, r >= 0);
        if (r == -EAGAIN && !client->waiting) {
                client->waiting = true;
                clients->n_waiting++;
        }
        if (r < 0)
                return r;
        if (client->open == 0)
                LIST_INSERT_HEAD(&clients->opens, client, opens);
        client->open = receiver->taken;
        return 0;
}

static const StockReceiverHandler receiver_handler = {
        .record = on_record,
        .deliver = on_deliver,
};

/* --- Replies --- */

/* Sends what was put into the output, and goes on reading or leaves. */
static void flush(StockClient *client, int result)
{
        StockReceiver *receiver = &client->receiver;

        if (result < 0) {
                log_debug("%s does not read its replies", connection_peer(client->connection));
                receiver->state = STOCK_RECEIVER_ENDED;
        }
        connection_flush(client->connection);
        if (receiver->state == STOCK_RECEIVER_ENDED)
                connection_finish(client->connection);
        else
                connection_pause(client->connection,
                                 client->waiting ||
                                         receiver->taken - receiver->replied == STOCK_PENDING_MAX);
}

static void stop_waiting(StockClient *client)
{
        if (!client->waiting)
                return;
        client->waiting = false;
        client->clients->n_waiting--;
}

static void resume_waiting(StockClients *clients)
{
        StockClient *client, *next;

        if (clients->n_waiting == 0)
                return;
        for (client = LIST_FIRST(&clients->all); client; client = next) {
                next = LIST_NEXT(client, all);
                if (client->waiting) {
                        stop_waiting(client);
                        flush(client, 0);
                }
        }
}

void stock_clients_submitted(StockClients *clients)
{
        StockClient *client;

        if (!clients)
                return;
        while ((client = LIST_FIRST(&clients->opens))) {
                LIST_REMOVE(client, opens);
                if (client->flying == 0)
                        LIST_INSERT_HEAD(&clients->flyings, client, flyings);
                client->flying = client->open;
                client->open = 0;
        }
        resume_waiting(clients);
}

static void settle(StockClients *clients)
{
        bool low = store_loop_holds(clients->store, STORE_LOW);
        StockClient *client;

        while ((client = LIST_FIRST(&clients->flyings))) {
                LIST_REMOVE(client, flyings);
                client->durable = client->flying;
                client->flying = 0;
                flush(client, stock_receiver_durable(&client->receiver, connection_output(client->connection),
                                                     client->durable, low));
        }
        resume_waiting(clients);
}

static void forget_groups(StockClient *client)
{
        if (client->open != 0)
                LIST_REMOVE(client, opens);
        if (client->flying != 0)
                LIST_REMOVE(client, flyings);
        client->open = client->flying = 0;
}

void stock_clients_settled(StockClients *clients, int error)
{
        StockClient *client;

        if (!clients)
                return;
        if (error == 0) {
                settle(clients);
                return;
        }
        while ((client = LIST_FIRST(&clients->opens)) || (client = LIST_FIRST(&clients->flyings))) {
                forget_groups(client);
                flush(client, stock_receiver_fail(&client->receiver, connection_output(client->connection),
                                                  client->durable, error));
        }
        resume_waiting(clients);
}

static void end_client(StockClient *client)
{
        flush(client, stock_receiver_end(&client->receiver, connection_output(client->connection)));
}

void stock_clients_end(StockClients *clients)
{
        StockClient *client, *next;

        if (!clients)
                return;
        clients->ending = true;
        for (size_t i = 0; i < clients->n_listeners; i++)
                sd_event_source_disable_unref(clients->listeners[i]);
        clients->n_listeners = 0;
        for (client = LIST_FIRST(&clients->all); client; client = next) {
                next = LIST_NEXT(client, all);
                stop_waiting(client);
                end_client(client);
        }
}

/* --- The connection's handler --- */

static void count_refusal(StockClient *client, StockReceiverState before)
{
        if (before == STOCK_RECEIVER_OPEN && client->receiver.refusal != 0)
                client->clients->refused_requests++;
}

static int on_established(Connection *connection)
{
        StockClient *client = connection_userdata(connection);
        char field[300];

        (void) snprintf(field, sizeof field, "PEER=%s\nNODE=%s", connection_peer(connection), client->name);
        log_message(LOG_INFO, MESSAGE_ID_PEER_CONNECTED, field, "Stock client %s (%s) connected", client->name,
                    connection_peer(connection));
        if (client->clients->ending)
                end_client(client);
        return 0;
}

static void log_violation(StockClient *client)
{
        const char *peer = connection_peer(client->connection);
        char field[300];

        client->clients->violations++;
        if (!log_burst(&client->clients->violations_logged, LOG_USEC, LOG_BURST))
                return;
        (void) snprintf(field, sizeof field, "PEER=%s", peer);
        log_message(LOG_WARNING, MESSAGE_ID_PROTOCOL_VIOLATION, field, "Broken protocol by stock client %s: %s", peer,
                    client->receiver.why);
}

static int on_received(Connection *connection, Buffer *input)
{
        StockClient *client = connection_userdata(connection);
        StockReceiver *receiver = &client->receiver;
        StockReceiverState before = receiver->state;
        ssize_t n;

        do {
                n = stock_receiver_feed(receiver, buffer_head(input), buffer_size(input),
                                        connection_output(connection));
                if (n > 0)
                        buffer_consume(input, (size_t) n);
        } while (n > 0 && buffer_size(input) > 0 && receiver->state == STOCK_RECEIVER_OPEN);
        if (n == -EBADMSG) {
                log_violation(client);
                connection_finish(connection);
                return 0;
        }
        count_refusal(client, before);
        flush(client, n < 0 ? (int) n : 0);
        return 0;
}

static void client_free(StockClient *client)
{
        StockClients *clients = client->clients;

        forget_groups(client);
        stop_waiting(client);
        LIST_REMOVE(client, all);
        clients->n--;
        connection_free(client->connection);
        free(client);
}

static void rest_listeners(StockClients *clients, bool rest)
{
        clients->resting = rest;
        for (size_t i = 0; i < clients->n_listeners; i++)
                (void) sd_event_source_set_enabled(clients->listeners[i], rest ? SD_EVENT_OFF : SD_EVENT_ON);
}

static void on_closed(Connection *connection, int error, const char *why)
{
        StockClient *client = connection_userdata(connection);
        StockClients *clients = client->clients;
        char field[300];

        (void) snprintf(field, sizeof field, "PEER=%s", connection_peer(connection));
        log_message(LOG_INFO, MESSAGE_ID_PEER_DISCONNECTED, field, "Stock client %s (%s) is gone: %s", client->name,
                    connection_peer(connection), why);
        client_free(client);
        if (clients->resting)
                rest_listeners(clients, false);
}

static const ConnectionHandler connection_handler = {
        .established = on_established,
        .received = on_received,
        .closed = on_closed,
};

/* --- Accepting --- */

static void set_keepalive(int fd)
{
        int on = 1, idle = KEEPALIVE_IDLE_SEC, interval = KEEPALIVE_INTERVAL_SEC, probes = KEEPALIVE_PROBES;

        (void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
        (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
        (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
        /* A reply must not wait for the ack of the one before. */
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* Makes room for one more of the address. */
static void displace(StockClients *clients, const Address *address)
{
        StockClient *client, *silent = NULL;
        size_t n = 0;

        LIST_FOREACH(client, &clients->all, all) {
                if (!address_equal(&client->address, address) || client->receiver.state != STOCK_RECEIVER_OPEN)
                        continue;
                n++;
                if (!silent ||
                    connection_heard_usec(client->connection) < connection_heard_usec(silent->connection))
                        silent = client;
        }
        if (n < ADDRESS_CLIENTS_MAX)
                return;
        clients->replaced++;
        end_client(silent);
}

static int serve(StockClients *clients, int fd, const Address *address)
{
        StockClient *client = calloc(1, sizeof *client);
        int r;

        if (!client) {
                close_fd(fd);
                return -ENOMEM;
        }
        set_keepalive(fd);
        client->clients = clients;
        client->address = *address;
        address_format(address, client->name);
        stock_records_stream(&clients->store_stream, client->name, false, &client->stream);
        stock_receiver_init(&client->receiver, &receiver_handler);
        r = connection_new(clients->event, fd, NULL, &connection_handler, client, &client->connection);
        if (r < 0) {
                free(client);
                return r;
        }
        LIST_INSERT_HEAD(&clients->all, client, all);
        clients->n++;
        clients->accepted++;
        r = connection_start(client->connection, clients->config->connect_timeout_usec);
        if (r < 0)
                client_free(client);
        return r;
}

static void refuse_address(StockClients *clients, const Address *address)
{
        char name[ADDRESS_NAME_MAX], field[300];

        clients->refused_addresses++;
        if (!log_burst(&clients->refused_logged, LOG_USEC, LOG_BURST))
                return;
        address_format(address, name);
        (void) snprintf(field, sizeof field, "PEER=%s", name);
        log_message(LOG_WARNING, MESSAGE_ID_PEER_REFUSED, field,
                    "Refused stock client %s: its address is in no network of AuditdAllow=", name);
}

static int on_listener(sd_event_source *source, int listener, uint32_t events, void *userdata)
{
        StockClients *clients = userdata;

        for (unsigned i = 0; i < ACCEPT_TURN_MAX; i++) {
                struct sockaddr_storage storage = { 0 };
                socklen_t size = sizeof storage;
                Address address;
                int fd, r;

                if (clients->n >= clients->config->connections_max) {
                        rest_listeners(clients, true);
                        return 0;
                }
                fd = accept4(listener, (struct sockaddr *) &storage, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0 && errno == ECONNABORTED)
                        continue;
                if (fd < 0 && errno != EAGAIN && errno != EINTR) {
                        /* No descriptors or no memory: again with the next tick, not in a circle. */
                        rest_listeners(clients, true);
                        if (log_limit(&clients->accept_logged_usec, LOG_USEC))
                                log_error("Cannot accept a stock client: %s", strerror(errno));
                }
                if (fd < 0)
                        return 0;
                if (address_of((struct sockaddr *) &storage, &address) < 0 ||
                    !networks_contain(&clients->config->auditd_allow, &address)) {
                        refuse_address(clients, &address);
                        close_fd(fd);
                        continue;
                }
                displace(clients, &address);
                r = serve(clients, fd, &address);
                if (r < 0 && log_limit(&clients->accept_logged_usec, LOG_USEC))
                        log_warning("Cannot serve a stock client: %s", strerror(-r));
        }
        return 0;
}

void stock_clients_tick(StockClients *clients)
{
        if (clients && clients->resting)
                rest_listeners(clients, false);
}

/* --- Facts --- */

void stock_clients_status(StockClients *clients, State *state)
{
        if (!clients)
                return;
        status_gauge(state, "stock_connections", NULL, (double) clients->n, "Stock clients connected");
        status_counter(state, "stock_accepted", NULL, clients->accepted, "Stock clients that connected");
        status_counter(state, "stock_records", NULL, clients->records.records, "Records taken from stock clients");
        status_counter(state, "stock_bytes", NULL, clients->records.bytes, "Bytes of these");
        status_counter(state, "stock_records_refused", NULL, clients->records.refused,
                       "Records of stock clients stored escaped: they broke a rule");
        status_counter(state, "stock_bytes_replaced", NULL, clients->records.replaced,
                       "Control characters in records of stock clients that became blanks");
        status_counter(state, "stock_requests_refused", NULL, clients->refused_requests,
                       "Times a stock client was told that the disk is full or fails");
        status_counter(state, "stock_addresses_refused", NULL, clients->refused_addresses,
                       "Connections from networks that AuditdAllow= does not name");
        status_counter(state, "stock_connections_replaced", NULL, clients->replaced,
                       "Stock clients' silent connections that gave way to new ones of the same address");
        status_counter(state, "stock_violations", NULL, clients->violations,
                       "Stock clients' sessions ended for bad framing");
}

/* --- Life --- */

/* Takes over fd, also on failure. */
static int listen_on(StockClients *clients, int fd)
{
        sd_event_source *source = NULL;
        int r = -ENOBUFS;

        if (clients->n_listeners < LISTENERS_MAX)
                r = sd_event_add_io(clients->event, &source, fd, EPOLLIN, on_listener, clients);
        if (r < 0) {
                close_fd(fd);
                return r;
        }
        clients->listeners[clients->n_listeners++] = source;
        (void) sd_event_source_set_description(source, "stock-listener");
        r = sd_event_source_set_io_fd_own(source, true);
        return r < 0 ? r : sd_event_source_set_priority(source, LOOP_DATA);
}

static int listen_on_all(StockClients *clients, ListenFds *fds)
{
        int fd, r = 0;

        while (r >= 0 && (fd = listen_fds_take(fds, "auditd", AF_UNSPEC)) >= 0)
                r = listen_on(clients, fd);
        for (char **address = clients->config->auditd_listen; r >= 0 && address && *address; address++) {
                r = fd = listen_tcp(*address);
                if (fd >= 0)
                        r = listen_on(clients, fd);
                if (r < 0)
                        log_error("Cannot listen on %s: %s", *address, strerror(-r));
        }
        return r;
}

int stock_clients_new(sd_event *event, const AggregatorConfig *config, ListenFds *fds, StoreLoop *store,
                      StockClients **ret)
{
        StockClients *clients = calloc(1, sizeof *clients);
        StoreStatus status;
        int r;

        if (!clients)
                return -ENOMEM;
        clients->event = event;
        clients->config = config;
        clients->store = store;
        store_status(store_loop_store(store), &status);
        clients->store_stream = status.stream;
        r = stock_records_init(&clients->records);
        if (r >= 0)
                r = listen_on_all(clients, fds);
        if (r < 0 || clients->n_listeners == 0)
                clients = stock_clients_free(clients);
        else if (config->auditd_allow.n == 0)
                log_warning("There is a socket for stock clients, but AuditdAllow= names no network: all are refused");
        *ret = clients;
        return r < 0 ? r : 0;
}

StockClients *stock_clients_free(StockClients *clients)
{
        StockClient *client;

        if (!clients)
                return NULL;
        for (size_t i = 0; i < clients->n_listeners; i++)
                sd_event_source_disable_unref(clients->listeners[i]);
        while ((client = LIST_FIRST(&clients->all)))
                client_free(client);
        stock_records_done(&clients->records);
        free(clients);
        return NULL;
}
