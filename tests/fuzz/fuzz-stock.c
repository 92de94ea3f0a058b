/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Both halves of the stock protocol and a peer that sends anything. The first byte: bit 0 chooses the half, bits
 * 1 and 2 how the owner behaves, the rest how large the pieces are. Whatever comes: each request is answered
 * once and in its order, and no record is acked that was not sent.
 */

#include "fuzz.h"
#include "stock/stock-receiver.h"
#include "stock/stock-sender.h"

#define WINDOW 8U

typedef struct Owner {
        StockReceiver receiver;
        StockSender sender;
        unsigned tentative, n_feeds, acked, sent;
        bool blocks, fails;
} Owner;

static int on_record(StockReceiver *receiver, const uint8_t *text, size_t size)
{
        Owner *owner = container_of(receiver, Owner, receiver);

        CHECK(text && size <= UINT16_MAX);
        owner->tentative++;
        return owner->blocks && owner->tentative > 3 ? -EAGAIN : 0;
}

static int on_deliver(StockReceiver *receiver)
{
        Owner *owner = container_of(receiver, Owner, receiver);

        CHECK(owner->tentative > 0);
        owner->tentative = 0;
        owner->n_feeds++;
        if (owner->fails && owner->n_feeds == 5)
                return -ENOSPC;
        return owner->blocks && owner->n_feeds % 2 ? -EAGAIN : 0;
}

static const StockReceiverHandler receiver_handler = { on_record, on_deliver };

/* Returns how many bytes were taken, negative at the end. */
static ssize_t receive(Owner *owner, const uint8_t *data, size_t size, Buffer *output)
{
        StockReceiver *receiver = &owner->receiver;
        uint64_t taken;
        ssize_t n = stock_receiver_feed(receiver, data, size, output);

        owner->tentative = 0;
        CHECK(n <= (ssize_t) size);
        CHECK(receiver->replied <= receiver->taken);
        CHECK(receiver->taken - receiver->replied <= STOCK_PENDING_MAX);
        taken = receiver->replied + (receiver->taken - receiver->replied) / 2;
        if (owner->fails && owner->n_feeds == 9)
                CHECK(stock_receiver_fail(receiver, output, taken, -EIO) == 0);
        else
                CHECK(stock_receiver_durable(receiver, output, taken + (n == 0 && taken < receiver->taken),
                                             owner->blocks) == 0);
        return receiver->state == STOCK_RECEIVER_ENDED ? -EPIPE : n;
}

static void on_acked(StockSender *sender)
{
        Owner *owner = container_of(sender, Owner, sender);

        owner->acked++;
        CHECK(owner->acked <= owner->sent);
}

static void on_said(StockSender *sender, uint32_t type, const uint8_t *text, size_t size)
{
        CHECK(text && size <= UINT16_MAX);
}

static const StockSenderHandler sender_handler = { on_acked, on_said, on_said };

static ssize_t answer(Owner *owner, const uint8_t *data, size_t size, Buffer *output)
{
        StockSender *sender = &owner->sender;
        ssize_t n;

        while (stock_sender_put(sender, output, "x\n", 2) == 0)
                owner->sent++;
        n = stock_sender_feed(sender, data, size);
        CHECK(n <= (ssize_t) size);
        CHECK(sender->in_flight <= WINDOW);
        CHECK(owner->acked + sender->in_flight >= owner->sent);
        if (owner->blocks && sender->in_flight == 0)
                CHECK(stock_sender_beat(sender, output) == 0);
        return sender->over ? -EPIPE : n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Owner owner = { 0 };
        Buffer output = BUFFER_INIT(4U << 20);
        size_t piece, used = 0, offered = 0;
        bool sends;

        if (size < 1)
                return 0;
        sends = data[0] & 1;
        owner.blocks = data[0] & 2;
        owner.fails = data[0] & 4;
        piece = 1 + (size_t) (data[0] >> 3) * 16;
        data++;
        size--;
        stock_receiver_init(&owner.receiver, &receiver_handler);
        stock_sender_init(&owner.sender, &sender_handler, WINDOW);
        for (unsigned stuck = 0; used < size && stuck < 3;) {
                ssize_t n;

                offered = MIN(offered + piece, size - used);
                n = sends ? answer(&owner, data + used, offered, &output)
                          : receive(&owner, data + used, offered, &output);
                if (n < 0)
                        break;
                stuck = n == 0 && used + offered == size ? stuck + 1 : 0;
                used += (size_t) n;
                offered -= (size_t) n;
                buffer_consume(&output, buffer_size(&output));
        }
        buffer_done(&output);
        return 0;
}
