/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sessions whose HELLO comes to one intake, and whose stream another one takes, now or later. */

#include "fake-sink.h"
#include "link/link-sender.h"
#include "runtime/intake.h"

#define WINDOW LINK_WINDOW_DEFAULT
#define NODE "client.example"
#define LINE "node=" NODE " type=SYSCALL msg=audit(1700000000.123:7): arch=c000003e\n"

static FakeSink fake;
static Intake *intake;
static unsigned n_dirty;

static void on_flush(IntakeSession *session)
{
}

static void on_dirty(Intake *i)
{
        n_dirty++;
}

static const IntakeHandler handler = { .flush = on_flush, .dirty = on_dirty };

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
                .window = WINDOW,
                .realtime_usec = fixed_time,
        };

        fake = (FakeSink) { .sink = { sink_position, sink_append }, .room = UINT32_MAX };
        n_dirty = 0;
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

/* --- A peer --- */

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

static void peer_open(Peer *peer, uint8_t stream, const char *owner)
{
        LinkHello hello = {
                .version_min = LINK_VERSION,
                .version_max = LINK_VERSION,
                .role = LINK_ROLE_SENDER,
                .oldest = 1,
                .stream = { .bytes = { stream } },
                .node = link_string(NODE),
                .software = link_string("test"),
        };

        *peer = (Peer) { .input = BUFFER_INIT(4 * LINK_FRAME_MAX), .output = BUFFER_INIT(4 * LINK_FRAME_MAX) };
        ck_assert_int_eq(intake_session_init(&peer->session, intake, &peer->output, owner, NODE, NODE, 0, peer), 0);
        ck_assert_int_eq(frame_put_hello(&peer->input, &hello), 0);
        feed(peer);
}

static void peer_close(Peer *peer)
{
        intake_session_done(&peer->session);
        buffer_done(&peer->input);
        buffer_done(&peer->output);
}

static void peer_send(Peer *peer)
{
        Batch batch = { .first = 1, .last = 1, .count = 1, .size = sizeof LINE - 1, .origin = BATCH_ORIGIN_KERNEL,
                        .payload = (const uint8_t *) LINE };

        batch_seal(&batch);
        ck_assert_int_eq(frame_put_batch(&peer->input, &batch), 0);
        feed(peer);
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

static void assert_silent(Peer *peer)
{
        ck_assert_uint_eq(buffer_size(&peer->output), 0);
}

/* --- A place --- */

static Intake *placed;
static LinkByeCode place_code;

static LinkByeCode on_place(IntakeSession *session, Intake **ret, const char **ret_why)
{
        *ret_why = "no place";
        if (placed)
                *ret = placed;
        return place_code;
}

static const IntakeHandler lobby_handler = { .flush = on_flush, .place = on_place };

/* Where HELLOs come; what has a sink is still `intake`. */
static Intake *make_lobby(void)
{
        IntakeOptions options = {
                .handler = &lobby_handler, .name = "lobby", .window = WINDOW, .realtime_usec = fixed_time,
        };
        Intake *lobby;

        ck_assert_int_eq(intake_new(&options, &lobby), 0);
        placed = NULL;
        place_code = 0;
        return lobby;
}

START_TEST(a_session_waits_for_its_place)
{
        Intake *lobby = make_lobby(), *real = intake;
        Peer first, second, late;
        IntakeSession *session;

        intake = lobby;
        peer_open(&first, 1, "a");
        peer_open(&second, 2, "b");
        assert_silent(&first);
        ck_assert(intake_session_blocked(&first.session));
        ck_assert(!intake_idle(lobby) && intake_idle(real));
        session = intake_waiting_next(lobby, NULL);
        ck_assert_ptr_eq(session, &second.session);
        ck_assert_ptr_eq(intake_waiting_next(lobby, session), &first.session);
        ck_assert_ptr_null(intake_waiting_next(lobby, &first.session));
        intake_session_place(&first.session, real);
        ck_assert_uint_eq(peer_take(&first, FRAME_WELCOME).welcome.name.size, strlen("collector.example"));
        ck_assert(!intake_session_blocked(&first.session));
        intake = real;
        peer_send(&first);
        ck_assert_uint_eq(n_dirty, 1);
        commit();
        ck_assert_uint_eq(peer_take(&first, FRAME_ACK).ack.seq, 1);

        /* Who is sent away waits no more; who goes is forgotten. */
        intake_session_end(&second.session, LINK_BYE_INTERNAL, 1000, "no");
        ck_assert_uint_eq(peer_take(&second, FRAME_BYE).bye.code, LINK_BYE_INTERNAL);
        ck_assert_ptr_null(intake_waiting_next(lobby, NULL));
        peer_close(&second);
        ck_assert(intake_idle(lobby));

        /* A place that is there costs no wait; another's stream is refused there, too. */
        intake = lobby;
        placed = real;
        peer_open(&late, 1, "b");
        ck_assert_uint_eq(peer_take(&late, FRAME_BYE).bye.code, LINK_BYE_NODE);
        peer_close(&late);
        peer_open(&late, 1, "a");
        ck_assert_uint_eq(peer_take(&late, FRAME_WELCOME).welcome.last, 1);
        ck_assert_uint_eq(peer_take(&first, FRAME_BYE).bye.code, LINK_BYE_REPLACED);
        peer_close(&late);
        peer_close(&first);
        intake = real;
        ck_assert(intake_idle(real));
        intake_free(lobby);
}
END_TEST

START_TEST(there_may_be_no_place)
{
        Intake *lobby = make_lobby(), *real = intake;
        Peer peer;
        Frame frame;

        intake = lobby;
        place_code = LINK_BYE_NODE;
        peer_open(&peer, 1, "a");
        frame = peer_take(&peer, FRAME_BYE);
        ck_assert_uint_eq(frame.bye.code, LINK_BYE_NODE);
        ck_assert_uint_eq(frame.bye.reason.size, strlen("no place"));
        ck_assert_ptr_null(intake_waiting_next(lobby, NULL));
        peer_close(&peer);
        intake = real;
        intake_free(lobby);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("intake-place");
        TCase *tcase = tcase_create("place");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, a_session_waits_for_its_place);
        tcase_add_test(tcase, there_may_be_no_place);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
