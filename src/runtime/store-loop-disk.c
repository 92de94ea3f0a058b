/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The states of the disk as conditions. */

#include "runtime/store-loop-private.h"
#include "runtime/loop.h"
#include "runtime/when-full.h"

#include <inttypes.h>
#include <stdio.h>

/* A condition ends only after the disk has worked for this long: it does not flap at the edge. */
#define CALM_USEC (5 * USEC_PER_SEC)

const char *const when_full_names[] = {
        [WHEN_FULL_BLOCK] = "block",
        [WHEN_FULL_DROP_OLDEST] = "drop-oldest",
        NULL,
};

/* Of a limit, so much more must be left before STORE_LOW ends: an eighth. */
#define MARGIN_SHARE 8U
/* Of what the store may take at all (use_max), so much is to be left: a quarter. */
#define USE_LEFT_SHARE 4U

void store_loop_raise_condition(StoreLoop *loop, StoreCondition condition, const char *reason)
{
        bool began = !loop->held[condition];
        char keys[512];

        if (!loop->options.conditions[condition])
                return;
        loop->held[condition] = true;
        if (began && loop->options.holders)
                loop->options.holders[condition]++;
        loop->trouble_usec[condition] = monotonic_usec();
        (void) snprintf(keys, sizeof keys, "DIRECTORY=%.480s", loop->options.directory);
        state_raise(loop->options.state, loop->options.conditions[condition], reason, keys);
        if (began && loop->options.handler->condition)
                loop->options.handler->condition(loop, condition, true, loop->options.userdata);
}

/* The condition goes on while it holds for another store. */
static void let_go(StoreLoop *loop, StoreCondition condition)
{
        unsigned *holders = loop->options.holders;

        loop->held[condition] = false;
        if (!holders || --holders[condition] == 0)
                state_clear(loop->options.state, loop->options.conditions[condition]);
}

void store_loop_release_conditions(StoreLoop *loop)
{
        for (StoreCondition c = 0; loop->options.holders && c < _STORE_CONDITION_MAX; c++)
                if (loop->held[c])
                        let_go(loop, c);
}

static void clear_condition(StoreLoop *loop, StoreCondition condition)
{
        if (!loop->held[condition])
                return;
        let_go(loop, condition);
        if (loop->options.handler->condition)
                loop->options.handler->condition(loop, condition, false, loop->options.userdata);
}

static bool is_calm(const StoreLoop *loop, StoreCondition condition)
{
        return loop->held[condition] && monotonic_usec() - loop->trouble_usec[condition] >= CALM_USEC;
}

void store_loop_calm(StoreLoop *loop, bool committed)
{
        if (is_calm(loop, STORE_FULL))
                clear_condition(loop, STORE_FULL);
        if (is_calm(loop, STORE_QUOTA_FULL))
                clear_condition(loop, STORE_QUOTA_FULL);
        /* That nobody writes does not show that the disk works, nor does a write that it can be read. */
        if (committed && !loop->unread && is_calm(loop, STORE_ERROR))
                clear_condition(loop, STORE_ERROR);
}

bool store_loop_needs_proof(const StoreLoop *loop)
{
        return loop->held[STORE_ERROR] && !loop->unread;
}

/* --- Room --- */

/* Something of which there may be too little left. */
typedef struct Level {
        StoreCondition condition; /* that begins then */
        const char *what; /* the reason, behind the number that is left */
        uint64_t left, limit, unit;
} Level;

#define LEVELS 3U

/* Without a limit there is always enough; a file system without a number of inodes has no limit of them. */
static void measure(StoreLoop *loop, const DiskSpace *space, Level ret[static LEVELS])
{
        const StoreLoopOptions *options = &loop->options;
        uint64_t use_max = options->store.use_max;
        StoreStatus status;

        store_status(loop->store, &status);
        ret[0] = (Level) {
                .condition = STORE_LOW,
                .what = "MiB are free on the file system of the store",
                .left = space->bytes_free,
                .limit = disk_amount_of(options->space_left, space->bytes_total),
                .unit = 1024 * 1024,
        };
        ret[1] = (Level) {
                .condition = STORE_LOW,
                .what = "inodes are free on the file system of the store",
                .left = space->inodes_free,
                .limit = space->inodes_total > 0 ? disk_amount_of(options->inodes_left, space->inodes_total) : 0,
                .unit = 1,
        };
        ret[2] = (Level) {
                .condition = options->quota ? STORE_QUOTA_LOW : STORE_LOW,
                .what = options->quota ? "KiB more may be kept of this node (NodeMaxUse=)"
                                       : "KiB more may be kept here that no collector has (MaxUse=)",
                .left = use_max - MIN(use_max, status.bytes_awaited),
                .limit = use_max / USE_LEFT_SHARE,
                .unit = 1024,
        };
}

