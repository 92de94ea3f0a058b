/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The store as it is published to the local dispatcher: a source in front of the store's own. Pure. */

#include "basic/batch.h"

typedef struct Published {
        Source source;
        Source *store;
        uint64_t floor;   /* who has nothing of the stream gets nothing up to here */
        uint64_t records; /* shown */
} Published;

/* `floor`: the newest seq now, or what is known to have been published. */
void published_init(Published *published, Source *store, uint64_t floor);
