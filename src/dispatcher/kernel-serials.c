/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The kernel gives every event a serial from one counter, and a record of every event reaches the audit
 * daemon or is lost. So a serial that never comes is a lost event. Records of several events interleave, and
 * those that waited in the kernel's hold queue come late: a serial is judged only when the window has moved
 * past it, or some seconds have gone by.
 *
 * An event that the kernel makes of several records begins with SYSCALL or URINGOP and always ends with EOE:
 * with one of the two alone it was cut. A site that excludes one of these types by rule would have every
 * event "cut"; so a type counts as missing only where it has been seen at all.
 *
 *  1. base ≤ serial ≤ highest, modulo 2^32, spans at most KERNEL_WINDOW serials; bits outside are zero.
 *  2. Every serial from the first one on is judged exactly once. The first event seen is not judged: its
 *     beginning may lie before ours.
 *  3. Nothing is forgotten by a crash: what was judged and not yet told stays in `gap`.
 */

#include "dispatcher/kernel-serials.h"
#include "basic/mark.h"

#include <linux/audit.h>

#ifndef AUDIT_URINGOP
#define AUDIT_URINGOP 1336
#endif
/* Named in the kernel's headers only as deprecated: "auditctl -m" is answered with records of this type. */
#define TYPE_USER 1005
#define TYPE_LOGIN 1006

bool kernel_type_is_record(uint16_t type)
{
        if (type == TYPE_USER || type == TYPE_LOGIN)
                return true;
        return type >= AUDIT_FIRST_USER_MSG && type <= AUDIT_LAST_USER_MSG2 && type != AUDIT_REPLACE;
}

static void bit_set(uint64_t *bits, uint32_t serial)
{
        uint32_t i = serial % KERNEL_WINDOW;

        bits[i / 64] |= UINT64_C(1) << i % 64;
}

static bool bit_take(uint64_t *bits, uint32_t serial)
{
        uint32_t i = serial % KERNEL_WINDOW;
        uint64_t mask = UINT64_C(1) << i % 64;
        bool was = bits[i / 64] & mask;

        bits[i / 64] &= ~mask;
        return was;
}

static void gap_cover(KernelGap *gap, uint32_t first, uint32_t last)
{
        bool fresh = gap->events_lost == 0 && gap->events_cut == 0;

        if (fresh)
                gap->first = first;
        gap->last = last;
}

static void judge_lost(KernelSerials *serials, uint32_t first, uint32_t n)
{
        gap_cover(&serials->gap, first, first + n - 1);
        serials->gap.events_lost += n;
        serials->events_lost += n;
}

static void judge(KernelSerials *serials, uint32_t serial)
{
        bool seen = bit_take(serials->seen, serial);
        bool began = bit_take(serials->began, serial);
        bool ended = bit_take(serials->ended, serial);

        if (!seen) {
                judge_lost(serials, serial, 1);
        } else if ((began && !ended && serials->ends_seen) || (ended && !began && serials->begins_seen)) {
                gap_cover(&serials->gap, serial, serial);
                serials->gap.events_cut++;
                serials->events_cut++;
        }
}

/* Judges all serials below `end`. */
static void advance(KernelSerials *serials, uint32_t end)
{
        while (serials->base != end) {
                if (serials->base == serials->highest + 1) {
                        judge_lost(serials, serials->base, end - serials->base);
                        serials->base = end;
                        serials->highest = end - 1;
                        return;
                }
                judge(serials, serials->base++);
        }
}

void kernel_serials_start(KernelSerials *serials, uint64_t boot_usec)
{
        KernelSerials fresh = {
                .late = serials->late,
                .events_lost = serials->events_lost,
                .events_cut = serials->events_cut,
                .gap = serials->gap,
        };

        if (boot_usec < serials->boot_usec)
                *serials = fresh;
        serials->boot_usec = boot_usec;
}

void kernel_serials_see(KernelSerials *serials, uint16_t type, uint32_t serial)
{
        uint32_t ahead;

        if (!serials->started) {
                serials->started = 1;
                serials->base = serial + 1;
                serials->highest = serial;
                for (size_t i = 0; i < KERNEL_GRACE_TICKS; i++)
                        serials->history[i] = serial;
        }
        ahead = serial - serials->base;
        if (ahead >= UINT32_MAX / 2) {
                /* Further records of the very first event are no news. */
                serials->late += serial + 1 != serials->base;
                return;
        }
        if (ahead >= KERNEL_WINDOW)
                advance(serials, serial - KERNEL_WINDOW + 1);
        if (serial - serials->base > serials->highest - serials->base ||
            serials->highest + 1 == serials->base)
                serials->highest = serial;

        MARK_IF(serial != serials->highest, "kernel.late-in-the-window");
        bit_set(serials->seen, serial);
        if (type == AUDIT_SYSCALL || type == AUDIT_URINGOP) {
                bit_set(serials->began, serial);
                serials->begins_seen = 1;
        } else if (type == AUDIT_EOE) {
                bit_set(serials->ended, serial);
                serials->ends_seen = 1;
        }
}

void kernel_serials_overrun(KernelSerials *serials)
{
        serials->gap.overruns++;
}

bool kernel_serials_lost_counter(KernelSerials *serials, uint32_t lost)
{
        uint32_t before = serials->kernel_lost;
        bool known = serials->kernel_lost_known;

        serials->kernel_lost_known = 1;
        if (lost == before)
                return false;
        /* Somebody may have set it back to zero. */
        serials->gap.kernel_lost += lost > before ? lost - before : lost;
        serials->kernel_lost = lost;
        return known && lost > 0;
}

bool kernel_serials_tick(KernelSerials *serials, uint64_t boot_usec)
{
        uint32_t *oldest = &serials->history[serials->ticks % KERNEL_GRACE_TICKS];
        uint32_t due;

        if (!serials->started || serials->base == serials->highest + 1)
                return false;
        due = *oldest;
        *oldest = serials->highest;
        serials->ticks++;
        serials->boot_usec = boot_usec;
        if (due + 1 - serials->base <= serials->highest + 1 - serials->base)
                advance(serials, due + 1);
        return true;
}
