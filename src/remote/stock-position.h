/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How far a stock collector has acked, to the record: it cannot be asked, and the store remembers whole
 * batches. A small mapped file in the store's directory, which survives a kill; after a power cut it may be
 * older than the truth, which costs duplicates and nothing else.
 */

#include "basic/batch.h"

typedef struct StockPosition {
        struct StockPositionFile *file;
} StockPosition;

/* Opens or makes the file. What it says of another stream or another collector is forgotten. */
int stock_position_open(StockPosition *position, const char *directory, const StreamId *stream,
                        const char *collector) _must_check_;
void stock_position_close(StockPosition *position);

uint64_t stock_position_get(const StockPosition *position);
void stock_position_set(StockPosition *position, uint64_t seq);
