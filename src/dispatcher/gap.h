/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Gap records of the dispatcher: what the ring had no room for, and what the kernel never delivered. */

#include "dispatcher/kernel-serials.h"

/* Counts a record that found no room, until there is room for the gap record. */
void gap_count_dropped(RingState *state, uint16_t type, uint64_t realtime_usec);

/* Writes the gap record for all that was dropped since the last one, if anything was, and forgets the
 * counts. `reserve`: also into the last of the ring. Sealed, not published. Returns whether nothing is left
 * to be told. */
bool gap_write_dropped(Ring *ring, bool reserve);

/* The ring before this one could not be used: what it held is lost. Sealed, not published. */
bool gap_write_damaged(Ring *ring);

/* The same for what the kernel lost. */
bool gap_write_kernel(Ring *ring, KernelGap *gap);
