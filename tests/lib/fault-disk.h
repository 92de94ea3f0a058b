/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A disk in front of another that makes one call, or all calls from one on, fail with a given errno. With
 * FAULT_SHORT writes and reads do less than asked instead. To sweep: n = 1, 2, … until a run ends with
 * plan.hit false.
 */

#include "store/disk.h"

#define FAULT_SHORT 1
/* A write that does nothing and says so. */
#define FAULT_NOTHING 2

typedef struct FaultPlan {
        uint64_t at;   /* the call that fails, from 1; 0: none */
        int error;     /* negative errno, FAULT_SHORT or FAULT_NOTHING */
        bool for_ever; /* … and all after it */
        uint64_t more; /* … or so many after it */
        uint64_t calls;
        bool hit;
} FaultPlan;

/* Takes `inner` over. `plan` outlives the disk. */
Disk *fault_disk_new(Disk *inner, FaultPlan *plan);
