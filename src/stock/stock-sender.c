/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The client's half of the stock protocol (docs/stock-protocol.md, "The client").
 *
 *  1. Replies come in the order of the requests; one that is to another request breaks the session: what is
 * in flight is not known any more.
 *  2. A heartbeat is in flight alone, so that each other reply is to a record.
 *  3. After a reply that says "not stored" or ENDING nothing counts any more: what is in flight is sent
 * again in another session.
 */

#include "stock/stock-sender.h"

void stock_sender_init(StockSender *sender, const StockSenderHandler *handler, unsigned window)
{
        *sender = (StockSender) { .handler = handler, .window = window, .seq = 1 };
}

static int put(StockSender *sender, Buffer *output, StockType type, const void *line, size_t size)
{
        int r = stock_frame_put(output, type, sender->seq, line, (uint16_t) size);

        if (r < 0)
                return r;
        sender->seq++;
        sender->in_flight++;
        return 0;
}

int stock_sender_put(StockSender *sender, Buffer *output, const void *line, size_t size)
{
        assert(size <= STOCK_PAYLOAD_MAX);
        if (sender->over || sender->beating || sender->in_flight >= sender->window)
                return -EAGAIN;
        return put(sender, output, STOCK_MESSAGE, line, size);
}

int stock_sender_beat(StockSender *sender, Buffer *output)
{
        int r;

        if (sender->over || sender->in_flight > 0)
                return 0;
        r = put(sender, output, STOCK_HEARTBEAT, NULL, 0);
        sender->beating = r >= 0;
        return r;
}

static int broken(StockSender *sender, const char *why)
{
        sender->over = true;
        sender->why = why;
        return -EBADMSG;
}

static void refused(StockSender *sender, const StockFrame *frame)
{
        sender->over = true;
        sender->handler->refused(sender, frame->type, frame->payload, frame->size);
}

static int take(StockSender *sender, const StockFrame *frame)
{
        if (frame->type == STOCK_ENDING) {
                refused(sender, frame);
                return 0;
        }
        if (!(frame->type & STOCK_REPLY))
                return broken(sender, "a frame that is no reply");
        if (sender->in_flight == 0 || frame->seq != sender->seq - sender->in_flight)
                return broken(sender, "a reply to another request than the oldest");
        if (frame->type & STOCK_FATAL) {
                refused(sender, frame);
                return 0;
        }
        sender->in_flight--;
        if (sender->beating)
                sender->beating = false;
        else
                sender->handler->acked(sender);
        if (frame->type & STOCK_WARNING)
                sender->handler->warned(sender, frame->type, frame->payload, frame->size);
        return 0;
}

ssize_t stock_sender_feed(StockSender *sender, const uint8_t *data, size_t size)
{
        size_t used = 0;

        while (!sender->over) {
                StockFrame frame;
                int r = stock_frame_parse(data + used, size - used, &frame);

                if (r < 0)
                        return broken(sender, "no frame where one should begin");
                if (r == 0)
                        return (ssize_t) used;
                r = take(sender, &frame);
                if (r < 0)
                        return r;
                used += stock_frame_size(&frame);
        }
        return (ssize_t) size;
}

size_t stock_sender_fit(const uint8_t *line, size_t size)
{
        size_t most = STOCK_PAYLOAD_MAX - 1;
        const uint8_t *blank;

        if (size <= most)
                return size;
        /* The blank may be the first byte behind what fits. */
        blank = memrchr(line, ' ', most + 1);
        /* Without fields there is no better place. */
        return blank && blank > line ? (size_t) (blank - line) : most;
}
