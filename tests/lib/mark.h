/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How often a marked state was reached (basic/mark.h), so that a suite can insist on it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t mark_count(const char *name);

/* Whether all states were reached that the table (mark.c) wants of this suite; names the others. */
bool marks_reached(const char *suite);
