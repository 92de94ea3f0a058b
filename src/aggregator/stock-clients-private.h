/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stock-clients.c, stock-accept.c (who may connect) and stock-session.c (what a client that has says, and is
 * told) share; nobody else includes it. */

#include "aggregator/networks.h"
#include "aggregator/stock-clients.h"
#include "aggregator/stock-records.h"
#include "runtime/acceptor.h"
#include "runtime/log.h"
#include "stock/stock-receiver.h"

#include <sys/queue.h>

/* So many log lines of a kind in so long; all is counted. */
#define STOCK_LOG_USEC (10 * USEC_PER_SEC)
#define STOCK_LOG_BURST 20U

typedef struct StockClient {
        StockClients *clients;
        Arrival arrival;
        StockReceiver receiver;
        Address address;
        Tls *tls; /* the keys that it was judged by; NULL: plain */
        char name[NODE_NAME_MAX +
                  1]; /* identity or address: owns its stream, and is the node of records that name none */
        StreamId stream;
        uint64_t open, flying; /* marks; 0: none */
        uint64_t durable;
        bool waiting; /* for room in the open group */
        bool held;    /* its rate is used up */
        LIST_ENTRY(StockClient) all, opens, flyings;
} StockClient;

LIST_HEAD(StockClientList, StockClient);

struct StockClients {
        const AggregatorConfig *config;
        StoreLoop *store;
        StockRecords records;
        StreamId store_stream;
        Tls *tls; /* NULL: plain */
        Roster *roster; /* not owned, as *peers */
        Peers *const *peers;
        Acceptor *acceptor;
        struct StockClientList all, opens, flyings;
        size_t n_waiting, n_held;
        bool ending;
        uint64_t refused_addresses, replaced, violations, refused_requests, handshakes_failed, rate_waits;
        LogBurst refused_logged, violations_logged;
        uint64_t records_logged_usec;
};

extern const StockReceiverHandler stock_client_receiver_handler;
extern const ConnectionHandler stock_client_connection_handler;
extern const AcceptorHandler stock_client_acceptor_handler;

static inline StockClient *stock_client_of(Arrival *arrival)
{
        return container_of(arrival, StockClient, arrival);
}

/* Takes nothing more from it, and says ENDING behind what is pending. */
void stock_client_end(StockClient *client);
/* Gives back what a session has of its clients. */
void stock_client_forget(StockClient *client);
/* Its identity is known: ends the one of as many as one may have that was silent longest. */
void stock_client_displace(StockClient *client);
/* What it may deliver a second; NULL: any, or no memory. */
RosterRow *stock_client_row(const StockClient *client);
/* Has those read again whose rate allows it. */
void stock_clients_release(StockClients *clients);
