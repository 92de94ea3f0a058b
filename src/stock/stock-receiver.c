/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The collector's half of the stock protocol (docs/stock-protocol.md, "The collector").
 *
 *  1. Replies leave in the order of the requests, one for each, ACK and DISKLOW only for what is durable.
 *  2. The records of one feed are delivered together or not at all; what was not delivered leaves no trace,
 * and when it is refused, only the first of them is answered: a client closes at a refusal, and sends the
 * rest again anyway.
 *  3. A refusal or ENDING is the last that is said.
 */

#include "stock/stock-receiver.h"

static const char disk_full[] = "disk full", disk_error[] = "disk write error";

void stock_receiver_init(StockReceiver *receiver, const StockReceiverHandler *handler)
{
        *receiver = (StockReceiver) { .handler = handler };
}

static StockRequest *request(StockReceiver *receiver, uint64_t i)
{
        return &receiver->pending[i % STOCK_PENDING_MAX];
}

/* --- Replies --- */

static int say_last(StockReceiver *receiver, Buffer *output)
{
        int r = 0;

        if (stock_receiver_pending(receiver))
                return 0;
        switch (receiver->state) {
        case STOCK_RECEIVER_REFUSING: {
                const char *text = receiver->refusal == STOCK_DISKFULL ? disk_full : disk_error;

                r = stock_frame_put(output, receiver->refusal, receiver->refused_seq, text,
                                    (uint16_t) strlen(text));
                break;
        }
        case STOCK_RECEIVER_ENDING:
                r = stock_frame_put(output, STOCK_ENDING, 0, NULL, 0);
                break;
        case STOCK_RECEIVER_OPEN:
        case STOCK_RECEIVER_ENDED:
                return 0;
        }
        receiver->state = STOCK_RECEIVER_ENDED;
        return r;
}

static int reply(StockReceiver *receiver, Buffer *output, bool low)
{
        bool tell = low && !receiver->told_low;
        int r = stock_frame_put(output, tell ? STOCK_DISKLOW : STOCK_ACK,
                                request(receiver, receiver->replied)->seq, NULL, 0);

        if (r < 0)
                return r;
        receiver->told_low = receiver->told_low || tell;
        receiver->replied++;
        return 0;
}

/* Heartbeats that nothing stands before any more. */
static int reply_beats(StockReceiver *receiver, Buffer *output)
{
        int r = 0;

        while (r >= 0 && stock_receiver_pending(receiver) && request(receiver, receiver->replied)->beat)
                r = reply(receiver, output, false);
        return r;
}

int stock_receiver_durable(StockReceiver *receiver, Buffer *output, uint64_t taken, bool low)
{
        int r = 0;

        assert(taken <= receiver->taken);
        if (!low)
                receiver->told_low = false;
        while (r >= 0 && receiver->replied < taken)
                r = reply(receiver, output, low && !request(receiver, receiver->replied)->beat);
        if (r >= 0)
                r = reply_beats(receiver, output);
        return r < 0 ? r : say_last(receiver, output);
}

static void refuse(StockReceiver *receiver, uint32_t seq, int error)
{
        bool room = error == -ENOSPC || error == -EDQUOT || error == -EFBIG;

        receiver->state = STOCK_RECEIVER_REFUSING;
        receiver->refused_seq = seq;
        receiver->refusal = room ? STOCK_DISKFULL : STOCK_DISKERROR;
}

int stock_receiver_fail(StockReceiver *receiver, Buffer *output, uint64_t taken, int error)
{
        int r = stock_receiver_durable(receiver, output, taken, false);

        if (r < 0 || !stock_receiver_pending(receiver))
                return r;
        /* Behind the durable ones stands a record, not a heartbeat: that one is refused. */
        refuse(receiver, request(receiver, receiver->replied)->seq, error);
        receiver->taken = receiver->replied;
        return say_last(receiver, output);
}

int stock_receiver_end(StockReceiver *receiver, Buffer *output)
{
        if (receiver->state != STOCK_RECEIVER_OPEN)
                return 0;
        receiver->state = STOCK_RECEIVER_ENDING;
        return say_last(receiver, output);
}

/* --- Requests --- */

static int broken(StockReceiver *receiver, const char *why)
{
        receiver->state = STOCK_RECEIVER_ENDED;
        receiver->why = why;
        return -EBADMSG;
}

/* Returns 1 when it was taken, 0 when not now. */
static int take(StockReceiver *receiver, const StockFrame *frame)
{
        size_t size = frame->size;

        if (frame->type == STOCK_MESSAGE) {
                if (size > 0 && frame->payload[size - 1] == '\n')
                        size--;
                if (receiver->handler->record(receiver, frame->payload, size) < 0)
                        return 0;
        } else if (frame->type != STOCK_HEARTBEAT) {
                return broken(receiver, "a frame of a type that no client sends");
        }
        *request(receiver, receiver->taken++) =
                (StockRequest) { frame->seq, frame->type == STOCK_HEARTBEAT };
        return 1;
}

/* Takes frames until there are no more. Returns how many bytes, or -EBADMSG. */
static ssize_t take_all(StockReceiver *receiver, const uint8_t *data, size_t size)
{
        size_t used = 0;

        while (receiver->taken - receiver->replied < STOCK_PENDING_MAX) {
                StockFrame frame;
                int r = stock_frame_parse(data + used, size - used, &frame);

                if (r < 0)
                        return broken(receiver,
                                      "no frame where one should begin (format = ascii is not taken)");
                if (r > 0)
                        r = take(receiver, &frame);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;
                used += stock_frame_size(&frame);
        }
        return (ssize_t) used;
}

/* Whether there is a record from the i-th request on, and its seq. */
static bool find_record(StockReceiver *receiver, uint64_t i, uint32_t *ret_seq)
{
        for (; i < receiver->taken; i++)
                if (!request(receiver, i)->beat) {
                        *ret_seq = request(receiver, i)->seq;
                        return true;
                }
        return false;
}

ssize_t stock_receiver_feed(StockReceiver *receiver, const uint8_t *data, size_t size, Buffer *output)
{
        uint64_t before = receiver->taken;
        uint32_t seq;
        ssize_t n;
        int r = 0;

        if (receiver->state != STOCK_RECEIVER_OPEN)
                return (ssize_t) size;
        n = take_all(receiver, data, size);
        if (find_record(receiver, before, &seq))
                r = receiver->handler->deliver(receiver);
        if (r < 0)
                receiver->taken = before;
        if (n < 0)
                return n;
        if (r == -EAGAIN)
                return 0;
        if (r < 0) {
                refuse(receiver, seq, r);
                r = say_last(receiver, output);
                return r < 0 ? r : (ssize_t) size;
        }
        r = reply_beats(receiver, output);
        return r < 0 ? r : n;
}
