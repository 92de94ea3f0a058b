/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "sender-fixture.h"

#include <zstd.h>

START_TEST(greets_and_waits)
{
        Frame hello;

        ck_assert_int_eq(link_sender_start(&f.sender, &f.output, 5), 0);
        hello = take(FRAME_HELLO);
        ck_assert_int_eq(hello.hello.role, LINK_ROLE_SENDER);
        ck_assert_uint_eq(hello.hello.oldest, 1);
        ck_assert_uint_eq(hello.hello.newest, LAST);
        ck_assert(stream_id_equal(&hello.hello.stream, &f.array.stream));
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 100 * USEC_PER_SEC), 0);
        ck_assert_uint_eq(buffer_size(&f.output), 0);
        ck_assert_uint_eq(link_sender_deadline(&f.sender), USEC_INFINITY);
        ck_assert_uint_eq(f.sender.unacked_usec, USEC_INFINITY);
}
END_TEST

enum { OURS, NONE, OTHER };

static const struct {
        uint64_t last;
        int checksum;
        size_t dropped;
        bool diverges;
        uint64_t released;
        uint64_t first;    /* first seq sent; 0: nothing */
} resumes[] = {
        { 0, NONE, 0, false, 0, 1 },
        { 3, OURS, 0, false, 3, 4 },
        { LAST, OURS, 0, false, LAST, 0 },
        { 6, OTHER, 0, true, 0, 0 },          /* another batch ended there */
        { LAST + 1, OURS, 0, true, 0, 0 },    /* we were rolled back */
        { UINT64_MAX, OURS, 0, true, 0, 0 },
        { 4, OURS, 0, true, 0, 0 },           /* inside one of our batches */
        { 6, NONE, 0, false, 6, 7 },          /* a subscriber begins in the middle */
        { 4, NONE, 0, true, 0, 0 },
        { 4, OTHER, 4, false, 4, 5 },         /* too old to compare; the rest up to 12 is explained */
        { 0, NONE, 4, false, 0, 1 },
        { 12, OTHER, 4, false, 12, 13 },
        { LAST, OTHER, BATCHES, false, LAST, 0 },
        { LAST + 1, OTHER, BATCHES, true, 0, 0 },
};

START_TEST(judges_where_the_peer_stands)
{
        LinkWelcome w = welcome(resumes[_i].last, 0, PLENTY);

        f.array.dropped = resumes[_i].dropped;
        if (resumes[_i].checksum != NONE)
                w.checksum =
                        resumes[_i].last <= LAST && resumes[_i].dropped < BATCHES ? checksum_at(w.last) : 77;
        w.checksum += resumes[_i].checksum == OTHER;
        ck_assert_int_eq(link_sender_start(&f.sender, &f.output, 0), 0);
        (void) take(FRAME_HELLO);
        ck_assert_int_eq(frame_put_welcome(&f.input, &w), 0);
        ck_assert_int_gt(feed(0), 0);
        ck_assert_uint_eq(f.array.n_releases, !resumes[_i].diverges);
        ck_assert_uint_eq(f.array.released, resumes[_i].released);
        ck_assert_uint_eq(f.n_diverged, resumes[_i].diverges);
        ck_assert_uint_eq(f.n_welcomed, !resumes[_i].diverges);
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 0), 0);
        if (resumes[_i].diverges) {
                ck_assert_uint_eq(f.peer_last, resumes[_i].last);
                expect_bye(LINK_BYE_DIVERGED);
        } else if (resumes[_i].first > 0) {
                ck_assert_uint_eq(take(FRAME_BATCH).batch.first, resumes[_i].first);
                ck_assert_uint_eq(f.sender.sent, LAST);
        } else {
                ck_assert_uint_eq(buffer_size(&f.output), 0);
        }
}
END_TEST

static int ended_without_checksum(Source *source, uint64_t seq, uint64_t *ret_checksum)
{
        *ret_checksum = 0;
        return 1;
}

START_TEST(a_checksum_that_is_not_known_proves_nothing)
{
        LinkWelcome w = welcome(6, 4711, PLENTY);

        f.array.source.ended = ended_without_checksum;
        ck_assert_int_eq(link_sender_start(&f.sender, &f.output, 0), 0);
        ck_assert_int_eq(frame_put_welcome(&f.input, &w), 0);
        ck_assert_int_gt(feed(0), 0);
        ck_assert_int_eq(f.sender.state, LINK_SENDER_CONNECTED);
        ck_assert_uint_eq(f.sender.checksum, 0);
}
END_TEST

