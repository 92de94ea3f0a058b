/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Stock clients: whose keys are known, and what is said to all of them. */

#include "aggregator/stock-clients-private.h"
#include "runtime/loop.h"
#include "runtime/tls-psk.h"

#include <stdio.h>
#include <sys/socket.h>

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
                            "Cannot use the stock clients' keys (AuditdPSKDirectory=): %s", why ? why : "out of memory");
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
        if (!clients)
                return;
        acceptor_tick(clients->acceptor, monotonic_usec());
        stock_clients_release(clients);
}

void stock_clients_end(StockClients *clients)
{
        StockClient *client, *next;

        if (!clients)
                return;
        clients->ending = true;
        acceptor_close(clients->acceptor);
        for (client = LIST_FIRST(&clients->all); client; client = next) {
                next = LIST_NEXT(client, all);
                stock_client_end(client);
        }
}

void stock_clients_leave(StockClients *clients, void (*done)(void *userdata), void *userdata)
{
        if (clients)
                acceptor_leave(clients->acceptor, done, userdata);
        else
                done(userdata);
}

/* --- Facts --- */

size_t stock_clients_handshakes(const StockClients *clients, size_t *ret_waiting)
{
        return acceptor_handshakes(clients->acceptor, ret_waiting);
}

void stock_clients_status(StockClients *clients, State *state)
{
        const AcceptorCounters *came;
        size_t waiting;

        if (!clients)
                return;
        came = acceptor_counters(clients->acceptor);
        (void) acceptor_handshakes(clients->acceptor, &waiting);
        status_gauge(state, "stock_connections", NULL, (double) acceptor_connections(clients->acceptor),
                     "Stock clients connected");
        status_counter(state, "stock_accepted", NULL, came->accepted, "Stock clients that connected");
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
        status_gauge(state, "stock_handshakes_waiting", NULL, (double) waiting,
                     "Stock clients whose handshake waits for another to end");
        status_counter(state, "stock_handshakes_hurried", NULL, came->hurried,
                       "Handshakes with stock clients ended after five seconds, as others waited");
        status_counter(state, "stock_connections_surplus", NULL, came->surplus,
                       "Stock clients turned away: too many of their address wait");
        status_counter(state, "stock_rate_waits", NULL, clients->rate_waits,
                       "Times that a stock client had used up its rate");
        status_counter(state, "stock_connections_replaced", NULL, clients->replaced,
                       "Stock clients' silent connections that gave way to new ones of the same identity or address");
        status_counter(state, "stock_violations", NULL, clients->violations,
                       "Stock clients' sessions ended for bad framing");
}

/* --- Life --- */

static int make_acceptor(StockClients *clients, sd_event *event)
{
        const AggregatorConfig *config = clients->config;
        AcceptorOptions options = {
                .handler = &stock_client_acceptor_handler,
                .connections_max = config->connections_max,
                .connect_usec = config->connect_timeout_usec,
                .userdata = clients,
        };

        if (clients->tls)
                options.admission = (AdmissionOptions) { config->handshakes_max, config->address_handshakes_max,
                                                         ADMISSION_GRACE_USEC };
        return acceptor_new(event, &options, &clients->acceptor);
}

int stock_clients_new(sd_event *event, const StockClientsOptions *options, ListenFds *fds, StockClients **ret)
{
        StockClients *clients = calloc(1, sizeof *clients);
        StoreStatus status;
        int r;

        if (!clients)
                return -ENOMEM;
        clients->config = options->config;
        clients->store = options->store;
        clients->roster = options->roster;
        clients->peers = options->peers;
        store_status(store_loop_store(options->store), &status);
        clients->store_stream = status.stream;
        r = stock_records_init(&clients->records);
        if (r >= 0)
                r = load_keys(clients);
        if (r >= 0)
                r = make_acceptor(clients, event);
        if (r >= 0)
                r = acceptor_listen_all(clients->acceptor, fds, "auditd", AF_UNSPEC, options->config->auditd_listen);
        if (r <= 0)
                clients = stock_clients_free(clients);
        else if (options->config->auditd_allow.n == 0)
                log_warning("There is a socket for stock clients, and all are refused: set AuditdAllow= to their "
                            "networks");
        *ret = clients;
        return MIN(r, 0);
}

StockClients *stock_clients_free(StockClients *clients)
{
        StockClient *client;

        if (!clients)
                return NULL;
        while ((client = LIST_FIRST(&clients->all)))
                stock_client_acceptor_handler.free(&client->arrival);
        acceptor_free(clients->acceptor);
        stock_records_done(&clients->records);
        tls_unref(clients->tls);
        free(clients);
        return NULL;
}
