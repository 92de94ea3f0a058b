/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* libaudit-relay: audit records for plugins, and what plugins say back. See libaudit-relay(3).
 *
 * A plugin subscribes to the dispatcher of its host, gets records or whole events one after the other, and
 * acks them. Everything hangs on one descriptor that fits any event loop; who has no loop calls
 * audit_relay_next(). Nothing here starts threads or processes, and no function is to be called on one
 * object by two threads at once.
 *
 * Functions that can fail return a negative errno. An item and what it points to are valid until the next
 * call of audit_relay_process(), audit_relay_next() or audit_relay_command_wait() with the same object.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Where one stands in a stream --- */

/* "I have everything up to here." The last batch that ended there tells one history of a stream from
 * another. */
typedef struct AuditRelayCursor {
        uint8_t stream[16];
        uint64_t seq;
        uint64_t checksum;
} AuditRelayCursor;

/* Size of a cursor as text, with its NUL. */
#define AUDIT_RELAY_CURSOR_SIZE 72

/* Writes "STREAM:SEQ:CHECKSUM". */
void audit_relay_cursor_format(const AuditRelayCursor *cursor, char text[AUDIT_RELAY_CURSOR_SIZE]);
/* Returns 0, or -EINVAL when the text is no cursor. */
int audit_relay_cursor_parse(const char *text, AuditRelayCursor *ret);
/* Replaces the file atomically; when it returns 0, the cursor is on disk. */
int audit_relay_cursor_save(const char *path, const AuditRelayCursor *cursor);
/* Returns 0; -ENOENT when there is no file; -EINVAL when it holds no cursor. */
int audit_relay_cursor_load(const char *path, AuditRelayCursor *ret);

/* --- What one gets --- */

/* One record. Nothing is NUL-terminated. */
typedef struct AuditRelayRecord {
        const char *line; /* node=NODE type=TYPE msg=audit(SEC.MSEC:SERIAL): TEXT, without its newline */
        size_t line_size;
        const char *node;
        size_t node_size;
        const char *type; /* its name, "UNKNOWN[n]" if it has none */
        size_t type_size;
        const char *text; /* what follows "audit(…): " */
        size_t text_size;
        uint64_t sec;
        uint64_t serial;
        uint32_t msec;
        uint32_t type_number; /* 0 for a name that libaudit does not know */
} AuditRelayRecord;

typedef enum AuditRelayKind {
        AUDIT_RELAY_BATCH = 1,   /* payload, n_records */
        AUDIT_RELAY_RECORD = 2,  /* records[0] */
        AUDIT_RELAY_EVENT = 3,   /* records, n_records, ended */
        AUDIT_RELAY_GAP = 4,     /* records are lost: first, last, text */
        AUDIT_RELAY_COMMAND = 5, /* id, verb, text: to be answered with audit_relay_reply() */
        AUDIT_RELAY_REPLY = 6,   /* id, status, text: the answer to audit_relay_command() */
} AuditRelayKind;

/* How an event ended. */
typedef enum AuditRelayEnd {
        AUDIT_RELAY_COMPLETE = 1,
        AUDIT_RELAY_TIMED_OUT = 2, /* its end did not come in time */
        AUDIT_RELAY_CUT = 3,       /* too many events, or bytes, were waiting for their end */
} AuditRelayEnd;

typedef enum AuditRelayOrigin {
        AUDIT_RELAY_KERNEL = 1, /* kernel audit, or auditd, of this host */
        AUDIT_RELAY_LOCAL = 2,  /* a producer on this host, or one of audit-relay's own programs */
        AUDIT_RELAY_REMOTE = 3, /* another host: a collector published it */
} AuditRelayOrigin;

/* What a COMMAND came to. */
typedef enum AuditRelayStatus {
        AUDIT_RELAY_DONE = 0,
        AUDIT_RELAY_REFUSED = 1, /* not yours to ask */
        AUDIT_RELAY_UNKNOWN = 2, /* nobody here knows the verb */
        AUDIT_RELAY_FAILED = 3,
} AuditRelayStatus;

/* Made by the library alone: later versions may add members at the end. */
typedef struct AuditRelayItem {
        AuditRelayKind kind;
        AuditRelayOrigin origin; /* of records */
        AuditRelayEnd ended;     /* of an event */
        AuditRelayStatus status; /* of a reply */
        /* Where to resume once this item, and all before it, are dealt with: for audit_relay_ack() and for
         * files. */
        AuditRelayCursor cursor;
        const AuditRelayRecord *records;
        size_t n_records;
        const char *payload; /* of a batch: whole lines, each with its newline */
        size_t payload_size;
        uint64_t first, last; /* of a batch or a gap: seqs; 0 and 0 for a gap whose size is not known */
        uint64_t id;
        const char *verb; /* NUL-terminated, as is text */
        const char *text; /* of a gap: why; of a command: its arguments, KEY=VALUE lines; of a reply: a
                             sentence */
} AuditRelayItem;

