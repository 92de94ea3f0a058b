/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What opening a store found lost, said in gap records of the store's own. */

#include "store/store.h"

typedef struct StoreGaps {
        const char *node;
        StoreReport report; /* taken over */
        bool machine_death; /* the machine went down under the store */
        size_t written;     /* how many of the records are appended */
} StoreGaps;

void store_gaps_done(StoreGaps *gaps);

/* Appends the records that are not yet appended, as many as there is room for. Returns 1 when some were, 0
 * when none was left; an errno as from append: call again when there is room. */
int store_gaps_write(StoreGaps *gaps, Store *store, uint64_t now_usec) _must_check_;
