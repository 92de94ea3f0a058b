/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An intake whose owner stores other bytes than came, when it is ready to. */

#include "fake-sink.h"
#include "link/link-sender.h"
#include "runtime/intake.h"

#define NODE "client.example"
#define LINE "node=" NODE " type=SYSCALL msg=audit(1700000000.123:7): arch=c000003e\n"

static FakeSink fake;
static Intake *intake;
static bool prepared;
static unsigned n_dirty, n_flushes;

static void on_flush(IntakeSession *session)
{
        n_flushes++;
}

static void on_dirty(Intake *i)
{
        n_dirty++;
}

static int on_prepare(IntakeSession *session, Batch *stored)
{
        static const char line[] = "node=" NODE " type=SYSCALL msg=audit(1700000000.123:7): and what it means\n";

        if (!prepared)
                return -EAGAIN;
        stored->payload = (const uint8_t *) line;
        stored->size = sizeof line - 1;
        batch_seal(stored);
        return 0;
}

static const IntakeHandler handler = { .flush = on_flush, .dirty = on_dirty, .prepare = on_prepare };

static uint64_t fixed_time(void)
{
        return 1700000000 * USEC_PER_SEC;
}

static void setup(void)
{
        IntakeOptions options = {
                .sink = &fake.sink,
                .handler = &handler,
                .name = "collector.example",
                .window = LINK_WINDOW_DEFAULT,
                .realtime_usec = fixed_time,
        };

        fake = (FakeSink) { .sink = { sink_position, sink_append }, .room = UINT32_MAX };
        n_dirty = n_flushes = 0;
        prepared = false;
        ck_assert_int_eq(intake_new(&options, &intake), 0);
}

static void teardown(void)
{
        intake = intake_free(intake);
}

static void commit(void)
{
        sink_begin(&fake);
        (void) intake_commit_begin(intake);
        sink_end(&fake, 0);
        intake_commit_end(intake, 0);
}

/* --- The sender --- */

typedef struct Peer {
        IntakeSession session;
        Buffer input, output;
} Peer;

static void feed(Peer *peer)
{
        ssize_t n = intake_session_feed(&peer->session, buffer_head(&peer->input), buffer_size(&peer->input));

        ck_assert_int_ge(n, 0);
        buffer_consume(&peer->input, (size_t) n);
}

static void peer_open(Peer *peer)
{
        LinkHello hello = {
                .version_min = LINK_VERSION,
                .version_max = LINK_VERSION,
                .role = LINK_ROLE_SENDER,
                .oldest = 1,
                .stream = { .bytes = { 1 } },
                .node = link_string(NODE),
                .software = link_string("test"),
        };

        *peer = (Peer) { .input = BUFFER_INIT(4 * LINK_FRAME_MAX), .output = BUFFER_INIT(4 * LINK_FRAME_MAX) };
        ck_assert_int_eq(intake_session_init(&peer->session, intake, &peer->output, "a", NODE, NODE, 0, peer), 0);
        ck_assert_int_eq(frame_put_hello(&peer->input, &hello), 0);
        feed(peer);
}

static void peer_close(Peer *peer)
{
        intake_session_done(&peer->session);
        buffer_done(&peer->input);
        buffer_done(&peer->output);
}

/* Returns the checksum by which the sender knows it. */
static uint64_t peer_send(Peer *peer)
{
        Batch batch = { .first = 1, .last = 1, .count = 1, .size = sizeof LINE - 1, .origin = BATCH_ORIGIN_KERNEL,
                        .payload = (const uint8_t *) LINE };

        batch_seal(&batch);
        ck_assert_int_eq(frame_put_batch(&peer->input, &batch), 0);
        feed(peer);
        return batch.checksum;
}

/* Takes the next frame out of the output, which must be of that type. */
static Frame peer_take(Peer *peer, FrameType type)
{
        const char *why = "";
        Frame frame;

        ck_assert_int_eq(frame_decode(buffer_head(&peer->output), buffer_size(&peer->output), &frame, &why), 1);
        ck_assert_int_eq(frame.type, type);
        buffer_consume(&peer->output, frame.size);
        return frame;
}

/* --- Tests --- */

/* A commit would wake it, to be put off again, in a circle. */
START_TEST(what_is_put_off_rests_until_it_is_called)
{
        Peer peer;

        peer_open(&peer);
        (void) peer_send(&peer);
        ck_assert(intake_session_blocked(&peer.session));
        ck_assert_uint_eq(n_dirty, 0);
        n_flushes = 0;
        commit();
        ck_assert(intake_session_blocked(&peer.session));
        ck_assert_uint_eq(n_flushes, 0);
        ck_assert_uint_eq(fake.batches, 0);
        intake_prepared(intake);
        ck_assert_uint_eq(n_flushes, 1);
        ck_assert(!intake_session_blocked(&peer.session));
        feed(&peer);
        ck_assert(intake_session_blocked(&peer.session));
        prepared = true;
        intake_prepared(intake);
        feed(&peer);
        ck_assert(!intake_session_blocked(&peer.session));
        ck_assert_uint_eq(n_dirty, 1);
        ck_assert_ptr_nonnull(strstr(fake.text, "and what it means"));
        n_flushes = 0;
        intake_prepared(intake);
        ck_assert_uint_eq(n_flushes, 0);
        peer_close(&peer);
}
END_TEST

/* The sender knows the batch it sent, not what became of it: a session that comes back is told of that one. */
START_TEST(what_is_prepared_keeps_the_place_of_what_came)
{
        Peer peer, successor;
        LinkWelcome welcome;
        uint64_t checksum;

        prepared = true;
        peer_open(&peer);
        (void) peer_take(&peer, FRAME_WELCOME);
        checksum = peer_send(&peer);
        ck_assert_uint_ne(fake.stored.checksum, checksum);
        commit();
        ck_assert_uint_eq(peer_take(&peer, FRAME_ACK).ack.seq, 1);
        peer_open(&successor);
        (void) peer_take(&peer, FRAME_BYE);
        welcome = peer_take(&successor, FRAME_WELCOME).welcome;
        ck_assert_uint_eq(welcome.last, 1);
        ck_assert_uint_eq(welcome.checksum, checksum);
        peer_close(&peer);
        peer_close(&successor);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("intake-prepare");
        TCase *tcase = tcase_create("intake-prepare");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, what_is_put_off_rests_until_it_is_called);
        tcase_add_test(tcase, what_is_prepared_keeps_the_place_of_what_came);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
