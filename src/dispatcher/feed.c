/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A Source around the ring's. It holds no records: a queue is a range of the ring, from the next seq to be
 * sent to the newest, and a policy only decides what of that range is given up:
 *
 *      drop-oldest     whatever lies more than the limit behind the newest
 *      drop-newest     the hole: from the first batch that found the queue at its limit to the newest there
 * is when all before it has been sent; what is published from then on is queued again the ring whatever it
 * has overwritten; to the subscriber that is the same
 *
 *  1. A queue only grows until get() takes from it. So it is enough to look when somebody asks: what is
 * given up then is what would have been given up at each publication in between.
 *  2. What was told lost is not sent afterwards, unless the subscriber asks again for what it has acked. So
 *     the counter of dropped records is exact.
 *  3. A batch keeps the ring's boundaries, and a lost range ends at one: a subscriber can resume wherever it
 *     was told of an end.
 *  4. A checksum is compared with a subscriber's only where it is certainly that of the batch it was sent.
 *  5. Without limit and filter a batch costs a few stores more than from the ring's own source.
 */

#include "dispatcher/feed.h"
#include "dispatcher/told.h"
#include "runtime/loop.h"

/* A queue holds at least one batch of any size, wherever the ring's area wraps. */
#define QUEUE_LIMIT_MIN (UINT64_C(2) * (BATCH_HEADER_SIZE + BATCH_PAYLOAD_MAX))

/* Before a batch. */
typedef struct Place {
        uint64_t seq;
        Cursor cursor;
} Place;

struct Feed {
        Source source;
        Ring *ring;
        Source *inner;
        const RecordFilter *filter;
        const RecordFilter *pressure_filter;
        Overflow overflow;
        uint64_t limit;
        bool bounded;    /* the limit drops; the ring itself has another */
        bool remembered; /* the ring keeps what is acked */
        uint64_t begun; /* newest seq when the feed began */
        Place next;     /* what get() will be asked for, unless the session begins anew */
        Place oldest;   /* drop-oldest: first that is kept */
        Place hole;     /* drop-newest: first that is not kept; seq 0: there is none */
        uint64_t acked;
        uint64_t given; /* highest seq ever given out */
        Told told;
        uint64_t pressed;
        bool under_pressure;
        uint64_t paused_usec; /* until then; 0: not */
};

/* Where a batch is left with those records that pass: senders copy at once. */
static uint8_t scratch[BATCH_PAYLOAD_MAX];

static const char lost_reason[] = "overflow";

static Feed *feed_of(Source *source)
{
        return container_of(source, Feed, source);
}

static SourceRange ring_range(Feed *feed)
{
        SourceRange range;

        feed->inner->range(feed->inner, &range);
        return range;
}

/* --- What is queued, and what is given up --- */

/* Moves the place behind its batch. */
static bool step(Feed *feed, Place *place, Batch *ret)
{
        if (feed->inner->get(feed->inner, place->seq, &place->cursor, ret) <= 0)
                return false;
        place->seq = ret->last + 1;
        return true;
}

/* drop-oldest: the oldest moves up to where at most the limit lies behind it. Each batch is stepped over
 * once. */
static void move_oldest(Feed *feed, const SourceRange *range)
{
        Batch batch;

        if (feed->oldest.seq < range->oldest) {
                feed->oldest.seq = range->oldest;
                (void) ring_seek(feed->ring, range->oldest, &feed->oldest.cursor);
        }
        while (ring_behind(feed->ring, &feed->oldest.cursor) > feed->limit &&
               step(feed, &feed->oldest, &batch))
                ;
}

/* drop-newest: where the queue reached its limit, if it has; also when the ring has overwritten its
 * beginning since. */
static void find_hole(Feed *feed, const SourceRange *range)
{
        uint64_t total = ring_behind(feed->ring, &feed->next.cursor);
        Place place = feed->next, before;
        Batch batch;

        if (feed->hole.seq > 0 || total <= feed->limit)
                return;
        if (place.seq < range->oldest) {
                place.seq = range->oldest;
                (void) ring_seek(feed->ring, range->oldest, &place.cursor);
        }
        do {
                before = place;
                if (!step(feed, &place, &batch))
                        return;
        } while (total - ring_behind(feed->ring, &place.cursor) <= feed->limit);
        feed->hole = before;
}

