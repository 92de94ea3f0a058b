/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The stock protocol: the codec against tests/vectors/stock.txt, and both machines against frames made of them
 * and against each other. */

#include "check-main.h"
#include "stock/stock-receiver.h"
#include "stock/stock-sender.h"
#include "vectors.h"

#include <stdio.h>

#define OUTPUT_SIZE (1U << 20)

/* --- The codec --- */

static void read_vectors(void)
{
        vectors_read("stock.txt", 12);
}

static const Vector *find_vector(const char *name)
{
        read_vectors();
        return vectors_find(name);
}

START_TEST(vectors_decode_and_encode_to_the_same_bytes)
{
        read_vectors();
        for (size_t i = 0; i < n_vectors; i++) {
                const Vector *v = &vectors[i];
                Buffer output = BUFFER_INIT(OUTPUT_SIZE);
                StockFrame frame;
                int r = stock_frame_parse(v->data, v->size, &frame);

                if (begins(v->name, "bad-")) {
                        ck_assert_msg(r == -EBADMSG, "%s", v->name);
                } else if (begins(v->name, "part-")) {
                        ck_assert_msg(r == 0, "%s", v->name);
                } else {
                        ck_assert_msg(r == 1, "%s", v->name);
                        ck_assert_uint_eq(stock_frame_size(&frame), v->size);
                        ck_assert_int_eq(stock_frame_put(&output, frame.type, frame.seq, frame.payload,
                                                         frame.size), 0);
                        ck_assert_uint_eq(buffer_size(&output), v->size);
                        ck_assert_mem_eq(buffer_head(&output), v->data, v->size);
                }
                buffer_done(&output);
        }
}
END_TEST

START_TEST(frames_need_room_and_bytes)
{
        Buffer output = BUFFER_INIT(STOCK_HEADER_SIZE - 1);
        StockFrame frame;

        ck_assert_int_eq(stock_frame_put(&output, STOCK_ACK, 1, NULL, 0), -ENOBUFS);
        ck_assert_int_eq(stock_frame_parse(NULL, 0, &frame), 0);
}
END_TEST

/* --- The receiver --- */

static StockReceiver receiver;
static Buffer output, input;
static struct {
        char text[1024];
        size_t records, tentative, delivers;
        size_t room; /* records that a feed may hold */
        int result;  /* of deliver() */
} owner;

static int on_record(StockReceiver *r, const uint8_t *text, size_t size)
{
        ck_assert_ptr_eq(r, &receiver);
        if (owner.tentative >= owner.room)
                return -EAGAIN;
        ck_assert_uint_lt(size, sizeof owner.text);
        memcpy(owner.text, text, size);
        owner.text[size] = '\0';
        owner.tentative++;
        return 0;
}

static int on_deliver(StockReceiver *r)
{
        ck_assert_ptr_eq(r, &receiver);
        owner.delivers++;
        if (owner.result == 0)
                owner.records += owner.tentative;
        owner.tentative = 0;
        return owner.result;
}

static const StockReceiverHandler receiver_handler = { .record = on_record, .deliver = on_deliver };

static void setup(void)
{
        output = BUFFER_INIT(OUTPUT_SIZE);
        input = BUFFER_INIT(OUTPUT_SIZE);
        memset(&owner, 0, sizeof owner);
        owner.room = SIZE_MAX;
        stock_receiver_init(&receiver, &receiver_handler);
}

static void teardown(void)
{
        buffer_done(&output);
        buffer_done(&input);
}

static void again(void)
{
        teardown();
        setup();
}

static void offer(uint32_t type, uint32_t seq, const char *text)
{
        ck_assert_int_eq(stock_frame_put(&input, type, seq, text, (uint16_t) strlen(text)), 0);
}

/* Feeds what was offered; returns what feed() returned. */
static ssize_t feed(void)
{
        ssize_t n = stock_receiver_feed(&receiver, buffer_head(&input), buffer_size(&input), &output);

        if (n > 0)
                buffer_consume(&input, (size_t) n);
        return n;
}

