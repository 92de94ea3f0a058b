/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Opening and closing stores.
 *
 *      HELLO ─▶ lobby ─▶ queue ─▶ opener's thread: recovery, positions ─▶ the store's own intake: WELCOME
 *
 *  1. Whatever happens to one store is told to those who deliver into it, and to nobody else.
 *  2. All stores share the threads: one opens, one commits (store-workers.h), one compresses.
 *  3. A store counts as open, with its descriptors, from its opening until it is freed.
 *  4. A store is freed from the loop alone, never from within its own callbacks.
 *  5. With Layout=blended there is one, `own`, and none of this happens to it.
 */

#include "aggregator/stores-private.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

/* After a failed opening those who wait for it are sent away for so long. */
#define RETRY_USEC USEC_PER_SEC

/* --- Nodes --- */

static uint64_t bucket_of(const char *name)
{
        return checksum64(name, strlen(name)) % NODE_BUCKETS;
}

static void lower_case(const char *node, char ret[static NODE_NAME_MAX + 1])
{
        size_t i;

        for (i = 0; node[i] != '\0' && i < NODE_NAME_MAX; i++)
                ret[i] = (char) tolower((unsigned char) node[i]);
        ret[i] = '\0';
}

NodeStore *stores_find(Stores *stores, const char *node)
{
        char name[NODE_NAME_MAX + 1];
        NodeStore *found;

        lower_case(node, name);
        LIST_FOREACH(found, &stores->buckets[bucket_of(name)], bucket)
                if (strcmp(found->name, name) == 0)
                        break;
        return found;
}

NodeStore *stores_free_node(NodeStore *node)
{
        if (!node)
                return NULL;
        store_loop_free(node->loop);
        store_opening_done(&node->opening);
        for (size_t i = 0; i < node->n_streams; i++)
                free((char *) (uintptr_t) node->streams[i].owner);
        free(node->streams);
        free(node->directory);
        free(node->name);
        free(node);
        return NULL;
}

int stores_add(Stores *stores, const char *node, NodeStore **ret)
{
        _cleanup_(stores_free_nodep) NodeStore *new = calloc(1, sizeof *new);
        char name[NODE_NAME_MAX + 1];

        if (!new)
                return -ENOMEM;
        new->stores = stores;
        if (node) {
                lower_case(node, name);
                new->name = strdup(name);
                if (!new->name || asprintf(&new->directory, "%s/%s", stores->options.store.directory, name) < 0)
                        return -ENOMEM;
                LIST_INSERT_HEAD(&stores->buckets[bucket_of(name)], new, bucket);
        } else {
                new->directory = strdup(stores->options.store.directory);
                if (!new->directory)
                        return -ENOMEM;
        }
        TAILQ_INSERT_TAIL(&stores->nodes, new, nodes);
        stores->n_nodes++;
        stores->pool.n = stores->n_nodes;
        *ret = TAKE_PTR(new);
        return 0;
}

void stores_set_options(NodeStore *node)
{
        Stores *stores = node->stores;
        StoreLoopOptions *options = &node->options;

        *options = stores->options.store;
        options->directory = node->directory;
        options->workers = stores->workers;
        if (!node->name)
                return;
        options->holders = stores->holders;
        options->quota = true;
        options->store.chunk = STORES_CHUNK;
        options->store.use_max = stores->options.node_use_max.n;
        options->store.use_blocks = stores->options.node_use_blocks;
}

/* --- Opening --- */

int stores_open_node(void *userdata)
{
        NodeStore *node = userdata;
        const Stores *stores = node->stores;
        int r = store_loop_open(&node->options, &node->opening);

        if (r < 0)
                return r;
        /* What will be acked must not be in a directory that a crash takes away. */
        if (stores->parent >= 0 && fsync(stores->parent) < 0)
                r = -errno;
        if (r >= 0)
                r = positions_import(stores->positions, node->name, node->opening.store, realtime_usec());
        if (r < 0)
                store_opening_done(&node->opening);
        return MIN(r, 0);
}

static void forget_facts(NodeStore *node)
{
        for (size_t i = 0; i < node->n_streams; i++)
                free((char *) (uintptr_t) node->streams[i].owner);
        free(node->streams);
        node->streams = NULL;
        node->n_streams = 0;
        node->stores->pool.used -= node->facts.store.bytes;
        node->facts.store.bytes = 0;
}

