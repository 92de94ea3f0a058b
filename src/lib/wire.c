/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib/wire.h"
#include "basic/unix.h"

#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>

uint64_t wire_now(void)
{
        struct timespec now;

        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * USEC_PER_SEC + (uint64_t) now.tv_nsec / 1000;
}

static int watch(const Wire *wire, int operation, int fd, uint32_t events)
{
        struct epoll_event event = { .events = events, .data.fd = fd };

        return epoll_ctl(wire->epoll, operation, fd, &event) < 0 ? -errno : 0;
}

int wire_init(Wire *wire, size_t input_max, size_t output_max)
{
        *wire = (Wire) {
                .epoll = epoll_create1(EPOLL_CLOEXEC),
                .timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                .listener = -EBADF,
                .fd = -EBADF,
                .armed_usec = USEC_INFINITY,
                .retry_usec = USEC_INFINITY,
                .backoff_usec = WIRE_BACKOFF_MIN_USEC,
                .input = BUFFER_INIT(input_max),
                .output = BUFFER_INIT(output_max),
        };
        if (wire->epoll < 0 || wire->timer < 0)
                return -errno;
        return watch(wire, EPOLL_CTL_ADD, wire->timer, EPOLLIN);
}

static void disconnect(Wire *wire)
{
        /* Closing takes it out of the epoll set: nobody has a copy of it. */
        wire->fd = close_fd(wire->fd);
        wire->writing = false;
        buffer_done(&wire->input);
        buffer_done(&wire->output);
}

void wire_done(Wire *wire)
{
        disconnect(wire);
        wire->listener = close_fd(wire->listener);
        wire->timer = close_fd(wire->timer);
        wire->epoll = close_fd(wire->epoll);
        free(wire->path);
        wire->path = NULL;
}

int wire_take(Wire *wire, int fd)
{
        int r = watch(wire, EPOLL_CTL_ADD, fd, EPOLLIN);

        if (r < 0) {
                close_fd(fd);
                return r;
        }
        wire->fd = fd;
        wire->retry_usec = USEC_INFINITY;
        return 0;
}

int wire_connect(Wire *wire)
{
        int fd = connect_unix(wire->path);

        return fd < 0 ? fd : wire_take(wire, fd);
}

int wire_listen(Wire *wire, int fd)
{
        int r = watch(wire, EPOLL_CTL_ADD, fd, EPOLLIN);

        if (r < 0) {
                close_fd(fd);
                return r;
        }
        wire->listener = fd;
        wire->accepting = true;
        return 0;
}

/* Half of it for certain, half of it random. */
static uint64_t next_backoff(Wire *wire)
{
        uint64_t backoff = wire->backoff_usec, random = 0;

        wire->backoff_usec = MIN(2 * backoff, (uint64_t) WIRE_BACKOFF_MAX_USEC);
        if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
                random = backoff / 4;
        return backoff / 2 + random % (backoff / 2 + 1);
}

static int accept_one(Wire *wire)
{
        int fd = accept4(wire->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        int r;

        if (fd < 0)
                return errno == EAGAIN || errno == ECONNABORTED || errno == EINTR ? 0 : -errno;
        r = wire_take(wire, fd);
        if (r < 0)
                return r;
        /* Whoever connects now waits in the queue until this one is gone. */
        (void) watch(wire, EPOLL_CTL_DEL, wire->listener, 0);
        wire->accepting = false;
        return 1;
}

int wire_renew(Wire *wire, uint64_t now_usec)
{
        int r;

        if (wire->fd >= 0)
                return 1;
        if (wire->listener >= 0)
                return accept_one(wire);
        if (!wire->path || now_usec < wire->retry_usec)
                return 0;
        r = wire_connect(wire);
        if (r >= 0)
                return 1;
        wire_lose(wire, now_usec, 0, strerror(-r));
        return 0;
}

void wire_lose(Wire *wire, uint64_t now_usec, uint64_t retry_usec, const char *why)
{
        disconnect(wire);
        if (why != wire->why)
                (void) snprintf(wire->why, sizeof wire->why, "%s", why);
        if (wire->listener >= 0 && !wire->accepting)
                wire->accepting = watch(wire, EPOLL_CTL_ADD, wire->listener, EPOLLIN) >= 0;
        if (wire->path)
                wire->retry_usec = now_usec + MAX(next_backoff(wire), retry_usec);
}

ssize_t wire_read(Wire *wire)
{
        uint8_t *space = buffer_reserve(&wire->input, WIRE_READ_SIZE);
        ssize_t n;

        if (!space)
                return -ENOBUFS;
        n = recv(wire->fd, space, WIRE_READ_SIZE, MSG_DONTWAIT);
        if (n == 0)
                return -ENOTCONN;
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        buffer_extend(&wire->input, (size_t) n);
        return n;
}

int wire_flush(Wire *wire)
{
        bool writing;

        while (wire->fd >= 0 && buffer_size(&wire->output) > 0) {
                ssize_t n = send(wire->fd, buffer_head(&wire->output), buffer_size(&wire->output),
                                 MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0)
                        return -errno;
                buffer_consume(&wire->output, (size_t) n);
        }
        writing = buffer_size(&wire->output) > 0;
        if (wire->fd < 0 || writing == wire->writing)
                return 0;
        wire->writing = writing;
        return watch(wire, EPOLL_CTL_MOD, wire->fd, writing ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void wire_arm(Wire *wire, uint64_t deadline_usec)
{
        uint64_t when = wire->fd < 0 ? MIN(deadline_usec, wire->retry_usec) : deadline_usec;
        struct itimerspec spec = { 0 };

        /* One that has fired is set again also to what it was: that makes the descriptor quiet. */
        if (when == wire->armed_usec && when > wire_now())
                return;
        wire->armed_usec = when;
        if (when != USEC_INFINITY) {
                spec.it_value.tv_sec = (time_t) (when / USEC_PER_SEC);
                /* Not 0, which would disarm it. */
                spec.it_value.tv_nsec = (long) (when % USEC_PER_SEC * 1000 + (when == 0));
        }
        (void) timerfd_settime(wire->timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

int wire_wait(const Wire *wire, uint64_t deadline_usec)
{
        struct pollfd fd = { .fd = wire->epoll, .events = POLLIN };
        uint64_t now = wire_now(), left = deadline_usec > now ? deadline_usec - now : 0;
        struct timespec timeout = {
                .tv_sec = (time_t) (left / USEC_PER_SEC),
                .tv_nsec = (long) (left % USEC_PER_SEC * 1000),
        };

        if (ppoll(&fd, 1, deadline_usec == USEC_INFINITY ? NULL : &timeout, NULL) < 0)
                return -errno;
        return 0;
}
