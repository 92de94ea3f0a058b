/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the sources with seeded bugs ask (see table.py): whether AUDIT_RELAY_BUG names this one. */

#include <stdbool.h>
#include <stdint.h>

bool bug(const char *name) __attribute__((pure));

/* For a bug that has to remember something. */
extern uint64_t bug_memory;
