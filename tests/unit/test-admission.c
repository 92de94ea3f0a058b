/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The budget of handshakes. */

#include "check-main.h"
#include "runtime/admission.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define SERVED_MAX 4U
#define ADDRESS_MAX 2U
#define VISITORS 200U

static Admission *admission;
static Visitor visitors[VISITORS];
static uint64_t now;

static void setup(void)
{
        AdmissionOptions options = { .max = SERVED_MAX, .address_max = ADDRESS_MAX, .grace_usec = ADMISSION_GRACE_USEC };

        now = USEC_PER_SEC;
        ck_assert_int_eq(admission_new(&options, &admission), 0);
}

static void teardown(void)
{
        for (unsigned i = 0; i < VISITORS; i++)
                admission_leave(admission, &visitors[i]);
        admission = admission_free(admission);
}

static AdmissionKey key(unsigned address)
{
        return (AdmissionKey) { { (uint8_t) (address >> 8), (uint8_t) address } };
}

static int enter(unsigned visitor, unsigned address)
{
        AdmissionKey k = key(address);

        return admission_enter(admission, &visitors[visitor], &k, now);
}

START_TEST(one_address_does_not_take_all)
{
        ck_assert_int_eq(enter(0, 1), ADMISSION_SERVED);
        ck_assert_int_eq(enter(1, 1), ADMISSION_SERVED);
        ck_assert_int_eq(enter(2, 1), ADMISSION_WAITS);
        ck_assert_int_eq(enter(3, 2), ADMISSION_SERVED);
        ck_assert_int_eq(enter(4, 3), ADMISSION_SERVED);
        ck_assert_int_eq(enter(5, 4), ADMISSION_WAITS);
        ck_assert_uint_eq(admission_served(admission), SERVED_MAX);
        ck_assert_uint_eq(admission_waiting(admission), 2);
        ck_assert_ptr_null(admission_next(admission, now));
        /* A place in all is none for an address that has its share. */
        admission_leave(admission, &visitors[3]);
        ck_assert_ptr_eq(admission_next(admission, now), &visitors[5]);
        ck_assert_ptr_null(admission_next(admission, now));
        admission_leave(admission, &visitors[0]);
        ck_assert_ptr_eq(admission_next(admission, now), &visitors[2]);
        ck_assert_ptr_null(admission_next(admission, now));
        /* Who leaves while he waits is not served. */
        ck_assert_int_eq(enter(6, 9), ADMISSION_WAITS);
        admission_leave(admission, &visitors[6]);
        admission_leave(admission, &visitors[6]);
        admission_leave(admission, &visitors[1]);
        ck_assert_ptr_null(admission_next(admission, now));
}
END_TEST

START_TEST(nobody_is_overtaken_by_his_own)
{
        for (unsigned i = 0; i < 3; i++)
                (void) enter(i, 1);
        admission_leave(admission, &visitors[0]);
        ck_assert_int_eq(enter(3, 1), ADMISSION_WAITS);
        ck_assert_ptr_eq(admission_next(admission, now), &visitors[2]);
}
END_TEST

START_TEST(nobody_queues_behind_a_crowd)
{
        for (unsigned i = 0; i < ADDRESS_MAX; i++)
                ck_assert_int_eq(enter(i, 1), ADMISSION_SERVED);
        for (unsigned i = 0; i < ADDRESS_MAX; i++)
                ck_assert_int_eq(enter(10 + i, 2), ADMISSION_SERVED);
        for (unsigned i = 0; i < 5; i++)
                ck_assert_int_eq(enter(20 + i, 1 + i % 2), ADMISSION_WAITS);
        ck_assert_int_eq(enter(30, 3), ADMISSION_WAITS);
        admission_leave(admission, &visitors[0]);
        ck_assert_ptr_eq(admission_next(admission, now), &visitors[30]);
        /* Of equals, who came first. */
        admission_leave(admission, &visitors[10]);
        ck_assert_ptr_eq(admission_next(admission, now), &visitors[20]);
}
END_TEST

START_TEST(too_many_are_surplus_and_then_the_listeners_rest)
{
        unsigned n = 0;

        while (enter(n, 1) != ADMISSION_SURPLUS)
                n++;
        ck_assert_uint_eq(n, ADDRESS_MAX + ADMISSION_WAITING * ADDRESS_MAX);
        ck_assert(!admission_is_full(admission));
        for (unsigned address = 2; !admission_is_full(admission); address++)
                ck_assert_int_ge(enter(n++, address), 0);
        ck_assert_uint_eq(admission_waiting(admission), ADMISSION_WAITING * SERVED_MAX);
}
END_TEST

