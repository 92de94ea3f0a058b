/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/inlet.h"
#include "runtime/log.h"

/* Only those who own the program may connect to a Unix socket of its own making. */
#define UNIX_MODE 0600U

static int serve_address(Inlet *inlet, const char *address)
{
        int fd = address[0] == '/' ? listen_unix(address, UNIX_MODE) : listen_tcp(address);

        if (fd >= 0)
                return inlet_listen(inlet, fd);
        log_error("Cannot listen on %s: %s", address, strerror(-fd));
        return fd;
}

int inlet_serve(Inlet *inlet, ListenFds *fds, const char *name, int family, char *const *addresses)
{
        size_t n = 0;
        int fd, r = 0;

        for (; r >= 0 && (fd = listen_fds_take(fds, name, family)) >= 0; n++)
                r = inlet_listen(inlet, fd);
        for (; r >= 0 && addresses && *addresses; addresses++, n++)
                r = serve_address(inlet, *addresses);
        if (r >= 0 && n == 0) {
                log_error("There is no socket: none was handed in as \"%s\", and Listen= is not set", name);
                return -ENOENT;
        }
        return r;
}
