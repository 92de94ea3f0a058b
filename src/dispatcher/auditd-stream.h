/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What auditd writes to its plugins, taken apart. Pure. Each message is one of
 *
 *      a line of text               [node=NAME ]type=TYPE msg=audit(…): …\n
 *      binary, version 0            struct audit_dispatcher_header, then audit(…): …
 *      binary, version 1 ("VER2")   the same header, then a line without its newline
 *
 * in host byte order: version, size of the header (16), type, size of what follows. auditd before version 4 fills each binary
 * message up to AUDITD_TEXT_MAX bytes with what happens to be there; which way it is shows with the first message.
 */

#include "record/record.h"

/* MAX_AUDIT_MESSAGE_LENGTH of libaudit: no binary message has more behind its header. */
#define AUDITD_TEXT_MAX 8970U
#define AUDITD_HEADER_SIZE 16U
#define AUDITD_MESSAGE_MAX (AUDITD_HEADER_SIZE + AUDITD_TEXT_MAX)

typedef enum AuditdFilling {
        AUDITD_FILLING_UNKNOWN,
        AUDITD_NOT_FILLED,
        AUDITD_FILLED,
} AuditdFilling;

/* What is known of a stream. Zero at its beginning. */
typedef struct AuditdStream {
        AuditdFilling filling;
} AuditdStream;

typedef struct AuditdMessage {
        bool bare;     /* text begins with audit(…):, its type is `type` */
        uint16_t type; /* of a bare one */
        const uint8_t *text; /* without its newline */
        size_t size;
} AuditdMessage;

/* Takes the message at the front. `whole`: `data` is all there is for now, more will be more messages. Returns how many bytes
 * it has; 0 when its end is not there; -EBADMSG when none can begin here, so that nothing behind it can be read either. A line
 * longer than RECORD_LINE_MAX is given in pieces of that size, none of which is a record. */
ssize_t auditd_stream_next(AuditdStream *stream, const uint8_t *data, size_t size, bool whole, AuditdMessage *ret);

/* Writes it as a complete line of `node` to `out` (RECORD_LINE_MAX bytes). */
RecordFault auditd_message_format(const AuditdMessage *message, const char *node, uint8_t *out, size_t *ret_size,
                                  uint64_t *replaced);

/* Type and time of a line written here. */
bool auditd_line_type(const uint8_t *line, size_t size, uint16_t *ret_type, RecordTime *ret_time);
