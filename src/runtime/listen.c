/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Listening sockets: those that were handed in, and our own where nobody hands in any. */

#include "runtime/listen.h"
#include "runtime/log.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

/* --- Handed in --- */

static int set_nonblocking(int fd)
{
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        return 0;
}

int listen_fds_get(ListenFds *ret)
{
        ListenFds fds = { 0 };
        int r;

        r = sd_listen_fds_with_names(true, &fds.names);
        if (r < 0)
                return r;
        fds.n = (size_t) r;
        fds.fds = calloc(fds.n + 1, sizeof *fds.fds);
        if (!fds.fds) {
                fds.n = 0;
                listen_fds_done(&fds);
                return -ENOMEM;
        }
        for (size_t i = 0; i < fds.n; i++)
                fds.fds[i] = SD_LISTEN_FDS_START + (int) i;
        for (size_t i = 0; i < fds.n; i++) {
                r = set_nonblocking(fds.fds[i]);
                if (r < 0) {
                        listen_fds_done(&fds);
                        return r;
                }
        }
        *ret = fds;
        return 0;
}

void listen_fds_done(ListenFds *fds)
{
        for (size_t i = 0; i < fds->n; i++)
                fds->fds[i] = close_fd(fds->fds[i]);
        for (size_t i = 0; fds->names && fds->names[i]; i++)
                free(fds->names[i]);
        free(fds->names);
        free(fds->fds);
        *fds = (ListenFds) { 0 };
}

/* What sd_listen_fds_with_names() calls a descriptor that was passed without a name. */
static bool fd_is_nameless(const ListenFds *fds, size_t i)
{
        return strcmp(fds->names[i], "unknown") == 0 || fds->names[i][0] == '\0';
}

static bool fd_has_family(int fd, int family)
{
        int domain = AF_UNSPEC;
        socklen_t size = sizeof domain;

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0)
                return false;
        return domain == family || (family == AF_INET && domain == AF_INET6);
}

int listen_fds_take(ListenFds *fds, const char *name, int family)
{
        for (size_t i = 0; i < fds->n; i++)
                if (fds->fds[i] >= 0 && strcmp(fds->names[i], name) == 0)
                        return TAKE_FD(fds->fds[i]);
        if (family == AF_UNSPEC)
                return -ENOENT;
        for (size_t i = 0; i < fds->n; i++)
                if (fds->fds[i] >= 0 && fd_is_nameless(fds, i) && fd_has_family(fds->fds[i], family))
                        return TAKE_FD(fds->fds[i]);
        return -ENOENT;
}

void listen_fds_warn_rest(ListenFds *fds)
{
        for (size_t i = 0; i < fds->n; i++) {
                if (fds->fds[i] < 0)
                        continue;
                log_message(LOG_WARNING, MESSAGE_ID_DESCRIPTOR_UNUSED, NULL,
                            "A socket named \"%s\" was handed in that is not used here; closed",
                            fds->names[i]);
                fds->fds[i] = close_fd(fds->fds[i]);
        }
}

/* --- Our own --- */

/* Whether it is a socket file on which nobody listens any more. */
static bool unix_is_stale(const struct sockaddr_un *address)
{
        _cleanup_(close_fdp) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct stat st;

        /* connect() says ECONNREFUSED of any file. */
        if (lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
                return false;
        return fd >= 0 && connect(fd, (const struct sockaddr *) address, sizeof *address) < 0 &&
               errno == ECONNREFUSED;
}

static int unix_bind(int fd, const struct sockaddr_un *address)
{
        if (bind(fd, (const struct sockaddr *) address, sizeof *address) >= 0)
                return 0;
        if (errno != EADDRINUSE)
                return -errno;
        if (!unix_is_stale(address))
                return -EADDRINUSE;
        if (unlink(address->sun_path) < 0 ||
            bind(fd, (const struct sockaddr *) address, sizeof *address) < 0)
                return -errno;
        return 0;
}

int listen_unix(const char *path, unsigned mode)
{
        _cleanup_(close_fdp) int fd = -EBADF;
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t n = strlen(path);
        int r;

        if (n == 0 || n >= sizeof address.sun_path)
                return n == 0 ? -EINVAL : -ENAMETOOLONG;
        memcpy(address.sun_path, path, n);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        /* On Linux the file gets this mode, less the umask: it is never open to more than asked for. */
        if (fchmod(fd, mode) < 0)
                return -errno;
        r = unix_bind(fd, &address);
        if (r < 0)
                return r;
        if (chmod(path, mode) < 0 || listen(fd, SOMAXCONN) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* Splits "address:port", "[address]:port", "port" in place; *ret_host is NULL for all addresses. */
static int split_address(char *address, char **ret_host, char **ret_port)
{
        char *colon = strrchr(address, ':');
        size_t n;

        *ret_host = NULL;
        *ret_port = colon ? colon + 1 : address;
        /* getaddrinfo() would take an empty one for port 0. */
        if ((*ret_port)[0] == '\0')
                return -EINVAL;
        if (!colon)
                return 0;
        *colon = '\0';
        n = strlen(address);
        if (address[0] == '[') {
                if (address[n - 1] != ']')
                        return -EINVAL;
                address[n - 1] = '\0';
                address++;
        } else if (strchr(address, ':')) {
                return -EINVAL; /* an IPv6 address without its brackets */
        }
        if (address[0] != '\0' && strcmp(address, "*") != 0)
                *ret_host = address;
        return 0;
}

static int tcp_bind(const struct addrinfo *info)
{
        _cleanup_(close_fdp) int fd = -EBADF;
        int on = 1, off = 0;

        fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
                return -errno;
        if (info->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0)
                return -errno;
        if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int listen_tcp(const char *address)
{
        _cleanup_(freep) char *copy = strdup(address);
        /* All addresses: [::] takes IPv4 as well; 0.0.0.0 is for kernels without IPv6. */
        static const int families[] = { AF_INET6, AF_INET };
        char *host, *port;
        int r;

        if (!copy)
                return -ENOMEM;
        r = split_address(copy, &host, &port);
        if (r < 0)
                return r;
        r = -EINVAL;
        for (size_t i = 0; i < ELEMENTSOF(families); i++) {
                struct addrinfo hints = { .ai_family = families[i],
                                          .ai_socktype = SOCK_STREAM,
                                          .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV };
                struct addrinfo *info;

                if (getaddrinfo(host, port, &hints, &info) != 0)
                        continue;
                r = tcp_bind(info);
                freeaddrinfo(info);
                if (r >= 0 || r == -EADDRINUSE)
                        break;
        }
        return r;
}
