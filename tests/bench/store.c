/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A store as the aggregator writes it, with times and hashes, of as many records and segments as are wanted: for those who read one.
 * It is synced once, at the end, so that it is written as fast as the disk goes. */

#include "bench.h"
#include "record/record.h"
#include "records.h"
#include "store/store.h"

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <inttypes.h>
#include <sys/random.h>
#include <sys/stat.h>

/* What comes in one turn of a busy sender. */
#define PAYLOAD (64U * 1024U)
#define GROUP (16U * 1024U * 1024U)
#define SEGMENT (128U * 1024U * 1024U)

static void hash(const void *data, size_t size, uint8_t ret_digest[static SHA256_SIZE])
{
        if (gnutls_hash_fast(GNUTLS_DIG_SHA256, data, size, ret_digest) < 0)
                abort();
}

static void random_bytes(void *bytes, size_t size)
{
        if (getrandom(bytes, size, 0) != (ssize_t) size)
                abort();
}

static int sync_later(Disk *disk, int handle)
{
        return 0;
}

static int sync_directory_later(Disk *disk)
{
        return 0;
}

/* What is allocated ahead would have to be given back for each segment. */
static int allocate_never(Disk *disk, int handle, uint64_t offset, uint64_t size)
{
        return 0;
}

static int sync_all(const char *directory)
{
        _cleanup_(close_fdp) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 || syncfs(fd) < 0 ? -errno : 0;
}

static int open_store(const char *directory, uint64_t segment, Store **ret)
{
        StoreOptions options = {
                .hash = hash,
                .span = record_span,
                .random = random_bytes,
                .segment_size_max = segment,
                /* It rotates between groups. */
                .group_bytes_max = MIN(segment, (uint64_t) GROUP),
        };
        StoreReport report;
        int r;

        if (mkdir(directory, 0700) < 0)
                return -errno;
        r = disk_open(directory, &options.disk);
        if (r < 0)
                return r;
        options.disk->sync = sync_later;
        options.disk->sync_directory = sync_directory_later;
        options.disk->allocate = allocate_never;
        r = store_open(&options, 1, ret, &report);
        if (r < 0)
                (void) disk_free(options.disk);
        else
                store_report_done(&report);
        return r;
}

static int commit(Store *store, uint64_t now_usec)
{
        StoreJob job;
        int r = store_commit_begin(store, now_usec, &job);

        return r > 0 ? store_commit_end(store, store_job_run(&job), now_usec) : r;
}

/* Lines up to number `last`, a batch at a time. */
static int fill(Store *store, Records *records, uint64_t last)
{
        static const StreamId stream = { { 1 } };
        static uint8_t payload[PAYLOAD];
        Sink *sink = store_sink(store);
        uint64_t now_usec = USEC_PER_SEC;
        int r = 0;

        while (r == 0 && records->next <= last) {
                Batch batch = { .first = records->next, .origin = BATCH_ORIGIN_KERNEL, .payload = payload };

                batch.size = (uint32_t) records_fill(records, payload, sizeof payload, last);
                batch.last = records->next - 1;
                batch.count = (uint32_t) (batch.last - batch.first + 1);
                batch_seal(&batch);
                do {
                        r = sink->append(sink, &stream, "client", &batch, &batch, ++now_usec);
                } while (r == -EAGAIN && (r = commit(store, now_usec)) == 0);
        }
        return r == 0 ? commit(store, now_usec) : r;
}

/* LAST NODE DIRECTORY [SEGMENT_BYTES] */
int verb_store(int argc, char **argv)
{
        uint64_t last = strtoull(argv[1], NULL, 10);
        Store *store = NULL;
        Records records;
        int r = records_init(&records, argv[2]);

        if (r < 0)
                return bench_fail("store", r);
        r = open_store(argv[3], argc > 4 ? strtoull(argv[4], NULL, 10) : SEGMENT, &store);
        if (r == 0)
                r = fill(store, &records, last);
        records_done(&records);
        store_free(store);
        if (r == 0)
                r = sync_all(argv[3]);
        if (r < 0)
                return bench_fail("store", r);
        printf("{\"records\": %" PRIu64 "}\n", last);
        return EXIT_SUCCESS;
}
