/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "mark.h"
#include "dispatcher/kernel-serials.h"

#include <linux/audit.h>
#include <stdio.h>
#include <time.h>

static KernelSerials serials;

static void setup(void)
{
        serials = (KernelSerials) { 0 };
        kernel_serials_start(&serials, 1000);
}

static void single(uint32_t serial)
{
        kernel_serials_see(&serials, AUDIT_FIRST_USER_MSG, serial);
}

static void event(uint32_t serial)
{
        kernel_serials_see(&serials, AUDIT_SYSCALL, serial);
        kernel_serials_see(&serials, AUDIT_PATH, serial);
        kernel_serials_see(&serials, AUDIT_EOE, serial);
}

/* Until all is judged. */
static void settle(void)
{
        for (unsigned i = 0; i <= KERNEL_GRACE_TICKS; i++)
                (void) kernel_serials_tick(&serials, 2000);
        ck_assert(!kernel_serials_tick(&serials, 2000));
}

START_TEST(contiguous_serials_are_no_gap)
{
        for (uint32_t i = 500; i < 500 + 5 * KERNEL_WINDOW; i++)
                event(i);
        settle();
        ck_assert(kernel_gap_is_empty(&serials.gap));
        ck_assert_uint_eq(serials.late, 0);
}
END_TEST

START_TEST(missing_serials_are_counted_with_their_range)
{
        event(10);
        event(11);
        event(15);
        event(18);
        event(19);
        settle();
        ck_assert_uint_eq(serials.gap.events_lost, 5);
        ck_assert_uint_eq(serials.gap.events_cut, 0);
        ck_assert_uint_eq(serials.gap.first, 12);
        ck_assert_uint_eq(serials.gap.last, 17);
}
END_TEST

START_TEST(what_comes_late_within_the_window_is_not_lost)
{
        single(1);
        for (uint32_t i = 100; i < 100 + KERNEL_WINDOW / 2; i++)
                event(i);
        for (uint32_t i = 2; i < 100; i++)
                event(i);
        settle();
        ck_assert(kernel_gap_is_empty(&serials.gap));
}
END_TEST

START_TEST(nothing_is_judged_before_its_time)
{
        single(1);
        single(3);
        for (unsigned i = 0; i < KERNEL_GRACE_TICKS; i++) {
                ck_assert(kernel_serials_tick(&serials, 2000));
                ck_assert(kernel_gap_is_empty(&serials.gap));
        }
        single(2);
        settle();
        ck_assert(kernel_gap_is_empty(&serials.gap));
        ck_assert_uint_eq(serials.late, 0);
        single(2);
        ck_assert_uint_eq(serials.late, 1);
}
END_TEST

START_TEST(an_event_without_its_end_is_cut)
{
        event(1);
        event(2);
        kernel_serials_see(&serials, AUDIT_SYSCALL, 3);
        kernel_serials_see(&serials, AUDIT_PATH, 3);
        event(4);
        settle();
        ck_assert_uint_eq(serials.gap.events_lost, 0);
        ck_assert_uint_eq(serials.gap.events_cut, 1);
        ck_assert_uint_eq(serials.gap.first, 3);
        ck_assert_uint_eq(serials.gap.last, 3);
}
END_TEST

START_TEST(an_event_without_its_beginning_is_cut)
{
        event(1);
        event(2);
        kernel_serials_see(&serials, AUDIT_PATH, 3);
        kernel_serials_see(&serials, AUDIT_EOE, 3);
        settle();
        ck_assert_uint_eq(serials.gap.events_cut, 1);
}
END_TEST

START_TEST(an_end_that_overtakes_its_event_is_none)
{
        event(1);
        kernel_serials_see(&serials, AUDIT_EOE, 2);
        event(3);
        kernel_serials_see(&serials, AUDIT_SYSCALL, 2);
        settle();
        ck_assert(kernel_gap_is_empty(&serials.gap));
}
END_TEST

START_TEST(a_site_that_excludes_eoe_has_no_cut_events)
{
        for (uint32_t i = 1; i < 100; i++)
                kernel_serials_see(&serials, AUDIT_SYSCALL, i);
        settle();
        ck_assert(kernel_gap_is_empty(&serials.gap));
}
END_TEST

START_TEST(a_jump_beyond_the_window_is_counted_exactly)
{
        single(1);
        single(1000001);
        ck_assert_uint_eq(serials.gap.events_lost, 1000001 - KERNEL_WINDOW + 1 - 2);
        settle();
        ck_assert_uint_eq(serials.gap.events_lost, 1000001 - 2);
        ck_assert_uint_eq(serials.gap.first, 2);
        ck_assert_uint_eq(serials.gap.last, 1000000);
}
END_TEST

START_TEST(the_counter_wraps)
{
        for (uint32_t i = UINT32_MAX - 1000; i != 1000; i++)
                if (i != UINT32_MAX && i != 7)
                        event(i);
        settle();
        ck_assert_uint_eq(serials.gap.events_lost, 2);
        ck_assert_uint_eq(serials.gap.first, UINT32_MAX);
        ck_assert_uint_eq(serials.gap.last, 7);
}
END_TEST

START_TEST(another_boot_begins_anew_and_forgets_no_untold_loss)
{
        single(1000);
        single(1002);
        settle();
        kernel_serials_start(&serials, 10);
        single(1);
        single(2);
        settle();
        ck_assert_uint_eq(serials.gap.events_lost, 1);
        ck_assert_uint_eq(serials.late, 0);
        ck_assert_uint_eq(serials.events_lost, 1);
}
END_TEST

