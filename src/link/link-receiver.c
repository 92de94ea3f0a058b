/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The receiving half of the link (docs/protocol.md, "The receiver").
 *
 *  1. A batch reaches the owner only if it begins behind the last one and its payload is the one that was sealed; so what the
 *     owner appended is always the stream from its start, each seq once.
 *  2. acked ≤ received, neither ever goes back within a session, and an ACK leaves only through the owner's word.
 *  3. What the owner did not take (-EAGAIN) has left no trace.
 */

#include "link/link-receiver.h"
#include "basic/mark.h"
#include "link/link-command.h"

#include <zstd.h>

void link_receiver_init(LinkReceiver *receiver, const LinkReceiverHandler *handler, uint64_t window,
                        uint16_t features)
{
        *receiver = (LinkReceiver) {
                .handler = handler,
                .window = window,
                .features = features,
                .scratch = BUFFER_INIT(BATCH_PAYLOAD_MAX),
        };
}

void link_receiver_done(LinkReceiver *receiver)
{
        buffer_done(&receiver->scratch);
        ZSTD_freeDCtx(receiver->decompressor);
        receiver->decompressor = NULL;
        receiver->state = LINK_RECEIVER_ENDED;
}

int link_receiver_subscribe(LinkReceiver *receiver, Buffer *output, const LinkHello *hello)
{
        LinkHello subscription = *hello;

        subscription.version_min = subscription.version_max = LINK_VERSION;
        subscription.role = LINK_ROLE_SUBSCRIBER;
        subscription.features = receiver->features;
        subscription.software = link_string(LINK_SOFTWARE);
        return frame_put_hello(output, &subscription);
}

int link_receiver_end(LinkReceiver *receiver, Buffer *output, LinkByeCode code, uint32_t retry_after_msec,
                      const char *reason)
{
        LinkBye bye = {
                .code = (uint16_t) code,
                .retry_after_msec = retry_after_msec,
                .reason = link_string(reason),
        };

        if (receiver->state == LINK_RECEIVER_ENDED)
                return 0;
        receiver->state = LINK_RECEIVER_ENDED;
        return frame_put_bye(output, &bye);
}

/* When there is no room for the BYE, the end of the connection has to say it. */
static int violation(LinkReceiver *receiver, Buffer *output, LinkByeCode code, const char *why)
{
        receiver->why = why;
        (void) link_receiver_end(receiver, output, code, 0, why);
        return code == LINK_BYE_VERSION ? -EPROTONOSUPPORT : -EBADMSG;
}

static int take_hello(LinkReceiver *receiver, const LinkHello *hello, Buffer *output)
{
        if (hello->role != LINK_ROLE_SENDER)
                return violation(receiver, output, LINK_BYE_PROTOCOL, "HELLO of a subscriber to a receiver");
        if (hello->version_min > LINK_VERSION || hello->version_max < LINK_VERSION)
                return violation(receiver, output, LINK_BYE_VERSION, "no common version");
        receiver->stream = hello->stream;
        receiver->features &= hello->features;
        receiver->state = LINK_RECEIVER_GREETED;
        receiver->handler->hello(receiver, hello);
        return 0;
}

int link_receiver_welcome(LinkReceiver *receiver, Buffer *output, uint64_t last, uint64_t checksum,
                          const char *name, const char *node)
{
        LinkWelcome welcome = {
                .version = LINK_VERSION,
                .features = receiver->features,
                .stream = receiver->stream,
                .last = last,
                .checksum = checksum,
                .credit = receiver->window,
                .name = link_string(name),
                .node = link_string(node),
                .software = link_string(LINK_SOFTWARE),
        };
        int r;

        if (receiver->state != LINK_RECEIVER_GREETED)
                return -ENOTCONN;
        r = frame_put_welcome(output, &welcome);
        if (r < 0)
                return r;
        receiver->received = receiver->acked = last;
        receiver->credit = receiver->window;
        receiver->state = LINK_RECEIVER_CONNECTED;
        return 0;
}

int link_receiver_ack(LinkReceiver *receiver, Buffer *output, uint64_t seq, uint64_t bytes)
{
        uint64_t credit = receiver->credit;
        int r;

        if (receiver->state != LINK_RECEIVER_CONNECTED)
                return 0;
        if (seq < receiver->acked || seq > receiver->received || bytes > receiver->bytes_received)
                return -EINVAL;
        if (receiver->window > 0)
                credit = MAX(credit, bytes + receiver->window);
        r = frame_put_ack(output, &(LinkAck) { .seq = seq, .credit = credit });
        if (r < 0)
                return r;
        receiver->acked = seq;
        receiver->credit = credit;
        return 0;
}

