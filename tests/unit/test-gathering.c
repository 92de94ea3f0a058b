/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "runtime/gathering.h"

#include <stdio.h>

#define COMMANDS_MAX 3U
#define DEADLINE (10 * USEC_PER_SEC)

static Gathering *gathering;
static int asker, other_asker, receivers[3];
static void *const all[] = { &receivers[0], &receivers[1], &receivers[2] };

/* The answers. */
static unsigned n_answers;
static GatheringAnswer answer;
static char text[GATHERING_TEXT_MAX + 1];
static bool begin_another;

static uint64_t begin(size_t n)
{
        GatheringCommand command = { .asker = &asker, .asker_id = 77, .deadline_usec = DEADLINE };

        return gathering_begin(gathering, &command, all, n);
}

static void on_answered(const GatheringAnswer *a, void *userdata)
{
        ck_assert_ptr_eq(userdata, &n_answers);
        n_answers++;
        answer = *a;
        (void) snprintf(text, sizeof text, "%s", a->text);
        if (begin_another)
                ck_assert_uint_gt(begin(1), a->id);
}

static void setup(void)
{
        n_answers = 0;
        begin_another = false;
        ck_assert_int_eq(gathering_new(COMMANDS_MAX, on_answered, &n_answers, &gathering), 0);
}

static void teardown(void)
{
        gathering = gathering_free(gathering);
}

static void reply(unsigned receiver, uint64_t id, uint16_t status, const char *words)
{
        static const char *const names[] = { "a", "b", NULL };
        LinkReply r = { .id = id, .status = status, .text = link_string(words) };

        gathering_reply(gathering, &receivers[receiver], names[receiver], &r);
}

START_TEST(waits_for_all)
{
        uint64_t id = begin(3);

        ck_assert_uint_ne(id, 0);
        ck_assert_uint_eq(gathering_asked(gathering, &asker), 1);
        reply(1, id, LINK_REPLY_DONE, "blocked");
        reply(0, id, LINK_REPLY_UNKNOWN, "");
        ck_assert_uint_eq(n_answers, 0);
        reply(2, id, LINK_REPLY_FAILED, "no such table");
        ck_assert_uint_eq(n_answers, 1);
        ck_assert_uint_eq(answer.id, id);
        ck_assert_ptr_eq(answer.asker, &asker);
        ck_assert_uint_eq(answer.asker_id, 77);
        ck_assert_int_eq(answer.status, LINK_REPLY_DONE);
        ck_assert_str_eq(text, "b: blocked");
        ck_assert_uint_eq(gathering_asked(gathering, &asker), 0);
        gathering_tick(gathering, 2 * DEADLINE);
        ck_assert_uint_eq(n_answers, 1);
}
END_TEST

/* Every pair, in both orders: the one that tells more wins. */
START_TEST(the_reply_that_tells_most)
{
        static const struct {
                uint16_t status; /* UINT16_MAX: says nothing */
                const char *words, *text;
        } order[] = {
                { LINK_REPLY_UNKNOWN, "", NULL },
                { UINT16_MAX, NULL, "no answer came in time" },
                { LINK_REPLY_REFUSED, "not you", NULL },
                { 99, "strange", NULL }, /* of a later version: failed */
                { LINK_REPLY_DONE, "", NULL },
        };
        unsigned low = (unsigned) _i / ELEMENTSOF(order), high = (unsigned) _i % ELEMENTSOF(order);
        LinkReplyStatus expected;
        char words[40];
        uint64_t id;

        if (low >= high)
                return;
        expected = order[high].status > LINK_REPLY_FAILED ? LINK_REPLY_FAILED : order[high].status;
        for (unsigned swap = 0; swap < 2; swap++) {
                id = begin(2);
                for (unsigned i = 0; i < 2; i++) {
                        unsigned one = i == swap ? low : high;

                        if (order[one].words)
                                reply(i, id, order[one].status, order[one].words);
                }
                gathering_tick(gathering, DEADLINE);
                ck_assert_uint_eq(n_answers, swap + 1);
                ck_assert_int_eq(answer.status, expected);
                (void) snprintf(words, sizeof words, "%s%s%s", swap ? "a" : "b",
                                order[high].words && order[high].words[0] ? ": " : "",
                                order[high].words ? order[high].words : "");
                ck_assert_str_eq(text, order[high].text ? order[high].text : words);
        }
}
END_TEST