static void expect(Buffer *buffer, uint32_t type, uint32_t seq, const char *text)
{
        StockFrame frame;

        ck_assert_int_eq(stock_frame_parse(buffer_head(buffer), buffer_size(buffer), &frame), 1);
        ck_assert_uint_eq(frame.type, type);
        ck_assert_uint_eq(frame.seq, seq);
        ck_assert_uint_eq(frame.size, strlen(text));
        ck_assert_mem_eq(frame.payload, text, frame.size);
        buffer_consume(buffer, stock_frame_size(&frame));
}

static void expect_nothing(Buffer *buffer)
{
        ck_assert_uint_eq(buffer_size(buffer), 0);
}

START_TEST(a_record_is_acked_when_it_is_durable)
{
        offer(STOCK_MESSAGE, 2, "first\n");
        ck_assert_int_gt(feed(), 0);
        ck_assert_uint_eq(owner.records, 1);
        ck_assert_str_eq(owner.text, "first");
        expect_nothing(&output);
        ck_assert(stock_receiver_pending(&receiver));
        ck_assert_int_eq(stock_receiver_durable(&receiver, &output, 1, false), 0);
        expect(&output, STOCK_ACK, 2, "");
        ck_assert(!stock_receiver_pending(&receiver));
        /* One newline is taken away, and nothing else. */
        offer(STOCK_MESSAGE, 3, "second\n\n");
        ck_assert_int_gt(feed(), 0);
        ck_assert_str_eq(owner.text, "second\n");
        offer(STOCK_MESSAGE, 4, "third");
        ck_assert_int_gt(feed(), 0);
        ck_assert_str_eq(owner.text, "third");
        offer(STOCK_MESSAGE, 5, "");
        ck_assert_int_gt(feed(), 0);
        ck_assert_str_eq(owner.text, "");
        expect_nothing(&output);
}
END_TEST

START_TEST(bytes_come_in_any_pieces)
{
        const Vector *v = find_vector("message");

        for (size_t n = 0; n < v->size; n++)
                ck_assert_int_eq(stock_receiver_feed(&receiver, v->data, n, &output), 0);
        ck_assert_uint_eq(owner.delivers, 0);
        ck_assert_int_eq(stock_receiver_feed(&receiver, v->data, v->size, &output), (ssize_t) v->size);
        ck_assert_uint_eq(owner.records, 1);
}
END_TEST

START_TEST(heartbeats_are_answered_at_once_but_in_order)
{
        offer(STOCK_HEARTBEAT, 8, "");
        ck_assert_int_gt(feed(), 0);
        expect(&output, STOCK_ACK, 8, "");
        ck_assert_uint_eq(owner.delivers, 0);
        offer(STOCK_MESSAGE, 9, "one");
        offer(STOCK_HEARTBEAT, 10, "what it holds is ignored");
        offer(STOCK_MESSAGE, 11, "two");
        offer(STOCK_HEARTBEAT, 12, "");
        ck_assert_int_gt(feed(), 0);
        expect_nothing(&output);
        ck_assert_int_eq(stock_receiver_durable(&receiver, &output, 2, false), 0);
        expect(&output, STOCK_ACK, 9, "");
        expect(&output, STOCK_ACK, 10, "");
        expect_nothing(&output);
        ck_assert_int_eq(stock_receiver_durable(&receiver, &output, receiver.taken, false), 0);
        expect(&output, STOCK_ACK, 11, "");
        expect(&output, STOCK_ACK, 12, "");
        /* Nothing is answered twice. */
        ck_assert_int_eq(stock_receiver_durable(&receiver, &output, receiver.taken, false), 0);
        expect_nothing(&output);
}
END_TEST

START_TEST(disklow_is_said_once)
{
        for (uint32_t seq = 1; seq <= 4; seq++)
                offer(seq == 1 ? STOCK_HEARTBEAT : STOCK_MESSAGE, seq, "");
        ck_assert_int_gt(feed(), 0);
        expect(&output, STOCK_ACK, 1, "");
        ck_assert_int_eq(stock_receiver_durable(&receiver, &output, 3, true), 0);
        expect(&output, STOCK_DISKLOW, 2, "");
        expect(&output, STOCK_ACK, 3, "");
        ck_assert_int_eq(stock_receiver_durable(&receiver, &output, 4, false), 0);
        expect(&output, STOCK_ACK, 4, "");
        /* The next time it is low it is said again. A heartbeat stores nothing: it is not told. */
        offer(STOCK_MESSAGE, 5, "");
        offer(STOCK_HEARTBEAT, 6, "");
        offer(STOCK_MESSAGE, 7, "");
        ck_assert_int_gt(feed(), 0);
        receiver.told_low = true;
        ck_assert_int_eq(stock_receiver_durable(&receiver, &output, 5, true), 0);
        expect(&output, STOCK_ACK, 5, "");
        receiver.told_low = false;
        ck_assert_int_eq(stock_receiver_durable(&receiver, &output, 7, true), 0);
        expect(&output, STOCK_ACK, 6, "");
        expect(&output, STOCK_DISKLOW, 7, "");
}
END_TEST