/* Brings up to date what the policy has given up. Returns the first seq that is still held. */
static uint64_t settle(Feed *feed, SourceRange *ret_range)
{
        *ret_range = ring_range(feed);
        if (!feed->bounded)
                return ret_range->oldest;
        if (feed->overflow == OVERFLOW_DROP_OLDEST) {
                move_oldest(feed, ret_range);
                return feed->oldest.seq;
        }
        find_hole(feed, ret_range);
        return ret_range->oldest;
}

/* Bytes from there on, the hole apart. */
static uint64_t queued_bytes(const Feed *feed, const Cursor *from)
{
        uint64_t behind = ring_behind(feed->ring, from), hole;

        if (feed->hole.seq == 0)
                return behind;
        hole = ring_behind(feed->ring, &feed->hole.cursor);
        return behind - MIN(hole, behind);
}

/* --- Losses --- */

/* Puts the next behind what is told as lost: a batch that says so. Returns 0 when too much of that is on its
 * way. */
static int tell_lost(Feed *feed, uint64_t last, Cursor *cursor, Batch *ret)
{
        uint64_t first = feed->next.seq;

        if (!told_add(&feed->told, first, last))
                return 0;
        *ret = (Batch) {
                .first = first,
                .last = last,
                .size = sizeof lost_reason - 1,
                .origin = BATCH_ORIGIN_LOCAL,
                .reason = BATCH_LOST,
                .payload = (const uint8_t *) lost_reason,
        };
        batch_seal(ret);
        if (feed->hole.seq > 0 && last >= feed->hole.seq)
                feed->hole.seq = 0;
        feed->next.seq = last + 1;
        (void) ring_seek(feed->ring, last + 1, &feed->next.cursor);
        feed->given = MAX(feed->given, last);
        *cursor = feed->next.cursor;
        return 1;
}

/* Whether the next seq is lost, and up to where: what reaches into a range told before, or up to the hole,
 * goes on to its end. */
static bool next_is_lost(Feed *feed, uint64_t *ret_last)
{
        uint64_t seq = feed->next.seq, held, last;
        SourceRange range;

        if (feed->hole.seq > 0 && seq > feed->hole.seq)
                feed->hole.seq = 0; /* the subscriber is further than we ever sent */
        held = settle(feed, &range);
        if (seq < held)
                last = held - 1;
        else if (seq == feed->hole.seq)
                last = range.newest;
        else
                last = seq - 1;
        if (!told_holds(&feed->told, MAX(seq, last), &last) && last < seq)
                return false;
        *ret_last = feed->hole.seq > 0 && last + 1 >= feed->hole.seq ? range.newest : last;
        return true;
}

/* --- Filters --- */

static void filter(Feed *feed, uint64_t queued, Batch *batch)
{
        const RecordFilter *filter = feed->filter;
        const Batch whole = *batch;

        feed->under_pressure = feed->pressure_filter && queued > feed->limit / 2;
        if (feed->under_pressure) {
                filter = feed->pressure_filter;
                /* Not a second time when a session begins anew. */
                if (whole.first > feed->given)
                        feed->pressed += record_filter_lost(feed->filter, filter, &whole);
        }
        if (filter)
                record_filter_batch(filter, &whole, scratch, batch);
}

/* --- The source --- */

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

        ret->oldest = settle(feed, ret);
}

/* What is gone takes no room in the queue. False: no batch begins there. */
static bool move_next(Feed *feed, uint64_t seq, const SourceRange *range)
{
        Place place = { .seq = seq };

        if (!ring_seek(feed->ring, MAX(seq, range->oldest), &place.cursor))
                return false;
        feed->next = place;
        return true;
}

/* A session that begins anew. */
static int resume(Feed *feed, uint64_t seq)
{
        SourceRange range;

        (void) settle(feed, &range); /* what the queue was until now */
        if (seq == 0 || seq > range.newest + 1 || !move_next(feed, seq, &range))
                return -ESTALE;
        return 0;
}

static int feed_get(Source *source, uint64_t seq, Cursor *cursor, Batch *ret)
{
        Feed *feed = feed_of(source);
        uint64_t queued, last;
        int r;

        if (paused(feed))
                return 0;
        if (seq != feed->next.seq) {
                r = resume(feed, seq);
                if (r < 0)
                        return r;
        }
        if (next_is_lost(feed, &last))
                return tell_lost(feed, last, cursor, ret);
        queued = queued_bytes(feed, &feed->next.cursor);
        r = feed->inner->get(feed->inner, seq, &feed->next.cursor, ret);
        if (r <= 0)
                return r;
        feed->next.seq = ret->last + 1;
        *cursor = feed->next.cursor;
        if (feed->filter || feed->pressure_filter)
                filter(feed, queued, ret);
        feed->given = MAX(feed->given, ret->last);
        return 1;
}

