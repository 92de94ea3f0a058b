/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who may connect as a stock client, by the rules for native ones, but counted apart: who needs no certificate takes no place from
 * those who have one. A TLS handshake waits for its turn (admission.h), and costs a descriptor meanwhile. Who has as many connections
 * as one may have loses the one that was silent longest: a client that comes back is never locked out by its dead connection.
 */

#include "aggregator/stock-clients-private.h"
#include "runtime/loop.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

/* Connections of one address: several hosts may be behind one translator. */
#define ADDRESS_CLIENTS_MAX 64U
/* Connections taken from one listener in one turn of the loop. */
#define ACCEPT_TURN_MAX 16U
/* A stock client may be silent for days: the kernel finds out whether it is still there. */
#define KEEPALIVE_IDLE_SEC 60
#define KEEPALIVE_INTERVAL_SEC 15
#define KEEPALIVE_PROBES 4

static void rest(StockClients *clients, bool rests)
{
        clients->resting = rests;
        for (size_t i = 0; i < clients->n_listeners; i++)
                (void) sd_event_source_set_enabled(clients->listeners[i], rests ? SD_EVENT_OFF : SD_EVENT_ON);
}

static bool is_full(const StockClients *clients)
{
        return clients->n >= clients->config->connections_max || admission_is_full(clients->admission);
}

/* --- Places --- */

/* Of those like this one, by identity or by address, all in all at most so many: one more has the one end that was
 * silent longest. */
static void displace(StockClients *clients, const StockClient *than, bool (*like)(const StockClient *, const StockClient *),
                     size_t max)
{
        StockClient *client, *silent = NULL;
        size_t n = 0;

        LIST_FOREACH(client, &clients->all, all) {
                if (client == than || client->receiver.state != STOCK_RECEIVER_OPEN || !like(client, than))
                        continue;
                n++;
                if (!silent ||
                    connection_heard_usec(client->connection) < connection_heard_usec(silent->connection))
                        silent = client;
        }
        if (n < max)
                return;
        clients->replaced++;
        stock_client_end(silent);
}

static bool has_address(const StockClient *client, const StockClient *than)
{
        return address_equal(&client->address, &than->address);
}

/* The name of one whose handshake lasts is its address, which may be another one's identity. */
static bool has_name(const StockClient *client, const StockClient *than)
{
        return !client->visitor.address && strcmp(client->name, than->name) == 0;
}

void stock_client_displace(StockClient *client)
{
        StockClients *clients = client->clients;
        const Peer *peer = peers_find(*clients->peers, client->name);

        displace(clients, client, has_name,
                 peer && peer->connections_max > 0 ? peer->connections_max : clients->config->peer_connections_max);
}

/* --- Serving --- */

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

static void turn_out(StockClient *client)
{
        admission_leave(client->clients->admission, &client->visitor);
        close_fd(client->fd);
        free(client);
}

/* Its turn has come. Frees the client when that fails. */
static int serve(StockClient *client)
{
        StockClients *clients = client->clients;
        Transport *transport = NULL;
        int fd = TAKE_FD(client->fd), r = 0;

        if (clients->tls) {
                r = tls_session_new(clients->tls, true, NULL, fd, &transport);
                client->tls = tls_ref(clients->tls);
        }
        if (r < 0)
                close_fd(fd);
        else
                r = connection_new(clients->event, fd, transport, &stock_client_connection_handler, client,
                                   &client->connection);
        if (r < 0) {
                tls_unref(client->tls);
                turn_out(client);
                return r;
        }
        LIST_INSERT_HEAD(&clients->all, client, all);
        clients->n++;
        displace(clients, client, has_address, ADDRESS_CLIENTS_MAX);
        r = connection_start(client->connection, clients->config->connect_timeout_usec);
        if (r < 0)
                stock_client_free(client);
        return r;
}

static void say_failed(StockClients *clients, int error)
{
        if (log_limit(&clients->accept_logged_usec, STOCK_LOG_USEC))
                log_warning("Cannot serve a stock client: %s", strerror(-error));
}

static void serve_next(StockClients *clients)
{
        Visitor *visitor;
        int r;

        while ((visitor = admission_next(clients->admission, monotonic_usec()))) {
                r = serve(container_of(visitor, StockClient, visitor));
                if (r < 0)
                        say_failed(clients, r);
        }
}

void stock_client_leave(StockClient *client)
{
        admission_leave(client->clients->admission, &client->visitor);
        serve_next(client->clients);
}

/* --- Accepting --- */