static bool is_low(const Level *level)
{
        return level->left < level->limit;
}

static bool is_enough(const Level *level)
{
        return level->limit == 0 || level->left > level->limit + level->limit / MARGIN_SHARE;
}

void store_loop_check_space(StoreLoop *loop)
{
        bool short_of[_STORE_CONDITION_MAX] = { 0 };
        Level levels[LEVELS];
        char reason[128];
        DiskSpace space;

        if (loop->disk->space(loop->disk, &space) < 0)
                return;
        measure(loop, &space, levels);
        for (size_t i = 0; i < LEVELS; i++) {
                const Level *level = &levels[i];

                short_of[level->condition] = short_of[level->condition] || !is_enough(level);
                if (loop->held[level->condition] || !is_low(level))
                        continue;
                (void) snprintf(reason, sizeof reason, "Only %" PRIu64 " %s", level->left / level->unit, level->what);
                store_loop_raise_condition(loop, level->condition, reason);
        }
        if (!short_of[STORE_LOW])
                clear_condition(loop, STORE_LOW);
        if (!short_of[STORE_QUOTA_LOW])
                clear_condition(loop, STORE_QUOTA_LOW);
}

/* --- What the store has noticed --- */

static void check_damage(StoreLoop *loop, const StoreStatus *status)
{
        if (status->damaged > 0 && !loop->held[STORE_DAMAGED])
                store_loop_raise_condition(loop, STORE_DAMAGED,
                                           "Stored records were found damaged when they were read");
}

/* It ends when the collector has acked all up to the oldest record held: then it has been told of the loss. */
static void check_dropping(StoreLoop *loop, const StoreStatus *status)
{
        char reason[160];

        if (status->dropped > loop->dropped) {
                (void) snprintf(reason, sizeof reason,
                                "The store is full: %" PRIu64
                                " records were deleted that no collector has, the oldest first",
                                status->dropped);
                store_loop_raise_condition(loop, STORE_DROPPING, reason);
        } else if (is_calm(loop, STORE_DROPPING) && status->released + 1 >= status->oldest) {
                clear_condition(loop, STORE_DROPPING);
        }
        loop->dropped = status->dropped;
}

void store_loop_check_store(StoreLoop *loop)
{
        StoreStatus status;

        store_status(loop->store, &status);
        check_damage(loop, &status);
        check_dropping(loop, &status);
}

/* --- What failed --- */

bool store_loop_no_room(int error)
{
        return error == -ENOSPC || error == -EDQUOT || error == -EFBIG;
}

bool store_loop_low(const StoreLoop *loop)
{
        return loop->held[STORE_LOW] || loop->held[STORE_QUOTA_LOW];
}

bool store_loop_full(const StoreLoop *loop)
{
        return loop->held[STORE_FULL] || loop->held[STORE_QUOTA_FULL];
}

bool store_loop_failed(const StoreLoop *loop)
{
        return loop->held[STORE_ERROR];
}

void store_loop_note_no_room(StoreLoop *loop, int error)
{
        char reason[160];
        StoreStatus status;

        store_status(loop->store, &status);
        if (loop->options.quota && status.use_reached) {
                store_loop_raise_condition(loop, STORE_QUOTA_FULL,
                                           "A node has used what NodeMaxUse= allows; of it nothing is acknowledged "
                                           "until there is room");
                return;
        }
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

void store_loop_not_read(StoreLoop *loop, const char *why)
{
        char reason[400];

        loop->unread = true;
        (void) snprintf(reason, sizeof reason, "The store could not be read: %s", why);
        store_loop_raise_condition(loop, STORE_ERROR, reason);
}

void store_loop_was_read(StoreLoop *loop)
{
        loop->unread = false;
}
