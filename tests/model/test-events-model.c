/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Random interleavings of events, with and without ends, against a reference that holds all records in one
 * array and asks, for each thing that may come out, all of them.
 */

#include "check-main.h"
#include "lib/events.h"
#include "seed.h"

#include <stdio.h>

#define RUNS 100U
#define RECORDS_MAX 600U
#define EVENTS_MAX 8U
#define TIMEOUT_USEC 1000U

typedef struct ModelEvent {
        unsigned serial;
        unsigned records[RECORDS_MAX]; /* their numbers, which are their texts */
        unsigned n;
        uint64_t began_usec;
        AuditRelayEnd ended;
        bool wanted;
} ModelEvent;

static struct {
        ModelEvent events[RECORDS_MAX]; /* in the order in which they began */
        unsigned n, given;
} model;

static Events *events;
static Keys keys;
static uint64_t now_usec;

/* The first that is not given out and has not ended, is too old, or is one too many: it ends. */
static bool model_settle(void)
{
        ModelEvent *event = &model.events[model.given];

        if (model.given == model.n)
                return false;
        if (!event->ended && now_usec - event->began_usec >= TIMEOUT_USEC)
                event->ended = AUDIT_RELAY_TIMED_OUT;
        if (!event->ended && model.n - model.given > EVENTS_MAX)
                event->ended = AUDIT_RELAY_CUT;
        return event->ended != 0;
}

static ModelEvent *model_find(unsigned serial)
{
        for (unsigned i = model.given; i < model.n; i++)
                if (model.events[i].serial == serial && !model.events[i].ended)
                        return &model.events[i];
        return NULL;
}

/* What the reference would give out now is what comes out. Returns the number of events. */
static unsigned compare(bool all)
{
        unsigned n = 0;

        while (model_settle()) {
                ModelEvent *expected = &model.events[model.given++];
                _cleanup_(event_freep) Event *event = NULL;
                size_t offset = 0;

                if (keys.n > 0 && !expected->wanted)
                        continue;
                event = events_pop(events, now_usec);
                ck_assert_ptr_nonnull(event);
                n++;
                ck_assert_uint_eq(event->id.time.serial, expected->serial);
                ck_assert_uint_eq(event->n_records, expected->n);
                ck_assert_int_eq(event->ended, expected->ended);
                for (unsigned i = 0; i < expected->n; i++) {
                        size_t size = record_next(event->lines + offset, event->size - offset);
                        char number[32];
                        size_t digits =
                                (size_t) snprintf(number, sizeof number, "n=%u", expected->records[i]);

                        ck_assert_uint_gt(size, digits);
                        ck_assert_mem_eq(event->lines + offset + size - 1 - digits, number, digits);
                        offset += size;
                }
        }
        ck_assert_ptr_null(events_pop(events, now_usec));
        if (all)
                ck_assert_uint_eq(model.given, model.n);
        return n;
}

static void push(unsigned serial, unsigned number, unsigned kind)
{
        static const char *const types[] = { "SYSCALL", "PATH", "CWD", "USER", "PROCTITLE", "EOE" };
        bool keyed = kind == 0 && random_below(2) == 0;
        AuditRelayCursor before = { .seq = number };
        ModelEvent *event = model_find(serial);
        char line[200];
        int size;

        size = snprintf(line, sizeof line, "node=h type=%s msg=audit(1700000000.001:%u): %sn=%u\n",
                        types[kind], serial, keyed ? "key=\"k\" " : "", number);
        ck_assert_int_eq(
                events_push(events, BATCH_ORIGIN_KERNEL, (uint8_t *) line, (size_t) size, &before, now_usec),
                0);
        if (kind == 5) {
                if (event)
                        event->ended = AUDIT_RELAY_COMPLETE;
                return;
        }
        if (!event) {
                event = &model.events[model.n++];
                *event = (ModelEvent) { .serial = serial, .began_usec = now_usec };
        }
        event->records[event->n++] = number;
        event->wanted = event->wanted || keyed;
        if (kind == 3 || kind == 4)
                event->ended = AUDIT_RELAY_COMPLETE;
}

static unsigned play(void)
{
        EventLimits limits = { .events = EVENTS_MAX, .bytes = 1U << 30, .timeout_usec = TIMEOUT_USEC };
        unsigned serials = 1 + (unsigned) random_below(12), given = 0;
        uint64_t pace = random_below(4) * 100;

        model.n = model.given = 0;
        now_usec = 1 + random_below(1000);
        ck_assert_int_eq(events_new(&limits, &keys, &events), 0);
        for (unsigned i = 0; i < RECORDS_MAX; i++) {
                push((unsigned) random_below(serials) + i / 50, i, (unsigned) random_below(6));
                given += compare(false);
                now_usec += random_below(pace + 1);
                if (random_below(40) == 0)
                        now_usec += TIMEOUT_USEC;
        }
        now_usec += TIMEOUT_USEC;
        given += compare(true);
        events = events_free(events);
        return given;
}

START_TEST(random_interleavings)
{
        unsigned n = 0;

        for (unsigned run = 0; run < RUNS; run++)
                n += play();
        ck_assert_uint_gt(n, RUNS);
        ck_assert_int_eq(keys_add(&keys, "k"), 0);
        n = 0;
        for (unsigned run = 0; run < RUNS; run++)
                n += play();
        ck_assert_uint_gt(n, RUNS);
        keys_done(&keys);
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("events-model");
        TCase *tc = tcase_create("events-model");

        seed_begin(argc, argv);
        tcase_add_test(tc, random_interleavings);
        suite_add_tcase(suite, tc);
        return check_main(suite);
}
