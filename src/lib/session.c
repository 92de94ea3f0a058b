/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The connection to the dispatcher: it is the receiver of the link, whoever connected.
 *
 *  1. WELCOME and ACK name only what is in the caller's custody. What came before a connection broke and is
 * not acked comes again and is passed over: the caller gets each batch once as long as the process lives.
 *  2. An ACK is sent before the next read, and at least every few seconds while the caller is busy with
 * items: one for many batches.
 */

#include "lib/relay.h"
#include "basic/bytes.h"

#include <stdio.h>

static AuditRelay *relay_of(LinkReceiver *receiver)
{
        return container_of(receiver, AuditRelay, receiver);
}

bool session_connected(const AuditRelay *relay)
{
        return relay->wire.fd >= 0 && relay->receiver.state == LINK_RECEIVER_CONNECTED;
}

/* --- HELLO --- */

static AuditRelayCursor cursor_at(const LinkHello *hello, uint64_t seq, uint64_t checksum)
{
        AuditRelayCursor cursor = { .seq = seq, .checksum = checksum };

        memcpy(cursor.stream, hello->stream.bytes, sizeof cursor.stream);
        return cursor;
}

/* Another stream than the one we stand in, or another past of it. What is in memory of the old one is given
 * out first. */
static int begin_stream(AuditRelay *relay, const LinkHello *hello)
{
        uint64_t last =
                relay->positioned || relay->start == AUDIT_RELAY_OLDEST ? hello->oldest - 1 : hello->newest;
        AuditRelayCursor base = cursor_at(hello, last, 0);
        int r = 0;

        if (relay->positioned) {
                QueuedBatch gap = { .end = base, .lost_unknown = true };

                r = items_queue(relay, &gap, NULL);
        } else {
                relay->acked = relay->given = relay->taken = base;
        }
        if (r < 0)
                return r;
        relay->positioned = true;
        relay->arrived = relay->base = base;
        return 0;
}

static bool knows_us(const AuditRelay *relay, const LinkHello *hello)
{
        AuditRelayCursor theirs = cursor_at(hello, 0, 0);

        return relay->positioned && cursor_same_stream(&relay->arrived, &theirs) &&
               relay->arrived.seq <= hello->newest;
}

static void on_hello(LinkReceiver *receiver, const LinkHello *hello)
{
        AuditRelay *relay = relay_of(receiver);
        AuditRelayCursor base;

        relay->greeted = true;
        if (!knows_us(relay, hello) && begin_stream(relay, hello) < 0) {
                (void) link_receiver_end(receiver, &relay->wire.output, LINK_BYE_INTERNAL, 0, "no memory");
                return;
        }
        /* Of a stream that began lately nothing may be acked yet. */
        base = cursor_same_stream(&relay->acked, &relay->base) ? relay->acked : relay->base;
        relay->overlap_first = relay->overlap_last = 0;
        /* Without room for it, there is no session: the dispatcher finds that nobody answers. */
        if (link_receiver_welcome(receiver, &relay->wire.output, base.seq, base.checksum, relay->name, "") <
            0)
                return;
        relay->wire.backoff_usec = WIRE_BACKOFF_MIN_USEC;
}

/* --- Batches --- */

/* The part of a range without records that we have not seen: an explanation may cover what once came as
 * records. */
static void trim(AuditRelay *relay, Batch *batch)
{
        relay->overlap_first = batch->first;
        relay->overlap_last = batch->last;
        batch->first = relay->arrived.seq + 1;
}

static int on_batch(LinkReceiver *receiver, const Batch *batch)
{
        AuditRelay *relay = relay_of(receiver);
        QueuedBatch queued = { .batch = *batch };
        int r;

        if (batch_is_heartbeat(batch)) {
                relay->ack_owed = true;
                return 0;
        }
        if (batch->last <= relay->arrived.seq)
                return 0;
        if (batch->first <= relay->arrived.seq && batch->count == 0)
                trim(relay, &queued.batch);
        queued.end = relay->arrived;
        queued.end.seq = batch->last;
        queued.end.checksum = batch->checksum;
        r = items_queue(relay, &queued, batch->payload);
        if (r >= 0)
                relay->arrived = queued.end;
        return r;
}

/* --- The rest --- */

static void on_command(LinkReceiver *receiver, const LinkCommand *command)
{
        commands_take(relay_of(receiver), command);
}

static void on_reply(LinkReceiver *receiver, const LinkReply *reply)
{
        commands_take_reply(relay_of(receiver), reply);
}

static void on_bye(LinkReceiver *receiver, const LinkBye *bye)
{
        AuditRelay *relay = relay_of(receiver);

        (void) snprintf(relay->wire.why, sizeof relay->wire.why, "%.*s",
                        (int) MIN(bye->reason.size, sizeof relay->wire.why - 1), bye->reason.data);
        if (bye->code == LINK_BYE_CERTIFICATE || bye->code == LINK_BYE_NODE)
                relay->dead = -EACCES;
        if (bye->code == LINK_BYE_VERSION)
                relay->dead = -EPROTONOSUPPORT;
        /* Our HELLO itself: a filter that nobody understands. */
        if (bye->code == LINK_BYE_PROTOCOL && !relay->greeted)
                relay->dead = -EINVAL;
        /* Our position is of another past. None at all says the same as that of a stream which is over. */
        if (bye->code == LINK_BYE_DIVERGED) {
                relay->acked = relay->given = relay->taken = relay->arrived = (AuditRelayCursor) { 0 };
                relay->outstanding = false;
        }
        relay->bye = true;
        relay->bye_retry_usec = bye->retry_after_msec * USEC_PER_MSEC;
}

