/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Waiting until something is written into one of several directories. */

#include "basic/macro.h"

typedef struct LogFollow LogFollow;

int log_follow_new(LogFollow **ret) _must_check_;
LogFollow *log_follow_free(LogFollow *follow);
DEFINE_CLEANUP(LogFollow *, log_follow_free)

int log_follow_add(LogFollow *follow, const char *directory) _must_check_;
/* Returns when something was written since the last call, when the time is over (negative: never) or, with
 * -EINTR, after a signal. */
int log_follow_wait(LogFollow *follow, int timeout_msec) _must_check_;
