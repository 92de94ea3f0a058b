/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What inlet.c (sessions) and inlet-accept.c (those who come) share; nobody else includes it. */

#include "runtime/inlet.h"
#include "runtime/log.h"

/* So many refusals of a kind are logged in so long; all are counted. A peer that is refused comes back every
 * few seconds, and a fleet with an expired CA all at once. */
#define REFUSED_LOG_USEC (10 * USEC_PER_SEC)
#define REFUSED_LOG_BURST 20U

struct InletSession {
        Inlet *inlet;
        Visitor visitor; /* until the handshake is done */
        int fd;          /* while it waits for that; -EBADF: `connection` has it */
        Connection *connection;
        IntakeSession intake;
        bool admitted; /* `intake` is a session */
        bool counted;  /* … and has a place */
        char *peer;    /* whose connections are counted together; NULL: nobody's */
        bool told;     /* its refusal was logged and counted */
        bool held;     /* by the owner: not read */
        uint64_t since_usec; /* of what it is waited for: HELLO, or being read again */
        uint64_t frame_usec; /* a part of a frame is there since; 0: none */
        size_t frame_bytes;  /* so much of it */
        LIST_ENTRY(InletSession) sessions;
};

struct Inlet {
        InletOptions options;
        sd_event *event;
        sd_event_source *listeners[INLET_LISTENERS_MAX];
        size_t n_listeners;
        LIST_HEAD(, InletSession) sessions;
        size_t n_sessions; /* with a connection, also those that finish */
        size_t n_counted;
        Admission *admission;
        bool full; /* the listeners rest */
        bool overload;
        uint64_t logged_usec;
        LogBurst bursts[_LINK_BYE_MAX]; /* each kind of refusal has its own say */
        InletCounters counters;
};

extern const ConnectionHandler inlet_connection_handler;

/* A place is taken or given back; the owner hears of the first that found none. */
void inlet_count(InletSession *session, bool counted);
void inlet_note_overload(Inlet *inlet, bool on);
void inlet_session_free(InletSession *session);
/* A place for a session of this peer: one of its own that it has too many, or when there is none left at all, is
 * ended for it. Returns whether there is one. */
bool inlet_make_room(Inlet *inlet, const InletIdentity *identity);

/* The handshake is done or over: another one may begin. */
void inlet_leave(InletSession *session);
/* Handshakes that take too long end, listeners that rested listen again. */
void inlet_accept_tick(Inlet *inlet, uint64_t now);
/* Rests the listeners, or lets them listen again. */
void inlet_rest(Inlet *inlet, bool rest);
bool inlet_is_full(const Inlet *inlet);
/* Frees those who wait. */
void inlet_turn_out(Inlet *inlet);