static int feed_ended(Source *source, uint64_t seq, uint64_t *ret_checksum)
{
        Feed *feed = feed_of(source);
        uint64_t acked, checksum;
        int r;

        /* As it was sent, whatever the filter was then. */
        if (ring_source_acked(feed->inner, &acked, &checksum) && acked == seq && checksum != 0) {
                *ret_checksum = checksum;
                return 1;
        }
        r = feed->inner->ended(feed->inner, seq, ret_checksum);
        /* What was there when the feed began may have been sent by another one before. */
        if (r == 1 && (feed->filter || feed->pressure_filter || feed->bounded || seq <= feed->begun))
                return 0;
        return r;
}

static void feed_release(Source *source, uint64_t seq, uint64_t checksum)
{
        Feed *feed = feed_of(source);

        feed->acked = seq;
        told_acked(&feed->told, seq);
        feed->inner->release(feed->inner, seq, checksum);
}

Source *feed_source(Feed *feed)
{
        return &feed->source;
}

/* --- What the owner calls --- */

void feed_pause(Feed *feed, uint64_t until_usec)
{
        feed->paused_usec = until_usec;
}

void feed_resume(Feed *feed)
{
        feed->paused_usec = 0;
}

/* Seqs that are given up and not told. */
static uint64_t untold(const Feed *feed, uint64_t held, uint64_t newest)
{
        uint64_t n = 0;

        if (feed->next.seq < held)
                n += told_uncounted(&feed->told, feed->next.seq, held - 1);
        if (feed->hole.seq > 0)
                n += told_uncounted(&feed->told, MAX(feed->hole.seq, held), newest);
        return n;
}

void feed_status(Feed *feed, FeedStatus *ret)
{
        SourceRange range;
        uint64_t held = settle(feed, &range), from = MAX(feed->next.seq, held), end = range.newest + 1;
        uint64_t lost = untold(feed, held, range.newest);
        Cursor cursor = feed->next.cursor;

        if (feed->hole.seq > 0)
                end = feed->hole.seq;
        if (feed->next.seq < held)
                (void) ring_seek(feed->ring, held, &cursor);
        *ret = (FeedStatus) {
                .sent = feed->next.seq - 1,
                .acked = feed->acked,
                .remembered = feed->remembered,
                .queued_records = end - MIN(from, end),
                .queued_bytes = queued_bytes(feed, &cursor),
                .dropped = feed->told.dropped + lost,
                .gaps = feed->told.gaps,
                .pressed = feed->pressed,
                .dropping = lost > 0 || feed->told.n > 0,
                .under_pressure = feed->under_pressure,
                .paused = paused(feed),
        };
}

/* Of an awaited or remembered one the ring knows where it stands. Of any other this is not known before its first
 * session: what is published from now on is queued for it. */
static void begin(Feed *feed)
{
        SourceRange range = ring_range(feed);
        uint64_t checksum;

        feed->begun = range.newest;
        (void) move_next(feed, range.newest + 1, &range);
        feed->remembered = ring_source_acked(feed->inner, &feed->acked, &checksum);
        if (feed->remembered)
                (void) move_next(feed, feed->acked + 1, &range); /* no batch there: its session will tell */
        /* What is gone by now was not lost by this feed. */
        feed->told.begin = settle(feed, &range);
}

int feed_new(const FeedOptions *options, Feed **ret)
{
        RingKeep keep = options->overflow == OVERFLOW_BLOCK ? RING_AWAITS
                        : options->remembered               ? RING_REMEMBERS
                                                            : RING_FORGETS;
        _cleanup_(feed_freep) Feed *feed = calloc(1, sizeof *feed);
        RingStatus status;

        if (!feed)
                return -ENOMEM;
        ring_status(options->ring, &status);
        *feed = (Feed) {
                .source = {
                        .range = feed_range,
                        .get = feed_get,
                        .ended = feed_ended,
                        .release = feed_release,
                },
                .ring = options->ring,
                .inner = ring_source(options->ring, options->name, keep),
                .filter = options->filter,
                .pressure_filter = options->pressure_filter,
                .overflow = options->overflow,
                .limit = status.size,
        };
        if (!feed->inner)
                return -ENOBUFS;
        if (options->queue_limit > 0 && options->queue_limit < status.size)
                feed->limit = MAX(options->queue_limit, QUEUE_LIMIT_MIN);
        feed->bounded = options->overflow != OVERFLOW_BLOCK && feed->limit < status.size;
        begin(feed);
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