START_TEST(refuses_a_wrong_welcome)
{
        LinkWelcome w = welcome(0, 0, PLENTY);

        switch (_i) {
        case 0:
                w.version = LINK_VERSION + 1;
                break;
        case 1:
                w.features = 1U << 15;
                break;
        case 2:
                w.stream.bytes[3] ^= 1;
                break;
        }
        ck_assert_int_eq(link_sender_start(&f.sender, &f.output, 0), 0);
        (void) take(FRAME_HELLO);
        ck_assert_int_eq(frame_put_welcome(&f.input, &w), 0);
        ck_assert_int_eq(feed(0), -EBADMSG);
        expect_bye(LINK_BYE_PROTOCOL);
        ck_assert_uint_eq(f.n_welcomed, 0);
}
END_TEST

START_TEST(explains_what_is_gone)
{
        uint64_t next = 1;

        f.array.dropped = 4;
        f.array.explain_most = _i ? 5 : 0;
        connect_at(0, PLENTY, 0);
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 0), 0);
        while (next <= LAST) {
                Frame frame = take(FRAME_BATCH);

                ck_assert_uint_eq(frame.batch.first, next);
                ck_assert_int_eq(frame.batch.reason, next <= 12 ? BATCH_LOST : BATCH_RECORDS);
                next = frame.batch.last + 1;
        }
        ck_assert_uint_eq(buffer_size(&f.output), 0);
}
END_TEST

START_TEST(credit_is_overshot_by_less_than_one_batch)
{
        size_t frame_size;

        connect_at(0, 1, 0);
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 0), 0);
        frame_size = take(FRAME_BATCH).size;
        ck_assert_uint_eq(buffer_size(&f.output), 0);
        ck_assert_uint_eq(f.sender.bytes_sent, frame_size);

        /* Exactly used up: nothing goes; one byte more: one batch. */
        for (unsigned more = 0; more < 2; more++) {
                ck_assert_int_eq(frame_put_ack(&f.input, &(LinkAck) { 3, frame_size + more }), 0);
                ck_assert_int_gt(feed(0), 0);
                ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 0), 0);
                ck_assert_uint_eq(f.sender.sent, 3 + 3 * more);
        }
}
END_TEST

START_TEST(stops_when_the_output_is_full)
{
        Buffer small = BUFFER_INIT(100), tiny = BUFFER_INIT(70);
        unsigned n = 0;

        for (unsigned i = 0; i < 12000; i++)
                array_append(&f.array, 1, 0);
        connect_at(0, UINT64_MAX, 0);
        while (link_sender_fill(&f.sender, &f.output, 0) == 1) {
                ck_assert_uint_ge(buffer_size(&f.output), LINK_OUTPUT_TARGET);
                ck_assert_uint_lt(buffer_size(&f.output), LINK_OUTPUT_TARGET + LINK_FRAME_MAX);
                /* Whoever asks at the deadline is not to ask again at once, for ever. */
                ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, LINK_HEARTBEAT_USEC), 1);
                ck_assert_uint_eq(link_sender_deadline(&f.sender), 2 * LINK_HEARTBEAT_USEC);
                buffer_consume(&f.output, buffer_size(&f.output));
                n++;
        }
        ck_assert_uint_ge(n, 1);
        ck_assert_uint_eq(f.sender.sent, LAST + 12000);
        buffer_consume(&f.output, buffer_size(&f.output));

        connect_at(0, UINT64_MAX, 0);
        ck_assert_int_eq(link_sender_fill(&f.sender, &small, 0), 1);
        ck_assert_uint_eq(f.sender.sent, 3); /* the second did not fit and is not skipped */
        buffer_consume(&small, buffer_size(&small));
        ck_assert_int_eq(link_sender_fill(&f.sender, &small, 0), 1);
        ck_assert_uint_eq(f.sender.sent, 6);
        ck_assert_int_eq(link_sender_fill(&f.sender, &tiny, 0), -ENOBUFS);
        buffer_done(&small);
        buffer_done(&tiny);
}
END_TEST

