/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One subscriber that we connect to: a Unix socket, an outlet to it, and its feed. */

#include "dispatcher/commands.h"
#include "dispatcher/subscriber-config.h"
#include "runtime/outlet.h"

#include <systemd/sd-event.h>

typedef struct Subscriber Subscriber;

typedef struct SubscriberOptions {
        sd_event *event;
        Ring *ring;
        Commands *commands;
        const char *node;              /* the ring's; not copied */
        void (*acked)(void *userdata); /* the ring may have room again, or one that was to end is gone */
        void *userdata;
} SubscriberOptions;

/* Takes the configuration over, also on failure. Returns 0; -ENOBUFS when the ring waits for too many
 * already; another negative errno. */
int subscriber_new(const SubscriberOptions *options, SubscriberConfig *config,
                   Subscriber **ret) _must_check_;
Subscriber *subscriber_free(Subscriber *subscriber);
DEFINE_CLEANUP(Subscriber *, subscriber_free)

const SubscriberConfig *subscriber_config(const Subscriber *subscriber);

/* Whether the ring's file keeps where it stands. */
bool subscriber_is_kept(const Subscriber *subscriber);

/* Something was published. */
void subscriber_wake(Subscriber *subscriber);

/* Whether the ring waits for it, it is connected and has not acked all. */
bool subscriber_pending(const Subscriber *subscriber, uint64_t newest);

/* Says BYE to one that the ring waits for. Returns whether it is gone; if not, acked() is called when that
 * may have changed. */
bool subscriber_end(Subscriber *subscriber);

/* What is known of it once a second. */
typedef struct SubscriberStatus {
        FeedStatus feed;
        uint64_t acked; /* last seq in its custody */
        uint64_t lag;   /* published and not acked */
        bool known;     /* the two are: it has been connected */
        bool connected;
        bool dropping; /* records were given up lately, or it was not yet told */
        bool more;     /* were in the last second */
} SubscriberStatus;

/* Once a second; the status lasts until the next. */
const SubscriberStatus *subscriber_tick(Subscriber *subscriber, uint64_t newest);
const SubscriberStatus *subscriber_status(const Subscriber *subscriber);
