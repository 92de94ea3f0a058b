/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stock clients send, as batches: each client's records are a stream that is made here, owned by the
 * client and numbered on from one connection to the next. */

#include "record/record.h"

typedef struct StockRecords {
        uint8_t *payload; /* BATCH_PAYLOAD_MAX: lines that are being collected, of one client at a time */
        size_t size;
        uint32_t count;
        uint64_t serial;                            /* of the records that stand for refused ones */
        uint64_t records, bytes, refused, replaced; /* counters */
        uint32_t refused_now;                       /* among those being collected */
        RecordFault fault;                          /* the first of these */
} StockRecords;

int stock_records_init(StockRecords *records) _must_check_;
void stock_records_done(StockRecords *records);

/* Adds a record's text as a line. Without a node= it gets `node`; one with another stands as it is if `any`,
 * else it is stored escaped, as every text is that is no record. Returns 0, or -EAGAIN when there is no
 * room. */
int stock_records_add(StockRecords *records, const uint8_t *text, size_t size, const char *node, bool any,
                      uint64_t realtime_usec) _must_check_;

/* The lines as a batch; the range is the store's to set. */
void stock_records_batch(const StockRecords *records, Batch *ret);

/* The lines are in the store, or not: begins anew. */
void stock_records_end(StockRecords *records, bool stored);

/* The stream of a client (its identity or its address), told from any other by the store it is in: so it is
 * the same one whenever the client returns, and nowhere kept but in the store's table. Who knows the store can tell it, and deliver
 * it by the link as his own: then the client has that of the next `turn`, from 0. */
void stock_records_stream(const StreamId *store, const char *client, bool authenticated, uint32_t turn, StreamId *ret);
