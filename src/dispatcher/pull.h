/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Those who connect to us to read, and come and go as they like: on `subscribe` they speak the link and say
 * where they begin and what they want; on `lines` they get text from now on. The ring never waits for them.
 */

#include "dispatcher/commands.h"
#include "ring/ring.h"
#include "runtime/state.h"

typedef struct Pull Pull;

typedef struct PullOptions {
        sd_event *event;
        Ring *ring;
        uint64_t queue_limit;      /* bytes that one may be behind; 0: as much as the ring holds */
        uint64_t clients_max;      /* of all, */
        uint64_t user_clients_max; /* and of one user */
        Commands *commands;        /* of those who speak the link */
} PullOptions;

int pull_new(const PullOptions *options, Pull **ret) _must_check_;
Pull *pull_free(Pull *pull);
DEFINE_CLEANUP(Pull *, pull_free)

/* Accepts on fd, which is taken over, also on failure. */
int pull_listen(Pull *pull, int fd, bool lines) _must_check_;

/* Something was published. */
void pull_wake(Pull *pull);
/* Once a second. */
void pull_tick(Pull *pull);
/* Accepts no more: who comes now waits for the next dispatcher. */
void pull_stop(Pull *pull);
/* Metrics into the status being written. */
void pull_status(Pull *pull, State *state);
