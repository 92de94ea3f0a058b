/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Text has no ack. What a peer has read of its socket is known, though, and so how far it certainly has
 * come: a new session begins behind that, and repeats what may have been unread.
 *
 *  1. Whole records are put, or nothing: what is lost is told between two records.
 *  2. read ≤ sent, and read moves only to the end of a batch.
 */

#include "dispatcher/text.h"
#include "record/record-filter.h"
#include "record/record.h"

#include <stdio.h>

/* Little: what is put and not read is repeated after a broken session. */
#define TARGET LINK_FRAME_MAX

/* --- Records --- */

static void put_u32(uint8_t *out, uint32_t value)
{
        memcpy(out, &value, sizeof value);
}

/* What is cut is cut behind a field. */
static size_t cut_size(const uint8_t *text, size_t size)
{
        size_t cut = TEXT_AUDISP_MAX;

        if (size <= TEXT_AUDISP_MAX)
                return size;
        while (cut > 0 && text[cut] != ' ')
                cut--;
        return cut > 0 ? cut : TEXT_AUDISP_MAX;
}

/* auditd gives its plugins no node= for the records of its own host unless it is told to, and leaves it
 * where a record came from another one. `line` is without its newline. Returns what was written to `out`. */
static size_t put_audisp(Text *text, const uint8_t *line, size_t size, bool foreign, uint8_t *out)
{
        RecordPrefix prefix;
        uint32_t type = 0;
        size_t kept;

        (void) record_parse(line, size, &prefix);
        if (!foreign) {
                line += prefix.type_offset;
                size -= prefix.type_offset;
        }
        (void) record_type_number(prefix.type.data, prefix.type.size, &type);
        kept = cut_size(line, size);
        text->cut += kept < size;
        put_u32(out, TEXT_AUDISP_VERSION);
        put_u32(out + 4, TEXT_AUDISP_HEADER);
        put_u32(out + 8, type);
        put_u32(out + 12, (uint32_t) kept);
        memcpy(out + TEXT_AUDISP_HEADER, line, kept);
        return TEXT_AUDISP_HEADER + kept;
}

/* Lines, each ended. Returns 0 or -ENOBUFS. */
static int put_lines(Text *text, const uint8_t *lines, size_t size, uint32_t count, bool foreign,
                     Buffer *output)
{
        uint8_t *out;
        size_t used = 0, n;

        if (text->format == TEXT_LINES)
                return buffer_append(output, lines, size);
        out = buffer_reserve(output, size + (size_t) count * TEXT_AUDISP_HEADER);
        if (!out)
                return -ENOBUFS;
        for (; (n = MIN(record_next(lines, size), size)) > 0; lines += n, size -= n)
                used += put_audisp(text, lines, n - (lines[n - 1] == '\n'), foreign, out + used);
        buffer_extend(output, used);
        return 0;
}

static int put_gap(Text *text, const Batch *batch, Buffer *output)
{
        char reason[BATCH_ARGUMENT_MAX + 1], stream[33];
        uint8_t line[RECORD_LINE_MAX];
        SourceRange range;
        RecordGap gap = {
                .node = text->node,
                .time = record_time(text->realtime_usec(), batch->first),
                .where = "subscriber",
                .reason = reason,
                .lost = batch_range(batch),
                .stream = stream,
                .first = batch->first,
                .last = batch->last,
        };
        int r;

        (void) snprintf(reason, sizeof reason, "%.*s", (int) batch->size, (const char *) batch->payload);
        text->source->range(text->source, &range);
        stream_id_format(&range.stream, stream);
        r = put_lines(text, line, record_gap(&gap, line), 1, false, output);
        text->gaps += r >= 0;
        return r;
}

/* --- What was read --- */

static void thin_out(Text *text)
{
        text->n_marks /= 2;
        for (size_t i = 0; i < text->n_marks; i++)
                text->marks[i] = text->marks[2 * i + 1];
        text->stride = (text->put - text->known) / (TEXT_MARKS_MAX / 2);
}

static void add_mark(Text *text, const Batch *batch)
{
        TextMark mark = { text->put, batch->last, batch->checksum };
        TextMark *last = text->n_marks > 0 ? &text->marks[text->n_marks - 1] : NULL;
        uint64_t before = text->n_marks > 1 ? last[-1].end : text->known;

        /* Nothing of a batch may have passed the filter. */
        if (last && (mark.end == last->end || mark.end - before < text->stride)) {
                *last = mark;
                return;
        }
        if (text->n_marks == TEXT_MARKS_MAX)
                thin_out(text);
        text->marks[text->n_marks++] = mark;
}

static uint64_t look(void *speaker, size_t unread)
{
        Text *text = speaker;
        uint64_t known = text->put - MIN(text->put, (uint64_t) unread);
        size_t n = 0;

        while (n < text->n_marks && text->marks[n].end <= known)
                n++;
        if (n == 0)
                return text->read;
        text->read = text->marks[n - 1].seq;
        text->known = text->marks[n - 1].end;
        text->source->release(text->source, text->read, text->marks[n - 1].checksum);
        text->n_marks -= n;
        memmove(text->marks, text->marks + n, text->n_marks * sizeof *text->marks);
        if (text->n_marks == 0)
                text->stride = 0;
        return text->read;
}

/* --- A session --- */

/* What passes no filter is behind it as if it had been read. */
static bool pending(void *speaker)
{
        Text *text = speaker;
        Batch batch;

        while (text->source->get(text->source, text->read + 1, &text->cursor, &batch) > 0) {
                if (batch.reason != BATCH_FILTERED || batch.count > 0)
                        return true;
                text->read = batch.last;
                text->source->release(text->source, batch.last, batch.checksum);
        }
        return false;
}

static uint64_t begin(void *speaker)
{
        Text *text = speaker;

        text->sent = text->read;
        text->put = text->known = text->stride = 0;
        text->n_marks = 0;
        return text->read;
}

/* Returns 1 when a batch was put, 0 when there is none. */
static int put_next(Text *text, Buffer *output)
{
        size_t before = buffer_size(output);
        Batch batch;
        int r;

        r = text->source->get(text->source, text->sent + 1, &text->cursor, &batch);
        if (r <= 0)
                return r;
        if (batch.reason == BATCH_RECORDS || batch.reason == BATCH_FILTERED)
                r = put_lines(text, batch.payload, batch.size, batch.count,
                              batch.origin == BATCH_ORIGIN_REMOTE, output);
        else
                r = put_gap(text, &batch, output);
        if (r < 0)
                return r;
        text->sent = batch.last;
        text->put += buffer_size(output) - before;
        add_mark(text, &batch);
        return 1;
}

static int fill(void *speaker, Buffer *output)
{
        Text *text = speaker;

        while (buffer_size(output) < TARGET) {
                int r = put_next(text, output);

                if (r <= 0)
                        return r;
        }
        return 1;
}

const OutletSpeech text_speech = {
        .pending = pending,
        .begin = begin,
        .fill = fill,
        .look = look,
};
