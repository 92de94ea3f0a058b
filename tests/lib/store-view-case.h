/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A store as others read it: what the tests of views share. Each record here has its seq as its serial and as the minute of its
 * time, so that every answer can be checked. */

#include "store-case.h"
#include "fault-disk.h"
#include "record/record.h"
#include "store/view.h"

#include <inttypes.h>

#define MINUTE (60 * USEC_PER_SEC)

/* --- What is written --- */

static inline size_t put_line(unsigned stream, uint64_t seq, char *out)
{
        return (size_t) sprintf(out, "node=n%u type=USER msg=audit(%" PRIu64 ".000:%" PRIu64 "): %0*d\n", stream, seq * 60,
                                seq, (int) (seq % 5 * 20 + 1), 0);
}

static inline int append_timed(unsigned s, uint64_t first, uint64_t last)
{
        static char text[BATCH_PAYLOAD_MAX];
        StreamId id = fixture_stream(s);
        Batch batch = { .first = first, .last = last, .origin = BATCH_ORIGIN_KERNEL, .payload = (uint8_t *) text };
        Sink *sink = store_sink(store);

        for (uint64_t seq = first; seq <= last; seq++)
                batch.size += (uint32_t) put_line(s, seq, text + batch.size);
        batch.count = (uint32_t) (last - first + 1);
        batch_seal(&batch);
        now += USEC_PER_SEC;
        return sink->append(sink, &id, "owner", &batch, &batch, now);
}

/* A batch of stream 1 that another collector has. */
static inline int append_explained(uint64_t first, uint64_t last)
{
        StreamId id = fixture_stream(1);
        Batch batch = { .first = first, .last = last, .origin = BATCH_ORIGIN_KERNEL, .reason = BATCH_CUSTODY,
                        .size = 1, .payload = (const uint8_t *) "x" };
        Sink *sink = store_sink(store);

        batch_seal(&batch);
        return sink->append(sink, &id, "owner", &batch, &batch, now);
}

/* Batches of `each` records of stream 1, a commit each, from seq first on. */
static inline void write_batches(uint64_t first, unsigned n, unsigned each)
{
        for (unsigned i = 0; i < n; i++, first += each) {
                ck_assert_int_eq(append_timed(1, first, first + each - 1), 0);
                commit();
        }
}

static inline void rotate(void)
{
        store_rotate(store);
        commit();
}

static inline void setup_timed(void)
{
        sim = sim_disk_new(1);
        options = fixture_options(NULL);
        options.span = record_span;
        open_store();
}

/* --- What is read --- */

static uint64_t bytes_read;
static ssize_t (*read_through)(Disk *disk, int handle, void *data, size_t size, uint64_t offset);

static inline ssize_t counting_read(Disk *disk, int handle, void *data, size_t size, uint64_t offset)
{
        ssize_t n = read_through(disk, handle, data, size, offset);

        bytes_read += n > 0 ? (uint64_t) n : 0;
        return n;
}

static inline StoreView *view_open(bool follow)
{
        Disk *disk = sim_disk_attach(sim);
        StoreView *view;

        read_through = disk->read;
        disk->read = counting_read;
        bytes_read = 0;
        ck_assert_int_eq(store_view_open(disk, follow, &view), 0);
        return view;
}

/* The next batch, whole: these own seqs. */
static inline void expect_batch(StoreView *view, uint64_t first, uint64_t last)
{
        char line[256];
        ViewBatch batch;

        ck_assert_int_eq(store_view_next(view, &batch), 1);
        ck_assert(!batch.damaged);
        ck_assert_uint_eq(batch.stored.first, first);
        ck_assert_uint_eq(batch.stored.last, last);
        ck_assert_int_eq(store_view_read(view, &batch), 1);
        ck_assert_uint_ge(batch.stored.size, put_line(1, batch.received_first, line));
        ck_assert_mem_eq(batch.stored.payload, "node=n", 6);
        /* Once more, as the file is open now. */
        ck_assert_int_eq(store_view_read(view, &batch), 1);
}

static inline void expect_damage(StoreView *view, uint64_t first, uint64_t last)
{
        ViewBatch batch;

        ck_assert_int_eq(store_view_next(view, &batch), 1);
        ck_assert(batch.damaged);
        ck_assert_uint_eq(batch.stored.first, first);
        ck_assert_uint_eq(batch.stored.last, last);
}

static inline void expect_end(StoreView *view)
{
        ViewBatch batch;

        ck_assert_int_eq(store_view_next(view, &batch), 0);
        ck_assert_int_eq(store_view_next(view, &batch), 0);
}

/* --- Back --- */

typedef struct Seen {
        uint64_t first, last;
        bool damaged;
        StreamId store;
} Seen;

#define SEEN_MAX 4096U

static inline size_t collect(StoreView *view, int (*next)(StoreView *view, ViewBatch *ret), Seen *ret)
{
        ViewBatch batch;
        size_t n = 0;

        while (next(view, &batch) == 1) {
                ck_assert_uint_lt(n, SEEN_MAX);
                ret[n++] = (Seen) { batch.stored.first, batch.stored.last, batch.damaged, batch.store };
        }
        return n;
}

/* Back from the end is the same as onwards, the other way round, whatever became of the store. */
static inline void expect_same_back(uint64_t since_usec, uint64_t until_usec)
{
        static Seen onwards[SEEN_MAX], back[SEEN_MAX];
        Disk *disk = sim_disk_attach(sim);
        StoreView *view;
        size_t n;
        int r = store_view_open(disk, false, &view);

        if (r < 0) {
                (void) disk_free(disk);
                return;
        }
        store_view_select(view, since_usec, until_usec, 0);
        n = collect(view, store_view_next, onwards);
        ck_assert_int_eq(store_view_seek(view, UINT64_MAX), 1);
        ck_assert_uint_eq(collect(view, store_view_previous, back), n);
        for (size_t i = 0; i < n; i++) {
                ck_assert_uint_eq(back[n - 1 - i].first, onwards[i].first);
                ck_assert_uint_eq(back[n - 1 - i].last, onwards[i].last);
                ck_assert_int_eq(back[n - 1 - i].damaged, onwards[i].damaged);
                ck_assert(onwards[i].damaged || stream_id_equal(&back[n - 1 - i].store, &onwards[i].store));
        }
        store_view_free(view);
}

/* After each test. */
static inline void teardown_timed(void)
{
        expect_same_back(0, UINT64_MAX);
        expect_same_back(5 * MINUTE, 20 * MINUTE);
        teardown();
}
