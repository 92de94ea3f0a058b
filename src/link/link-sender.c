/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The sending half of the link (docs/protocol.md, "The sender").
 *
 *  1. acked ≤ sent, and neither ever goes back within a session.
 *  2. Everything sent comes from the source, in order, batch after batch: what the source explains is explained.
 *  3. The source is told to release a seq only after the peer said that it is in its custody, and never one that was not
 *     sent to it or that it did not have before.
 *  4. A batch goes out only while bytes_sent < credit, so the credit is overshot by less than one batch.
 */

#include "link/link-sender.h"
#include "basic/mark.h"
#include "link/link-command.h"

#include <zstd.h>

void link_sender_init(LinkSender *sender, Source *source, const LinkSenderHandler *handler, const char *node,
                      uint16_t features)
{
        *sender = (LinkSender) {
                .source = source,
                .handler = handler,
                .node = node,
                .features = features,
                .unacked_usec = USEC_INFINITY,
        };
}

void link_sender_done(LinkSender *sender)
{
        ZSTD_freeCCtx(sender->compressor);
        sender->compressor = NULL;
        sender->state = LINK_SENDER_ENDED;
}

/* Only what belongs to the object and not to a session stays. */
static void forget_session(LinkSender *sender)
{
        FrameCompressor *compressor = sender->compressor;

        link_sender_init(sender, sender->source, sender->handler, sender->node, sender->features);
        sender->compressor = compressor;
}

static int greet(LinkSender *sender, Buffer *output, uint16_t features)
{
        SourceRange range;
        LinkHello hello;
        int r;

        sender->source->range(sender->source, &range);
        hello = (LinkHello) {
                .version_min = LINK_VERSION,
                .version_max = LINK_VERSION,
                .role = LINK_ROLE_SENDER,
                .features = features,
                .stream = range.stream,
                .oldest = range.oldest,
                .newest = range.newest,
                .node = link_string(sender->node),
                .software = link_string(LINK_SOFTWARE),
        };
        r = frame_put_hello(output, &hello);
        if (r < 0)
                return r;
        sender->stream = range.stream;
        sender->negotiated = features;
        sender->state = LINK_SENDER_GREETED;
        return 0;
}

int link_sender_start(LinkSender *sender, Buffer *output, uint64_t now_usec)
{
        forget_session(sender);
        sender->sent_usec = now_usec;
        return greet(sender, output, sender->features);
}

void link_sender_accept(LinkSender *sender)
{
        forget_session(sender);
        sender->state = LINK_SENDER_ACCEPTING;
}

int link_sender_end(LinkSender *sender, Buffer *output, LinkByeCode code, const char *reason)
{
        LinkBye bye = { .code = (uint16_t) code, .reason = link_string(reason) };
        bool session = sender->state != LINK_SENDER_IDLE && sender->state != LINK_SENDER_ENDED;

        sender->state = LINK_SENDER_ENDED;
        sender->unacked_usec = USEC_INFINITY;
        return session ? frame_put_bye(output, &bye) : 0;
}

/* When there is no room for the BYE, the end of the connection has to say it. */
static int violation(LinkSender *sender, Buffer *output, LinkByeCode code, const char *why)
{
        sender->why = why;
        (void) link_sender_end(sender, output, code, why);
        return code == LINK_BYE_VERSION ? -EPROTONOSUPPORT : -EBADMSG;
}

static int take_hello(LinkSender *sender, const LinkHello *hello, Buffer *output)
{
        if (hello->role != LINK_ROLE_SUBSCRIBER)
                return violation(sender, output, LINK_BYE_PROTOCOL, "HELLO of a sender to a sender");
        if (hello->version_min > LINK_VERSION || hello->version_max < LINK_VERSION)
                return violation(sender, output, LINK_BYE_VERSION, "no common version");
        if (sender->handler->hello)
                sender->handler->hello(sender, hello, output);
        if (sender->state != LINK_SENDER_ACCEPTING)
                return 0;
        return greet(sender, output, sender->features & hello->features);
}

/* Whether the peer's history of our stream is ours. Returns 1 with what we know of the batch that ended
 * there, 0 when it is another, or an errno of the source. */
