/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A producer: the sending half of the link to the dispatcher's `input`, with a queue of its own in memory.
 *
 *  1. Nothing is taken before the dispatcher has said which node it is: a record is made one of this node,
 * and checked, here.
 *  2. What is taken stays in the queue until it is acked, and goes out again after a connection broke.
 */

#include "lib/relay.h"
#include "link/link-sender.h"
#include "link/send-queue.h"

#include <stdio.h>
#include <sys/random.h>

#define INPUT_SOCKET "/run/audit-relay/input"
/* Bytes that wait for their ack. */
#define QUEUE_MAX (1024U * 1024U)

struct AuditRelayProducer {
        Wire wire;
        SendQueue *queue;
        LinkSender sender;
        char node[NODE_NAME_MAX + 1]; /* empty until the first WELCOME */
        int dead;
        bool bye;
        uint64_t bye_retry_usec;
};

static AuditRelayProducer *producer_of(LinkSender *sender)
{
        return container_of(sender, AuditRelayProducer, sender);
}

static void on_welcomed(LinkSender *sender, const LinkWelcome *welcome)
{
        AuditRelayProducer *producer = producer_of(sender);
        size_t size = MIN(welcome->node.size, sizeof producer->node - 1);
        bool other = producer->node[0] != '\0' && (strlen(producer->node) != size ||
                                                   memcmp(producer->node, welcome->node.data, size) != 0);

        producer->wire.backoff_usec = WIRE_BACKOFF_MIN_USEC;
        /* What is queued says another name. */
        if (size == 0 || other) {
                producer->dead = -EBADMSG;
                (void) snprintf(producer->wire.why, sizeof producer->wire.why, "the dispatcher %s",
                                other ? "is of another node than before"
                                      : "does not say of which node it is");
                return;
        }
        memcpy(producer->node, welcome->node.data, size);
        producer->node[size] = '\0';
}

static void on_bye(LinkSender *sender, const LinkBye *bye)
{
        AuditRelayProducer *producer = producer_of(sender);

        (void) snprintf(producer->wire.why, sizeof producer->wire.why, "%.*s",
                        (int) MIN(bye->reason.size, sizeof producer->wire.why - 1), bye->reason.data);
        producer->bye = true;
        producer->bye_retry_usec = bye->retry_after_msec * USEC_PER_MSEC;
        if (bye->code == LINK_BYE_NODE || bye->code == LINK_BYE_CERTIFICATE)
                producer->dead = -EACCES;
        if (bye->code == LINK_BYE_VERSION)
                producer->dead = -EPROTONOSUPPORT;
}

static const LinkSenderHandler sender_handler = { .welcomed = on_welcomed, .bye = on_bye };

/* --- I/O --- */

static void give_up(AuditRelayProducer *producer, int error, uint64_t now_usec)
{
        const char *why = error == -ENOTCONN ? "the dispatcher closed the connection" : strerror(-error);

        if (producer->bye || producer->dead < 0)
                why = producer->wire.why;
        else if (producer->sender.why)
                why = producer->sender.why;
        (void) wire_flush(&producer->wire);
        wire_lose(&producer->wire, now_usec, producer->bye_retry_usec, why);
}

static int begin(AuditRelayProducer *producer, uint64_t now_usec)
{
        producer->bye = false;
        producer->bye_retry_usec = 0;
        return link_sender_start(&producer->sender, &producer->wire.output, now_usec);
}

/* Returns 1 when there may be more. */
static int turn(AuditRelayProducer *producer, uint64_t now_usec)
{
        Wire *wire = &producer->wire;
        ssize_t n = wire_read(wire);
        int r;

        if (n < 0)
                return (int) n;
        if (n > 0) {
                ssize_t used = link_sender_feed(&producer->sender, buffer_head(&wire->input),
                                                buffer_size(&wire->input), &wire->output, now_usec);

                if (used < 0)
                        return (int) used;
                buffer_consume(&wire->input, (size_t) used);
        }
        if (producer->bye || producer->dead < 0)
                return -ESHUTDOWN;
        do {
                r = link_sender_fill(&producer->sender, &wire->output, now_usec);
                if (r >= 0) {
                        int flushed = wire_flush(wire);

                        r = flushed < 0 ? flushed : r;
                }
        } while (r > 0 && buffer_size(&wire->output) == 0);
        return r < 0 ? r : n > 0;
}

