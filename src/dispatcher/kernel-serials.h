/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which events the kernel numbered and we never got, or got in part. Pure: no I/O, no clock; kept in
 * RingState.kernel, so that it moves together with the records it is about and outlives the process.
 */

#include "ring/ring.h"

/* Serials between the newest one seen and the oldest one not yet judged. Divides 2^32, so that a bit's place
 * survives the wrap. Twice the usual backlog_limit of 8,192: what the kernel's hold queue may deliver late.
 */
#define KERNEL_WINDOW 16384U
/* A serial is judged after so many ticks (seconds) if the window does not push it out before: longer than
 * the kernel's own time-outs towards the audit daemon, short enough that a loss is said while it can still
 * be explained. */
#define KERNEL_GRACE_TICKS 8U

/* What was lost since it was last told. */
typedef struct KernelGap {
        uint64_t events_lost; /* serials of which nothing came */
        uint64_t events_cut;  /* began without end, or ended without beginning */
        uint64_t overruns;    /* times the socket's buffer ran over: the number of records is unknown */
        uint64_t kernel_lost; /* what the kernel counted as lost; partly the same records */
        uint32_t first, last; /* serials the first two are among */
} KernelGap;

typedef struct KernelSerials {
        uint64_t boot_usec; /* CLOCK_BOOTTIME when this was last touched: serials begin again at boot */
        uint32_t started;
        uint32_t base;    /* the oldest serial not yet judged */
        uint32_t highest; /* the newest one seen; base - 1 when all are judged */
        uint32_t ticks;
        uint32_t history[KERNEL_GRACE_TICKS]; /* highest at past ticks */
        uint32_t begins_seen, ends_seen;      /* ever: a site may exclude either type */
        uint32_t kernel_lost;                 /* the kernel's counter when it was last read */
        uint32_t kernel_lost_known;
        uint64_t late;                    /* records that came after their serial was judged */
        uint64_t events_lost, events_cut; /* in the ring's life */
        KernelGap gap;
        uint64_t seen[KERNEL_WINDOW / 64];
        uint64_t began[KERNEL_WINDOW / 64];
        uint64_t ended[KERNEL_WINDOW / 64];
} KernelSerials;

_Static_assert(sizeof(KernelSerials) <= RING_KERNEL_STATE_SIZE, "it fits into the ring's state");

/* Whether the kernel's message of that type is a record; the others are answers and questions to the audit
 * daemon. */
bool kernel_type_is_record(uint16_t type);

/* To be called first, at start. A boot clock that is behind the state's is another boot, whose serials begin
 * anew. */
void kernel_serials_start(KernelSerials *serials, uint64_t boot_usec);

/* A record came. */
void kernel_serials_see(KernelSerials *serials, uint16_t type, uint32_t serial);

/* The socket's buffer ran over. */
void kernel_serials_overrun(KernelSerials *serials);

/* The kernel's counter of lost records, from AUDIT_GET. What it counted before a ring's first look goes into
 * the gap too, but is an old story: returns whether it moved since the last look. */
bool kernel_serials_lost_counter(KernelSerials *serials, uint32_t lost);

/* Once a second: judges what has had its time. Returns whether anything changed that is worth publishing. */
bool kernel_serials_tick(KernelSerials *serials, uint64_t boot_usec);

static inline bool kernel_gap_is_empty(const KernelGap *gap)
{
        return gap->events_lost == 0 && gap->events_cut == 0 && gap->overruns == 0 && gap->kernel_lost == 0;
}
