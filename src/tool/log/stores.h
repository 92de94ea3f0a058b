/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which stores are read: those that are named, and with each those of the nodes in it (Layout=by-node), also those
 * that come while it is followed. Says on stderr what is wrong.
 */

#include "tool/log/follow.h"
#include "tool/log/merge.h"

typedef struct LogStores {
        LogMerge *merge;
        LogFollow *follow; /* NULL: what there is now is all */
        bool durable;      /* only what is said to be */
        struct LogRoot *roots; /* that were named */
        size_t n_roots;
        struct LogNode *nodes; /* folders that were found in these */
        size_t n_nodes, allocated;
} LogStores;

/* The directories, or NULL: where stores are by default. */
int log_stores_add(LogStores *stores, char *const *directories) _must_check_;
/* Adds what nodes' stores are new. Returns how many, or a negative errno. */
int log_stores_look(LogStores *stores) _must_check_;
void log_stores_done(LogStores *stores);
