/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Points in time as people write them. */

#include "check-main.h"
#include "tool/log/time.h"

#include <time.h>

/* 2026-11-22 09:30:15 UTC, a Sunday. */
#define NOW (UINT64_C(1795339815) * USEC_PER_SEC + 250000)
#define HOUR UINT64_C(3600)

static uint64_t parse(const char *text)
{
        uint64_t usec;
        int r = log_time_parse(text, NOW, &usec);

        ck_assert_msg(r == 0, "%s: %d", text, r);
        return usec;
}

/* Seconds from the beginning of 2026-11-22 in UTC. */
static uint64_t day(uint64_t sec)
{
        return (UINT64_C(1795305600) + sec) * USEC_PER_SEC;
}

static void use_zone(const char *zone)
{
        ck_assert_int_eq(setenv("TZ", zone, 1), 0);
        tzset();
}

START_TEST(calendar)
{
        use_zone("UTC");
        ck_assert_uint_eq(parse("2026-11-22 10:00"), day(10 * HOUR));
        ck_assert_uint_eq(parse("2026-11-22 10:00:07"), day(10 * HOUR + 7));
        ck_assert_uint_eq(parse("2026-11-22 10:00:07.25"), day(10 * HOUR + 7) + 250000);
        ck_assert_uint_eq(parse("2026-11-22 10:00:07.1234567"), day(10 * HOUR + 7) + 123456);
        ck_assert_uint_eq(parse("2026-11-22"), day(0));
        ck_assert_uint_eq(parse("10:30"), day(10 * HOUR + 1800));
        ck_assert_uint_eq(parse("23:59:59"), day(24 * HOUR - 1));
        ck_assert_uint_eq(parse("today"), day(0));
        ck_assert_uint_eq(parse("yesterday"), day(0) - 24 * HOUR * USEC_PER_SEC);
        ck_assert_uint_eq(parse("tomorrow"), day(24 * HOUR));
        ck_assert_uint_eq(parse("now"), NOW);
        ck_assert_uint_eq(parse("2024-02-29"), UINT64_C(1709164800) * USEC_PER_SEC);
}
END_TEST

START_TEST(zones)
{
        use_zone("CET-1");
        ck_assert_uint_eq(parse("2026-11-22 10:00"), day(9 * HOUR));
        ck_assert_uint_eq(parse("today"), day(0) - HOUR * USEC_PER_SEC);
        ck_assert_uint_eq(parse("2026-11-22 10:00 UTC"), day(10 * HOUR));
        ck_assert_uint_eq(parse("2026-11-22T10:00:00Z"), day(10 * HOUR));
        ck_assert_uint_eq(parse("2026-11-22t10:00:00z"), day(10 * HOUR));
        ck_assert_uint_eq(parse("2026-11-22T10:00:00.5+02:00"), day(8 * HOUR) + 500000);
        ck_assert_uint_eq(parse("2026-11-22T10:00:00-0230"), day(12 * HOUR + 1800));
        ck_assert_uint_eq(parse("2026-11-22 UTC"), day(0));
}
END_TEST

START_TEST(relative)
{
        use_zone("UTC");
        ck_assert_uint_eq(parse("-1h"), NOW - HOUR * USEC_PER_SEC);
        ck_assert_uint_eq(parse("-1h 30min"), NOW - 3 * HOUR / 2 * USEC_PER_SEC);
        ck_assert_uint_eq(parse("+5min"), NOW + 300 * USEC_PER_SEC);
        ck_assert_uint_eq(parse("2 days ago"), NOW - 48 * HOUR * USEC_PER_SEC);
        ck_assert_uint_eq(parse("-200y"), 0);
        ck_assert_uint_eq(parse("+infinity"), UINT64_MAX);
}
END_TEST

START_TEST(epoch)
{
        ck_assert_uint_eq(parse("@0"), 0);
        ck_assert_uint_eq(parse("@1795339815.25"), NOW);
}
END_TEST

START_TEST(what_is_no_time)
{
        static const char *const texts[] = {
                "", "x", "25:00", "10:60", "10:00:61", "10", "10:0", "2026-13-01", "2026-00-01", "2026-01-32", "2026-02-30",
                "2026-11-22 ", "2026-11-22 x", "2026-11-22T", "2026-11-22 10:00 CET", "2026-11-22 10:00x", "2026-1-2",
                "10:00:00.", "2026-11-22T10:00+1:00", "2026-11-22T10:00+24:00", "2026-11-22T10:00+10:60", "1h", "-", "-1x", "ago",
                "x ago", "@", "@x", "@1.", "@1x", "@99999999999999999999", "@18446744073709551615", "Today",
                "1969-01-01 UTC", "2026-11-22T10:00+1", "2026-11-22 10:00 ",
        };
        uint64_t usec;

        use_zone("UTC");
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                ck_assert_msg(log_time_parse(texts[i], NOW, &usec) == -EINVAL, "\"%s\"", texts[i]);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("log-time");
        TCase *tcase = tcase_create("times");

        tcase_add_test(tcase, calendar);
        tcase_add_test(tcase, zones);
        tcase_add_test(tcase, relative);
        tcase_add_test(tcase, epoch);
        tcase_add_test(tcase, what_is_no_time);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