static const struct {
        LinkAck ack;
        bool good;
        uint64_t released; /* last released; 3 from WELCOME */
} acks[] = {
        { { 6, PLENTY }, true, 6 },
        { { LAST, PLENTY + 1 }, true, LAST },
        { { 3, PLENTY }, true, 3 },  /* again: only credit */
        { { 3, UINT64_MAX }, true, 3 },
        { { 2, PLENTY }, false, 3 },
        { { 0, PLENTY }, false, 3 },
        { { LAST + 1, PLENTY }, false, 3 },
        { { 6, PLENTY - 1 }, false, 3 },
        { { 7, PLENTY }, false, 3 }, /* inside a batch */
};

START_TEST(releases_what_is_acked_and_nothing_else)
{
        connect_at(3, PLENTY, 0);
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 0), 0);
        buffer_consume(&f.output, buffer_size(&f.output));
        ck_assert_int_eq(frame_put_ack(&f.input, &acks[_i].ack), 0);
        if (acks[_i].good) {
                ck_assert_int_gt(feed(0), 0);
                ck_assert_uint_eq(f.sender.credit, acks[_i].ack.credit);
        } else {
                ck_assert_int_eq(feed(0), -EBADMSG);
                expect_bye(LINK_BYE_PROTOCOL);
        }
        ck_assert_uint_eq(f.array.released, acks[_i].released);
        ck_assert_uint_eq(f.array.released_checksum, checksum_at(acks[_i].released));
        ck_assert_uint_eq(f.n_acked, acks[_i].released > 3);
        ck_assert_uint_eq(f.sender.acked, acks[_i].released);
        ck_assert_uint_eq(f.sender.checksum, checksum_at(acks[_i].released));
}
END_TEST

/* It is held, its end is one of a batch, and yet. */
START_TEST(an_ack_of_what_waits_for_credit_is_refused)
{
        connect_at(3, 1, 0);
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 0), 0);
        buffer_consume(&f.output, buffer_size(&f.output));
        ck_assert_uint_eq(f.sender.sent, 6);
        ck_assert_int_eq(frame_put_ack(&f.input, &(LinkAck) { LAST, PLENTY }), 0);
        ck_assert_int_eq(feed(0), -EBADMSG);
        expect_bye(LINK_BYE_PROTOCOL);
        ck_assert_uint_eq(f.array.released, 3);
}
END_TEST

START_TEST(an_ack_of_what_was_dropped_meanwhile_is_good)
{
        connect_at(0, PLENTY, 0);
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 0), 0);
        f.array.dropped = 5;
        ck_assert_int_eq(frame_put_ack(&f.input, &(LinkAck) { 6, PLENTY }), 0);
        ck_assert_int_gt(feed(0), 0);
        ck_assert_uint_eq(f.array.released, 6);
        ck_assert_uint_eq(f.array.released_checksum, 0); /* not known any more */
}
END_TEST

START_TEST(a_heartbeat_every_second_of_silence)
{
        Frame frame;

        connect_at(LAST, 0, 0); /* without credit, too */
        ck_assert_uint_eq(link_sender_deadline(&f.sender), LINK_HEARTBEAT_USEC);
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, LINK_HEARTBEAT_USEC - 1), 0);
        ck_assert_uint_eq(buffer_size(&f.output), 0);
        for (uint64_t n = 1; n < 4; n++) {
                ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, n * LINK_HEARTBEAT_USEC), 0);
                frame = take(FRAME_BATCH);
                ck_assert_uint_eq(frame.batch.first, LAST + 1);
                ck_assert(batch_is_heartbeat(&frame.batch));
                ck_assert_uint_eq(buffer_size(&f.output), 0);
                ck_assert_uint_eq(link_sender_deadline(&f.sender), (n + 1) * LINK_HEARTBEAT_USEC);
                ck_assert_uint_eq(f.sender.unacked_usec, LINK_HEARTBEAT_USEC); /* of the first */
        }
        ck_assert_uint_eq(f.sender.bytes_sent, 0);

        /* Behind bytes that the socket does not take they would only pile up. */
        ck_assert_int_eq(buffer_append(&f.output, "x", 1), 0);
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 9 * LINK_HEARTBEAT_USEC), 0);
        ck_assert_uint_eq(buffer_size(&f.output), 1);
        ck_assert_uint_eq(link_sender_deadline(&f.sender), 10 * LINK_HEARTBEAT_USEC);
}
END_TEST

