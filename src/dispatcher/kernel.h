/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Kernel audit into the ring: unicast (we are the audit daemon) or multicast (beside one). */

#include "dispatcher/kernel-serials.h"
#include "runtime/state.h"

#include <systemd/sd-event.h>

typedef struct Kernel Kernel;

typedef struct KernelOptions {
        sd_event *event;
        Ring *ring;
        State *state;
        int fd;                                      /* taken over, also on failure */
        void (*published)(void *userdata);           /* subscribers have more */
        void (*dropped)(uint64_t n, void *userdata); /* the ring had no room */
        void *userdata;
} KernelOptions;

int kernel_new(const KernelOptions *options, Kernel **ret) _must_check_;
Kernel *kernel_free(Kernel *kernel);
DEFINE_CLEANUP(Kernel *, kernel_free)

/* Reads no more: what comes stays in the socket for the next process, or, with `unregister`, is not sent
 * here any more. */
void kernel_stop(Kernel *kernel, bool unregister);

/* Formats and publishes what the last process had received and not published. To be called before anything
 * else is written to the ring, with or without a kernel socket. Returns how many messages these were. */
unsigned kernel_recover(Ring *ring);

/* Once a second: judges serials, tells losses, asks the kernel for its counters. */
void kernel_tick(Kernel *kernel);

typedef struct KernelCounters {
        uint64_t records; /* taken into the ring */
        uint64_t batches;
        uint64_t foreign;   /* messages that did not come from the kernel: ignored */
        uint64_t malformed; /* messages from the kernel that are no records: ignored */
        uint64_t overruns;
} KernelCounters;

const KernelCounters *kernel_counters(const Kernel *kernel);
/* What waits in the kernel's own queue, and how much may, as it said last. Returns false when it has said nothing: it
 * tells only its audit daemon. */
bool kernel_backlog(const Kernel *kernel, uint32_t *ret_waiting, uint32_t *ret_limit);
/* The serials' state in the ring, also without a kernel socket. */
const KernelSerials *kernel_serials(Ring *ring);
/* "kernel unicast", "kernel multicast", "kernel refused". */
const char *kernel_description(const Kernel *kernel);
