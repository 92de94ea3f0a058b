/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/notify.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

int notify_manager(const char *text)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_(close_fdp) int fd = -EBADF;
        const char *path = getenv("NOTIFY_SOCKET");
        size_t size;

        if (!path || path[0] == '\0')
                return 0;
        size = strlen(path);
        if ((path[0] != '/' && path[0] != '@') || size >= sizeof address.sun_path)
                return -EINVAL;
        memcpy(address.sun_path, path, size);
        if (path[0] == '@')
                address.sun_path[0] = '\0'; /* an abstract name */
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *) &address,
                   (socklen_t) (offsetof(struct sockaddr_un, sun_path) + size)) < 0)
                return -errno;
        return 1;
}

void notify_starting(void)
{
        static uint64_t said_usec;
        uint64_t now = monotonic_usec();
        char text[80];

        if (said_usec > 0 && now - said_usec < USEC_PER_SEC)
                return;
        (void) snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%" PRIu64 "\nSTATUS=Reading the store", NOTIFY_STARTING_USEC);
        if (notify_manager(text) != -EAGAIN)
                said_usec = now;
}
