/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "remote/collectors.h"
#include "remote/service.h"

#include <arpa/nameser.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define NODES 3000

static Collectors *make(const char *node, int spread, ...)
{
        char *texts[COLLECTORS_MAX + 2];
        Collectors *collectors = NULL;
        size_t n = 0;
        va_list ap;

        va_start(ap, spread);
        while ((texts[n] = va_arg(ap, char *)))
                n++;
        va_end(ap);
        ck_assert_int_eq(collectors_new(texts, node, spread, &collectors), 0);
        return collectors;
}

/* What comes next: a host's name, "?domain", or "" when the round is over. */
static const char *next(Collectors *collectors)
{
        static char found[300];
        const Collector *collector;
        const char *domain;
        bool more = collectors_more(collectors);
        CollectorsStep step = collectors_next(collectors, &collector, &domain);

        ck_assert_int_eq(more, step != COLLECTORS_NONE);
        if (step == COLLECTORS_NONE)
                return "";
        (void) snprintf(found, sizeof found, "%s%s", step == COLLECTORS_FIND ? "?" : "",
                        step == COLLECTORS_FIND ? domain : collector->name);
        if (step == COLLECTORS_TRY)
                ck_assert_str_eq(collectors_current(collectors), collector->name);
        return found;
}

/* The rest of the round, "a b c". */
static const char *rest(Collectors *collectors)
{
        static char all[2000];
        const char *name;

        all[0] = '\0';
        while (*(name = next(collectors))) {
                if (all[0])
                        strcat(all, " ");
                strcat(all, name);
        }
        return all;
}

/* --- Text --- */

START_TEST(says_where_and_who)
{
        static const struct {
                const char *text, *host, *port, *name;
        } good[] = {
                { "log", "log", "6560", "log" },
                { "log.example.org:1", "log.example.org", "1", "log.example.org" },
                { "log:65535#other", "log", "65535", "other" },
                { "log#other", "log", "6560", "other" },
                { "192.0.2.1#a", "192.0.2.1", "6560", "a" },
                { "[2001:db8::1]:7#a.b", "2001:db8::1", "7", "a.b" },
                { "[fe80::1%eth0]#a", "fe80::1%eth0", "6560", "a" },
        };
        const Collector *collector;
        const char *domain;

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                Collectors *collectors = make("n", false, good[i].text, NULL);

                collectors_begin(collectors, NULL);
                ck_assert_int_eq(collectors_next(collectors, &collector, &domain), COLLECTORS_TRY);
                ck_assert_str_eq(collector->host, good[i].host);
                ck_assert_str_eq(collector->port, good[i].port);
                ck_assert_str_eq(collector->name, good[i].name);
                collectors_free(collectors);
        }
        ck_assert(collectors_is_service("srv:a"));
        ck_assert(!collectors_is_service("srv"));
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
        static const char *const bad[] = {
                "",        ":1",       "#a",          "log:",      "log:0",   "log:65536", "log:123456", "log:x", "log:1x",
                "log#",    "log#a b",  "l g",         "[::1",      "[::1]",   "[::1]x#a",  "[]#a",       "[::1]#", "192.0.2.1",
                "srv:",    "srv:a:1",  "srv:a#b",     "log:1#a#b", "log/x",
        };
        char *texts[] = { (char *) "good", NULL, NULL };
        Collectors *collectors;
        const char *why;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                why = NULL;
                ck_assert_msg(collectors_check(bad[i], &why) == -EINVAL, "%s", bad[i]);
                ck_assert_ptr_nonnull(why);
                texts[1] = (char *) bad[i];
                ck_assert_int_eq(collectors_new(texts, "n", false, &collectors), -EINVAL);
        }
}
END_TEST

START_TEST(one_that_has_no_name)
{
        static const char *const bad[] = { "a#b", "srv:a", "", "a:x" };
        char *host, *port;
        const char *why;

        ck_assert_int_eq(collectors_split("[::1]:7", "60", &host, &port, &why), 0);
        ck_assert_str_eq(host, "::1");
        ck_assert_str_eq(port, "7");
        free(host);
        free(port);
        ck_assert_int_eq(collectors_split("192.0.2.1", "60", &host, &port, &why), 0);
        ck_assert_str_eq(host, "192.0.2.1");
        ck_assert_str_eq(port, "60");
        free(host);
        free(port);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                ck_assert_int_eq(collectors_split(bad[i], "60", &host, &port, &why), -EINVAL);
}
END_TEST

