/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who may still hold records when remote ends: which ends are clean. */

#include "check-main.h"
#include "runtime/store-loop-owed.h"

static StoreOwed owed;
static LinkReceiver session;

static void hello(uint8_t stream)
{
        session = (LinkReceiver) { .stream = { { stream } } };
        store_owed_note(&owed, &session.stream);
}

static void bye(LinkByeCode code)
{
        LinkBye said = { .code = (uint16_t) code };

        store_owed_bye(&owed, &session, &said);
}

/* The dispatcher may run and hold records though it has not connected. */
START_TEST(who_never_came_is_owed)
{
        store_owed_init(&owed);
        ck_assert(!store_owed_nothing(&owed));
}
END_TEST

START_TEST(only_an_orderly_bye_settles)
{
        store_owed_init(&owed);
        hello(9);
        bye(LINK_BYE_ENDING);
        ck_assert(store_owed_nothing(&owed));
        hello(1);
        ck_assert(!store_owed_nothing(&owed));
        bye(LINK_BYE_TIMEOUT);
        ck_assert(!store_owed_nothing(&owed));
        /* Its connection broke, and it came back. */
        hello(1);
        bye(LINK_BYE_ENDING);
        ck_assert(store_owed_nothing(&owed));
        hello(2);
        bye(LINK_BYE_DONE);
        ck_assert(store_owed_nothing(&owed));
}
END_TEST

START_TEST(what_is_not_acked_is_owed)
{
        store_owed_init(&owed);
        hello(1);
        session.received = 10;
        session.acked = 9;
        bye(LINK_BYE_ENDING);
        ck_assert(!store_owed_nothing(&owed));
        session.acked = 10;
        bye(LINK_BYE_ENDING);
        ck_assert(store_owed_nothing(&owed));
}
END_TEST

START_TEST(each_stream_settles_itself)
{
        store_owed_init(&owed);
        hello(1);
        hello(2);
        hello(3);
        hello(1);
        bye(LINK_BYE_ENDING);
        ck_assert(!store_owed_nothing(&owed));
        session.stream.bytes[0] = 3;
        bye(LINK_BYE_ENDING);
        ck_assert(!store_owed_nothing(&owed));
        session.stream.bytes[0] = 2;
        bye(LINK_BYE_ENDING);
        ck_assert(store_owed_nothing(&owed));
}
END_TEST

/* A producer that is done says nothing about the dispatcher that was there before. */
START_TEST(only_an_ending_settles_what_nobody_knows)
{
        store_owed_init(&owed);
        hello(1);
        bye(LINK_BYE_DONE);
        ck_assert(!store_owed_nothing(&owed));
        hello(2);
        bye(LINK_BYE_ENDING);
        ck_assert(store_owed_nothing(&owed));
}
END_TEST

START_TEST(who_connects_is_owed)
{
        store_owed_init(&owed);
        store_owed_connected(&owed);
        ck_assert(!store_owed_nothing(&owed));
        hello(1);
        bye(LINK_BYE_ENDING);
        ck_assert(store_owed_nothing(&owed));
        store_owed_connected(&owed);
        ck_assert(!store_owed_nothing(&owed));
}
END_TEST

START_TEST(too_many_are_owed_for_ever)
{
        store_owed_init(&owed);
        for (uint8_t i = 1; i <= STORE_OWED_MAX + 1; i++)
                hello(i);
        for (uint8_t i = 1; i <= STORE_OWED_MAX + 1; i++) {
                session.stream.bytes[0] = i;
                bye(LINK_BYE_ENDING);
        }
        ck_assert(!store_owed_nothing(&owed));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-owed");
        TCase *tcase = tcase_create("store-owed");

        tcase_add_test(tcase, who_never_came_is_owed);
        tcase_add_test(tcase, only_an_orderly_bye_settles);
        tcase_add_test(tcase, what_is_not_acked_is_owed);
        tcase_add_test(tcase, each_stream_settles_itself);
        tcase_add_test(tcase, only_an_ending_settles_what_nobody_knows);
        tcase_add_test(tcase, who_connects_is_owed);
        tcase_add_test(tcase, too_many_are_owed_for_ever);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
