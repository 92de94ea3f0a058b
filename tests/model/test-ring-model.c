/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The ring against an array: random writing, publishing, reading, acking, forgetting and reopening, with subscribers that are
 * awaited and others. Built with a small ring, so that it wraps often.
 *
 *  1. What is held is what the array has, batch for batch.
 *  2. Nothing that an awaited subscriber has not acked leaves.
 *  3. The ring says it is full only when it is: when what must be held and the padding leave no room.
 *  4. Whoever reads on from where he was gets every seq or an explanation of it, once.
 */

#include "check-main.h"
#include "mark.h"
#include "seed.h"
#include "ring/ring.h"

#include <stdio.h>

#define OPERATIONS 20000U
#define BATCHES_MAX 60000U
#define SUBSCRIBERS 6U
#define STREAMS 5U

typedef struct Model {
        Batch batches[BATCHES_MAX]; /* published; payload NULL */
        size_t n_batches;
        uint64_t newest;
        uint64_t dropped; /* in the state */
        struct {
                Source *source; /* NULL: not there now */
                bool awaited;   /* in the file's table */
                uint64_t acked;
                uint64_t sent; /* last seq read */
                Cursor cursor;
        } subscribers[SUBSCRIBERS];
        uint64_t positions[STREAMS];
} Model;

static Model m;
static Ring *ring;
static char directory[64], path[80];
static const RingOptions options = { .path = path, .size = RING_SIZE_MIN, .node = "n1", .stream = { { 1 } } };
static unsigned n_full, n_explained;

