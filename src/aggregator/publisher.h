/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The way to the dispatcher of this host: what clients deliver, so that its plugins see it (Publish=yes), and commands for them
 * from it (PassCommands=yes). */

#include "runtime/outlet.h"
#include "runtime/state.h"
#include "runtime/store-loop.h"

typedef struct Publisher Publisher;

typedef struct PublisherOptions {
        const char *socket; /* the dispatcher's input; outlives the publisher */
        const char *name;   /* ours; outlives it, too */
        State *state;
        StoreLoop *store;
        bool records; /* are published */
        /* The dispatcher has a command for clients; NULL: none is taken. */
        void (*command)(const LinkCommand *command, void *userdata);
        /* It waits for no answer any more. */
        void (*disconnected)(void *userdata);
        void *userdata;
} PublisherOptions;

int publisher_new(sd_event *event, const PublisherOptions *options, Publisher **ret) _must_check_;
Publisher *publisher_free(Publisher *publisher);
DEFINE_CLEANUP(Publisher *, publisher_free)

/* More has become durable. */
void publisher_wake(Publisher *publisher);
/* What became of a command. */
void publisher_reply(Publisher *publisher, const LinkReply *reply);
/* Says BYE, for good. */
void publisher_stop(Publisher *publisher);
/* Writes its metrics into the status being written. */
void publisher_status(const Publisher *publisher);
