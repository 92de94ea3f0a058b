/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A line that is no record, or too long, costs nobody else anything: it is counted, said at most once in a
 * while, and left out whole; but one of a type that the producer may not send, the kernel's above all, is
 * stored escaped, as evidence of who tried. No line is ever split, or merged with the next: what is too long is skipped up
 * to its own newline.
 */

#include "dispatcher/lines.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <stdio.h>

#define LOG_INTERVAL_USEC (5 * USEC_PER_SEC)
/* Bytes of a refused line that are shown. */
#define EXCERPT_MAX 80U
/* For the size of the batch begun: a line gets the node in front of it and is seldom shorter than this. */
#define LINE_MIN 64U
#define LINE_OVERHEAD (NODE_NAME_MAX + 7U)

static void escape(const uint8_t *data, size_t size, char *out)
{
        for (size_t i = 0; i < MIN(size, EXCERPT_MAX); i++) {
                if (data[i] >= ' ' && data[i] < 0x7f && data[i] != '\\')
                        *out++ = (char) data[i];
                else
                        out += sprintf(out, "\\x%02x", data[i]);
        }
        strcpy(out, size > EXCERPT_MAX ? "…" : "");
}

static void refuse(Lines *lines, const uint8_t *line, size_t size, RecordFault fault)
{
        LinesCounters *counters = lines->counters;
        char excerpt[4 * EXCERPT_MAX + sizeof "…"];
        uint64_t all = 0;

        counters->refused[fault]++;
        if (!log_limit(&counters->logged_usec, LOG_INTERVAL_USEC))
                return;
        for (size_t i = 0; i < ELEMENTSOF(counters->refused); i++)
                all += counters->refused[i];
        escape(line, size, excerpt);
        log_message(LOG_WARNING, MESSAGE_ID_RECORDS_REFUSED, NULL,
                    "Refused a line from %s: %s (%" PRIu64 " refused so far): %s", lines->peer,
                    record_fault_to_string(fault), all, excerpt);
}

/* Skips the rest of a line that was too long. Returns whether its end was there. */
static bool skip(Lines *lines, Buffer *input)
{
        const uint8_t *head = buffer_head(input);
        size_t size = buffer_size(input);
        const uint8_t *newline = size > 0 ? memchr(head, '\n', size) : NULL;

        buffer_consume(input, newline ? (size_t) (newline + 1 - head) : size);
        lines->skipping = !newline;
        return newline;
}

/* Puts the line that quotes a forged one in its place. */
static size_t escape_forged(const Lines *lines, Ring *ring, const uint8_t *line, size_t size, uint8_t *out)
{
        RecordRules rules = { .node = ring_node(ring), .peer = lines->peer };
        RecordTime time = record_time(realtime_usec(), ring_state(ring)->newest + 1);

        return record_refuse_line(line, size, RECORD_E_TYPE, &rules, time, out);
}

/* Returns how many bytes were consumed; *ret_full: the ring has no room for the rest. */
static size_t take_complete(Lines *lines, Writer *writer, const uint8_t *data, size_t size, bool *ret_full)
{
        const uint8_t *p = data, *end = data + size, *newline;
        RecordAdopter adopter;

        *ret_full = false;
        record_adopter_init(&adopter, ring_node(writer->ring), data, size);
        for (; p < end && (newline = memchr(p, '\n', (size_t) (end - p))); p = newline + 1) {
                uint8_t *room = writer_room(writer);
                RecordFault fault;
                size_t line;

                if (!room) {
                        *ret_full = true;
                        break;
                }
                fault = record_adopt_next(&adopter, p, (size_t) (newline - p), room, &line);
                if (fault == RECORD_OK && !record_filter_line(lines->types, room, line)) {
                        fault = RECORD_E_TYPE;
                        writer_commit(writer, escape_forged(lines, writer->ring, p, (size_t) (newline - p), room));
                } else if (fault == RECORD_OK) {
                        writer_commit(writer, line);
                }
                if (fault != RECORD_OK)
                        refuse(lines, p, (size_t) (newline - p), fault);
        }
        ring_state(writer->ring)->replaced += adopter.replaced;
        return (size_t) (p - data);
}

int lines_take(Lines *lines, Ring *ring, Buffer *input)
{
        size_t size;
        Writer writer;
        bool full;

        if (lines->skipping && !skip(lines, input))
                return 1;
        size = buffer_size(input);
        writer = writer_begin(ring, BATCH_ORIGIN_LOCAL, size + size / LINE_MIN * LINE_OVERHEAD);
        buffer_consume(input, take_complete(lines, &writer, buffer_head(input), size, &full));
        if (writer_end(&writer)) {
                ring_publish(ring);
                lines->counters->records += writer.records;
                lines->counters->batches += writer.batches;
        }
        lines->counters->bytes += MAX(writer.bytes, size - buffer_size(input));
        lines->rest = buffer_size(input);
        if (full)
                return 0;
        if (lines->rest > RECORD_LINE_MAX) {
                refuse(lines, buffer_head(input), lines->rest, RECORD_E_LONG);
                buffer_consume(input, lines->rest);
                lines->skipping = true;
                lines->rest = 0;
        }
        return 1;
}

void lines_end(Lines *lines)
{
        static const uint8_t none[] = "(a line without its end)";

        if (lines->rest > 0)
                refuse(lines, none, sizeof none - 1, RECORD_E_FORM);
        lines->rest = 0;
}
