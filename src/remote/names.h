/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The names of users and groups, from whatever this host has them from (files, LDAP, …): looked up one at a time
 * on a thread of their own, remembered, and never waited for longer than a bound. */

#include "basic/macro.h"

#include <systemd/sd-event.h>

typedef enum NameKind { NAME_USER, NAME_GROUP, _NAME_KIND_MAX } NameKind;

#define NAME_SIZE_MAX 256U

/* Looks one up, on the thread; may block. Returns 1 with the name, 0 when there is none. */
typedef int (*NameLookUp)(NameKind kind, uint32_t id, char *ret, size_t size);

typedef struct Names Names;

typedef struct NamesOptions {
        NameLookUp look_up;    /* NULL: the system's */
        uint64_t timeout_usec; /* nobody waits longer than that */
        /* What names_get() said to wait for is there, or is not waited for any more. */
        void (*ready)(void *userdata);
        void *userdata;
} NamesOptions;

typedef struct NamesCounters {
        uint64_t looked_up;
        uint64_t overdue; /* times that nobody waited any longer */
} NamesCounters;

int names_new(sd_event *event, const NamesOptions *options, Names **ret) _must_check_;
/* For the end of the process: a look-up that runs is left running. */
Names *names_free(Names *names);
DEFINE_CLEANUP(Names *, names_free)

/* Returns 1 with the name, valid until the loop runs again or names_flush(); 0 when none is known; -EAGAIN, if
 * `wait`, when it is worth waiting for ready(). */
int names_get(Names *names, NameKind kind, uint32_t id, bool wait, const char **ret);

/* Users or groups have changed: forgets all. */
void names_flush(Names *names);

const NamesCounters *names_counters(const Names *names);
