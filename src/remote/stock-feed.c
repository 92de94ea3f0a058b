/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*  1. A batch is released when each of its lines was acked, left out, or acked before: never earlier.
 *  2. What passes without being sent (EOE, batches in another collector's custody) passes with the record
 * before it, if that is still under way.
 *  3. The batch is copied: the source's own bytes are valid only until the next call, and release() is one.
 */

#include "remote/stock-feed.h"
#include "record/record.h"

int stock_feed_init(StockFeed *feed, Source *source, const char *node, uint64_t released, uint64_t acked)
{
        *feed = (StockFeed) {
                .source = source,
                .node = node,
                .released = released,
                .acked = MAX(released, acked),
                .payload = malloc(BATCH_PAYLOAD_MAX),
        };
        return feed->payload ? 0 : -ENOMEM;
}

void stock_feed_done(StockFeed *feed)
{
        free(feed->payload);
        *feed = (StockFeed) { 0 };
}

void stock_feed_restart(StockFeed *feed)
{
        feed->first = feed->n = 0;
        feed->batch = (Batch) { 0 };
        feed->offset = 0;
        feed->cursor = (Cursor) { 0 };
}

/* --- What has passed --- */

static void settle(StockFeed *feed, const StockMark *mark)
{
        if (mark->seq > feed->acked)
                feed->acked = mark->seq;
        if (mark->last != 0) {
                feed->released = mark->last;
                feed->source->release(feed->source, mark->last, mark->checksum);
        }
        if (feed->passed)
                feed->passed(feed, feed->acked);
}

static StockMark *newest(StockFeed *feed)
{
        return &feed->marks[(feed->first + feed->n - 1) % STOCK_WINDOW_MAX];
}

/* Joins the newest record under way, or is settled now. */
static void pass(StockFeed *feed, uint64_t seq, uint64_t last, uint64_t checksum)
{
        StockMark mark = { seq, last, checksum };

        if (feed->n == 0) {
                settle(feed, &mark);
                return;
        }
        newest(feed)->seq = seq;
        if (last != 0) {
                newest(feed)->last = last;
                newest(feed)->checksum = checksum;
        }
}

void stock_feed_acked(StockFeed *feed)
{
        StockMark mark = feed->marks[feed->first];

        assert(feed->n > 0);
        feed->first = (feed->first + 1) % STOCK_WINDOW_MAX;
        feed->n--;
        settle(feed, &mark);
}

/* --- Lines --- */

/* Puts the next batch into `payload`; one without lines passes. Returns as get(). */
static int load(StockFeed *feed, uint64_t realtime_usec)
{
        uint64_t seq = MAX(feed->batch.last, feed->released) + 1;
        Batch batch, gap;
        char stream[33];
        SourceRange range;
        int r;

        r = feed->source->get(feed->source, seq, &feed->cursor, &batch);
        if (r <= 0)
                return r;
        if (batch.reason == BATCH_LOST) {
                feed->source->range(feed->source, &range);
                stream_id_format(&range.stream, stream);
                record_explain_lost(&batch, feed->node, stream, record_time(realtime_usec, ++feed->gaps),
                                    feed->payload, &gap);
                batch.size = gap.size;
        } else if (batch.reason == BATCH_RECORDS) {
                memcpy(feed->payload, batch.payload, batch.size);
        } else {
                batch.size = 0;
        }
        feed->batch = batch;
        feed->offset = 0;
        /* A gap record stands for the whole range. */
        feed->seq = batch.reason == BATCH_LOST ? batch.last : batch.first;
        if (batch.size == 0)
                pass(feed, batch.last, batch.last, batch.checksum);
        return 1;
}

static size_t line_size(const StockFeed *feed)
{
        size_t left = feed->batch.size - feed->offset,
               size = record_next(feed->payload + feed->offset, left);

        return MIN(size, left);
}

/* The line is done with; whether it ends its batch. */
static bool step(StockFeed *feed)
{
        feed->offset += line_size(feed);
        feed->seq++;
        return feed->offset == feed->batch.size;
}

static bool is_eoe(const uint8_t *line, size_t size)
{
        static const char eoe[] = "EOE";
        RecordPrefix prefix;

        return record_parse(line, size, &prefix) == RECORD_OK && prefix.type.size == sizeof eoe - 1 &&
               memcmp(prefix.type.data, eoe, sizeof eoe - 1) == 0;
}

int stock_feed_next(StockFeed *feed, uint64_t realtime_usec, const uint8_t **ret_line, size_t *ret_size)
{
        for (;;) {
                const uint8_t *line = feed->payload + feed->offset;
                uint64_t seq = feed->seq;
                size_t size;
                bool eoe;

                if (feed->offset == feed->batch.size) {
                        int r = load(feed, realtime_usec);

                        if (r <= 0)
                                return r;
                        continue;
                }
                size = line_size(feed);
                eoe = is_eoe(line, size);
                if (seq > feed->acked && !eoe) {
                        *ret_line = line;
                        *ret_size = size;
                        return 1;
                }
                feed->skipped_eoe += eoe && seq > feed->acked;
                if (step(feed))
                        pass(feed, feed->batch.last, feed->batch.last, feed->batch.checksum);
                else
                        pass(feed, seq, 0, 0);
        }
}

void stock_feed_sent(StockFeed *feed)
{
        StockMark mark = { .seq = feed->seq };

        assert(feed->n < STOCK_WINDOW_MAX);
        if (step(feed))
                mark = (StockMark) { feed->batch.last, feed->batch.last, feed->batch.checksum };
        feed->n++;
        *newest(feed) = mark;
}
