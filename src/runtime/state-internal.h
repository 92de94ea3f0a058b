/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the two halves of a component's state, conditions (state.c) and status (status.c), share. */

#include "runtime/state.h"

#include <sys/queue.h>

/* STATUS= is one line in systemctl's output. */
#define STATUS_TEXT_MAX 256U
/* No file is written more often: once a second, with room for a timer that comes early. */
#define STATE_INTERVAL_USEC (900 * USEC_PER_MSEC)

typedef struct Held {
        char *name;
        char *reason;
        char *keys; /* as given, or NULL */
        uint64_t since_usec;
        uint64_t count;
        uint64_t tried_usec; /* monotonic time of the last write, 0: not yet */
        bool dirty;
        bool drill; /* it holds for whoever looks, not for the program */
        TAILQ_ENTRY(Held) entries;
} Held;

struct State {
        char *component;
        char *path;
        char *drill_path; /* who asks for a drill writes it there */
        int fd;
        bool locked;
        TAILQ_HEAD(, Held) held;

        FILE *status; /* between status_begin() and status_end() */
        char *status_text;
        size_t status_size;
        char *published;
        size_t published_size;
        uint64_t published_usec;
        char notified[STATUS_TEXT_MAX];
        char *label;
        uint64_t failed_usec; /* when it was said last */
};

/* Writes the file under a name that readers skip, then gives it its name. */
int state_write_file(State *state, const char *name, const char *text, size_t size) _must_check_;
void state_say_failed(State *state, const char *name, int r);
/* Writes the conditions whose files are not up to date. */
void state_flush_held(State *state);
Held *state_find(const State *state, const char *name);
/* Begins a condition, and ends one, which is freed. */
int state_begin(State *state, const char *name, const char *reason, const char *keys, bool drill) _must_check_;
void state_end(State *state, Held *held);
/* Looks whether a drill is asked for, or is over. Once a second. */
void state_look_for_drill(State *state);
