/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The states of the disk as conditions. */

#include "runtime/store-loop-private.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <stdio.h>

/* A condition ends only after the disk has worked for this long: it does not flap at the edge. */
#define CALM_USEC (5 * USEC_PER_SEC)

void store_loop_raise_condition(StoreLoop *loop, StoreCondition condition, const char *reason)
{
        bool began = !loop->held[condition];

        loop->held[condition] = true;
        loop->trouble_usec[condition] = monotonic_usec();
        state_raise(loop->options.state, loop->options.conditions[condition], reason, NULL);
        if (began && loop->options.handler->condition)
                loop->options.handler->condition(loop, condition, true, loop->options.userdata);
}

static void clear_condition(StoreLoop *loop, StoreCondition condition)
{
        if (!loop->held[condition])
                return;
        loop->held[condition] = false;
        state_clear(loop->options.state, loop->options.conditions[condition]);
        if (loop->options.handler->condition)
                loop->options.handler->condition(loop, condition, false, loop->options.userdata);
}

void store_loop_calm(StoreLoop *loop)
{
        static const StoreCondition conditions[] = { STORE_FULL, STORE_ERROR };
        uint64_t now = monotonic_usec();

        for (size_t i = 0; i < ELEMENTSOF(conditions); i++)
                if (loop->held[conditions[i]] && now - loop->trouble_usec[conditions[i]] >= CALM_USEC)
                        clear_condition(loop, conditions[i]);
}

void store_loop_check_space(StoreLoop *loop)
{
        uint64_t low = loop->options.disk_low_bytes;
        char reason[128];
        DiskSpace space;

        if (loop->disk->space(loop->disk, &space) < 0)
                return;
        if (space.bytes_free < low) {
                (void) snprintf(reason, sizeof reason,
                                "Only %" PRIu64 " MiB are free on the file system of the store",
                                space.bytes_free >> 20);
                if (!loop->held[STORE_LOW])
                        store_loop_raise_condition(loop, STORE_LOW, reason);
        } else if (space.bytes_free > low + low / 8) {
                clear_condition(loop, STORE_LOW);
        }
}

void store_loop_check_damage(StoreLoop *loop)
{
        StoreStatus status;

        if (loop->held[STORE_DAMAGED])
                return;
        store_status(loop->store, &status);
        if (status.damaged > 0)
                store_loop_raise_condition(loop, STORE_DAMAGED,
                                           "Stored records were found damaged when they were read");
}

bool store_loop_no_room(int error)
{
        return error == -ENOSPC || error == -EDQUOT || error == -EFBIG;
}

void store_loop_note_no_room(StoreLoop *loop, int error)
{
        char reason[160];

        (void) snprintf(reason, sizeof reason,
                        "The store has no room: %s; nothing is acknowledged until there is",
                        strerror(-error));
        store_loop_raise_condition(loop, STORE_FULL, reason);
}

void store_loop_note_failure(StoreLoop *loop, int error)
{
        char reason[160];

        loop->errors++;
        (void) snprintf(reason, sizeof reason,
                        "The store could not be written: %s; senders deliver again what was not yet durable",
                        strerror(-error));
        store_loop_raise_condition(loop, STORE_ERROR, reason);
}