START_TEST(what_is_not_taken_is_offered_again)
{
        offer(STOCK_MESSAGE, 1, "one");
        offer(STOCK_HEARTBEAT, 2, "");
        owner.result = -EAGAIN;
        ck_assert_int_eq(feed(), 0);
        ck_assert_int_eq(feed(), 0);
        ck_assert_uint_eq(owner.records, 0);
        ck_assert_uint_eq(receiver.taken, 0);
        expect_nothing(&output);
        owner.result = 0;
        ck_assert_int_gt(feed(), 0);
        ck_assert_uint_eq(owner.records, 1);
        ck_assert_uint_eq(receiver.taken, 2);
        /* The owner's room bounds a feed. */
        owner.room = 1;
        offer(STOCK_MESSAGE, 3, "a");
        offer(STOCK_MESSAGE, 4, "b");
        ck_assert_int_eq(feed(), STOCK_HEADER_SIZE + 1);
        ck_assert_int_eq(feed(), STOCK_HEADER_SIZE + 1);
        ck_assert_uint_eq(owner.records, 3);
        ck_assert_str_eq(owner.text, "b");
}
END_TEST

START_TEST(so_many_are_pending_and_no_more)
{
        ssize_t n = STOCK_PENDING_MAX * STOCK_HEADER_SIZE;

        for (uint32_t seq = 0; seq < STOCK_PENDING_MAX + 2; seq++)
                offer(STOCK_MESSAGE, seq, "");
        ck_assert_int_eq(feed(), n);
        ck_assert_int_eq(feed(), 0);
        ck_assert_int_eq(stock_receiver_durable(&receiver, &output, 1, false), 0);
        ck_assert_int_eq(feed(), STOCK_HEADER_SIZE);
        ck_assert_int_eq(stock_receiver_durable(&receiver, &output, STOCK_PENDING_MAX + 1, false), 0);
        for (uint32_t seq = 0; seq < STOCK_PENDING_MAX + 1; seq++)
                expect(&output, STOCK_ACK, seq, "");
        ck_assert_int_eq(feed(), STOCK_HEADER_SIZE);
}
END_TEST

START_TEST(a_full_disk_refuses_behind_what_is_pending)
{
        static const int errors[] = { -ENOSPC, -EDQUOT, -EFBIG, -EIO };
        int error = errors[_i];

        offer(STOCK_MESSAGE, 1, "stored");
        ck_assert_int_gt(feed(), 0);
        offer(STOCK_HEARTBEAT, 2, "");
        offer(STOCK_MESSAGE, 3, "not");
        offer(STOCK_MESSAGE, 4, "not");
        owner.result = error;
        ck_assert_int_gt(feed(), 0);
        expect_nothing(&output);
        expect_nothing(&input);
        ck_assert_int_eq(receiver.state, STOCK_RECEIVER_REFUSING);
        /* Nothing more is taken. */
        offer(STOCK_MESSAGE, 5, "not");
        owner.result = 0;
        ck_assert_int_gt(feed(), 0);
        ck_assert_int_eq(stock_receiver_end(&receiver, &output), 0);
        ck_assert_int_eq(stock_receiver_durable(&receiver, &output, 1, false), 0);
        expect(&output, STOCK_ACK, 1, "");
        if (error == -EIO)
                expect(&output, STOCK_DISKERROR, 3, "disk write error");
        else
                expect(&output, STOCK_DISKFULL, 3, "disk full");
        expect_nothing(&output);
        ck_assert_int_eq(receiver.state, STOCK_RECEIVER_ENDED);
        ck_assert_uint_eq(owner.records, 1);
}
END_TEST

