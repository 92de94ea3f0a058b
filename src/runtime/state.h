/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Conditions and status as files: /run/audit-relay/state/COMPONENT/. A condition that holds is a file of KEY=VALUE lines, written
 * atomically; it goes when the condition ends. `status` beside them is OpenMetrics text. Nobody else writes there.
 */

#include "basic/macro.h"

#include <stdio.h>

typedef struct State State;

/* Removes conditions a dead predecessor left behind. The directory must exist. */
int state_new(const char *directory, const char *component, State **ret) _must_check_;
/* Clears all conditions: none outlives its component. */
State *state_free(State *state);
DEFINE_CLEANUP(State *, state_free)

/* Begins the condition, or updates it when it holds (SINCE stays, COUNT grows). keys: further KEY=VALUE lines or NULL. Logs the
 * beginning with the condition's MESSAGE_ID. SINCE is realtime, REASON is required: a sentence for people. */
void state_raise(State *state, const char *condition, const char *reason, const char *keys);
/* Ends it; nothing when it does not hold. Logs the end. */
void state_clear(State *state, const char *condition);
bool state_holds(const State *state, const char *condition);
/* Names of the conditions that hold, in order of their beginning; up to n. Returns how many hold. */
size_t state_list(const State *state, const char **ret_names, size_t n);

/* The status file: begin, any number of metrics, end (renames it into place, when something changed at most once a second, and
 * sends STATUS= to systemd). `help` may be NULL for the further samples of a metric; labels: `peer="x"` or NULL. */
void status_begin(State *state);
void status_counter(State *state, const char *name, const char *labels, uint64_t value, const char *help);
void status_gauge(State *state, const char *name, const char *labels, double value, const char *help);
void status_end(State *state, const char *format, ...) _printf_(2, 3);
