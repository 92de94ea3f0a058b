/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the kernel numbered and nobody got: judged once a second, told by a gap record, shown as the condition kernel_lost.
 * The same whether the records came from the kernel or through auditd.
 */

#include "dispatcher/kernel-serials.h"
#include "runtime/state.h"

typedef struct Losses {
        Ring *ring;
        State *state;
        unsigned ticks; /* until kernel_lost ends */
} Losses;

/* Where the ring's state has them; another place after each publication. */
KernelSerials *losses_serials(Ring *ring);

/* kernel_lost holds for a while from now on. */
void losses_raise(Losses *losses, const char *reason);

/* Once a second. Returns whether there is something to publish. */
bool losses_tick(Losses *losses);

/* CLOCK_BOOTTIME. */
uint64_t losses_boot_usec(void);
