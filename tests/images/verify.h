/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whether two stores found after a crash keep what was promised before it. */

#include "block-log.h"

#include <stdio.h>

typedef struct Verdict {
        uint64_t lost, duplicated, unreadable; /* records; what is neither counts as one unreadable */
        uint64_t cut;                          /* stores with a torn end behind what was acked */
        uint64_t deleted;                      /* senders that had deleted what the collector has */
        uint64_t ahead;                        /* senders with records that the collector does not have */
        char why[256];                         /* the first thing that did not hold */
} Verdict;

static inline bool verdict_good(const Verdict *verdict)
{
        return verdict->lost + verdict->duplicated + verdict->unreadable == 0;
}

/* `promised`: the last record that each store said was in its custody. Adds to the verdict. */
void verify_stores(const char *const directories[static _DISK_MAX],
                   const uint64_t promised[static _DISK_MAX], Verdict *verdict);
