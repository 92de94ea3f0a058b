/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An intake whose owner stores other bytes than came, when it is ready to. */

#include "intake-fixture.h"

static bool prepared;

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

static void setup(void)
{
        prepared = false;
        intake_setup(&handler);
}

/* --- Tests --- */

/* A commit would wake it, to be put off again, in a circle. */
START_TEST(what_is_put_off_rests_until_it_is_called)
{
        Peer peer;

        peer_open(&peer, 1, "a");
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
        peer_open(&peer, 1, "a");
        (void) peer_take(&peer, FRAME_WELCOME);
        checksum = peer_send(&peer);
        ck_assert_uint_ne(fake.stored.checksum, checksum);
        commit();
        ck_assert_uint_eq(peer_take(&peer, FRAME_ACK).ack.seq, 1);
        peer_open(&successor, 1, "a");
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

        tcase_add_checked_fixture(tcase, setup, intake_teardown);
        tcase_add_test(tcase, what_is_put_off_rests_until_it_is_called);
        tcase_add_test(tcase, what_is_prepared_keeps_the_place_of_what_came);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
