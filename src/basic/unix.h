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

/* Reads from a descriptor to the end, but no more than `max` bytes: who must not have a part asks for one byte more than
 * he takes. *ret_text is the caller's to free and ends with a NUL that *ret_size (may be NULL) does not count. Returns 0 or
 * a negative errno. */
static inline int read_text(int fd, size_t max, char **ret_text, size_t *ret_size)
{
        _cleanup_(freep) char *text = malloc(max + 1);
        size_t size = 0;

        if (!text)
                return -ENOMEM;
        while (size < max) {
                ssize_t n = read(fd, text + size, max - size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                size += (size_t) n;
        }
        text[size] = '\0';
        *ret_text = TAKE_PTR(text);
        if (ret_size)
                *ret_size = size;
        return 0;
}
