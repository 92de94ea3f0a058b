/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The sealed batch: the one unit that ring, link and store exchange.
 *
 * A batch covers the contiguous seqs first..last of one stream. It is sealed once: its boundaries, its bytes and so its
 * checksum never change, whoever sends it again. The same 48 bytes describe it in a frame on the wire, in the ring and in
 * an index entry on disk; batch_encode() and batch_decode() are the only functions that know them (docs/protocol.md,
 * "Batch header").
 *
 *      offset  size
 *           0     8  first
 *           8     8  last           first - 1 for the empty range
 *          16     4  count          complete lines in the payload
 *          20     4  size           bytes of the payload, uncompressed
 *          24     1  origin         BatchOrigin
 *          25     1  reason         BatchReason
 *          26     6  zero
 *          32     8  payload hash   XXH3-64 of the payload
 *          40     8  checksum       XXH3-64 of bytes 0..39: what identifies the batch
 */

#include "basic/macro.h"

/* The kernel's MAX_AUDIT_MESSAGE_LENGTH: no record text is longer. */
#define RECORD_TEXT_MAX 8970U
/* A whole line with node=, type=, msg= and its newline, on every native hop. */
#define RECORD_LINE_MAX (16U * 1024U)
/* Payload of one batch: sixteen TLS records, large enough that the cost per batch vanishes, small enough that a slow
 * peer's share of memory stays small. A constant of the protocol. */
#define BATCH_PAYLOAD_MAX (256U * 1024U)
#define BATCH_HEADER_SIZE 48U
/* NAME of a custody batch, REASON of a lost one. */
#define BATCH_ARGUMENT_MAX 255U
/* Longest node, collector and stream owner name; what an index entry has room for. */
#define NODE_NAME_MAX 120U

typedef struct StreamId {
        uint8_t bytes[16];
} StreamId;

