/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The clients' end: who may connect, what they are told, what is counted of them. */

#include "aggregator/config.h"
#include "runtime/inlet.h"
#include "runtime/state.h"
#include "runtime/store-loop.h"

typedef struct Clients {
        Inlet *inlet;
        State *state;
        Tls **tls;
        StoreLoop *store; /* set before the first connection */
        uint64_t records_logged_usec;
        uint64_t certificates_refused, nodes_refused;
        char why[512]; /* of a refusal, until the BYE is written */
} Clients;

/* For the store's intake. */
extern const IntakeHandler clients_intake_handler;

/* Takes the descriptors named `tls` and the addresses of Listen=. *tls must hold credentials. Logs why it
 * fails. */
int clients_init(Clients *clients, sd_event *event, const AggregatorConfig *config, Tls **tls, State *state,
                 StoreLoop *store) _must_check_;
void clients_done(Clients *clients);

/* The credentials were read again: ends the sessions of clients that are not welcome any more. */
void clients_review(Clients *clients);
/* A condition of the store began or ended: tells all. */
void clients_tell(Clients *clients, StoreCondition condition, bool on);
/* Writes their metrics into the status being written. */
void clients_status(Clients *clients);
