/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One thread with one slot, for what blocks: fdatasync on one instance, name look-ups on another. */

#include "basic/macro.h"

#include <systemd/sd-event.h>

typedef struct Worker Worker;

/* Make it after loop_new(), so that its thread never sees a signal. `name`: of the thread, at most 15 bytes
 * count. */
int worker_new(sd_event *event, const char *name, int64_t priority, Worker **ret) _must_check_;
/* Waits for the running job, whose done() is not called. May be called from done(). */
Worker *worker_free(Worker *worker);
DEFINE_CLEANUP(Worker *, worker_free)

bool worker_busy(const Worker *worker);

/* Runs run(userdata) on the thread, then done(result, userdata) in the loop. Only when not busy; done() may
 * start the next. */
void worker_start(Worker *worker, int (*run)(void *userdata), void (*done)(int result, void *userdata),
                  void *userdata);
