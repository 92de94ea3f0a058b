/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which process wrote to a Unix socket. On one that PID 1 listens on, the kernel names PID 1 as the peer,
 * whoever serves it; the bytes have their writer. */

#include "basic/macro.h"

#include <sys/types.h>

typedef struct ConnectionSender {
        bool watched;
        pid_t pid; /* of who wrote last; -1: nobody yet, or not known */
        uid_t uid;
        int pidfd; /* of that very process; -EBADF: the kernel has none */
} ConnectionSender;

#define CONNECTION_SENDER_INIT ((ConnectionSender) { .pid = -1, .uid = (uid_t) -1, .pidfd = -EBADF })

void connection_sender_done(ConnectionSender *sender);
/* Returns 0 or a negative errno: nothing will be known then. */
int connection_sender_watch(ConnectionSender *sender, int fd) _must_check_;
/* As recv() without flags, and notes who wrote: bytes of two writers come in two calls. Descriptors that
 * come with them are closed. */
ssize_t connection_sender_recv(ConnectionSender *sender, int fd, void *data, size_t size);

/* Of the process that connected to the socket; -EBADF when it is gone or the kernel has none. */
int connection_sender_pidfd(int fd);
/* Its supplementary groups; the caller frees them. Returns 0 or a negative errno. */
int connection_sender_groups(int fd, gid_t **ret, size_t *ret_n) _must_check_;
