/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Points in time as people write them: systemd.time(7), and RFC 3339. */

#include "basic/macro.h"

/* `now_usec` is what relative ones count from. Local time unless the text says otherwise. Returns 0 or
 * -EINVAL. */
int log_time_parse(const char *text, uint64_t now_usec, uint64_t *ret_usec) _must_check_;
