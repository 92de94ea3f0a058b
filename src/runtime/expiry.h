/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How long something still holds: a certificate, a revocation list. Warned of at 30, 7 and 1 days and when it is
 * over, each once. Pure: the clock is handed in. Times are seconds since 1970; 0: there is nothing that expires.
 */

#include "basic/macro.h"

/* Days left, negative afterwards; NaN: nothing expires. */
double expiry_days(int64_t expires, int64_t now);

/* Whether a warning is due that was not yet given; *warned remembers it and is 0 at first. What was renewed is
 * warned of anew. */
bool expiry_due(unsigned *warned, int64_t expires, int64_t now);

/* "expires in 6 days", "expires in 5 hours", "expired 2 days ago". Returns `text`. */
const char *expiry_text(int64_t expires, int64_t now, char *text, size_t size);