static int judge_history(LinkSender *sender, const LinkWelcome *welcome, uint64_t *ret_checksum)
{
        SourceRange range;
        int r;

        *ret_checksum = 0;
        if (welcome->last == 0)
                return 1;
        sender->source->range(sender->source, &range);
        if (welcome->last > range.newest)
                return 0;
        r = sender->source->ended(sender->source, welcome->last, ret_checksum);
        if (r == -ESTALE)
                return 0;
        if (r <= 0) {
                *ret_checksum = 0;
                return r < 0 ? r : 1;
        }
        /* Whoever does not know the checksum has nothing to compare. */
        return welcome->checksum == 0 || *ret_checksum == 0 || welcome->checksum == *ret_checksum;
}

static int take_welcome(LinkSender *sender, const LinkWelcome *welcome, Buffer *output, uint64_t now_usec)
{
        uint64_t checksum;
        int r;

        if (welcome->version != LINK_VERSION)
                return violation(sender, output, LINK_BYE_PROTOCOL,
                                 "WELCOME with a version that was not offered");
        if (welcome->features & ~sender->negotiated)
                return violation(sender, output, LINK_BYE_PROTOCOL,
                                 "WELCOME with a feature that was not offered");
        if (!stream_id_equal(&welcome->stream, &sender->stream))
                return violation(sender, output, LINK_BYE_PROTOCOL, "WELCOME for another stream");
        r = judge_history(sender, welcome, &checksum);
        if (r < 0) {
                (void) link_sender_end(sender, output, LINK_BYE_INTERNAL, "the source cannot be read");
                return r;
        }
        if (r == 0) {
                MARK("link.diverged");
                (void) link_sender_end(sender, output, LINK_BYE_DIVERGED,
                                       "the stream has another history here");
                if (sender->handler->diverged)
                        sender->handler->diverged(sender, welcome->last);
                return 0;
        }
        sender->state = LINK_SENDER_CONNECTED;
        sender->negotiated = welcome->features;
        sender->sent = sender->acked = welcome->last;
        sender->sent_checksum = sender->checksum = checksum;
        sender->credit = welcome->credit;
        sender->sent_usec = now_usec;
        sender->source->release(sender->source, welcome->last, checksum);
        if (sender->handler->welcomed)
                sender->handler->welcomed(sender, welcome);
        return 0;
}

/* The checksum of the batch that ended at an acked seq; 0 when it is not known any more. Returns -ESTALE
 * when none ends there. */
static int find_checksum(LinkSender *sender, uint64_t seq, uint64_t *ret_checksum)
{
        int r;

        *ret_checksum = sender->sent_checksum;
        if (seq == sender->sent)
                return 0;
        r = sender->source->ended(sender->source, seq, ret_checksum);
        if (r != 1)
                *ret_checksum = 0;
        return r == -ESTALE ? r : 0;
}

static int take_ack(LinkSender *sender, const LinkAck *ack, Buffer *output, uint64_t now_usec)
{
        uint64_t checksum;

        if (ack->seq > sender->sent)
                return violation(sender, output, LINK_BYE_PROTOCOL, "ACK of what was not sent");
        if (ack->seq < sender->acked)
                return violation(sender, output, LINK_BYE_PROTOCOL, "ACK that goes back");
        if (ack->credit < sender->credit)
                return violation(sender, output, LINK_BYE_PROTOCOL, "ACK that takes credit back");
        sender->credit = ack->credit;
        sender->unacked_usec = ack->seq == sender->sent ? USEC_INFINITY : now_usec;
        if (ack->seq == sender->acked)
                return 0;
        if (find_checksum(sender, ack->seq, &checksum) < 0)
                return violation(sender, output, LINK_BYE_PROTOCOL, "ACK inside a batch");
        sender->acked = ack->seq;
        sender->checksum = checksum;
        sender->source->release(sender->source, ack->seq, checksum);
        if (sender->handler->acked)
                sender->handler->acked(sender, ack->seq);
        return 0;
}