START_TEST(one_name_is_one_collector)
{
        char *twice[] = { (char *) "a:1", (char *) "b", (char *) "c:2#a", NULL };
        char *many[COLLECTORS_MAX + 2] = { NULL };
        char names[COLLECTORS_MAX + 1][8];
        Collectors *collectors;

        ck_assert_int_eq(collectors_new(twice, "n", false, &collectors), -EEXIST);
        for (size_t i = 0; i <= COLLECTORS_MAX; i++) {
                (void) snprintf(names[i], sizeof names[i], "c%zu", i);
                many[i] = names[i];
        }
        ck_assert_int_eq(collectors_new(many, "n", false, &collectors), -E2BIG);
        many[COLLECTORS_MAX] = NULL;
        ck_assert_int_eq(collectors_new(many, "n", false, &collectors), 0);
        collectors_free(collectors);
}
END_TEST

/* --- Rounds --- */

START_TEST(a_round_tries_each_once_in_order)
{
        Collectors *c = make("n", false, "a", "b", "c", NULL);

        ck_assert_str_eq(rest(c), ""); /* none was begun */
        ck_assert_str_eq(collectors_current(c), "");
        ck_assert(!collectors_preferred(c));
        collectors_begin(c, NULL);
        ck_assert_str_eq(next(c), "a");
        ck_assert(collectors_preferred(c));
        ck_assert_str_eq(next(c), "b");
        ck_assert(!collectors_preferred(c));
        ck_assert_str_eq(rest(c), "c");
        ck_assert_str_eq(rest(c), "");
        collectors_begin(c, NULL);
        ck_assert_str_eq(rest(c), "a b c");
        collectors_free(c);
}
END_TEST

START_TEST(behind_a_lost_one_come_the_others)
{
        Collectors *c = make("n", false, "a", "b", "c", NULL), *one = make("n", false, "a", NULL);

        collectors_begin(c, NULL);
        next(c);
        next(c);
        collectors_begin_behind(c);
        ck_assert_str_eq(rest(c), "c a");
        collectors_begin(c, NULL);
        next(c);
        collectors_begin_behind(c);
        ck_assert_str_eq(next(c), "b");
        collectors_end(c);
        ck_assert_str_eq(rest(c), "");

        /* That of one is over. */
        collectors_begin(one, NULL);
        ck_assert_str_eq(rest(one), "a");
        collectors_begin_behind(one);
        ck_assert_str_eq(rest(one), "");
        collectors_free(c);
        collectors_free(one);
}
END_TEST

/* One that is of no use is left once in so long, for somebody who may be. */
START_TEST(left_for_another)
{
        Collectors *c = make("n", false, "a", "b", NULL), *one = make("n", false, "a", NULL),
                   *service = make("n", false, "srv:d", NULL);
        CollectorsService hosts[] = { { .host = "x", .port = 1 }, { .host = "y", .port = 1, .priority = 1 } };

        ck_assert(!collectors_leave(c, 1000, 100)); /* nobody is current */
        collectors_begin(c, NULL);
        ck_assert_str_eq(next(c), "a");
        collectors_begin_behind(c);
        ck_assert(collectors_leave(c, 1000, 100));
        ck_assert_str_eq(next(c), "b");
        collectors_begin_behind(c);
        ck_assert(collectors_leave(c, 1001, 100));
        ck_assert_str_eq(next(c), "a");
        collectors_begin_behind(c);
        ck_assert(!collectors_leave(c, 1099, 100));
        ck_assert(collectors_leave(c, 1100, 100));
        ck_assert(!collectors_leave(c, 1101, 100));
        /* In a round without others, nobody is left. */
        collectors_end(c);
        ck_assert(!collectors_leave(c, 2000, 100));
        collectors_begin(one, NULL);
        next(one);
        collectors_begin_behind(one);
        ck_assert(!collectors_leave(one, 1000, 100));

        /* It is remembered though the DNS is asked anew. */
        collectors_begin(service, NULL);
        next(service);
        ck_assert_int_eq(collectors_found(service, hosts, 2), 0);
        ck_assert_str_eq(next(service), "x");
        collectors_begin_behind(service);
        ck_assert(collectors_leave(service, 1000, 100));
        collectors_begin(service, NULL);
        ck_assert_str_eq(next(service), "?d");
        ck_assert_int_eq(collectors_found(service, hosts, 2), 0);
        ck_assert_str_eq(next(service), "x");
        collectors_begin_behind(service);
        ck_assert(!collectors_leave(service, 1099, 100));
        collectors_free(c);
        collectors_free(one);
        collectors_free(service);
}
END_TEST