START_TEST(a_full_disk_refuses_at_once_when_nothing_is_pending)
{
        const Vector *v = find_vector("diskfull");

        offer(STOCK_MESSAGE, 7, "not");
        owner.result = -ENOSPC;
        ck_assert_int_gt(feed(), 0);
        ck_assert_uint_eq(buffer_size(&output), v->size);
        ck_assert_mem_eq(buffer_head(&output), v->data, v->size);
        ck_assert_int_eq(receiver.state, STOCK_RECEIVER_ENDED);
}
END_TEST

START_TEST(what_will_never_be_durable_is_refused)
{
        for (uint32_t seq = 1; seq <= 3; seq++)
                offer(STOCK_MESSAGE, seq, "");
        ck_assert_int_gt(feed(), 0);
        ck_assert_int_eq(stock_receiver_fail(&receiver, &output, 1, -EIO), 0);
        expect(&output, STOCK_ACK, 1, "");
        expect(&output, STOCK_DISKERROR, 2, "disk write error");
        expect_nothing(&output);
        ck_assert_int_eq(receiver.state, STOCK_RECEIVER_ENDED);
        ck_assert(!stock_receiver_pending(&receiver));
}
END_TEST

START_TEST(a_failure_costs_nobody_who_has_nothing_pending)
{
        offer(STOCK_MESSAGE, 1, "");
        offer(STOCK_HEARTBEAT, 2, "");
        ck_assert_int_gt(feed(), 0);
        ck_assert_int_eq(stock_receiver_fail(&receiver, &output, 1, -EIO), 0);
        expect(&output, STOCK_ACK, 1, "");
        expect(&output, STOCK_ACK, 2, "");
        ck_assert_int_eq(receiver.state, STOCK_RECEIVER_OPEN);
}
END_TEST

START_TEST(ending_is_said_last)
{
        const Vector *v = find_vector("ending");

        offer(STOCK_MESSAGE, 1, "");
        ck_assert_int_gt(feed(), 0);
        ck_assert_int_eq(stock_receiver_end(&receiver, &output), 0);
        expect_nothing(&output);
        ck_assert_int_eq(stock_receiver_durable(&receiver, &output, 1, false), 0);
        expect(&output, STOCK_ACK, 1, "");
        ck_assert_uint_eq(buffer_size(&output), v->size);
        ck_assert_mem_eq(buffer_head(&output), v->data, v->size);
        /* Once. */
        ck_assert_int_eq(stock_receiver_end(&receiver, &output), 0);
        ck_assert_uint_eq(buffer_size(&output), v->size);
        buffer_consume(&output, v->size);
        again();
        ck_assert_int_eq(stock_receiver_end(&receiver, &output), 0);
        expect(&output, STOCK_ENDING, 0, "");
}
END_TEST

START_TEST(bad_framing_ends_the_session_behind_what_was_good)
{
        const Vector *v = find_vector("bad-ascii");

        offer(STOCK_MESSAGE, 1, "good");
        ck_assert_int_eq(buffer_append(&input, v->data, v->size), 0);
        ck_assert_int_eq(feed(), -EBADMSG);
        ck_assert_ptr_nonnull(receiver.why);
        ck_assert_uint_eq(owner.records, 1);
        ck_assert_int_eq(stock_receiver_durable(&receiver, &output, 1, false), 0);
        expect(&output, STOCK_ACK, 1, "");
        expect_nothing(&output);
}
END_TEST

START_TEST(bad_framing_is_said_though_nothing_is_taken)
{
        offer(STOCK_MESSAGE, 1, "good");
        offer(STOCK_ACK, 1, "");
        owner.result = _i ? -EAGAIN : -ENOSPC;
        ck_assert_int_eq(feed(), -EBADMSG);
        ck_assert_uint_eq(receiver.taken, 0);
}
END_TEST

