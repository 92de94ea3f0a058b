/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A number on the command line. */

#include "basic/macro.h"

/* Decimal digits and nothing else, from `min` to `max`; else *ret is left as it is. */
static inline bool number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
        unsigned long long n;
        char *end;

        /* No sign and no blanks, which strtoull() would take. */
        if (text[0] < '0' || text[0] > '9')
                return false;
        errno = 0;
        n = strtoull(text, &end, 10);
        if (errno != 0 || *end != '\0' || n < min || n > max)
                return false;
        *ret = n;
        return true;
}
