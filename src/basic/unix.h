/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For the outside world, floor 2 and above: in place, so that no library of the lower floors makes such a call. */

#include "basic/macro.h"

#include <sys/socket.h>
#include <sys/un.h>

/* Connects to the stream socket at a path, without waiting. Returns the descriptor (non-blocking), or -errno: -EAGAIN
 * when the queue of those who listen is full, -ENAMETOOLONG. */
static inline int connect_unix(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_(close_fdp) int fd = -EBADF;

        if (strlen(path) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address) < 0)
                return -errno;
        return TAKE_FD(fd);
}
