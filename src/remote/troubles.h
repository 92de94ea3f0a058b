/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is wrong with the collectors, as conditions. */

#include "runtime/outlet.h"
#include "runtime/state.h"
#include "runtime/store-loop.h"

/* A collector says its states with WELCOME; they have arrived by then. */
#define TROUBLES_CONFIRM_USEC (2 * USEC_PER_SEC)
/* A peer's sentence, and what is said around it. */
#define TROUBLES_REASON_MAX 500U

typedef struct Troubles {
        State *state;
        StoreLoop *store;
        /* Why there is no connection: the first cause since the last session began, or of the round. */
        OutletTrouble first;
        bool first_raised;
        char first_why[TROUBLES_REASON_MAX], first_name[NODE_NAME_MAX + 1], first_peer[OUTLET_PEER_MAX + 1];
        uint64_t restart_seq; /* newest when the stream was restarted: the condition ends when that is acked */
        uint64_t set_backs, set_back_seq; /* seen so far; the same for a collector that was restored */
        unsigned unconfirmed; /* bits of the collector's states: said in an earlier session, not yet in this one */
        uint64_t connected_usec;
} Troubles;

/* A session is over, whose collector's certificate names it `name`: told at once. */
void troubles_lost(Troubles *troubles, Outlet *outlet, const char *name, OutletTrouble trouble, const char *why);
/* It is left for another one, and has said itself why. */
void troubles_left(Troubles *troubles, Outlet *outlet, const char *name, const char *why);
/* It could not be had; told when the round is over and nobody else could. */
void troubles_missed(Troubles *troubles, Outlet *outlet, const char *name, OutletTrouble trouble, const char *why);
void troubles_round_over(Troubles *troubles);
/* A session; `preferred`: with the first of all collectors. */
void troubles_connected(Troubles *troubles, Outlet *outlet, const char *name, const LinkWelcome *welcome,
                        bool preferred);
void troubles_acked(Troubles *troubles, uint64_t seq);
void troubles_diverged(Troubles *troubles, Outlet *outlet, const char *name, uint64_t peer_last);
/* What the collector says of itself. */
void troubles_say(Troubles *troubles, Outlet *outlet, const char *name, const LinkState *state);
/* Once a second, as long as there is a session. */
void troubles_tick(Troubles *troubles);
