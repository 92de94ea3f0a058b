/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What opening a store found lost, said in gap records of the store's own. */

#include "store/store.h"

typedef struct StoreGaps {
        const char *node;
        StoreReport report; /* taken over */
        bool machine_death; /* the machine went down under the store */
        size_t written;     /* how many of the records are appended */
        size_t submitted;   /* … and in the group in flight or durable */
        size_t durable;
} StoreGaps;

void store_gaps_done(StoreGaps *gaps);

/* Appends the records that are not yet appended, as many as there is room for. Returns 1 when some were, 0
 * when none was left; an errno as from append: call again when there is room. */
int store_gaps_write(StoreGaps *gaps, Store *store, uint64_t now_usec) _must_check_;

/* Together with the store's commit: what was appended is in flight; is durable, or forgotten and to be appended again. */
void store_gaps_commit_begin(StoreGaps *gaps);
void store_gaps_commit_end(StoreGaps *gaps, int error);
bool store_gaps_told(const StoreGaps *gaps);
