/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "ring/ring.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

static char directory[64], path[80];
static Ring *ring;
static bool created;

static const RingOptions options = {
        .path = path, .size = RING_SIZE_MIN, .node = "n1", .stream = { { 1, 2, 3 } }
};

static void open_ring(void)
{
        ck_assert_int_eq(ring_open(&options, &ring, &created), 0);
}

static void reopen_ring(void)
{
        ring = ring_free(ring);
        open_ring();
        ck_assert(!created);
}

static void set_up(void)
{
        strcpy(directory, "/tmp/test-ring-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        (void) snprintf(path, sizeof path, "%s/ring", directory);
        open_ring();
        ck_assert(created);
}

static void tear_down(void)
{
        char command[128];

        ring = ring_free(ring);
        (void) snprintf(command, sizeof command, "rm -r %s", directory);
        ck_assert_int_eq(system(command), 0);
}

/* One batch of `count` lines of `size` bytes each, filled with `byte`. */
static bool put(uint32_t count, size_t size, int byte, bool reserve)
{
        uint8_t *out = ring_begin(ring, count * size, reserve);

        if (!out)
                return false;
        memset(out, byte, count * size);
        for (uint32_t i = 1; i <= count; i++)
                out[i * size - 1] = '\n';
        ring_seal(ring, count * size, count, BATCH_ORIGIN_KERNEL);
        ring_publish(ring);
        return true;
}

/* Fills until the ring says no. */
static unsigned fill(void)
{
        unsigned n = 0;

        while (n < 1000 && put(1, 200 * 1024, 'f', false))
                n++;
        return n;
}

static Batch get(Source *source, uint64_t seq, Cursor *cursor)
{
        Batch batch = { 0 };

        ck_assert_int_eq(source->get(source, seq, cursor, &batch), 1);
        ck_assert_uint_eq(batch.first, seq);
        ck_assert(batch_payload_intact(&batch));
        return batch;
}

START_TEST(a_new_ring_is_empty)
{
        Source *source = ring_source(ring, "a", false);
        RingStatus status;
        SourceRange range;
        Cursor cursor = { 0 };
        Batch batch;
        uint64_t checksum;

        ring_status(ring, &status);
        ck_assert_uint_eq(status.oldest, 1);
        ck_assert_uint_eq(status.newest, 0);
        ck_assert_uint_eq(status.used, 0);
        ck_assert_uint_eq(status.size, RING_SIZE_MIN);
        ck_assert_str_eq(ring_node(ring), "n1");
        ck_assert_ptr_null(ring_set_aside(ring));
        ck_assert_uint_eq(ring_landed(ring), 0);
        source->range(source, &range);
        ck_assert_uint_eq(range.oldest, 1);
        ck_assert_uint_eq(range.newest, 0);
        ck_assert(stream_id_equal(&range.stream, &options.stream));
        ck_assert_int_eq(source->get(source, 1, &cursor, &batch), 0);
        ck_assert_int_eq(source->get(source, 0, &cursor, &batch), -ESTALE);
        ck_assert_int_eq(source->get(source, 2, &cursor, &batch), -ESTALE);
        ck_assert_int_eq(source->ended(source, 0, &checksum), 0);
        ck_assert_int_eq(source->ended(source, 1, &checksum), -ESTALE);
}
END_TEST

START_TEST(published_batches_survive_the_process)
{
        Cursor cursor = { 0 }, zero = { 0 };
        Source *source;
        Batch batch;
        uint64_t checksum;

        ck_assert(put(3, 10, 'a', false));
        ck_assert(put(2, 33, 'b', false));
        /* Sealed, but not published. */
        memcpy(ring_begin(ring, 2, false), "x\n", 2);
        ring_seal(ring, 2, 1, BATCH_ORIGIN_KERNEL);
        reopen_ring();
        source = ring_source(ring, "a", false);
        batch = get(source, 1, &cursor);
        ck_assert_uint_eq(batch.last, 3);
        ck_assert_uint_eq(batch.count, 3);
        ck_assert_mem_eq(batch.payload, "aaaaaaaaa\n", 10);
        ck_assert_int_eq(source->ended(source, 3, &checksum), 1);
        ck_assert_uint_eq(checksum, batch.checksum);
        batch = get(source, 4, &cursor);
        ck_assert_uint_eq(batch.last, 5);
        ck_assert_int_eq(source->get(source, 6, &cursor, &batch), 0);
        ck_assert_int_eq(source->get(source, 2, &zero, &batch), -ESTALE);
        ck_assert_int_eq(source->ended(source, 4, &checksum), -ESTALE);
        ck_assert_int_eq(source->ended(source, 6, &checksum), -ESTALE);
        ck_assert(put(1, 5, 'c', false));
        ck_assert_uint_eq(get(source, 6, &cursor).last, 6);
        zero = (Cursor) { { 8, 4 } }; /* a wrong hint */
        ck_assert_uint_eq(get(source, 4, &zero).last, 5);
}
END_TEST

START_TEST(one_process_at_a_time)
{
        Ring *other = NULL;

        ck_assert_int_eq(ring_open(&options, &other, &created), -EBUSY);
        ck_assert_ptr_null(other);
}
END_TEST

START_TEST(an_awaited_subscriber_holds_the_ring)
{
        Source *source = ring_source(ring, "remote", true), *other = ring_source(ring, "tail", false);
        unsigned n = fill();
        RingStatus status;
        uint64_t checksum;
        Cursor cursor = { 0 };
        Batch batch;

        ck_assert_uint_gt(n, 30);
        ring_status(ring, &status);
        ck_assert_uint_eq(status.oldest, 1);
        ck_assert_uint_gt(status.used, RING_SIZE_MIN * 9 / 10);
        ck_assert_ptr_null(ring_begin(ring, 200 * 1024, false));
        ck_assert(put(1, RECORD_LINE_MAX, 'r', true));

        reopen_ring(); /* it holds before the subscriber is back */
        ck_assert_ptr_null(ring_begin(ring, 200 * 1024, false));
        source = ring_source(ring, "remote", true);
        other = ring_source(ring, "tail", false);
        ck_assert_int_eq(source->ended(source, 3, &checksum), 1);
        source->release(source, 3, checksum);
        source->release(source, 2, 77); /* never backwards */
        other->release(other, n, 0);
        ck_assert_uint_ge(fill(), 1);

        /* What it acked is gone, but known; others are told. */
        reopen_ring();
        source = ring_source(ring, "remote", true);
        other = ring_source(ring, "tail", false);
        ck_assert_uint_eq(get(source, 4, &cursor).last, 4);
        batch.checksum = 0;
        ck_assert_int_eq(source->ended(source, 3, &batch.checksum), 1);
        ck_assert_uint_eq(batch.checksum, checksum);
        ck_assert_int_eq(source->ended(source, 2, &checksum), 0);
        ck_assert_int_eq(other->ended(other, 3, &checksum), 0);
        batch = get(other, 2, &cursor);
        ck_assert_int_eq(batch.reason, BATCH_LOST);
        ck_assert_uint_eq(batch.last, 3);
        ck_assert_uint_eq(batch.size, 8);
        ck_assert_mem_eq(batch.payload, "overflow", 8);
        ck_assert_uint_eq(get(other, 4, &cursor).last, 4);

        ring_forget(ring, "remote");
        ck_assert_uint_eq(fill(), 1000);
        ring_status(ring, &status);
        ck_assert_uint_eq(status.used, 0);
        source->release(source, status.newest, 1);
        ck_assert_uint_gt(status.oldest, 900);
}
END_TEST

START_TEST(a_new_awaited_subscriber_holds_from_then_on)
{
        Source *source;
        RingStatus status;
        Cursor cursor = { 0 };

        ck_assert_uint_eq(fill(), 1000);
        source = ring_source(ring, "remote", true);
        ring_status(ring, &status);
        ck_assert_uint_eq(status.used, 0);
        (void) get(source, status.oldest, &cursor);
        ck_assert_uint_lt(fill(), 50);
        ring_status(ring, &status);
        ck_assert_uint_eq(status.oldest, 1001);
        ck_assert_uint_gt(status.used, RING_SIZE_MIN * 9 / 10);
        source->release(source, status.newest, 5);
        ring_status(ring, &status);
        ck_assert_uint_eq(status.used, 0);
}
END_TEST

static void expect_acked(const Source *source, uint64_t seq, uint64_t checksum)
{
        uint64_t found, found_checksum;

        ck_assert(ring_source_acked(source, &found, &found_checksum));
        ck_assert_uint_eq(found, seq);
        ck_assert_uint_eq(found_checksum, checksum);
}

START_TEST(a_remembered_subscriber_is_known_and_holds_nothing)
{
        Source *source, *other;
        RingStatus status;
        uint64_t seq, checksum;

        ck_assert(put(3, 10, 'a', false));
        source = ring_source(ring, "text", RING_REMEMBERS);
        expect_acked(source, 3, 0);
        ck_assert(put(2, 10, 'b', false));
        source->release(source, 5, 77);
        source->release(source, 3, 66);
        other = ring_source(ring, "other", RING_FORGETS);
        other->release(other, 5, 77);
        ck_assert(!ring_source_acked(other, &seq, &checksum));
        reopen_ring();
        source = ring_source(ring, "text", RING_REMEMBERS);
        expect_acked(source, 5, 77);
        ck_assert_uint_eq(fill(), 1000);
        ring_status(ring, &status);
        ck_assert_uint_eq(status.used, 0);
        ck_assert_uint_gt(status.oldest, 900);
        expect_acked(source, 5, 77);
        ring_forget(ring, "text");
        ck_assert(!ring_source_acked(source, &seq, &checksum));
        expect_acked(ring_source(ring, "text", RING_REMEMBERS), status.newest, 0);
}
END_TEST

START_TEST(who_is_kept_in_another_way_goes_on_where_it_stands)
{
        Source *source = ring_source(ring, "plugin", RING_REMEMBERS);
        RingStatus status;

        for (unsigned i = 0; i < 5; i++)
                ck_assert(put(1, 200 * 1024, 'a', false));
        source->release(source, 2, 22);
        ring_status(ring, &status);
        ck_assert_uint_eq(status.used, 0);
        source = ring_source(ring, "plugin", RING_AWAITS);
        expect_acked(source, 2, 22);
        ring_status(ring, &status);
        ck_assert_uint_gt(status.used, 3 * 200 * 1024);
        ck_assert_uint_lt(status.used, 4 * 200 * 1024);
        ck_assert_uint_lt(fill(), 50);
        reopen_ring();
        ring_status(ring, &status);
        ck_assert_uint_eq(status.oldest, 3);
        source = ring_source(ring, "plugin", RING_REMEMBERS);
        expect_acked(source, 2, 22);
        ring_status(ring, &status);
        ck_assert_uint_eq(status.used, 0);
        ck_assert_uint_eq(fill(), 1000);
}
END_TEST

START_TEST(the_table_of_awaited_subscribers_is_bounded)
{
        char name[NODE_NAME_MAX + 2];

        for (unsigned i = 0; i < RING_AWAITED_MAX; i++) {
                (void) snprintf(name, sizeof name, "s%u", i);
                ck_assert_ptr_nonnull(ring_source(ring, name, true));
        }
        ck_assert_ptr_nonnull(ring_source(ring, "s0", true));
        ck_assert_ptr_null(ring_source(ring, "more", true));
        ck_assert_ptr_nonnull(ring_source(ring, "more", false));
        ring_forget(ring, "unknown");
        ring_forget(ring, "s7");
        ck_assert_ptr_nonnull(ring_source(ring, "more", true));
        memset(name, 'x', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        ck_assert_ptr_null(ring_source(ring, name, false));

        /* Those that are remembered have room of their own. */
        for (unsigned i = 0; i < RING_REMEMBERED_MAX; i++) {
                (void) snprintf(name, sizeof name, "t%u", i);
                ck_assert_ptr_nonnull(ring_source(ring, name, RING_REMEMBERS));
        }
        ck_assert_ptr_null(ring_source(ring, "text", RING_REMEMBERS));
        ck_assert_ptr_null(ring_source(ring, "t3", RING_AWAITS));
        ck_assert_ptr_null(ring_source(ring, "s3", RING_REMEMBERS));
        ck_assert_ptr_nonnull(ring_source(ring, "s3", RING_AWAITS));
        ring_forget(ring, "s4");
        ck_assert_ptr_nonnull(ring_source(ring, "t3", RING_AWAITS));
        ck_assert_ptr_nonnull(ring_source(ring, "text", RING_REMEMBERS));
}
END_TEST

START_TEST(the_state_moves_with_the_publication)
{
        ring_state(ring)->dropped = 5;
        strcpy((char *) ring_state(ring)->kernel, "serials");
        reopen_ring();
        ck_assert_uint_eq(ring_state(ring)->dropped, 0);
        ring_state(ring)->dropped = 6;
        ring_publish(ring);
        ring_state(ring)->dropped = 7;
        reopen_ring();
        ck_assert_uint_eq(ring_state(ring)->dropped, 6);
        for (unsigned i = 0; i < 5; i++) {
                ring_state(ring)->dropped++;
                ring_publish(ring);
        }
        reopen_ring();
        ck_assert_uint_eq(ring_state(ring)->dropped, 11);
        ck_assert_str_eq((char *) ring_state(ring)->kernel, "");
}
END_TEST

/* --- Landing --- */

START_TEST(landed_messages_survive_until_published)
{
        static uint8_t long_message[RING_MESSAGE_MAX + 50];
        int fds[2];
        size_t size;
        uint32_t port;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
        for (unsigned round = 0; round < 3; round++) {
                ck_assert_int_eq(send(fds[0], "one", 3, 0), 3);
                ck_assert_int_eq(send(fds[0], "", 0, 0), 0);
                ck_assert_int_eq(send(fds[0], long_message, sizeof long_message, 0), sizeof long_message);
                ck_assert_int_eq(recvmmsg(fds[1], ring_landing_prepare(ring), RING_LANDING_MAX, MSG_DONTWAIT, NULL), 3);
                ck_assert_uint_eq(ring_landed(ring), 3);

                /* A crash, and a producer in between: still landed. */
                reopen_ring();
                ck_assert_uint_eq(ring_landed(ring), 3);
                Batch batch = { .first = 10 + round, .last = 10 + round, .count = 1, .size = 2,
                                .origin = BATCH_ORIGIN_LOCAL, .payload = (const uint8_t *) "p\n" };
                Sink *sink = ring_sink(ring);
                batch_seal(&batch);
                ck_assert_int_eq(sink->append(sink, &(StreamId) { { 9 } }, "me", &batch, &batch, 0), 0);
                ck_assert_uint_eq(ring_landed(ring), 3);
                ck_assert_mem_eq(ring_landed_message(ring, 0, &size, &port), "one", 3);
                ck_assert_uint_eq(size, 3);
                ck_assert_uint_eq(port, 0);
                (void) ring_landed_message(ring, 1, &size, &port);
                ck_assert_uint_eq(size, 0);
                (void) ring_landed_message(ring, 2, &size, &port);
                ck_assert_uint_eq(size, RING_MESSAGE_MAX);

                ck_assert(put(3, 10, 'k', false));
                ck_assert_uint_eq(ring_landed(ring), 0);
                /* Publications that change nothing else do not bring them back. */
                for (unsigned i = 0; i < 4; i++) {
                        ring_publish(ring);
                        ck_assert_uint_eq(ring_landed(ring), 0);
                        reopen_ring();
                        ck_assert_uint_eq(ring_landed(ring), 0);
                }
        }
        /* Prepared, then something else is published, then received. */
        struct mmsghdr *headers = ring_landing_prepare(ring);

        ring_publish(ring);
        ck_assert_int_eq(send(fds[0], "two", 3, 0), 3);
        ck_assert_int_eq(recvmmsg(fds[1], headers, RING_LANDING_MAX, MSG_DONTWAIT, NULL), 1);
        ck_assert_uint_eq(ring_landed(ring), 1);
        (void) close(fds[0]);
        (void) close(fds[1]);
}
END_TEST

/* --- Sink --- */

static Batch producer_batch(uint64_t first, const char *payload, uint32_t count, BatchReason reason)
{
        Batch batch = { .first = first, .last = first + 2, .count = count, .size = (uint32_t) strlen(payload),
                        .origin = BATCH_ORIGIN_LOCAL, .reason = reason, .payload = (const uint8_t *) payload };

        batch_seal(&batch);
        return batch;
}

START_TEST(producers_keep_their_position)
{
        Sink *sink = ring_sink(ring);
        StreamId stream = { { 7 } };
        Batch batch = producer_batch(100, "a\nb\nc\n", 3, BATCH_RECORDS);
        uint64_t last, checksum;
        Cursor cursor = { 0 };
        Source *source;

        ck_assert_int_eq(sink->position(sink, &stream, "me", &last, &checksum), 0);
        ck_assert_uint_eq(last, 0);
        ck_assert_int_eq(sink->append(sink, &stream, "me", &batch, &batch, 0), 0);
        ck_assert_int_eq(sink->append(sink, &stream, "you", &batch, &batch, 0), -EPERM);
        ck_assert_int_eq(sink->append(sink, &(StreamId) { { 0 } }, "you", &batch, &batch, 0), -EINVAL);
        reopen_ring();
        sink = ring_sink(ring);
        ck_assert_int_eq(sink->position(sink, &stream, "you", &last, &checksum), -EPERM);
        ck_assert_int_eq(sink->position(sink, &stream, "me", &last, &checksum), 0);
        ck_assert_uint_eq(last, 102);
        ck_assert_uint_eq(checksum, batch.checksum);

        /* A batch without records moves the position alone, a heartbeat nothing. */
        batch = producer_batch(103, "custodian", 0, BATCH_CUSTODY);
        ck_assert_int_eq(sink->append(sink, &stream, "me", &batch, &batch, 0), 0);
        batch = producer_batch(106, "d\n", 1, BATCH_FILTERED);
        ck_assert_int_eq(sink->append(sink, &stream, "me", &batch, &batch, 0), 0);
        checksum = batch.checksum;
        batch = (Batch) { .first = 109, .last = 108, .origin = BATCH_ORIGIN_LOCAL };
        batch_seal(&batch);
        ck_assert_int_eq(sink->append(sink, &stream, "me", &batch, &batch, 0), 0);
        ck_assert_int_eq(sink->position(sink, &stream, "me", &last, &batch.checksum), 0);
        ck_assert_uint_eq(last, 108);
        ck_assert_uint_eq(batch.checksum, checksum);

        reopen_ring();
        source = ring_source(ring, "a", false);
        batch = get(source, 1, &cursor);
        ck_assert_uint_eq(batch.last, 3);
        ck_assert_mem_eq(batch.payload, "a\nb\nc\n", 6);
        batch = get(source, 4, &cursor);
        ck_assert_uint_eq(batch.last, 4);
        ck_assert_int_eq(batch.reason, BATCH_RECORDS);
        ck_assert_mem_eq(batch.payload, "d\n", 2);
}
END_TEST

START_TEST(the_longest_silent_producer_is_forgotten_first)
{
        Sink *sink = ring_sink(ring);
        Batch batch = producer_batch(1, "a\nb\nc\n", 3, BATCH_RECORDS);
        uint64_t last, checksum;

        for (uint8_t i = 1; i <= RING_PRODUCERS_MAX; i++)
                ck_assert_int_eq(sink->append(sink, &(StreamId) { { i } }, "me", &batch, &batch, 0), 0);
        ck_assert_int_eq(sink->append(sink, &(StreamId) { { 1 } }, "me", &batch, &batch, 0), 0);
        ck_assert_int_eq(sink->append(sink, &(StreamId) { { 200 } }, "me", &batch, &batch, 0), 0);
        for (uint8_t i = 1; i <= RING_PRODUCERS_MAX; i++) {
                ck_assert_int_eq(sink->position(sink, &(StreamId) { { i } }, "me", &last, &checksum), 0);
                ck_assert_uint_eq(last, i == 2 ? 0 : 3);
        }
}
END_TEST

START_TEST(who_makes_many_streams_is_forgotten_himself)
{
        Sink *sink = ring_sink(ring);
        Batch batch = producer_batch(1, "a\nb\nc\n", 3, BATCH_RECORDS);
        uint64_t last, checksum;

        ck_assert_int_eq(sink->append(sink, &(StreamId) { { 1, 1 } }, "me", &batch, &batch, 0), 0);
        ck_assert_int_eq(sink->append(sink, &(StreamId) { { 1, 2 } }, "you", &batch, &batch, 0), 0);
        for (uint8_t i = 0; i < 2 * RING_PRODUCERS_MAX; i++)
                ck_assert_int_eq(sink->append(sink, &(StreamId) { { i, 3 } }, "eve", &batch, &batch, 0), 0);
        ck_assert_int_eq(sink->position(sink, &(StreamId) { { 1, 1 } }, "me", &last, &checksum), 0);
        ck_assert_uint_eq(last, 3);
        ck_assert_int_eq(sink->position(sink, &(StreamId) { { 1, 2 } }, "you", &last, &checksum), 0);
        ck_assert_uint_eq(last, 3);
}
END_TEST

START_TEST(producers_have_but_a_part_of_the_ring)
{
        Sink *sink = ring_sink(ring);
        Source *source = ring_source(ring, "remote", true);
        static char text[60000];
        Batch batch;
        RingStatus status;

        memset(text, 'x', sizeof text);
        text[sizeof text - 1] = '\n';
        text[sizeof text / 2] = '\0';
        batch = producer_batch(1, "a\n", 1, BATCH_RECORDS);
        batch.payload = (const uint8_t *) text;
        batch.size = sizeof text;
        batch_seal(&batch);
        ring_status(ring, &status);
        ring_limit_sink(ring, status.size / 4);
        while (sink->append(sink, &(StreamId) { { 6 } }, "me", &batch, &batch, 0) == 0) {
                batch.first++;
                batch.last++;
                batch_seal(&batch);
        }
        ring_status(ring, &status);
        ck_assert_uint_ge(status.used, status.size / 4);
        ck_assert_uint_lt(status.used, status.size / 4 + sizeof text + BATCH_HEADER_SIZE + 8);
        ck_assert(put(1, 1000, 'x', false));
        source->release(source, status.newest, 0);
        ck_assert_int_eq(sink->append(sink, &(StreamId) { { 6 } }, "me", &batch, &batch, 0), 0);
}
END_TEST

START_TEST(a_full_ring_takes_nothing_from_producers)
{
        Sink *sink = ring_sink(ring);
        Source *source = ring_source(ring, "remote", true);
        Batch batch = producer_batch(1, "a\nb\nc\n", 3, BATCH_RECORDS);
        StreamId stream = { { 7 } };
        uint64_t last, checksum;
        RingStatus status;

        while (put(1, 1000, 'x', false))
                ;
        while (sink->append(sink, &(StreamId) { { 6 } }, "me", &batch, &batch, 0) == 0)
                ;
        ck_assert_int_eq(sink->append(sink, &stream, "me", &batch, &batch, 0), -ENOSPC);
        ck_assert_int_eq(sink->position(sink, &stream, "me", &last, &checksum), 0);
        ck_assert_uint_eq(last, 0);
        ring_status(ring, &status);
        source->release(source, status.newest, 0);
        ck_assert_int_eq(sink->append(sink, &stream, "me", &batch, &batch, 0), 0);
}
END_TEST

/* --- Files that are none --- */

static void spoil(off_t offset, const void *bytes, size_t size)
{
        int fd = open(path, O_WRONLY);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(pwrite(fd, bytes, size, offset), (ssize_t) size);
        (void) close(fd);
}

START_TEST(a_damaged_file_is_set_aside)
{
        char aside[sizeof path + 16];
        struct stat st;
        RingStatus status;
        uint64_t word;
        int fd;

        (void) snprintf(aside, sizeof aside, "%s.damaged", path);
        ck_assert(put(3, 10, 'a', false));
        ring = ring_free(ring);
        switch (_i) {
        case 0:
                ck_assert_int_eq(truncate(path, 100), 0);
                break;
        case 1:
                ck_assert_int_eq(truncate(path, RING_SIZE_MIN), 0);
                break;
        case 2:
                spoil(3, "x", 1);
                break;
        case 3: /* the end: behind all batches */
                word = 1 << 20;
                spoil(4096, &word, sizeof word);
                break;
        case 4: /* the head: likewise */
                word = 1 << 20;
                spoil(4096 + 8, &word, sizeof word);
                break;
        case 5: /* the first batch header */
                fd = open(path, O_RDONLY);
                ck_assert_int_eq(fstat(fd, &st), 0);
                (void) close(fd);
                spoil(st.st_size - RING_SIZE_MIN + 8, "x", 1);
                break;
        }
        open_ring();
        ck_assert(created);
        ck_assert_ptr_nonnull(ring_set_aside(ring));
        ring_status(ring, &status);
        ck_assert_uint_eq(status.newest, 0);
        ck_assert_int_eq(stat(aside, &st), 0);
        ck_assert(put(3, 10, 'a', false));
        reopen_ring();
        ck_assert_ptr_null(ring_set_aside(ring));
}
END_TEST

START_TEST(an_empty_file_is_no_ring_and_no_damage)
{
        char aside[sizeof path + 16];

        ring = ring_free(ring);
        ck_assert_int_eq(truncate(path, 0), 0);
        open_ring();
        ck_assert(created);
        ck_assert_ptr_null(ring_set_aside(ring));
        (void) snprintf(aside, sizeof aside, "%s.damaged", path);
        ck_assert_int_eq(access(aside, F_OK), -1);
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
        RingOptions wrong = options;
        Ring *other = NULL;

        ring = ring_free(ring);
        ck_assert_int_eq(unlink(path), 0);
        wrong.stream = (StreamId) { { 0 } };
        ck_assert_int_eq(ring_open(&wrong, &other, &created), -EINVAL);
        wrong = options;
        wrong.size = UINT64_MAX / 4;
        ck_assert_int_lt(ring_open(&wrong, &other, &created), 0);
        wrong = options;
        wrong.path = directory;
        ck_assert_int_lt(ring_open(&wrong, &other, &created), 0);
        wrong.path = "/nonexistent/ring";
        ck_assert_int_eq(ring_open(&wrong, &other, &created), -ENOENT);
        ck_assert_int_eq(symlink("/dev/null", path), 0);
        ck_assert_int_lt(ring_open(&options, &other, &created), 0);
        ck_assert_ptr_null(other);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("ring");
        TCase *tcase = tcase_create("ring");

        tcase_add_checked_fixture(tcase, set_up, tear_down);
        tcase_add_test(tcase, a_new_ring_is_empty);
        tcase_add_test(tcase, published_batches_survive_the_process);
        tcase_add_test(tcase, one_process_at_a_time);
        tcase_add_test(tcase, an_awaited_subscriber_holds_the_ring);
        tcase_add_test(tcase, a_new_awaited_subscriber_holds_from_then_on);
        tcase_add_test(tcase, a_remembered_subscriber_is_known_and_holds_nothing);
        tcase_add_test(tcase, who_is_kept_in_another_way_goes_on_where_it_stands);
        tcase_add_test(tcase, the_table_of_awaited_subscribers_is_bounded);
        tcase_add_test(tcase, the_state_moves_with_the_publication);
        tcase_add_test(tcase, landed_messages_survive_until_published);
        tcase_add_test(tcase, producers_keep_their_position);
        tcase_add_test(tcase, the_longest_silent_producer_is_forgotten_first);
        tcase_add_test(tcase, who_makes_many_streams_is_forgotten_himself);
        tcase_add_test(tcase, producers_have_but_a_part_of_the_ring);
        tcase_add_test(tcase, a_full_ring_takes_nothing_from_producers);
        tcase_add_loop_test(tcase, a_damaged_file_is_set_aside, 0, 6);
        tcase_add_test(tcase, an_empty_file_is_no_ring_and_no_damage);
        tcase_add_test(tcase, what_cannot_be_is_refused);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
