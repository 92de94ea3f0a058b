/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "link/link-receiver.h"

#include <zstd.h>

typedef struct Fixture {
        LinkReceiver receiver;
        Buffer output;
        Buffer input;
        unsigned n_hellos, n_batches, n_commands, n_replies, n_byes;
        uint64_t last;        /* of the batch taken last */
        uint64_t bytes;       /* receiver's count at that time */
        int result;           /* what batch() returns */
        bool answer;          /* hello() welcomes at once */
        bool ack;             /* batch() acks at once */
        bool end;             /* batch() ends the session */
} Fixture;

static Fixture f;

#define WINDOW 1000U

static void on_hello(LinkReceiver *receiver, const LinkHello *hello)
{
        f.n_hellos++;
        if (f.answer)
                ck_assert_int_eq(link_receiver_welcome(receiver, &f.output, 0, 0, "log1", ""), 0);
}

static int on_batch(LinkReceiver *receiver, const Batch *batch)
{
        if (f.result < 0)
                return f.result;
        ck_assert_uint_eq(receiver->received, batch->last);
        ck_assert(batch_payload_intact(batch));
        f.n_batches++;
        f.last = batch->last;
        f.bytes = receiver->bytes_received;
        if (f.ack)
                ck_assert_int_eq(link_receiver_ack(receiver, &f.output, batch->last, f.bytes), 0);
        if (f.end)
                ck_assert_int_eq(link_receiver_end(receiver, &f.output, LINK_BYE_OVERLOAD, 500, "enough"),
                                 0);
        return 0;
}

static void on_command(LinkReceiver *receiver, const LinkCommand *command)
{
        f.n_commands++;
}

static void on_reply(LinkReceiver *receiver, const LinkReply *reply)
{
        f.n_replies++;
}

static void on_bye(LinkReceiver *receiver, const LinkBye *bye)
{
        f.n_byes++;
}

static const LinkReceiverHandler handler = {
        .hello = on_hello, .batch = on_batch, .command = on_command, .reply = on_reply, .bye = on_bye,
};
static const LinkReceiverHandler least_handler = { .hello = on_hello, .batch = on_batch };

static void setup(void)
{
        f = (Fixture) { .output = BUFFER_INIT(LINK_FRAME_MAX), .input = BUFFER_INIT(4 * LINK_FRAME_MAX),
                        .answer = true };
        link_receiver_init(&f.receiver, &handler, WINDOW, LINK_FEATURE_ZSTD | LINK_FEATURE_COMMANDS);
}

static void teardown(void)
{
        link_receiver_done(&f.receiver);
        buffer_done(&f.output);
        buffer_done(&f.input);
}

static ssize_t feed(void)
{
        ssize_t n = link_receiver_feed(&f.receiver, buffer_head(&f.input), buffer_size(&f.input), &f.output);

        if (n > 0)
                buffer_consume(&f.input, (size_t) n);
        return n;
}

static Frame take(FrameType type)
{
        const char *why = NULL;
        Frame frame;

        ck_assert_int_eq(frame_decode(buffer_head(&f.output), buffer_size(&f.output), &frame, &why), 1);
        ck_assert_int_eq(frame.type, type);
        buffer_consume(&f.output, frame.size);
        return frame;
}

static void expect_bye(LinkByeCode code)
{
        Frame frame = take(FRAME_BYE);

        ck_assert_uint_eq(frame.bye.code, code);
        if (code == LINK_BYE_PROTOCOL) {
                ck_assert_ptr_nonnull(f.receiver.why);
                ck_assert_uint_eq(frame.bye.reason.size, strlen(f.receiver.why));
        }
        ck_assert_uint_eq(buffer_size(&f.output), 0);
        ck_assert_int_eq(f.receiver.state, LINK_RECEIVER_ENDED);
}

static LinkHello sender_hello(uint16_t features)
{
        return (LinkHello) { .version_min = LINK_VERSION,
                            .version_max = LINK_VERSION,
                            .role = LINK_ROLE_SENDER,
                            .features = features,
                            .stream = { { 1 } },
                            .oldest = 1,
                            .newest = 100,
                            .node = link_string("web1") };
}

