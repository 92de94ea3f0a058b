/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The index: one file of fixed-size entries beside each segment's text (docs/store.md). Every entry validates
 * itself, so that damage is found and passed over, and entry n of a file is at n × INDEX_ENTRY_SIZE.
 *
 *      offset  size
 *           0     4  magic "ARIX"
 *           4     2  kind           IndexKind
 *           6     2  zero
 *           8     8  checksum       XXH3-64 of bytes 0..7 and 16..255
 *          16     4  number         of this entry in its file, from 0
 *          20     4  flags          by kind
 *          24   200  body           by kind, rest zero
 *         224    32  chain          SHA-256(chain of the entry before ‖ bytes 0..7 ‖ bytes 16..223),
 *                                   zero where not chained
 *
 * Bodies (offset in the entry, size, field):
 *
 *      SEGMENT     the first entry of every index. flags: 1 chained
 *                  24 8 format version (1)  32 16 stream  48 8 first seq  56 8 created
 *                  64 8 first seq of the segment before, 0 none
 *                  72 4 rows: entries that follow and repeat what older segments said
 *                  80 32 chain of the last entry of the segment before
 *                  112 8 receive time of the last batch before
 *                  120 8 oldest and 128 8 newest record of the segment before: BatchSpan
 *      STREAM      a row of the table of streams
 *                  24 16 stream  40 8 last  48 8 checksum  56 8 seen  64 1 size, 65 120 owner
 *      BATCH       24 48 batch header (own seqs)  72 16 stream  88 8 received first  96 8 received last
 *                  104 8 received checksum  112 8 text offset  120 8 receive time  128 1 received reason
 *                  136 32 SHA-256 of the payload, zero where not chained
 *                  168 8 oldest and 176 8 newest record  184 8 node: BatchSpan
 *      COMMIT      how far this segment, or the one it names, was durable. flags: 1 clean end
 *                  24 8 first seq of the segment  32 8 text size  40 8 index size  48 8 last own seq
 *                  56 8 time
 *      CUSTODY     24 8 seq  32 8 checksum  40 8 time  64 1 size, 65 120 collector
 *                  192 8 from  200 8 doubted
 *      DELETED     24 8 first seq  32 8 last seq  40 8 time  48 8 bytes  56 1 IndexDeleted
 *                  64 32 chain of the segment's last entry
 *      STREAM_END  24 16 stream  40 8 last  48 8 time  56 1 IndexStreamEnd
 *      DAMAGED     24 8 first seq  32 8 last seq  40 8 time  48 8 first seq of the segment it is in
 *      CHECKPOINT  24 8 seq  32 8 time  40 8 number  48 32 SHA-256 of the checkpoint before  80 8 key id
 *                  88 64 Ed25519 signature over the note (docs/protocol.md, RECEIPT)
 *                  152 32 chain up to which it goes  184 16 stream of the store
 *      RESTART     the store's own stream goes on under another id
 *                  24 16 new stream  40 16 old stream  56 8 last own seq
 *                  64 8 last seq in some collector's custody under any old one  72 8 time
 *
 * Times are realtime microseconds.
 */

#include "basic/batch.h"

#define INDEX_ENTRY_SIZE 256U
#define INDEX_MAGIC UINT32_C(0x58495241)
#define INDEX_FORMAT_VERSION 1U
#define SHA256_SIZE 32U
/* Ed25519. */
#define SIGNATURE_SIZE 64U

typedef enum IndexKind {
        INDEX_SEGMENT = 1,
        INDEX_STREAM = 2,
        INDEX_BATCH = 3,
        INDEX_COMMIT = 4,
        INDEX_CUSTODY = 5,
        INDEX_DELETED = 6,
        INDEX_STREAM_END = 7,
        INDEX_DAMAGED = 8,
        INDEX_CHECKPOINT = 9,
        INDEX_RESTART = 10,
        _INDEX_KIND_MAX,
} IndexKind;

enum {
        INDEX_FLAG_CHAINED = 1U << 0,   /* SEGMENT */
        INDEX_FLAG_CLEAN_END = 1U << 0, /* COMMIT */
};

