/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A ring file with anything in it. As a whole file would be megabytes of zero, the input changes a good one: first a byte of
 * flags (1: set the header's checksum right; 2: those of the batch headers; 4: the input is the whole file), then patches of
 * region, offset (2), size and that many bytes. Whatever is in the file, the ring opens, works, and is in order afterwards.
 */

#include "fuzz.h"
#include "ring/ring-internal.h"

#include <fcntl.h>

#define AREA_KEPT (64U * 1024U) /* of the area; the rest is zero */
#define IMAGE_SIZE (sizeof(RingFile) + AREA_KEPT)
#define BATCHES 5U

static char directory[] = "/tmp/fuzz-ring-XXXXXX", path[64];
static uint8_t *good, *image;
static const RingOptions options = { .path = path, .size = RING_SIZE_MIN, .node = "n1", .stream = { { 1 } } };

static const size_t regions[] = {
        offsetof(RingFile, header),
        offsetof(RingFile, words),
        offsetof(RingFile, words.kept),
        offsetof(RingFile, states),
        offsetof(RingFile, states[1]),
        offsetof(RingFile, landing),
        offsetof(RingFile, landing.senders),
        sizeof(RingFile),
};

static void write_file(const uint8_t *data, size_t size, size_t file_size)
{
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        CHECK(fd >= 0 && ftruncate(fd, (off_t) file_size) == 0);
        CHECK(pwrite(fd, data, size, 0) == (ssize_t) size);
        (void) close(fd);
}

static void publish(Ring *ring, size_t size)
{
        uint8_t *out = ring_begin(ring, size, false);

        if (out) {
                memset(out, '\n', size);
                ring_seal(ring, size, 1, BATCH_ORIGIN_KERNEL);
        }
        ring_publish(ring);
}

static void clean_up(void)
{
        char aside[sizeof path + 8];

        (void) snprintf(aside, sizeof aside, "%s.damaged", path);
        (void) unlink(aside);
        (void) unlink(path);
        (void) rmdir(directory);
}

/* A file with batches, an awaited subscriber, and something landed. */
static void make_good(void)
{
        Ring *ring = NULL;
        bool created;

        CHECK(mkdtemp(directory) && atexit(clean_up) == 0);
        (void) snprintf(path, sizeof path, "%s/ring", directory);
        CHECK(ring_open(&options, &ring, &created) == 0);
        CHECK(ring_source(ring, "remote", true));
        for (unsigned i = 0; i < BATCHES; i++)
                publish(ring, 100 * i + 1);
        ring_landing_prepare(ring)[0].msg_len = 50;
        good = malloc(IMAGE_SIZE);
        image = aligned_alloc(_Alignof(RingFile), ALIGN_UP(IMAGE_SIZE, _Alignof(RingFile)));
        CHECK(good && image);
        memcpy(good, ring->file, IMAGE_SIZE);
        ring = ring_free(ring);
}

static void apply_patches(const uint8_t *data, size_t size)
{
        while (size >= 4) {
                size_t at = regions[data[0] % ELEMENTSOF(regions)] + get_le16(data + 1), n = MIN(data[3], size - 4);

                if (at < IMAGE_SIZE)
                        memcpy(image + at, data + 4, MIN(n, IMAGE_SIZE - at));
                data += 4 + n;
                size -= 4 + n;
        }
}

static void mend(uint8_t flags)
{
        RingFile *file = (RingFile *) image;
        uint8_t *area = image + sizeof(RingFile);

        if (flags & 1)
                file->header.checksum = checksum64(&file->header, offsetof(RingHeader, checksum));
        for (size_t at = 0; (flags & 2) && at + BATCH_HEADER_SIZE <= AREA_KEPT;) {
                put_le64(area + at + 40, checksum64(area + at, 40));
                at += ring_entry_size(get_le32(area + at + 20));
        }
}

static void read_all(Source *source)
{
        Cursor cursor = { { 0 } };
        SourceRange range;
        uint64_t checksum;
        Batch batch;

        source->range(source, &range);
        CHECK(range.oldest <= range.newest + 1);
        (void) source->ended(source, range.newest / 2, &checksum);
        for (uint64_t seq = 1; source->get(source, seq, &cursor, &batch) > 0; seq = batch.last + 1)
                (void) batch_payload_intact(&batch);
        source->release(source, range.newest, 1);
}

static void use(Ring *ring)
{
        Batch batch = { .first = 1, .last = 1, .count = 1, .size = 2, .origin = BATCH_ORIGIN_LOCAL,
                        .payload = (const uint8_t *) "x\n" };
        Source *source = ring_source(ring, "remote", true), *other = ring_source(ring, "tail", false);
        Sink *sink = ring_sink(ring);
        RingStatus status;

        for (unsigned i = 0; i < ring_landed(ring); i++) {
                uint32_t port;
                size_t size;
                const uint8_t *message = ring_landed_message(ring, i, &size, &port);

                (void) checksum64(message, size);
        }
        batch_seal(&batch);
        (void) sink->append(sink, &(StreamId) { { 5 } }, "me", &batch, &batch, 0);
        for (unsigned i = 0; i < RING_KEPT_MAX; i++)
                (void) ring_kept(ring, i);
        read_all(other);
        if (source)
                read_all(source);
        for (unsigned i = 0; i < 40; i++)
                publish(ring, BATCH_PAYLOAD_MAX);
        ring_landing_prepare(ring);
        ring_forget(ring, "remote");
        publish(ring, BATCH_PAYLOAD_MAX);
        read_all(other);
        ring_status(ring, &status);
        CHECK(status.used <= status.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Ring *ring = NULL;
        bool created;

        if (!good)
                make_good();
        if (size == 0)
                return 0;
        if (data[0] & 4) {
                write_file(data + 1, size - 1, size - 1);
        } else {
                memcpy(image, good, IMAGE_SIZE);
                apply_patches(data + 1, size - 1);
                mend(data[0]);
                write_file(image, IMAGE_SIZE, sizeof(RingFile) + RING_SIZE_MIN);
        }
        CHECK(ring_open(&options, &ring, &created) == 0);
        use(ring);
        ring = ring_free(ring);
        CHECK(ring_open(&options, &ring, &created) == 0);
        CHECK(!created && !ring_set_aside(ring));
        ring = ring_free(ring);
        return 0;
}