int stores_adopt(NodeStore *node)
{
        Stores *stores = node->stores;
        int r = store_loop_adopt(stores->event, &node->options, &node->opening, &node->loop);

        if (r < 0)
                return r;
        forget_facts(node);
        if (node->name)
                store_join(store_loop_store(node->loop), &stores->pool);
        node->state = NODE_OPEN;
        node->ticks = 0;
        node->used_usec = node->visited_usec = monotonic_usec();
        return 0;
}

static void note_failed(NodeStore *node, int error)
{
        const StoreLoopOptions *options = &node->options;
        char keys[600], reason[160];

        node->error = error;
        node->retry_usec = monotonic_usec() + RETRY_USEC;
        node->visited_usec = monotonic_usec();
        if (!node->failed) {
                store_loop_log_open(node->directory, error);
                node->stores->holders[STORE_ERROR]++;
        }
        node->failed = true;
        (void) snprintf(keys, sizeof keys, "DIRECTORY=%.500s", node->directory);
        (void) snprintf(reason, sizeof reason, "The store of a node cannot be opened: %s", strerror(-error));
        state_raise(options->state, options->conditions[STORE_ERROR], reason, keys);
}

static void note_opened(NodeStore *node)
{
        if (node->failed && --node->stores->holders[STORE_ERROR] == 0)
                state_clear(node->options.state, node->options.conditions[STORE_ERROR]);
        node->failed = false;
}

static const char why_failed[] = "the collector cannot open the store of this node";

/* Those in the lobby who wait for it go in; or away. */
static void call_in(NodeStore *node)
{
        IntakeSession *session = intake_waiting_next(node->stores->lobby, NULL), *next;

        for (; session; session = next) {
                next = intake_waiting_next(node->stores->lobby, session);
                if (strcasecmp(session->owner, node->name) != 0)
                        continue;
                node->visit = false;
                if (node->loop)
                        intake_session_place(session, store_loop_intake(node->loop));
                else
                        intake_session_end(session, LINK_BYE_INTERNAL, RETRY_USEC / USEC_PER_MSEC, why_failed);
        }
}

static void open_next(Stores *stores);
static void check_end(Stores *stores);

static void on_opened(int result, void *userdata)
{
        NodeStore *node = userdata;
        Stores *stores = node->stores;

        node->state = NODE_CLOSED;
        if (stores->done) {
                store_opening_done(&node->opening);
                stores->n_open--;
                check_end(stores);
                return;
        }
        if (result >= 0)
                result = stores_adopt(node);
        if (result >= 0) {
                note_opened(node);
        } else {
                stores->n_open--;
                note_failed(node, result);
        }
        call_in(node);
        open_next(stores);
}

/* The one that nobody has used for longest makes room. */
static void close_one(Stores *stores)
{
        NodeStore *node, *oldest = NULL;

        TAILQ_FOREACH(node, &stores->nodes, nodes) {
                if (node->state == NODE_CLOSING)
                        return;
                if (stores_may_close(node) && (!oldest || node->used_usec < oldest->used_usec))
                        oldest = node;
        }
        if (oldest)
                stores_close(oldest);
        else if (log_limit(&stores->full_logged_usec, 60 * USEC_PER_SEC))
                log_warning("%zu stores are open, as many as there are descriptors for: others wait; raise LimitNOFILE=",
                            stores->n_open);
}

static void open_next(Stores *stores)
{
        NodeStore *node = TAILQ_FIRST(&stores->queue);

        if (!node || stores->done || worker_busy(stores->opener))
                return;
        if (stores->n_open >= stores->options.open_max) {
                close_one(stores);
                return;
        }
        TAILQ_REMOVE(&stores->queue, node, queue);
        node->state = NODE_OPENING;
        stores->n_open++;
        stores_set_options(node);
        worker_start(stores->opener, stores_open_node, on_opened, node);
}

void stores_want(NodeStore *node)
{
        Stores *stores = node->stores;

        if (node->state == NODE_CLOSED) {
                node->state = NODE_QUEUED;
                TAILQ_INSERT_TAIL(&stores->queue, node, queue);
        } else if (node->state == NODE_CLOSING) {
                node->wanted = true;
        }
        open_next(stores);
}

/* --- Closing --- */

/* What others want to know goes on: a node with little room, a store that is damaged. */
bool stores_may_close(const NodeStore *node)
{
        return node->state == NODE_OPEN && node != node->stores->own && store_loop_idle(node->loop) &&
               !store_loop_holds(node->loop, STORE_QUOTA_LOW) && !store_loop_holds(node->loop, STORE_QUOTA_FULL) &&
               !store_loop_holds(node->loop, STORE_ERROR) && !store_loop_holds(node->loop, STORE_DAMAGED);
}

