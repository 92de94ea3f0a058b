/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What to do when a condition holds: as the journal's catalog has it (journalctl -x). */

#include "basic/macro.h"

/* In one line, the caller's to free; where the catalog is not there, where else it is said. NULL: no memory. */
char *advice_of(const char *component, const char *condition);
