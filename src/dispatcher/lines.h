/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Plain audit lines from a byte stream into the ring: as many batches a turn as there are bytes, nothing per
 * line but copying it. */

#include "basic/buffer.h"
#include "dispatcher/writer.h"
#include "record/record.h"

/* Of all producers together. */
typedef struct LinesCounters {
        uint64_t records;
        uint64_t batches;
        uint64_t bytes; /* taken, of the ring or of the stream, whichever is more */
        uint64_t refused[_RECORD_FAULT_MAX];
        uint64_t logged_usec;
} LinesCounters;

/* Of one producer. */
typedef struct Lines {
        LinesCounters *counters;
        const char *peer; /* for messages */
        const RecordFilter *types; /* that it may send; NULL: any */
        bool skipping;    /* the rest of a line that was too long */
        size_t rest;      /* bytes of a line without its end so far */
} Lines;

/* Takes all complete lines from the front of `input` and publishes them. Returns 1; 0 when the ring has no
 * room: what is left in `input` is to be offered again. */
int lines_take(Lines *lines, Ring *ring, Buffer *input);

/* The producer is gone: a line that it did not end is refused. */
void lines_end(Lines *lines);