/* An assertion of the check library writes to a pipe also when it holds, too slow for here. */
#define REQUIRE(condition)                                        \
        do {                                                      \
                if (!(condition))                                 \
                        ck_abort_msg("not so: %s", #condition);   \
        } while (0)

/* --- The array --- */

static uint64_t floor_seq(void)
{
        uint64_t floor = UINT64_MAX;

        for (size_t i = 0; i < SUBSCRIBERS; i++)
                if (m.subscribers[i].awaited)
                        floor = MIN(floor, m.subscribers[i].acked);
        return floor;
}

/* The batch that holds seq. */
static const Batch *model_find(uint64_t seq)
{
        size_t low = 0, high = m.n_batches;

        while (low < high) {
                size_t middle = (low + high) / 2;

                if (m.batches[middle].last < seq)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < m.n_batches ? &m.batches[low] : NULL;
}

static void model_add(uint32_t count, uint32_t size, uint64_t hash, BatchOrigin origin)
{
        Batch batch = { .count = count, .size = size, .origin = origin, .payload_hash = hash };

        REQUIRE(m.n_batches < BATCHES_MAX);
        batch_renumber(&batch, m.newest + 1, m.newest + count);
        m.batches[m.n_batches++] = batch;
        m.newest = batch.last;
}

/* Bytes that must be held, without padding. */
static uint64_t model_held(void)
{
        uint64_t floor = floor_seq(), bytes = 0;

        for (size_t i = m.n_batches; i-- > 0 && m.batches[i].last > floor;)
                bytes += BATCH_HEADER_SIZE + ALIGN_UP(m.batches[i].size, 8);
        return bytes;
}

static bool model_full(uint64_t size_max)
{
        uint64_t need = BATCH_HEADER_SIZE + ALIGN_UP(size_max, 8);

        /* The end of the area may have been left empty for this batch and for the largest one before. */
        return model_held() + need + need + 200000 > RING_SIZE_MIN - RING_RESERVE;
}

static uint64_t oldest(void)
{
        RingStatus status;

        ring_status(ring, &status);
        return status.oldest;
}

/* --- Operations --- */

static size_t random_size(uint32_t count)
{
        static const uint64_t scales[] = { 100, 1000, 30000, 150000 };

        return count * 2 + random_below(scales[random_below(ELEMENTSOF(scales))]);
}

static void fill_payload(uint8_t *out, size_t size)
{
        uint64_t value = random_below(UINT32_MAX);

        memset(out, (int) (value & 0x7f), size);
        memcpy(out, &value, MIN(size, sizeof value));
}

static void open_ring(void)
{
        static bool made;
        bool created;

        ck_assert_int_eq(ring_open(&options, &ring, &created), 0);
        ck_assert_int_eq(created, !made);
        made = true;
        for (size_t i = 0; i < SUBSCRIBERS; i++)
                m.subscribers[i].source = NULL;
}

/* Up to three batches in one publication; sometimes the process ends before it. */
static void write_batches(void)
{
        bool crash = random_below(20) == 0;
        size_t n_batches = m.n_batches;
        uint64_t newest = m.newest;

        for (uint64_t n = random_below(4); n > 0; n--) {
                uint32_t count = 1 + (uint32_t) random_below(5);
                size_t size = random_size(count), most = size + random_below(1000);
                uint8_t *out = ring_begin(ring, most, false);

                if (!out) {
                        n_full++;
                        REQUIRE(model_full(most));
                        break;
                }
                if (random_below(10) == 0)
                        continue; /* given up */
                fill_payload(out, size);
                ring_seal(ring, size, count, BATCH_ORIGIN_KERNEL);
                model_add(count, (uint32_t) size, checksum64(out, size), BATCH_ORIGIN_KERNEL);
        }
        if (crash) {
                m.n_batches = n_batches;
                m.newest = newest;
                ring = ring_free(ring);
                open_ring();
                return;
        }
        ring_state(ring)->dropped = ++m.dropped;
        ring_publish(ring);
}

static void append_to_sink(void)
{
        static uint8_t payload[200000];
        uint64_t n = random_below(STREAMS), last, checksum;
        StreamId stream = { { (uint8_t) (n + 1) } };
        uint32_t count = 1 + (uint32_t) random_below(5);
        Batch batch = { .first = m.positions[n] + 1, .last = m.positions[n] + count, .count = count,
                        .size = (uint32_t) random_size(count), .origin = BATCH_ORIGIN_LOCAL, .payload = payload };
        Sink *sink = ring_sink(ring);
        int r;

        REQUIRE(sink->position(sink, &stream, "me", &last, &checksum) == 0 && last == m.positions[n]);
        fill_payload(payload, batch.size);
        batch_seal(&batch);
        r = sink->append(sink, &stream, "me", &batch, &batch, 0);
        if (r == -ENOSPC) {
                n_full++;
                REQUIRE(model_full(batch.size));
                return;
        }
        REQUIRE(r == 0);
        m.positions[n] = batch.last;
        model_add(count, batch.size, batch.payload_hash, BATCH_ORIGIN_LOCAL);
}

static const char *subscriber_name(size_t i)
{
        static const char *const names[SUBSCRIBERS] = { "a", "b", "c", "d", "e", "f" };

        return names[i];
}

/* The end of some batch, from `low` to `high`, which both are the end of one. */
static uint64_t batch_end_between(uint64_t low, uint64_t high)
{
        uint64_t seq = low + random_below(high - low + 1);

        return seq == low ? low : model_find(seq)->last;
}

/* The first three are awaited while they are in the configuration. */
static void attach(size_t i)
{
        bool awaited = i < 3;

        m.subscribers[i].source = ring_source(ring, subscriber_name(i), awaited);
        REQUIRE(m.subscribers[i].source);
        m.subscribers[i].cursor = (Cursor) { { 0 } };
        if (awaited && !m.subscribers[i].awaited) {
                m.subscribers[i].awaited = true;
                m.subscribers[i].acked = m.newest;
        }
        /* The end of the session before did not get through. */
        if (m.subscribers[i].sent > m.subscribers[i].acked)
                m.subscribers[i].sent = batch_end_between(m.subscribers[i].acked, m.subscribers[i].sent);
}

static void read_some(size_t i)
{
        Source *source = m.subscribers[i].source;

        for (uint64_t n = random_below(60); n > 0; n--) {
                uint64_t seq = m.subscribers[i].sent + 1;
                const Batch *expected;
                Batch batch;
                int r;

                if (random_below(100) == 0)
                        m.subscribers[i].cursor = (Cursor) { { random_below(1 << 22), seq } };
                r = source->get(source, seq, &m.subscribers[i].cursor, &batch);
                if (r == 0) {
                        REQUIRE(seq == m.newest + 1);
                        return;
                }
                REQUIRE(r == 1 && batch.first == seq);
                m.subscribers[i].sent = batch.last;
                if (batch.reason == BATCH_LOST) {
                        n_explained++;
                        REQUIRE(batch.last == oldest() - 1);
                        REQUIRE(!m.subscribers[i].awaited || batch.last <= m.subscribers[i].acked);
                        continue;
                }
                expected = model_find(seq);
                REQUIRE(expected && expected->first == seq && expected->checksum == batch.checksum);
                REQUIRE(batch_payload_intact(&batch));
        }
}

static void ack(size_t i)
{
        Source *source = m.subscribers[i].source;
        uint64_t seq = m.subscribers[i].sent;

        if (seq == 0)
                return;
        if (random_below(4) == 0) /* also one that is acked already */
                seq = batch_end_between(0, seq);
        source->release(source, seq, model_find(seq)->checksum);
        if (m.subscribers[i].awaited)
                m.subscribers[i].acked = MAX(m.subscribers[i].acked, seq);
}

static void compare_end(size_t i)
{
        Source *source = m.subscribers[i].source;
        uint64_t seq = random_below(m.newest + 3), checksum = 0;
        const Batch *batch = model_find(seq);
        int r = source->ended(source, seq, &checksum);

        if (seq > m.newest || (seq >= oldest() && (!batch || batch->last != seq)))
                REQUIRE(r == -ESTALE);
        else if (seq >= oldest())
                REQUIRE(r == 1 && checksum == batch->checksum);
        else
                REQUIRE(r == 0 || (r == 1 && seq == m.subscribers[i].acked && checksum == batch->checksum));
}

static void forget(size_t i)
{
        m.subscribers[i].acked = 0;
        ring_forget(ring, subscriber_name(i));
        m.subscribers[i].awaited = false;
}

static void reopen(void)
{
        ring = ring_free(ring);
        open_ring();
        REQUIRE(ring_state(ring)->dropped == m.dropped);
}

static void check_invariants(void)
{
        uint64_t floor = floor_seq();
        const Batch *first;
        RingStatus status;

        ring_status(ring, &status);
        REQUIRE(status.newest == m.newest);
        REQUIRE(status.oldest <= m.newest + 1);
        REQUIRE(floor == UINT64_MAX || status.oldest <= floor + 1);
        first = model_find(status.oldest);
        REQUIRE(first ? first->first == status.oldest : status.oldest == m.newest + 1);
        REQUIRE(floor == UINT64_MAX ? status.used == 0 : status.used >= model_held());
        REQUIRE(status.used <= status.size);
}

static void use_subscriber(size_t i)
{
        if (!m.subscribers[i].source)
                attach(i);
        /* Those that nobody waits for are slow. */
        if (i < 3 || random_below(50) == 0)
                read_some(i);
        compare_end(i);
        if (random_below(2) == 0)
                ack(i);
        if (random_below(100) == 0) {
                ring_source_free(ring, m.subscribers[i].source);
                m.subscribers[i].source = NULL;
        }
}

static void step(void)
{
        uint64_t choice = random_below(400);

        if (choice < 120)
                write_batches();
        else if (choice < 150)
                append_to_sink();
        else if (choice < 152)
                reopen();
        else if (choice < 154)
                forget(random_below(3));
        else
                use_subscriber(random_below(SUBSCRIBERS));
        check_invariants();
}

START_TEST(the_ring_is_its_model)
{
        char command[128];

        strcpy(directory, access("/dev/shm", W_OK) == 0 ? "/dev/shm/test-ring-XXXXXX" : "/tmp/test-ring-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        (void) snprintf(path, sizeof path, "%s/ring", directory);
        open_ring();
        for (unsigned i = 0; i < OPERATIONS; i++)
                step();
        printf("# %zu batches, %u wraps, %u times full, %u explanations, %u searches\n", m.n_batches,
               (unsigned) mark_count("ring.wrap"), n_full, n_explained, (unsigned) mark_count("ring.search"));
        ck_assert(marks_reached("ring-model"));
        ck_assert_uint_gt(mark_count("ring.wrap"), 20);
        ck_assert_uint_gt(n_full, 20);
        ck_assert_uint_gt(n_explained, 20);
        ck_assert_uint_gt(mark_count("ring.search"), 20);
        ring = ring_free(ring);
        (void) snprintf(command, sizeof command, "rm -r %s", directory);
        ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("ring-model");
        TCase *tcase = tcase_create("ring-model");

        seed_begin(argc, argv);
        tcase_add_test(tcase, the_ring_is_its_model);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