START_TEST(who_does_not_read_is_told_nothing)
{
        Buffer full = BUFFER_INIT(STOCK_HEADER_SIZE);
        const Vector *v = find_vector("heartbeat");

        ck_assert_int_eq(stock_receiver_feed(&receiver, v->data, v->size, &full), (ssize_t) v->size);
        ck_assert_int_eq(stock_receiver_feed(&receiver, v->data, v->size, &full), -ENOBUFS);
        again();
        offer(STOCK_MESSAGE, 1, "");
        ck_assert_int_gt(feed(), 0);
        ck_assert_int_eq(stock_receiver_durable(&receiver, &full, 1, false), -ENOBUFS);
        ck_assert_int_eq(stock_receiver_fail(&receiver, &full, 1, -EIO), -ENOBUFS);
        again();
        ck_assert_int_eq(stock_receiver_end(&receiver, &full), -ENOBUFS);
        again();
        owner.result = -ENOSPC;
        v = find_vector("message");
        ck_assert_int_eq(stock_receiver_feed(&receiver, v->data, v->size, &full), -ENOBUFS);
        buffer_done(&full);
}
END_TEST

/* --- The sender --- */

#define WINDOW 4U

static StockSender sender;
static struct {
        unsigned acked, warned, refused;
        uint32_t type;
        char text[128];
} told;

static void on_acked(StockSender *s)
{
        told.acked++;
}

static void note(uint32_t type, const uint8_t *text, size_t size)
{
        told.type = type;
        ck_assert_uint_lt(size, sizeof told.text);
        memcpy(told.text, text, size);
        told.text[size] = '\0';
}

static void on_warned(StockSender *s, uint32_t type, const uint8_t *text, size_t size)
{
        told.warned++;
        note(type, text, size);
}

static void on_refused(StockSender *s, uint32_t type, const uint8_t *text, size_t size)
{
        told.refused++;
        note(type, text, size);
}

static const StockSenderHandler sender_handler = {
        .acked = on_acked,
        .warned = on_warned,
        .refused = on_refused,
};

static void setup_sender(void)
{
        setup();
        memset(&told, 0, sizeof told);
        stock_sender_init(&sender, &sender_handler, WINDOW);
}

static ssize_t answer(void)
{
        ssize_t n = stock_sender_feed(&sender, buffer_head(&input), buffer_size(&input));

        if (n > 0)
                buffer_consume(&input, (size_t) n);
        return n;
}

static void send_records(unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                ck_assert_int_eq(stock_sender_put(&sender, &output, "x\n", 2), 0);
}

START_TEST(a_window_of_records_goes_out)
{
        send_records(WINDOW);
        ck_assert_int_eq(stock_sender_put(&sender, &output, "x\n", 2), -EAGAIN);
        for (uint32_t seq = 1; seq <= WINDOW; seq++)
                expect(&output, STOCK_MESSAGE, seq, "x\n");
        offer(STOCK_ACK, 1, "");
        offer(STOCK_ACK, 2, "");
        ck_assert_int_gt(answer(), 0);
        ck_assert_uint_eq(told.acked, 2);
        send_records(2);
        ck_assert_int_eq(stock_sender_put(&sender, &output, "x\n", 2), -EAGAIN);
        for (uint32_t seq = 3; seq <= 6; seq++)
                offer(STOCK_ACK, seq, "");
        ck_assert_int_gt(answer(), 0);
        ck_assert_uint_eq(told.acked, 6);
        ck_assert_uint_eq(told.warned + told.refused, 0);
}
END_TEST

START_TEST(replies_come_in_any_pieces)
{
        const Vector *v = find_vector("ack");

        sender.seq = 7;
        send_records(1);
        for (size_t n = 0; n < v->size; n++)
                ck_assert_int_eq(stock_sender_feed(&sender, v->data, n), 0);
        ck_assert_int_eq(stock_sender_feed(&sender, v->data, v->size), (ssize_t) v->size);
        ck_assert_uint_eq(told.acked, 1);
}
END_TEST

START_TEST(a_heartbeat_is_alone)
{
        ck_assert_int_eq(stock_sender_beat(&sender, &output), 0);
        expect(&output, STOCK_HEARTBEAT, 1, "");
        ck_assert_int_eq(stock_sender_put(&sender, &output, "x\n", 2), -EAGAIN);
        ck_assert_int_eq(stock_sender_beat(&sender, &output), 0);
        expect_nothing(&output);
        offer(STOCK_ACK, 1, "");
        ck_assert_int_gt(answer(), 0);
        ck_assert_uint_eq(told.acked, 0);
        send_records(1);
        expect(&output, STOCK_MESSAGE, 2, "x\n");
        /* A reply is awaited anyway. */
        ck_assert_int_eq(stock_sender_beat(&sender, &output), 0);
        expect_nothing(&output);
}
END_TEST

