/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the unit tests of the store share: one store on a simulated disk, opened before each test, and short
 * words for what is done with it.
 */

#include "check-main.h"
#include "store-fixture.h"

static SimDisk *sim;
static Store *store;
static StoreReport report;
static StoreOptions options;
static uint64_t now = 1000 * USEC_PER_SEC;

static inline void open_store(void)
{
        options.disk = sim_disk_attach(sim);
        ck_assert_int_eq(store_open(&options, now, &store, &report), 0);
}

static inline void close_store(void)
{
        store = store_free(store);
        store_report_done(&report);
}

static inline void reopen(void)
{
        close_store();
        open_store();
}

static inline void setup(void)
{
        sim = sim_disk_new(1);
        options = fixture_options(NULL);
        open_store();
}

static inline void teardown(void)
{
        close_store();
        sim = sim_disk_free(sim);
}

static inline void commit(void)
{
        ck_assert_int_eq(fixture_commit(store, now), 1);
}

static inline void commit_all(void)
{
        while (store_dirty(store))
                commit();
}

/* Batches go to stream `s` as they come; each its own seqs. */
static inline int append(unsigned s, uint64_t first, uint64_t last)
{
        static char text[BATCH_PAYLOAD_MAX];
        StreamId id = fixture_stream(s);
        Batch batch = fixture_batch(s, first, last, text);
        Sink *sink = store_sink(store);

        return sink->append(sink, &id, "owner", &batch, &batch, now);
}

static inline uint64_t position(unsigned s)
{
        StreamId id = fixture_stream(s);
        uint64_t last, checksum;
        Sink *sink = store_sink(store);

        ck_assert_int_eq(sink->position(sink, &id, "owner", &last, &checksum), 0);
        return last;
}

static inline SourceRange range_of(Source *source)
{
        SourceRange range;

        source->range(source, &range);
        return range;
}

/* The batch at seq, which must be of that reason; returns its last. */
static inline uint64_t expect(Source *source, uint64_t seq, BatchReason reason, const char *argument)
{
        uint8_t header[BATCH_HEADER_SIZE];
        Batch batch, decoded;

        ck_assert_int_eq(source->get(source, seq, NULL, &batch), 1);
        ck_assert_uint_eq(batch.first, seq);
        ck_assert_int_eq(batch.reason, reason);
        ck_assert(batch_payload_intact(&batch));
        batch_encode(&batch, header);
        ck_assert_int_eq(batch_decode(header, &decoded), 0);
        if (argument) {
                ck_assert_uint_eq(batch.size, strlen(argument));
                ck_assert_mem_eq(batch.payload, argument, batch.size);
        }
        return batch.last;
}

static inline void release(Source *source, uint64_t seq)
{
        uint64_t checksum;

        ck_assert_int_eq(source->ended(source, seq, &checksum), 1);
        source->release(source, seq, checksum);
}

static inline int count_segment(const char *entry, void *userdata)
{
        *(unsigned *) userdata += strlen(entry) == 24 && strcmp(entry + 20, ".log") == 0;
        return 0;
}

static inline unsigned count_segments(void)
{
        Disk *disk = sim_disk_attach(sim);
        unsigned n = 0;

        ck_assert_int_eq(disk->list(disk, ".", count_segment, &n), 0);
        (void) disk_free(disk);
        return n;
}

/* n commits of one batch each, own seqs on from `first`. */
static inline void fill(uint64_t first, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                ck_assert_int_eq(append(1, first + i, first + i), 0);
                commit();
        }
}