static void connect_with(uint16_t features)
{
        LinkHello hello = sender_hello(features);

        ck_assert_int_eq(frame_put_hello(&f.input, &hello), 0);
        ck_assert_int_gt(feed(), 0);
        ck_assert_uint_eq(take(FRAME_WELCOME).welcome.features,
                          features & (LINK_FEATURE_ZSTD | LINK_FEATURE_COMMANDS));
        ck_assert_int_eq(f.receiver.state, LINK_RECEIVER_CONNECTED);
}

static const char lines[] =
        "one one one one one one one one one one one one one one one one one one one one one one\n"
        "two two two two two two two two two two two two two two two two two two two two two two\n";

/* Two records from `first`. */
static Batch make_batch(uint64_t first)
{
        Batch batch = { .first = first, .last = first + 1, .count = 2, .size = sizeof lines - 1,
                        .origin = BATCH_ORIGIN_KERNEL, .payload = (const uint8_t *) lines };

        batch_seal(&batch);
        return batch;
}

static size_t put_batch(uint64_t first)
{
        Batch batch = make_batch(first);
        size_t before = buffer_size(&f.input);

        ck_assert_int_eq(frame_put_batch(&f.input, &batch), 0);
        return buffer_size(&f.input) - before;
}

static void put_heartbeat(uint64_t last)
{
        Batch batch = { .first = last + 1,
                        .last = last,
                        .origin = BATCH_ORIGIN_LOCAL,
                        .payload = (const uint8_t *) "" };

        batch_seal(&batch);
        ck_assert_int_eq(frame_put_batch(&f.input, &batch), 0);
}

START_TEST(reads_nothing_until_hello_is_answered)
{
        LinkHello hello = sender_hello(0);
        size_t size;
        Frame frame;

        f.answer = false;
        ck_assert_int_eq(frame_put_hello(&f.input, &hello), 0);
        size = put_batch(8);
        ck_assert_int_gt(feed(), 0);
        ck_assert_int_eq(f.receiver.state, LINK_RECEIVER_GREETED);
        ck_assert_uint_eq(buffer_size(&f.input), size);
        ck_assert_int_eq(feed(), 0);
        ck_assert_int_eq(link_receiver_welcome(&f.receiver, &f.output, 7, 4711, "log1", "web1"), 0);
        ck_assert_int_eq(feed(), (ssize_t) size);
        frame = take(FRAME_WELCOME);
        ck_assert_uint_eq(frame.welcome.last, 7);
        ck_assert_uint_eq(frame.welcome.checksum, 4711);
        ck_assert_uint_eq(frame.welcome.credit, WINDOW);
        ck_assert(stream_id_equal(&frame.welcome.stream, &hello.stream));
        ck_assert_uint_eq(f.last, 9);
        ck_assert_int_eq(link_receiver_welcome(&f.receiver, &f.output, 7, 4711, "log1", "web1"), -ENOTCONN);
}
END_TEST

START_TEST(may_refuse_a_hello)
{
        LinkHello hello = sender_hello(0);

        f.answer = false;
        ck_assert_int_eq(frame_put_hello(&f.input, &hello), 0);
        (void) put_batch(1);
        ck_assert_int_gt(feed(), 0);
        ck_assert_int_eq(link_receiver_end(&f.receiver, &f.output, LINK_BYE_NODE, 0, "not you"), 0);
        expect_bye(LINK_BYE_NODE);
        ck_assert_int_gt(feed(), 0); /* drained */
        ck_assert_uint_eq(buffer_size(&f.input), 0);
        ck_assert_uint_eq(f.n_batches, 0);
        ck_assert_int_eq(link_receiver_end(&f.receiver, &f.output, LINK_BYE_NODE, 0, "again"), 0);
        ck_assert_uint_eq(buffer_size(&f.output), 0);
}
END_TEST

static const struct {
        uint16_t version_min, version_max;
        LinkRole role;
        int result;
        LinkByeCode code;
} hellos[] = {
        { LINK_VERSION + 1, LINK_VERSION + 2, LINK_ROLE_SENDER, -EPROTONOSUPPORT, LINK_BYE_VERSION },
        { LINK_VERSION, LINK_VERSION, LINK_ROLE_SUBSCRIBER, -EBADMSG, LINK_BYE_PROTOCOL },
        { LINK_VERSION, LINK_VERSION + 9, LINK_ROLE_SENDER, 1, 0 },
};

