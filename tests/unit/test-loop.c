/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The order of things in the loop. */

#include "check-main.h"
#include "runtime/log.h"
#include "runtime/loop.h"

static Loop *loop;
static unsigned n_data, n_ticks;
static unsigned data_before_commit;
static sd_event_source *commit;

static void on_terminate(void *userdata)
{
        loop_exit(loop, EXIT_FAILURE);
}

static void on_reload(void *userdata)
{
}

static void on_tick(void *userdata)
{
        n_ticks++;
        loop_exit(loop, EXIT_SUCCESS);
}

/* Ready again whenever it is served, as a busy peer is. */
static int on_data(sd_event_source *source, void *userdata)
{
        n_data++;
        if (n_data == 10)
                ck_assert_int_ge(sd_event_source_set_enabled(commit, SD_EVENT_ONESHOT), 0);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_commit(sd_event_source *source, void *userdata)
{
        data_before_commit = n_data;
        return 0;
}

START_TEST(what_never_ends_holds_up_neither_commit_nor_tick)
{
        static const LoopHandler handler = { .terminate = on_terminate, .reload = on_reload, .tick = on_tick };
        sd_event_source *busy[3];

        log_init("test", LOG_INFO);
        ck_assert_int_eq(loop_new(&handler, NULL, &loop), 0);
        for (unsigned i = 0; i < ELEMENTSOF(busy); i++) {
                ck_assert_int_ge(sd_event_add_defer(loop_event(loop), &busy[i], on_data, NULL), 0);
                ck_assert_int_ge(sd_event_source_set_priority(busy[i], LOOP_DATA), 0);
        }
        ck_assert_int_ge(sd_event_add_defer(loop_event(loop), &commit, on_commit, NULL), 0);
        ck_assert_int_ge(sd_event_source_set_priority(commit, LOOP_COMMIT), 0);
        ck_assert_int_ge(sd_event_source_set_enabled(commit, SD_EVENT_OFF), 0);
        ck_assert_int_eq(loop_run(loop), EXIT_SUCCESS);
        ck_assert_uint_eq(n_ticks, 1);
        /* Its turn comes behind those who were there before it. */
        ck_assert_uint_ge(data_before_commit, 10);
        ck_assert_uint_le(data_before_commit, 10 + ELEMENTSOF(busy));
        for (unsigned i = 0; i < ELEMENTSOF(busy); i++)
                sd_event_source_disable_unref(busy[i]);
        sd_event_source_disable_unref(commit);
        loop = loop_free(loop);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("loop");
        TCase *tcase = tcase_create("loop");

        tcase_add_test(tcase, what_never_ends_holds_up_neither_commit_nor_tick);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
