/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A subscription, inside: session.c talks to the dispatcher, items.c makes items of what came, commands.c is
 * about commands. */

#include "lib/audit-relay.h"
#include "lib/events.h"
#include "lib/fields.h"
#include "lib/wire.h"
#include "link/link-receiver.h"

#include <sys/queue.h>

#define _public_ __attribute__((visibility("default")))

/* What is read and not yet looked at: a frame and the beginning of the next one. */
#define RELAY_INPUT_MAX (2U * LINK_FRAME_MAX)
/* ACKs, commands and replies that wait for the socket. */
#define RELAY_OUTPUT_MAX (256U * 1024U)
/* Bytes that the dispatcher may send beyond what we have taken: a socket's worth, as there is no distance.
 */
#define RELAY_WINDOW (1024U * 1024U)
/* Batches that wait to become items: only a command that is waited for lets more than one come. */
#define RELAY_QUEUE_MAX (RELAY_WINDOW + 2U * LINK_FRAME_MAX)
/* Commands and replies that wait to become items. */
#define RELAY_MESSAGES_MAX 64U
/* What one call reads that makes no item, before it lets the caller have a turn. */
#define RELAY_TURN_MAX (4U * LINK_FRAME_MAX)

/* A batch in the queue; its payload follows, padded to 8 bytes. */
typedef struct QueuedBatch {
        Batch batch;          /* its payload pointer is not used */
        AuditRelayCursor end; /* where one stands behind it */
        bool lost_unknown;    /* no batch: between two streams an unknown number of records is lost */
} QueuedBatch;

/* A command or a reply that is to become an item. */
typedef struct Message {
        AuditRelayKind kind;
        uint64_t id;
        uint16_t status;
        char *verb;
        char *text;
        TAILQ_ENTRY(Message) messages;
} Message;

struct AuditRelay {
        Wire wire;
        int dead; /* a negative errno: the dispatcher does not want us */

        /* Settings */
        char *name, *filter;
        AuditRelayStart start;
        AuditRelayKind unit;
        EventLimits limits;
        Keys keys;
        bool auto_ack;
        unsigned commands; /* AUDIT_RELAY_SEND_COMMANDS … */
        bool begun;        /* too late for settings */
        bool pull;         /* we connect and ask */

        /* The session */
        LinkReceiver receiver;
        bool ack_owed; /* a heartbeat is to be answered */
        bool greeted;  /* the dispatcher has said HELLO */
        bool bye;      /* the dispatcher ended the session */
        uint64_t bye_retry_usec;
        uint64_t told_usec;                   /* when something last went out */
        uint64_t overlap_first, overlap_last; /* no ACK may end inside */

        /* Positions: acked ≤ given ≤ arrived, where they are of one stream */
        bool positioned;        /* `acked` says something */
        AuditRelayCursor acked; /* in the caller's custody */
        AuditRelayCursor given; /* of the item that was handed out last */
        AuditRelayCursor taken; /* all before was made items, or is held in events */
        AuditRelayCursor arrived;
        AuditRelayCursor base; /* where we began in the stream of `arrived` */
        bool outstanding;      /* an item was handed out that is not acked */

        /* What waits */
        Buffer queue;
        size_t offset; /* of the next line in the payload of the queue's first batch */
        Events *events;
        TAILQ_HEAD(, Message) messages;
        unsigned n_messages;
        uint64_t command_id, awaited_id; /* awaited_id: by audit_relay_command_wait(), 0: none */
        Message *awaited;

        /* What was handed out */
        AuditRelayItem item;
        Event *event;
        Message *message;
        size_t given_bytes; /* of the queue, to be dropped at the next call */
        AuditRelayRecord *records;
        size_t n_records_allocated;
        char text[BATCH_ARGUMENT_MAX + 1];
};

/* session.c */

/* Does all I/O that can be done at once, until something waits that makes an item (`queue_max` = 0), or
 * until so many bytes of batches wait. Returns 0, or the error that the caller is told. */
int session_run(AuditRelay *relay, size_t queue_max, uint64_t now_usec) _must_check_;
/* Sends what is acked and what waits. */
int session_flush(AuditRelay *relay, uint64_t now_usec);
bool session_connected(const AuditRelay *relay);

/* items.c */

bool items_waiting(const AuditRelay *relay);
/* Takes a batch into the queue. Returns 0 or -EAGAIN. */
int items_queue(AuditRelay *relay, const QueuedBatch *batch, const uint8_t *payload) _must_check_;
/* Makes the next item. Returns 1, 0 when there is none, or an errno. */
int items_next(AuditRelay *relay, uint64_t now_usec) _must_check_;
/* What was handed out last is not looked at any more. */
void items_forget(AuditRelay *relay);
/* Nothing waits: everything that made no item is acked too. */
void items_settle(AuditRelay *relay);
/* Moves `acked`; never back. */
void items_ack(AuditRelay *relay, const AuditRelayCursor *cursor);

/* Replaces the file atomically; when it returns 0, the text is on disk. */
int cursor_replace_file(const char *path, const char *text) _must_check_;

static inline bool cursor_same_stream(const AuditRelayCursor *a, const AuditRelayCursor *b)
{
        return memcmp(a->stream, b->stream, sizeof a->stream) == 0;
}

/* commands.c */

Message *message_free(Message *message);
void commands_take(AuditRelay *relay, const LinkCommand *command);
void commands_take_reply(AuditRelay *relay, const LinkReply *reply);
