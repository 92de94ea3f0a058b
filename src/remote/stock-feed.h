/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From a source's batches to the lines that a stock collector is sent, and from its acks back to the
 * batches. Without I/O and clock. */

#include "basic/batch.h"

/* Records under way: more than any round trip needs while each is acked by itself. */
#define STOCK_WINDOW_MAX 1024U
#define STOCK_WINDOW_DEFAULT 64U

typedef struct StockMark {
        uint64_t seq;      /* all up to here has passed when its reply comes */
        uint64_t last;     /* of the last batch that ends there or before, 0: none does */
        uint64_t checksum; /* of that one */
} StockMark;

typedef struct StockFeed {
        Source *source;
        const char *node;                                     /* of gap records */
        void (*passed)(struct StockFeed *feed, uint64_t seq); /* up to here nothing is sent again */
        Cursor cursor;
        uint64_t acked;                    /* records */
        uint64_t released;                 /* batches */
        uint8_t *payload;                  /* BATCH_PAYLOAD_MAX: the batch that is being sent */
        Batch batch;                       /* size 0: none */
        size_t offset;                     /* of the next line */
        uint64_t seq;                      /* of that line */
        StockMark marks[STOCK_WINDOW_MAX]; /* of the records under way, from `first` on */
        size_t first, n;
        uint64_t skipped_eoe, gaps; /* counters */
} StockFeed;

/* Everything up to `released`, the end of a batch, is in somebody's custody; up to `acked` it was acked
 * before. */
int stock_feed_init(StockFeed *feed, Source *source, const char *node, uint64_t released,
                    uint64_t acked) _must_check_;
void stock_feed_done(StockFeed *feed);

/* A new session: what was under way is sent again. */
void stock_feed_restart(StockFeed *feed);

/* The next line to send, with its newline; valid until stock_feed_sent(). Returns 1; 0: there is none;
 * -errno of the source. */
int stock_feed_next(StockFeed *feed, uint64_t realtime_usec, const uint8_t **ret_line,
                    size_t *ret_size) _must_check_;
/* That line is under way; there is room for it in the window. */
void stock_feed_sent(StockFeed *feed);
/* The oldest one under way was acked. */
void stock_feed_acked(StockFeed *feed);