/* COMMAND or REPLY. */
static int take_command(LinkSender *sender, const Frame *frame, Buffer *output)
{
        const LinkSenderHandler *handler = sender->handler;
        bool command = frame->type == FRAME_COMMAND;
        bool owned = command ? handler->command != NULL : handler->reply != NULL;
        const char *why;
        int r;

        r = link_command_take(frame, sender->negotiated, owned, output, &why);
        if (r == -EBADMSG)
                return violation(sender, output, LINK_BYE_PROTOCOL, why);
        if (r <= 0)
                return r;
        if (command)
                handler->command(sender, &frame->command);
        else
                handler->reply(sender, &frame->reply);
        return 0;
}

static void take_bye(LinkSender *sender, const LinkBye *bye)
{
        sender->state = LINK_SENDER_ENDED;
        sender->unacked_usec = USEC_INFINITY;
        if (sender->handler->bye)
                sender->handler->bye(sender, bye);
}

static bool allowed(LinkSenderState state, FrameType type)
{
        static const uint16_t table[] = {
                [LINK_SENDER_IDLE] = 0,
                [LINK_SENDER_ACCEPTING] = 1U << FRAME_HELLO | 1U << FRAME_BYE,
                [LINK_SENDER_GREETED] = 1U << FRAME_WELCOME | 1U << FRAME_BYE,
                [LINK_SENDER_CONNECTED] = 1U << FRAME_ACK | 1U << FRAME_RECEIPT | 1U << FRAME_STATE |
                                          1U << FRAME_COMMAND | 1U << FRAME_REPLY | 1U << FRAME_BYE,
        };

        return table[state] & (1U << type);
}

static int take_frame(LinkSender *sender, const Frame *frame, Buffer *output, uint64_t now_usec)
{
        const LinkSenderHandler *handler = sender->handler;

        if (frame->type >= _FRAME_MAX)
                return 0; /* of a later version, and may be skipped */
        if (!allowed(sender->state, frame->type))
                return violation(sender, output, LINK_BYE_PROTOCOL, frame_unexpected(frame->type));
        switch (frame->type) {
        case FRAME_HELLO:
                return take_hello(sender, &frame->hello, output);
        case FRAME_WELCOME:
                return take_welcome(sender, &frame->welcome, output, now_usec);
        case FRAME_ACK:
                return take_ack(sender, &frame->ack, output, now_usec);
        case FRAME_COMMAND:
        case FRAME_REPLY:
                return take_command(sender, frame, output);
        case FRAME_RECEIPT:
                if (handler->receipt)
                        handler->receipt(sender, &frame->receipt);
                return 0;
        case FRAME_STATE:
                if (handler->state)
                        handler->state(sender, &frame->state);
                return 0;
        default:
                take_bye(sender, &frame->bye);
                return 0;
        }
}

ssize_t link_sender_feed(LinkSender *sender, const uint8_t *data, size_t size, Buffer *output,
                         uint64_t now_usec)
{
        size_t used = 0;

        while (used < size && sender->state != LINK_SENDER_ENDED) {
                const char *why;
                Frame frame;
                int r;

                r = frame_decode(data + used, size - used, &frame, &why);
                if (r == 0)
                        return (ssize_t) used;
                if (r < 0)
                        return violation(sender, output, LINK_BYE_PROTOCOL, why);
                r = take_frame(sender, &frame, output, now_usec);
                if (r < 0)
                        return r;
                used += frame.size;
        }
        return (ssize_t) (sender->state == LINK_SENDER_ENDED ? size : used);
}

/* The payload goes out from where it is, as far as it is taken. Returns 1, or 2 when not all of it was. */
static int pass_batch(LinkSender *sender, Buffer *output, const Batch *batch)
{
        size_t size = FRAME_BATCH_PAYLOAD + batch->size;
        int r;

        /* What is not taken is to have its place. */
        if (output->maximum - buffer_size(output) < size)
                return -ENOBUFS;
        r = frame_put_batch_header(output, batch);
        if (r < 0)
                return r;
        sender->bytes_sent += size;
        return sender->handler->payload(sender, batch->payload, batch->size) ? 1 : 2;
}