START_TEST(the_same_again)
{
        Collectors *c = make("n", false, "a", "b", "c", NULL);

        collectors_begin(c, NULL);
        next(c);
        next(c);
        collectors_begin_behind(c);
        collectors_again(c);
        ck_assert_str_eq(rest(c), "b c a");
        collectors_begin_at(c, "c");
        ck_assert_str_eq(rest(c), "c a b");
        collectors_begin_at(c, "gone");
        ck_assert_str_eq(rest(c), "a b c");
        collectors_free(c);
}
END_TEST

START_TEST(only_better_ones)
{
        Collectors *c = make("n", false, "a", "b", "c", NULL);

        collectors_begin(c, "c");
        ck_assert_str_eq(rest(c), "a b");
        collectors_begin(c, "a");
        ck_assert_str_eq(rest(c), "");
        /* Who is not listed any more is worse than all. */
        collectors_begin(c, "gone");
        ck_assert_str_eq(rest(c), "a b c");
        collectors_free(c);
}
END_TEST

/* --- Spreading --- */

static const char *first_of(Collectors *c)
{
        collectors_begin(c, NULL);
        return next(c);
}

/* Each has its share, and with one less only its nodes move. */
START_TEST(a_fleet_spreads_and_stays)
{
        static const char *const names[] = { "a", "b", "c", "d" };
        unsigned n[4] = { 0 }, moved = 0;
        char node[32], before[8];

        for (unsigned i = 0; i < NODES; i++) {
                Collectors *four, *three, *otherwise;

                (void) snprintf(node, sizeof node, "host%u.example.org", i);
                four = make(node, true, "a", "b", "c", "d", NULL);
                otherwise = make(node, true, "d", "b", "a:1", "c", NULL);
                three = make(node, true, "a", "b", "c", NULL);
                (void) snprintf(before, sizeof before, "%s", first_of(four));
                ck_assert_str_eq(first_of(otherwise), before);
                for (unsigned j = 0; j < 4; j++)
                        n[j] += strcmp(before, names[j]) == 0;
                if (strcmp(first_of(three), before) != 0) {
                        ck_assert_str_eq(before, "d");
                        moved++;
                }
                collectors_free(four);
                collectors_free(three);
                collectors_free(otherwise);
        }
        for (unsigned j = 0; j < 4; j++)
                ck_assert(n[j] > NODES / 4 - NODES / 20 && n[j] < NODES / 4 + NODES / 20);
        ck_assert_uint_eq(moved, n[3]);
}
END_TEST

START_TEST(the_second_choice_is_spread_too)
{
        unsigned n = 0, b = 0;
        char node[32];

        for (unsigned i = 0; i < NODES; i++) {
                Collectors *c;

                (void) snprintf(node, sizeof node, "host%u", i);
                c = make(node, true, "a", "b", "srv:c", NULL);
                if (strcmp(first_of(c), "a") == 0) {
                        n++;
                        b += strcmp(next(c), "b") == 0;
                }
                collectors_free(c);
        }
        ck_assert(n > NODES / 4 && b > n / 2 - n / 10 && b < n / 2 + n / 10);
}
END_TEST

/* --- Services --- */

START_TEST(a_service_stands_for_its_hosts)
{
        static const CollectorsService first[] = {
                { .host = "far", .port = 1, .priority = 20, .weight = 9 },
                { .host = "near", .port = 2, .priority = 10 },
                { .host = "listed", .port = 3, .priority = 1 }, /* is in the list itself */
                { .host = "near", .port = 4, .priority = 30 },  /* another port is no other collector */
                { .host = "a b", .port = 5 },                   /* no name */
        };
        static const CollectorsService second[] = {
                { .host = "new", .port = 1, .priority = 1 },
                { .host = "far", .port = 1, .priority = 2 },
        };
        Collectors *c = make("n", false, "a", "srv:example.org", "listed", NULL);

        collectors_begin(c, NULL);
        ck_assert_str_eq(next(c), "a");
        ck_assert_str_eq(next(c), "?example.org");
        ck_assert_int_eq(collectors_found(c, first, ELEMENTSOF(first)), 0);
        ck_assert_str_eq(next(c), "near");
        ck_assert_str_eq(rest(c), "far listed");

        /* On the way from one to the next nothing is looked up that is known. */
        collectors_begin_at(c, "near");
        ck_assert_str_eq(next(c), "near");
        collectors_begin_behind(c);
        ck_assert_str_eq(rest(c), "far listed a");

        /* From the top it is; who was tried already is not tried again. */
        collectors_begin(c, "listed");
        ck_assert_str_eq(next(c), "a");
        ck_assert_str_eq(next(c), "?example.org");
        ck_assert_str_eq(next(c), "near"); /* the look-up failed */
        collectors_begin(c, NULL);
        ck_assert_str_eq(next(c), "a");
        ck_assert_str_eq(next(c), "?example.org");
        ck_assert_str_eq(next(c), "near");
        ck_assert_str_eq(next(c), "far");
        ck_assert_int_eq(collectors_found(c, second, ELEMENTSOF(second)), 0);
        ck_assert_str_eq(rest(c), "new listed");

        /* None is an answer, too. */
        ck_assert_int_eq(collectors_found(c, NULL, 0), 0);
        collectors_begin_behind(c);
        ck_assert_str_eq(rest(c), "a ?example.org");
        collectors_free(c);
}
END_TEST

