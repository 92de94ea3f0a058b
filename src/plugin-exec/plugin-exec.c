/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* plugin-exec PROGRAM [ARGUMENT…]: runs a program that reads audit records on its standard input, as audisp plugins do, on the
 * connection that comes in on the one listening socket that systemd handed in. The main process of
 * audit-relay-plugin@.service: with Accept=yes systemd would pass a connection itself, but start another unit for each, of a name
 * that nobody knows beforehand.
 *
 * Invariants:
 * 1. It accepts once: the program lives as long as the connection, and the next connection is the next program's.
 * 2. Only root and the owner of the socket may feed the program, whatever the mode of the socket has become.
 * 3. The program gets nothing of systemd's protocol: no listening socket, no LISTEN_*.
 */

#include "basic/macro.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* SD_LISTEN_FDS_START */
#define LISTENER 3

static int complain(const char *what, const char *name)
{
        fprintf(stderr, "plugin-exec: cannot %s %s: %s\n", what, name, strerror(errno));
        return EXIT_FAILURE;
}

/* Exactly one socket, and it is for this process. */
static bool socket_was_handed_in(void)
{
        const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");

        return pid && n && strtol(pid, NULL, 10) == getpid() && strcmp(n, "1") == 0;
}

/* Who made the socket's file is whom it is for. */
static bool peer_is_allowed(int fd)
{
        struct sockaddr_un address = { 0 };
        socklen_t address_size = sizeof address, peer_size = sizeof(struct ucred);
        struct ucred peer;
        struct stat st;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) < 0)
                return false;
        if (peer.uid == 0 || peer.uid == geteuid())
                return true;
        return getsockname(LISTENER, (struct sockaddr *) &address, &address_size) == 0 &&
               address_size < sizeof address && address.sun_path[0] == '/' &&
               lstat(address.sun_path, &st) == 0 && st.st_uid == peer.uid;
}

/* The first connection of somebody who may; a connection that is gone already is one, too. */
static int accept_one(void)
{
        for (;;) {
                struct pollfd listener = { .fd = LISTENER, .events = POLLIN };
                int fd;

                /* The listening socket may be non-blocking. */
                (void) poll(&listener, 1, -1);
                fd = accept4(LISTENER, NULL, NULL, 0);
                if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
                        continue;
                if (fd < 0 || peer_is_allowed(fd))
                        return fd;
                fprintf(stderr, "plugin-exec: turned away a peer of the socket that is neither root nor its owner\n");
                close(fd);
        }
}

int main(int argc, char *argv[])
{
        int fd;

        if (argc < 2) {
                fprintf(stderr, "usage: %s PROGRAM [ARGUMENT…]\n", argv[0]);
                return EXIT_FAILURE;
        }
        if (!socket_was_handed_in()) {
                fprintf(stderr, "plugin-exec: systemd has to hand in one listening socket, see "
                                "audit-relay-plugin@.socket\n");
                return EXIT_FAILURE;
        }
        fd = accept_one();
        if (fd < 0)
                return complain("accept on", "the socket handed in");
        if (dup2(fd, STDIN_FILENO) < 0)
                return complain("give the connection to", argv[1]);
        close(fd);
        close(LISTENER);
        (void) unsetenv("LISTEN_PID");
        (void) unsetenv("LISTEN_FDS");
        (void) unsetenv("LISTEN_FDNAMES");
        execvp(argv[1], argv + 1);
        return complain("run", argv[1]);
}
