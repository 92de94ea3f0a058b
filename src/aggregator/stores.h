/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The stores of the aggregator. Layout=blended: one, for all that is delivered. Layout=by-node: one for each
 * authenticated peer, in a directory of its name, opened when the peer comes and closed when it has gone; and
 * one of our own, for what nobody authenticated delivers. For everybody else here it is the same.
 */

#include "aggregator/positions.h"

typedef struct Stores Stores;

/* Of each open store: its directory, text and index, the two of a segment that was rotated out and is still being
 * synced; and to spare: a directory or link in the making. */
#define STORES_DESCRIPTORS 8U
/* Stores that are open at once: as many as have clients by default (MaxConnections=); more would be memory and
 * descriptors for nobody. */
#define STORES_OPEN_MAX 4096U
/* What each allocates ahead: of one store it would be more (STORE_TEXT_CHUNK), of thousands that is the disk. */
#define STORES_CHUNK (256U * 1024U)
/* Nodes whose stores are known. Each is a directory that a peer with a certificate of ours had made. */
#define STORES_NODES_MAX 65536U
/* A store is closed when nobody has delivered for so long: who is only restarted finds it open. */
#define STORES_IDLE_USEC (300 * USEC_PER_SEC)

/* What is pointed to must outlive the stores. */
typedef struct StoresOptions {
        StoreLoopOptions store; /* of each, but for its directory; store.use_max is for all together */
        bool pack;
        bool by_node;
        const char *own;        /* the name of ours; by_node only, and so are those that follow */
        DiskAmount node_use_max;
        bool node_use_blocks;   /* at that nothing is deleted */
        size_t open_max;        /* at most STORES_OPEN_MAX; 0: as many as there are descriptors for */
        uint64_t idle_usec;     /* see STORES_IDLE_USEC */
        PositionsSkip skip;     /* streams of the other layout that are to be forgotten; may be NULL */
        void *skip_userdata;
} StoresOptions;

/* Opens the one store, or our own, and finds out what was delivered under the other layout. Logs why it fails. */
int stores_new(sd_event *event, const StoresOptions *options, Stores **ret) _must_check_;
/* After all sessions are gone. */
Stores *stores_free(Stores *stores);
DEFINE_CLEANUP(Stores *, stores_free)

/* Whether a store can have the name of this node: it is a directory beside the files of a blended one. */
bool stores_name_is_free(const char *node);

/* Where sessions begin. */
Intake *stores_intake(Stores *stores);
/* Blended: the store; by-node: ours. Always open. */
StoreLoop *stores_own(Stores *stores);
/* The store of a session that delivers. */
StoreLoop *stores_of(const IntakeSession *session);
/* Streams whose position is known, also of stores that are closed. *position: two NULL begin. Valid during one turn. */
typedef struct StoresPosition {
        void *node;
        const void *stream;
        size_t i;
} StoresPosition;
bool stores_stream_next(Stores *stores, StoresPosition *position, StoreStream *ret);
/* Asks for the end of a stream, which nobody delivers, where the store is open; where it is not, opens it for the next
 * call. */
void stores_forget(Stores *stores, const StoreStream *stream);

void stores_rotate(Stores *stores);
/* Once a second: closes, opens, looks at those that nobody uses. */
void stores_tick(Stores *stores);
/* All together, since we began. */
void stores_facts(Stores *stores, StoreFacts *ret);
/* Writes their metrics into the status being written. */
void stores_status(Stores *stores);
/* As store_loop_finish(), of all. */
void stores_finish(Stores *stores, void (*done)(void *userdata), void *userdata);