static const LinkReceiverHandler receiver_handler = {
        .hello = on_hello,
        .batch = on_batch,
        .command = on_command,
        .reply = on_reply,
        .bye = on_bye,
};

/* Without the handler the machine itself answers that it knows no verb. */
static const LinkReceiverHandler sending_handler = {
        .hello = on_hello,
        .batch = on_batch,
        .reply = on_reply,
        .bye = on_bye,
};

/* --- The connection --- */

static int begin(AuditRelay *relay)
{
        LinkHello hello = {
                .start = relay->positioned                    ? LINK_START_CURSOR
                         : relay->start == AUDIT_RELAY_OLDEST ? LINK_START_OLDEST
                                                              : LINK_START_NOW,
                .newest = relay->positioned ? relay->acked.seq : 0,
                .node = link_string(relay->name),
                .filter = link_string(relay->filter ? relay->filter : ""),
        };

        relay->bye = relay->ack_owed = relay->greeted = false;
        relay->bye_retry_usec = 0;
        link_receiver_init(&relay->receiver,
                           relay->commands & AUDIT_RELAY_TAKE_COMMANDS ? &receiver_handler
                                                                       : &sending_handler,
                           RELAY_WINDOW, relay->commands ? LINK_FEATURE_COMMANDS : 0);
        if (!relay->pull)
                return 0;
        if (relay->positioned)
                memcpy(hello.stream.bytes, relay->acked.stream, sizeof hello.stream.bytes);
        return link_receiver_subscribe(&relay->receiver, &relay->wire.output, &hello);
}

/* Feeds one frame, so that nothing is taken beyond what becomes the next item. Returns 1; 0 when no whole
 * frame is there; -ESHUTDOWN after a BYE, or another errno. */
static int feed(AuditRelay *relay)
{
        Buffer *input = &relay->wire.input;
        size_t size = buffer_size(input);
        ssize_t n;

        if (size >= LINK_FRAME_HEADER_SIZE)
                size = MIN(size, LINK_FRAME_HEADER_SIZE + (size_t) get_le32(buffer_head(input) + 4));
        if (size == 0)
                return 0;
        n = link_receiver_feed(&relay->receiver, buffer_head(input), size, &relay->wire.output);
        if (n < 0)
                return (int) n;
        if (relay->bye)
                return -ESHUTDOWN;
        buffer_consume(input, (size_t) n);
        return n > 0;
}

int session_flush(AuditRelay *relay, uint64_t now_usec)
{
        LinkReceiver *receiver = &relay->receiver;
        int r = 0;

        if (session_connected(relay)) {
                AuditRelayCursor here = { 0 };
                uint64_t seq = receiver->acked;

                memcpy(here.stream, receiver->stream.bytes, sizeof here.stream);
                if (cursor_same_stream(&here, &relay->acked))
                        seq = MAX(seq, MIN(relay->acked.seq, receiver->received));
                if (seq >= relay->overlap_first && seq < relay->overlap_last)
                        seq = receiver->acked;
                if (seq > receiver->acked || relay->ack_owed ||
                    receiver->credit < receiver->bytes_received + RELAY_WINDOW / 2)
                        r = link_receiver_ack(receiver, &relay->wire.output, seq, receiver->bytes_received);
                relay->ack_owed = false;
                relay->told_usec = now_usec;
        }
        return r < 0 ? r : wire_flush(&relay->wire);
}

/* Returns 1 when there may be more, 0 when there is no more now, -EBADMSG and others when the connection is
 * of no use. */
static int turn(AuditRelay *relay, size_t queue_max, size_t *read_bytes, uint64_t now_usec)
{
        ssize_t n;
        int r;

        while (!items_waiting(relay) || buffer_size(&relay->queue) < queue_max) {
                if (relay->n_messages == RELAY_MESSAGES_MAX)
                        return 0;
                r = feed(relay);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;
        }
        if (items_waiting(relay) && buffer_size(&relay->queue) >= queue_max)
                return 0;
        r = session_flush(relay, now_usec);
        if (r < 0)
                return r;
        if (*read_bytes >= RELAY_TURN_MAX)
                return 0;
        n = wire_read(&relay->wire);
        if (n > 0)
                *read_bytes += (size_t) n;
        return n < 0 ? (int) n : n > 0;
}

/* The connection is of no use any more. */
static void give_up(AuditRelay *relay, int error, uint64_t now_usec)
{
        const char *why = error == -ENOTCONN ? "the dispatcher closed the connection" : strerror(-error);

        if (error == -ESHUTDOWN)
                why = relay->wire.why;
        else if (relay->receiver.why)
                why = relay->receiver.why;
        if (error == -EPROTONOSUPPORT)
                relay->dead = error;
        /* Our BYE, if there is one. */
        (void) wire_flush(&relay->wire);
        link_receiver_done(&relay->receiver);
        wire_lose(&relay->wire, now_usec, relay->bye_retry_usec, why);
        /* A connection that was handed to us is not made again. */
        if (relay->dead == 0 && !relay->wire.path && relay->wire.listener < 0)
                relay->dead = -ECONNRESET;
}

int session_run(AuditRelay *relay, size_t queue_max, uint64_t now_usec)
{
        size_t read_bytes = 0;

        for (;;) {
                int r;

                if (relay->dead < 0)
                        return relay->dead;
                r = wire_renew(&relay->wire, now_usec);
                if (r <= 0)
                        return r;
                if (relay->receiver.state == LINK_RECEIVER_ENDED)
                        r = begin(relay);
                do
                        r = turn(relay, queue_max, &read_bytes, now_usec);
                while (r > 0);
                if (r == 0)
                        return 0;
                give_up(relay, r, now_usec);
        }
}
