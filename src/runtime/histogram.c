/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/histogram.h"
#include "basic/macro.h"

static const uint64_t bounds[] = { 500,    1000,   2500,    5000,    10000,   25000,   50000,
                                   100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000 };
_Static_assert(ELEMENTSOF(bounds) == HISTOGRAM_BOUNDS, "as many as the header says");

uint64_t histogram_bound(unsigned i)
{
        return bounds[i];
}

void histogram_add(Histogram *histogram, uint64_t usec)
{
        unsigned i = 0;

        while (i < HISTOGRAM_BOUNDS && usec > bounds[i])
                i++;
        histogram->counts[i]++;
        histogram->sum_usec += usec;
}

void histogram_merge(Histogram *histogram, const Histogram *more)
{
        for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++)
                histogram->counts[i] += more->counts[i];
        histogram->sum_usec += more->sum_usec;
}
