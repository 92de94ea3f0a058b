/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Parts of `audit-relay drill`: what would happen, as systemd has merged it; and having it happen. */

#include "basic/macro.h"

typedef struct DrillCommand {
        char *command;
        bool root; /* with all privileges, not locked in as the unit says */
} DrillCommand;

typedef struct DrillCommands {
        DrillCommand *items;
        size_t n;
} DrillCommands;

typedef struct DrillPlan {
        const char *component, *condition;
        char path_unit[160], service[160];
        bool enabled, active; /* of the path unit */
        char *drop_ins;       /* paths, separated by blanks */
        DrillCommands begin, end;
        char *advice;
} DrillPlan;

/* Asks systemd. Returns 0 or a negative errno; -ENOENT: there is no systemctl, -EIO: it cannot be asked. */
int drill_plan_read(const char *component, const char *condition, DrillPlan *ret) _must_check_;
void drill_plan_done(DrillPlan *plan);

typedef enum DrillResult {
        DRILL_WORKED,
        DRILL_NO_REACTION, /* the condition began and ended, and nothing reacted */
        DRILL_FAILED,      /* the reaction did not come up, or stayed */
        DRILL_NOT_RUNNING, /* the component does not run, or does not do it */
        DRILL_HOLDS,       /* the condition holds already */
} DrillResult;

/* Has the condition hold for so many seconds; says each step on stdout, unless `quiet`. Returns a DrillResult or a negative
 * errno, which it has said. */
int drill_try(const DrillPlan *plan, const char *state_directory, unsigned seconds, bool quiet) _must_check_;