START_TEST(a_heartbeat_needs_room)
{
        Buffer tiny = BUFFER_INIT(10);

        connect_at(LAST, PLENTY, 0);
        ck_assert_int_eq(link_sender_fill(&f.sender, &tiny, LINK_HEARTBEAT_USEC), -ENOBUFS);
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, LINK_HEARTBEAT_USEC), 0);
        (void) take(FRAME_BATCH);
        buffer_done(&tiny);
}
END_TEST

START_TEST(knows_since_when_the_peer_owes_an_answer)
{
        connect_at(0, PLENTY, 0);
        ck_assert_uint_eq(f.sender.unacked_usec, USEC_INFINITY);
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 10), 0);
        ck_assert_uint_eq(f.sender.unacked_usec, 10);
        array_append(&f.array, 1, 0);
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 20), 0);
        ck_assert_uint_eq(f.sender.unacked_usec, 10); /* the oldest counts */
        ck_assert_int_eq(frame_put_ack(&f.input, &(LinkAck) { LAST, PLENTY }), 0);
        ck_assert_int_gt(feed(30), 0);
        ck_assert_uint_eq(f.sender.unacked_usec, 30); /* it lives, and still owes */
        ck_assert_int_eq(frame_put_ack(&f.input, &(LinkAck) { LAST + 1, PLENTY }), 0);
        ck_assert_int_gt(feed(40), 0);
        ck_assert_uint_eq(f.sender.unacked_usec, USEC_INFINITY);
}
END_TEST

/* One frame of each type, in order of type. */
static void put_any(Buffer *buffer, FrameType type)
{
        LinkHello hello = { .version_min = 1, .version_max = 1, .role = LINK_ROLE_SUBSCRIBER,
                            .node = link_string("ids"), .features = LINK_FEATURE_COMMANDS };
        LinkWelcome w = welcome(0, 0, PLENTY);
        Batch batch = {
                .first = 1, .last = 0, .origin = BATCH_ORIGIN_LOCAL, .payload = (const uint8_t *) ""
        };
        int r = -EINVAL;

        w.features = LINK_FEATURE_COMMANDS;
        batch_seal(&batch);
        switch (type) {
        case FRAME_HELLO:
                r = frame_put_hello(buffer, &hello);
                break;
        case FRAME_WELCOME:
                r = frame_put_welcome(buffer, &w);
                break;
        case FRAME_BATCH:
                r = frame_put_batch(buffer, &batch);
                break;
        case FRAME_ACK:
                r = frame_put_ack(buffer, &(LinkAck) { 0, PLENTY });
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
                r = frame_put_bye(buffer, &(LinkBye) { .code = LINK_BYE_ENDING });
                break;
        default:
                break;
        }
        ck_assert_int_eq(r, 0);
}

static void bring_to(LinkSenderState state)
{
        switch (state) {
        case LINK_SENDER_IDLE:
                break;
        case LINK_SENDER_ACCEPTING:
                link_sender_accept(&f.sender);
                break;
        case LINK_SENDER_GREETED:
                ck_assert_int_eq(link_sender_start(&f.sender, &f.output, 0), 0);
                (void) take(FRAME_HELLO);
                break;
        case LINK_SENDER_CONNECTED:
                connect_at(0, PLENTY, LINK_FEATURE_COMMANDS);
                break;
        case LINK_SENDER_ENDED:
                connect_at(0, PLENTY, LINK_FEATURE_COMMANDS);
                ck_assert_int_eq(link_sender_end(&f.sender, &f.output, LINK_BYE_TIMEOUT, "silence"), 0);
                expect_bye(LINK_BYE_TIMEOUT);
                break;
        }
}