_public_ int audit_relay_producer_process(AuditRelayProducer *producer)
{
        uint64_t now_usec = wire_now();

        send_queue_seal(producer->queue);
        for (;;) {
                int r;

                if (producer->dead < 0)
                        return producer->dead;
                r = wire_renew(&producer->wire, now_usec);
                if (r < 0)
                        return r;
                if (r > 0 && (producer->sender.state == LINK_SENDER_IDLE ||
                              producer->sender.state == LINK_SENDER_ENDED))
                        r = begin(producer, now_usec);
                else if (r == 0)
                        break;
                do
                        r = r < 0 ? r : turn(producer, now_usec);
                while (r > 0);
                if (r == 0)
                        break;
                give_up(producer, r, now_usec);
                link_sender_done(&producer->sender);
        }
        wire_arm(&producer->wire, link_sender_deadline(&producer->sender));
        return 0;
}

_public_ int audit_relay_producer_send(AuditRelayProducer *producer, const char *line, size_t size)
{
        uint64_t replaced = 0;
        RecordFault fault;
        uint8_t *room;
        size_t taken;

        if (producer->node[0] == '\0' || send_queue_size(producer->queue) >= QUEUE_MAX)
                return -EAGAIN;
        room = send_queue_room(producer->queue);
        if (!room)
                return -ENOMEM;
        fault = record_adopt((const uint8_t *) line, size, producer->node, room, &taken, &replaced);
        if (fault != RECORD_OK) {
                (void) snprintf(producer->wire.why, sizeof producer->wire.why, "%s",
                                record_fault_to_string(fault));
                return -EBADMSG;
        }
        send_queue_commit(producer->queue, taken);
        /* Many sends and one process() make one batch; the timer wakes a loop that only waits. */
        wire_arm(&producer->wire, 0);
        return 0;
}

_public_ int audit_relay_producer_flush(AuditRelayProducer *producer, uint64_t timeout_usec)
{
        uint64_t now = wire_now(),
                 deadline = timeout_usec > USEC_INFINITY - now ? USEC_INFINITY : now + timeout_usec;

        for (;;) {
                int r = audit_relay_producer_process(producer);

                if (r < 0)
                        return r;
                if (audit_relay_producer_pending(producer) == 0 && producer->node[0] != '\0')
                        return 0;
                if (wire_now() >= deadline)
                        return -ETIMEDOUT;
                r = wire_wait(&producer->wire, deadline);
                if (r < 0)
                        return r;
        }
}

_public_ uint64_t audit_relay_producer_pending(const AuditRelayProducer *producer)
{
        return send_queue_newest(producer->queue) - send_queue_acked(producer->queue) +
               send_queue_open(producer->queue);
}

_public_ int audit_relay_producer_fd(const AuditRelayProducer *producer)
{
        return producer->wire.epoll;
}

_public_ const char *audit_relay_producer_why(const AuditRelayProducer *producer)
{
        return producer->wire.why;
}

/* --- Life --- */

_public_ int audit_relay_producer_new(const char *path, AuditRelayProducer **ret)
{
        AuditRelayProducer *producer = calloc(1, sizeof *producer);
        StreamId stream;
        int r;

        if (!producer)
                return -ENOMEM;
        r = wire_init(&producer->wire, RELAY_INPUT_MAX, LINK_OUTPUT_TARGET + LINK_FRAME_MAX);
        if (r >= 0 && getrandom(&stream, sizeof stream, 0) != sizeof stream)
                r = -EIO;
        if (r >= 0)
                r = send_queue_new(&stream, &producer->queue);
        if (r >= 0) {
                link_sender_init(&producer->sender, send_queue_source(producer->queue), &sender_handler,
                                 program_invocation_short_name, 0);
                producer->wire.path = strdup(path ? path : INPUT_SOCKET);
                r = producer->wire.path ? wire_connect(&producer->wire) : -ENOMEM;
        }
        if (r < 0) {
                audit_relay_producer_free(producer);
                return r;
        }
        *ret = producer;
        return 0;
}

_public_ AuditRelayProducer *audit_relay_producer_free(AuditRelayProducer *producer)
{
        if (!producer)
                return NULL;
        if (producer->wire.fd >= 0) {
                bool done = producer->node[0] != '\0' && audit_relay_producer_pending(producer) == 0;

                /* A stream that is ended need not be remembered. */
                (void) link_sender_end(&producer->sender, &producer->wire.output,
                                       done ? LINK_BYE_DONE : LINK_BYE_ENDING, "the producer ends");
                (void) wire_flush(&producer->wire);
        }
        link_sender_done(&producer->sender);
        send_queue_free(producer->queue);
        wire_done(&producer->wire);
        free(producer);
        return NULL;
}
