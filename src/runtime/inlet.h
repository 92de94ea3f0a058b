/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The receiving end of every hop in the loop: connections accepted on listening sockets, each an
 * IntakeSession. What outlet is to the sender, this is to the intake: time-outs, limits, judgement, and one
 * log line for each thing that happened to a peer.
 */

#include "runtime/acceptor.h"
#include "runtime/intake.h"

/* Connections beyond the limit that are still answered with a BYE; behind these nothing is accepted and the
 * kernel's queue waits. */
#define INLET_SURPLUS 16U

typedef struct Inlet Inlet;
typedef struct InletSession InletSession;

/* Who is at the other end. */
typedef struct InletIdentity {
        const char *owner;  /* streams belong to it; NULL: judge() will say (intake_session_identify) */
        const char *node;   /* of records made on its behalf */
        const char *accept; /* node= that lines may have, NULL: any */
        const RecordFilter *types; /* that lines may have, NULL: any */
        BatchOrigin origin; /* 0: as the batches say */
        bool held;          /* not read before inlet_hold() lets it */
        const char *peer;   /* copied: connections of the same peer are counted together; NULL: they are not */
        size_t connections_max; /* of these; one more takes the place of the one heard of longest ago; 0: any */
} InletIdentity;

typedef struct InletHandler {
        /* Accepted: makes the transport. NULL: plain. */
        int (*secure)(Inlet *inlet, int fd, Transport **ret_transport);
        /* Connected, the handshake is done: is it welcome? Returns 0 with ret_identity (strings that outlive
         * the session), or a BYE code with *ret_why, owned by the inlet. */
        LinkByeCode (*admit)(InletSession *session, InletIdentity *ret_identity, char **ret_why);
        /* A session was refused, by admit(), for its HELLO or for its framing. May be NULL. */
        void (*refused)(InletSession *session, LinkByeCode code, const char *why);
        /* So many bytes of its records went into the sink. May be NULL. */
        void (*taken)(InletSession *session, uint64_t bytes);
        /* One more connection than allowed was turned away (on), or the number fell well below (off). May be
         * NULL. */
        void (*overload)(Inlet *inlet, bool on);
} InletHandler;

typedef struct InletOptions {
        Intake *intake;
        const InletHandler *handler;
        size_t connections_max; /* a peer that has one may always have another in its place */
        AdmissionOptions admission; /* handshakes; zero for plain connections */
        uint64_t connect_usec; /* for waiting for the handshake, the handshake, and again for HELLO */
        uint64_t idle_usec;    /* a connected sender is never silent for so long; USEC_INFINITY: may be */
        void *userdata;
} InletOptions;

typedef struct InletCounters {
        uint64_t refused;
        uint64_t violations; /* bad framing */
        uint64_t timeouts;
        uint64_t surplus;    /* turned away: too many connections */
        uint64_t displaced;  /* ended for a newer one of the same peer */
} InletCounters;

int inlet_new(sd_event *event, const InletOptions *options, Inlet **ret) _must_check_;
/* Closes everything. */
Inlet *inlet_free(Inlet *inlet);
DEFINE_CLEANUP(Inlet *, inlet_free)

/* Accepts on all sockets handed in as `name` and on our own at `addresses`: acceptor_listen_all(). -ENOENT: there is none at
 * all, which it says. */
int inlet_serve(Inlet *inlet, ListenFds *fds, const char *name, int family, char *const *addresses) _must_check_;
/* For those who come. */
Acceptor *inlet_acceptor(const Inlet *inlet);

/* For IntakeHandler.flush. */
void inlet_flush(IntakeSession *session);
/* Call once a second: time-outs. */
void inlet_tick(Inlet *inlet);
/* Judges every session again, as after a reload: those for which judge() returns another code than 0 get a
 * BYE. */
void inlet_review(Inlet *inlet, LinkByeCode (*judge)(InletSession *session, char **ret_why));

/* Sets of every session whether it is read; a sender that has to wait for long needs intake_remind(). */
void inlet_hold(Inlet *inlet, bool (*hold)(const InletSession *session));

void *inlet_userdata(const Inlet *inlet);
/* Besides those of the acceptor. */
const InletCounters *inlet_counters(const Inlet *inlet);
size_t inlet_connections(const Inlet *inlet);
/* Those of one user, on a Unix socket. */
size_t inlet_user_connections(const Inlet *inlet, uid_t uid);

InletSession *inlet_session_of(const IntakeSession *session);
Inlet *inlet_session_inlet(const InletSession *session);
Connection *inlet_session_connection(const InletSession *session);
const IntakeSession *inlet_session_intake(const InletSession *session);
/* See intake_session_command(). */
int inlet_session_command(InletSession *session, const LinkCommand *command) _must_check_;
/* The next of all sessions that deliver (WELCOME is out); NULL begins and ends. */
InletSession *inlet_session_next(Inlet *inlet, InletSession *session);
