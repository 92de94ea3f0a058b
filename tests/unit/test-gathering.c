/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "runtime/gathering.h"

#include <stdio.h>

#define COMMANDS_MAX 4U
#define CLIENT_MAX 3U
#define CLIENT 1000U
#define DEADLINE (10 * USEC_PER_SEC)

static Gathering *gathering;
static int asker, receivers[3];
static void *const all[] = { &receivers[0], &receivers[1], &receivers[2] };

/* The answers. */
static unsigned n_answers;
static GatheringAnswer answer;
static char text[GATHERING_TEXT_MAX + 1];
static bool begin_another;
/* What was heard, as "RECEIVER STATUS TEXT;", the status of silence being "-". */
static char heard[400];
static uint64_t last_id;

/* Returns its id, 0 when there was no room. */
static uint64_t begin_for(uint64_t client, size_t n)
{
        GatheringCommand command = { .id = last_id + 1, .client = client, .asker = &asker, .asker_id = 77,
                                     .deadline_usec = DEADLINE };
        bool room = gathering_has_room(gathering, client);
        int r = gathering_begin(gathering, &command, all, n);

        ck_assert_int_eq(r, room ? 0 : -ENOBUFS);
        return r == 0 ? ++last_id : 0;
}

static uint64_t begin(size_t n)
{
        return begin_for(CLIENT, n);
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

static void on_heard(const GatheringVoice *voice, void *userdata)
{
        size_t n = strlen(heard);

        ck_assert(!voice->asker || voice->asker == &asker);
        (void) snprintf(heard + n, sizeof heard - n, "%td %c %.*s;", (const int *) voice->receiver - receivers,
                        voice->silent ? '-' : '0' + (int) voice->status, (int) voice->text.size, voice->text.data);
}

static void setup(void)
{
        GatheringOptions options = {
                .commands_max = COMMANDS_MAX,
                .client_max = CLIENT_MAX,
                .heard = on_heard,
                .answered = on_answered,
                .userdata = &n_answers,
        };

        heard[0] = '\0';
        n_answers = 0;
        last_id = 0;
        begin_another = false;
        ck_assert_int_eq(gathering_new(&options, &gathering), 0);
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
        gathering_tick(gathering, 2 * DEADLINE);
        ck_assert_uint_eq(n_answers, 1);
}
END_TEST

START_TEST(each_is_heard_once)
{
        uint64_t id = begin(3);

        reply(1, id, LINK_REPLY_DONE, "blocked");
        reply(1, id, LINK_REPLY_REFUSED, "twice");
        reply(0, id, 99, "");
        gathering_tick(gathering, DEADLINE);
        ck_assert_str_eq(heard, "1 0 blocked;0 3 ;2 - no answer came in time;");
        heard[0] = '\0';
        id = begin(2);
        gathering_forget(gathering, &receivers[1]);
        reply(1, id, LINK_REPLY_DONE, "a ghost");
        reply(0, id, LINK_REPLY_UNKNOWN, "");
        gathering_tick(gathering, DEADLINE);
        ck_assert_str_eq(heard, "1 - whoever it went to left without an answer;0 2 ;");
        ck_assert_uint_eq(n_answers, 2);
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
        reply(0, id, LINK_REPLY_DONE, "");
        ck_assert_uint_eq(n_answers, 1);
        ck_assert_ptr_null(answer.asker);
        ck_assert_str_eq(text, "a");
}
END_TEST

START_TEST(so_many_at_once_and_no_more)
{
        uint64_t ids[CLIENT_MAX];

        for (unsigned i = 0; i < CLIENT_MAX; i++)
                ids[i] = begin(1);
        /* Going away makes no room for him who asks. */
        gathering_forget(gathering, &asker);
        ck_assert_uint_eq(begin(1), 0);
        ck_assert_uint_ne(begin_for(CLIENT + 1, 1), 0);
        ck_assert_uint_eq(begin_for(CLIENT + 1, 1), 0);
        reply(0, ids[1], LINK_REPLY_DONE, "");
        ck_assert_uint_ne(begin(1), 0);
        ck_assert_uint_eq(begin(1), 0);
}
END_TEST

START_TEST(an_answer_may_begin_another)
{
        begin_another = true;
        for (unsigned i = 0; i < CLIENT_MAX; i++)
                ck_assert_uint_ne(begin(1), 0);
        /* Those that begin meanwhile have the same deadline and are left for the next tick. */
        gathering_tick(gathering, DEADLINE);
        ck_assert_uint_eq(n_answers, CLIENT_MAX);
        ck_assert(!gathering_has_room(gathering, CLIENT));
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
        tcase_add_test(tc, each_is_heard_once);
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
