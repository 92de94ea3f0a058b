/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lists of networks, and addresses as they are compared with them. */

#include "check-main.h"
#include "aggregator/networks.h"

#include <arpa/inet.h>

/* Of text, as a socket that takes both kinds gives it. */
static Address address(const char *text)
{
        struct sockaddr_in ipv4 = { .sin_family = AF_INET };
        struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6 };
        Address result;

        if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1) {
                ck_assert_int_eq(address_of((struct sockaddr *) &ipv4, &result), 0);
        } else {
                ck_assert_int_eq(inet_pton(AF_INET6, text, &ipv6.sin6_addr), 1);
                ck_assert_int_eq(address_of((struct sockaddr *) &ipv6, &result), 0);
        }
        return result;
}

static bool contains(const char *network, const char *text)
{
        char *const texts[] = { (char *) network, NULL };
        Address a = address(text);
        Networks networks;
        const char *wrong;
        bool result;

        ck_assert_int_eq(networks_parse(texts, &networks, &wrong), 0);
        result = networks_contain(&networks, &a);
        networks_done(&networks);
        return result;
}

START_TEST(networks_contain_their_addresses)
{
        ck_assert(contains("192.0.2.0/24", "192.0.2.255"));
        ck_assert(!contains("192.0.2.0/24", "192.0.3.0"));
        ck_assert(contains("192.0.2.128/25", "192.0.2.128"));
        ck_assert(!contains("192.0.2.128/25", "192.0.2.127"));
        ck_assert(contains("192.0.2.4/31", "192.0.2.5"));
        ck_assert(!contains("192.0.2.4/31", "192.0.2.6"));
        ck_assert(contains("192.0.2.4", "192.0.2.4"));
        ck_assert(!contains("192.0.2.4", "192.0.2.5"));
        ck_assert(contains("192.0.2.4/32", "::ffff:192.0.2.4"));
        ck_assert(contains("2001:db8::/33", "2001:db8:7fff::1"));
        ck_assert(!contains("2001:db8::/33", "2001:db8:8000::1"));
        ck_assert(contains("2001:db8::1", "2001:db8::1"));
        ck_assert(!contains("2001:db8::1", "2001:db8::2"));
}
END_TEST

START_TEST(no_bits_are_all_of_a_kind)
{
        ck_assert(contains("0.0.0.0/0", "198.51.100.7"));
        ck_assert(!contains("0.0.0.0/0", "2001:db8::1"));
        ck_assert(contains("::/0", "2001:db8::1"));
        ck_assert(contains("::/0", "198.51.100.7"));
}
END_TEST

START_TEST(none_contain_nothing)
{
        Networks networks;
        Address a = address("127.0.0.1");
        const char *wrong;

        ck_assert_int_eq(networks_parse(NULL, &networks, &wrong), 0);
        ck_assert(!networks_contain(&networks, &a));
        networks_done(&networks);
}
END_TEST

START_TEST(others_are_refused)
{
        static const char *const bad[] = { "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1", "192.0.2.0/2x", "192.0.2", "host", "",
                                     "2001:db8::/129", "2001:db8::/99999999999999999999", "/24",
                                     "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc/64" };
        char *const texts[] = { (char *) "192.0.2.0/24", (char *) bad[_i], NULL };
        const char *wrong = NULL;
        Networks networks;

        ck_assert_int_eq(networks_parse(texts, &networks, &wrong), -EINVAL);
        ck_assert_ptr_eq(wrong, bad[_i]);
}
END_TEST

START_TEST(addresses_have_names)
{
        static const char *const names[][2] = { { "192.0.2.4", "192.0.2.4" }, { "::ffff:192.0.2.4", "192.0.2.4" },
                                                { "2001:db8:0::1", "2001:db8::1" } };
        char text[ADDRESS_NAME_MAX];

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                Address a = address(names[i][0]);

                address_format(&a, text);
                ck_assert_str_eq(text, names[i][1]);
        }
}
END_TEST

START_TEST(other_sockets_have_none)
{
        struct sockaddr local = { .sa_family = AF_UNIX };
        Address a;

        ck_assert_int_eq(address_of(&local, &a), -EAFNOSUPPORT);
}
END_TEST

static Suite *networks_suite(void)
{
        Suite *suite = suite_create("networks");
        TCase *all = tcase_create("all");

        tcase_add_test(all, networks_contain_their_addresses);
        tcase_add_test(all, no_bits_are_all_of_a_kind);
        tcase_add_test(all, none_contain_nothing);
        tcase_add_loop_test(all, others_are_refused, 0, 11);
        tcase_add_test(all, addresses_have_names);
        tcase_add_test(all, other_sockets_have_none);
        suite_add_tcase(suite, all);
        return suite;
}

int main(void)
{
        return check_main(networks_suite());
}
