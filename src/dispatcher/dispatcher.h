/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The program: kernel and producers into the ring, the ring to its subscribers. */

#include "dispatcher/config.h"

typedef struct Dispatcher Dispatcher;

/* Takes the configuration over. */
int dispatcher_new(DispatcherConfig *config, Dispatcher **ret) _must_check_;
Dispatcher *dispatcher_free(Dispatcher *dispatcher);
DEFINE_CLEANUP(Dispatcher *, dispatcher_free)

/* Runs until SIGTERM. Returns the exit status or a negative errno. */
int dispatcher_run(Dispatcher *dispatcher) _must_check_;
