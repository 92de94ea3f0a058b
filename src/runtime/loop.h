/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One sd-event loop per process: priorities from one table, the watchdog fed from the loop, the signals
 * every program understands (SIGTERM and SIGINT drain, SIGHUP reloads, SIGUSR1 rotates).
 */

#include "basic/macro.h"

#include <systemd/sd-event.h>

/* sd-event priorities are strict, so an input that is always ready would starve all below it: all data in
 * and out is equal. */
typedef enum LoopPriority {
        LOOP_EXIT_TIMEOUT = SD_EVENT_PRIORITY_IMPORTANT - 20,
        LOOP_SIGNAL = SD_EVENT_PRIORITY_IMPORTANT - 10,
        /* Once a second and bounded: before the data, or a loop that is never idle would be taken for stuck. */
        LOOP_STATUS = SD_EVENT_PRIORITY_IMPORTANT,
        LOOP_DATA = SD_EVENT_PRIORITY_NORMAL,
        /* Equals go in the order in which they became ready: what was there when the commit was asked for forms the
         * group, and what never ends does not hold it up. */
        LOOP_COMMIT = LOOP_DATA,
        LOOP_EXIT_IDLE = SD_EVENT_PRIORITY_NORMAL + 20,
} LoopPriority;

typedef struct LoopHandler {
        /* SIGTERM: stop taking new work and call loop_exit() once drained; loop_exit() is called anyway
         * after LOOP_EXIT_TIMEOUT_USEC. Called once, however many signals come. */
        void (*terminate)(void *userdata);
        void (*reload)(void *userdata); /* SIGHUP; systemd is told RELOADING=1 before and READY=1 after */
        void (*rotate)(void *userdata); /* SIGUSR1; may be NULL */
        void (*tick)(void *userdata);   /* once a second: status, timers of the machines; may be NULL */
} LoopHandler;

/* Below systemd's default TimeoutStopSec= of 90 s, which would end in SIGKILL. */
#define LOOP_EXIT_TIMEOUT_USEC (10 * USEC_PER_SEC)
/* Of tick(). */
#define LOOP_TICK_USEC USEC_PER_SEC

typedef struct Loop Loop;

/* Blocks the signals (before any thread is made) and sets up the loop. SIGPIPE is ignored. */
int loop_new(const LoopHandler *handler, void *userdata, Loop **ret) _must_check_;
Loop *loop_free(Loop *loop);
DEFINE_CLEANUP(Loop *, loop_free)

sd_event *loop_event(Loop *loop);
/* Sends READY=1 and runs until loop_exit(). Returns what loop_exit() was given, or a negative errno. */
int loop_run(Loop *loop) _must_check_;
void loop_exit(Loop *loop, int code);
/* Whether terminate() was called. */
bool loop_terminating(const Loop *loop);

uint64_t monotonic_usec(void);
uint64_t realtime_usec(void);
