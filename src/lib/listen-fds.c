/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The protocol of sd_listen_fds(3): LISTEN_PID is for whom, LISTEN_FDS how many from 3 on, LISTEN_FDNAMES
 * their names, separated by colons. */

#include "lib/listen-fds.h"
#include "basic/macro.h"

#include <fcntl.h>
#include <sys/socket.h>

#define FIRST_FD 3
/* More than a service can have descriptors. */
#define FDS_MAX 4096UL

static bool is_unix_stream(int fd)
{
        int domain, type;
        socklen_t size = sizeof(int);

        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
               getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

static unsigned long read_number(const char *variable)
{
        const char *text = getenv(variable);

        return text ? strtoul(text, NULL, 10) : 0;
}

/* Whether the i-th name of a list is `name`. */
static bool is_named(const char *names, unsigned long i, const char *name)
{
        size_t size;

        for (; names && i > 0; i--) {
                names = strchr(names, ':');
                names = names ? names + 1 : NULL;
        }
        size = names ? strcspn(names, ":") : 0;
        return size > 0 && strlen(name) == size && memcmp(names, name, size) == 0;
}

int listen_fd_take(const char *name)
{
        static unsigned long taken; /* of them, those before were looked at */
        unsigned long n = read_number("LISTEN_FDS");

        if (read_number("LISTEN_PID") != (unsigned long) getpid() || n > FDS_MAX)
                return -ENOENT;
        for (unsigned long i = name ? 0 : taken; i < n; i++) {
                int fd = FIRST_FD + (int) i;

                if (!is_unix_stream(fd) || (name && !is_named(getenv("LISTEN_FDNAMES"), i, name)))
                        continue;
                taken = i + 1;
                return fd;
        }
        return -ENOENT;
}

void listen_fd_prepare(int fd)
{
        int flags = fcntl(fd, F_GETFL);

        (void) fcntl(fd, F_SETFD, FD_CLOEXEC);
        if (flags >= 0)
                (void) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}
