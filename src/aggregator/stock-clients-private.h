/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stock-clients.c (who may connect) and stock-session.c (what a client that has says, and is told)
 * share; nobody else includes it. */

#include "aggregator/networks.h"
#include "aggregator/stock-clients.h"
#include "aggregator/stock-records.h"
#include "runtime/connection.h"
#include "runtime/log.h"
#include "stock/stock-receiver.h"

#include <sys/queue.h>

/* So many log lines of a kind in so long; all is counted. */
#define STOCK_LOG_USEC (10 * USEC_PER_SEC)
#define STOCK_LOG_BURST 20U
#define STOCK_LISTENERS_MAX 16U

typedef struct StockClient {
        StockClients *clients;
        Connection *connection;
        StockReceiver receiver;
        Address address;
        Tls *tls; /* the keys that it was judged by; NULL: plain */
        char name[NODE_NAME_MAX +
                  1]; /* identity or address: owns its stream, and is the node of records that name none */
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
        Tls *tls; /* NULL: plain */
        sd_event_source *listeners[STOCK_LISTENERS_MAX];
        size_t n_listeners;
        struct StockClientList all, opens, flyings;
        size_t n;
        size_t n_waiting;
        bool resting; /* the listeners are */
        bool ending;
        uint64_t accepted, refused_addresses, replaced, violations, refused_requests, handshakes_failed;
        LogBurst refused_logged, violations_logged;
        uint64_t accept_logged_usec, records_logged_usec;
};

extern const StockReceiverHandler stock_client_receiver_handler;
extern const ConnectionHandler stock_client_connection_handler;

/* Takes nothing more from it, and says ENDING behind what is pending. */
void stock_client_end(StockClient *client);
/* From closed(), or of one that never began. */
void stock_client_free(StockClient *client);
/* Accepts no more for a while, or again. */
void stock_clients_rest(StockClients *clients, bool rest);