START_TEST(judges_version_and_role)
{
        LinkHello hello = sender_hello(0);

        hello.version_min = hellos[_i].version_min;
        hello.version_max = hellos[_i].version_max;
        hello.role = hellos[_i].role;
        ck_assert_int_eq(frame_put_hello(&f.input, &hello), 0);
        if (hellos[_i].result > 0) {
                ck_assert_int_gt(feed(), 0);
                (void) take(FRAME_WELCOME);
                return;
        }
        ck_assert_int_eq(feed(), hellos[_i].result);
        expect_bye(hellos[_i].code);
        ck_assert_uint_eq(f.n_hellos, 0);
}
END_TEST

START_TEST(takes_only_the_next_batch)
{
        static const uint64_t wrong[] = { 1, 2, 4, 1000 };

        connect_with(0);
        (void) put_batch(1);
        ck_assert_int_gt(feed(), 0);
        ck_assert_uint_eq(f.receiver.received, 2);
        if (_i % 2 == 0)
                (void) put_batch(wrong[_i / 2]);
        else
                put_heartbeat(wrong[_i / 2] - 1);
        ck_assert_int_eq(feed(), -EBADMSG);
        expect_bye(LINK_BYE_PROTOCOL);
        ck_assert_uint_eq(f.n_batches, 1);
        ck_assert_uint_eq(f.receiver.received, 2);
}
END_TEST

START_TEST(a_batch_not_taken_leaves_no_trace)
{
        size_t size;

        connect_with(0);
        (void) put_batch(1);
        ck_assert_int_gt(feed(), 0);
        size = put_batch(3);
        f.result = -EAGAIN;
        for (unsigned i = 0; i < 3; i++) {
                ck_assert_int_eq(feed(), 0);
                ck_assert_uint_eq(f.receiver.received, 2);
                ck_assert_uint_eq(f.receiver.bytes_received, size);
        }
        f.result = 0;
        ck_assert_int_eq(feed(), (ssize_t) size);
        ck_assert_uint_eq(f.receiver.received, 4);
        ck_assert_uint_eq(f.receiver.bytes_received, 2 * size);
        (void) put_batch(5);
        f.result = -EROFS;
        ck_assert_int_eq(feed(), -EROFS);
        ck_assert_uint_eq(f.receiver.received, 4);
}
END_TEST

START_TEST(credit_grows_with_custody)
{
        size_t size;

        connect_with(0);
        size = put_batch(1);
        (void) put_batch(3);
        ck_assert_int_gt(feed(), 0);
        ck_assert_uint_eq(f.bytes, 2 * size);
        ck_assert_int_eq(link_receiver_ack(&f.receiver, &f.output, 2, size), 0);
        ck_assert_uint_eq(take(FRAME_ACK).ack.credit, size + WINDOW);
        f.receiver.window = 0; /* held */
        ck_assert_int_eq(link_receiver_ack(&f.receiver, &f.output, 4, 2 * size), 0);
        ck_assert_uint_eq(take(FRAME_ACK).ack.credit, size + WINDOW);
        f.receiver.window = 1; /* smaller: never decreases */
        ck_assert_int_eq(link_receiver_ack(&f.receiver, &f.output, 4, 2 * size), 0);
        ck_assert_uint_eq(take(FRAME_ACK).ack.credit, size + WINDOW);
        f.receiver.window = 2 * WINDOW;
        ck_assert_int_eq(link_receiver_ack(&f.receiver, &f.output, 4, 2 * size), 0);
        ck_assert_uint_eq(take(FRAME_ACK).ack.credit, 2 * size + 2 * WINDOW);
}
END_TEST

START_TEST(never_acks_what_it_must_not)
{
        size_t size;

        ck_assert_int_eq(link_receiver_ack(&f.receiver, &f.output, 1, 0), 0); /* nobody to tell */
        ck_assert_uint_eq(buffer_size(&f.output), 0);
        connect_with(0);
        size = put_batch(1);
        (void) put_batch(3);
        ck_assert_int_gt(feed(), 0);
        ck_assert_int_eq(link_receiver_ack(&f.receiver, &f.output, 5, 0), -EINVAL);
        ck_assert_int_eq(link_receiver_ack(&f.receiver, &f.output, 2, 2 * size + 1), -EINVAL);
        ck_assert_int_eq(link_receiver_ack(&f.receiver, &f.output, 2, size), 0);
        (void) take(FRAME_ACK);
        ck_assert_int_eq(link_receiver_ack(&f.receiver, &f.output, 1, 0), -EINVAL);
        ck_assert_uint_eq(buffer_size(&f.output), 0);
        ck_assert_uint_eq(f.receiver.acked, 2);
}
END_TEST

