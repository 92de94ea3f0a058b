/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The clients' end: who may connect, what they are told, what is counted of them. */

#include "aggregator/client-commands.h"
#include "aggregator/config.h"
#include "aggregator/peers.h"
#include "aggregator/roster.h"
#include "aggregator/stores.h"
#include "runtime/inlet.h"
#include "runtime/log.h"
#include "runtime/state.h"

/* Streams of one node that are remembered: of more the longest silent is forgotten, one a second. A node has one, and another one
 * whenever it was set back. Each is a row in the store's table, and that is in each segment: a node that begins them
 * faster than they can be forgotten is turned away. */
#define CLIENTS_STREAMS_MAX 64U
#define CLIENTS_STREAMS_REFUSED (2U * CLIENTS_STREAMS_MAX)

/* Why a handshake came to nothing. */
typedef enum Refusal {
        REFUSAL_CERTIFICATE, /* none, of an unknown CA, or not for this use */
        REFUSAL_EXPIRED,
        REFUSAL_REVOKED,
        REFUSAL_HANDSHAKE, /* broken off, or no TLS that we speak */
        REFUSAL_OURS,      /* the client does not like our certificate */
        _REFUSAL_MAX,
} Refusal;

typedef struct Clients {
        Inlet *inlet;
        State *state;
        Tls **tls;
        Peers **peers;
        const AggregatorConfig *config;
        Roster *roster;
        ClientCommands *commands; /* not owned; NULL: none are passed on */
        uint64_t searches;        /* for those who take them */
        Stores *stores;
        bool forgetting;  /* streams of peers with Forget=yes may be in the store's table */
        uint64_t refilled_usec;
        bool waits; /* somebody's rate is used up: not all are read */
        uint64_t waited;
        LogBurst forgotten, refused_us;
        uint64_t records_logged_usec;
        int judged; /* a negative errno: of the certificate that is being refused */
        uint64_t certificates_refused[_REFUSAL_MAX], nodes_refused;
        char why[512]; /* of a refusal, until the BYE is written */
} Clients;

/* For the store's intake. */
extern const IntakeHandler clients_intake_handler;

/* Takes the descriptors named `tls` and the addresses of Listen=. *tls must hold credentials and *peers what
 * peers.d/ says; both may be replaced, see clients_review(). Logs why it fails. */
int clients_init(Clients *clients, sd_event *event, const AggregatorConfig *config, ListenFds *fds, Tls **tls,
                 Peers **peers, State *state, Stores *stores) _must_check_;
void clients_done(Clients *clients);
/* What commands are passed on by; see ClientCommandsOptions. */
void clients_find(Clients *clients, ClientCommands *commands, const char *node);
int clients_send(void *client, const LinkCommand *command);
const char *clients_name(const void *client);

/* The credentials and peers.d/ were read again: ends the sessions of clients that are not welcome any more. */
void clients_review(Clients *clients);
/* A condition of a store began or ended: tells all who deliver into it. */
void clients_tell(Clients *clients, StoreLoop *store, StoreCondition condition);
/* Call once a second: time-outs, certificates that expire, streams to be forgotten. */
void clients_tick(Clients *clients);
/* Writes their metrics into the status being written. */
void clients_status(Clients *clients);

/* --- Between clients.c and clients-status.c --- */

/* The file for one of the names in the certificate: the one that refuses, if there is such a one; or NULL. */
TlsSession *clients_tls(const InletSession *session);
const Peer *clients_peer(const Clients *clients, const TlsSession *tls);
/* InletHandler.taken */
void clients_taken(InletSession *session, uint64_t bytes);
/* peers.d/ may say other rates now. */
void clients_set_rates(Clients *clients);
/* A session of this row is at work; its certificate is the one it shows now. */
void clients_connected(Clients *clients, const IntakeSession *session);
void clients_disconnected(Clients *clients, const IntakeSession *session);
/* A peer that is known under this name was refused. */
void clients_note_refused(Clients *clients, const char *name);
/* Ends the sessions of peers that are not welcome any more. */
void clients_judge_again(Clients *clients);
