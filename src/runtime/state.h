/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Conditions and status as files: /run/audit-relay/state/COMPONENT/. A condition that holds is a file of
 * KEY=VALUE lines, written atomically; it goes when the condition ends. `status` beside them is OpenMetrics
 * text. Nobody else writes there.
 *
 * A value with other characters than letters, digits and ._:/@%+,=- stands in double quotes, with " $ `
 * \ escaped, as in os-release(5): shell and EnvironmentFile= read it, and a peer's words in REASON= can do
 * no harm.
 */

#include "basic/macro.h"
#include "runtime/histogram.h"

#include <stdio.h>

/* Where the programs keep their state unless told otherwise. */
#define STATE_DIRECTORY "/run/audit-relay/state"
/* A drill: root writes the name of a condition into DIRECTORY/COMPONENT.drill, and the component has that condition hold for all
 * who look, with DRILL=yes in its file, until the file is gone or is older than this. The program itself does nothing about it. */
#define STATE_DRILL_SUFFIX ".drill"
#define STATE_DRILL_USEC (60 * USEC_PER_SEC)
/* The status file is written or at least touched this often: an older one is of a program that is stuck. */
#define STATUS_FRESH_USEC (10 * USEC_PER_SEC)

typedef struct State State;

/* `directory`/`component` is ours; both are made (0755) when missing, but not what is above. Removes what a
 * dead predecessor left behind. While we live its directory is locked (flock), so that others see that the
 * component runs. Returns -EBUSY when another process has it. Logs errors, with the path. */
int state_new(const char *directory, const char *component, State **ret) _must_check_;
/* Clears all conditions and removes the status: none outlives its component. */
State *state_free(State *state);
DEFINE_CLEANUP(State *, state_free)

/* Begins the condition, or updates it when it holds (SINCE stays, COUNT grows). keys: further KEY=VALUE
 * lines, separated by newlines, the values not yet quoted; or NULL. Logs the beginning with the condition's
 * MESSAGE_ID. SINCE is realtime, REASON is required: a sentence for people. An update is written at once
 * only if it is the first in a second, else with the next status. */
void state_raise(State *state, const char *condition, const char *reason, const char *keys);
/* Ends it; nothing when it does not hold. Logs the end. */
void state_clear(State *state, const char *condition);
/* Whether it was raised: a drill does not count. */
bool state_holds(const State *state, const char *condition);
/* Names of the conditions that hold, in order of their beginning; up to n. Returns how many hold. */
size_t state_list(const State *state, const char **ret_names, size_t n);

/* The status file: begin, any number of metrics, end (renames it into place, when something changed at most
 * once a second, and sends STATUS= to systemd). Names are without prefix and suffix: "records" becomes
 * audit_relay_COMPONENT_records_total. `help` may be NULL for the further samples of a metric, which follow
 * its first at once; labels: `peer="x"` or NULL. */
void status_begin(State *state);
void status_counter(State *state, const char *name, const char *labels, uint64_t value, const char *help);
void status_gauge(State *state, const char *name, const char *labels, double value, const char *help);
/* A histogram of seconds. */
void status_histogram(State *state, const char *name, const Histogram *histogram, const char *help);
void status_end(State *state, const char *format, ...) _printf_(2, 3);
/* `key="value"`, escaped, for `labels`; valid until the next call. */
const char *status_label(State *state, const char *key, const char *value);
