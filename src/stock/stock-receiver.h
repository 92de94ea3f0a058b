/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The collector's half of the stock protocol: a state machine without I/O and without a clock. Requests are
 * answered in their order, each once, and a record only when its owner has said that it is durable.
 */

#include "stock/stock-frame.h"

#include <sys/types.h>

/* Requests of one client that wait for their reply: behind them nothing is taken. audisp-remote has one, and
 * who has a window no more than a few tens. */
#define STOCK_PENDING_MAX 256U

typedef enum StockReceiverState {
        STOCK_RECEIVER_OPEN,
        STOCK_RECEIVER_REFUSING, /* takes nothing more; the refusal stands behind what is pending */
        STOCK_RECEIVER_ENDING,   /* the same, for ENDING */
        STOCK_RECEIVER_ENDED,    /* said, or broken: what still arrives is thrown away */
} StockReceiverState;

typedef struct StockReceiver StockReceiver;

/* What the owner is told during stock_receiver_feed(), of which it may call nothing of this machine. */
typedef struct StockReceiverHandler {
        /* A record, without the newline it came with; other control characters are the owner's to judge.
         * Returns 0; -EAGAIN: no room beside those of this feed, offer it at the next one. */
        int (*record)(StockReceiver *receiver, const uint8_t *text, size_t size);
        /* Behind the last record of a feed: all of them are to be taken now, or none. Returns 0; -EAGAIN:
         * not now, offer all again at the next feed; another negative errno: they are refused. */
        int (*deliver)(StockReceiver *receiver);
} StockReceiverHandler;

typedef struct StockRequest {
        uint32_t seq;
        bool beat; /* waits only for what is before it */
} StockRequest;

struct StockReceiver {
        const StockReceiverHandler *handler;
        StockReceiverState state;
        uint64_t taken;                          /* requests since the beginning */
        uint64_t replied;                        /* the first of them */
        StockRequest pending[STOCK_PENDING_MAX]; /* [i % …] for replied <= i < taken */
        uint32_t refused_seq;
        uint32_t refusal; /* its reply's type */
        bool told_low;    /* DISKLOW was said since the disk got low */
        const char *why;  /* it was broken: static */
};

void stock_receiver_init(StockReceiver *receiver, const StockReceiverHandler *handler);

/* Takes received bytes. Returns how many were consumed: whole frames, as far as there is room and the owner
 * takes them; all of them once nothing more is taken. Negative: -EBADMSG when the peer broke the protocol
 * (why says what); -ENOBUFS when it does not read. */
ssize_t stock_receiver_feed(StockReceiver *receiver, const uint8_t *data, size_t size,
                            Buffer *output) _must_check_;

/* The first `taken` requests are durable. While `low` the first reply of each session says DISKLOW instead
 * of ACK: a client to which each one did would send each record again if its disk_low_action is warn_once.
 * Then says what stood behind them (state ENDED: send it and close). Returns 0 or -ENOBUFS. */
int stock_receiver_durable(StockReceiver *receiver, Buffer *output, uint64_t taken, bool low) _must_check_;

/* The first `taken` requests are durable and those behind them will never be: the first of these is refused.
 * `error` as from deliver(). */
int stock_receiver_fail(StockReceiver *receiver, Buffer *output, uint64_t taken, int error) _must_check_;

/* Takes no more, and says ENDING behind what is pending. */
int stock_receiver_end(StockReceiver *receiver, Buffer *output) _must_check_;

static inline bool stock_receiver_pending(const StockReceiver *receiver)
{
        return receiver->taken > receiver->replied;
}
