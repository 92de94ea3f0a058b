/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Feeds against lists: for each batch and subscriber the model decides at every publication, and not only
 * when it is asked, whether the batch is given up. Random publishing, reading, acking, broken sessions,
 * pauses, changes of the configuration and new processes, with every policy, limits, filters and pressure.
 *
 *  1. A subscriber is given each seq behind what it has, in order: as records, exactly those that its filter
 *     lets pass, or as a part of a lost range.
 *  2. Lost is told what the policy gave up, all of it and nothing else, and as one range where it is one.
 *  3. Counted as dropped is what was or will be told lost; counted as queued is what will be sent.
 *  4. A checksum that a feed knows is the one that was sent.
 */

#include "check-main.h"
#include "dispatcher/feed.h"
#include "dispatcher/told.h"
#include "runtime/loop.h"
#include "seed.h"

#include <stdio.h>

#define OPERATIONS 30000U
#define BATCHES_MAX 20000U
#define LINES_MAX 4U
#define SUBSCRIBERS 7U
#define RING_SIZE (3U * 1024U * 1024U)

/* An assertion of the check library writes to a pipe also when it holds, too slow for here. */
#define REQUIRE(condition)                                                                                  \
        do {                                                                                                \
                if (!(condition))                                                                           \
                        ck_abort_msg("not so: %s", #condition);                                             \
        } while (0)

static const char *const types[] = { "SYSCALL", "AVC", "USER_LOGIN", "EOE", "NO_TYPE" };
static const char *const filters[] = { "", "AVC", "~EOE", "user", "~0-65535" };
static RecordFilter *parsed[ELEMENTSOF(filters)]; /* the first is NULL */

typedef struct ModelBatch {
        uint64_t first, last;
        uint64_t begin, end; /* places in the ring */
        unsigned types[LINES_MAX];
        uint64_t checksum;
} ModelBatch;

typedef struct ModelSubscriber {
        Feed *feed;
        Overflow overflow;
        uint64_t limit; /* 0: the whole ring */
        size_t filter, pressure;
        bool has_pressure;
        bool remembered; /* the ring keeps what is acked; with block it does anyway */
        Cursor cursor;
        uint64_t acked; /* all up to this seq is the subscriber's */
        uint64_t ask;   /* the seq it asks for next */
        uint64_t next;  /* the one that the feed expects: it hears of a new session by its first question */
        uint64_t begin; /* what is lost below is not counted */
        size_t old;     /* batches before are too old: overwritten, or over the limit of drop-oldest */
        size_t from;    /* drop-newest: where the queue begins, */
        size_t hole;    /* and the first batch that is not kept; SIZE_MAX: all are */
        bool paused;
        uint64_t dropped_before; /* told, acked and so no longer looked at */
        uint64_t dropped_shown;
        ToldRange told[64]; /* on their way */
        unsigned n_told;
        bool gone[BATCHES_MAX];
        bool told_lost[BATCHES_MAX];
        uint64_t sent[BATCHES_MAX]; /* checksum of the batch that ended where this one ends; 0: none did */
} ModelSubscriber;

static ModelBatch batches[BATCHES_MAX];
static size_t n_batches;
static uint64_t newest, area_size;
static ModelSubscriber subscribers[SUBSCRIBERS];
static Ring *ring;
static Source *plain; /* looks at the ring only */
static char directory[64], path[80];
static uint64_t now_usec = 1;
static unsigned n_lost, n_holes, n_pressed, n_compared, n_full;

/* The feeds' clock. */
uint64_t monotonic_usec(void)
{
        return now_usec;
}

/* --- The lists --- */

/* The batch that holds seq; the one behind the last for newest + 1. */
static size_t find(uint64_t seq)
{
        size_t low = 0, high = n_batches;

        while (low < high) {
                size_t middle = (low + high) / 2;

                if (batches[middle].last < seq)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static uint64_t ring_oldest(void)
{
        RingStatus status;

        ring_status(ring, &status);
        return status.oldest;
}

static uint64_t end_place(void)
{
        return n_batches > 0 ? batches[n_batches - 1].end : 0;
}

static bool drops(const ModelSubscriber *s, Overflow overflow)
{
        return s->overflow == overflow && s->limit > 0;
}

/* drop-newest: the first of those from `i` on that finds no room behind what is queued. */
static void fill_queue(ModelSubscriber *s, size_t i)
{
        if (!drops(s, OVERFLOW_DROP_NEWEST) || s->hole != SIZE_MAX)
                return;
        while (i < n_batches && batches[i].end - batches[s->from].begin <= s->limit)
                i++;
        if (i == n_batches)
                return;
        n_holes++;
        for (s->hole = i; i < n_batches; i++)
                s->gone[i] = true;
}

/* The ring has moved on; batches from `published` on are new. */
static void decide(ModelSubscriber *s, size_t published)
{
        uint64_t oldest = ring_oldest();

        for (size_t i = published; i < n_batches; i++)
                s->gone[i] = s->hole != SIZE_MAX;
        for (; s->old < n_batches; s->old++) {
                const ModelBatch *batch = &batches[s->old];

                if (batch->first >= oldest &&
                    !(drops(s, OVERFLOW_DROP_OLDEST) && end_place() - batch->begin > s->limit))
                        break;
                s->gone[s->old] = true;
        }
        fill_queue(s, published);
}

/* The first seq that is not too old. */
static uint64_t held(const ModelSubscriber *s)
{
        return s->old < n_batches ? batches[s->old].first : newest + 1;
}

/* --- The world --- */

static void begin_session(ModelSubscriber *s)
{
        s->ask = s->acked + 1;
        s->cursor = (Cursor) { 0 };
}

/* The feed hears of the session. */
static void resume(ModelSubscriber *s)
{
        if (s->next == s->ask)
                return;
        s->next = s->ask;
        s->from = MAX(find(s->next), find(ring_oldest()));
        if (s->hole != SIZE_MAX && find(s->next) > s->hole)
                s->hole = SIZE_MAX;
        fill_queue(s, s->from);
}

/* Another process, or another configuration: nothing of the feed before is left but what the ring remembers.
 */
static void begin_feed(ModelSubscriber *s, const char *name)
{
        const FeedOptions options = {
                .ring = ring,
                .name = name,
                .filter = parsed[s->filter],
                .pressure_filter = s->has_pressure ? parsed[s->pressure] : NULL,
                .queue_limit = s->limit,
                .overflow = s->overflow,
                .remembered = s->remembered,
        };
        FeedStatus status;

        REQUIRE(feed_new(&options, &s->feed) == 0);
        feed_status(s->feed, &status);
        memset(s->gone, 0, sizeof s->gone);
        memset(s->told_lost, 0, sizeof s->told_lost);
        s->n_told = 0;
        s->old = 0;
        s->hole = SIZE_MAX;
        s->next = status.sent + 1;
        s->from = MAX(find(s->next), find(ring_oldest()));
        s->dropped_before = s->dropped_shown = 0;
        s->paused = false;
        decide(s, n_batches);
        fill_queue(s, s->from);
        s->begin = held(s);
        REQUIRE(status.sent == (s->remembered ? s->acked : newest) &&
                status.acked == (s->remembered ? s->acked : 0));
}

static void configure(ModelSubscriber *s)
{
        static const uint64_t limits[] = { 0, 540000, 700000, 1000000, 1400000, 2000000 };
        char name[2] = { (char) ('a' + (s - subscribers)), '\0' };
        bool remembered = s->remembered;

        s->feed = feed_free(s->feed);
        s->overflow = (Overflow) random_below(3);
        if (s - subscribers > 1 && s->overflow == OVERFLOW_BLOCK)
                s->overflow = OVERFLOW_DROP_NEWEST;
        s->remembered = s->overflow == OVERFLOW_BLOCK || random_below(3) == 0;
        if (remembered && !s->remembered)
                ring_forget(ring, name);
        s->limit = limits[random_below(ELEMENTSOF(limits))];
        s->filter = random_below(2) * random_below(ELEMENTSOF(filters));
        s->has_pressure = random_below(3) == 0;
        s->pressure = 1 + random_below(ELEMENTSOF(filters) - 1);
        if (s->remembered && !remembered)
                s->acked = newest; /* so much the ring promises */
        begin_feed(s, name);
        begin_session(s);
}

static void open_ring(void)
{
        const RingOptions options = { .path = path, .size = RING_SIZE, .node = "n", .stream = { { 1 } } };
        RingStatus status;
        bool created;

        ck_assert_int_eq(ring_open(&options, &ring, &created), 0);
        plain = ring_source(ring, "plain", RING_FORGETS);
        ring_status(ring, &status);
        area_size = status.size;
}

static void end_process(void)
{
        for (size_t i = 0; i < SUBSCRIBERS; i++)
                subscribers[i].feed = feed_free(subscribers[i].feed);
        ring_source_free(ring, plain);
        ring = ring_free(ring);
}

static void restart(void)
{
        end_process();
        open_ring();
        for (size_t i = 0; i < SUBSCRIBERS; i++) {
                char name[2] = { (char) ('a' + i), '\0' };

                begin_feed(&subscribers[i], name);
                begin_session(&subscribers[i]);
        }
}

static size_t put_line(uint8_t *out, uint64_t seq, unsigned type, size_t size)
{
        int n = sprintf((char *) out, "node=n type=%s msg=audit(1.000:%" PRIu64 "): ", types[type], seq);

        memset(out + n, 'x', size);
        out[(size_t) n + size] = '\n';
        return (size_t) n + size + 1;
}

static bool seal_batch(void)
{
        static const uint64_t scales[] = { 100, 2000, 20000, 60000 };
        size_t most = scales[random_below(ELEMENTSOF(scales))], size = 0;
        uint32_t count = 1 + (uint32_t) random_below(LINES_MAX);
        ModelBatch *batch = &batches[n_batches];
        uint8_t *out = ring_begin(ring, count * (most + 100), false);

        if (!out) {
                n_full++;
                return false;
        }
        batch->first = newest + 1;
        for (uint32_t i = 0; i < count; i++) {
                batch->types[i] = (unsigned) random_below(ELEMENTSOF(types));
                size += put_line(out + size, ++newest, batch->types[i], random_below(most));
        }
        batch->last = newest;
        ring_seal(ring, size, count, BATCH_ORIGIN_KERNEL);
        n_batches++;
        return true;
}

static void publish(void)
{
        size_t published = n_batches;
        Cursor cursor = { 0 };
        uint64_t place;

        for (uint64_t n = 1 + random_below(6); n > 0 && n_batches < BATCHES_MAX; n--)
                if (!seal_batch())
                        break;
        REQUIRE(ring_seek(ring, published > 0 ? batches[published - 1].last + 1 : 1, &cursor));
        place = cursor.position[0];
        ring_publish(ring);
        for (size_t i = published; i < n_batches; i++) {
                Batch batch;

                REQUIRE(plain->get(plain, batches[i].first, &cursor, &batch) == 1);
                batches[i].begin = place;
                batches[i].end = place = cursor.position[0];
                batches[i].checksum = batch.checksum;
        }
        for (size_t i = 0; i < SUBSCRIBERS; i++)
                decide(&subscribers[i], published);
}

/* --- Reading --- */

static bool passes(size_t filter, unsigned type)
{
        static const bool table[ELEMENTSOF(filters)][ELEMENTSOF(types)] = {
                { true, true, true, true, true },     { false, true, false, false, false },
                { true, true, true, false, true },    { false, false, true, false, false },
                { false, false, false, false, true },
        };

        return table[filter][type];
}

static uint64_t queued(const ModelSubscriber *s, size_t from)
{
        uint64_t end = s->hole != SIZE_MAX ? batches[s->hole].begin : end_place();

        return from < n_batches && batches[from].begin < end ? end - batches[from].begin : 0;
}

static void check_records(ModelSubscriber *s, const Batch *batch)
{
        const ModelBatch *expected = &batches[find(s->next)];
        uint64_t limit = s->limit > 0 ? s->limit : area_size;
        bool pressed = s->has_pressure && queued(s, find(s->next)) > limit / 2;
        size_t filter = pressed ? s->pressure : s->filter;
        const uint8_t *p = batch->payload;
        uint32_t count = 0;

        REQUIRE(batch->first == expected->first && batch->last == expected->last &&
                batch_payload_intact(batch));
        for (uint64_t seq = batch->first; seq <= batch->last; seq++) {
                char begin[64];
                int size;

                if (!passes(filter, expected->types[seq - batch->first]))
                        continue;
                size = sprintf(begin, "node=n type=%s msg=audit(1.000:%" PRIu64 "):",
                               types[expected->types[seq - batch->first]], seq);
                REQUIRE(p < batch->payload + batch->size && memcmp(p, begin, (size_t) size) == 0);
                p = (uint8_t *) memchr(p, '\n', (size_t) (batch->payload + batch->size - p)) + 1;
                count++;
        }
        REQUIRE(count == batch->count && p == batch->payload + batch->size);
        REQUIRE(batch->reason == (count == batch_range(batch) ? BATCH_RECORDS : BATCH_FILTERED));
        n_pressed += pressed;
}

static void note_told(ModelSubscriber *s, const Batch *batch)
{
        unsigned kept = 0;

        for (unsigned i = 0; i < s->n_told; i++)
                if (s->told[i].last < batch->first || s->told[i].first > batch->last)
                        s->told[kept++] = s->told[i];
        REQUIRE(kept < TOLD_MAX);
        s->told[kept] = (ToldRange) { batch->first, batch->last };
        s->n_told = kept + 1;
}

static void check_lost(ModelSubscriber *s, const Batch *batch)
{
        size_t i = find(batch->first), end = find(batch->last + 1);
        bool again = s->told_lost[i];

        n_lost++;
        REQUIRE(batch->last <= newest && (end == n_batches || batches[end].first == batch->last + 1));
        /* One range where it is one; but what was told before is told again as it was. */
        REQUIRE(end == n_batches || !s->gone[end] || s->told_lost[end] || again);
        for (; i < end; i++) {
                REQUIRE(s->gone[i]);
                s->told_lost[i] = true;
        }
        note_told(s, batch);
        if (s->hole < end)
                s->hole = SIZE_MAX;
}

static void read_some(ModelSubscriber *s)
{
        Source *source = feed_source(s->feed);

        if (!s->paused)
                resume(s);
        for (uint64_t n = 1 + random_below(40); n > 0; n--) {
                size_t i = find(s->ask);
                Batch batch;
                int r = source->get(source, s->ask, &s->cursor, &batch);

                if (r == 0) {
                        bool waits = i < n_batches && s->gone[i] && s->n_told == TOLD_MAX;

                        REQUIRE(s->paused || s->ask == newest + 1 || waits);
                        return;
                }
                REQUIRE(r == 1 && !s->paused && batch.first == s->ask);
                if (s->gone[i]) {
                        REQUIRE(batch.reason == BATCH_LOST);
                        check_lost(s, &batch);
                } else {
                        check_records(s, &batch);
                }
                s->next = s->ask = batch.last + 1;
                s->from = find(s->next);
                s->sent[s->from - 1] = batch.checksum;
        }
}

/* The end of some batch, from `low` to `high`, which both are the end of one. */
static uint64_t end_between(uint64_t low, uint64_t high)
{
        uint64_t seq = low + random_below(high - low + 1);

        return seq == low ? low : batches[find(seq)].last;
}

/* What a session that was in the middle of a lost range was told: it ends where that ended. */
static uint64_t told_end(const ModelSubscriber *s, uint64_t seq)
{
        for (unsigned i = 0; i < s->n_told; i++)
                if (seq >= s->told[i].first && seq < s->told[i].last)
                        return s->told[i].last;
        return seq;
}

/* Anything that was sent and not yet acked, up to the end of a batch. */
static uint64_t some_sent(const ModelSubscriber *s)
{
        return told_end(s, end_between(s->acked, s->ask - 1));
}

static void ack(ModelSubscriber *s, uint64_t seq)
{
        unsigned kept = 0;
        Source *source = feed_source(s->feed);

        if (seq == 0)
                return;
        source->release(source, seq, seq == s->acked ? 0 : s->sent[find(seq)]);
        for (size_t i = find(s->acked + 1); i < n_batches && batches[i].last <= seq; i++) {
                if (s->told_lost[i] && batches[i].last >= s->begin)
                        s->dropped_before += batches[i].last - MAX(batches[i].first, s->begin) + 1;
                s->told_lost[i] = false;
                s->gone[i] = i < s->old; /* what was in a hole may be sent to one who asks again */
        }
        for (unsigned i = 0; i < s->n_told; i++)
                if (s->told[i].last > seq)
                        s->told[kept++] = s->told[i];
        s->n_told = kept;
        s->acked = seq;
}

/* --- What is asked --- */

static void check_status(ModelSubscriber *s)
{
        uint64_t dropped = s->dropped_before, from = MAX(s->next, held(s)), end = newest + 1;
        FeedStatus status;
        bool pending = false;

        if (s->hole != SIZE_MAX)
                end = MAX(batches[s->hole].first, from);
        for (size_t i = 0; i < n_batches; i++)
                if (s->gone[i] && batches[i].last >= s->begin &&
                    (batches[i].first >= s->next || s->told_lost[i])) {
                        dropped += batches[i].last - MAX(batches[i].first, s->begin) + 1;
                        pending = true;
                }
        feed_status(s->feed, &status);
        REQUIRE(status.sent == s->next - 1);
        REQUIRE(status.dropped == dropped && dropped >= s->dropped_shown);
        REQUIRE(status.dropping == (pending || s->n_told > 0));
        REQUIRE(status.queued_records == end - from);
        REQUIRE(status.queued_bytes == queued(s, find(from)));
        s->dropped_shown = dropped;
}

static void check_range(ModelSubscriber *s)
{
        Source *source = feed_source(s->feed);
        SourceRange range;

        source->range(source, &range);
        REQUIRE(range.oldest == held(s) && range.newest == newest);
}

static void check_ended(ModelSubscriber *s)
{
        Source *source = feed_source(s->feed);
        uint64_t seq = random_below(newest + 2), checksum = 0;
        size_t i;
        int r;

        if (random_below(2) == 0)
                seq = end_between(s->acked, s->ask - 1);
        i = find(seq);
        r = source->ended(source, seq, &checksum);
        if (seq > newest || (seq >= ring_oldest() && batches[i].last != seq)) {
                REQUIRE(r == -ESTALE);
                return;
        }
        REQUIRE(r == 0 || r == 1);
        if (r == 1 && s->sent[i] != 0) {
                n_compared++;
                REQUIRE(checksum == s->sent[i]);
        }
}

/* --- One after the other --- */

static void use(ModelSubscriber *s)
{
        switch (random_below(12)) {
        case 0:
                /* The session breaks, and WELCOME says what the subscriber has. */
                if (random_below(4) == 0) {
                        ack(s, some_sent(s));
                        begin_session(s);
                }
                break;
        case 1:
                s->paused = random_below(3) == 0;
                if (s->paused)
                        feed_pause(s->feed, now_usec + 1 + random_below(100));
                else
                        feed_resume(s->feed);
                break;
        case 2:
                for (unsigned i = 0; i < 10; i++)
                        check_ended(s);
                break;
        case 3:
                check_range(s);
                break;
        case 4:
                check_status(s);
                break;
        case 5:
        case 6:
        case 7:
                ack(s, some_sent(s));
                break;
        default:
                read_some(s);
        }
}

static void step(void)
{
        uint64_t choice = random_below(1000);

        if (choice < 150 && n_batches + 10 < BATCHES_MAX)
                publish();
        else if (choice < 152)
                configure(&subscribers[random_below(SUBSCRIBERS)]);
        else if (choice < 153)
                restart();
        else if (choice < 155) {
                now_usec += 1000;
                for (size_t i = 0; i < SUBSCRIBERS; i++)
                        subscribers[i].paused = false;
        } else {
                /* Some are slow. */
                size_t i = random_below(SUBSCRIBERS);

                if (random_below(1 + i) < 2)
                        use(&subscribers[i]);
        }
}

START_TEST(a_feed_is_its_model)
{
        char command[128];

        strcpy(directory,
               access("/dev/shm", W_OK) == 0 ? "/dev/shm/test-feed-XXXXXX" : "/tmp/test-feed-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        (void) snprintf(path, sizeof path, "%s/ring", directory);
        open_ring();
        for (size_t i = 1; i < ELEMENTSOF(filters); i++) {
                char *why;

                ck_assert_int_eq(record_filter_parse(filters[i], strlen(filters[i]), &parsed[i], &why), 0);
        }
        for (size_t i = 0; i < SUBSCRIBERS; i++)
                configure(&subscribers[i]);
        for (unsigned i = 0; i < OPERATIONS; i++)
                step();
        printf("# %zu batches, %u lost ranges, %u holes, %u under pressure, %u checksums, %u times full\n",
               n_batches, n_lost, n_holes, n_pressed, n_compared, n_full);
        ck_assert_uint_gt(n_lost, 50);
        ck_assert_uint_gt(n_holes, 20);
        ck_assert_uint_gt(n_pressed, 20);
        ck_assert_uint_gt(n_compared, 20);
        end_process();
        for (size_t i = 1; i < ELEMENTSOF(filters); i++)
                record_filter_free(parsed[i]);
        (void) snprintf(command, sizeof command, "rm -r %s", directory);
        ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("feed-model");
        TCase *tcase = tcase_create("feed-model");

        seed_begin(argc, argv);
        tcase_add_test(tcase, a_feed_is_its_model);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
