/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The lost ranges a subscriber was told of and has not acked yet. Should its session break before, the next
 * one is told the same again, and nothing is counted twice.
 */

#include "basic/macro.h"

/* On their way at once; with more, the subscriber first has to ack some, which it does with the next
 * heartbeat. */
#define TOLD_MAX 16U

typedef struct ToldRange {
        uint64_t first, last;
} ToldRange;

typedef struct Told {
        ToldRange ranges[TOLD_MAX]; /* ascending, apart from each other */
        unsigned n;
        uint64_t begin;   /* what is lost below this seq was lost before our time and is not counted */
        uint64_t dropped; /* records */
        uint64_t gaps;    /* ranges */
} Told;

/* Notes that first..last is told now, in place of the ranges that it meets. False: there is no place for one
 * more. */
bool told_add(Told *told, uint64_t first, uint64_t last) _must_check_;

/* Whether seq is in a range, and where that ends. */
bool told_holds(const Told *told, uint64_t seq, uint64_t *ret_last);

/* Seqs of first..last that are to be counted and were not yet. */
uint64_t told_uncounted(const Told *told, uint64_t first, uint64_t last);

/* All up to seq is in the subscriber's custody. */
void told_acked(Told *told, uint64_t seq);
