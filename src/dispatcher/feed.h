/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One subscriber's view of the ring: which records it is shown, and how far it may fall behind.
 *
 * A feed is a Source for a link sender (or whoever else reads batches): the ring's batches in their
 * boundaries, filtered; and in place of what this subscriber has lost, the batch that says so (reason lost).
 * What is sent and not yet acked is no longer queued; should its session break, the next one asks for it
 * again, and gets it if it is still held.
 */

#include "record/record-filter.h"
#include "ring/ring.h"

/* What gives way when a subscriber is too slow: */
typedef enum Overflow {
        OVERFLOW_DROP_OLDEST, /* the oldest it was not sent: it is never more than the limit behind */
        OVERFLOW_DROP_NEWEST, /* what comes while the queue is at its limit, until all of it has been sent */
        OVERFLOW_BLOCK,       /* nothing: the ring keeps it, and is full one day */
} Overflow;

/* Filters are not owned and must outlive the feed. */
typedef struct FeedOptions {
        Ring *ring;
        const char *name;           /* of the subscriber; copied */
        const RecordFilter *filter; /* NULL: all */
        /* In place of the filter while more than half the limit is queued. NULL: none. */
        const RecordFilter *pressure_filter;
        uint64_t queue_limit; /* bytes; 0: the whole ring. With block it is for pressure only */
        Overflow overflow;
        bool remembered; /* the ring keeps where it stands, as for block, but waits for nothing */
} FeedOptions;

typedef struct FeedStatus {
        uint64_t sent;           /* last seq given out; before the first session, where its queue begins */
        uint64_t acked;          /* last seq known to be in the subscriber's custody; 0: not known yet */
        uint64_t queued_records; /* published, still held for it and not given out yet, */
        uint64_t queued_bytes;   /* as they lie in the ring */
        uint64_t dropped;        /* records given up because it was too slow, since the feed began */
        uint64_t gaps;           /* lost ranges it was told of, each once, however many sessions it took */
        uint64_t pressed;        /* records that the filter lets pass and the pressure filter left out */
        bool remembered;         /* the ring keeps what is acked: it is known from the beginning */
        bool dropping;           /* something given up is not yet told, or told and not yet acked */
        bool under_pressure;
        bool paused;
} FeedStatus;

typedef struct Feed Feed;

/* Returns 0; -ENOBUFS when the ring waits for too many already (block); -ENOMEM. */
int feed_new(const FeedOptions *options, Feed **ret) _must_check_;
Feed *feed_free(Feed *feed);
DEFINE_CLEANUP(Feed *, feed_free)

/* Owned by the feed. A payload is valid until the next call on any feed: filtered ones share one buffer. */
Source *feed_source(Feed *feed);

/* Until then (monotonic) get() says that nothing is there, so that a session lives on with heartbeats alone;
 * the queue, and what follows from it, go on. It ends by itself: the next get() behind that time has the
 * batches again. */
void feed_pause(Feed *feed, uint64_t until_usec);
void feed_resume(Feed *feed);

void feed_status(Feed *feed, FeedStatus *ret);
