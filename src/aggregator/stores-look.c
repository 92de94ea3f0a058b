/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who looks at all stores: for the status, for the roster of peers, and once a second for what has to be done with those that
 * nobody uses.
 */

#include "aggregator/stores-private.h"
#include "runtime/loop.h"

#include <stdio.h>

/* Stores that are opened at a time only to be looked at. Those that somebody waits for go first. */
#define VISITS_MAX 2U
/* How often a closed store is opened to delete what has become too old, and one that could not be opened is tried. */
#define VISIT_USEC (3600 * USEC_PER_SEC)
#define FAILED_VISIT_USEC (60 * USEC_PER_SEC)
/* It stays open for so many ticks, so that everybody has looked. */
#define VISIT_TICKS 2U
/* Nodes with metrics of their own in the status file: more would take longer to write than they are worth. */
#define STATUS_NODES_MAX 5000U

/* --- Ticks --- */

/* A store that was never opened is not known yet: neither its size nor its streams. */
static bool visit_due(const NodeStore *node, uint64_t now)
{
        uint64_t since = now - node->visited_usec;

        if (node->state != NODE_CLOSED)
                return false;
        if (node->visited_usec == 0)
                return true;
        if (node->failed)
                return since >= FAILED_VISIT_USEC;
        return node->stores->options.store.store.retention_usec > 0 && since >= VISIT_USEC;
}

/* Somebody could not delete anything of his own: the closed one that holds most can. */
static NodeStore *find_largest(Stores *stores)
{
        NodeStore *node, *largest = NULL;

        if (stores->pool.wanted == 0 || !stores->options.store.store.delete_unacked)
                return NULL;
        TAILQ_FOREACH(node, &stores->nodes, nodes)
                if (node->state == NODE_CLOSED && node->facts.store.segments > 1 &&
                    (!largest || node->facts.store.bytes > largest->facts.store.bytes))
                        largest = node;
        return largest;
}

static void visit(NodeStore *node)
{
        node->visit = true;
        stores_want(node);
}

void stores_tick(Stores *stores)
{
        uint64_t now = monotonic_usec();
        NodeStore *node, *largest;
        size_t visits = 0;

        if (!stores->options.by_node || stores->done)
                return;
        TAILQ_FOREACH(node, &stores->nodes, nodes) {
                visits += node->visit && node->state != NODE_CLOSED;
                if (node->state != NODE_OPEN)
                        continue;
                node->ticks++;
                if (!intake_idle(store_loop_intake(node->loop)))
                        node->used_usec = now;
                else if (stores_may_close(node) &&
                         (node->visit ? node->ticks > VISIT_TICKS : now - node->used_usec >= stores->options.idle_usec))
                        stores_close(node);
        }
        TAILQ_FOREACH(node, &stores->nodes, nodes)
                if (visits < VISITS_MAX && TAILQ_EMPTY(&stores->queue) && visit_due(node, now)) {
                        visit(node);
                        visits++;
                }
        largest = visits < VISITS_MAX ? find_largest(stores) : NULL;
        if (largest)
                visit(largest);
}

void stores_rotate(Stores *stores)
{
        NodeStore *node;

        TAILQ_FOREACH(node, &stores->nodes, nodes)
                if (node->state == NODE_OPEN)
                        store_loop_rotate(node->loop);
}

/* --- All of them --- */

bool stores_stream_next(Stores *stores, StoresPosition *position, StoreStream *ret)
{
        NodeStore *node = position->node ? position->node : TAILQ_FIRST(&stores->nodes);

        for (; node; node = TAILQ_NEXT(node, nodes)) {
                position->node = node;
                if (node->loop && store_stream_next(store_loop_store(node->loop), &position->stream, ret))
                        return true;
                if (!node->loop && position->i < node->n_streams) {
                        *ret = node->streams[position->i++];
                        return true;
                }
                position->stream = NULL;
                position->i = 0;
        }
        return false;
}

static void forget(NodeStore *node, const StoreStream *stream)
{
        store_stream_forget(store_loop_store(node->loop), &stream->id);
        store_loop_wake(node->loop);
}

void stores_forget(Stores *stores, const StoreStream *stream)
{
        NodeStore *node = stores->options.by_node ? stores_find(stores, stream->owner) : NULL;

        /* What a stock client delivered is in our own. */
        forget(stores->own, stream);
        if (node && node->state == NODE_OPEN)
                forget(node, stream);
        else if (node)
                visit(node);
}

/* --- Facts --- */

void stores_facts(Stores *stores, StoreFacts *ret)
{
        NodeStore *node;

        *ret = (StoreFacts) { 0 };
        TAILQ_FOREACH(node, &stores->nodes, nodes) {
                StoreFacts facts = node->facts;

                store_facts_count(ret, &node->facts);
                if (node->loop) {
                        store_loop_facts(node->loop, &facts);
                        store_facts_count(ret, &facts);
                }
                store_facts_hold(ret, &facts);
        }
}

static void status_of_nodes(Stores *stores, State *state)
{
        NodeStore *node;
        size_t n = 0;

        TAILQ_FOREACH(node, &stores->nodes, nodes) {
                char label[NODE_NAME_MAX + 16];
                StoreFacts facts = node->facts;

                if (n >= STATUS_NODES_MAX)
                        break;
                if (node->loop)
                        store_loop_facts(node->loop, &facts);
                /* A valid node's name needs no quoting. */
                (void) snprintf(label, sizeof label, "node=\"%s\"", node->name);
                status_gauge(state, "node_bytes", label, (double) facts.store.bytes,
                             n++ == 0 ? "Size of the node's store" : NULL);
        }
}

void stores_status(Stores *stores)
{
        State *state = stores->options.store.state;
        NodeStore *node;
        StoreFacts facts;
        size_t waiting = 0;

        if (!stores->options.by_node) {
                store_loop_status(stores->own->loop);
                return;
        }
        stores_facts(stores, &facts);
        store_facts_status(&facts, state);
        TAILQ_FOREACH(node, &stores->queue, queue)
                waiting++;
        status_gauge(state, "nodes", NULL, (double) stores->n_nodes, "Nodes that have a store");
        status_gauge(state, "stores_open", NULL, (double) stores->n_open, "Of these, open");
        status_gauge(state, "stores_waiting", NULL, (double) waiting, "Stores that are to be opened");
        status_of_nodes(stores, state);
}