START_TEST(time_is_up)
{
        uint64_t id = begin(2);

        reply(0, id, LINK_REPLY_UNKNOWN, "");
        gathering_tick(gathering, DEADLINE - 1);
        ck_assert_uint_eq(n_answers, 0);
        gathering_tick(gathering, DEADLINE);
        ck_assert_uint_eq(n_answers, 1);
        ck_assert_int_eq(answer.status, LINK_REPLY_FAILED);
        reply(1, id, LINK_REPLY_DONE, "late");
        ck_assert_uint_eq(n_answers, 1);
}
END_TEST

START_TEST(only_who_was_asked_and_only_once)
{
        uint64_t id = begin(2);

        reply(2, id, LINK_REPLY_DONE, "a stranger");
        reply(0, id + 1, LINK_REPLY_DONE, "of another command");
        reply(0, id, LINK_REPLY_REFUSED, "no");
        reply(0, id, LINK_REPLY_DONE, "twice");
        ck_assert_uint_eq(n_answers, 0);
        reply(1, id, LINK_REPLY_UNKNOWN, "");
        ck_assert_uint_eq(n_answers, 1);
        ck_assert_int_eq(answer.status, LINK_REPLY_REFUSED);
        ck_assert_str_eq(text, "a: no");
}
END_TEST

START_TEST(who_leaves_answers_nothing)
{
        uint64_t id = begin(2), second = begin(1);

        ck_assert_uint_ne(id, second);
        gathering_forget(gathering, &receivers[0]);
        ck_assert_uint_eq(n_answers, 1); /* the second waited for it alone */
        ck_assert_uint_eq(answer.id, second);
        ck_assert_int_eq(answer.status, LINK_REPLY_FAILED);
        reply(0, id, LINK_REPLY_DONE, "a ghost");
        reply(1, id, LINK_REPLY_UNKNOWN, "");
        ck_assert_uint_eq(n_answers, 2);
        ck_assert_int_eq(answer.status, LINK_REPLY_FAILED);
}
END_TEST

START_TEST(an_asker_that_left_is_not_answered)
{
        uint64_t id = begin(1);

        gathering_forget(gathering, &asker);
        ck_assert_uint_eq(gathering_asked(gathering, &asker), 0);
        reply(0, id, LINK_REPLY_DONE, "");
        ck_assert_uint_eq(n_answers, 1);
        ck_assert_ptr_null(answer.asker);
        ck_assert_str_eq(text, "a");
}
END_TEST

START_TEST(so_many_at_once_and_no_more)
{
        GatheringCommand command = { .asker = &other_asker, .deadline_usec = DEADLINE };
        uint64_t ids[COMMANDS_MAX];

        for (unsigned i = 0; i < COMMANDS_MAX - 1; i++)
                ids[i] = begin(1);
        ids[COMMANDS_MAX - 1] = gathering_begin(gathering, &command, all, 1);
        ck_assert_uint_eq(gathering_asked(gathering, &asker), COMMANDS_MAX - 1);
        ck_assert_uint_eq(gathering_asked(gathering, &other_asker), 1);
        ck_assert_uint_eq(begin(1), 0);
        reply(0, ids[1], LINK_REPLY_DONE, "");
        ck_assert_uint_ne(begin(1), 0);
        ck_assert_uint_eq(begin(1), 0);
}
END_TEST

START_TEST(an_answer_may_begin_another)
{
        begin_another = true;
        for (unsigned i = 0; i < COMMANDS_MAX; i++)
                ck_assert_uint_ne(begin(1), 0);
        /* Those that begin meanwhile have the same deadline and are left for the next tick. */
        gathering_tick(gathering, DEADLINE);
        ck_assert_uint_eq(n_answers, COMMANDS_MAX);
        ck_assert_uint_eq(gathering_asked(gathering, &asker), COMMANDS_MAX);
}
END_TEST

START_TEST(a_long_text_is_cut)
{
        char words[2 * GATHERING_TEXT_MAX];
        uint64_t id = begin(1);

        memset(words, 'x', sizeof words - 1);
        words[sizeof words - 1] = '\0';
        reply(0, id, LINK_REPLY_FAILED, words);
        ck_assert_uint_eq(strlen(text), GATHERING_TEXT_MAX);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("gathering");
        TCase *tc = tcase_create("all");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, waits_for_all);
        tcase_add_loop_test(tc, the_reply_that_tells_most, 0, 25);
        tcase_add_test(tc, time_is_up);
        tcase_add_test(tc, only_who_was_asked_and_only_once);
        tcase_add_test(tc, who_leaves_answers_nothing);
        tcase_add_test(tc, an_asker_that_left_is_not_answered);
        tcase_add_test(tc, so_many_at_once_and_no_more);
        tcase_add_test(tc, an_answer_may_begin_another);
        tcase_add_test(tc, a_long_text_is_cut);
        suite_add_tcase(suite, tc);
        return check_main(suite);
}
