/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A socket in the loop: its life. What it does in a turn is in connection-turn.c.
 *
 *      CONNECTING → HANDSHAKE → OPEN → FLUSHING → DRAINING → CLOSED
 *
 * closed() comes from the defer source alone, once, as the last thing that touches the connection: wherever
 * an error is noticed, its owner's call returns first.
 */

#include "runtime/connection-private.h"

#include "link/frame.h"
#include "runtime/loop.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

/* A whole frame behind a partly consumed one. */
#define INPUT_MAX (2U * LINK_FRAME_MAX)
/* What a sender fills up to, one frame more that crosses it, and one of small ones: acks and states. */
#define OUTPUT_MAX (4U * LINK_FRAME_MAX)
/* A peer that has read our BYE closes within a round trip, or after it has sent what it had begun. */
#define FINISH_TIMEOUT_USEC (5 * USEC_PER_SEC)

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Connection *c = userdata;

        /* The socket takes bytes again: the owner may have some. */
        if (revents & EPOLLOUT && c->handler->drained)
                c->refill = true;
        connection_turn(c, revents);
        return 0;
}

static int on_defer(sd_event_source *source, void *userdata)
{
        Connection *c = userdata;

        if (c->state == CONNECTION_CLOSED)
                c->handler->closed(c, c->error, c->why ? c->why : "Out of memory"); /* c may be gone now */
        else
                connection_turn(c, 0);
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Connection *c = userdata;

        if (c->state == CONNECTION_CONNECTING)
                connection_over(c, -ETIMEDOUT, "No connection within %.1f s",
                                (double) c->timeout_usec / USEC_PER_SEC);
        else if (c->state == CONNECTION_HANDSHAKE)
                connection_over(c, -ETIMEDOUT, "No TLS handshake within %.1f s",
                                (double) c->timeout_usec / USEC_PER_SEC);
        else
                connection_over(c, 0, "Finished; the peer did not close in time");
        return 0;
}

static int set_timer(Connection *c, uint64_t usec)
{
        int r;

        c->timer = sd_event_source_disable_unref(c->timer);
        if (usec == USEC_INFINITY)
                return 0;
        r = sd_event_add_time_relative(c->event, &c->timer, CLOCK_MONOTONIC, usec, 0, on_timer, c);
        return r < 0 ? r : sd_event_source_set_priority(c->timer, LOOP_DATA);
}

