/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The end for stock audisp-remote: connections that speak the stock protocol, into the same store and the
 * same group commit as all others.
 */

#include "aggregator/config.h"
#include "aggregator/peers.h"
#include "aggregator/roster.h"
#include "runtime/listen.h"
#include "runtime/state.h"
#include "runtime/store-loop.h"

typedef struct StockClients StockClients;

/* What outlives them. */
typedef struct StockClientsOptions {
        const AggregatorConfig *config;
        StoreLoop *store;
        Roster *roster;      /* has what each may still deliver; its owner refills it */
        Peers *const *peers; /* may be replaced, see stock_clients_reload() */
} StockClientsOptions;

/* Takes the descriptors named `auditd` and the addresses of AuditdListen=; without any there is nobody to
 * serve, and *ret is NULL. Logs why it fails. */
int stock_clients_new(sd_event *event, const StockClientsOptions *options, ListenFds *fds,
                      StockClients **ret) _must_check_;
/* These take NULL, too. */
StockClients *stock_clients_free(StockClients *clients);

/* From the store's handler. */
void stock_clients_submitted(StockClients *clients);
void stock_clients_settled(StockClients *clients, int error);
/* Takes no more; says ENDING to each when what it sent is durable. */
void stock_clients_end(StockClients *clients);
/* Behind that, when all is durable: acceptor_leave() of them. NULL: there are none. */
void stock_clients_leave(StockClients *clients, void (*done)(void *userdata), void *userdata);
/* Reads the pre-shared keys again: ends the connections of those who are not known any more. */
void stock_clients_reload(StockClients *clients);
/* Call once a second, when the roster was refilled: accepts and reads again. */
void stock_clients_tick(StockClients *clients);
/* Handshakes that are served, and that wait for it. */
size_t stock_clients_handshakes(const StockClients *clients, size_t *ret_waiting);
/* Writes their metrics into the status being written. */
void stock_clients_status(StockClients *clients, State *state);
