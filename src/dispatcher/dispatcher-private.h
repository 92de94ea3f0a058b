/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What dispatcher.c (how the parts act on each other) and dispatcher-parts.c (making them) share; nobody else
 * includes it. */

#include "dispatcher/dispatcher.h"
#include "dispatcher/input.h"
#include "dispatcher/kernel.h"
#include "dispatcher/pull.h"
#include "dispatcher/subscribers.h"
#include "runtime/listen.h"
#include "runtime/loop.h"

/* Of the ring's bytes held by an awaited subscriber: where producers are held and let go. */
#define PRODUCERS_HOLD(size) ((size) / 4)
#define PRODUCERS_GO(size) ((size) / 8)

struct Dispatcher {
        DispatcherConfig config;
        Loop *loop;
        State *state;
        Ring *ring;
        Kernel *kernel; /* NULL: not read */
        Auditd *auditd;
        Input *input;   /* NULL: no socket */
        Commands *commands;
        Subscribers *subscribers;
        Pull *pull;
        sd_event_source *idle; /* while draining: nothing is left to be read */
        bool own_kernel;       /* the socket ends with us */
        bool drained;
        bool held; /* producers are */
        unsigned held_ticks;
        unsigned drop_ticks;
};

/* Makes all parts, of the sockets that were handed in or of our own. Returns a negative errno on failure. */
int dispatcher_open_parts(Dispatcher *dispatcher, ListenFds *fds) _must_check_;

/* What the parts tell the dispatcher: there is more in the ring; a subscriber needs less of it; so many records had no
 * room. */
void dispatcher_published(void *userdata);
void dispatcher_acked(void *userdata);
void dispatcher_dropped(uint64_t n, void *userdata);