int connection_connect(const struct addrinfo *address, int *ret_fd)
{
        _cleanup_(close_fdp) int fd = -EBADF;
        int on = 1;

        fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    address->ai_protocol);
        if (fd < 0)
                return -errno;
        /* Frames are written whole; a window's last must not wait for an ack of the one before. */
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (connect(fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS)
                return -errno;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int connection_new(sd_event *event, int fd, Transport *transport, const ConnectionHandler *handler,
                   void *userdata, Connection **ret)
{
        _cleanup_(connection_freep) Connection *c = NULL;
        int r;

        c = calloc(1, sizeof *c);
        if (!c) {
                transport_free(transport);
                close_fd(fd);
                return -ENOMEM;
        }
        c->event = sd_event_ref(event);
        c->fd = fd;
        c->transport = transport;
        c->handler = handler;
        c->userdata = userdata;
        c->input = BUFFER_INIT(INPUT_MAX);
        c->output = BUFFER_INIT(OUTPUT_MAX);
        connection_peer_init(&c->peer);
        c->sender = CONNECTION_SENDER_INIT;
        c->armed = CONNECTION_UNARMED;
        r = sd_event_add_io(event, &c->io, fd, 0, on_io, c);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(c->io, LOOP_DATA);
        if (r < 0)
                return r;
        r = sd_event_add_defer(event, &c->defer, on_defer, c);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(c->defer, LOOP_DATA);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(c->defer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(c->io, "connection");
        (void) sd_event_source_set_description(c->defer, "connection-continue");
        *ret = TAKE_PTR(c);
        return 0;
}

int connection_start(Connection *c, uint64_t timeout_usec)
{
        int r;

        assert(c->state == CONNECTION_NEW);
        c->timeout_usec = timeout_usec;
        (void) sd_event_now(c->event, CLOCK_MONOTONIC, &c->heard_usec);
        r = set_timer(c, timeout_usec);
        if (r < 0)
                return r;
        r = connection_peer_get(&c->peer, c->fd);
        if (r == -ENOTCONN)
                c->state = CONNECTION_CONNECTING;
        else if (r < 0)
                return r;
        else if (c->transport)
                c->state = CONNECTION_HANDSHAKE;
        else {
                c->in_turn = true;
                connection_establish(c);
                c->in_turn = false;
                connection_flush(c);
        }
        /* The client speaks first. A turn from the loop finds out; until then nobody is told anything. */
        if (c->state == CONNECTION_HANDSHAKE)
                connection_defer(c);
        connection_want(c);
        return 0;
}

Connection *connection_free(Connection *c)
{
        if (!c)
                return NULL;
        sd_event_source_disable_unref(c->io);
        sd_event_source_disable_unref(c->timer);
        sd_event_source_disable_unref(c->defer);
        transport_free(c->transport);
        close_fd(c->fd);
        connection_sender_done(&c->sender);
        buffer_done(&c->input);
        buffer_done(&c->output);
        sd_event_unref(c->event);
        free(c->why);
        free(c);
        return NULL;
}

void connection_flush(Connection *c)
{
        if (c->state != CONNECTION_OPEN)
                return;
        if (c->in_turn)
                return;
        connection_write_turn(c, false);
        connection_want(c);
}

void connection_refill(Connection *c)
{
        c->refill = true;
}

void connection_pause(Connection *c, bool pause)
{
        if (c->paused && !pause)
                c->offer = buffer_size(&c->input) > 0;
        c->paused = pause;
        if (!c->in_turn)
                connection_want(c);
}

void connection_only_write(Connection *c)
{
        c->only_write = true;
        connection_pause(c, true);
}

int connection_unread(const Connection *c, size_t *ret)
{
        struct pollfd poll_fd = { .fd = c->fd };
        int queued;

        /* In this order: who closes its end first hangs up and then loses what was queued. */
        if (ioctl(c->fd, SIOCOUTQ, &queued) < 0)
                return -errno;
        if (poll(&poll_fd, 1, 0) != 0)
                return -EPIPE;
        *ret = (size_t) queued + buffer_size(&c->output);
        return 0;
}

void connection_finish(Connection *c)
{
        switch (c->state) {
        case CONNECTION_OPEN:
                c->state = CONNECTION_FLUSHING;
                if (set_timer(c, FINISH_TIMEOUT_USEC) < 0)
                        connection_over(c, 0, "Finished");
                else if (!c->in_turn)
                        connection_want(c);
                break;
        case CONNECTION_NEW:
        case CONNECTION_CONNECTING:
        case CONNECTION_HANDSHAKE:
                connection_over(c, 0, "Finished before it was established");
                break;
        case CONNECTION_FLUSHING:
        case CONNECTION_DRAINING:
        case CONNECTION_CLOSED:
                break;
        }
}

void connection_cut(Connection *c)
{
        connection_over(c, 0, "Given up");
}

void *connection_userdata(const Connection *c)
{
        return c->userdata;
}

Transport *connection_transport(const Connection *c)
{
        return c->transport;
}

Buffer *connection_output(Connection *c)
{
        return &c->output;
}

const char *connection_peer(const Connection *c)
{
        return c->peer.name;
}

bool connection_loopback(const Connection *c)
{
        return c->peer.loopback;
}

void connection_credentials(const Connection *c, pid_t *ret_pid, uid_t *ret_uid, gid_t *ret_gid)
{
        *ret_pid = c->peer.pid;
        *ret_uid = c->peer.uid;
        *ret_gid = c->peer.gid;
}

int connection_groups(const Connection *c, gid_t **ret, size_t *ret_n)
{
        return connection_sender_groups(c->fd, ret, ret_n);
}

void connection_watch(Connection *c)
{
        /* Without, the sender is whom the credentials name. */
        if (c->peer.pid >= 0 && connection_sender_watch(&c->sender, c->fd) < 0)
                c->sender.watched = false;
}

void connection_sender(const Connection *c, pid_t *ret_pid, uid_t *ret_uid, int *ret_pidfd)
{
        if (c->sender.watched) {
                *ret_pid = c->sender.pid;
                *ret_uid = c->sender.uid;
                *ret_pidfd = fcntl(c->sender.pidfd, F_DUPFD_CLOEXEC, 3);
        } else {
                *ret_pid = c->peer.pid;
                *ret_uid = c->peer.uid;
                *ret_pidfd = connection_sender_pidfd(c->fd);
        }
        if (*ret_pidfd < 0)
                *ret_pidfd = -EBADF;
}

uint64_t connection_heard_usec(const Connection *c)
{
        return c->heard_usec;
}
