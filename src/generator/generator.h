/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the generator's parts share. */

#include "basic/macro.h"

#define UNIT_DIRECTORY "/usr/lib/systemd/system"
#define TARGET_WANTS "audit-relay-client.target.wants"

/* One line for people: in the journal, at boot by way of the kernel log, and on stderr. */
void generator_say(const char *format, ...) _printf_(1, 2);

/* A link in the client target's .wants to our unit file `file`, named `unit`. Returns 0 or a negative errno, said. */
int target_add_want(int directory, const char *unit, const char *file);