/* Judges what needs no look at the payload. */
static const char *judge_order(const LinkReceiver *receiver, const Frame *frame)
{
        if (frame->batch.first != receiver->received + 1)
                return "BATCH out of order";
        if (!batch_is_heartbeat(&frame->batch) && receiver->bytes_received >= receiver->credit)
                return "BATCH without credit";
        if ((frame->flags & FRAME_FLAG_ZSTD) && !(receiver->features & LINK_FEATURE_ZSTD))
                return "compressed BATCH without the feature";
        return NULL;
}

static int deliver(LinkReceiver *receiver, const Frame *frame)
{
        uint64_t received = receiver->received, bytes = receiver->bytes_received;
        int r;

        receiver->received = frame->batch.last;
        if (!batch_is_heartbeat(&frame->batch))
                receiver->bytes_received += frame->size;
        r = receiver->handler->batch(receiver, &frame->batch);
        if (r < 0) {
                MARK("link.batch-not-taken");
                receiver->received = received;
                receiver->bytes_received = bytes;
        }
        return r;
}

static int take_batch(LinkReceiver *receiver, Frame *frame, Buffer *output)
{
        const char *why = judge_order(receiver, frame);
        int r;

        if (why)
                return violation(receiver, output, LINK_BYE_PROTOCOL, why);
        if ((frame->flags & FRAME_FLAG_ZSTD) && !receiver->decompressor) {
                receiver->decompressor = ZSTD_createDCtx();
                if (!receiver->decompressor)
                        return -ENOMEM;
        }
        r = frame_open_batch(frame, receiver->decompressor, &receiver->scratch, &why);
        if (r == -EBADMSG)
                return violation(receiver, output, LINK_BYE_PROTOCOL, why);
        if (r < 0)
                return r;
        return deliver(receiver, frame);
}

/* COMMAND or REPLY. */
static int take_command(LinkReceiver *receiver, const Frame *frame, Buffer *output)
{
        const LinkReceiverHandler *handler = receiver->handler;
        bool command = frame->type == FRAME_COMMAND;
        bool owned = command ? handler->command != NULL : handler->reply != NULL;
        const char *why;
        int r;

        r = link_command_take(frame, receiver->features, owned, output, &why);
        if (r == -EBADMSG)
                return violation(receiver, output, LINK_BYE_PROTOCOL, why);
        if (r <= 0)
                return r;
        if (command)
                handler->command(receiver, &frame->command);
        else
                handler->reply(receiver, &frame->reply);
        return 0;
}

static void take_bye(LinkReceiver *receiver, const LinkBye *bye)
{
        receiver->state = LINK_RECEIVER_ENDED;
        if (receiver->handler->bye)
                receiver->handler->bye(receiver, bye);
}

static bool allowed(LinkReceiverState state, FrameType type)
{
        static const uint16_t table[] = {
                [LINK_RECEIVER_EXPECTS_HELLO] = 1U << FRAME_HELLO | 1U << FRAME_BYE,
                [LINK_RECEIVER_CONNECTED] = 1U << FRAME_BATCH | 1U << FRAME_COMMAND | 1U << FRAME_REPLY |
                                            1U << FRAME_BYE,
        };

        return table[state] & (1U << type);
}

static int take_frame(LinkReceiver *receiver, Frame *frame, Buffer *output)
{
        if (frame->type >= _FRAME_MAX)
                return 0; /* of a later version, and may be skipped */
        if (!allowed(receiver->state, frame->type))
                return violation(receiver, output, LINK_BYE_PROTOCOL, frame_unexpected(frame->type));
        switch (frame->type) {
        case FRAME_HELLO:
                return take_hello(receiver, &frame->hello, output);
        case FRAME_BATCH:
                return take_batch(receiver, frame, output);
        case FRAME_COMMAND:
        case FRAME_REPLY:
                return take_command(receiver, frame, output);
        default:
                take_bye(receiver, &frame->bye);
                return 0;
        }
}

/* Whether bytes may be read: not while a HELLO waits for its answer, not after the end. */
static bool reading(const LinkReceiver *receiver)
{
        return receiver->state == LINK_RECEIVER_EXPECTS_HELLO || receiver->state == LINK_RECEIVER_CONNECTED;
}

ssize_t link_receiver_feed(LinkReceiver *receiver, const uint8_t *data, size_t size, Buffer *output)
{
        size_t used = 0;

        while (used < size && reading(receiver)) {
                const char *why;
                Frame frame;
                int r;

                r = frame_decode(data + used, size - used, &frame, &why);
                if (r == 0)
                        return (ssize_t) used;
                if (r < 0)
                        return violation(receiver, output, LINK_BYE_PROTOCOL, why);
                r = take_frame(receiver, &frame, output);
                if (r == -EAGAIN)
                        return (ssize_t) used;
                if (r < 0)
                        return r;
                used += frame.size;
        }
        return (ssize_t) (receiver->state == LINK_RECEIVER_ENDED ? size : used);
}

bool link_receiver_commands(const LinkReceiver *receiver)
{
        return receiver->state == LINK_RECEIVER_CONNECTED && receiver->features & LINK_FEATURE_COMMANDS;
}
