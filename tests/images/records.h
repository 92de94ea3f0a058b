/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The records of the workload: number n always has the same bytes and is always in the same batch, so that
 * whoever finds one can say what it must be. As a source they are the dispatcher's ring, which still has
 * whatever was not acked.
 */

#include "basic/batch.h"

#define RECORDS_NODE "client.example"
/* Longest line. */
#define RECORD_LINE_SIZE 6200U

/* Writes the line of record `seq`; returns its size. */
size_t records_line(uint64_t seq, char out[static RECORD_LINE_SIZE]);

typedef struct Records {
        Source source;
        uint64_t newest;
        uint64_t released;
        uint8_t *payload;
} Records;

/* The stream they have there. */
StreamId records_stream(void);
int records_init(Records *records) _must_check_;
void records_done(Records *records);
/* Last seq of the batch that has `seq`. */
uint64_t records_batch_last(uint64_t seq);
/* The checksum of the batch that ends at seq; 0: none does. */
uint64_t records_checksum(Records *records, uint64_t seq);