START_TEST(batches_need_credit_and_heartbeats_do_not)
{
        uint64_t seq = 1, bytes = 0;

        connect_with(0);
        while (bytes < WINDOW) {
                bytes += put_batch(seq);
                seq += 2;
        }
        ck_assert_int_gt(feed(), 0);
        ck_assert_uint_eq(f.receiver.bytes_received, bytes);
        put_heartbeat(seq - 1);
        ck_assert_int_gt(feed(), 0);
        ck_assert_uint_eq(f.receiver.bytes_received, bytes);
        (void) put_batch(seq);
        ck_assert_int_eq(feed(), -EBADMSG);
        expect_bye(LINK_BYE_PROTOCOL);
}
END_TEST

START_TEST(a_window_that_is_just_full_is_full)
{
        size_t size;

        connect_with(0);
        size = put_batch(1);
        f.receiver.credit = size;
        ck_assert_int_gt(feed(), 0);
        ck_assert_uint_eq(f.receiver.bytes_received, f.receiver.credit);
        (void) put_batch(3);
        ck_assert_int_eq(feed(), -EBADMSG);
        expect_bye(LINK_BYE_PROTOCOL);
}
END_TEST

START_TEST(handlers_may_ack_and_end)
{
        connect_with(0);
        f.ack = true;
        (void) put_batch(1);
        put_heartbeat(2);
        ck_assert_int_gt(feed(), 0);
        ck_assert_uint_eq(take(FRAME_ACK).ack.seq, 2);
        ck_assert_uint_eq(take(FRAME_ACK).ack.seq, 2);
        f.end = true;
        f.ack = false;
        (void) put_batch(3);
        (void) put_batch(5);
        ck_assert_int_gt(feed(), 0);
        ck_assert_uint_eq(buffer_size(&f.input), 0);
        ck_assert_uint_eq(f.last, 4);
        expect_bye(LINK_BYE_OVERLOAD);
}
END_TEST

START_TEST(another_payload_is_refused)
{
        connect_with(0);
        (void) put_batch(1);
        buffer_head(&f.input)[FRAME_BATCH_PAYLOAD + 5] ^= 1;
        ck_assert_int_eq(feed(), -EBADMSG);
        expect_bye(LINK_BYE_PROTOCOL);
        ck_assert_uint_eq(f.n_batches, 0);
        ck_assert_uint_eq(f.receiver.received, 0);
}
END_TEST

START_TEST(compressed_only_when_negotiated)
{
        Batch batch = make_batch(1);
        ZSTD_CCtx *compressor = ZSTD_createCCtx();

        connect_with(_i ? LINK_FEATURE_ZSTD : 0);
        ck_assert_int_eq(frame_put_batch_compressed(&f.input, &batch, compressor), 0);
        ck_assert_uint_lt(buffer_size(&f.input), FRAME_BATCH_PAYLOAD + batch.size);
        if (_i) {
                batch = make_batch(3);
                ck_assert_int_eq(frame_put_batch_compressed(&f.input, &batch, compressor), 0);
                ck_assert_int_gt(feed(), 0);
                ck_assert_uint_eq(f.last, 4);
                ZSTD_freeCCtx(compressor);
                return;
        }
        ZSTD_freeCCtx(compressor);
        ck_assert_int_eq(feed(), -EBADMSG);
        expect_bye(LINK_BYE_PROTOCOL);
}
END_TEST