/* --- Subscribing --- */

typedef struct AuditRelay AuditRelay;

typedef enum AuditRelayStart {
        AUDIT_RELAY_OLDEST = 1, /* at the oldest record that is still held */
        AUDIT_RELAY_NOW = 2,
} AuditRelayStart;

int audit_relay_new(AuditRelay **ret);
/* Sends what is acked, if it can at once, and closes. NULL is nothing. Returns NULL. */
AuditRelay *audit_relay_free(AuditRelay *relay);

/* Settings, all to be made before connecting; each returns 0, -ENOMEM, -EINVAL, or -EISCONN when it is too
 * late. */

/* What status and log call us: letters, digits, '.', '-', '_', ':'. Default: the program's name. */
int audit_relay_set_name(AuditRelay *relay, const char *name);
/* Record types separated by space: names, numbers, ranges, groups, as Filter= has them. A dispatcher that
 * connects to us filters by its own configuration instead. */
int audit_relay_set_filter(AuditRelay *relay, const char *types);
/* Where to begin without a cursor. Default: now. */
int audit_relay_set_start(AuditRelay *relay, AuditRelayStart start);
/* Begin behind this. If the dispatcher's stream is another one by now, a gap of unknown size comes first,
 * then the oldest record held. */
int audit_relay_set_cursor(AuditRelay *relay, const AuditRelayCursor *cursor);
/* AUDIT_RELAY_BATCH, _RECORD (the default) or _EVENT: what one item is. */
int audit_relay_set_unit(AuditRelay *relay, AuditRelayKind unit);
/* How many events may wait for their end, how many bytes these may have, how long each may wait
 * (microseconds). Defaults: 1,024; 4 MiB; two seconds, as auditd's end_of_event_timeout. */
int audit_relay_set_event_limits(AuditRelay *relay, size_t events, size_t bytes, uint64_t timeout_usec);
/* Only events with this key; may be called several times, any of the keys will do. Sets the unit to events.
 */
int audit_relay_add_key(AuditRelay *relay, const char *key);
/* 0: the plugin calls audit_relay_ack(). Default 1: an item is acked by asking for the next one. */
int audit_relay_set_auto_ack(AuditRelay *relay, int on);
/* Whether we send commands, take them (as items), both, or neither, which is the default. */
#define AUDIT_RELAY_SEND_COMMANDS 1U
#define AUDIT_RELAY_TAKE_COMMANDS 2U
int audit_relay_set_commands(AuditRelay *relay, unsigned flags);

/* Connects to the dispatcher's `subscribe` socket; NULL: /run/audit-relay/subscribe. Once this has
 * succeeded, a connection that breaks is made again, with backoff. Returns 0 or the errno of connect(). */
int audit_relay_connect(AuditRelay *relay, const char *path);
/* The dispatcher connects to us: `fd` is a listening socket (one connection at a time) or a connection. It
 * is taken over, also on failure. */
int audit_relay_listen(AuditRelay *relay, int fd);
/* The same with the Unix socket that systemd passed, see sd_listen_fds(3); `name` chooses by
 * FileDescriptorName=, NULL: the first one. Returns 1, or 0 when there is none: the program was not started
 * through its socket. */
int audit_relay_activated(AuditRelay *relay, const char *name);

/* Becomes readable when audit_relay_process() has something to do. The same one for the object's life; not
 * to be read. */
int audit_relay_fd(const AuditRelay *relay);
/* Does what can be done without waiting. Returns 1 with an item; 0 when there is none now: wait for the
 * descriptor (only then); -EACCES when the dispatcher refused us, -EINVAL when it does not understand our
 * filter, -EPROTONOSUPPORT when it has no version of the protocol in common with us, -ECONNRESET when a
 * connection that was handed to us is over, or another errno: audit_relay_why() says more. */
int audit_relay_process(AuditRelay *relay, const AuditRelayItem **ret);
/* The same, waiting for an item so long; UINT64_MAX: for ever. Returns 0 when the time is over, -EINTR after
 * a signal. */