/* Every frame in every state: who is not allowed ends the session. */
START_TEST(only_the_right_frames_in_each_state)
{
        static const unsigned allowed[] = {
                [LINK_SENDER_IDLE] = 0,
                [LINK_SENDER_ACCEPTING] = 1U << FRAME_HELLO | 1U << FRAME_BYE,
                [LINK_SENDER_GREETED] = 1U << FRAME_WELCOME | 1U << FRAME_BYE,
                [LINK_SENDER_CONNECTED] = 1U << FRAME_ACK | 1U << FRAME_RECEIPT | 1U << FRAME_STATE |
                                          1U << FRAME_COMMAND | 1U << FRAME_REPLY | 1U << FRAME_BYE,
                [LINK_SENDER_ENDED] = ~0U,
        };
        LinkSenderState state = (LinkSenderState) (_i / _FRAME_MAX);
        FrameType type = (FrameType) (_i % _FRAME_MAX);
        size_t size;

        if (type == 0)
                return;
        bring_to(state);
        put_any(&f.input, type);
        size = buffer_size(&f.input);
        if (allowed[state] & 1U << type) {
                ck_assert_int_eq(feed(0), (ssize_t) size);
                ck_assert_ptr_null(f.sender.why);
        } else {
                ck_assert_int_eq(feed(0), -EBADMSG);
                ck_assert_str_eq(f.sender.why, frame_unexpected(type));
                if (state != LINK_SENDER_IDLE)
                        expect_bye(LINK_BYE_PROTOCOL);
        }
        if (state == LINK_SENDER_CONNECTED)
                ck_assert_uint_eq(f.n_receipts + f.n_states + f.n_commands + f.n_replies + f.n_byes,
                                  type == FRAME_RECEIPT || type == FRAME_STATE || type == FRAME_COMMAND ||
                                          type == FRAME_REPLY || type == FRAME_BYE);
        if (type == FRAME_BYE)
                ck_assert_int_eq(f.sender.state, LINK_SENDER_ENDED);
}
END_TEST

START_TEST(commands_only_when_negotiated)
{
        connect_at(0, PLENTY, 0);
        put_any(&f.input, _i ? FRAME_COMMAND : FRAME_REPLY);
        ck_assert_int_eq(feed(0), -EBADMSG);
        expect_bye(LINK_BYE_PROTOCOL);
}
END_TEST

START_TEST(works_without_any_handler)
{
        Frame frame;

        f.sender.handler = &no_handler;
        connect_at(0, PLENTY, LINK_FEATURE_COMMANDS);
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 0), 0);
        buffer_consume(&f.output, buffer_size(&f.output));
        for (FrameType type = FRAME_ACK; type < _FRAME_MAX; type++)
                put_any(&f.input, type);
        ck_assert_int_gt(feed(0), 0);
        frame = take(FRAME_REPLY);
        ck_assert_uint_eq(frame.reply.id, 7);
        ck_assert_uint_eq(frame.reply.status, LINK_REPLY_UNKNOWN);
        ck_assert_int_eq(f.sender.state, LINK_SENDER_ENDED);
}
END_TEST

START_TEST(bytes_may_come_one_by_one)
{
        LinkWelcome w = welcome(0, 0, PLENTY);
        uint8_t byte;

        ck_assert_int_eq(link_sender_start(&f.sender, &f.output, 0), 0);
        ck_assert_int_eq(frame_put_welcome(&f.input, &w), 0);
        put_any(&f.input, FRAME_ACK);
        put_any(&f.input, FRAME_STATE);
        for (Buffer all = f.input, part = BUFFER_INIT(LINK_FRAME_MAX);;) {
                ssize_t n;

                if (buffer_size(&all) == 0) {
                        ck_assert_uint_eq(buffer_size(&part), 0);
                        buffer_done(&part);
                        break;
                }
                byte = *buffer_head(&all);
                buffer_consume(&all, 1);
                ck_assert_int_eq(buffer_append(&part, &byte, 1), 0);
                n = link_sender_feed(&f.sender, buffer_head(&part), buffer_size(&part), &f.output, 0);
                ck_assert_int_ge(n, 0);
                buffer_consume(&part, (size_t) n);
        }
        ck_assert_uint_eq(f.n_welcomed, 1);
        ck_assert_uint_eq(f.n_states, 1);
}
END_TEST

