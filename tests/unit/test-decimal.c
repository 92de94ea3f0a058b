/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "basic/decimal.h"
#include "seed.h"

/* One digit after the other. */
static size_t take_slowly(const uint8_t *text, size_t size, uint64_t *ret)
{
        uint64_t value = 0;
        size_t n;

        for (n = 0; n < size && is_digit(text[n]); n++)
                if (__builtin_mul_overflow(value, 10U, &value) || __builtin_add_overflow(value, text[n] - '0', &value))
                        return 0;
        *ret = value;
        return n;
}

/* The same answer, and no byte behind the end is looked at. */
static void expect_same(const char *text, size_t size)
{
        uint8_t *exact = malloc(size > 0 ? size : 1);
        uint64_t value = 1, expected = 1;
        const uint8_t *next;
        size_t n;

        ck_assert_ptr_nonnull(exact);
        memcpy(exact, text, size);
        next = decimal_take(exact, exact + size, &value);
        n = take_slowly(exact, size, &expected);
        ck_assert_uint_eq(next ? (size_t) (next - exact) : 0, n);
        if (n > 0)
                ck_assert_uint_eq(value, expected);
        free(exact);
}

START_TEST(every_length_with_anything_behind_it)
{
        static const char digits[] = "9081726354012345678901234567890";
        static const char behind[] = { '/', ':', ' ', ')', '\0', (char) 0x80, (char) 0xb0, (char) 0xff };

        for (size_t n = 0; n < sizeof digits; n++)
                for (size_t i = 0; i < sizeof behind; i++)
                        for (size_t size = 0; size < 20; size++) {
                                char text[64];

                                memcpy(text, digits, n);
                                memset(text + n, behind[i], sizeof text - n);
                                expect_same(text, n + size);
                                text[n + 1] = '7';
                                expect_same(text, n + size);
                        }
}
END_TEST

START_TEST(the_largest_numbers)
{
        static const char *const texts[] = { "18446744073709551615", "18446744073709551616", "18446744073709551620",
                                             "99999999999999999999", "018446744073709551615", "100000000000000000000",
                                             "000000000000000000000000000000000001", "9999999999999999999" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                expect_same(texts[i], strlen(texts[i]));
}
END_TEST

START_TEST(random_numbers)
{
        for (unsigned i = 0; i < 20000; i++) {
                uint64_t number = random_below(1U << 30) << 34 | random_below(1U << 30) << 4 | random_below(16);
                char text[64];

                (void) snprintf(text, sizeof text, "%" PRIu64 "%c%" PRIu64, number >> random_below(64),
                                (int) (1 + random_below(255)), random_below(1U << 30));
                expect_same(text, strlen(text));
        }
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("decimal");
        TCase *tcase = tcase_create("decimal");

        seed_begin(argc, argv);
        tcase_add_test(tcase, every_length_with_anything_behind_it);
        tcase_add_test(tcase, the_largest_numbers);
        tcase_add_test(tcase, random_numbers);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
