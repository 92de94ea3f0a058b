/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dispatcher/told.h"

static uint64_t overlap(const ToldRange *range, uint64_t first, uint64_t last)
{
        first = MAX(first, range->first);
        last = MIN(last, range->last);
        return first <= last ? last - first + 1 : 0;
}

bool told_holds(const Told *told, uint64_t seq, uint64_t *ret_last)
{
        for (unsigned i = 0; i < told->n; i++)
                if (overlap(&told->ranges[i], seq, seq) > 0) {
                        *ret_last = told->ranges[i].last;
                        return true;
                }
        return false;
}

uint64_t told_uncounted(const Told *told, uint64_t first, uint64_t last)
{
        uint64_t n;

        first = MAX(first, told->begin);
        if (first > last)
                return 0;
        n = last - first + 1;
        for (unsigned i = 0; i < told->n; i++)
                n -= overlap(&told->ranges[i], first, last);
        return n;
}

bool told_add(Told *told, uint64_t first, uint64_t last)
{
        unsigned kept = 0, at = 0;
        bool again;
        uint64_t n;

        n = told_uncounted(told, first, last);
        for (unsigned i = 0; i < told->n; i++)
                kept += overlap(&told->ranges[i], first, last) == 0;
        if (kept == TOLD_MAX)
                return false;
        again = kept < told->n;
        kept = 0;
        for (unsigned i = 0; i < told->n; i++) {
                if (overlap(&told->ranges[i], first, last) > 0)
                        continue;
                told->ranges[kept++] = told->ranges[i];
                at += told->ranges[i].last < first;
        }
        memmove(&told->ranges[at + 1], &told->ranges[at], (kept - at) * sizeof told->ranges[0]);
        told->ranges[at] = (ToldRange) { first, last };
        told->n = kept + 1;
        told->dropped += n;
        told->gaps += !again;
        return true;
}

void told_acked(Told *told, uint64_t seq)
{
        unsigned n = 0;

        while (n < told->n && told->ranges[n].last <= seq)
                n++;
        told->n -= n;
        memmove(&told->ranges[0], &told->ranges[n], told->n * sizeof told->ranges[0]);
}
