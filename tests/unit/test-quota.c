/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "dispatcher/quota.h"

#define RATE 1000000
#define SHARE 5000
#define A 1001
#define B 1002

static const uid_t trusted[] = { 900, 901 };
static Quota quota;

static void setup(void)
{
        QuotaOptions options = {
                .connections_max = 100,
                .user_connections_max = 10,
                .rate = RATE,
                .share = SHARE,
                .trusted = trusted,
                .n_trusted = ELEMENTSOF(trusted),
        };

        quota_init(&quota, &options, 0);
}

START_TEST(a_user_has_so_many_connections)
{
        ck_assert(quota_admits(&quota, A, 9, 9));
        ck_assert(!quota_admits(&quota, A, 10, 10));
        /* The last quarter is for those who have none. */
        ck_assert(quota_admits(&quota, A, 9, 74));
        ck_assert(!quota_admits(&quota, A, 1, 75));
        ck_assert(quota_admits(&quota, B, 0, 99));
        ck_assert(!quota_admits(&quota, B, 0, 100));
        ck_assert(quota_admits(&quota, 0, 50, 99));
        ck_assert(quota_admits(&quota, 901, 50, 99));
        ck_assert(!quota_admits(&quota, 0, 50, 100));
}
END_TEST

START_TEST(a_user_has_so_many_bytes_a_second)
{
        uint64_t taken = 0;

        quota_charge(&quota, A, RATE + 500000);
        ck_assert(quota_exhausted(&quota, A));
        ck_assert(quota_any_exhausted(&quota));
        ck_assert(!quota_exhausted(&quota, B));
        quota_refill(&quota, 400 * USEC_PER_MSEC);
        ck_assert(quota_exhausted(&quota, A));
        quota_refill(&quota, 600 * USEC_PER_MSEC);
        ck_assert(!quota_exhausted(&quota, A));
        ck_assert(!quota_any_exhausted(&quota));
        /* However often he asks, it is the rate in the long run, and a second's worth at most at once. */
        quota_refill(&quota, 10 * USEC_PER_SEC);
        for (uint64_t now = 10 * USEC_PER_SEC; now < 20 * USEC_PER_SEC; now += 100 * USEC_PER_MSEC) {
                for (unsigned i = 0; i < 100 && !quota_exhausted(&quota, A); i++) {
                        quota_charge(&quota, A, 7000);
                        taken += 7000;
                }
                quota_refill(&quota, now + 100 * USEC_PER_MSEC);
        }
        ck_assert_uint_ge(taken, 10 * RATE);
        ck_assert_uint_le(taken, 11 * RATE + 7000);
}
END_TEST

START_TEST(the_trusted_have_no_limit)
{
        quota_charge(&quota, 0, 100 * RATE);
        quota_charge(&quota, 900, 100 * RATE);
        quota_charge(&quota, geteuid(), 100 * RATE);
        ck_assert(!quota_exhausted(&quota, 0) && !quota_exhausted(&quota, 900) && !quota_exhausted(&quota, geteuid()));
        ck_assert(!quota_any_exhausted(&quota));
}
END_TEST

START_TEST(under_pressure_a_user_has_a_share)
{
        quota_charge(&quota, A, SHARE);
        ck_assert(!quota_exhausted(&quota, A));
        quota_press(&quota, true);
        quota_charge(&quota, A, SHARE - 1);
        ck_assert(!quota_exhausted(&quota, A));
        quota_press(&quota, true);
        quota_charge(&quota, A, 1);
        ck_assert(quota_exhausted(&quota, A));
        ck_assert(!quota_exhausted(&quota, B));
        /* Time alone does not help, nor does coming back. */
        quota_refill(&quota, 100 * USEC_PER_SEC);
        ck_assert(quota_exhausted(&quota, A));
        quota_press(&quota, false);
        ck_assert(!quota_exhausted(&quota, A));
        quota_press(&quota, true);
        ck_assert(!quota_exhausted(&quota, A));
}
END_TEST

START_TEST(without_a_rate_there_is_only_the_share)
{
        quota.options.rate = 0;
        quota_charge(&quota, A, UINT64_C(1) << 40);
        ck_assert(!quota_exhausted(&quota, A));
        quota_press(&quota, true);
        quota_charge(&quota, A, SHARE);
        ck_assert(quota_exhausted(&quota, A));
        quota_press(&quota, false);
        quota_refill(&quota, 1);
        for (size_t i = 0; i < QUOTA_USERS_MAX; i++)
                ck_assert(!quota.accounts[i].used);
}
END_TEST

START_TEST(more_users_than_accounts_share_one)
{
        for (uid_t uid = 0; uid < QUOTA_USERS_MAX; uid++)
                quota_charge(&quota, 5000 + uid, RATE);
        ck_assert(!quota_exhausted(&quota, A));
        quota_charge(&quota, A, RATE);
        ck_assert(quota_exhausted(&quota, A) && quota_exhausted(&quota, B));
        /* Full accounts are closed, and there is room again. */
        quota_refill(&quota, 1 * USEC_PER_SEC);
        quota_refill(&quota, 2 * USEC_PER_SEC);
        quota_charge(&quota, A, RATE);
        ck_assert(quota_exhausted(&quota, A) && !quota_exhausted(&quota, B));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("quota");
        TCase *tcase = tcase_create("quota");

        tcase_add_checked_fixture(tcase, setup, NULL);
        tcase_add_test(tcase, a_user_has_so_many_connections);
        tcase_add_test(tcase, a_user_has_so_many_bytes_a_second);
        tcase_add_test(tcase, the_trusted_have_no_limit);
        tcase_add_test(tcase, under_pressure_a_user_has_a_share);
        tcase_add_test(tcase, without_a_rate_there_is_only_the_share);
        tcase_add_test(tcase, more_users_than_accounts_share_one);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
