/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A loss is counted in the ring's state, which a crash does not lose, and told by one record when there is
 * room for it; count and record change places in one publication.
 */

#include "dispatcher/gap.h"
#include "record/record.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <stdio.h>

/* "since=…", and "NAME:COUNT," for each type that the ring's state has room for and for all others. */
#define DETAIL_MAX 4200U
/* Longest type name of libaudit and a 64-bit number. */
#define DETAIL_TYPE_MAX 64U

void gap_count_dropped(RingState *state, uint16_t type, uint64_t realtime_usec)
{
        uint64_t i;

        if (state->dropped == 0)
                state->dropped_sec = realtime_usec / USEC_PER_SEC;
        state->dropped++;
        state->dropped_total++;
        for (i = 0; i < state->n_dropped_types && state->dropped_types[i].type != type; i++)
                ;
        if (i == RING_DROPPED_TYPES_MAX) {
                state->dropped_other++;
                return;
        }
        if (i == state->n_dropped_types) {
                state->dropped_types[i].type = type;
                state->dropped_types[i].count = 0;
                state->n_dropped_types++;
        }
        state->dropped_types[i].count++;
}

/* One record as a batch of its own. */
static bool put_gap(Ring *ring, RecordGap *gap, bool reserve)
{
        uint8_t *out = ring_begin(ring, RECORD_LINE_MAX, reserve);

        if (!out)
                return false;
        gap->node = ring_node(ring);
        gap->time = record_time(realtime_usec(), ring_state(ring)->newest + 1);
        ring_seal(ring, record_gap(gap, out), 1, BATCH_ORIGIN_LOCAL);
        return true;
}

/* "since=1700000000 types=SYSCALL:12,PATH:40,other:1" */
static void describe_dropped(const RingState *state, char *out, size_t size)
{
        size_t used = (size_t) snprintf(out, size, "since=%" PRIu64 " types=", state->dropped_sec);
        const char *comma = "";

        for (uint64_t i = 0; i < state->n_dropped_types && used + DETAIL_TYPE_MAX < size; i++, comma = ",")
                used += (size_t) snprintf(out + used, size - used, "%s%s:%" PRIu64, comma,
                                          record_type_name((uint16_t) state->dropped_types[i].type),
                                          state->dropped_types[i].count);
        if (state->dropped_other > 0 && used + DETAIL_TYPE_MAX < size)
                (void) snprintf(out + used, size - used, "%sother:%" PRIu64, comma, state->dropped_other);
}

_Static_assert(DETAIL_MAX > (RING_DROPPED_TYPES_MAX + 2) * DETAIL_TYPE_MAX,
               "every type that is counted is told");

bool gap_write_dropped(Ring *ring, bool reserve)
{
        RingState *state = ring_state(ring);
        char detail[DETAIL_MAX];
        RecordGap gap = { .where = "ring", .reason = "ring-full", .lost = state->dropped, .detail = detail };

        if (state->dropped == 0)
                return true;
        describe_dropped(state, detail, sizeof detail);
        if (!put_gap(ring, &gap, reserve))
                return false;
        state->dropped = 0;
        state->dropped_sec = 0;
        state->n_dropped_types = 0;
        state->dropped_other = 0;
        return true;
}

bool gap_write_damaged(Ring *ring)
{
        RecordGap gap = { .where = "ring", .reason = "ring-damaged", .at_least = true };

        return put_gap(ring, &gap, false);
}

static const char *kernel_reason(const KernelGap *gap)
{
        if (gap->overruns > 0)
                return "socket-overrun";
        if (gap->events_lost > 0)
                return "serials-missing";
        return gap->events_cut > 0 ? "events-incomplete" : "kernel-lost";
}

bool gap_write_kernel(Ring *ring, KernelGap *kernel)
{
        char detail[256];
        RecordGap gap = {
                .where = "kernel",
                .reason = kernel_reason(kernel),
                /* Each of these events was one record at least. The kernel may have counted the same. */
                .lost = MAX(kernel->events_lost + kernel->events_cut, kernel->kernel_lost),
                .at_least = true,
                .detail = detail,
        };
        int used;

        if (kernel_gap_is_empty(kernel))
                return true;
        used = snprintf(detail, sizeof detail,
                        "events_lost=%" PRIu64 " events_cut=%" PRIu64 " overruns=%" PRIu64
                        " kernel_lost=%" PRIu64,
                        kernel->events_lost, kernel->events_cut, kernel->overruns, kernel->kernel_lost);
        if (kernel->events_lost + kernel->events_cut > 0)
                (void) snprintf(detail + used, sizeof detail - (size_t) used,
                                " first_serial=%" PRIu32 " last_serial=%" PRIu32, kernel->first,
                                kernel->last);
        if (!put_gap(ring, &gap, false))
                return false;
        *kernel = (KernelGap) { 0 };
        return true;
}