static inline bool stream_id_equal(const StreamId *a, const StreamId *b)
{
        return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static inline bool stream_id_is_null(const StreamId *id)
{
        static const StreamId null = { { 0 } };

        return stream_id_equal(id, &null);
}

/* Writes 32 lower-case hexadecimal digits and a NUL. */
void stream_id_format(const StreamId *id, char ret_text[static 33]);

typedef enum BatchOrigin {
        BATCH_ORIGIN_KERNEL = 1, /* the dispatcher read it from kernel audit or from auditd */
        BATCH_ORIGIN_LOCAL = 2,  /* a producer on the host, or one of our own programs, said it */
        BATCH_ORIGIN_REMOTE = 3, /* an aggregator published it */
        _BATCH_ORIGIN_MAX,
} BatchOrigin;

typedef enum BatchReason {
        BATCH_RECORDS = 0,  /* payload: all records of the range; with the empty range: the heartbeat */
        BATCH_FILTERED = 1, /* payload: those records of the range that pass a filter, possibly none */
        BATCH_CUSTODY = 2,  /* payload: NAME of the collector that acked the range before */
        BATCH_LOST = 3,     /* payload: REASON why the range is lost; the receiver writes a gap record */
        _BATCH_REASON_MAX,
} BatchReason;

/* What all records of a batch have in common, for who looks for some of them without reading the text. */
typedef struct BatchSpan {
        uint64_t oldest_usec; /* times of its records; both 0: not known */
        uint64_t newest_usec; /* before oldest_usec: there are none */
        uint64_t node;        /* checksum64() of the name of the node that all of them are of; 0: several, or not known */
} BatchSpan;

#define BATCH_SPAN_NONE ((BatchSpan) { .oldest_usec = UINT64_MAX })

static inline bool batch_span_is_known(const BatchSpan *span)
{
        return (span->oldest_usec | span->newest_usec) != 0;
}

typedef struct Batch {
        uint64_t first;
        uint64_t last;
        uint32_t count;
        uint32_t size;
        BatchOrigin origin;
        BatchReason reason;
        uint64_t payload_hash;
        uint64_t checksum;
        const uint8_t *payload; /* not owned */
        BatchSpan span;         /* no part of what is sealed: as far as somebody here has looked */
} Batch;

/* Widens the span to what is in `more`. */
void batch_span_add(BatchSpan *span, const BatchSpan *more);

/* Whether a record from since_usec to until_usec, both included, may be in it. */
bool batch_span_meets(const BatchSpan *span, uint64_t since_usec, uint64_t until_usec);

/* Number of seqs the batch covers; 0 for a heartbeat. */
static inline uint64_t batch_range(const Batch *batch)
{
        return batch->last - batch->first + 1;
}

static inline bool batch_is_heartbeat(const Batch *batch)
{
        return batch_range(batch) == 0;
}

/* XXH3-64: the one checksum of the project. */
uint64_t checksum64(const void *data, size_t size);

/* The same of two pieces as if they were one. */
uint64_t checksum64_pair(const void *a, size_t a_size, const void *b, size_t b_size);

/* Computes payload hash and checksum over the other fields, which the caller has set. */
void batch_seal(Batch *batch);

/* The same with a new range (a store gives a batch its own seqs) without reading the payload again. */
void batch_renumber(Batch *batch, uint64_t first, uint64_t last);

void batch_encode(const Batch *batch, uint8_t ret_header[static BATCH_HEADER_SIZE]);

/* Reads a header; ret_batch->payload is NULL. Returns 0, or -EBADMSG when the checksum is wrong or the fields contradict
 * each other or a limit (the rules: docs/protocol.md, "Batch header"). The payload is not looked at. */
int batch_decode(const uint8_t header[static BATCH_HEADER_SIZE], Batch *ret_batch) _must_check_;

/* Whether the payload is the one that was sealed. */
bool batch_payload_intact(const Batch *batch);

/* --- Source and sink: what every buffer is to those who send from it and deliver into it --- */

/* Where a reader stands in a source, so that the next get() need not search; zero at first. Opaque to its owner. */
typedef struct Cursor {
        uint64_t position[2];
} Cursor;

typedef struct SourceRange {
        StreamId stream;
        uint64_t oldest; /* newest + 1 when nothing is held */
        uint64_t newest;
} SourceRange;

typedef struct Source Source;

/* A buffer, as one sender (a subscriber, a collector) sees it. */
struct Source {
        void (*range)(Source *source, SourceRange *ret);

        /* The sealed batch that begins at seq. Below the oldest held seq: the batch without records (reason custody or
         * lost) that explains the seqs from there up to the oldest, or a part of them. Returns 1; 0 when seq is newest + 1
         * and nothing is there yet; -ESTALE when no batch begins at seq; another negative errno when the source cannot be
         * read now. The payload is valid until the next call on this source. */
        int (*get)(Source *source, uint64_t seq, Cursor *cursor, Batch *ret);

        /* The checksum of the batch that ends at seq, for resuming. Returns 1; 0 when seq is older than anything the
         * source remembers, so that nothing can be compared; -ESTALE when the source holds seq but no batch ends there,
         * or seq is above its newest: then the peer has had another history than we. */
        int (*ended)(Source *source, uint64_t seq, uint64_t *ret_checksum);

        /* This sender's peer has all up to seq in its custody: the source need not keep it for this sender. Less
         * than before, at the beginning of a session: the peer was restored from a backup, and what is still held
         * is to be kept for it. */
        void (*release)(Source *source, uint64_t seq, uint64_t checksum);
};

typedef struct Sink Sink;

/* A buffer, as those who deliver into it see it. Positions belong to streams, never to connections. */
struct Sink {
        /* Last seq of the stream that was appended and not cut again, with the checksum of the batch that ended there; 0
         * and 0 for a stream never heard of. Returns 0; -EPERM when the stream belongs to another owner. */
        int (*position)(Sink *sink, const StreamId *stream, const char *owner, uint64_t *ret_last,
                        uint64_t *ret_checksum);

        /* Appends a batch. `received` is the batch as it came (its range moves the stream's position); `stored` is what to
         * keep: the same, or the batch that replaces refused content or explains a loss. Both sealed; stored->first and
         * stored->last are ignored, the sink gives its own seqs. Nothing is in custody before the sink's owner commits.
         * A heartbeat only says that the stream lives, and that is always taken.
         * Returns 0; -ENOSPC, -EDQUOT or -EFBIG when there is no room now; -EAGAIN when its open group is full; -EIO and
         * others when the sink failed and must step back. */
        int (*append)(Sink *sink, const StreamId *stream, const char *owner, const Batch *received,
                      const Batch *stored, uint64_t realtime_usec);
};
