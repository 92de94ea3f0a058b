/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Anything as plain lines of a producer, in pieces whose sizes the first byte chooses. However it is cut, what is taken and what is
 * refused is the same as when each line is judged by itself, and what is in the ring is what record_adopt() makes of it.
 */

#include "fuzz.h"
#include "dispatcher/lines.h"
#include "runtime/log.h"

#include <unistd.h>

#define NODE "n1"
/* A good deal of the ring: so that none of it is given up before it is read. */
#define INPUT_MAX (64U * 1024U)

static char directory[] = "/tmp/fuzz-lines-XXXXXX", path[64];
static const RingOptions options = { .path = path, .size = RING_SIZE_MIN, .node = NODE, .stream = { { 1 } } };

typedef struct Expected {
        uint8_t *text;
        size_t size;
        uint64_t records, refused;
} Expected;

/* A line without its end is refused as well. No line grows to twice its size. */
static void expect(const uint8_t *data, size_t size, Expected *ret)
{
        uint8_t line[RECORD_LINE_MAX];
        uint64_t replaced = 0;
        size_t line_size;

        *ret = (Expected) { .text = malloc(2 * size + sizeof line) };
        CHECK(ret->text);
        while (size > 0) {
                const uint8_t *newline = memchr(data, '\n', size);
                size_t length = newline ? (size_t) (newline - data) : size;

                if (newline && record_adopt(data, length, NODE, line, &line_size, &replaced) == RECORD_OK) {
                        memcpy(ret->text + ret->size, line, line_size);
                        ret->size += line_size;
                        ret->records++;
                } else {
                        ret->refused++;
                }
                length += newline != NULL;
                data += length;
                size -= length;
        }
}

static void feed(Lines *lines, Ring *ring, const uint8_t *data, size_t size, size_t piece)
{
        Buffer input = BUFFER_INIT(INPUT_MAX + RECORD_LINE_MAX);

        for (size_t n; size > 0; data += n, size -= n) {
                n = MIN(size, piece);
                CHECK(buffer_append(&input, data, n) == 0);
                CHECK(lines_take(lines, ring, &input) == 1);
                CHECK(buffer_size(&input) <= RECORD_LINE_MAX);
        }
        lines_end(lines);
        buffer_done(&input);
}

static void check_ring(Ring *ring, const Expected *expected)
{
        Source *source = ring_source(ring, "fuzz", false);
        Cursor cursor = { { 0 } };
        size_t at = 0;
        uint64_t seq = 1;
        Batch batch;

        for (; source->get(source, seq, &cursor, &batch) > 0; seq = batch.last + 1) {
                CHECK(batch_payload_intact(&batch) && batch.size <= expected->size - at);
                CHECK(memcmp(expected->text + at, batch.payload, batch.size) == 0);
                at += batch.size;
        }
        CHECK(at == expected->size && seq == expected->records + 1);
        ring_source_free(ring, source);
}

static void clean_up(void)
{
        (void) rmdir(directory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        LinesCounters counters = { 0 };
        Lines lines = { .counters = &counters, .peer = "fuzz" };
        uint64_t refused = 0;
        Ring *ring = NULL;
        Expected expected;
        bool created;

        if (size == 0)
                return 0;
        if (!path[0]) {
                CHECK(mkdtemp(directory) && atexit(clean_up) == 0);
                (void) snprintf(path, sizeof path, "%s/ring", directory);
                log_init_tool("fuzz", -1);
        }
        size = MIN(size, (size_t) INPUT_MAX);
        expect(data + 1, size - 1, &expected);
        CHECK(ring_open(&options, &ring, &created) == 0);
        feed(&lines, ring, data + 1, size - 1, 1 + (size_t) data[0] * data[0]);
        for (size_t i = 0; i < ELEMENTSOF(counters.refused); i++)
                refused += counters.refused[i];
        CHECK(counters.records == expected.records && refused == expected.refused);
        check_ring(ring, &expected);
        (void) ring_free(ring);
        CHECK(unlink(path) == 0);
        free(expected.text);
        return 0;
}
