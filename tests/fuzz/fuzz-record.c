/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A payload of anything: the fast check of a batch says what the check line by line says; what is accepted can be read; what is
 * adopted, formatted or stored in place of it is accepted.
 */

#include "fuzz.h"
#include "record/record.h"

static const RecordTime now = { 1700000000, 1, 2 };

/* Line by line. Returns the number of lines. */
static uint32_t check_lines(const uint8_t *data, size_t size, const char *node, RecordFault *ret_fault, uint32_t *ret_line)
{
        uint32_t lines = 0;
        size_t line;

        *ret_fault = RECORD_OK;
        for (; (line = record_next(data, size)) > 0; data += line, size -= line, lines++) {
                RecordFault fault = RECORD_E_COUNT;
                RecordPrefix prefix;

                if (line != SIZE_MAX)
                        fault = record_check(data, line, node);
                if (fault == RECORD_OK) {
                        CHECK(record_parse(data, line, &prefix) == RECORD_OK);
                        CHECK(!node || prefix.node.size == strlen(node));
                        CHECK(prefix.node.size > 0 && prefix.type.size > 0);
                } else if (*ret_fault == RECORD_OK) {
                        *ret_fault = fault;
                        *ret_line = lines;
                }
                if (line == SIZE_MAX)
                        break;
        }
        return lines;
}

static void check_batch(const uint8_t *data, size_t size, const char *node)
{
        static uint8_t out[BATCH_PAYLOAD_MAX];
        Batch batch = { .first = 1, .size = (uint32_t) size, .origin = BATCH_ORIGIN_REMOTE, .payload = data }, stored;
        uint32_t line = 0, fast_line, refused;
        uint8_t header[BATCH_HEADER_SIZE];
        BatchSpan span, fast_span;
        RecordFault fault;

        batch.last = batch.count = check_lines(data, size, node, &fault, &line);
        CHECK(record_check_batch(&batch, node, &fast_line, &fast_span) == fault);
        CHECK(fault == RECORD_OK || fast_line == line);
        record_span(data, size, &span);
        CHECK(fault != RECORD_OK || memcmp(&fast_span, &span, sizeof span) == 0);

        record_refuse(&batch, &(RecordRules) { .node = "n1", .accept = node }, now, out, &stored, &refused);
        CHECK(fault == RECORD_OK || refused > 0);
        CHECK(stored.size <= BATCH_PAYLOAD_MAX && batch_payload_intact(&stored));
        batch_encode(&stored, header);
        CHECK(batch_decode(header, &batch) == 0);
        CHECK(record_check_batch(&stored, node ? "n1" : NULL, &line, NULL) == RECORD_OK);

        batch = (Batch) { .first = 3, .last = 9, .size = (uint32_t) MIN(size, (size_t) BATCH_ARGUMENT_MAX),
                          .origin = BATCH_ORIGIN_REMOTE, .reason = BATCH_LOST, .payload = data };
        record_explain_lost(&batch, "n1", "00", now, out, &stored);
        CHECK(record_check(out, stored.size, "n1") == RECORD_OK);
}

/* Adopting line after line says of each what adopting it alone does. */
static void adopt_lines(const uint8_t *data, size_t size)
{
        static uint8_t out[RECORD_LINE_MAX], alone[RECORD_LINE_MAX];
        const uint8_t *p = data, *end = data + size, *newline;
        size_t written, written_alone;
        RecordAdopter adopter;
        uint64_t replaced = 0;

        record_adopter_init(&adopter, "n1", data, size);
        for (; p < end && (newline = memchr(p, '\n', (size_t) (end - p))); p = newline + 1) {
                RecordFault fault = record_adopt_next(&adopter, p, (size_t) (newline - p), out, &written);

                CHECK(record_adopt(p, (size_t) (newline - p), "n1", alone, &written_alone, &replaced) == fault);
                CHECK(fault != RECORD_OK || (written == written_alone && memcmp(out, alone, written) == 0));
        }
        CHECK(adopter.replaced == replaced);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t out[RECORD_LINE_MAX];
        uint64_t replaced = 0;
        RecordTime time;
        size_t written;

        size = MIN(size, (size_t) BATCH_PAYLOAD_MAX);
        check_batch(data, size, "n1");
        check_batch(data, size, NULL);
        adopt_lines(data, size);
        if (record_adopt(data, size, "n1", out, &written, &replaced) == RECORD_OK)
                CHECK(written <= sizeof out && record_check(out, written, "n1") == RECORD_OK);
        written = record_format((uint16_t) (size * 37), data, size, "n1", out, &replaced);
        CHECK((written > 0) == (record_parse_time(data, MIN(size, (size_t) RECORD_TEXT_MAX), &time) > 0));
        CHECK(written == 0 || record_check(out, written, "n1") == RECORD_OK);
        return 0;
}
