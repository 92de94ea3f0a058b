/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A turn of a connection: what it does when the socket is ready or something waits.
 *
 * 1. A turn is bounded in both directions. What is left is continued by level-triggered poll, or, for bytes
 *    that the transport has taken from the socket already, by the defer source.
 * 2. Before close() the receive queue is read to EOF, or the kernel would answer it with RST, which may
 *    destroy the BYE in the peer's queue. What is drained is dropped undecrypted; it was not acked.
 * 3. poll() reports a hang-up even when nothing is asked for. While nothing is to be read, that switches the
 *    source off, or the loop would spin. A peer that is only written to has ended with it.
 * 4. The loop dispatches one connection a time and polls before each. Level-triggered, poll() would report all that
 *    are ready each time, which makes a turn as expensive as there are busy connections. So each is told of once
 *    (EPOLLET), and asked for again at the end of its turn, which finds what is still there as level-triggering does;
 *    between turns only if it is something else, for that gives up its place in the queue.
 */

#include "runtime/connection-private.h"

#include "link/frame.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* First read of a turn: room for the frames of a quiet peer. A read that fills it is followed by one for the
 * rest of the turn. */
#define READ_FIRST (32U * 1024U)
/* A turn that moved no more than this leaves an empty buffer without memory, so that idle connections hold
 * none and busy ones need not ask for it again and again. */
#define QUIET_MAX (64U * 1024U)
/* What a peer with a full window in flight sends before it sees our end, and as much again. */
#define DRAIN_MAX (16U * 1024U * 1024U)

void connection_defer(Connection *c)
{
        (void) sd_event_source_set_enabled(c->defer, SD_EVENT_ONESHOT);
}

void connection_over(Connection *c, int error, const char *format, ...)
{
        va_list ap;

        if (c->state == CONNECTION_CLOSED)
                return;
        va_start(ap, format);
        if (vasprintf(&c->why, format, ap) < 0)
                c->why = NULL;
        va_end(ap);
        /* Who finishes has said what it had to say: how the peer takes it is no error. */
        c->error = c->state == CONNECTION_FLUSHING || c->state == CONNECTION_DRAINING ? 0 : error;
        c->state = CONNECTION_CLOSED;
        c->timer = sd_event_source_disable_unref(c->timer);
        (void) sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
        connection_defer(c);
}

/* The stream failed with a negative errno. */
static void over_stream(Connection *c, int error)
{
        const char *why = c->transport ? c->transport->error(c->transport) : "";

        if (*why)
                connection_over(c, error, "%s", why);
        else
                connection_over(c, error, "The connection broke: %s", strerror(-error));
}

/* A handler wants it closed. Who called connection_finish() as well gets that. */
static void over_handler(Connection *c, int error)
{
        if (c->state == CONNECTION_OPEN)
                connection_over(c, error, "%s", strerror(-error));
}

static bool can_read(const Connection *c)
{
        return c->state == CONNECTION_OPEN && !c->paused && buffer_size(&c->input) < c->input.maximum;
}

bool connection_is_full(const Connection *c)
{
        return buffer_size(&c->output) > 0 || (c->transport && c->transport->wants_write(c->transport));
}

/* Bytes that poll() does not see. */
static bool holds_input(const Connection *c)
{
        return c->transport && c->transport->pending(c->transport) > 0;
}

void connection_want(Connection *c)
{
        uint32_t events = 0;

        switch (c->state) {
        case CONNECTION_CONNECTING:
                events = EPOLLOUT;
                break;
        case CONNECTION_HANDSHAKE:
                events = EPOLLIN | (c->transport->wants_write(c->transport) ? EPOLLOUT : 0);
                break;
        case CONNECTION_OPEN:
                events = (can_read(c) ? EPOLLIN : 0) | (connection_is_full(c) ? EPOLLOUT : 0);
                /* A full input is offered, too: only that makes room to read. */
                if ((c->refill && !connection_is_full(c)) || (c->offer && !c->paused) ||
                    (can_read(c) && holds_input(c)))
                        connection_defer(c);
                break;
        case CONNECTION_FLUSHING:
                events = (c->ended ? 0 : EPOLLIN) | (connection_is_full(c) ? EPOLLOUT : 0);
                if (!connection_is_full(c))
                        connection_defer(c);
                break;
        case CONNECTION_DRAINING:
                events = EPOLLIN;
                break;
        case CONNECTION_NEW:
        case CONNECTION_CLOSED:
                return;
        }
        /* See 4. */
        if (events != c->armed)
                (void) sd_event_source_set_io_events(c->io, events | EPOLLET);
        c->armed = events;
        (void) sd_event_source_set_enabled(c->io, SD_EVENT_ON);
}

