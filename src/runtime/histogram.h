/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How often something took how long: fixed bounds, from half a millisecond to ten seconds, in steps of two
 * or two and a half; what a disk's sync and its troubles lie between.
 */

#include <stdint.h>

#define HISTOGRAM_BOUNDS 14U

typedef struct Histogram {
        uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* above the bound before, up to this one; the last: above all */
        uint64_t sum_usec;
} Histogram;

/* The i-th bound, i < HISTOGRAM_BOUNDS, in microseconds; rising. */
uint64_t histogram_bound(unsigned i);
void histogram_add(Histogram *histogram, uint64_t usec);
/* Adds all of another one. */
void histogram_merge(Histogram *histogram, const Histogram *more);
