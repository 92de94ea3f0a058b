/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What connection.c (its life) and connection-turn.c (moving bytes) share; nobody else includes it. */

#include "runtime/connection-peer.h"
#include "runtime/connection-sender.h"
#include "runtime/connection.h"

typedef enum ConnectionState {
        CONNECTION_NEW,
        CONNECTION_CONNECTING,
        CONNECTION_HANDSHAKE,
        CONNECTION_OPEN,
        CONNECTION_FLUSHING, /* finishing: the output is not yet with the socket */
        CONNECTION_DRAINING, /* half-closed, until the peer closes */
        CONNECTION_CLOSED,   /* closed() is to be called, or was */
} ConnectionState;

/* Not a set of events. */
#define CONNECTION_UNARMED UINT32_MAX

struct Connection {
        sd_event *event;
        sd_event_source *io, *timer, *defer;
        int fd;
        Transport *transport; /* NULL: plain */
        const ConnectionHandler *handler;
        void *userdata;
        ConnectionState state;
        Buffer input, output;
        uint32_t armed; /* what the poll will tell of, once; CONNECTION_UNARMED: a turn has used it up */
        bool in_turn; /* a handler may be running: flush at the end of the turn */
        bool paused;
        bool only_write; /* a hang-up is the end, though nothing is read */
        bool offer;  /* what is in the input is to be offered again */
        bool refill; /* the owner may have more: ask it once the output is empty */
        bool ended;  /* while finishing: the peer's EOF was seen */
        size_t drained_bytes;
        uint64_t timeout_usec;
        uint64_t heard_usec;
        int error;
        char *why;
        ConnectionPeer peer;
        ConnectionSender sender;
};

/* It has ended: closed() will be called from the loop. Only the first time counts. */
void connection_over(Connection *c, int error, const char *format, ...) _printf_(3, 4);
/* A turn without waiting for the socket. */
void connection_defer(Connection *c);
/* Asks poll() for what can be used now, and continues what poll() does not see. */
void connection_want(Connection *c);
/* All that can be done now, within the bounds of a turn. */
void connection_turn(Connection *c, uint32_t revents);
/* Writes what the socket takes; with may_refill asks the owner for more, which only the loop may. */
void connection_write_turn(Connection *c, bool may_refill);
/* Connected, and the handshake done. */
void connection_establish(Connection *c);
