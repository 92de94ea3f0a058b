/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What inlet.c (a session's life) and inlet-watch.c (what is done to it from outside) share; nobody else includes it. */

#include "runtime/inlet.h"
#include "runtime/log.h"

struct InletSession {
        Inlet *inlet;
        Arrival arrival;
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
        Acceptor *acceptor;
        LIST_HEAD(, InletSession) sessions; /* with a connection, also those that finish */
        size_t n_counted;
        bool overload;
        LogBurst bursts[_LINK_BYE_MAX]; /* each kind of refusal has its own say */
        InletCounters counters;
};

/* Its peer is not read. */
static inline bool inlet_session_rests(const InletSession *session)
{
        return session->held || intake_session_blocked(&session->intake);
}

/* Counts and logs it once, and tells the owner. */
void inlet_tell_refused(InletSession *session, LinkByeCode code, const char *why);
