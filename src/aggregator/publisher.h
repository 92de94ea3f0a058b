/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Publish=yes: the way from the store to the dispatcher of this host, so that its plugins see what clients deliver. */

#include "runtime/outlet.h"
#include "runtime/state.h"
#include "runtime/store-loop.h"

typedef struct Publisher Publisher;

typedef struct PublisherOptions {
        const char *socket; /* the dispatcher's input; outlives the publisher */
        const char *name;   /* ours; outlives it, too */
        State *state;
        StoreLoop *store;
} PublisherOptions;

int publisher_new(sd_event *event, const PublisherOptions *options, Publisher **ret) _must_check_;
Publisher *publisher_free(Publisher *publisher);
DEFINE_CLEANUP(Publisher *, publisher_free)

/* More has become durable. */
void publisher_wake(Publisher *publisher);
/* Says BYE, for good. */
void publisher_stop(Publisher *publisher);
/* Writes its metrics into the status being written. */
void publisher_status(const Publisher *publisher);
