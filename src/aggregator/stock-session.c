/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A stock client's session: its records into the open group, its replies when the group is durable.
 *
 *  1. A client is in one list for the open group, and in one for the group in flight, while it has records
 *     there; each group's mark is the number of requests that are durable with it.
 *  2. A client is freed in closed() alone.
 *  3. A client that has been told to go (a refusal, ENDING) leaves by connection_finish(): its socket is
 *     drained, so that the reply is not lost with what it still sends.
 */

#include "aggregator/stock-clients-private.h"
#include "runtime/loop.h"
#include "runtime/tls-psk.h"

#include <inttypes.h>
#include <stdio.h>

/* --- Rates --- */

RosterRow *stock_client_row(const StockClient *client)
{
        const StockClients *clients = client->clients;
        const Peer *peer = peers_find(*clients->peers, client->name);
        uint64_t rate = peer && peer->rate > 0 ? peer->rate : clients->config->peer_rate;
        RosterRow *row = rate > 0 ? roster_get(clients->roster, client->name) : NULL;

        if (row)
                roster_set_rate(row, rate);
        return row;
}

static void rest_or_read(StockClient *client)
{
        const StockReceiver *receiver = &client->receiver;

        if (receiver->state != STOCK_RECEIVER_ENDED)
                connection_pause(client->arrival.connection, client->waiting || client->held ||
                                                             receiver->taken - receiver->replied == STOCK_PENDING_MAX);
}

static void set_held(StockClient *client, bool held)
{
        if (client->held == held)
                return;
        client->held = held;
        client->clients->n_held += held ? 1 : SIZE_MAX;
        rest_or_read(client);
}

/* All its connections together have delivered so much. */
static void charge(StockClient *client, uint64_t bytes)
{
        StockClients *clients = client->clients;
        RosterRow *row = stock_client_row(client);
        StockClient *other;

        if (!row || !roster_charge(row, bytes))
                return;
        clients->rate_waits++;
        LIST_FOREACH(other, &clients->all, all)
                if (strcmp(other->name, client->name) == 0)
                        set_held(other, true);
}

void stock_clients_release(StockClients *clients)
{
        StockClient *client;

        if (clients->n_held == 0)
                return;
        LIST_FOREACH(client, &clients->all, all)
                if (client->held) {
                        const RosterRow *row = stock_client_row(client);

                        set_held(client, row && row->tokens < 0);
                }
}

/* --- Records --- */

static StockClient *client_of(StockReceiver *receiver)
{
        return container_of(receiver, StockClient, receiver);
}

static int on_record(StockReceiver *receiver, const uint8_t *text, size_t size)
{
        StockClient *client = client_of(receiver);

        return stock_records_add(&client->clients->records, text, size, client->name, !client->tls,
                                 realtime_usec());
}