static void put_any(Buffer *buffer, FrameType type)
{
        LinkHello hello = sender_hello(LINK_FEATURE_COMMANDS);
        LinkWelcome welcome = { .version = LINK_VERSION, .name = link_string("log1") };
        int r = -EINVAL;

        switch (type) {
        case FRAME_HELLO:
                r = frame_put_hello(buffer, &hello);
                break;
        case FRAME_WELCOME:
                r = frame_put_welcome(buffer, &welcome);
                break;
        case FRAME_BATCH:
                (void) put_batch(1);
                r = 0;
                break;
        case FRAME_ACK:
                r = frame_put_ack(buffer, &(LinkAck) { 0, 0 });
                break;
        case FRAME_RECEIPT:
                r = frame_put_receipt(buffer, &(LinkReceipt) { .note = link_string("note\n") });
                break;
        case FRAME_STATE:
                r = frame_put_state(buffer, &(LinkState) { .name = link_string("disk_low") });
                break;
        case FRAME_COMMAND:
                r = frame_put_command(buffer, &(LinkCommand) {
                                                      .id = 7,
                                                      .timeout_sec = 5,
                                                      .verb = link_string("pause"),
                                              });
                break;
        case FRAME_REPLY:
                r = frame_put_reply(buffer, &(LinkReply) { .id = 7 });
                break;
        case FRAME_BYE:
                r = frame_put_bye(buffer, &(LinkBye) { .code = LINK_BYE_DONE });
                break;
        default:
                break;
        }
        ck_assert_int_eq(r, 0);
}

/* Every frame in every state: who is not allowed ends the session. */
START_TEST(only_the_right_frames_in_each_state)
{
        static const unsigned allowed[] = {
                [LINK_RECEIVER_EXPECTS_HELLO] = 1U << FRAME_HELLO | 1U << FRAME_BYE,
                [LINK_RECEIVER_GREETED] = 0, /* nothing is read */
                [LINK_RECEIVER_CONNECTED] =
                        1U << FRAME_BATCH | 1U << FRAME_COMMAND | 1U << FRAME_REPLY | 1U << FRAME_BYE,
                [LINK_RECEIVER_ENDED] = ~0U,
        };
        LinkReceiverState state = (LinkReceiverState) (_i / _FRAME_MAX);
        FrameType type = (FrameType) (_i % _FRAME_MAX);
        size_t size;

        if (type == 0)
                return;
        if (state == LINK_RECEIVER_GREETED) {
                LinkHello hello = sender_hello(0);

                f.answer = false;
                ck_assert_int_eq(frame_put_hello(&f.input, &hello), 0);
                ck_assert_int_gt(feed(), 0);
        } else if (state != LINK_RECEIVER_EXPECTS_HELLO) {
                connect_with(LINK_FEATURE_COMMANDS);
        }
        if (state == LINK_RECEIVER_ENDED) {
                ck_assert_int_eq(link_receiver_end(&f.receiver, &f.output, LINK_BYE_REPLACED, 0, "other"),
                                 0);
                expect_bye(LINK_BYE_REPLACED);
        }
        put_any(&f.input, type);
        size = buffer_size(&f.input);
        if (state == LINK_RECEIVER_GREETED) {
                ck_assert_int_eq(feed(), 0);
        } else if (allowed[state] & 1U << type) {
                ck_assert_int_eq(feed(), (ssize_t) size);
                ck_assert_ptr_null(f.receiver.why);
        } else {
                ck_assert_int_eq(feed(), -EBADMSG);
                ck_assert_str_eq(f.receiver.why, frame_unexpected(type));
                expect_bye(LINK_BYE_PROTOCOL);
        }
        if (state == LINK_RECEIVER_CONNECTED)
                ck_assert_uint_eq(f.n_batches + f.n_commands + f.n_replies + f.n_byes,
                                  (allowed[state] & 1U << type) != 0);
        if (state != LINK_RECEIVER_GREETED && type == FRAME_BYE)
                ck_assert_int_eq(f.receiver.state, LINK_RECEIVER_ENDED);
}
END_TEST

START_TEST(commands_only_when_negotiated)
{
        connect_with(0);
        put_any(&f.input, _i ? FRAME_COMMAND : FRAME_REPLY);
        ck_assert_int_eq(feed(), -EBADMSG);
        expect_bye(LINK_BYE_PROTOCOL);
}
END_TEST

START_TEST(works_with_the_least_handler)
{
        f.receiver.handler = &least_handler;
        connect_with(LINK_FEATURE_COMMANDS);
        put_any(&f.input, FRAME_COMMAND);
        put_any(&f.input, FRAME_REPLY);
        put_any(&f.input, FRAME_BYE);
        ck_assert_int_gt(feed(), 0);
        ck_assert_uint_eq(take(FRAME_REPLY).reply.status, LINK_REPLY_UNKNOWN);
        ck_assert_int_eq(f.receiver.state, LINK_RECEIVER_ENDED);
}
END_TEST

