/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A directory with anything in it, as a disk may hand it back. The input is a byte of flags (1: set the
 * checksums of the entries right; 2: and of the batch headers in them; 4: an older segment is there, too;
 * 8: chained), the number of entries of the index, the entries, and the text. Whatever is in the files, the
 * store opens or says why not, shows only what verifies, goes on, and is in order afterwards; and whoever verifies it comes to an
 * end.
 */

#include "fuzz.h"
#include "../lib/store-verify.h"

/* Steps of the reader: more explanations than entries there cannot be. */
#define STEPS_MAX 2048U


/* Segment 1 with three batches and a stream, closed by segment 4. */
static void put_older(SimDisk *sim)
{
        StoreOptions options = fixture_options(sim_disk_attach(sim));
        StoreReport report;
        char text[1024];
        Batch batch;
        Store *store;
        StreamId id = fixture_stream(1);

        CHECK(store_open(&options, 1, &store, &report) == 0);
        store_report_done(&report);
        batch = fixture_batch(1, 1, 3, text);
        CHECK(store_sink(store)->append(store_sink(store), &id, "owner", &batch, &batch, 2) == 0);
        CHECK(fixture_commit(store, 3) == 1);
        (void) store_free(store);
}

static void mend(uint8_t *index, uint32_t n, uint8_t flags)
{
        for (uint32_t i = 0; i < n; i++) {
                uint8_t *entry = index + (size_t) i * INDEX_ENTRY_SIZE;

                if ((flags & 2) && entry[4] == INDEX_BATCH)
                        put_le64(entry + 24 + 40, checksum64(entry + 24, 40));
                put_le32(entry, INDEX_MAGIC);
                put_le32(entry + 16, i);
                put_le64(entry + 8, checksum64_pair(entry, 8, entry + 16, INDEX_ENTRY_SIZE - 16));
        }
}

static void read_all(Store *store)
{
        Source *source = store_source(store, "reader");
        Cursor cursor = { { 0 } };
        SourceRange range;
        uint64_t seq = 1;
        Batch batch;
        int r = 1;

        source->range(source, &range);
        CHECK(range.oldest >= 1 && range.oldest <= range.newest + 1);
        for (unsigned i = 0; i < STEPS_MAX && (r = source->get(source, seq, &cursor, &batch)) > 0; i++) {
                CHECK(batch.first == seq && batch.last >= seq && batch.last <= range.newest);
                CHECK(batch_payload_intact(&batch));
                seq = batch.last + 1;
        }
        CHECK(r >= 0 || r == -ESTALE);
        CHECK(r != 0 || seq == range.newest + 1);
}

static bool open_store(SimDisk *sim, uint8_t flags, Store **ret)
{
        StoreOptions options = fixture_options(sim_disk_attach(sim));
        StoreReport report;
        int r;

        options.hash = flags & 8 ? fixture_hash : NULL;
        options.links = true;
        r = store_open(&options, 10, ret, &report);
        if (r < 0) {
                CHECK(r == -EPROTONOSUPPORT);
                (void) disk_free(options.disk);
                return false;
        }
        store_report_done(&report);
        return true;
}

/* Whatever is found, it comes to an end. */
static void verify(SimDisk *sim)
{
        Disk *disk = sim_disk_attach(sim);
        static Found found;
        VerifyResult result;
        int r = fixture_verify(disk, &found, &result);

        CHECK(r == 0 || r == -EPROTONOSUPPORT);
        CHECK(r < 0 || result.damages == found.n_damages);
        (void) disk_free(disk);
}

/* What is delivered now is there after the next start. */
static void go_on(SimDisk *sim, uint8_t flags)
{
        StreamId id = fixture_stream(9);
        uint64_t last, checksum;
        StoreStatus status;
        char text[1024];
        Store *store;
        Batch batch;
        int r;

        if (!open_store(sim, flags, &store))
                return;
        read_all(store);
        if (store_sink(store)->position(store_sink(store), &id, "owner", &last, &checksum) == 0 &&
            last < UINT64_MAX - 9) {
                batch = fixture_batch(9, last + 1, last + 2, text);
                r = store_sink(store)->append(store_sink(store), &id, "owner", &batch, &batch, 11);
                CHECK(r == 0 || r == -EOVERFLOW);
                if (r == 0) {
                        CHECK(fixture_commit(store, 12) == 1);
                        store_status(store, &status);
                        (void) store_free(store);
                        CHECK(open_store(sim, flags, &store));
                        CHECK(store_sink(store)->position(store_sink(store), &id, "owner", &last,
                                                          &checksum) == 0);
                        CHECK(last == batch.last && checksum == batch.checksum);
                        read_all(store);
                }
        }
        (void) store_free(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint32_t n;
        uint8_t *index;
        SimDisk *sim;

        if (size < 2)
                return 0;
        n = (uint32_t) MIN(data[1], (size - 2) / INDEX_ENTRY_SIZE);
        index = malloc((size_t) n * INDEX_ENTRY_SIZE + 1);
        CHECK(index);
        memcpy(index, data + 2, (size_t) n * INDEX_ENTRY_SIZE);
        if (data[0] & 1)
                mend(index, n, data[0]);
        fixture_random_state = 1;
        sim = sim_disk_new(1);
        if (data[0] & 4)
                put_older(sim);
        sim_disk_put(sim, data[0] & 4 ? "00000000000000000004.idx" : "00000000000000000001.idx", index,
                     (size_t) n * INDEX_ENTRY_SIZE);
        sim_disk_put(sim, data[0] & 4 ? "00000000000000000004.log" : "00000000000000000001.log",
                     data + 2 + (size_t) n * INDEX_ENTRY_SIZE, size - 2 - (size_t) n * INDEX_ENTRY_SIZE);
        free(index);
        verify(sim);
        go_on(sim, data[0]);
        verify(sim);
        (void) sim_disk_free(sim);
        return 0;
}