START_TEST(a_service_alone)
{
        static const CollectorsService two[] = { { .host = "x", .port = 1, .priority = 1 },
                                                 { .host = "y", .port = 1, .priority = 2 } };
        Collectors *c = make("n", false, "srv:a", "srv:b", NULL);

        collectors_begin(c, NULL);
        ck_assert_str_eq(next(c), "?a");
        ck_assert(!collectors_preferred(c));
        ck_assert_str_eq(next(c), "?b");
        ck_assert_int_eq(collectors_found(c, two, 2), 0);
        ck_assert_str_eq(next(c), "x");
        ck_assert(collectors_preferred(c)); /* of those that there are */
        ck_assert_str_eq(next(c), "y");
        ck_assert(!collectors_preferred(c));
        collectors_free(c);
}
END_TEST

START_TEST(weights_are_kept)
{
        static const CollectorsService weighted[] = {
                { .host = "heavy", .port = 1, .weight = 30 },
                { .host = "light", .port = 1, .weight = 10 },
                { .host = "hardly", .port = 1, .weight = 0 },
        };
        unsigned heavy = 0, hardly = 0;
        char node[32];

        for (unsigned i = 0; i < NODES; i++) {
                Collectors *c;
                const char *first;

                (void) snprintf(node, sizeof node, "host%u", i);
                c = make(node, false, "srv:a", NULL);
                collectors_begin(c, NULL);
                ck_assert_str_eq(next(c), "?a");
                ck_assert_int_eq(collectors_found(c, weighted, ELEMENTSOF(weighted)), 0);
                first = next(c);
                heavy += strcmp(first, "heavy") == 0;
                hardly += strcmp(first, "hardly") == 0;
                collectors_free(c);
        }
        ck_assert(heavy > NODES * 70 / 100 && heavy < NODES * 80 / 100);
        ck_assert_uint_lt(hardly, 3);
}
END_TEST

START_TEST(no_more_hosts_than_there_is_room_for)
{
        CollectorsService many[COLLECTORS_MAX + 4];
        Collectors *c = make("n", false, "srv:a", NULL);
        unsigned n = 0;

        for (size_t i = 0; i < ELEMENTSOF(many); i++) {
                many[i] = (CollectorsService) { .port = 1 };
                (void) snprintf(many[i].host, sizeof many[i].host, "c%zu", i);
        }
        collectors_begin(c, NULL);
        next(c);
        ck_assert_int_eq(collectors_found(c, many, ELEMENTSOF(many)), 0);
        while (*next(c))
                n++;
        ck_assert_uint_eq(n, COLLECTORS_MAX);
        collectors_free(c);
}
END_TEST

/* --- The DNS's answer --- */

static uint8_t answer[NS_MAXMSG];
static size_t answer_size;

static void put16(unsigned value)
{
        answer[answer_size++] = (uint8_t) (value >> 8);
        answer[answer_size++] = (uint8_t) value;
}

/* Labels, "a.b", without compression. */
static void put_name(const char *name)
{
        while (*name) {
                size_t n = strcspn(name, ".");

                answer[answer_size++] = (uint8_t) n;
                memcpy(answer + answer_size, name, n);
                answer_size += n;
                name += n + (name[n] == '.');
        }
        answer[answer_size++] = 0;
}

static void begin_answer(unsigned n)
{
        answer_size = 0;
        put16(1);
        put16(0x8180);
        put16(1);
        put16(n);
        put16(0);
        put16(0);
        put_name("_audit-relay._tcp.x");
        put16(ns_t_srv);
        put16(ns_c_in);
}

