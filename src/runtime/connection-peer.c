/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/connection-peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

void connection_peer_init(ConnectionPeer *peer)
{
        *peer = (ConnectionPeer){ .pid = -1, .uid = (uid_t) -1, .gid = (gid_t) -1 };
}

static void name_unix(ConnectionPeer *peer, int fd)
{
        struct ucred ucred;
        socklen_t size = sizeof ucred;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0) {
                snprintf(peer->name, sizeof peer->name, "unknown");
                return;
        }
        peer->pid = ucred.pid;
        peer->uid = ucred.uid;
        peer->gid = ucred.gid;
        snprintf(peer->name, sizeof peer->name, "pid %d uid %u", (int) ucred.pid, (unsigned) ucred.uid);
}

int connection_peer_get(ConnectionPeer *peer, int fd)
{
        union {
                struct sockaddr sa;
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
                struct sockaddr_storage storage;
        } address = { 0 };
        socklen_t size = sizeof address;
        char text[INET6_ADDRSTRLEN] = "?";

        if (getpeername(fd, &address.sa, &size) < 0)
                return -errno;
        switch (address.sa.sa_family) {
        case AF_INET:
                peer->loopback = ntohl(address.in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
                (void) inet_ntop(AF_INET, &address.in.sin_addr, text, sizeof text);
                snprintf(peer->name, sizeof peer->name, "%s:%u", text,
                         (unsigned) ntohs(address.in.sin_port));
                break;
        case AF_INET6:
                /* An IPv4 peer of a socket for both is shown, and compared by people, as what it is. */
                if (IN6_IS_ADDR_V4MAPPED(&address.in6.sin6_addr)) {
                        peer->loopback = address.in6.sin6_addr.s6_addr[12] == IN_LOOPBACKNET;
                        (void) inet_ntop(AF_INET, &address.in6.sin6_addr.s6_addr[12], text, sizeof text);
                        snprintf(peer->name, sizeof peer->name, "%s:%u", text,
                                 (unsigned) ntohs(address.in6.sin6_port));
                        break;
                }
                peer->loopback = IN6_IS_ADDR_LOOPBACK(&address.in6.sin6_addr);
                (void) inet_ntop(AF_INET6, &address.in6.sin6_addr, text, sizeof text);
                snprintf(peer->name, sizeof peer->name, "[%s]:%u", text,
                         (unsigned) ntohs(address.in6.sin6_port));
                break;
        case AF_UNIX:
                name_unix(peer, fd);
                break;
        default:
                snprintf(peer->name, sizeof peer->name, "unknown");
        }
        return 0;
}
