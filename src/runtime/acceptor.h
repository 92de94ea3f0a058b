/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Those who come to listening sockets: accepted while there is room, served when it is their handshake's turn (admission.h).
 * Who waits for that is a descriptor and what his owner keeps of him, then he has a connection. What becomes of that is the owner's.
 */

#include "runtime/admission.h"
#include "runtime/connection.h"
#include "runtime/listen.h"

/* Listening sockets of one acceptor. */
#define ACCEPTOR_LISTENERS_MAX 16U

typedef struct Acceptor Acceptor;

/* Somebody who came; embedded by the acceptor's owner, who reads `connection` and leaves the rest alone. */
typedef struct Arrival {
        Acceptor *acceptor;
        Connection *connection; /* its userdata is the arrival; NULL: he waits */
        int fd;                 /* while he waits */
        Visitor visitor;        /* until the handshake is done */
} Arrival;

typedef struct AcceptorHandler {
        /* Somebody has connected on fd. Returns 0 with his arrival, zeroed, or with NULL: he is not wanted. */
        int (*admit)(Acceptor *acceptor, int fd, const struct sockaddr *from, Arrival **ret);
        /* His turn has come: makes the transport. NULL: all connections are plain. */
        int (*secure)(Arrival *arrival, int fd, Transport **ret);
        /* He has a connection, which is about to begin. */
        void (*served)(Arrival *arrival);
        /* Frees him, whether he was served or not: calls acceptor_part() and does the rest. */
        void (*free)(Arrival *arrival);
        /* For the connections; closed() calls acceptor_closed() as its last. */
        const ConnectionHandler *connection;
} AcceptorHandler;

typedef struct AcceptorOptions {
        const AcceptorHandler *handler;
        size_t connections_max;     /* behind these nobody is accepted and the kernel's queue waits */
        AdmissionOptions admission; /* handshakes; zero for plain connections */
        uint64_t connect_usec;      /* for waiting for the handshake, and again for the handshake */
        void *userdata;
} AcceptorOptions;

typedef struct AcceptorCounters {
        uint64_t accepted; /* those that were wanted */
        uint64_t surplus;  /* of these, turned away: too many of their address wait */
        uint64_t overdue;  /* waited in vain */
        uint64_t hurried;  /* handshakes ended, as others waited */
} AcceptorCounters;

int acceptor_new(sd_event *event, const AcceptorOptions *options, Acceptor **ret) _must_check_;
/* Frees all who wait; who is served must be gone before. */
Acceptor *acceptor_free(Acceptor *acceptor);
DEFINE_CLEANUP(Acceptor *, acceptor_free)

/* Accepts on fd, which is taken over, also on failure. */
int acceptor_listen(Acceptor *acceptor, int fd) _must_check_;
/* Accepts on all sockets handed in as `name` (listen_fds_take) and on our own at `addresses` (NULL-terminated or NULL; a path:
 * Unix, else TCP). Returns how many there are, or a negative errno; says itself what is wrong with an address. */
int acceptor_listen_all(Acceptor *acceptor, ListenFds *fds, const char *name, int family,
                        char *const *addresses) _must_check_;
/* Takes somebody in whom somebody else accepted; fd is taken over, also on failure. */
int acceptor_take(Acceptor *acceptor, int fd) _must_check_;
/* Whether somebody has connected whom nobody has accepted. */
bool acceptor_waiting(const Acceptor *acceptor);
/* Accepts no more, and frees those who wait: none of them is to be served. */
void acceptor_close(Acceptor *acceptor);
/* Behind acceptor_close(), when all who are served have been told that it is over: calls done() once they are gone, which may be
 * at once. Who has not taken our last words after a second is waited for no longer. */
void acceptor_leave(Acceptor *acceptor, void (*done)(void *userdata), void *userdata);
/* Call once a second: who waited for too long goes, who is in others' way is cut, listeners that rested listen again. */
void acceptor_tick(Acceptor *acceptor, uint64_t now_usec);

/* Whether his handshake is under way: nobody knows yet who he is. */
static inline bool arrival_is_visitor(const Arrival *arrival)
{
        return arrival->visitor.address;
}
/* His handshake is done: another one may begin. */
void acceptor_established(Arrival *arrival);
/* His connection is over: he is freed, and others have his place. */
void acceptor_closed(Arrival *arrival);
/* From free(): ends his connection or closes his descriptor. */
void acceptor_part(Arrival *arrival);

void *acceptor_userdata(const Acceptor *acceptor);
const AcceptorCounters *acceptor_counters(const Acceptor *acceptor);
/* Those served, from their handshake to their end. */
size_t acceptor_connections(const Acceptor *acceptor);
/* Handshakes that are served, and that wait for it. */
size_t acceptor_handshakes(const Acceptor *acceptor, size_t *ret_waiting);
