/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A connection in the loop: a socket, plain or with a transport (TLS), with an input and an output buffer. The machines of
 * the link see only the buffers. Reading and writing are bounded per turn; bytes that the transport still holds are
 * continued from a defer source.
 */

#include "basic/buffer.h"
#include "runtime/transport.h"

#include <netdb.h>
#include <systemd/sd-event.h>
#include <sys/types.h>

/* Bytes one peer may take (and, apart from them, be given) in one turn of the loop, so that none owns it. */
#define CONNECTION_TURN_MAX (512U * 1024U)

typedef struct Connection Connection;

/* Handlers are called from the loop, never from within the functions below, with one exception:
 * established() of a plain connection that is connected already. They may call all of these functions but
 * connection_free(), which only closed() may; the others return a negative errno to have the connection
 * closed. */
typedef struct ConnectionHandler {
        /* The handshake is done; plain connections: at once from connection_start(). */
        int (*established)(Connection *connection);
        /* There are bytes in `input`: consume what is possible. Whoever leaves a whole frame there pauses
         * the connection. */
        int (*received)(Connection *connection, Buffer *input);
        /* The output is empty: put, or send, more if there is more. Returns 1 when there may be still more: then it is
         * asked again; else when the socket, having been full, takes bytes again, or after connection_refill(). May be
         * NULL. */
        int (*drained)(Connection *connection, Buffer *output);
        /* It is over: error 0 at EOF or after connection_finish(); -ETIMEDOUT, -EPROTO (the transport failed), what a
         * handler returned, or the errno of the socket. `why` is a sentence for people. Called exactly once,
         * unless connection_free() comes first. */
        void (*closed)(Connection *connection, int error, const char *why);
} ConnectionHandler;

/* A TCP socket on its way to an address, for connection_new(); the caller owns it. */
int connection_connect(const struct addrinfo *address, int *ret_fd) _must_check_;

/* fd, connected or connecting, non-blocking, and transport (NULL: plain) are taken over, also on failure. */
int connection_new(sd_event *event, int fd, Transport *transport, const ConnectionHandler *handler,
                   void *userdata, Connection **ret) _must_check_;
/* Begins: waits for connect() and handshake. After timeout_usec (USEC_INFINITY: never) without established()
 * it is closed with -ETIMEDOUT. */
int connection_start(Connection *connection, uint64_t timeout_usec) _must_check_;
Connection *connection_free(Connection *connection);
DEFINE_CLEANUP(Connection *, connection_free)

void *connection_userdata(const Connection *connection);
/* NULL: a plain connection. */
Transport *connection_transport(const Connection *connection);
Buffer *connection_output(Connection *connection);
/* Something was put into the output. Writes at once what the socket takes; within a handler, at the end of
 * its turn. */
void connection_flush(Connection *connection);
/* These bytes come behind those in the output: writes both at once, as far as the socket takes them, and puts a copy of the rest
 * into the output. Returns whether all is with the socket. */
bool connection_send(Connection *connection, const void *data, size_t size);
/* Whether bytes wait for the socket: more would have to wait, too. drained() is called when it has taken them. */
bool connection_is_full(const Connection *connection);
/* There is more than was put: drained() is to be asked once the output is empty. Followed by connection_flush(). */
void connection_refill(Connection *connection);
/* Stops and resumes reading; resuming offers, from the loop, what is in the input already. */
void connection_pause(Connection *connection, bool pause);
/* The peer is only written to: what it writes is left in the socket, and that it stops writing does not end
 * the connection; that it is gone does. */
void connection_only_write(Connection *connection);
/* At most so many bytes of all that was put into the output has the peer not yet read: those in our buffer
 * and in the kernel's. Unix sockets only. Returns 0; -EPIPE when the peer is gone: what it has not read is
 * gone with it, and nobody can tell. */
int connection_unread(const Connection *connection, size_t *ret) _must_check_;
/* Sends what is in the output, half-closes, drains to EOF (bounded in time and bytes), then closed() with 0.
 * Nothing more is received. */
void connection_finish(Connection *connection);
/* closed() with 0, whatever is still to be sent. */
void connection_cut(Connection *connection);
/* "192.0.2.1:4711", "[2001:db8::1]:4711", "pid 4711 uid 0"; "" while it connects. */
const char *connection_peer(const Connection *connection);
/* Whether the peer was reached at 127.0.0.0/8 or ::1. */
bool connection_loopback(const Connection *connection);
/* Of a Unix peer; -1 otherwise. */
void connection_credentials(const Connection *connection, pid_t *ret_pid, uid_t *ret_uid, gid_t *ret_gid);
/* Its supplementary groups; the caller frees them. Returns 0 or a negative errno. */
int connection_groups(const Connection *connection, gid_t **ret, size_t *ret_n) _must_check_;
/* From now on it is noted which process writes: on a socket that PID 1 listens on, the credentials are PID
 * 1's. Nothing but for a Unix socket that is established; to be called before the peer can have written. */
void connection_watch(Connection *connection);
/* The process that wrote last, if that is noted; else the one of the credentials. *ret_pidfd is of that very
 * process and the caller's to close; -EBADF when the kernel has none. */
void connection_sender(const Connection *connection, pid_t *ret_pid, uid_t *ret_uid, int *ret_pidfd);
/* Monotonic time of the last byte received; of the start before that. */
uint64_t connection_heard_usec(const Connection *connection);
