/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The threads that stores have in common: one makes groups durable, one compresses closed segments, one makes the links for
 * ausearch. A thousand stores need no more than one does: all whose groups wait when the thread is free go out in one round.
 */

#include "store/store.h"

#include <sys/queue.h>
#include <systemd/sd-event.h>

typedef struct StoreWorkers StoreWorkers;
typedef struct StoreCommit StoreCommit;

/* A store's part in the rounds; its owner embeds it, and sets begin() and end(). */
struct StoreCommit {
        /* Closes the open group. Returns whether `job` is to be run. */
        bool (*begin)(StoreCommit *commit);
        /* It was, with this result. */
        void (*end)(StoreCommit *commit, int result);
        StoreJob job;
        int result; /* the thread's, while in flight */
        bool asked, in_flight;
        TAILQ_ENTRY(StoreCommit) entries;
};

/* `pack`: closed segments are to be compressed; `links`: stores have links. */
int store_workers_new(sd_event *event, bool pack, bool links, StoreWorkers **ret) _must_check_;
/* Waits for what runs, of which nobody hears. All stores are let go. */
StoreWorkers *store_workers_free(StoreWorkers *workers);
DEFINE_CLEANUP(StoreWorkers *, store_workers_free)

/* Calls begin() from the loop with the next round, once, however often this is called before. While a job of it
 * is in flight this does nothing: who has more to commit by then asks again in end(). */
void store_workers_commit(StoreWorkers *workers, StoreCommit *commit);
/* Compresses its segments, if that is asked for and nothing else is being compressed. Once a second. */
void store_workers_pack(StoreWorkers *workers, Store *store);
/* Makes its links, if they are due, no other's are being made, and those of this were not just before: so when segments came or
 * went, and once a second. *rest_until is kept here, 0 at first, and lives as long as the store. */
void store_workers_links(StoreWorkers *workers, Store *store, uint64_t *rest_until);
/* Whether a thread is at work on the store: it cannot be freed now. */
bool store_workers_busy(const StoreWorkers *workers, const StoreCommit *commit, const Store *store);
/* The store is to be freed, and nothing is at work on it: it asks for nothing more. */
void store_workers_leave(StoreWorkers *workers, StoreCommit *commit);