/* Why a segment was deleted. */
typedef enum IndexDeleted {
        INDEX_DELETED_ACKED = 1,
        INDEX_DELETED_SIZE = 2,
        INDEX_DELETED_AGE = 3,
        INDEX_DELETED_SPACE = 4,
        INDEX_DELETED_ASKED = 5,
        _INDEX_DELETED_MAX,
} IndexDeleted;

/* Why a stream left the table. */
typedef enum IndexStreamEnd {
        INDEX_STREAM_END_SENDER = 1,
        INDEX_STREAM_END_IDLE = 2,
        INDEX_STREAM_END_ASKED = 3,
        _INDEX_STREAM_END_MAX,
} IndexStreamEnd;

typedef struct IndexEntry {
        IndexKind kind;
        uint32_t number;
        uint32_t flags;
        uint8_t chain[SHA256_SIZE];
        union {
                struct {
                        uint64_t version;
                        StreamId stream;
                        uint64_t first;
                        uint64_t created_usec;
                        uint64_t previous;
                        uint32_t rows;
                        uint8_t head[SHA256_SIZE];
                        uint64_t last_usec;
                        BatchSpan before; /* without the node */
                } segment;
                struct {
                        StreamId stream;
                        uint64_t last;
                        uint64_t checksum;
                        uint64_t seen_usec;
                        char owner[NODE_NAME_MAX + 1];
                } stream;
                struct {
                        Batch stored; /* payload NULL; with its span */
                        StreamId stream;
                        uint64_t received_first;
                        uint64_t received_last;
                        uint64_t received_checksum;
                        BatchReason received_reason;
                        uint64_t offset;
                        uint64_t received_usec;
                        uint8_t sha256[SHA256_SIZE];
                } batch;
                struct {
                        uint64_t segment;
                        uint64_t text_size;
                        uint64_t index_size;
                        uint64_t last;
                        uint64_t time_usec;
                } commit;
                struct {
                        uint64_t seq;
                        uint64_t checksum;
                        uint64_t time_usec;
                        uint64_t from; /* below, it may have been told only that another had them */
                        uint64_t doubted; /* the same of collectors that have no entry: up to here */
                        char collector[NODE_NAME_MAX + 1];
                } custody;
                struct {
                        uint64_t first, last;
                        uint64_t time_usec;
                        uint64_t bytes;
                        uint8_t reason;
                        uint8_t head[SHA256_SIZE];
                } deleted;
                struct {
                        StreamId stream;
                        uint64_t last;
                        uint64_t time_usec;
                        uint8_t reason;
                } stream_end;
                struct {
                        uint64_t first, last;
                        uint64_t time_usec;
                        uint64_t segment;
                } damaged;
                struct {
                        uint64_t seq;
                        uint64_t time_usec;
                        uint64_t serial;
                        uint8_t previous[SHA256_SIZE];
                        uint64_t key_id;
                        uint8_t signature[SIGNATURE_SIZE];
                        uint8_t head[SHA256_SIZE];
                        StreamId stream;
                } checkpoint;
                struct {
                        StreamId stream, old;
                        uint64_t last;
                        uint64_t released;
                        uint64_t time_usec;
                } restart;
        };
} IndexEntry;

/* What is in a payload, lent by a higher floor (record_span()): the store does not look into text. */
typedef void (*StoreSpan)(const uint8_t *payload, size_t size, BatchSpan *ret);

/* SHA-256, lent by a higher floor (GnuTLS). */
typedef void (*StoreHash)(const void *data, size_t size, uint8_t ret_digest[static SHA256_SIZE]);

/* Moves the chain on, from the entry before to this one. */
void index_chain(const uint8_t bytes[static INDEX_ENTRY_SIZE], StoreHash hash, uint8_t chain[static SHA256_SIZE]);

/* Encodes an entry. With `hash`, its chain is computed from `chain` (of the entry before), which moves on to
 * it. */
void index_encode(const IndexEntry *entry, StoreHash hash, uint8_t chain[static SHA256_SIZE],
                  uint8_t ret_bytes[static INDEX_ENTRY_SIZE]);

/* Reads an entry. Returns 0, or -EBADMSG when it is none, damaged or not number `number`. The chain is not
 * followed. */
int index_decode(const uint8_t bytes[static INDEX_ENTRY_SIZE], uint32_t number,
                 IndexEntry *ret_entry) _must_check_;
