/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A connection with its two buffers, and what the caller's poll() waits for: an epoll descriptor that holds
 * the connection, a listening socket and a timer, so that one descriptor stands for all of them through
 * every reconnection.
 */

#include "basic/buffer.h"

#include <stdbool.h>

/* Doubled after each failure, with jitter of a half, and reset by the peer's first answer. */
#define WIRE_BACKOFF_MIN_USEC (50 * USEC_PER_MSEC)
#define WIRE_BACKOFF_MAX_USEC (5 * USEC_PER_SEC)
/* What one read takes. */
#define WIRE_READ_SIZE (64U * 1024U)

typedef struct Wire {
        int epoll;
        int timer;
        int listener;        /* the peer connects to us; -EBADF: not */
        int fd;              /* the connection */
        char *path;          /* to connect to, again and again; NULL: not */
        bool accepting;      /* the listener is in the epoll set */
        bool writing;        /* EPOLLOUT is */
        uint64_t armed_usec; /* what the timer is set to */
        uint64_t retry_usec;
        uint64_t backoff_usec;
        Buffer input, output;
        char why[256]; /* why the last connection ended */
} Wire;

int wire_init(Wire *wire, size_t input_max, size_t output_max) _must_check_;
void wire_done(Wire *wire);

/* Connects to wire->path, at once or not at all. */
int wire_connect(Wire *wire) _must_check_;
/* Takes over a connection, also on failure. */
int wire_take(Wire *wire, int fd) _must_check_;
/* Takes over a listening socket, also on failure. */
int wire_listen(Wire *wire, int fd) _must_check_;
/* Without a connection: accepts one, or connects again when it is time. Returns 1 when there is one now. */
int wire_renew(Wire *wire, uint64_t now_usec) _must_check_;
/* Closes the connection and empties the buffers; the next one not before `retry_usec` from now, or as the
 * backoff says. */
void wire_lose(Wire *wire, uint64_t now_usec, uint64_t retry_usec, const char *why);

/* Returns the bytes read, 0 when there are none now, -ENOTCONN at the end, or another negative errno. */
ssize_t wire_read(Wire *wire) _must_check_;
/* Writes what the socket takes. */
int wire_flush(Wire *wire);
/* Sets the timer to the earlier of this and the time of the next attempt. */
void wire_arm(Wire *wire, uint64_t deadline_usec);
/* poll() on the epoll descriptor. Returns 0 also at the end of time, -EINTR. */
int wire_wait(const Wire *wire, uint64_t deadline_usec) _must_check_;

uint64_t wire_now(void);
