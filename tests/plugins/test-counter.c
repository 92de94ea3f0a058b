/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The parts of plugins that are pure: addresses, and guard's counter. */

#include "check-main.h"
#include "address.h"
#include "guard/counter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static Address address_of(const char *text)
{
        Address address;

        ck_assert_int_eq(address_parse(text, &address), 0);
        return address;
}

static const struct {
        const char *text, *again; /* NULL: no address */
} texts[] = {
        { "192.0.2.1", "192.0.2.1" },
        { "192.0.2.1/32", "192.0.2.1" },
        { "192.0.2.255/25", "192.0.2.128/25" },
        { "0.0.0.0/0", "0.0.0.0/0" },
        { "2001:DB8::1", "2001:db8::1" },
        { "2001:db8:1:2:3::/64", "2001:db8:1:2::/64" },
        { "::ffff:192.0.2.1", "192.0.2.1" },
        { "::ffff:192.0.2.1/120", "192.0.2.0/24" },
        { "::ffff:192.0.2.1/90", "::ffc0:0:0/90" },
        { "::/0", "::/0" },
        { "", NULL },
        { "?", NULL },
        { "192.0.2", NULL },
        { "192.0.2.1/33", NULL },
        { "192.0.2.1/", NULL },
        { "192.0.2.1/-1", NULL },
        { "192.0.2.1/2x", NULL },
        { "192.0.2.1 ", NULL },
        { "fe80::1%eth0", NULL },
        { "::1/129", NULL },
        { "1:2:3:4:5:6:7:8:9:a:b:c:d:e:f:0:1:2:3:4:5:6:7:8:9", NULL },
};

START_TEST(addresses_as_text)
{
        char again[ADDRESS_TEXT_SIZE];
        Address address;

        ck_assert_int_eq(address_parse(texts[_i].text, &address), texts[_i].again ? 0 : -EINVAL);
        if (!texts[_i].again)
                return;
        address_format(&address, again);
        ck_assert_str_eq(again, texts[_i].again);
}
END_TEST

START_TEST(lists_of_addresses)
{
        char *words[] = { (char *) "192.0.2.0/24", (char *) "2001:db8::5", NULL },
             *wrong[] = { (char *) "x", NULL };
        const char *which = NULL;
        Address *list, address;

        ck_assert_int_eq(address_list_parse(wrong, &list, &which), -EINVAL);
        ck_assert_str_eq(which, "x");
        ck_assert_int_eq(address_list_parse(words, &list, &which), 2);
        address = address_of("192.0.2.77");
        ck_assert(address_list_touches(list, 2, &address));
        address = address_of("192.0.0.0/16");
        ck_assert(address_list_touches(list, 2, &address));
        address = address_of("192.0.3.1");
        ck_assert(!address_list_touches(list, 2, &address));
        address = address_of("2001:db8::/64");
        ck_assert(address_list_touches(list, 2, &address));
        address = address_of("c000:200::");
        ck_assert(!address_list_touches(list, 2, &address));
        free(list);
        ck_assert_int_eq(address_list_parse(NULL, &list, &which), 0);
        free(list);
}
END_TEST

static Counter *counter;

static void begin(unsigned threshold, size_t most)
{
        CounterOptions options = {
                .threshold = threshold, .window_sec = 60, .block_sec = 100, .addresses_max = most
        };

        ck_assert_int_eq(counter_new(&options, &counter), 0);
}

static bool failure(const char *text, uint64_t sec)
{
        Address address = address_of(text);

        return counter_fail(counter, &address, sec);
}

START_TEST(too_many_within_the_window)
{
        begin(3, 16);
        ck_assert(!failure("192.0.2.1", 1000));
        ck_assert(!failure("192.0.2.2", 1000));
        ck_assert(!failure("192.0.2.1", 1030));
        /* The first is 61 seconds old: not within. */
        ck_assert(!failure("192.0.2.1", 1061));
        ck_assert(failure("192.0.2.1", 1090));
        /* Said once per block. */
        for (uint64_t sec = 1090; sec < 1190; sec++)
                ck_assert(!failure("192.0.2.1", sec));
        ck_assert(failure("192.0.2.1", 1190));
        ck_assert(!failure("192.0.2.1", 1191));
        Address address = address_of("192.0.2.1");
        counter_retry(counter, &address);
        ck_assert(failure("192.0.2.1", 1192));
        counter_free(counter);
}
END_TEST

START_TEST(each_is_too_many)
{
        begin(1, 16);
        ck_assert(failure("192.0.2.1", 5));
        ck_assert(!failure("192.0.2.1", 6));
        ck_assert(failure("2001:db8::1", 6));
        counter_free(counter);
}
END_TEST

START_TEST(the_table_is_bounded)
{
        char text[40];

        begin(3, 100);
        ck_assert(!failure("192.0.2.1", 1000));
        for (unsigned i = 0; i < 10000; i++) {
                (void) snprintf(text, sizeof text, "10.0.%u.%u", i / 256, i % 256);
                ck_assert(!failure(text, 1000));
                /* Seen again: it stays for as long as the others. */
                if (i == 50)
                        ck_assert(!failure("192.0.2.1", 1001));
                ck_assert_uint_le(counter_size(counter), 100);
        }
        /* By now it was the longest quiet one. */
        ck_assert(!failure("192.0.2.1", 1002));
        ck_assert(!failure("10.0.39.15", 1002));
        ck_assert(failure("10.0.39.15", 1002));
        counter_free(counter);
        ck_assert_ptr_null(counter_free(NULL));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("counter");
        TCase *tc = tcase_create("counter");

        tcase_add_loop_test(tc, addresses_as_text, 0, sizeof texts / sizeof texts[0]);
        tcase_add_test(tc, lists_of_addresses);
        tcase_add_test(tc, too_many_within_the_window);
        tcase_add_test(tc, each_is_too_many);
        tcase_add_test(tc, the_table_is_bounded);
        suite_add_tcase(suite, tc);
        return check_main(suite);
}
