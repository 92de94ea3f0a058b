/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of the store share: batches of numbered lines, a toy hash, one commit. */

#include "sim-disk.h"
#include "store/store.h"

#undef NDEBUG
#include <assert.h>
#include <stdio.h>

static uint64_t fixture_random_state = 1;

static inline uint64_t fixture_draw(uint64_t *state)
{
        uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

static inline void fixture_random(void *bytes, size_t size)
{
        uint8_t *p = bytes;

        for (size_t i = 0; i < size; i++)
                p[i] = (uint8_t) fixture_draw(&fixture_random_state);
}

/* Not SHA-256, but 32 bytes that depend on everything: the chain's arithmetic is what is tested here. */
static inline void fixture_hash(const void *data, size_t size, uint8_t ret_digest[static SHA256_SIZE])
{
        uint64_t h = checksum64(data, size);

        for (size_t i = 0; i < SHA256_SIZE; i += sizeof h) {
                memcpy(ret_digest + i, &h, sizeof h);
                h = fixture_draw(&h);
        }
}

static inline StoreOptions fixture_options(Disk *disk)
{
        return (StoreOptions) {
                .disk = disk,
                .random = fixture_random,
                .segment_size_max = 1024 * 1024,
                .group_bytes_max = 1024 * 1024,
        };
}

static inline StreamId fixture_stream(unsigned i)
{
        return (StreamId) { { 0xA5, (uint8_t) i } };
}

/* One line a seq, all different, of different lengths. */
static inline size_t fixture_line(unsigned stream, uint64_t seq, char *out)
{
        return (size_t) sprintf(out, "node=n%u type=USER msg=audit(1.000:%llu): %.*s\n", stream,
                                (unsigned long long) seq, (int) (seq * 7 % 23), "xxxxxxxxxxxxxxxxxxxxxxx");
}

/* first..last as a batch of records in `out`. */
static inline Batch fixture_batch(unsigned stream, uint64_t first, uint64_t last, char *out)
{
        Batch batch = {
                .first = first, .last = last, .origin = BATCH_ORIGIN_KERNEL, .payload = (uint8_t *) out};
        size_t size = 0;

        for (uint64_t seq = first; seq <= last; seq++)
                size += fixture_line(stream, seq, out + size);
        batch.count = (uint32_t) (last - first + 1);
        batch.size = (uint32_t) size;
        batch_seal(&batch);
        return batch;
}

/* Asks for a checkpoint of what is durable, without a signature. Returns whether there is anything. */
static inline bool fixture_checkpoint(Store *store, uint64_t now_usec)
{
        StoreHead head;
        IndexEntry entry;

        if (!store_head(store, &head))
                return false;
        entry = (IndexEntry) {
                .kind = INDEX_CHECKPOINT,
                .checkpoint = {
                        .seq = head.seq,
                        .time_usec = now_usec,
                        .serial = head.last.kind == INDEX_CHECKPOINT ? head.last.checkpoint.serial + 1 : 1,
                        .stream = head.stream,
                },
        };
        memcpy(entry.checkpoint.head, head.chain, SHA256_SIZE);
        return store_checkpoint(store, &entry) == 0;
}

/* One whole commit, and the links. Returns 1: done; 0: nothing to do; or the error. */
static inline int fixture_commit(Store *store, uint64_t now_usec)
{
        StoreJob job;
        int r = store_commit_begin(store, now_usec, &job);

        if (r <= 0)
                return r;
        r = store_commit_end(store, store_job_run(&job), now_usec);
        if (r < 0)
                return r;
        (void) store_links_now(store);
        return 1;
}
