/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A Source around the ring's. */

#include "dispatcher/feed.h"
#include "runtime/loop.h"

struct Feed {
        Source source;
        Ring *ring;
        Source *inner;
        uint64_t sent;
        uint64_t acked;
        uint64_t paused_usec; /* until then; 0: not */
};

static Feed *feed_of(Source *source)
{
        return container_of(source, Feed, source);
}

static bool paused(Feed *feed)
{
        if (feed->paused_usec == 0)
                return false;
        if (monotonic_usec() < feed->paused_usec)
                return true;
        feed->paused_usec = 0;
        return false;
}

static void feed_range(Source *source, SourceRange *ret)
{
        Feed *feed = feed_of(source);

        feed->inner->range(feed->inner, ret);
}

static int feed_get(Source *source, uint64_t seq, Cursor *cursor, Batch *ret)
{
        Feed *feed = feed_of(source);
        int r;

        if (paused(feed))
                return 0;
        r = feed->inner->get(feed->inner, seq, cursor, ret);
        if (r == 1)
                feed->sent = ret->last;
        return r;
}

static int feed_ended(Source *source, uint64_t seq, uint64_t *ret_checksum)
{
        Feed *feed = feed_of(source);

        return feed->inner->ended(feed->inner, seq, ret_checksum);
}

static void feed_release(Source *source, uint64_t seq, uint64_t checksum)
{
        Feed *feed = feed_of(source);

        feed->acked = seq;
        feed->inner->release(feed->inner, seq, checksum);
}

Source *feed_source(Feed *feed)
{
        return &feed->source;
}

void feed_pause(Feed *feed, uint64_t until_usec)
{
        feed->paused_usec = until_usec;
}

void feed_resume(Feed *feed)
{
        feed->paused_usec = 0;
}

void feed_status(Feed *feed, FeedStatus *ret)
{
        RingStatus status;

        ring_status(feed->ring, &status);
        *ret = (FeedStatus) {
                .sent = feed->sent,
                .acked = feed->acked,
                .queued_records = status.newest - MIN(MAX(feed->sent, status.oldest - 1), status.newest),
                .paused = paused(feed),
        };
}

int feed_new(const FeedOptions *options, Feed **ret)
{
        _cleanup_(feed_freep) Feed *feed = calloc(1, sizeof *feed);

        if (!feed)
                return -ENOMEM;
        *feed = (Feed) {
                .source = {
                        .range = feed_range,
                        .get = feed_get,
                        .ended = feed_ended,
                        .release = feed_release,
                },
                .ring = options->ring,
                .inner = ring_source(options->ring, options->name, options->overflow == OVERFLOW_BLOCK),
        };
        if (!feed->inner)
                return -ENOBUFS;
        *ret = TAKE_PTR(feed);
        return 0;
}

Feed *feed_free(Feed *feed)
{
        if (!feed)
                return NULL;
        ring_source_free(feed->ring, feed->inner);
        free(feed);
        return NULL;
}
