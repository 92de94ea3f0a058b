/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stock-clients.c, stock-accept.c (who may connect) and stock-session.c (what a client that has says, and is
 * told) share; nobody else includes it. */

#include "aggregator/networks.h"
#include "aggregator/stock-clients.h"
#include "aggregator/stock-records.h"
#include "runtime/admission.h"
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
        Visitor visitor; /* until the handshake is done */
        int fd;          /* while it waits for that; -EBADF: `connection` has it */
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
        bool held;    /* its rate is used up */
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
        Roster *roster;        /* not owned, as *peers */
        Peers *const *peers;
        Admission *admission;  /* handshakes */
        struct StockClientList all, opens, flyings;
        size_t n;
        size_t n_waiting, n_held;
        bool resting; /* the listeners are */
        bool ending;
        uint64_t accepted, refused_addresses, replaced, violations, refused_requests, handshakes_failed;
        uint64_t surplus, hurried, rate_waits;
        LogBurst refused_logged, violations_logged;
        uint64_t accept_logged_usec, records_logged_usec;
};

extern const StockReceiverHandler stock_client_receiver_handler;
extern const ConnectionHandler stock_client_connection_handler;

/* Takes nothing more from it, and says ENDING behind what is pending. */
void stock_client_end(StockClient *client);
/* From closed(), or of one that never began. */
void stock_client_free(StockClient *client);
/* Its identity is known: ends the one of as many as one may have that was silent longest. */
void stock_client_displace(StockClient *client);
/* What it may deliver a second; NULL: any, or no memory. */
RosterRow *stock_client_row(const StockClient *client);
/* Has those read again whose rate allows it. */
void stock_clients_release(StockClients *clients);

/* Takes over fd, also on failure. */
int stock_clients_listen(StockClients *clients, int fd) _must_check_;
/* The handshake is done or over: another one may begin. */
void stock_client_leave(StockClient *client);
/* Its place is free again: accepts. */
void stock_clients_make_use(StockClients *clients);
/* Handshakes that take too long end, listeners that rested listen again. */
void stock_clients_accept_tick(StockClients *clients);
/* Accepts nobody any more, and frees those who wait. */
void stock_clients_close(StockClients *clients);
