/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* peers.d/NAME.conf: which peers may deliver, for whom they may speak besides themselves, and how much. Whom no
 * file names is welcome if a CA of ours certifies him, unless PeersRequired= says otherwise.
 */

#include "basic/macro.h"

#include "runtime/config-bounds.h"

/* Bytes a second: what one peer may always take of a turn of the loop is made up for in seconds, not in more than
 * its network time-out. */
extern const ConfigBounds peer_rate_bounds;

typedef enum PeerAction {
        PEER_ALLOW,
        PEER_REFUSE,
} PeerAction;

typedef struct Peer {
        char *path;
        char *name;        /* as a certificate has it */
        int action;        /* PeerAction */
        bool forget;       /* its streams leave the store's table */
        char **relay_names; /* nodes that it may deliver records of, besides its own */
        uint64_t connections_max; /* 0: as for all */
        uint64_t rate;     /* bytes a second; 0: as for all */
} Peer;

typedef struct Peers Peers;

/* Reads the files again: of `directory` alone, or of peers.d/ in /etc, /run and /usr/lib/audit-relay. All are
 * read before *peers is replaced: one that is wrong changes nothing. Says itself what is wrong. */
int peers_load(const char *directory, Peers **peers) _must_check_;
Peers *peers_free(Peers *peers);
DEFINE_CLEANUP(Peers *, peers_free)

/* The file for a name, whatever its case; NULL: there is none. */
const Peer *peers_find(const Peers *peers, const char *name);
/* By index, for those who look at all; NULL behind the last. */
const Peer *peers_get(const Peers *peers, size_t i);

/* The nodes that the peer with this name in its certificate may deliver records of, besides its own;
 * NULL-terminated, or NULL: none. */
char *const *peers_relay_names(const Peers *peers, const char *name);
/* Whether `node` is among them, whatever its case. */
bool peer_may_relay(const Peers *peers, const char *name, const char *node);