int audit_relay_next(AuditRelay *relay, uint64_t timeout_usec, const AuditRelayItem **ret);
/* All up to the item with this cursor is in our custody: the dispatcher need not keep it for us. */
int audit_relay_ack(AuditRelay *relay, const AuditRelayCursor *cursor);
/* A sentence about the last failure or the last connection that broke. Never NULL. */
const char *audit_relay_why(const AuditRelay *relay);

/* --- Looking into records --- */

/* The value of NAME=value in a record's text, also inside msg='…': the first one, without the double quotes
 * that it may have; not in what auditd adds behind an enriched record. Returns its length; -ENOENT; -ENOBUFS
 * when `size` is too small for it and its NUL. */
int audit_relay_field(const AuditRelayRecord *record, const char *name, char *value, size_t size);
/* Goes through all fields of a record's text. Zero at first; members may not be added. */
typedef struct AuditRelayField {
        size_t offset;
        const char *name, *value; /* not NUL-terminated */
        size_t name_size, value_size;
        int quoted; /* the value is in double quotes, which are left out */
} AuditRelayField;
/* Returns 1 with the next field, 0 behind the last one. */
int audit_relay_next_field(const AuditRelayRecord *record, AuditRelayField *field);
/* Decodes the hexadecimal form in which the kernel writes text with blanks or quotes (and proctitle=);
 * several keys are separated by the byte 1. Returns its length; -EINVAL when the text is not hexadecimal;
 * -ENOBUFS. */
int audit_relay_decode(const char *text, char *value, size_t size);

/* --- Commands --- */

/* Sends a command; the answer comes as an item of kind REPLY with this id. `arguments`: KEY=VALUE lines
 * separated by newlines, or NULL. `timeout_sec`: after so long nobody waits for the answer. Returns 0;
 * -ENOTCONN when there is no connection now; -EOPNOTSUPP when the dispatcher takes no commands, or
 * audit_relay_set_commands() did not say that we send some; -EINVAL; -EMSGSIZE; -ENOBUFS. */
int audit_relay_command(AuditRelay *relay, const char *verb, const char *arguments, uint32_t timeout_sec,
                        uint64_t *ret_id);
/* The same, waiting for the answer, whose text is written to `text` (may be NULL; cut to its size). Items
 * that come meanwhile are kept. Returns an AuditRelayStatus, or -ETIMEDOUT, -ECONNRESET, or as above. */
int audit_relay_command_wait(AuditRelay *relay, const char *verb, const char *arguments,
                             uint32_t timeout_sec, char *text, size_t size);
/* The value of a command's argument. Returns its length, -ENOENT, -ENOBUFS. */
int audit_relay_argument(const AuditRelayItem *command, const char *name, char *value, size_t size);
/* Answers a command. `text`: a sentence, or NULL. Does nothing when the connection that it came by is over.
 */
int audit_relay_reply(AuditRelay *relay, uint64_t id, AuditRelayStatus status, const char *text);

/* --- Producing records --- */

typedef struct AuditRelayProducer AuditRelayProducer;

/* Connects to the dispatcher's `input` socket; NULL: /run/audit-relay/input. What is sent is kept until it
 * is acked and sent again after a connection broke. */
int audit_relay_producer_new(const char *path, AuditRelayProducer **ret);
/* What is not acked by now may be lost; see audit_relay_producer_flush(). Returns NULL. */
AuditRelayProducer *audit_relay_producer_free(AuditRelayProducer *producer);
int audit_relay_producer_fd(const AuditRelayProducer *producer);
/* Does what can be done without waiting, to be called when the descriptor is readable. Returns 0 or an errno
 * as audit_relay_process(). */
int audit_relay_producer_process(AuditRelayProducer *producer);
/* Takes one record, `type=TYPE msg=audit(SEC.MSEC:SERIAL): TEXT`; node= is added. Returns 0; -EAGAIN when
 * the queue is full or the dispatcher has not said yet which node it is: process, and try again; -EBADMSG
 * when the line is no record, or of another node. */
int audit_relay_producer_send(AuditRelayProducer *producer, const char *line, size_t size);
/* Waits until everything is acked. Returns 0, -ETIMEDOUT, -EINTR, or an errno as audit_relay_process(). */
int audit_relay_producer_flush(AuditRelayProducer *producer, uint64_t timeout_usec);
/* Records that are not acked yet. */
uint64_t audit_relay_producer_pending(const AuditRelayProducer *producer);
/* A sentence about the last failure or the last connection that broke. Never NULL. */
const char *audit_relay_producer_why(const AuditRelayProducer *producer);

#ifdef __cplusplus
}
#endif
