/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who is at the other end of a socket, as far as the kernel knows: for the log, and a Unix peer's
 * credentials. */

#include "basic/macro.h"

#include <sys/types.h>

typedef struct ConnectionPeer {
        char name[64]; /* "192.0.2.1:4711", "[2001:db8::1]:4711", "pid 4711 uid 0"; "" while it connects */
        pid_t pid;     /* -1: not a Unix socket */
        uid_t uid;
        gid_t gid;
        bool loopback; /* an address of this host's own: what is sent never leaves it */
} ConnectionPeer;

void connection_peer_init(ConnectionPeer *peer);
/* Returns 0, or -ENOTCONN for a socket that is not (yet) connected. */
int connection_peer_get(ConnectionPeer *peer, int fd) _must_check_;
