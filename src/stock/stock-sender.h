/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The client's half of the stock protocol: a state machine without I/O and without a clock. Records go out
 * as far as the window allows; each reply says of the oldest that it was stored, or that it was not and what
 * is behind it should be sent again, later.
 */

#include "stock/stock-frame.h"

#include <sys/types.h>

typedef struct StockSender StockSender;

/* What the owner is told; it may call everything but stock_sender_feed(). */
typedef struct StockSenderHandler {
        /* The oldest record is in the collector's file, as far as it says. */
        void (*acked)(StockSender *sender);
        /* It is, but: STOCK_DISKLOW or another type with STOCK_WARNING. acked() comes first. */
        void (*warned)(StockSender *sender, uint32_t type, const uint8_t *text, size_t size);
        /* STOCK_ENDING, or the oldest record was not stored: STOCK_DISKFULL, STOCK_DISKERROR, or another
         * type with STOCK_FATAL. The session is over. */
        void (*refused)(StockSender *sender, uint32_t type, const uint8_t *text, size_t size);
} StockSenderHandler;

struct StockSender {
        const StockSenderHandler *handler;
        unsigned window;
        unsigned in_flight; /* requests without a reply */
        uint32_t seq;       /* of the next request */
        bool beating;       /* the one in flight is a heartbeat */
        bool over;
        const char *why; /* it was broken: static */
};

void stock_sender_init(StockSender *sender, const StockSenderHandler *handler, unsigned window);

/* A record as a line, with its newline; at most STOCK_PAYLOAD_MAX bytes. Returns 0; -EAGAIN: not before a
 * reply; -ENOBUFS. */
int stock_sender_put(StockSender *sender, Buffer *output, const void *line, size_t size) _must_check_;

/* Asks for a sign of life, unless a reply is awaited anyway. */
int stock_sender_beat(StockSender *sender, Buffer *output) _must_check_;

/* Takes received bytes: whole frames, all of them once it is over. Returns how many, or -EBADMSG. */
ssize_t stock_sender_feed(StockSender *sender, const uint8_t *data, size_t size) _must_check_;

/* How much of a line fits into a frame: all of it, or up to the last field that does. `size` is that of the
 * line without its newline; so is the result. */
size_t stock_sender_fit(const uint8_t *line, size_t size);