static void on_finished(void *userdata)
{
        NodeStore *node = userdata;

        node->finished = true;
        if (node->stores->done)
                check_end(node->stores);
        else
                (void) sd_event_source_set_enabled(node->stores->reap, SD_EVENT_ONESHOT);
}

void stores_close(NodeStore *node)
{
        node->state = NODE_CLOSING;
        store_loop_finish(node->loop, on_finished, node);
}

/* Without memory for it, a stream is only not shown while its store is closed. */
static void keep_streams(NodeStore *node, const Store *store, size_t n)
{
        const void *position = NULL;
        StoreStream stream;

        node->streams = calloc(MAX(n, (size_t) 1), sizeof *node->streams);
        while (node->streams && node->n_streams < n && store_stream_next(store, &position, &stream)) {
                stream.owner = strdup(stream.owner);
                if (!stream.owner)
                        break;
                node->streams[node->n_streams++] = stream;
        }
}

static void keep_facts(NodeStore *node)
{
        StoreFacts facts;

        store_loop_facts(node->loop, &facts);
        store_facts_count(&facts, &node->facts);
        node->facts = facts;
        node->stores->pool.used += facts.store.bytes;
        keep_streams(node, store_loop_store(node->loop), facts.store.streams);
}

static void reap(NodeStore *node)
{
        keep_facts(node);
        node->loop = store_loop_free(node->loop);
        node->state = NODE_CLOSED;
        node->finished = false;
        node->stores->n_open--;
        if (node->wanted)
                stores_want(node);
        node->wanted = false;
}

int stores_on_reap(sd_event_source *source, void *userdata)
{
        Stores *stores = userdata;
        NodeStore *node;

        if (stores->done)
                return 0;
        TAILQ_FOREACH(node, &stores->nodes, nodes)
                if (node->state == NODE_CLOSING && node->finished)
                        reap(node);
        open_next(stores);
        return 0;
}

/* Who was called to end has ended, and nothing is on the opener's thread. */
static void check_end(Stores *stores)
{
        NodeStore *node;

        TAILQ_FOREACH(node, &stores->nodes, nodes)
                if (node->state == NODE_OPENING || (node->loop && !node->finished))
                        return;
        stores->done(stores->done_userdata);
}

void stores_finish(Stores *stores, void (*done)(void *userdata), void *userdata)
{
        NodeStore *node;

        if (stores->done)
                return;
        stores->done = done;
        stores->done_userdata = userdata;
        if (stores->lobby)
                intake_end_all(stores->lobby, LINK_BYE_ENDING, 0, "the receiver is stopping");
        TAILQ_FOREACH(node, &stores->nodes, nodes)
                if (node->state == NODE_OPEN)
                        stores_close(node);
}

/* --- Sessions --- */

LinkByeCode stores_on_place(IntakeSession *session, Intake **ret, const char **ret_why)
{
        Stores *stores = intake_userdata(session->intake);
        NodeStore *node = stores_find(stores, session->owner);

        if (stores->done) {
                *ret_why = "the receiver is stopping";
                return LINK_BYE_ENDING;
        }
        if (!node && !stores_name_is_free(session->owner)) {
                *ret_why = "with Layout=by-node the collector cannot have a directory of this node's name";
                return LINK_BYE_NODE;
        }
        if (!node && stores->n_nodes >= STORES_NODES_MAX) {
                *ret_why = "the collector has as many nodes as it can have";
                return LINK_BYE_OVERLOAD;
        }
        if (!node && stores_add(stores, session->owner, &node) < 0) {
                *ret_why = "out of memory";
                return LINK_BYE_INTERNAL;
        }
        if (node->state == NODE_CLOSED && node->failed && monotonic_usec() < node->retry_usec) {
                *ret_why = why_failed;
                return LINK_BYE_INTERNAL;
        }
        if (node->state == NODE_OPEN) {
                node->visit = false;
                node->used_usec = monotonic_usec();
                *ret = store_loop_intake(node->loop);
        } else {
                stores_want(node);
        }
        return 0;
}

Intake *stores_intake(Stores *stores)
{
        return stores->lobby ? stores->lobby : store_loop_intake(stores->own->loop);
}

StoreLoop *stores_own(Stores *stores)
{
        return stores->own->loop;
}

StoreLoop *stores_of(const IntakeSession *session)
{
        return intake_userdata(session->intake);
}