START_TEST(a_restart_in_the_same_boot_goes_on)
{
        event(1);
        event(2);
        kernel_serials_start(&serials, 3000);
        event(4);
        settle();
        ck_assert_uint_eq(serials.gap.events_lost, 1);
}
END_TEST

START_TEST(the_kernels_counter_adds_what_it_moved)
{
        ck_assert(!kernel_serials_lost_counter(&serials, 7));
        ck_assert_uint_eq(serials.gap.kernel_lost, 7);
        ck_assert(!kernel_serials_lost_counter(&serials, 7));
        ck_assert(kernel_serials_lost_counter(&serials, 10));
        ck_assert_uint_eq(serials.gap.kernel_lost, 10);
        /* Set back to zero by somebody, then two more. */
        ck_assert(kernel_serials_lost_counter(&serials, 2));
        ck_assert_uint_eq(serials.gap.kernel_lost, 12);
}
END_TEST

START_TEST(records_and_answers_are_told_apart)
{
        static const uint16_t records[] = {
                1005, 1006, 1100, 1112, 1300, 1320, 1327, 1400, 2000, 2100, 2999
        };
        static const uint16_t others[] = { 0, 2, 3, 1000, 1001, 1010, 1016, 1329, 3000 };

        for (size_t i = 0; i < ELEMENTSOF(records); i++)
                ck_assert_msg(kernel_type_is_record(records[i]), "%u", records[i]);
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                ck_assert_msg(!kernel_type_is_record(others[i]), "%u", others[i]);
}
END_TEST

/* --- Against a model that remembers everything --- */

#define EVENTS 60000U
#define DELAY_MAX 6000U /* of a late record, in records; far below the window */

static uint64_t random_state;

static uint32_t rnd(uint32_t n)
{
        random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t) (random_state >> 33) % n;
}

typedef struct Sent {
        uint64_t place;
        uint32_t serial;
        uint16_t type;
} Sent;

static int compare_sent(const void *a, const void *b)
{
        const Sent *x = a, *y = b;

        return (x->place > y->place) - (x->place < y->place);
}

/* Events of three records, some late, some lost whole, some in part: the two counts are exact. */
START_TEST(random_losses_and_reordering_are_counted_exactly)
{
        static Sent sent[3 * EVENTS];
        static const uint16_t types[] = { AUDIT_SYSCALL, AUDIT_PATH, AUDIT_EOE };
        const char *seed = getenv("AUDIT_RELAY_SEED");
        uint64_t lost = 0, cut = 0;
        size_t n = 0;
        uint32_t base;

        random_state = seed ? strtoull(seed, NULL, 0) : (uint64_t) time(NULL) * 1000 + (uint64_t) _i;
        printf("# seed %llu (replay: AUDIT_RELAY_SEED)\n", (unsigned long long) random_state);
        base = rnd(4) == 0 ? UINT32_MAX - rnd(EVENTS) : rnd(1000000);
        for (uint32_t i = 0; i < EVENTS; i++) {
                /* The first and the last stay whole: they are the ends of what can be judged. */
                unsigned fate = i < 2 || i == EVENTS - 1 ? 9 : rnd(10);
                unsigned keep = fate == 0 ? 0 : fate == 1 ? 1 + rnd(6) : 7;
                unsigned begins = keep & 1, ends = keep >> 2;

                lost += keep == 0;
                cut += keep != 0 && begins != ends;
                for (unsigned k = 0; k < 3; k++)
                        if (keep >> k & 1)
                                sent[n++] =
                                        (Sent) { (i ? 3ULL * i + k + (rnd(8) == 0 ? rnd(DELAY_MAX) : 0) : k),
                                                base + i, types[k] };
        }
        qsort(sent, n, sizeof *sent, compare_sent);
        setup();
        for (size_t i = 0; i < n; i++) {
                kernel_serials_see(&serials, sent[i].type, sent[i].serial);
                if (rnd(20000) == 0)
                        (void) kernel_serials_tick(&serials, 2000);
        }
        settle();
        ck_assert(marks_reached("kernel-serials"));
        ck_assert_uint_eq(serials.late, 0);
        ck_assert_uint_eq(serials.gap.events_lost, lost);
        ck_assert_uint_eq(serials.gap.events_cut, cut);
        ck_assert_uint_eq(serials.events_lost, lost);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("kernel-serials");
        TCase *tcase = tcase_create("kernel-serials");

        tcase_add_checked_fixture(tcase, setup, NULL);
        tcase_add_test(tcase, contiguous_serials_are_no_gap);
        tcase_add_test(tcase, missing_serials_are_counted_with_their_range);
        tcase_add_test(tcase, what_comes_late_within_the_window_is_not_lost);
        tcase_add_test(tcase, nothing_is_judged_before_its_time);
        tcase_add_test(tcase, an_event_without_its_end_is_cut);
        tcase_add_test(tcase, an_event_without_its_beginning_is_cut);
        tcase_add_test(tcase, an_end_that_overtakes_its_event_is_none);
        tcase_add_test(tcase, a_site_that_excludes_eoe_has_no_cut_events);
        tcase_add_test(tcase, a_jump_beyond_the_window_is_counted_exactly);
        tcase_add_test(tcase, the_counter_wraps);
        tcase_add_test(tcase, another_boot_begins_anew_and_forgets_no_untold_loss);
        tcase_add_test(tcase, a_restart_in_the_same_boot_goes_on);
        tcase_add_test(tcase, the_kernels_counter_adds_what_it_moved);
        tcase_add_test(tcase, records_and_answers_are_told_apart);
        tcase_add_loop_test(tcase, random_losses_and_reordering_are_counted_exactly, 0, 5);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