static size_t begin_record(unsigned type)
{
        put16(0xc00c); /* the name in the question */
        put16(type);
        put16(ns_c_in);
        put16(0);
        put16(60);
        put16(0);
        return answer_size;
}

static void end_record(size_t begin)
{
        answer[begin - 2] = (uint8_t) ((answer_size - begin) >> 8);
        answer[begin - 1] = (uint8_t) (answer_size - begin);
}

static void put_service(unsigned priority, unsigned weight, unsigned port, const char *target)
{
        size_t begin = begin_record(ns_t_srv);

        put16(priority);
        put16(weight);
        put16(port);
        put_name(target);
        end_record(begin);
}

START_TEST(an_answer_is_understood)
{
        CollectorsService found[4];
        size_t begin;

        begin_answer(6);
        put_service(1, 2, 6560, "log1.example.org");
        begin = begin_record(ns_t_txt); /* none of ours */
        put_name("text");
        end_record(begin);
        put_service(0, 0, 1, "");          /* there is no such service */
        put_service(0, 0, 0, "no.port");
        put_service(0, 0, 1, "a-label-of-sixty-letters-a-label-of-sixty-letters-a-label-of-s."
                             "a-label-of-sixty-letters-a-label-of-sixty-letters-a-label-of-s.long"); /* no name here */
        put_service(65535, 65535, 65535, "log2");
        ck_assert_int_eq(service_parse(answer, answer_size, found, ELEMENTSOF(found)), 2);
        ck_assert_str_eq(found[0].host, "log1.example.org");
        ck_assert_uint_eq(found[0].priority, 1);
        ck_assert_uint_eq(found[0].weight, 2);
        ck_assert_uint_eq(found[0].port, 6560);
        ck_assert_str_eq(found[1].host, "log2");
        ck_assert_uint_eq(found[1].priority, 65535);
        ck_assert_uint_eq(found[1].port, 65535);
        /* No more than there is room for. */
        ck_assert_int_eq(service_parse(answer, answer_size, found, 1), 1);
}
END_TEST

START_TEST(what_is_no_answer)
{
        CollectorsService found[4];
        size_t begin;

        begin_answer(2);
        put_service(1, 2, 6560, "log1");
        put_service(1, 2, 6560, "log2");
        for (size_t n = 0; n < answer_size; n++)
                ck_assert_int_eq(service_parse(answer, n, found, ELEMENTSOF(found)), -EBADMSG);
        ck_assert_int_eq(service_parse(answer, NS_MAXMSG + 1, found, ELEMENTSOF(found)), -EBADMSG);
        ck_assert_int_eq(service_parse(answer, answer_size, found, ELEMENTSOF(found)), 2);

        /* A target that points at itself; one that is too short to be a record. */
        begin_answer(1);
        begin = begin_record(ns_t_srv);
        put16(1);
        put16(1);
        put16(1);
        put16(0xc000 | (unsigned) (begin + 6));
        end_record(begin);
        ck_assert_int_eq(service_parse(answer, answer_size, found, ELEMENTSOF(found)), -EBADMSG);
        begin_answer(1);
        begin = begin_record(ns_t_srv);
        put16(1);
        end_record(begin);
        ck_assert_int_eq(service_parse(answer, answer_size, found, ELEMENTSOF(found)), 0);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("collectors");
        TCase *tcase = tcase_create("collectors");

        tcase_add_test(tcase, says_where_and_who);
        tcase_add_test(tcase, what_is_wrong_is_said);
        tcase_add_test(tcase, one_that_has_no_name);
        tcase_add_test(tcase, one_name_is_one_collector);
        tcase_add_test(tcase, a_round_tries_each_once_in_order);
        tcase_add_test(tcase, behind_a_lost_one_come_the_others);
        tcase_add_test(tcase, left_for_another);
        tcase_add_test(tcase, the_same_again);
        tcase_add_test(tcase, only_better_ones);
        tcase_add_test(tcase, a_fleet_spreads_and_stays);
        tcase_add_test(tcase, the_second_choice_is_spread_too);
        tcase_add_test(tcase, a_service_stands_for_its_hosts);
        tcase_add_test(tcase, a_service_alone);
        tcase_add_test(tcase, weights_are_kept);
        tcase_add_test(tcase, no_more_hosts_than_there_is_room_for);
        tcase_add_test(tcase, an_answer_is_understood);
        tcase_add_test(tcase, what_is_no_answer);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
