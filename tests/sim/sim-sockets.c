/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The C library's functions on sockets, for those of sim-net.c. A process that has died within an event goes
 * on to its end: what it still sends goes nowhere.
 */

#include "sim-net.h"

#undef NDEBUG
#include <assert.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failed(int error)
{
        errno = error;
        return -1;
}

/* As remote asks for: TCP over IPv4, to a collector. */
int socket(int domain, int type, int protocol)
{
        assert(domain == AF_INET && (type & SOCK_STREAM));
        return sim_socket();
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
        return 0;
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
        struct sockaddr_in in;

        memcpy(&in, address.__sockaddr__, sizeof in);
        sim_socket_connect(fd, sim.machines[ntohs(in.sin_port) - SIM_PORT].service);
        return failed(EINPROGRESS);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
        Socket *s = socket_of(fd), *peer = socket_peer(s);
        size_t size = 0, n;

        for (size_t i = 0; i < message->msg_iovlen; i++)
                size += message->msg_iov[i].iov_len;
        if (sim_process_is_gone(sim.current))
                return (ssize_t) size;
        if (socket_has_failed(s) || s->refused)
                return failed(s->refused ? ECONNREFUSED : s->error == ECONNRESET ? EPIPE : s->error);
        if (!peer) {
                if (!s->hole && s->fin)
                        return failed(EPIPE);
                return (ssize_t) size; /* into the void */
        }
        n = MIN(size, socket_room(s));
        if (n == 0)
                return failed(EAGAIN);
        if (sim_chance(20))
                n = 1 + sim_below(n);
        size = n;
        for (const struct iovec *piece = message->msg_iov; size > 0; piece++) {
                size_t taken = MIN(size, piece->iov_len);

                assert(buffer_append(&peer->wire, piece->iov_base, taken) == 0);
                size -= taken;
        }
        socket_expect(peer);
        return (ssize_t) n;
}

ssize_t recv(int fd, void *data, size_t size, int flags)
{
        Socket *s = socket_of(fd);
        size_t n = MIN(size, s->arrived);

        if (sim_process_is_gone(sim.current))
                return failed(EAGAIN);
        if (socket_has_failed(s) || s->refused)
                return failed(s->refused ? ECONNREFUSED : s->error);
        if (n == 0)
                return socket_ended(s) ? 0 : failed(EAGAIN);
        if (sim_chance(10))
                n = 1 + sim_below(n);
        memcpy(data, buffer_head(&s->wire), n);
        buffer_consume(&s->wire, n);
        s->arrived -= n;
        return (ssize_t) n;
}

int shutdown(int fd, int how)
{
        Socket *s = socket_of(fd), *peer = socket_peer(s);

        if (socket_has_failed(s))
                return failed(ENOTCONN);
        if (peer && !sim_process_is_gone(sim.current)) {
                peer->fin = true;
                socket_expect(peer);
        }
        return 0;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
        const Socket *s = socket_of(fd);
        int error = s->refused ? ECONNREFUSED : socket_has_failed(s) ? s->error : 0;

        assert(level == SOL_SOCKET && name == SO_ERROR && *size >= sizeof error);
        memcpy(value, &error, sizeof error);
        return 0;
}

/* poll(); by that name, the compiler knows that what it is given is only written to. */
int sim_poll(struct pollfd *fds, nfds_t n, int timeout) __asm__("poll");

int sim_poll(struct pollfd *fds, nfds_t n, int timeout)
{
        assert(n == 1 && timeout == 0);
        fds->revents = (short) (sim_net_ready(fds->fd) & (uint32_t) fds->events);
        return fds->revents != 0;
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *size, int flags)
{
        int accepted = sim_process_is_gone(sim.current) ? -1 : socket_accept(socket_of(fd)->service);

        if (accepted < 0)
                return failed(EAGAIN);
        socket_of(accepted)->owner = sim.current;
        return accepted;
}

int close(int fd)
{
        Socket *s = socket_of(fd);

        if (!s && fd >= FD_BASE)
                return failed(EBADF);
        if (!s)
                return (int) syscall(SYS_close, fd);
        socket_close(s);
        return 0;
}