static void log_refused_records(StockClient *client)
{
        StockRecords *records = &client->clients->records;
        char field[300];

        if (records->refused_now == 0 || !log_limit(&client->clients->records_logged_usec, STOCK_LOG_USEC))
                return;
        (void) snprintf(field, sizeof field, "PEER=%s\nNODE=%s", connection_peer(client->arrival.connection),
                        client->name);
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
        if (r >= 0) {
                log_refused_records(client);
                charge(client, batch.size);
        }
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

const StockReceiverHandler stock_client_receiver_handler = {
        .record = on_record,
        .deliver = on_deliver,
};

/* --- Replies --- */

/* Sends what was put into the output, and goes on reading or leaves. */
static void flush(StockClient *client, int result)
{
        StockReceiver *receiver = &client->receiver;

        if (result < 0) {
                log_debug("%s does not read its replies", connection_peer(client->arrival.connection));
                receiver->state = STOCK_RECEIVER_ENDED;
        }
        connection_flush(client->arrival.connection);
        if (receiver->state == STOCK_RECEIVER_ENDED)
                connection_finish(client->arrival.connection);
        else
                rest_or_read(client);
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
        bool low = store_loop_low(clients->store);
        StockClient *client;

        while ((client = LIST_FIRST(&clients->flyings))) {
                LIST_REMOVE(client, flyings);
                client->durable = client->flying;
                client->flying = 0;
                flush(client,
                      stock_receiver_durable(&client->receiver, connection_output(client->arrival.connection),
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
                flush(client, stock_receiver_fail(&client->receiver, connection_output(client->arrival.connection),
                                                  client->durable, error));
        }
        resume_waiting(clients);
}

void stock_client_end(StockClient *client)
{
        stop_waiting(client);
        flush(client, stock_receiver_end(&client->receiver, connection_output(client->arrival.connection)));
}

/* --- The connection's handler --- */

static void count_refusal(StockClient *client, StockReceiverState before)
{
        if (before == STOCK_RECEIVER_OPEN && client->receiver.refusal != 0)
                client->clients->refused_requests++;
}

/* The first that nobody else owns. */
static void choose_stream(StockClient *client)
{
        Sink *sink = store_sink(store_loop_store(client->clients->store));
        uint64_t last, checksum;
        uint32_t turn = 0;

        do
                stock_records_stream(&client->clients->store_stream, client->name, client->tls, turn++, &client->stream);
        while (sink->position(sink, &client->stream, client->name, &last, &checksum) == -EPERM);
}

static int on_established(Connection *connection)
{
        StockClient *client = stock_client_of(connection_userdata(connection));
        TlsSession *tls = tls_session_of(connection_transport(connection));
        const RosterRow *row;
        char field[300];

        acceptor_established(&client->arrival);
        if (tls) {
                const char *identity = tls_session_psk_identity(tls);

                /* Only names that are valid have a key. */
                if (!identity || strlen(identity) > NODE_NAME_MAX)
                        return -EPROTO;
                strcpy(client->name, identity);
                stock_client_displace(client);
        }
        choose_stream(client);
        (void) snprintf(field, sizeof field, "PEER=%s\nNODE=%s", connection_peer(connection), client->name);
        log_message(LOG_INFO, MESSAGE_ID_PEER_CONNECTED, field, "Stock client %s (%s%s%s) connected",
                    client->name, connection_peer(connection), tls ? ", " : "",
                    tls ? tls_session_description(tls) : "");
        row = stock_client_row(client);
        set_held(client, row && row->tokens < 0);
        if (client->clients->ending)
                stock_client_end(client);
        return 0;
}

static void log_violation(StockClient *client)
{
        const char *peer = connection_peer(client->arrival.connection);
        char field[300];

        client->clients->violations++;
        if (!log_burst(&client->clients->violations_logged, STOCK_LOG_USEC, STOCK_LOG_BURST))
                return;
        (void) snprintf(field, sizeof field, "PEER=%s", peer);
        log_message(LOG_WARNING, MESSAGE_ID_PROTOCOL_VIOLATION, field,
                    "Broken protocol by stock client %s: %s", peer, client->receiver.why);
}

static int on_received(Connection *connection, Buffer *input)
{
        StockClient *client = stock_client_of(connection_userdata(connection));
        StockReceiver *receiver = &client->receiver;
        StockReceiverState before = receiver->state;
        ssize_t n;

        do {
                n = stock_receiver_feed(receiver, buffer_head(input), buffer_size(input),
                                        connection_output(connection));
                if (n > 0)
                        buffer_consume(input, (size_t) n);
        } while (n > 0 && !client->held && buffer_size(input) > 0 && receiver->state == STOCK_RECEIVER_OPEN);
        if (n == -EBADMSG) {
                log_violation(client);
                connection_finish(connection);
                return 0;
        }
        count_refusal(client, before);
        flush(client, n < 0 ? (int) n : 0);
        return 0;
}

void stock_client_forget(StockClient *client)
{
        forget_groups(client);
        stop_waiting(client);
        client->clients->n_held -= client->held;
}

static void on_closed(Connection *connection, int error, const char *why)
{
        StockClient *client = stock_client_of(connection_userdata(connection));
        StockClients *clients = client->clients;
        char field[300];

        clients->handshakes_failed += error == -EPROTO;
        (void) snprintf(field, sizeof field, "PEER=%s", connection_peer(connection));
        log_message(LOG_INFO, MESSAGE_ID_PEER_DISCONNECTED, field, "Stock client %s (%s) is gone: %s",
                    client->name, connection_peer(connection), why);
        acceptor_closed(&client->arrival);
}

const ConnectionHandler stock_client_connection_handler = {
        .established = on_established,
        .received = on_received,
        .closed = on_closed,
};
