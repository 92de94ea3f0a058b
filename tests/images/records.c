/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See records.h. Seqs are in blocks of eight, each one batch or two, by a hash of the block's number. */

#include "records.h"

#include <inttypes.h>
#include <stdio.h>

#define BLOCK_RECORDS 8U
/* One line in so many is longer than a block of the disk. */
#define LONG_EVERY 64U

static uint64_t mix(uint64_t n)
{
        return checksum64(&n, sizeof n);
}

size_t records_line(uint64_t seq, char out[static RECORD_LINE_SIZE])
{
        uint64_t h = mix(seq);
        size_t size, filling = h % LONG_EVERY == 0 ? 6000 : h / LONG_EVERY % 400;

        size = (size_t) sprintf(
                out, "node=" RECORDS_NODE " type=USER msg=audit(1700000000.000:%" PRIu64 "): text=", seq);
        memset(out + size, (char) ('a' + h % 26), filling);
        size += filling;
        out[size++] = '\n';
        return size;
}

StreamId records_stream(void)
{
        return (StreamId) { "the dispatcher" };
}

static uint64_t batch_first(uint64_t seq)
{
        uint64_t block = (seq - 1) / BLOCK_RECORDS, split = 1 + mix(~block) % BLOCK_RECORDS;

        return block * BLOCK_RECORDS + ((seq - 1) % BLOCK_RECORDS < split ? 1 : 1 + split);
}

uint64_t records_batch_last(uint64_t seq)
{
        uint64_t block = (seq - 1) / BLOCK_RECORDS, split = 1 + mix(~block) % BLOCK_RECORDS;

        return block * BLOCK_RECORDS + ((seq - 1) % BLOCK_RECORDS < split ? split : BLOCK_RECORDS);
}

static void make_batch(Records *records, uint64_t first, Batch *ret)
{
        uint64_t last = records_batch_last(first);
        size_t size = 0;

        for (uint64_t seq = first; seq <= last; seq++)
                size += records_line(seq, (char *) records->payload + size);
        *ret = (Batch) {
                .first = first,
                .last = last,
                .count = (uint32_t) (last - first + 1),
                .size = (uint32_t) size,
                .origin = BATCH_ORIGIN_KERNEL,
                .payload = records->payload,
        };
        batch_seal(ret);
}

uint64_t records_checksum(Records *records, uint64_t seq)
{
        Batch batch;

        if (seq == 0 || records_batch_last(seq) != seq)
                return 0;
        make_batch(records, batch_first(seq), &batch);
        return batch.checksum;
}

static void source_range(Source *source, SourceRange *ret)
{
        const Records *records = container_of(source, Records, source);

        *ret = (SourceRange) { .stream = records_stream(),
                               .oldest = records->released + 1,
                               .newest = records->newest };
}

static int source_get(Source *source, uint64_t seq, Cursor *cursor, Batch *ret)
{
        Records *records = container_of(source, Records, source);

        if (seq == records->newest + 1)
                return 0;
        if (seq <= records->released || seq > records->newest || batch_first(seq) != seq)
                return -ESTALE;
        make_batch(records, seq, ret);
        return 1;
}

static int source_ended(Source *source, uint64_t seq, uint64_t *ret_checksum)
{
        Records *records = container_of(source, Records, source);

        if (seq > records->newest)
                return -ESTALE;
        *ret_checksum = records_checksum(records, seq);
        return seq == 0 || *ret_checksum != 0 ? 1 : -ESTALE;
}

static void source_release(Source *source, uint64_t seq, uint64_t checksum)
{
        Records *records = container_of(source, Records, source);

        records->released = MAX(records->released, seq);
}

int records_init(Records *records)
{
        *records = (Records) {
                .source = { .range = source_range,
                            .get = source_get,
                            .ended = source_ended,
                            .release = source_release },
                .payload = malloc((size_t) BLOCK_RECORDS * RECORD_LINE_SIZE),
        };
        return records->payload ? 0 : -ENOMEM;
}

void records_done(Records *records)
{
        free(records->payload);
        records->payload = NULL;
}
