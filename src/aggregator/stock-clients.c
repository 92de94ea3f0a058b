/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who may connect as a stock client. Who has as many connections as one may have loses the one that was
 * silent longest: a client that comes back is never locked out by its dead connection.
 */

#include "aggregator/stock-clients-private.h"
#include "runtime/loop.h"
#include "runtime/tls-psk.h"

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

/* --- Accepting --- */

void stock_clients_rest(StockClients *clients, bool rest)
{
        clients->resting = rest;
        for (size_t i = 0; i < clients->n_listeners; i++)
                (void) sd_event_source_set_enabled(clients->listeners[i], rest ? SD_EVENT_OFF : SD_EVENT_ON);
}

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

        LIST_FOREACH (client, &clients->all, all) {
                if (!address_equal(&client->address, address) ||
                    client->receiver.state != STOCK_RECEIVER_OPEN)
                        continue;
                n++;
                if (!silent ||
                    connection_heard_usec(client->connection) < connection_heard_usec(silent->connection))
                        silent = client;
        }
        if (n < ADDRESS_CLIENTS_MAX)
                return;
        clients->replaced++;
        stock_client_end(silent);
}

static int serve(StockClients *clients, int fd, const Address *address)
{
        StockClient *client = calloc(1, sizeof *client);
        TlsSession *tls = NULL;
        int r;

        if (!client) {
                close_fd(fd);
                return -ENOMEM;
        }
        set_keepalive(fd);
        client->clients = clients;
        client->address = *address;
        address_format(address, client->name);
        stock_receiver_init(&client->receiver, &stock_client_receiver_handler);
        if (clients->tls) {
                r = tls_session_new(clients->tls, true, NULL, fd, &tls);
                if (r < 0) {
                        free(client);
                        close_fd(fd);
                        return r;
                }
                client->tls = tls_ref(clients->tls);
        }
        r = connection_new(clients->event, fd, tls, &stock_client_connection_handler, client,
                           &client->connection);
        if (r < 0) {
                tls_unref(client->tls);
                free(client);
                return r;
        }
        LIST_INSERT_HEAD(&clients->all, client, all);
        clients->n++;
        clients->accepted++;
        r = connection_start(client->connection, clients->config->connect_timeout_usec);
        if (r < 0)
                stock_client_free(client);
        return r;
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

static int on_listener(sd_event_source *source, int listener, uint32_t events, void *userdata)
{
        StockClients *clients = userdata;

        for (unsigned i = 0; i < ACCEPT_TURN_MAX; i++) {
                struct sockaddr_storage storage = { 0 };
                socklen_t size = sizeof storage;
                Address address;
                int fd, r;

                if (clients->n >= clients->config->connections_max) {
                        stock_clients_rest(clients, true);
                        return 0;
                }
                fd = accept4(listener, (struct sockaddr *) &storage, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0 && errno == ECONNABORTED)
                        continue;
                if (fd < 0 && errno != EAGAIN && errno != EINTR) {
                        /* No descriptors or no memory: again with the next tick, not in a circle. */
                        stock_clients_rest(clients, true);
                        if (log_limit(&clients->accept_logged_usec, STOCK_LOG_USEC))
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
                if (r < 0 && log_limit(&clients->accept_logged_usec, STOCK_LOG_USEC))
                        log_warning("Cannot serve a stock client: %s", strerror(-r));
        }
        return 0;
}

static int load_keys(StockClients *clients)
{
        _cleanup_(freep) char *why = NULL;
        Tls *tls;
        int r;

        if (!clients->config->auditd_psk_directory)
                return 0;
        r = tls_psk_server_new(clients->config->auditd_psk_directory, &tls, &why);
        if (r < 0) {
                log_message(LOG_ERR, MESSAGE_ID_CREDENTIALS_FAILED, NULL,
                            "Cannot use the stock clients' keys: %s", why ? why : "out of memory");
                return r;
        }
        tls_unref(clients->tls);
        clients->tls = tls;
        return 0;
}

void stock_clients_reload(StockClients *clients)
{
        StockClient *client, *next;

        /* With unusable files those read before stay in use. */
        if (!clients || load_keys(clients) < 0)
                return;
        for (client = LIST_FIRST(&clients->all); client; client = next) {
                next = LIST_NEXT(client, all);
                if (!client->tls || tls_psk_same(clients->tls, client->tls, client->name))
                        continue;
                log_message(LOG_WARNING, MESSAGE_ID_PEER_REFUSED, NULL,
                            "Stock client %s has no key any more, or another", client->name);
                stock_client_end(client);
        }
}

void stock_clients_tick(StockClients *clients)
{
        if (clients && clients->resting)
                stock_clients_rest(clients, false);
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
                stock_client_end(client);
        }
}

/* --- Facts --- */

void stock_clients_status(StockClients *clients, State *state)
{
        if (!clients)
                return;
        status_gauge(state, "stock_connections", NULL, (double) clients->n, "Stock clients connected");
        status_counter(state, "stock_accepted", NULL, clients->accepted, "Stock clients that connected");
        status_counter(state, "stock_records", NULL, clients->records.records,
                       "Records taken from stock clients");
        status_counter(state, "stock_bytes", NULL, clients->records.bytes, "Bytes of these");
        status_counter(state, "stock_records_refused", NULL, clients->records.refused,
                       "Records of stock clients stored escaped: they broke a rule");
        status_counter(state, "stock_bytes_replaced", NULL, clients->records.replaced,
                       "Control characters in records of stock clients that became blanks");
        status_counter(state, "stock_requests_refused", NULL, clients->refused_requests,
                       "Times a stock client was told that the disk is full or fails");
        status_counter(state, "stock_addresses_refused", NULL, clients->refused_addresses,
                       "Connections from networks that AuditdAllow= does not name");
        status_counter(state, "stock_handshakes_failed", NULL, clients->handshakes_failed,
                       "TLS handshakes with stock clients that failed: an unknown identity or another key");
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
                r = load_keys(clients);
        if (r >= 0)
                r = listen_on_all(clients, fds);
        if (r < 0 || clients->n_listeners == 0)
                clients = stock_clients_free(clients);
        else if (config->auditd_allow.n == 0)
                log_warning("There is a socket for stock clients, but AuditdAllow= names no network: all "
                            "are refused");
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
                stock_client_free(client);
        stock_records_done(&clients->records);
        tls_unref(clients->tls);
        free(clients);
        return NULL;
}
