/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A store in the loop, as remote and the aggregator both have it: opened and recovered, what recovery found said in gap records
 * and conditions, an intake in front, group commit on a worker, disk states with hysteresis, rotation, a clean end.
 */

#include "runtime/intake.h"
#include "runtime/state.h"
#include "store/store.h"

#include <systemd/sd-event.h>

typedef struct StoreLoop StoreLoop;

typedef struct StoreLoopHandler {
        /* A group became durable: sources have more. */
        void (*durable)(StoreLoop *loop, void *userdata);
        /* A disk condition of ours began or ended ("disk_full" …), for STATE to the peers. May be NULL. */
        void (*condition)(StoreLoop *loop, const char *condition, bool on, void *userdata);
} StoreLoopHandler;

typedef struct StoreLoopOptions {
        const char *directory;
        StoreOptions store; /* disk is set here */
        State *state;
        const char *conditions[4]; /* names of: low, full, error, damaged */
        const char *node;          /* of gap records made here */
        const char *name;          /* for WELCOME */
        const char *boot_id;       /* to tell machine death from a crash; NULL: do not */
        const IntakeHandler *intake; /* flush, judge, connected, refused, bye, command are passed on; dirty and blocked are ours */
        uint64_t window;
        uint64_t disk_low_bytes;   /* free space below which `low` begins */
        const StoreLoopHandler *handler;
        void *userdata;
} StoreLoopOptions;

int store_loop_new(sd_event *event, const StoreLoopOptions *options, StoreLoop **ret) _must_check_;
/* Waits for the job in flight. After store_loop_finish() the end was clean. */
StoreLoop *store_loop_free(StoreLoop *loop);
DEFINE_CLEANUP(StoreLoop *, store_loop_free)

Store *store_loop_store(StoreLoop *loop);
Intake *store_loop_intake(StoreLoop *loop);
/* Custody moved or a retention rule may apply: commit when idle. */
void store_loop_wake(StoreLoop *loop);
void store_loop_rotate(StoreLoop *loop);
/* Writes the metrics of the store into the status being written. */
void store_loop_status(StoreLoop *loop);
/* Commits the rest with the clean-end mark, then calls done(). */
void store_loop_finish(StoreLoop *loop, void (*done)(void *userdata), void *userdata);
