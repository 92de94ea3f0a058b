/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Payloads that a link sender hands on from where they are, in place of copying them: what arrives is the same. */

#include "check-main.h"
#include "link/link-sender.h"

#define BATCHES 40U
#define PLENTY (1U << 30)

/* Small ones, those at the limit, the largest. */
static const uint32_t sizes[] = { 200, BATCH_PAYLOAD_MAX, LINK_COPY_MAX - 1, LINK_COPY_MAX, 100000, 300 };

static uint8_t bytes[BATCH_PAYLOAD_MAX];
static LinkSender sender;
static Buffer output, sent;
static size_t room; /* what the socket takes at each call */
static unsigned n_passed;

static void range(Source *source, SourceRange *ret)
{
        *ret = (SourceRange) { .stream = { { 7 } }, .oldest = 1, .newest = BATCHES };
}

static int get(Source *source, uint64_t seq, Cursor *cursor, Batch *ret)
{
        if (seq > BATCHES)
                return 0;
        *ret = (Batch) { .first = seq, .last = seq, .count = 1, .size = sizes[seq % ELEMENTSOF(sizes)],
                         .origin = BATCH_ORIGIN_LOCAL, .payload = bytes };
        /* Valid until the next call: the one before is another by now. */
        memset(bytes, (int) seq, sizeof bytes);
        batch_seal(ret);
        return 1;
}

static int ended(Source *source, uint64_t seq, uint64_t *ret_checksum)
{
        return 0;
}

static void release(Source *source, uint64_t seq, uint64_t checksum)
{
}

static Source source = { .range = range, .get = get, .ended = ended, .release = release };

/* As a connection does it. */
static void flush(const uint8_t *data, size_t size)
{
        size_t waiting = MIN(buffer_size(&output), room), more = MIN(size, room - waiting);

        ck_assert_int_eq(buffer_append(&sent, buffer_head(&output), waiting), 0);
        buffer_consume(&output, waiting);
        ck_assert_int_eq(buffer_append(&sent, data, more), 0);
        if (more < size)
                ck_assert_int_eq(buffer_append(&output, data + more, size - more), 0);
}

static bool on_payload(LinkSender *s, const uint8_t *data, size_t size)
{
        n_passed++;
        ck_assert_uint_ge(size, LINK_COPY_MAX);
        ck_assert_ptr_eq(data, bytes);
        flush(data, size);
        return buffer_size(&output) == 0;
}

static const LinkSenderHandler passing = { .payload = on_payload }, copying;

static void begin(const LinkSenderHandler *handler, uint16_t features)
{
        LinkWelcome welcome = { .version = LINK_VERSION, .stream = { { 7 } }, .credit = PLENTY, .features = features,
                                .name = link_string("peer") };
        Buffer input = BUFFER_INIT(LINK_FRAME_MAX);

        output = BUFFER_INIT(4 * LINK_FRAME_MAX);
        sent = BUFFER_INIT(64 * LINK_FRAME_MAX);
        n_passed = 0;
        link_sender_init(&sender, &source, handler, "web1", features);
        ck_assert_int_eq(link_sender_start(&sender, &output, 0), 0);
        buffer_consume(&output, buffer_size(&output));
        ck_assert_int_eq(frame_put_welcome(&input, &welcome), 0);
        ck_assert_int_gt(link_sender_feed(&sender, buffer_head(&input), buffer_size(&input), &output, 0), 0);
        buffer_done(&input);
}

static void end(void)
{
        link_sender_done(&sender);
        buffer_done(&output);
        buffer_done(&sent);
}

/* All of it through a socket that takes so many bytes at a time. Returns the checksum of what went through. */
static uint64_t run(size_t takes, uint64_t *ret_bytes_sent)
{
        uint64_t checksum;
        int r = 1;

        room = takes;
        while (r > 0 || buffer_size(&output) > 0) {
                size_t before = buffer_size(&output), gone = buffer_size(&sent);

                r = link_sender_fill(&sender, &output, 0);
                ck_assert_int_ge(r, 0);
                /* Behind what waits nothing is put; and who takes all does not keep others waiting. */
                if (sender.handler->payload && before > 0)
                        ck_assert(r == 1 && buffer_size(&output) == before);
                ck_assert_uint_lt(buffer_size(&sent) - gone + buffer_size(&output) - before, LINK_OUTPUT_TARGET + LINK_FRAME_MAX);
                flush(NULL, 0);
        }
        ck_assert_uint_eq(sender.sent, BATCHES);
        *ret_bytes_sent = sender.bytes_sent;
        checksum = checksum64(buffer_head(&sent), buffer_size(&sent));
        end();
        return checksum;
}

START_TEST(what_arrives_is_what_copies_would_be)
{
        static const size_t takes[] = { PLENTY, 1000000, 219264, 4096, FRAME_BATCH_PAYLOAD, 7777 };
        uint64_t expected, expected_bytes, found_bytes;

        begin(&copying, 0);
        expected = run(takes[_i], &expected_bytes);
        begin(&passing, 0);
        ck_assert_uint_eq(run(takes[_i], &found_bytes), expected);
        ck_assert_uint_eq(found_bytes, expected_bytes);
        ck_assert_uint_ge(n_passed, BATCHES / 3);
}
END_TEST

START_TEST(what_is_compressed_is_put)
{
        uint64_t bytes_sent;

        begin(&passing, LINK_FEATURE_ZSTD);
        (void) run(PLENTY, &bytes_sent);
        ck_assert_uint_eq(n_passed, 0);
        ck_assert_uint_lt(bytes_sent, BATCH_PAYLOAD_MAX);
}
END_TEST

/* What is not taken must find its place. */
START_TEST(without_room_nothing_is_passed)
{
        begin(&passing, 0);
        output.maximum = FRAME_BATCH_PAYLOAD + BATCH_PAYLOAD_MAX - 1;
        room = PLENTY;
        ck_assert_int_eq(link_sender_fill(&sender, &output, 0), -ENOBUFS);
        ck_assert_uint_eq(n_passed + sender.sent, 0);
        output.maximum++;
        ck_assert_int_eq(link_sender_fill(&sender, &output, 0), 1);
        ck_assert_uint_ge(n_passed, 1);
        end();
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("link-payload");
        TCase *tcase = tcase_create("link-payload");

        tcase_add_loop_test(tcase, what_arrives_is_what_copies_would_be, 0, 6);
        tcase_add_test(tcase, what_is_compressed_is_put);
        tcase_add_test(tcase, without_room_nothing_is_passed);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