START_TEST(what_follows_the_end_is_thrown_away)
{
        connect_at(0, PLENTY, 0);
        put_any(&f.input, FRAME_BYE);
        ck_assert_int_eq(buffer_append(&f.input, "rubbish that is no frame", 24), 0);
        ck_assert_int_gt(feed(0), 24);
        ck_assert_uint_eq(buffer_size(&f.input), 0);
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, USEC_PER_SEC), 0);
        ck_assert_uint_eq(buffer_size(&f.output), 0);
        ck_assert_uint_eq(link_sender_deadline(&f.sender), USEC_INFINITY);
        connect_at(3, PLENTY, 0); /* and a new session begins */
        ck_assert_uint_eq(f.sender.bytes_sent, 0);
}
END_TEST

static int get_wrong(Source *source, uint64_t seq, Cursor *cursor, Batch *ret)
{
        return array_get(source, seq + RECORDS, cursor, ret);
}

/* It begins where it should, and ends before that. */
static int get_backwards(Source *source, uint64_t seq, Cursor *cursor, Batch *ret)
{
        int r = array_get(source, seq, cursor, ret);

        ret->last = ret->first - 1;
        return r;
}

START_TEST(errors_of_the_source_are_the_owners)
{
        LinkWelcome w = welcome(3, checksum_at(3), PLENTY);

        connect_at(0, PLENTY, 0);
        f.array.error = -EUCLEAN;
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 0), -EUCLEAN);
        f.array.error = 0;
        f.array.source.get = get_wrong;
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 0), -EIO);
        f.array.source.get = get_backwards;
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 0), -EIO);
        f.array.source.get = array_get;
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 0), 0);
        ck_assert_uint_eq(f.sender.sent, LAST);

        buffer_consume(&f.output, buffer_size(&f.output));
        ck_assert_int_eq(link_sender_start(&f.sender, &f.output, 0), 0);
        (void) take(FRAME_HELLO);
        f.array.error = -EUCLEAN;
        ck_assert_int_eq(frame_put_welcome(&f.input, &w), 0);
        ck_assert_int_eq(feed(0), -EUCLEAN);
        expect_bye(LINK_BYE_INTERNAL);
        ck_assert_uint_eq(f.n_welcomed + f.n_diverged, 1); /* of the session before */
}
END_TEST

START_TEST(compresses_when_the_peer_took_it)
{
        Frame frame;
        bool zstd = _i;

        array_append(&f.array, 40, 1234567);
        connect_at(LAST, PLENTY, zstd ? LINK_FEATURE_ZSTD : 0);
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 0), 0);
        ck_assert_uint_eq(f.sender.bytes_sent, buffer_size(&f.output));
        frame = take(FRAME_BATCH);
        ck_assert_int_eq((frame.flags & FRAME_FLAG_ZSTD) != 0, zstd);
        ck_assert_int_eq(frame.size < FRAME_BATCH_PAYLOAD + frame.batch.size, zstd);
        /* What is small is not worth it. */
        array_append(&f.array, 3, 1234567);
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 0), 0);
        frame = take(FRAME_BATCH);
        ck_assert_uint_eq(frame.size, FRAME_BATCH_PAYLOAD + frame.batch.size);
}
END_TEST

START_TEST(a_subscriber_speaks_first)
{
        Frame frame;

        link_sender_accept(&f.sender);
        ck_assert_int_eq(link_sender_fill(&f.sender, &f.output, 10 * USEC_PER_SEC), 0);
        ck_assert_uint_eq(buffer_size(&f.output), 0);
        f.refuse = _i;
        put_any(&f.input, FRAME_HELLO);
        ck_assert_int_gt(feed(0), 0);
        ck_assert_uint_eq(f.n_hellos, 1);
        if (f.refuse) {
                expect_bye(LINK_BYE_NODE);
                return;
        }
        frame = take(FRAME_HELLO);
        ck_assert_int_eq(frame.hello.role, LINK_ROLE_SENDER);
        ck_assert_uint_eq(frame.hello.features, LINK_FEATURE_COMMANDS); /* what both can */
        put_any(&f.input, FRAME_WELCOME);
        ck_assert_int_gt(feed(0), 0);
        ck_assert_int_eq(f.sender.state, LINK_SENDER_CONNECTED);
}
END_TEST

