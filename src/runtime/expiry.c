/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/expiry.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define HOUR_SEC 3600
#define DAY_SEC (24 * HOUR_SEC)

static const int64_t warn_sec[] = { 30 * DAY_SEC, 7 * DAY_SEC, DAY_SEC, 0 };

double expiry_days(int64_t expires, int64_t now)
{
        return expires == 0 ? NAN : (double) (expires - now) / DAY_SEC;
}

bool expiry_due(unsigned *warned, int64_t expires, int64_t now)
{
        unsigned before = *warned;

        *warned = 0;
        while (expires != 0 && *warned < ELEMENTSOF(warn_sec) && expires - now <= warn_sec[*warned])
                (*warned)++;
        return *warned > before;
}

const char *expiry_text(int64_t expires, int64_t now, char *text, size_t size)
{
        int64_t left = expires > now ? expires - now : now - expires;
        bool days = left >= 2 * DAY_SEC;

        (void) snprintf(text, size, expires > now ? "expires in %" PRId64 " %s" : "expired %" PRId64 " %s ago",
                        left / (days ? DAY_SEC : HOUR_SEC), days ? "days" : "hours");
        return text;
}
