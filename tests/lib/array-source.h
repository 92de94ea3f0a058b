/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A source whose batches are in an array and can be looked at, dropped and broken; for tests of those who
 * read sources. */

#include "check-main.h"
#include "basic/batch.h"

#include <stdio.h>

#ifndef ARRAY_PAYLOAD_MAX
#define ARRAY_PAYLOAD_MAX 512U
#endif

typedef struct ArrayBatch {
        Batch batch;
        uint8_t payload[ARRAY_PAYLOAD_MAX];
} ArrayBatch;

typedef struct ArraySource {
        Source source;
        StreamId stream;
        ArrayBatch *batches;
        size_t n_batches, allocated;
        size_t dropped;        /* batches no longer held */
        uint64_t newest;       /* of all that was ever appended */
        uint64_t explain_most; /* seqs that one explanation covers; 0: all */
        uint64_t released, released_checksum;
        unsigned n_releases;
        int error;             /* what get() and ended() return, if not 0 */
        bool forgetful;        /* does not remember the checksum of what was released */
} ArraySource;

static inline ArraySource *array_source(Source *source)
{
        return container_of(source, ArraySource, source);
}

static inline uint64_t array_oldest(const ArraySource *a)
{
        return a->dropped < a->n_batches ? a->batches[a->dropped].batch.first : a->newest + 1;
}

static inline void array_range(Source *source, SourceRange *ret)
{
        ArraySource *a = array_source(source);

        *ret = (SourceRange) { .stream = a->stream, .oldest = array_oldest(a), .newest = a->newest };
}

/* Index of the first batch that ends at seq or behind it. */
static inline size_t array_find(const ArraySource *a, uint64_t seq)
{
        size_t low = a->dropped, high = a->n_batches;

        while (low < high) {
                size_t middle = (low + high) / 2;

                if (a->batches[middle].batch.last < seq)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static inline int array_explain(ArraySource *a, uint64_t seq, Batch *ret)
{
        static const char reason[] = "dropped";
        uint64_t last = array_oldest(a) - 1;

        if (a->explain_most > 0)
                last = MIN(last, seq + a->explain_most - 1);
        *ret = (Batch) { .first = seq, .last = last, .size = sizeof reason - 1, .origin = BATCH_ORIGIN_LOCAL,
                         .reason = BATCH_LOST, .payload = (const uint8_t *) reason };
        batch_seal(ret);
        return 1;
}

static inline int array_get(Source *source, uint64_t seq, Cursor *cursor, Batch *ret)
{
        ArraySource *a = array_source(source);
        size_t i;

        if (a->error < 0)
                return a->error;
        if (seq > a->newest)
                return seq == a->newest + 1 ? 0 : -ESTALE;
        if (seq < array_oldest(a))
                return array_explain(a, seq, ret);
        i = array_find(a, seq);
        *ret = a->batches[i].batch;
        ret->payload = a->batches[i].payload;
        return ret->first == seq ? 1 : -ESTALE;
}

static inline int array_ended(Source *source, uint64_t seq, uint64_t *ret_checksum)
{
        ArraySource *a = array_source(source);
        size_t i;

        if (a->error < 0)
                return a->error;
        if (seq > a->newest)
                return -ESTALE;
        if (seq == a->released && a->released_checksum != 0 && !a->forgetful) {
                *ret_checksum = a->released_checksum;
                return 1;
        }
        if (seq < array_oldest(a))
                return 0;
        i = array_find(a, seq);
        *ret_checksum = a->batches[i].batch.checksum;
        return a->batches[i].batch.last == seq ? 1 : -ESTALE;
}

static inline void array_release(Source *source, uint64_t seq, uint64_t checksum)
{
        ArraySource *a = array_source(source);

        a->released = seq;
        a->released_checksum = checksum;
        a->n_releases++;
}

static inline void array_init(ArraySource *a, uint8_t stream)
{
        *a = (ArraySource) { .source = { array_range, array_get, array_ended, array_release } };
        memset(a->stream.bytes, stream, sizeof a->stream.bytes);
}

static inline void array_done(ArraySource *a)
{
        free(a->batches);
        a->batches = NULL;
}

static inline ArrayBatch *array_new_batch(ArraySource *a)
{
        if (a->n_batches == a->allocated) {
                a->allocated = MAX(2 * a->allocated, 16U);
                a->batches = realloc(a->batches, a->allocated * sizeof *a->batches);
                ck_assert_ptr_nonnull(a->batches);
        }
        return &a->batches[a->n_batches++];
}

/* Appends a batch of `range` records, of which these lines are left. */
static inline void array_append_lines(ArraySource *a, uint32_t range, uint32_t count, const char *lines,
                                      BatchOrigin origin)
{
        ArrayBatch *entry = array_new_batch(a);

        entry->batch = (Batch) { .first = a->newest + 1, .last = a->newest + range, .count = count,
                                 .size = (uint32_t) strlen(lines), .origin = origin,
                                 .reason = count == range ? BATCH_RECORDS : BATCH_FILTERED,
                                 .payload = entry->payload };
        ck_assert_uint_le(entry->batch.size, ARRAY_PAYLOAD_MAX);
        memcpy(entry->payload, lines, entry->batch.size);
        batch_seal(&entry->batch);
        entry->batch.payload = NULL; /* the array moves; get() sets it */
        a->newest += range;
}

/* Appends a batch of n records, each told apart by `salt`. */
static inline void array_append(ArraySource *a, uint32_t n, unsigned salt)
{
        ArrayBatch *entry = array_new_batch(a);

        entry->batch = (Batch) { .first = a->newest + 1, .last = a->newest + n, .count = n,
                                 .origin = BATCH_ORIGIN_KERNEL };
        for (uint32_t i = 0; i < n; i++)
                entry->batch.size += (uint32_t) snprintf((char *) entry->payload + entry->batch.size,
                                                         ARRAY_PAYLOAD_MAX - entry->batch.size, "%lu-%u\n",
                                                         (unsigned long) (a->newest + 1 + i), salt);
        ck_assert_uint_lt(entry->batch.size, ARRAY_PAYLOAD_MAX);
        entry->batch.payload = entry->payload;
        batch_seal(&entry->batch);
        entry->batch.payload = NULL; /* the array moves; get() sets it */
        a->newest += n;
}

/* Goes back to a state in which only the first n batches were ever appended. */
static inline void array_roll_back(ArraySource *a, size_t n)
{
        a->n_batches = MIN(a->n_batches, n);
        a->dropped = MIN(a->dropped, a->n_batches);
        a->newest = a->n_batches > 0 ? a->batches[a->n_batches - 1].batch.last : 0;
}
