/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What sim-net.c and sim-sockets.c share. */

#include "sim.h"
#include "basic/buffer.h"

#define SOCKETS_MAX 256
#define BACKLOG_MAX 16U
/* Above all descriptors that the system gives out. */
#define FD_BASE (1 << 24)

struct Service {
        Machine *machine;
        bool network;
        unsigned listeners;
        int backlog[BACKLOG_MAX];
        unsigned n_backlog;
};

typedef struct Socket Socket;

struct Socket {
        bool used;
        Service *service;     /* a listener's */
        const Process *owner; /* NULL: waits in the backlog */
        const Machine *machine;
        bool network;
        int peer; /* -1: gone without a word */
        int generation;
        uint64_t connect_usec; /* 0: connected */
        bool refused;
        bool hole; /* half-open: what arrives here never does */
        int error;
        uint64_t error_usec; /* when it is heard of */
        Buffer wire;
        size_t arrived;
        uint64_t arrive_usec;
        bool fin; /* the peer half-closed */
};

/* NULL: it is not one of ours. */
Socket *socket_of(int fd);
int socket_number(const Socket *s);
/* NULL: gone. */
Socket *socket_peer(const Socket *s);
bool socket_has_failed(const Socket *s);
/* All has arrived, and then the end. */
bool socket_ended(const Socket *s);
/* Bytes that its peer's wire takes. */
size_t socket_room(const Socket *s);
/* Something is under way to it. */
void socket_expect(Socket *s);
/* Takes the connection out of the backlog; -1: none waits. */
int socket_accept(Service *service);
void socket_close(Socket *s);