START_TEST(seqs_wrap)
{
        sender.seq = UINT32_MAX;
        send_records(2);
        offer(STOCK_ACK, UINT32_MAX, "");
        offer(STOCK_ACK, 0, "");
        ck_assert_int_gt(answer(), 0);
        ck_assert_uint_eq(told.acked, 2);
}
END_TEST

START_TEST(a_warning_is_an_ack_too)
{
        send_records(2);
        offer(STOCK_DISKLOW, 1, "");
        offer(STOCK_DISKLOW + 41, 2, "mind");
        ck_assert_int_gt(answer(), 0);
        ck_assert_uint_eq(told.acked, 2);
        ck_assert_uint_eq(told.warned, 2);
        ck_assert_uint_eq(told.type, STOCK_DISKLOW + 41);
        ck_assert_str_eq(told.text, "mind");
}
END_TEST

START_TEST(a_refusal_ends_it)
{
        static const uint32_t types[] = { STOCK_DISKFULL, STOCK_DISKERROR, 0x60000042, STOCK_ENDING };

        send_records(2);
        offer(STOCK_ACK, 1, "");
        offer(types[_i], types[_i] == STOCK_ENDING ? 0 : 2, "why");
        offer(STOCK_ACK, 2, "");
        ck_assert_int_gt(answer(), 0);
        ck_assert_uint_eq(told.acked, 1);
        ck_assert_uint_eq(told.refused, 1);
        ck_assert_uint_eq(told.type, types[_i]);
        ck_assert_str_eq(told.text, "why");
        expect_nothing(&input);
        ck_assert_int_eq(stock_sender_put(&sender, &output, "x\n", 2), -EAGAIN);
        ck_assert_int_eq(stock_sender_beat(&sender, &output), 0);
        ck_assert_uint_eq(sender.in_flight, 1);
}
END_TEST

START_TEST(a_reply_that_fits_nothing_breaks_it)
{
        if (_i < 3)
                send_records(2);
        switch (_i) {
        case 0: /* out of order */
                offer(STOCK_ACK, 2, "");
                break;
        case 1:
                offer(STOCK_MESSAGE, 1, "");
                break;
        case 2: {
                const Vector *v = find_vector("bad-magic");

                ck_assert_int_eq(buffer_append(&input, v->data, v->size), 0);
                break;
        }
        case 3: /* to nothing */
                offer(STOCK_ACK, 1, "");
                break;
        }
        ck_assert_int_eq(answer(), -EBADMSG);
        ck_assert_ptr_nonnull(sender.why);
        ck_assert_uint_eq(told.acked, 0);
}
END_TEST

START_TEST(without_room_nothing_is_in_flight)
{
        Buffer full = BUFFER_INIT(STOCK_HEADER_SIZE - 1);

        ck_assert_int_eq(stock_sender_put(&sender, &full, "x\n", 2), -ENOBUFS);
        ck_assert_int_eq(stock_sender_beat(&sender, &full), -ENOBUFS);
        ck_assert_uint_eq(sender.in_flight, 0);
        ck_assert(!sender.beating);
}
END_TEST

START_TEST(a_long_line_is_cut_at_a_field)
{
        static uint8_t line[STOCK_PAYLOAD_MAX + 100];

        memset(line, 'x', sizeof line);
        ck_assert_uint_eq(stock_sender_fit(line, 10), 10);
        ck_assert_uint_eq(stock_sender_fit(line, STOCK_PAYLOAD_MAX - 1), STOCK_PAYLOAD_MAX - 1);
        ck_assert_uint_eq(stock_sender_fit(line, STOCK_PAYLOAD_MAX), STOCK_PAYLOAD_MAX - 1);
        line[0] = ' ';
        ck_assert_uint_eq(stock_sender_fit(line, sizeof line), STOCK_PAYLOAD_MAX - 1);
        line[100] = ' ';
        ck_assert_uint_eq(stock_sender_fit(line, sizeof line), 100);
        line[STOCK_PAYLOAD_MAX - 1] = ' ';
        ck_assert_uint_eq(stock_sender_fit(line, sizeof line), STOCK_PAYLOAD_MAX - 1);
        line[STOCK_PAYLOAD_MAX] = ' ';
        ck_assert_uint_eq(stock_sender_fit(line, sizeof line), STOCK_PAYLOAD_MAX - 1);
}
END_TEST