START_TEST(the_slow_give_way_only_to_those_they_keep_waiting)
{
        for (unsigned i = 0; i < ADDRESS_MAX; i++)
                ck_assert_int_eq(enter(i, 1), ADMISSION_SERVED);
        now += 10 * ADMISSION_GRACE_USEC;
        ck_assert_ptr_null(admission_in_the_way(admission, now));
        ck_assert_int_eq(enter(2, 2), ADMISSION_SERVED);
        ck_assert_int_eq(enter(3, 1), ADMISSION_WAITS);
        /* The oldest of his address. */
        ck_assert_ptr_eq(admission_in_the_way(admission, now), &visitors[0]);
        admission_leave(admission, &visitors[0]);
        ck_assert_ptr_null(admission_in_the_way(admission, now));
        ck_assert_ptr_eq(admission_next(admission, now), &visitors[3]);
        ck_assert_int_eq(enter(4, 3), ADMISSION_SERVED);
        ck_assert_int_eq(enter(5, 4), ADMISSION_WAITS);
        /* All places are taken: the oldest of all. */
        ck_assert_ptr_eq(admission_in_the_way(admission, now), &visitors[1]);
        admission_leave(admission, &visitors[1]);
        ck_assert_ptr_eq(admission_next(admission, now), &visitors[5]);
        ck_assert_int_eq(enter(6, 5), ADMISSION_WAITS);
        /* The others have had no time yet. */
        ck_assert_ptr_null(admission_in_the_way(admission, now));
        ck_assert_ptr_null(admission_overdue(admission, now, 1));
        now += ADMISSION_GRACE_USEC;
        ck_assert_ptr_eq(admission_in_the_way(admission, now), &visitors[2]);
        ck_assert_ptr_eq(admission_overdue(admission, now, 1), &visitors[6]);
}
END_TEST

START_TEST(an_address_is_a_host_or_a_network)
{
        struct sockaddr_in in = { .sin_family = AF_INET };
        struct sockaddr_in6 a = { .sin6_family = AF_INET6 }, b = a;
        AdmissionKey one, other;

        ck_assert_int_eq(inet_pton(AF_INET, "192.0.2.1", &in.sin_addr), 1);
        ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:192.0.2.1", &a.sin6_addr), 1);
        one = admission_key((struct sockaddr *) &in);
        other = admission_key((struct sockaddr *) &a);
        ck_assert_mem_eq(&one, &other, sizeof one);
        ck_assert_int_eq(inet_pton(AF_INET6, "2001:db8:1:2::3", &a.sin6_addr), 1);
        ck_assert_int_eq(inet_pton(AF_INET6, "2001:db8:1:2:4::5", &b.sin6_addr), 1);
        one = admission_key((struct sockaddr *) &a);
        other = admission_key((struct sockaddr *) &b);
        ck_assert_mem_eq(&one, &other, sizeof one);
        ck_assert_int_eq(inet_pton(AF_INET6, "2001:db8:1:3::3", &b.sin6_addr), 1);
        other = admission_key((struct sockaddr *) &b);
        ck_assert_mem_ne(&one, &other, sizeof one);
}
END_TEST

START_TEST(without_a_budget_all_are_served)
{
        AdmissionOptions options = { 0 };
        Admission *none;
        Visitor visitor;
        AdmissionKey k = key(1);

        ck_assert_int_eq(admission_new(&options, &none), 0);
        ck_assert_int_eq(admission_enter(none, &visitor, &k, now), ADMISSION_SERVED);
        ck_assert_uint_eq(admission_served(none), 0);
        ck_assert(!admission_is_full(none));
        ck_assert_ptr_null(admission_next(none, now));
        admission_leave(none, &visitor);
        admission_free(none);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("admission");
        TCase *tcase = tcase_create("admission");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, one_address_does_not_take_all);
        tcase_add_test(tcase, nobody_is_overtaken_by_his_own);
        tcase_add_test(tcase, nobody_queues_behind_a_crowd);
        tcase_add_test(tcase, too_many_are_surplus_and_then_the_listeners_rest);
        tcase_add_test(tcase, the_slow_give_way_only_to_those_they_keep_waiting);
        tcase_add_test(tcase, an_address_is_a_host_or_a_network);
        tcase_add_test(tcase, without_a_budget_all_are_served);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
