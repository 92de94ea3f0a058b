/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Failures per address: the last few times of each. Pure; the clock is that of the records. */

#include "address.h"

typedef struct Counter Counter;

typedef struct CounterOptions {
        unsigned threshold;   /* so many failures … */
        uint64_t window_sec;  /* … within this */
        uint64_t block_sec;   /* then nothing is said of the address for so long */
        size_t addresses_max; /* beyond, the one that has been quiet for longest is forgotten */
} CounterOptions;

int counter_new(const CounterOptions *options, Counter **ret);
Counter *counter_free(Counter *counter);

/* A login from there failed. Returns whether it is one too many: true once per block. */
bool counter_fail(Counter *counter, const Address *address, uint64_t sec);
/* The block came to nothing: the next failure is one too many again. */
void counter_retry(Counter *counter, const Address *address);

size_t counter_size(const Counter *counter);
