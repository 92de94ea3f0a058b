/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What outlet.c (attempts and their ends) and outlet-session.c (what happens between) share; nobody else
 * includes it. */

#include "runtime/outlet.h"

typedef enum Phase {
        PHASE_DORMANT,    /* waits for the source to have something */
        PHASE_WAITING,    /* until the deadline */
        PHASE_OPENING,    /* open() will call outlet_offer() */
        PHASE_CONNECTING, /* connect, handshake, HELLO: WELCOME before the deadline */
        PHASE_CONNECTED,
        PHASE_FINISHING, /* BYE said or heard */
        PHASE_STOPPED,
} Phase;

struct Outlet {
        OutletOptions options;
        sd_event_source *timer;
        uint64_t armed_usec;
        Phase phase;
        LinkSender sender;
        Connection *connection;
        bool established; /* this attempt's connect and handshake are done */
        uint64_t deadline_usec;
        uint64_t backoff_usec;
        uint64_t retry_after_usec; /* what the peer's BYE asked for */
        uint64_t at_once_usec;     /* last time that no backoff was kept */
        uint64_t acked;            /* last seq known to be in the peer's custody */
        size_t unlooked;           /* bytes put since the peer's reading was looked at */
        OutletTrouble trouble;
        char *why;
        bool told;    /* the two */
        bool welcomed; /* this attempt became a session */
        bool at_once; /* the next attempt waits for no backoff */
        bool stop;    /* there is no next attempt */
        bool accepted;
        char peer[OUTLET_PEER_MAX + 1];
};

extern const LinkSenderHandler outlet_sender_handler;
extern const ConnectionHandler outlet_connection_handler;

/* Sets the timer to what the phase waits for. */
void outlet_arm(Outlet *outlet);
/* Only the first one of an attempt counts. */
void outlet_note_trouble(Outlet *outlet, OutletTrouble trouble, const char *why);
/* Sends what the machine said last and waits for the peer to close. Trouble is told at once: a peer that is
 * silent does not close either. */
void outlet_finish(Outlet *outlet);
/* What the owner says of the peer: as OutletHandler.judge. */
int outlet_judge(Outlet *outlet, char **ret_why) _must_check_;
void outlet_end_session(Outlet *outlet, LinkByeCode code, OutletTrouble trouble, const char *why);
/* The attempt or session is over: says why, once, and plans the next. */
void outlet_over(Outlet *outlet);

/* Sends what may be sent. */
void outlet_send(Outlet *outlet);
/* How far has a peer that only reads come? */
void outlet_look(Outlet *outlet);
