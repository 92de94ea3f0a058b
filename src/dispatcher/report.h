/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The dispatcher's status file: counters of all its parts, and the line for people. */

#include "dispatcher/commands.h"
#include "dispatcher/input.h"
#include "dispatcher/kernel.h"
#include "dispatcher/pull.h"
#include "dispatcher/subscribers.h"

typedef struct Report {
        State *state;
        Ring *ring;
        const Kernel *kernel; /* NULL: not read */
        const Auditd *auditd;
        const Input *input;   /* NULL: no socket */
        const Subscribers *subscribers;
        Pull *pull;
        const Commands *commands;
} Report;

void report_write(const Report *report);
