/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of those who accept have in common: a loop, what is logged meanwhile, a listening socket, and clients of
 * several addresses.
 */

#include "capture.h"
#include "check-main.h"
#include "runtime/acceptor.h"
#include "runtime/log.h"

#include <arpa/inet.h>
#include <sys/socket.h>

/* More turns of the loop than anything takes that comes to an end. */
#define TURNS_MAX 10000U

static Capture capture;
static sd_event *event;
static struct sockaddr_in listening;

static inline void loop_setup(void)
{
        capture_begin(&capture);
        log_init("test", LOG_INFO);
        ck_assert_int_ge(sd_event_new(&event), 0);
}

static inline void loop_teardown(void)
{
        event = sd_event_unref(event);
        (void) capture_end(&capture);
}

/* Turns of the loop until for so long nothing happens. */
static inline void run_idle(uint64_t usec)
{
        unsigned n = 0;

        while (sd_event_run(event, usec) > 0)
                ck_assert_uint_lt(n++, TURNS_MAX);
}

/* Returns a socket that listens at `listening`. */
static inline int listen_here(void)
{
        socklen_t size = sizeof listening;
        int fd = listen_tcp("127.0.0.1:0");

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *) &listening, &size), 0);
        return fd;
}

/* A connection to it from 127.0.0.`host`; does not block. */
static inline int come(unsigned host)
{
        struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr = { htonl(0x7f000000U + host) } };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_eq(bind(fd, (struct sockaddr *) &own, sizeof own), 0);
        ck_assert_int_eq(connect(fd, (struct sockaddr *) &listening, sizeof listening), 0);
        ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        return fd;
}
