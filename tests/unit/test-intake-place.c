/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sessions whose HELLO comes to one intake, and whose stream another one takes, now or later. */

#include "intake-fixture.h"

static void on_blocked(Intake *i, int error)
{
        ck_abort_msg("the sink did not fail");
}

static const IntakeHandler handler = { .flush = on_flush, .dirty = on_dirty, .blocked = on_blocked };

static void setup(void)
{
        intake_setup(&handler);
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
                .handler = &lobby_handler, .name = "lobby", .window = LINK_WINDOW_DEFAULT, .realtime_usec = fixed_time,
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
        (void) peer_send(&first);
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

/* Without an intake in between, as the streams of stock clients get into a store. */
START_TEST(a_stream_that_another_has_got_ends_one_session)
{
        Peer first, second;

        peer_open(&first, 1, "a");
        (void) peer_take(&first, FRAME_WELCOME);
        strcpy(fake.streams[0].owner, "b");
        (void) peer_send(&first);
        ck_assert_uint_eq(peer_take(&first, FRAME_BYE).bye.code, LINK_BYE_NODE);
        ck_assert_uint_eq(fake.batches, 0);
        peer_open(&second, 2, "c");
        (void) peer_take(&second, FRAME_WELCOME);
        (void) peer_send(&second);
        ck_assert_uint_eq(fake.batches, 1);
        peer_close(&first);
        peer_close(&second);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("intake-place");
        TCase *tcase = tcase_create("place");

        tcase_add_checked_fixture(tcase, setup, intake_teardown);
        tcase_add_test(tcase, a_session_waits_for_its_place);
        tcase_add_test(tcase, there_may_be_no_place);
        tcase_add_test(tcase, a_stream_that_another_has_got_ends_one_session);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