static const struct {
        uint16_t version_min, version_max;
        LinkRole role;
        int result;
        LinkByeCode code;
} hellos[] = {
        { LINK_VERSION + 1, LINK_VERSION + 2, LINK_ROLE_SUBSCRIBER, -EPROTONOSUPPORT, LINK_BYE_VERSION },
        { LINK_VERSION, LINK_VERSION, LINK_ROLE_SENDER, -EBADMSG, LINK_BYE_PROTOCOL },
        { LINK_VERSION, LINK_VERSION + 9, LINK_ROLE_SUBSCRIBER, 1, 0 },
};

START_TEST(judges_the_subscribers_hello)
{
        LinkHello hello = { .version_min = hellos[_i].version_min, .version_max = hellos[_i].version_max,
                            .role = hellos[_i].role, .stream = f.array.stream, .oldest = 1,
                            .node = link_string("ids") };

        link_sender_accept(&f.sender);
        ck_assert_int_eq(frame_put_hello(&f.input, &hello), 0);
        if (hellos[_i].result > 0) {
                ck_assert_int_gt(feed(0), 0);
                (void) take(FRAME_HELLO);
        } else {
                ck_assert_int_eq(feed(0), hellos[_i].result);
                expect_bye(hellos[_i].code);
                ck_assert_uint_eq(f.n_hellos, 0);
        }
}
END_TEST

START_TEST(skips_what_may_be_skipped_and_refuses_rubbish)
{
        static const uint8_t unknown[] = { 0x41, 0x52, 200, FRAME_FLAG_SKIP, 0, 0, 0, 0 };
        uint8_t frame[LINK_FRAME_HEADER_SIZE];
        uint64_t checksum = checksum64(unknown, sizeof unknown);

        memcpy(frame, unknown, sizeof unknown);
        for (unsigned i = 0; i < 8; i++)
                frame[8 + i] = (uint8_t) (checksum >> 8 * i);
        connect_at(0, PLENTY, 0);
        ck_assert_int_eq(buffer_append(&f.input, frame, sizeof frame), 0);
        ck_assert_int_eq(feed(0), sizeof frame);
        frame[3] = 0;
        ck_assert_int_eq(buffer_append(&f.input, frame, sizeof frame), 0);
        ck_assert_int_eq(feed(0), -EBADMSG);
        expect_bye(LINK_BYE_PROTOCOL);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("link-sender");
        TCase *tcase = tcase_create("link-sender");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, greets_and_waits);
        tcase_add_loop_test(tcase, judges_where_the_peer_stands, 0, (int) ELEMENTSOF(resumes));
        tcase_add_test(tcase, a_checksum_that_is_not_known_proves_nothing);
        tcase_add_loop_test(tcase, refuses_a_wrong_welcome, 0, 3);
        tcase_add_loop_test(tcase, explains_what_is_gone, 0, 2);
        tcase_add_test(tcase, credit_is_overshot_by_less_than_one_batch);
        tcase_add_test(tcase, stops_when_the_output_is_full);
        tcase_add_loop_test(tcase, releases_what_is_acked_and_nothing_else, 0, (int) ELEMENTSOF(acks));
        tcase_add_test(tcase, an_ack_of_what_waits_for_credit_is_refused);
        tcase_add_test(tcase, an_ack_of_what_was_dropped_meanwhile_is_good);
        tcase_add_test(tcase, a_heartbeat_every_second_of_silence);
        tcase_add_test(tcase, a_heartbeat_needs_room);
        tcase_add_test(tcase, knows_since_when_the_peer_owes_an_answer);
        tcase_add_loop_test(tcase, only_the_right_frames_in_each_state, 0,
                            (LINK_SENDER_ENDED + 1) * _FRAME_MAX);
        tcase_add_loop_test(tcase, commands_only_when_negotiated, 0, 2);
        tcase_add_test(tcase, works_without_any_handler);
        tcase_add_test(tcase, bytes_may_come_one_by_one);
        tcase_add_test(tcase, what_follows_the_end_is_thrown_away);
        tcase_add_test(tcase, errors_of_the_source_are_the_owners);
        tcase_add_loop_test(tcase, compresses_when_the_peer_took_it, 0, 2);
        tcase_add_loop_test(tcase, a_subscriber_speaks_first, 0, 2);
        tcase_add_loop_test(tcase, judges_the_subscribers_hello, 0, (int) ELEMENTSOF(hellos));
        tcase_add_test(tcase, skips_what_may_be_skipped_and_refuses_rubbish);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
