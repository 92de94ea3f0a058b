/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "check-main.h"
#include "array-source.h"
#include "link/link-sender.h"

/* One sender on an array of ten batches of three records: seqs 1..30. */
typedef struct Fixture {
        ArraySource array;
        LinkSender sender;
        Buffer output;
        Buffer input;
        unsigned n_welcomed, n_acked, n_diverged, n_receipts, n_states, n_commands, n_replies, n_byes,
                n_hellos;
        uint64_t acked, peer_last;
        bool refuse;
} Fixture;

static Fixture f;

#define BATCHES 10U
#define RECORDS 3U
#define LAST (BATCHES * RECORDS)
#define PLENTY (1U << 30)

static void on_hello(LinkSender *sender, const LinkHello *hello, Buffer *output)
{
        f.n_hellos++;
        if (f.refuse)
                ck_assert_int_eq(link_sender_end(sender, output, LINK_BYE_NODE, "not you"), 0);
}

static void on_welcomed(LinkSender *sender, const LinkWelcome *welcome)
{
        f.n_welcomed++;
}

static void on_acked(LinkSender *sender, uint64_t seq)
{
        ck_assert_uint_eq(f.array.released, seq); /* the source is told first */
        f.acked = seq;
        f.n_acked++;
}

static void on_diverged(LinkSender *sender, uint64_t peer_last)
{
        f.peer_last = peer_last;
        f.n_diverged++;
}

static void on_receipt(LinkSender *sender, const LinkReceipt *receipt)
{
        f.n_receipts++;
}

static void on_state(LinkSender *sender, const LinkState *state)
{
        f.n_states++;
}

static void on_command(LinkSender *sender, const LinkCommand *command)
{
        f.n_commands++;
}

static void on_reply(LinkSender *sender, const LinkReply *reply)
{
        f.n_replies++;
}

static void on_bye(LinkSender *sender, const LinkBye *bye)
{
        f.n_byes++;
}

static const LinkSenderHandler handler = {
        .hello = on_hello,
        .welcomed = on_welcomed,
        .acked = on_acked,
        .diverged = on_diverged,
        .receipt = on_receipt,
        .state = on_state,
        .command = on_command,
        .reply = on_reply,
        .bye = on_bye,
};
static const LinkSenderHandler no_handler;

static void setup(void)
{
        f = (Fixture) { .output = BUFFER_INIT(4 * LINK_FRAME_MAX), .input = BUFFER_INIT(4 * LINK_FRAME_MAX) };
        array_init(&f.array, 0xaa);
        for (unsigned i = 0; i < BATCHES; i++)
                array_append(&f.array, RECORDS, 0);
        link_sender_init(&f.sender, &f.array.source, &handler, "web1",
                         LINK_FEATURE_ZSTD | LINK_FEATURE_COMMANDS);
}

static void teardown(void)
{
        link_sender_done(&f.sender);
        buffer_done(&f.output);
        buffer_done(&f.input);
        array_done(&f.array);
}

/* Feeds what was put into f.input. */
static ssize_t feed(uint64_t now_usec)
{
        ssize_t n = link_sender_feed(&f.sender, buffer_head(&f.input), buffer_size(&f.input), &f.output,
                                     now_usec);

        if (n > 0)
                buffer_consume(&f.input, (size_t) n);
        return n;
}

/* Takes one frame out of the output; its slices are valid until the next output. */
static Frame take(FrameType type)
{
        const char *why = NULL;
        Frame frame;

        ck_assert_int_eq(frame_decode(buffer_head(&f.output), buffer_size(&f.output), &frame, &why), 1);
        ck_assert_int_eq(frame.type, type);
        buffer_consume(&f.output, frame.size);
        return frame;
}

static LinkWelcome welcome(uint64_t last, uint64_t checksum, uint64_t credit)
{
        return (LinkWelcome) { .version = LINK_VERSION,
                              .stream = f.array.stream,
                              .last = last,
                              .checksum = checksum,
                              .credit = credit,
                              .name = link_string("log1") };
}

static uint64_t checksum_at(uint64_t seq)
{
        return f.array.batches[array_find(&f.array, seq)].batch.checksum;
}

static void connect_at(uint64_t last, uint64_t credit, uint16_t features)
{
        LinkWelcome w = welcome(last, last > 0 ? checksum_at(last) : 0, credit);

        w.features = features;
        ck_assert_int_eq(link_sender_start(&f.sender, &f.output, 0), 0);
        (void) take(FRAME_HELLO);
        ck_assert_int_eq(frame_put_welcome(&f.input, &w), 0);
        ck_assert_int_gt(feed(0), 0);
        ck_assert_int_eq(f.sender.state, LINK_SENDER_CONNECTED);
}

static void expect_bye(LinkByeCode code)
{
        Frame frame = take(FRAME_BYE);

        ck_assert_uint_eq(frame.bye.code, code);
        if (code == LINK_BYE_PROTOCOL) {
                ck_assert_ptr_nonnull(f.sender.why);
                ck_assert_uint_eq(frame.bye.reason.size, strlen(f.sender.why));
        }
        ck_assert_uint_eq(buffer_size(&f.output), 0);
        ck_assert_int_eq(f.sender.state, LINK_SENDER_ENDED);
}