static void offer_input(Connection *c)
{
        int r;

        c->offer = false;
        if (c->state != CONNECTION_OPEN || buffer_size(&c->input) == 0)
                return;
        r = c->handler->received(c, &c->input);
        if (r < 0)
                over_handler(c, r);
}

static ssize_t stream_read(Connection *c, void *data, size_t size)
{
        ssize_t n;

        if (c->transport)
                return c->transport->read(c->transport, data, size);
        do
                n = c->sender.watched ? connection_sender_recv(&c->sender, c->fd, data, size)
                                      : recv(c->fd, data, size, 0);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

static void read_turn(Connection *c)
{
        size_t budget = CONNECTION_TURN_MAX;
        size_t room = c->input.allocated > READ_FIRST ? CONNECTION_TURN_MAX : READ_FIRST;

        while (budget > 0 && can_read(c)) {
                size_t size = MIN(MIN(room, budget), c->input.maximum - buffer_size(&c->input));
                uint8_t *space = buffer_reserve(&c->input, size);
                ssize_t n;

                if (!space) {
                        connection_over(c, -ENOMEM, "Out of memory");
                        return;
                }
                n = stream_read(c, space, size);
                if (n == -EAGAIN)
                        break;
                if (n < 0) {
                        over_stream(c, (int) n);
                        return;
                }
                if (n == 0) {
                        connection_over(c, 0, "The peer closed the connection");
                        return;
                }
                buffer_extend(&c->input, (size_t) n);
                budget -= (size_t) n;
                (void) sd_event_now(c->event, CLOCK_MONOTONIC, &c->heard_usec);
                offer_input(c);
                if ((size_t) n < size)
                        break;
                room = CONNECTION_TURN_MAX;
        }
        if (CONNECTION_TURN_MAX - budget <= QUIET_MAX && buffer_size(&c->input) == 0)
                buffer_done(&c->input);
}

/* Writes the first bytes of the output, up to `size`, and behind them these. What it takes of the output is consumed.
 * Returns how many of all it took; -EAGAIN: none now; another negative errno: the connection is over. */
static ssize_t stream_write(Connection *c, size_t size, const void *behind, size_t behind_size)
{
        struct iovec pieces[] = { { buffer_head(&c->output), size }, { (void *) behind, behind_size } };
        struct msghdr message = { .msg_iov = pieces, .msg_iovlen = ELEMENTSOF(pieces) };
        ssize_t n;

        if (c->transport) {
                n = c->transport->write(c->transport, pieces);
        } else {
                do
                        n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
                while (n < 0 && errno == EINTR);
                n = n < 0 ? -errno : n;
        }
        if (n >= 0)
                buffer_consume(&c->output, MIN((size_t) n, size));
        else if (n != -EAGAIN)
                over_stream(c, (int) n);
        return n;
}

bool connection_send(Connection *c, const void *data, size_t size)
{
        size_t waiting = buffer_size(&c->output), sent;
        ssize_t n;

        if (c->state != CONNECTION_OPEN)
                return false;
        n = stream_write(c, waiting, data, size);
        if (n < 0 && n != -EAGAIN)
                return false;
        sent = n > (ssize_t) waiting ? (size_t) n - waiting : 0;
        if (sent < size && buffer_append(&c->output, (const uint8_t *) data + sent, size - sent) < 0)
                connection_over(c, -ENOMEM, "Out of memory");
        return !connection_is_full(c);
}

/* Asks the owner for more when nothing waits. Only from the loop. */
static void refill(Connection *c)
{
        int r;

        if (!c->refill || c->state != CONNECTION_OPEN || connection_is_full(c))
                return;
        r = c->handler->drained(c, &c->output);
        if (r < 0)
                over_handler(c, r);
        c->refill = r > 0;
}

void connection_write_turn(Connection *c, bool may_refill)
{
        size_t budget = CONNECTION_TURN_MAX;

        for (;;) {
                ssize_t n;

                if (may_refill)
                        refill(c);
                if (c->state == CONNECTION_CLOSED || budget == 0 || !connection_is_full(c))
                        break;
                n = stream_write(c, MIN(buffer_size(&c->output), budget), NULL, 0);
                if (n < 0)
                        break;
                budget -= (size_t) n;
        }
        if (CONNECTION_TURN_MAX - budget <= QUIET_MAX && buffer_size(&c->output) == 0)
                buffer_done(&c->output);
}

void connection_establish(Connection *c)
{
        int r;

        c->state = CONNECTION_OPEN;
        c->timer = sd_event_source_disable_unref(c->timer);
        r = c->handler->established(c);
        if (r < 0)
                over_handler(c, r);
        c->refill = c->handler->drained;
}

static void shake(Connection *c)
{
        int r = c->transport->handshake(c->transport);

        if (r == 0)
                connection_establish(c);
        else if (r != -EAGAIN)
                over_stream(c, r);
}

/* connect() has ended, one way or the other. */
static void connected(Connection *c)
{
        socklen_t size = sizeof(int);
        int error = 0;

        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                error = errno;
        if (error > 0) {
                connection_over(c, -error, "Cannot connect: %s", strerror(error));
                return;
        }
        if (connection_peer_get(&c->peer, c->fd) < 0) {
                connection_over(c, -ECONNRESET, "Cannot connect: %s", strerror(ECONNRESET));
                return;
        }
        c->state = CONNECTION_HANDSHAKE;
        if (c->transport)
                shake(c);
        else
                connection_establish(c);
}

/* Half-closes once all is with the socket. */
static void half_close(Connection *c)
{
        int r;

        if (c->state != CONNECTION_FLUSHING || connection_is_full(c))
                return;
        r = c->transport ? c->transport->shutdown(c->transport) : shutdown(c->fd, SHUT_WR) < 0 ? -errno : 0;
        if (r == 0 && c->ended)
                connection_over(c, 0, "Finished");
        else if (r == 0)
                c->state = CONNECTION_DRAINING;
        else if (r != -EAGAIN)
                over_stream(c, r);
}

static void drain(Connection *c)
{
        uint8_t dropped[32 * 1024];
        size_t budget = CONNECTION_TURN_MAX;

        while (budget > 0 && !c->ended) {
                ssize_t n = recv(c->fd, dropped, MIN(sizeof dropped, budget), 0);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n < 0) {
                        connection_over(c, 0, "Finished; the peer broke the connection");
                        return;
                }
                if (n == 0) {
                        /* It may have half-closed, and still be reading what we have. */
                        c->ended = true;
                        if (c->state == CONNECTION_DRAINING)
                                connection_over(c, 0, "Finished");
                        return;
                }
                budget -= (size_t) n;
                c->drained_bytes += (size_t) n;
                if (c->drained_bytes > DRAIN_MAX) {
                        connection_over(c, 0, "Finished; the peer went on sending");
                        return;
                }
        }
}

void connection_turn(Connection *c, uint32_t revents)
{
        c->in_turn = true;
        if (c->state == CONNECTION_CONNECTING)
                connected(c);
        else if (c->state == CONNECTION_HANDSHAKE)
                shake(c);
        if (c->state == CONNECTION_OPEN) {
                if (c->offer && !c->paused)
                        offer_input(c);
                if (can_read(c) && (revents & (EPOLLIN | EPOLLHUP | EPOLLERR) || holds_input(c)))
                        read_turn(c);
        }
        if (c->state == CONNECTION_OPEN || c->state == CONNECTION_FLUSHING)
                connection_write_turn(c, true);
        half_close(c);
        if (c->state != CONNECTION_OPEN)
                buffer_done(&c->input);
        if (c->state == CONNECTION_FLUSHING || c->state == CONNECTION_DRAINING)
                drain(c);
        c->in_turn = false;
        c->armed = CONNECTION_UNARMED;
        connection_want(c);
        if (!(revents & (EPOLLHUP | EPOLLERR)) || c->state != CONNECTION_OPEN || can_read(c) ||
            connection_is_full(c))
                return;
        if (c->only_write)
                connection_over(c, 0, "The peer closed the connection");
        else
                (void) sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
}
