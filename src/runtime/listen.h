/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Descriptors handed in by systemd (sd_listen_fds_with_names) or systemd-socket-activate, found by name. */

#include "basic/macro.h"

typedef struct ListenFds {
        int *fds; /* taken ones are -EBADF */
        char **names;
        size_t n;
} ListenFds;

/* All descriptors passed to us; close-on-exec and non-blocking are set on each. None is no error. */
int listen_fds_get(ListenFds *ret) _must_check_;
/* Closes those that nobody took. */
void listen_fds_done(ListenFds *fds);

/* Takes the next one of that name out (several may have it). Without names (LISTEN_FDNAMES unset,
 * systemd-socket-activate without --fdname) one is matched by `family`, AF_* of the listening socket;
 * AF_INET stands for AF_INET6 as well, AF_UNSPEC for none. Returns it or -ENOENT. */
int listen_fds_take(ListenFds *fds, const char *name, int family);

/* Logs and closes those that nobody took. */
void listen_fds_warn_rest(ListenFds *fds);

/* A listening socket of our own, for running without activation: "/path" (mode), "address:port",
 * "[address]:port", "port". A stale socket file is replaced, one that somebody listens on is -EADDRINUSE.
 * Returns fd or -errno. */
int listen_unix(const char *path, unsigned mode) _must_check_;
int listen_tcp(const char *address) _must_check_;