static int copy_batch(LinkSender *sender, Buffer *output, const Batch *batch, bool compress)
{
        size_t before = buffer_size(output);
        int r = compress ? frame_put_batch_compressed(output, batch, sender->compressor)
                         : frame_put_batch(output, batch);

        if (r < 0)
                return r;
        sender->bytes_sent += buffer_size(output) - before;
        return 1;
}

static int put_batch(LinkSender *sender, Buffer *output, const Batch *batch)
{
        bool compress = sender->negotiated & LINK_FEATURE_ZSTD && batch->size >= LINK_COMPRESS_MIN;

        if (compress && !sender->compressor)
                sender->compressor = ZSTD_createCCtx();
        /* No memory for a compressor: the plain frame is as good. */
        compress = compress && sender->compressor;
        if (!compress && sender->handler->payload && batch->size >= LINK_COPY_MAX)
                return pass_batch(sender, output, batch);
        return copy_batch(sender, output, batch, compress);
}

static void note_sent(LinkSender *sender, uint64_t now_usec)
{
        sender->sent_usec = now_usec;
        if (sender->unacked_usec == USEC_INFINITY)
                sender->unacked_usec = now_usec;
}

/* Returns 1 when a batch was put, 2 when no more is to be, 0 when there is none, -ENOBUFS when it does not fit. */
static int send_next(LinkSender *sender, Buffer *output, uint64_t now_usec)
{
        Batch batch;
        int r;

        r = sender->source->get(sender->source, sender->sent + 1, &sender->cursor, &batch);
        if (r <= 0)
                return r;
        if (batch.first != sender->sent + 1 || batch.last < batch.first)
                return -EIO;
        r = put_batch(sender, output, &batch);
        if (r < 0)
                return r;
        sender->sent = batch.last;
        sender->sent_checksum = batch.checksum;
        note_sent(sender, now_usec);
        return r;
}

/* While bytes wait in the output, they are the sign of life: heartbeats do not pile up behind a stuck
 * socket. */
static int send_heartbeat(LinkSender *sender, Buffer *output, uint64_t now_usec)
{
        Batch batch = {
                .first = sender->sent + 1,
                .last = sender->sent,
                .origin = BATCH_ORIGIN_LOCAL,
                .payload = (const uint8_t *) "",
        };
        int r = 0;

        if (buffer_size(output) == 0) {
                batch_seal(&batch);
                r = frame_put_batch(output, &batch);
        }
        if (r == 0)
                note_sent(sender, now_usec);
        return r;
}

/* Sends while there is something and there are credit and room. Returns 1 when the output is full, else 0. */
static int send_batches(LinkSender *sender, Buffer *output, uint64_t now_usec)
{
        uint64_t begun = sender->bytes_sent;

        if (sender->handler->payload && buffer_size(output) > 0)
                return 1;
        while (sender->bytes_sent < sender->credit) {
                int r;

                if (buffer_size(output) >= LINK_OUTPUT_TARGET || sender->bytes_sent - begun >= LINK_OUTPUT_TARGET)
                        return 1;
                r = send_next(sender, output, now_usec);
                if (r == 2 || (r == -ENOBUFS && buffer_size(output) > 0))
                        return 1;
                if (r <= 0)
                        return r;
        }
        return 0;
}

int link_sender_fill(LinkSender *sender, Buffer *output, uint64_t now_usec)
{
        int full, r = 0;

        if (sender->state != LINK_SENDER_CONNECTED)
                return 0;
        full = send_batches(sender, output, now_usec);
        /* Also while the output is full: a deadline that stays behind us would have the owner ask without end. */
        if (full >= 0 && now_usec >= link_sender_deadline(sender))
                r = send_heartbeat(sender, output, now_usec);
        return r < 0 ? r : full;
}

uint64_t link_sender_deadline(const LinkSender *sender)
{
        return sender->state == LINK_SENDER_CONNECTED ? sender->sent_usec + LINK_HEARTBEAT_USEC
                                                      : USEC_INFINITY;
}

bool link_sender_commands(const LinkSender *sender)
{
        return sender->state == LINK_SENDER_CONNECTED && sender->negotiated & LINK_FEATURE_COMMANDS;
}
