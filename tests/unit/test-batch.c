/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "basic/batch.h"
#include "basic/bytes.h"

static Batch sample(void)
{
        Batch b = { .first = 5, .last = 6, .count = 2, .size = 4, .origin = BATCH_ORIGIN_KERNEL,
                    .payload = (const uint8_t *) "a\nb\n" };

        batch_seal(&b);
        return b;
}

START_TEST(header_survives_the_round_trip)
{
        Batch in = sample(), out;
        uint8_t header[BATCH_HEADER_SIZE];

        batch_encode(&in, header);
        ck_assert_int_eq(batch_decode(header, &out), 0);
        out.payload = in.payload;
        ck_assert_uint_eq(out.first, 5);
        ck_assert_uint_eq(out.last, 6);
        ck_assert_uint_eq(out.checksum, in.checksum);
        ck_assert(batch_payload_intact(&out));
}
END_TEST

START_TEST(every_flipped_bit_is_noticed)
{
        Batch in = sample(), out;
        uint8_t header[BATCH_HEADER_SIZE];

        for (size_t bit = 0; bit < 8 * BATCH_HEADER_SIZE; bit++) {
                batch_encode(&in, header);
                header[bit / 8] ^= (uint8_t) (1U << bit % 8);
                ck_assert_int_eq(batch_decode(header, &out), -EBADMSG);
        }
}
END_TEST

/* No rule is broken by it: only the checksum can tell. */
START_TEST(a_moved_range_is_noticed)
{
        Batch in = sample(), out;
        uint8_t header[BATCH_HEADER_SIZE];

        batch_encode(&in, header);
        put_le64(header, in.first + 1);
        put_le64(header + 8, in.last + 1);
        ck_assert_int_eq(batch_decode(header, &out), -EBADMSG);
}
END_TEST

static const struct {
        Batch batch;
        int result;
} rules[] = {
        { { .first = 1, .last = 0, .origin = 1 }, 0 },                                          /* heartbeat */
        { { .first = 0, .last = 0, .count = 1, .size = 1, .origin = 1 }, -EBADMSG },            /* seq 0 */
        { { .first = 5, .last = 3, .origin = 1 }, -EBADMSG },                                   /* backwards */
        { { .first = 1, .last = 2, .count = 1, .size = 9, .origin = 1 }, -EBADMSG },            /* one is missing */
        { { .first = 1, .last = 2, .count = 1, .size = 9, .origin = 1, .reason = BATCH_FILTERED }, 0 },
        { { .first = 1, .last = 2, .count = 0, .size = 0, .origin = 1, .reason = BATCH_FILTERED }, 0 },
        { { .first = 1, .last = 2, .count = 3, .size = 9, .origin = 1, .reason = BATCH_FILTERED }, -EBADMSG },
        { { .first = 1, .last = 0, .count = 0, .size = 0, .origin = 1, .reason = BATCH_FILTERED }, -EBADMSG },
        { { .first = 1, .last = 2, .size = 4, .origin = 1, .reason = BATCH_LOST }, 0 },
        { { .first = 1, .last = 2, .size = 256, .origin = 1, .reason = BATCH_LOST }, -EBADMSG },
        { { .first = 1, .last = 2, .count = 2, .size = 4, .origin = 1, .reason = BATCH_CUSTODY }, -EBADMSG },
        { { .first = 1, .last = 2, .count = 2, .size = 1, .origin = 1 }, -EBADMSG },            /* no room for lines */
        { { .first = 1, .last = 0, .count = 0, .size = 1, .origin = 1 }, -EBADMSG },
        { { .first = 1, .last = 1, .count = 1, .size = BATCH_PAYLOAD_MAX, .origin = 1 }, 0 },
        { { .first = 1, .last = 1, .count = 1, .size = BATCH_PAYLOAD_MAX + 1, .origin = 1 }, -EBADMSG },
        { { .first = 1, .last = 1, .count = 1, .size = 1, .origin = 0 }, -EBADMSG },
        { { .first = 1, .last = 1, .count = 1, .size = 1, .origin = 4 }, -EBADMSG },
        { { .first = 1, .last = 1, .count = 1, .size = 1, .origin = 1, .reason = 4 }, -EBADMSG },
        { { .first = UINT64_MAX, .last = UINT64_MAX, .count = 1, .size = 1, .origin = 1 }, -EBADMSG },
};

START_TEST(fields_must_agree)
{
        static const uint8_t payload[BATCH_PAYLOAD_MAX + 1];
        Batch in = rules[_i].batch, out;
        uint8_t header[BATCH_HEADER_SIZE];

        in.payload = payload;
        batch_seal(&in);
        batch_encode(&in, header);
        ck_assert_int_eq(batch_decode(header, &out), rules[_i].result);
}
END_TEST

START_TEST(renumbering_is_sealing_anew)
{
        Batch a = sample(), b = sample();

        batch_renumber(&a, 100, 101);
        b.first = 100;
        b.last = 101;
        batch_seal(&b);
        ck_assert_uint_eq(a.checksum, b.checksum);
}
END_TEST

START_TEST(checksum_of_two_pieces_is_that_of_the_whole)
{
        static const char text[] = "the checksum does not know where a piece ends";

        for (size_t cut = 0; cut < sizeof text; cut++)
                ck_assert_uint_eq(checksum64_pair(text, cut, text + cut, sizeof text - cut),
                                  checksum64(text, sizeof text));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("batch");
        TCase *tcase = tcase_create("batch");

        tcase_add_test(tcase, header_survives_the_round_trip);
        tcase_add_test(tcase, every_flipped_bit_is_noticed);
        tcase_add_test(tcase, a_moved_range_is_noticed);
        tcase_add_loop_test(tcase, fields_must_agree, 0, (int) ELEMENTSOF(rules));
        tcase_add_test(tcase, renumbering_is_sealing_anew);
        tcase_add_test(tcase, checksum_of_two_pieces_is_that_of_the_whole);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