/* --- Both --- */

START_TEST(one_talks_to_the_other)
{
        unsigned sent = 0;

        for (unsigned round = 0; round < 1000; round++) {
                while (sent < 3 * round && stock_sender_put(&sender, &input, "x\n", 2) == 0)
                        sent++;
                if (round % 7 == 0)
                        ck_assert_int_eq(stock_sender_beat(&sender, &input), 0);
                ck_assert_int_ge(feed(), 0);
                ck_assert_int_eq(stock_receiver_durable(&receiver, &output, receiver.taken - receiver.taken % 2,
                                                        round % 5 == 0), 0);
                if (buffer_size(&output) > 0)
                        buffer_consume(&output, (size_t) stock_sender_feed(&sender, buffer_head(&output),
                                                                           buffer_size(&output)));
                expect_nothing(&output);
        }
        ck_assert_ptr_null(sender.why);
        ck_assert_uint_eq(told.acked + sender.in_flight, sent);
        ck_assert_uint_eq(owner.records, sent);
        ck_assert_uint_gt(told.warned, 0);
}
END_TEST

static Suite *stock_suite(void)
{
        Suite *suite = suite_create("stock");
        TCase *frames = tcase_create("frames"), *receiving = tcase_create("receiver"),
              *sending = tcase_create("sender");

        tcase_add_test(frames, vectors_decode_and_encode_to_the_same_bytes);
        tcase_add_test(frames, frames_need_room_and_bytes);
        suite_add_tcase(suite, frames);

        tcase_add_checked_fixture(receiving, setup, teardown);
        tcase_add_test(receiving, a_record_is_acked_when_it_is_durable);
        tcase_add_test(receiving, bytes_come_in_any_pieces);
        tcase_add_test(receiving, heartbeats_are_answered_at_once_but_in_order);
        tcase_add_test(receiving, disklow_is_said_once);
        tcase_add_test(receiving, what_is_not_taken_is_offered_again);
        tcase_add_test(receiving, so_many_are_pending_and_no_more);
        tcase_add_loop_test(receiving, a_full_disk_refuses_behind_what_is_pending, 0, 4);
        tcase_add_test(receiving, a_full_disk_refuses_at_once_when_nothing_is_pending);
        tcase_add_test(receiving, what_will_never_be_durable_is_refused);
        tcase_add_test(receiving, a_failure_costs_nobody_who_has_nothing_pending);
        tcase_add_test(receiving, ending_is_said_last);
        tcase_add_test(receiving, bad_framing_ends_the_session_behind_what_was_good);
        tcase_add_loop_test(receiving, bad_framing_is_said_though_nothing_is_taken, 0, 2);
        tcase_add_test(receiving, who_does_not_read_is_told_nothing);
        suite_add_tcase(suite, receiving);

        tcase_add_checked_fixture(sending, setup_sender, teardown);
        tcase_add_test(sending, a_window_of_records_goes_out);
        tcase_add_test(sending, replies_come_in_any_pieces);
        tcase_add_test(sending, a_heartbeat_is_alone);
        tcase_add_test(sending, seqs_wrap);
        tcase_add_test(sending, a_warning_is_an_ack_too);
        tcase_add_loop_test(sending, a_refusal_ends_it, 0, 4);
        tcase_add_loop_test(sending, a_reply_that_fits_nothing_breaks_it, 0, 4);
        tcase_add_test(sending, without_room_nothing_is_in_flight);
        tcase_add_test(sending, a_long_line_is_cut_at_a_field);
        tcase_add_test(sending, one_talks_to_the_other);
        suite_add_tcase(suite, sending);
        return suite;
}

int main(void)
{
        return check_main(stock_suite());
}
