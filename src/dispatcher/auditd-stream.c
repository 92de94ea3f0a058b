/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A text line never begins with a byte of value 0 or 1, and a binary header always does: its first word is the version. So
 * text and binary need not be told apart beforehand.
 *
 *  1. Nothing outside data..data + size is read, and no message is longer than that.
 *  2. What has been taken stays as it was taken when more has come: a message is given once its end is certain.
 */

#include "dispatcher/auditd-stream.h"

typedef struct Header {
        uint32_t version;
        uint32_t header_size;
        uint32_t type;
        uint32_t size;
} Header;

_Static_assert(sizeof(Header) == AUDITD_HEADER_SIZE, "as audit_dispatcher_header");

static bool read_header(const uint8_t *data, size_t size, Header *ret)
{
        if (size < sizeof *ret)
                return false;
        memcpy(ret, data, sizeof *ret);
        return ret->version <= 1 && ret->header_size == sizeof *ret && ret->type <= UINT16_MAX &&
               ret->size <= AUDITD_TEXT_MAX;
}

/* Whether all headers are where they would be if messages were filled up, or not. Where a header is not, there is what filled a
 * message up: bytes of earlier ones, which do not look like one after the other. */
static bool fits(const uint8_t *data, size_t size, bool whole, bool filled)
{
        Header header;

        for (size_t at = 0; at < size; at += filled ? AUDITD_MESSAGE_MAX : sizeof header + header.size)
                if (!read_header(data + at, size - at, &header))
                        return size - at < sizeof header && !whole;
        return true;
}

/* With the first message whose text is there, and not longer than all of them are when filled up. */
static void decide_filling(AuditdStream *stream, const uint8_t *data, size_t size, bool whole)
{
        if (!whole && size < AUDITD_MESSAGE_MAX)
                return;
        if (fits(data, size, whole, false))
                stream->filling = AUDITD_NOT_FILLED;
        else if (size >= AUDITD_MESSAGE_MAX && fits(data, size, whole, true))
                stream->filling = AUDITD_FILLED;
}

static ssize_t next_binary(AuditdStream *stream, const uint8_t *data, size_t size, bool whole, AuditdMessage *ret)
{
        Header header;
        size_t text_end, end;

        if (size < sizeof header)
                return 0;
        if (!read_header(data, size, &header))
                return -EBADMSG;
        text_end = sizeof header + header.size;
        if (text_end > size)
                return 0;
        if (stream->filling == AUDITD_FILLING_UNKNOWN && text_end < AUDITD_MESSAGE_MAX)
                decide_filling(stream, data, size, whole);
        if (stream->filling == AUDITD_FILLING_UNKNOWN && text_end < AUDITD_MESSAGE_MAX)
                return size < AUDITD_MESSAGE_MAX ? 0 : -EBADMSG;
        end = stream->filling == AUDITD_FILLED ? AUDITD_MESSAGE_MAX : text_end;
        if (end > size)
                return 0;
        *ret = (AuditdMessage) {
                .bare = header.version == 0,
                .type = (uint16_t) header.type,
                .text = data + sizeof header,
                .size = header.size,
        };
        return (ssize_t) end;
}

static ssize_t next_line(const uint8_t *data, size_t size, AuditdMessage *ret)
{
        const uint8_t *newline = memchr(data, '\n', MIN(size, (size_t) RECORD_LINE_MAX));

        *ret = (AuditdMessage) { .text = data };
        if (newline) {
                ret->size = (size_t) (newline - data);
                return newline + 1 - data;
        }
        if (size < RECORD_LINE_MAX)
                return 0;
        ret->size = RECORD_LINE_MAX;
        return RECORD_LINE_MAX;
}

ssize_t auditd_stream_next(AuditdStream *stream, const uint8_t *data, size_t size, bool whole, AuditdMessage *ret)
{
        if (size == 0)
                return 0;
        return data[0] <= 1 ? next_binary(stream, data, size, whole, ret) : next_line(data, size, ret);
}

RecordFault auditd_message_format(const AuditdMessage *message, const char *node, uint8_t *out, size_t *ret_size,
                                  uint64_t *replaced)
{
        size_t size = message->size;

        /* The end of a C string, or of a line, is not of the text. */
        while (size > 0 && (message->text[size - 1] == '\0' || message->text[size - 1] == '\n'))
                size--;
        if (!message->bare)
                return record_adopt(message->text, size, node, out, ret_size, replaced);
        *ret_size = record_format(message->type, message->text, size, node, out, replaced);
        return *ret_size > 0 ? RECORD_OK : RECORD_E_FORM;
}

bool auditd_line_type(const uint8_t *line, size_t size, uint16_t *ret_type, RecordTime *ret_time)
{
        RecordPrefix prefix;
        uint32_t number;

        if (record_parse(line, size, &prefix) != RECORD_OK ||
            !record_type_number(prefix.type.data, prefix.type.size, &number))
                return false;
        *ret_type = (uint16_t) number;
        *ret_time = prefix.time;
        return true;
}
