/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is known of each peer, connected or not: one row for a node. Pure: no I/O, no clock. It holds the nodes
 * that deliver and those that the store knows a stream of, so what strangers say makes no row.
 */

#include "basic/batch.h"

#include <sys/queue.h>

/* Of an IPv6 address with its scope. */
#define ROSTER_ADDRESS_MAX 63U

typedef struct RosterCounters {
        uint64_t records, bytes, refused, lost;
} RosterCounters;

typedef struct RosterRow {
        char node[NODE_NAME_MAX + 1];
        char address[ROSTER_ADDRESS_MAX + 1]; /* the last one, without its port; empty: none since we began */
        StreamId stream;     /* the one it delivers, or delivered last */
        uint64_t seq;        /* of that, the last in custody */
        uint64_t seen_usec;  /* realtime at which something was stored of it; 0: nothing yet */
        uint64_t delay_usec; /* how old its newest record was when it came */
        RosterCounters ended; /* of its sessions that have ended, since we began */
        RosterCounters live;  /* of those that last; counted anew with each look */
        int64_t expires;     /* its certificate, seconds since 1970; 0: not known */
        unsigned warned;     /* of that, see expiry.h */
        unsigned sessions;   /* that deliver */
        uint64_t rate;       /* bytes a second that it may deliver; 0: any */
        int64_t tokens;      /* bytes of that left; negative: it has to wait */
        bool refused;        /* its last attempt was */
        unsigned streams;    /* of its that the store knew at the last look */
        StreamId silent;     /* the one of them that moved last the longest ago */
        uint64_t silent_usec; /* … when that was */
        uint64_t asked;      /* number of the last search for those who take commands that found it */
        LIST_ENTRY(RosterRow) bucket;
} RosterRow;

typedef struct Roster Roster;

int roster_new(Roster **ret) _must_check_;
Roster *roster_free(Roster *roster);
DEFINE_CLEANUP(Roster *, roster_free)

size_t roster_count(const Roster *roster);
/* NULL: there is none. */
RosterRow *roster_find(Roster *roster, const char *node);
/* Made when it is missing; NULL: no memory. */
RosterRow *roster_get(Roster *roster, const char *node);
/* All, in no order: NULL begins and ends. */
RosterRow *roster_next(Roster *roster, RosterRow *row);

/* A session of the node delivers this stream, from "address:port". Returns the row, NULL: no memory. */
RosterRow *roster_connected(Roster *roster, const char *node, const char *peer, const StreamId *stream);
/* It has ended, with these counters. */
void roster_disconnected(Roster *roster, const char *node, const RosterCounters *counters);

/* It may deliver so many bytes a second; begins with a second's worth. */
void roster_set_rate(RosterRow *row, uint64_t rate);
/* A session of its took so many bytes; returns whether it has to wait from now on. */
bool roster_charge(RosterRow *row, uint64_t bytes);
/* Time has gone by. Returns whether somebody still has to wait. */
bool roster_refill(Roster *roster, uint64_t elapsed_usec);

/* A look at all: begin; then each session that delivers, each stream of the store; end, which takes those out
 * that neither has. */
void roster_look_begin(Roster *roster);
void roster_look_session(Roster *roster, const char *node, const RosterCounters *counters, uint64_t delay_usec);
int roster_look_stream(Roster *roster, const char *node, const StreamId *stream, uint64_t seq,
                       uint64_t seen_usec) _must_check_;
void roster_look_end(Roster *roster);
