/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The way to the collector: name look-up, addresses in turn, TLS, and conditions for what goes wrong. */

#include "remote/config.h"
#include "runtime/outlet.h"
#include "runtime/state.h"
#include "runtime/store-loop.h"

typedef struct Uplink Uplink;

typedef struct UplinkOptions {
        const RemoteConfig *config; /* outlives the uplink */
        const char *node;
        State *state;
        StoreLoop *store;
        /* The collector asks for something; NULL: whatever it is, nobody here knows it. */
        void (*command)(Outlet *collector, const LinkCommand *command, void *userdata);
        /* The collector of that name has signed what it has; may be NULL. */
        void (*receipt)(const char *collector, const LinkReceipt *receipt, void *userdata);
        /* It has no connection any more; may be NULL. */
        void (*disconnected)(Outlet *collector, void *userdata);
        void *userdata;
        Tls **tls; /* *tls may be NULL as long as there are no usable credentials */
} UplinkOptions;

int uplink_new(sd_event *event, const UplinkOptions *options, Uplink **ret) _must_check_;
Uplink *uplink_free(Uplink *uplink);
DEFINE_CLEANUP(Uplink *, uplink_free)

/* More has become durable. */
void uplink_wake(Uplink *uplink);
/* The credentials were read again: judges the collector anew, or tries again at once. */
void uplink_reload(Uplink *uplink);
/* Says BYE, for good. */
void uplink_stop(Uplink *uplink);
/* Call once a second. */
void uplink_tick(Uplink *uplink);
/* Writes its metrics into the status being written. */
void uplink_status(Uplink *uplink);
/* "connected to 192.0.2.1:6560", for people; valid until the next call. */
const char *uplink_describe(Uplink *uplink);
