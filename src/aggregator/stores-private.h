/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stores.c (opening and closing), stores-new.c (beginning and end) and stores-look.c (who looks at all) share; nobody
 * else includes it. */

#include "aggregator/stores.h"
#include "runtime/worker.h"

#include <sys/queue.h>

/* Chains of a few thousand nodes stay short. */
#define NODE_BUCKETS 1024U

typedef enum NodeState {
        NODE_CLOSED,
        NODE_QUEUED,  /* to be opened */
        NODE_OPENING, /* on the opener's thread, which has `options`, `opening` and `positions` meanwhile */
        NODE_OPEN,
        NODE_CLOSING, /* its last commit is under way, or to be freed */
} NodeState;

typedef struct NodeStore NodeStore;

struct NodeStore {
        Stores *stores;
        char *name; /* lower case; NULL: the one store of Layout=blended */
        char *directory;
        NodeState state;
        StoreLoopOptions options;
        StoreOpening opening;
        StoreLoop *loop;     /* NODE_OPEN and NODE_CLOSING */
        bool wanted;         /* NODE_CLOSING: somebody waits */
        bool finished;       /* NODE_CLOSING: to be freed; of all: has ended */
        bool visit;          /* open only to be looked at */
        unsigned ticks;      /* since it was opened */
        bool failed;         /* the last opening did, and the condition says so */
        int error;           /* of it */
        uint64_t used_usec;  /* monotonic: somebody delivered; it was opened last; not to be opened before */
        uint64_t visited_usec, retry_usec;
        /* While it is closed: what was counted of all the times it was open, what it holds, and whose streams. */
        StoreFacts facts;
        StoreStream *streams;
        size_t n_streams;
        LIST_ENTRY(NodeStore) bucket;
        TAILQ_ENTRY(NodeStore) nodes, queue;
};

typedef TAILQ_HEAD(NodeList, NodeStore) NodeList;

struct Stores {
        sd_event *event;
        StoresOptions options;
        StoreWorkers *workers;
        StorePool pool;
        unsigned holders[_STORE_CONDITION_MAX];
        Positions *positions;
        NodeStore *own;
        NodeList nodes, queue;
        size_t n_nodes, n_open; /* the latter with those that are being opened or closed */

        /* By node only. */
        Intake *lobby; /* where sessions wait for their store */
        IntakeHandler lobby_handler;
        LIST_HEAD(, NodeStore) buckets[NODE_BUCKETS];
        Worker *opener;
        int parent; /* the directory of directories */
        sd_event_source *reap;
        uint64_t full_logged_usec;

        void (*done)(void *userdata);
        void *done_userdata;
};

NodeStore *stores_find(Stores *stores, const char *node);
/* `node` NULL: of the one store. */
int stores_add(Stores *stores, const char *node, NodeStore **ret) _must_check_;
NodeStore *stores_free_node(NodeStore *node);
DEFINE_CLEANUP(NodeStore *, stores_free_node)
void stores_set_options(NodeStore *node);
/* On the opener's thread, or at the start; `userdata` is the node. */
int stores_open_node(void *userdata);
/* The rest, in the loop. */
int stores_adopt(NodeStore *node) _must_check_;
/* Handlers of the lobby and of the loop. */
LinkByeCode stores_on_place(IntakeSession *session, Intake **ret, const char **ret_why);
int stores_on_reap(sd_event_source *source, void *userdata);
/* Somebody waits for it, or it is to be looked at. */
void stores_want(NodeStore *node);
/* Nobody uses it: its end is written. */
void stores_close(NodeStore *node);
/* Whether it may be. */
bool stores_may_close(const NodeStore *node);
