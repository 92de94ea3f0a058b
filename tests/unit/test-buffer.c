/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "basic/buffer.h"

START_TEST(appends_and_consumes_in_order)
{
        Buffer b = BUFFER_INIT(100000);
        uint8_t next_in = 0, next_out = 0;

        for (unsigned round = 0; round < 2000; round++) {
                uint8_t chunk[97];

                for (size_t i = 0; i < sizeof chunk; i++)
                        chunk[i] = next_in++;
                ck_assert_int_eq(buffer_append(&b, chunk, sizeof chunk), 0);
                for (size_t n = round % 98; n > 0; n--) {
                        ck_assert_uint_eq(*buffer_head(&b), next_out++);
                        buffer_consume(&b, 1);
                }
                if (buffer_size(&b) > 50000)
                        while (buffer_size(&b) > 0) {
                                ck_assert_uint_eq(*buffer_head(&b), next_out++);
                                buffer_consume(&b, 1);
                        }
        }
        buffer_done(&b);
}
END_TEST

START_TEST(never_exceeds_its_maximum)
{
        Buffer b = BUFFER_INIT(10);

        ck_assert_int_eq(buffer_append(&b, "0123456789", 10), 0);
        ck_assert_int_eq(buffer_append(&b, "x", 1), -ENOBUFS);
        buffer_consume(&b, 1);
        ck_assert_int_eq(buffer_append(&b, "x", 1), 0);
        ck_assert_mem_eq(buffer_head(&b), "123456789x", 10);
        ck_assert_ptr_null(buffer_reserve(&b, SIZE_MAX));
        buffer_done(&b);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("buffer");
        TCase *tcase = tcase_create("buffer");

        tcase_add_test(tcase, appends_and_consumes_in_order);
        tcase_add_test(tcase, never_exceeds_its_maximum);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
