/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dispatcher/losses.h"
#include "dispatcher/gap.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <time.h>

/* kernel_lost holds as long after the last loss was seen, so that a watcher that looks once a minute sees
 * it. */
#define LOST_HOLD_TICKS 60U

KernelSerials *losses_serials(Ring *ring)
{
        return (KernelSerials *) (void *) ring_state(ring)->kernel;
}

uint64_t losses_boot_usec(void)
{
        struct timespec now;

        (void) clock_gettime(CLOCK_BOOTTIME, &now);
        return (uint64_t) now.tv_sec * USEC_PER_SEC + (uint64_t) now.tv_nsec / 1000;
}

void losses_raise(Losses *losses, const char *reason)
{
        losses->ticks = LOST_HOLD_TICKS;
        state_raise(losses->state, "kernel_lost", reason, NULL);
}

static bool tell(Losses *losses)
{
        KernelGap *gap = &losses_serials(losses->ring)->gap;
        KernelGap told = *gap;

        if (kernel_gap_is_empty(gap) || !gap_write_kernel(losses->ring, gap))
                return false;
        log_message(LOG_WARNING, MESSAGE_ID_GAP, NULL,
                    "Lost between kernel and dispatcher: %" PRIu64 " events whole, %" PRIu64
                    " in part, %" PRIu64 " overruns of the socket, %" PRIu64
                    " records by the kernel's count",
                    told.events_lost, told.events_cut, told.overruns, told.kernel_lost);
        if (told.events_lost + told.events_cut > 0)
                losses_raise(losses, "Events from the kernel are missing: see the gap record");
        return true;
}

bool losses_tick(Losses *losses)
{
        bool changed = kernel_serials_tick(losses_serials(losses->ring), losses_boot_usec());

        changed = tell(losses) || changed;
        if (losses->ticks > 0 && --losses->ticks == 0)
                state_clear(losses->state, "kernel_lost");
        return changed;
}