static int take(StockClients *clients, int fd, const Address *address, const AdmissionKey *key)
{
        StockClient *client = calloc(1, sizeof *client);
        int r;

        if (!client) {
                close_fd(fd);
                return -ENOMEM;
        }
        set_keepalive(fd);
        client->clients = clients;
        client->fd = fd;
        client->address = *address;
        address_format(address, client->name);
        stock_receiver_init(&client->receiver, &stock_client_receiver_handler);
        clients->accepted++;
        r = admission_enter(clients->admission, &client->visitor, key, monotonic_usec());
        if (r == ADMISSION_SERVED)
                return serve(client);
        if (r == ADMISSION_SURPLUS)
                clients->surplus++;
        if (r != ADMISSION_WAITS)
                turn_out(client);
        return MIN(r, 0);
}

static void refuse_address(StockClients *clients, const Address *address)
{
        char name[ADDRESS_NAME_MAX], field[300];

        clients->refused_addresses++;
        if (!log_burst(&clients->refused_logged, STOCK_LOG_USEC, STOCK_LOG_BURST))
                return;
        address_format(address, name);
        (void) snprintf(field, sizeof field, "PEER=%s", name);
        log_message(LOG_WARNING, MESSAGE_ID_PEER_REFUSED, field,
                    "Refused stock client %s: its address is in no network of AuditdAllow=", name);
}

/* Returns a descriptor, or -1: no more now. */
static int accept_one(StockClients *clients, int listener, struct sockaddr_storage *ret_address)
{
        socklen_t size = sizeof *ret_address;
        int fd;

        do
                fd = accept4(listener, (struct sockaddr *) ret_address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        while (fd < 0 && errno == ECONNABORTED);
        if (fd < 0 && errno != EAGAIN && errno != EINTR) {
                /* No descriptors or no memory: again with the next tick, not in a circle. */
                rest(clients, true);
                if (log_limit(&clients->accept_logged_usec, STOCK_LOG_USEC))
                        log_error("Cannot accept a stock client: %s", strerror(errno));
        }
        return fd;
}

static int on_listener(sd_event_source *source, int listener, uint32_t events, void *userdata)
{
        StockClients *clients = userdata;

        for (unsigned i = 0; i < ACCEPT_TURN_MAX; i++) {
                struct sockaddr_storage storage = { 0 };
                const struct sockaddr *from = (const struct sockaddr *) &storage;
                AdmissionKey key;
                Address address;
                int fd, r;

                if (is_full(clients)) {
                        rest(clients, true);
                        return 0;
                }
                fd = accept_one(clients, listener, &storage);
                if (fd < 0)
                        return 0;
                if (address_of(from, &address) < 0 || !networks_contain(&clients->config->auditd_allow, &address)) {
                        refuse_address(clients, &address);
                        close_fd(fd);
                        continue;
                }
                key = admission_key(from);
                r = take(clients, fd, &address, &key);
                if (r < 0)
                        say_failed(clients, r);
        }
        return 0;
}

int stock_clients_listen(StockClients *clients, int fd)
{
        sd_event_source *source = NULL;
        int r = -ENOBUFS;

        if (clients->n_listeners < STOCK_LISTENERS_MAX)
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

/* --- What happens meanwhile --- */

void stock_clients_make_use(StockClients *clients)
{
        if (clients->resting && !is_full(clients))
                rest(clients, false);
}

/* Whoever is too slow while others wait. */
static void clear_the_way(StockClients *clients, uint64_t now)
{
        Visitor *visitor;

        while ((visitor = admission_in_the_way(clients->admission, now))) {
                clients->hurried++;
                /* It is closed from the loop; until then it is no visitor any more. */
                admission_leave(clients->admission, visitor);
                connection_cut(container_of(visitor, StockClient, visitor)->connection);
                serve_next(clients);
        }
}

void stock_clients_accept_tick(StockClients *clients)
{
        uint64_t now = monotonic_usec();
        Visitor *visitor;

        while ((visitor = admission_overdue(clients->admission, now, clients->config->connect_timeout_usec)))
                turn_out(container_of(visitor, StockClient, visitor));
        serve_next(clients);
        clear_the_way(clients, now);
        stock_clients_make_use(clients);
}

void stock_clients_close(StockClients *clients)
{
        Visitor *visitor;

        for (size_t i = 0; i < clients->n_listeners; i++)
                sd_event_source_disable_unref(clients->listeners[i]);
        clients->n_listeners = 0;
        while ((visitor = admission_overdue(clients->admission, UINT64_MAX, 0)))
                turn_out(container_of(visitor, StockClient, visitor));
}