START_TEST(bytes_may_come_one_by_one)
{
        LinkHello hello = sender_hello(0);
        Buffer part = BUFFER_INIT(LINK_FRAME_MAX);

        ck_assert_int_eq(frame_put_hello(&f.input, &hello), 0);
        (void) put_batch(1);
        put_heartbeat(2);
        while (buffer_size(&f.input) > 0) {
                ssize_t n;

                ck_assert_int_eq(buffer_append(&part, buffer_head(&f.input), 1), 0);
                buffer_consume(&f.input, 1);
                n = link_receiver_feed(&f.receiver, buffer_head(&part), buffer_size(&part), &f.output);
                ck_assert_int_ge(n, 0);
                buffer_consume(&part, (size_t) n);
        }
        ck_assert_uint_eq(buffer_size(&part), 0);
        ck_assert_uint_eq(f.n_batches, 2);
        buffer_done(&part);
}
END_TEST

START_TEST(subscribes)
{
        LinkHello wanted = { .stream = { { 9 } },
                             .newest = 41,
                             .start = LINK_START_NOW,
                             .node = link_string("ids"),
                             .filter = link_string("USER_LOGIN") };
        Frame frame;

        ck_assert_int_eq(link_receiver_subscribe(&f.receiver, &f.output, &wanted), 0);
        frame = take(FRAME_HELLO);
        ck_assert_int_eq(frame.hello.role, LINK_ROLE_SUBSCRIBER);
        ck_assert_int_eq(frame.hello.start, LINK_START_NOW);
        ck_assert_uint_eq(frame.hello.newest, 41);
        ck_assert_uint_eq(frame.hello.features, LINK_FEATURE_ZSTD | LINK_FEATURE_COMMANDS);
        ck_assert_uint_eq(frame.hello.filter.size, 10);
        connect_with(0); /* the sender's HELLO answers */
        (void) put_batch(1);
        ck_assert_int_gt(feed(), 0);
}
END_TEST

START_TEST(no_room_for_the_answer_changes_nothing)
{
        LinkHello hello = sender_hello(0);
        Buffer none = BUFFER_INIT(10);

        f.answer = false;
        ck_assert_int_eq(frame_put_hello(&f.input, &hello), 0);
        ck_assert_int_gt(feed(), 0);
        ck_assert_int_eq(link_receiver_welcome(&f.receiver, &none, 0, 0, "log1", ""), -ENOBUFS);
        ck_assert_int_eq(f.receiver.state, LINK_RECEIVER_GREETED);
        ck_assert_int_eq(link_receiver_welcome(&f.receiver, &f.output, 0, 0, "log1", ""), 0);
        (void) put_batch(1);
        ck_assert_int_gt(feed(), 0);
        ck_assert_int_eq(link_receiver_ack(&f.receiver, &none, 2, f.bytes), -ENOBUFS);
        ck_assert_uint_eq(f.receiver.acked, 0);
        buffer_done(&none);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("link-receiver");
        TCase *tcase = tcase_create("link-receiver");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, reads_nothing_until_hello_is_answered);
        tcase_add_test(tcase, may_refuse_a_hello);
        tcase_add_loop_test(tcase, judges_version_and_role, 0, (int) ELEMENTSOF(hellos));
        tcase_add_loop_test(tcase, takes_only_the_next_batch, 0, 8);
        tcase_add_test(tcase, a_batch_not_taken_leaves_no_trace);
        tcase_add_test(tcase, credit_grows_with_custody);
        tcase_add_test(tcase, never_acks_what_it_must_not);
        tcase_add_test(tcase, batches_need_credit_and_heartbeats_do_not);
        tcase_add_test(tcase, a_window_that_is_just_full_is_full);
        tcase_add_test(tcase, handlers_may_ack_and_end);
        tcase_add_test(tcase, another_payload_is_refused);
        tcase_add_loop_test(tcase, compressed_only_when_negotiated, 0, 2);
        tcase_add_loop_test(tcase, only_the_right_frames_in_each_state, 0,
                            (LINK_RECEIVER_ENDED + 1) * _FRAME_MAX);
        tcase_add_loop_test(tcase, commands_only_when_negotiated, 0, 2);
        tcase_add_test(tcase, works_with_the_least_handler);
        tcase_add_test(tcase, bytes_may_come_one_by_one);
        tcase_add_test(tcase, subscribes);
        tcase_add_test(tcase, no_room_for_the_answer_changes_nothing);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
