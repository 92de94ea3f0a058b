/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bytes as what auditd writes to a plugin: messages lie one behind the other within the bytes, and whatever is taken as a record
 * is one. */

#include "fuzz.h"
#include "dispatcher/auditd-stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AuditdStream stream = { 0 };
        AuditdMessage message;
        uint64_t replaced = 0;
        size_t at = 0;
        ssize_t n;

        while ((n = auditd_stream_next(&stream, data + at, size - at, size % 2, &message)) > 0) {
                uint8_t line[RECORD_LINE_MAX];
                RecordTime time;
                size_t line_size;
                uint16_t type;

                CHECK((size_t) n <= size - at);
                CHECK(message.text >= data + at && message.text + message.size <= data + at + n);
                at += (size_t) n;
                if (auditd_message_format(&message, "n1", line, &line_size, &replaced) != RECORD_OK)
                        continue;
                CHECK(line_size <= sizeof line && record_check(line, line_size, "n1") == RECORD_OK);
                (void) auditd_line_type(line, line_size, &type, &time);
        }
        CHECK(n == 0 || n == -EBADMSG);
        return 0;
}
