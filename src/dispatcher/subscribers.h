/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Those whom the ring is sent to: each a file in subscribers.d/, which names a Unix socket. */

#include "dispatcher/commands.h"
#include "ring/ring.h"
#include "runtime/state.h"

#include <systemd/sd-event.h>

typedef struct Subscribers Subscribers;

typedef struct SubscribersOptions {
        sd_event *event;
        Ring *ring;
        State *state;
        Commands *commands;
        const char *directory;         /* NULL: /etc/audit-relay/subscribers.d, … */
        void (*acked)(void *userdata); /* the ring may have room again */
        void *userdata;
} SubscribersOptions;

int subscribers_new(const SubscribersOptions *options, Subscribers **ret) _must_check_;
Subscribers *subscribers_free(Subscribers *subscribers);
DEFINE_CLEANUP(Subscribers *, subscribers_free)

/* Reads the directory, at start and again on reload: new ones begin, those that are gone end and hold the
 * ring no longer, those that have changed begin again where they stood. On an error nothing is changed. */
int subscribers_load(Subscribers *subscribers) _must_check_;

/* Something was published. */
void subscribers_wake(Subscribers *subscribers);

/* Whether one that is connected, and that the ring waits for, has not acked all. */
bool subscribers_pending(const Subscribers *subscribers);
/* Says BYE to those that the ring waits for: it holds nothing more for them. Returns whether they are gone;
 * if not, acked() is called when that may have changed. */
bool subscribers_end(Subscribers *subscribers);

/* Once a second: who is being left behind. */
void subscribers_tick(Subscribers *subscribers);

/* Writes metrics into the status being written, and "remote acked, siem 512 behind" to `out`. */
void subscribers_status(const Subscribers *subscribers, char *out, size_t size);
