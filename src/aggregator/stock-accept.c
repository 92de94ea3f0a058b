/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who may connect as a stock client, by the rules for native ones, but counted apart: who needs no certificate takes no place from
 * those who have one. Who has as many connections as one may have loses the one that was silent longest: a client that comes back is
 * never locked out by its dead connection.
 */

#include "aggregator/stock-clients-private.h"
#include "runtime/tls-psk.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

/* Connections of one address: several hosts may be behind one translator. */
#define ADDRESS_CLIENTS_MAX 64U
/* A stock client may be silent for days: the kernel finds out whether it is still there. */
#define KEEPALIVE_IDLE_SEC 60
#define KEEPALIVE_INTERVAL_SEC 15
#define KEEPALIVE_PROBES 4

/* --- Places --- */

static uint64_t heard_usec(const StockClient *client)
{
        return connection_heard_usec(client->arrival.connection);
}

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
                if (!silent || heard_usec(client) < heard_usec(silent))
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
        return !arrival_is_visitor(&client->arrival) && strcmp(client->name, than->name) == 0;
}

void stock_client_displace(StockClient *client)
{
        StockClients *clients = client->clients;
        const Peer *peer = peers_find(*clients->peers, client->name);

        displace(clients, client, has_name,
                 peer && peer->connections_max > 0 ? peer->connections_max : clients->config->peer_connections_max);
}

/* --- The acceptor's handler --- */

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

static int on_admit(Acceptor *acceptor, int fd, const struct sockaddr *from, Arrival **ret)
{
        StockClients *clients = acceptor_userdata(acceptor);
        Address address = { 0 };
        StockClient *client;

        *ret = NULL;
        if (address_of(from, &address) < 0 || !networks_contain(&clients->config->auditd_allow, &address)) {
                refuse_address(clients, &address);
                return 0;
        }
        client = calloc(1, sizeof *client);
        if (!client)
                return -ENOMEM;
        set_keepalive(fd);
        client->clients = clients;
        client->address = address;
        address_format(&address, client->name);
        stock_receiver_init(&client->receiver, &stock_client_receiver_handler);
        *ret = &client->arrival;
        return 0;
}

static int on_secure(Arrival *arrival, int fd, Transport **ret)
{
        StockClient *client = stock_client_of(arrival);

        if (!client->clients->tls)
                return 0;
        client->tls = tls_ref(client->clients->tls);
        return tls_session_new(client->tls, true, NULL, fd, ret);
}

static void on_served(Arrival *arrival)
{
        StockClient *client = stock_client_of(arrival);

        LIST_INSERT_HEAD(&client->clients->all, client, all);
        displace(client->clients, client, has_address, ADDRESS_CLIENTS_MAX);
}

static void on_free(Arrival *arrival)
{
        StockClient *client = stock_client_of(arrival);

        if (arrival->connection) {
                stock_client_forget(client);
                LIST_REMOVE(client, all);
        }
        acceptor_part(arrival);
        tls_unref(client->tls);
        free(client);
}

const AcceptorHandler stock_client_acceptor_handler = {
        .admit = on_admit,
        .secure = on_secure,
        .served = on_served,
        .free = on_free,
        .connection = &stock_client_connection_handler,
};
