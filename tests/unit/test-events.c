/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "lib/events.h"

#include <stdio.h>

#define TIMEOUT_USEC (2 * USEC_PER_SEC)

static Events *events;
static Keys keys;
static uint64_t now_usec;

static void begin(size_t most, size_t bytes)
{
        EventLimits limits = { .events = most, .bytes = bytes, .timeout_usec = TIMEOUT_USEC };

        now_usec = 1000;
        ck_assert_int_eq(events_new(&limits, &keys, &events), 0);
}

static void end(void)
{
        events = events_free(events);
        keys_done(&keys);
}

static void push_of(BatchOrigin origin, const char *node, const char *type, unsigned serial,
                    const char *text, uint64_t seq)
{
        AuditRelayCursor before = { .seq = seq };
        char line[RECORD_LINE_MAX];
        int n = snprintf(line, sizeof line, "node=%s type=%s msg=audit(1700000000.123:%u): %s\n", node, type,
                         serial, text);

        ck_assert_int_eq(events_push(events, origin, (uint8_t *) line, (size_t) n, &before, now_usec), 0);
}

static void push(const char *type, unsigned serial, const char *text)
{
        push_of(BATCH_ORIGIN_KERNEL, "host", type, serial, text, serial);
}

/* The next event, as "END:TYPE TYPE …", or NULL. */
static const char *pop(void)
{
        static const char *const ends[] = { "open", "complete", "timed-out", "cut" };
        static char out[1024];
        _cleanup_(event_freep) Event *event = events_pop(events, now_usec);
        size_t used, offset = 0;

        if (!event)
                return NULL;
        used = (size_t) snprintf(out, sizeof out, "%s:%u", ends[event->ended],
                                 (unsigned) event->id.time.serial);
        for (size_t i = 0; i < event->n_records; i++) {
                size_t size = record_next(event->lines + offset, event->size - offset);
                RecordPrefix prefix;

                ck_assert_int_eq(record_parse(event->lines + offset, size, &prefix), RECORD_OK);
                used += (size_t) snprintf(out + used, sizeof out - used, " %.*s", (int) prefix.type.size,
                                          (const char *) prefix.type.data);
                offset += size;
        }
        ck_assert_uint_eq(offset, event->size);
        return out;
}

START_TEST(eoe_ends_an_event)
{
        begin(10, 1U << 20);
        push("SYSCALL", 7, "a=1");
        push("CWD", 7, "a=1");
        ck_assert_ptr_null(pop());
        push("EOE", 7, "");
        ck_assert_str_eq(pop(), "complete:7 SYSCALL CWD");
        ck_assert_ptr_null(pop());
        end();
}
END_TEST

/* Behind PROCTITLE nothing but EOE comes, which has then nothing to end. */
START_TEST(proctitle_ends_an_event)
{
        begin(10, 1U << 20);
        push("SYSCALL", 7, "");
        push("PROCTITLE", 7, "");
        push("EOE", 7, "");
        push("EOE", 8, "");
        ck_assert_str_eq(pop(), "complete:7 SYSCALL PROCTITLE");
        ck_assert_ptr_null(pop());
        ck_assert_uint_eq(events_deadline(events), USEC_INFINITY);
        end();
}
END_TEST

static const struct {
        const char *type;
        bool alone;
} types[] = {
        { "USER", true },
        { "USER_LOGIN", true },
        { "CRED_ACQ", true },
        { "DAEMON_START", true },
        { "DAEMON_ERR", true },
        { "KERNEL", true },
        { "ANOM_LOGIN_FAILURES", true },
        { "MAC_CIPSOV4_ADD", true },
        { "CRYPTO_KEY_USER", true },
        { "VIRT_CONTROL", true },
        { "SYSCALL", false },
        { "AVC", false },
        { "LOGIN", false },
        { "CONFIG_CHANGE", false },
        { "ANOM_ABEND", false },
        { "UNKNOWN[1399]", false },
        { "UNKNOWN[2999]", true },
};

START_TEST(single_record_events)
{
        char expected[64];

        begin(10, 1U << 20);
        push(types[_i].type, 3, "");
        (void) snprintf(expected, sizeof expected, "%s:3 %s", types[_i].alone ? "complete" : "timed-out",
                        types[_i].type);
        if (!types[_i].alone) {
                ck_assert_ptr_null(pop());
                now_usec += TIMEOUT_USEC;
        }
        ck_assert_str_eq(pop(), expected);
        end();
}
END_TEST

START_TEST(in_the_order_of_their_beginnings)
{
        begin(10, 1U << 20);
        push("SYSCALL", 1, "");
        push("SYSCALL", 2, "");
        push("USER", 3, "");
        push("EOE", 2, "");
        ck_assert_ptr_null(pop());
        push("EOE", 1, "");
        ck_assert_str_eq(pop(), "complete:1 SYSCALL");
        ck_assert_str_eq(pop(), "complete:2 SYSCALL");
        ck_assert_str_eq(pop(), "complete:3 USER");
        ck_assert_ptr_null(pop());
        end();
}
END_TEST

START_TEST(time_is_over)
{
        begin(10, 1U << 20);
        push("SYSCALL", 1, "");
        ck_assert_uint_eq(events_deadline(events), now_usec + TIMEOUT_USEC);
        now_usec += TIMEOUT_USEC - 1;
        push("SYSCALL", 2, "");
        push("EOE", 2, "");
        ck_assert_ptr_null(pop());
        now_usec++;
        ck_assert_str_eq(pop(), "timed-out:1 SYSCALL");
        ck_assert_uint_eq(events_deadline(events), 0);
        ck_assert_str_eq(pop(), "complete:2 SYSCALL");
        /* What comes too late is an event of its own. */
        push("CWD", 1, "");
        push("EOE", 1, "");
        ck_assert_str_eq(pop(), "complete:1 CWD");
        end();
}
END_TEST

START_TEST(too_many_events)
{
        begin(3, 1U << 20);
        for (unsigned i = 1; i <= 4; i++)
                push("SYSCALL", i, "");
        ck_assert_str_eq(pop(), "cut:1 SYSCALL");
        ck_assert_ptr_null(pop());
        push("EOE", 3, "");
        push("SYSCALL", 5, "");
        /* The third has ended, but it is one of those that are waiting. */
        ck_assert_str_eq(pop(), "cut:2 SYSCALL");
        ck_assert_str_eq(pop(), "complete:3 SYSCALL");
        ck_assert_ptr_null(pop());
        end();
}
END_TEST

START_TEST(too_many_bytes)
{
        char text[1001];

        memset(text, 'x', 1000);
        text[1000] = '\0';
        begin(1000, 8000);
        for (unsigned i = 0; i < 3; i++)
                push("SYSCALL", 1, text);
        ck_assert_ptr_null(pop());
        for (unsigned i = 0; i < 5; i++)
                push("SYSCALL", 2, text);
        ck_assert_str_eq(pop(), "cut:1 SYSCALL SYSCALL SYSCALL");
        /* One that is too large alone is cut itself, and goes on as another. */
        for (unsigned i = 0; i < 5; i++)
                push("CWD", 2, text);
        ck_assert_str_eq(pop(), "cut:2 SYSCALL SYSCALL SYSCALL SYSCALL SYSCALL CWD CWD CWD");
        push("EOE", 2, "");
        ck_assert_str_eq(pop(), "complete:2 CWD CWD");
        end();
}
END_TEST

START_TEST(too_many_records)
{
        Event *event;

        begin(10, 1U << 30);
        for (unsigned i = 0; i <= EVENT_RECORDS_MAX; i++)
                push("EXECVE", 1, "");
        event = events_pop(events, now_usec);
        ck_assert_ptr_nonnull(event);
        ck_assert_uint_eq(event->n_records, EVENT_RECORDS_MAX);
        ck_assert_int_eq(event->ended, AUDIT_RELAY_CUT);
        event_free(event);
        end();
}
END_TEST

/* Same time and serial: of another node, of another origin. */
START_TEST(not_to_be_mixed)
{
        begin(10, 1U << 20);
        push_of(BATCH_ORIGIN_KERNEL, "host", "SYSCALL", 1, "", 1);
        push_of(BATCH_ORIGIN_KERNEL, "other", "SYSCALL", 1, "", 2);
        push_of(BATCH_ORIGIN_LOCAL, "host", "USER", 1, "", 3);
        push_of(BATCH_ORIGIN_LOCAL, "host", "EOE", 1, "", 3);
        ck_assert_ptr_null(pop());
        push_of(BATCH_ORIGIN_KERNEL, "host", "EOE", 1, "", 4);
        ck_assert_str_eq(pop(), "complete:1 SYSCALL");
        ck_assert_ptr_null(pop());
        push_of(BATCH_ORIGIN_KERNEL, "other", "EOE", 1, "", 4);
        ck_assert_str_eq(pop(), "complete:1 SYSCALL");
        ck_assert_str_eq(pop(), "complete:1 USER");
        end();
}
END_TEST

START_TEST(only_with_a_key)
{
        ck_assert_int_eq(keys_add(&keys, "mine"), 0);
        begin(10, 1U << 20);
        push("SYSCALL", 1, "key=\"mine\"");
        push("CWD", 1, "");
        push("SYSCALL", 2, "key=\"other\"");
        push("USER", 3, "key=\"mine\"");
        push("EOE", 2, "");
        push("EOE", 1, "");
        ck_assert_str_eq(pop(), "complete:1 SYSCALL CWD");
        ck_assert_ptr_null(pop());
        ck_assert_uint_eq(events_deadline(events), USEC_INFINITY);
        end();
}
END_TEST

START_TEST(what_is_not_given_out)
{
        AuditRelayCursor before;

        begin(10, 1U << 20);
        ck_assert(!events_before(events, &before));
        push("SYSCALL", 11, "");
        push("SYSCALL", 12, "");
        push("EOE", 12, "");
        ck_assert(events_before(events, &before));
        ck_assert_uint_eq(before.seq, 11);
        push("EOE", 11, "");
        ck_assert(events_before(events, &before));
        ck_assert_uint_eq(before.seq, 11);
        ck_assert_ptr_nonnull(pop());
        ck_assert(events_before(events, &before));
        ck_assert_uint_eq(before.seq, 12);
        ck_assert_ptr_nonnull(pop());
        ck_assert(!events_before(events, &before));
        end();
}
END_TEST

START_TEST(no_record)
{
        AuditRelayCursor before = { 0 };

        begin(10, 1U << 20);
        ck_assert_int_eq(
                events_push(events, BATCH_ORIGIN_KERNEL, (const uint8_t *) "hello\n", 6, &before, 0),
                -EBADMSG);
        ck_assert_int_eq(events_push(events, BATCH_ORIGIN_KERNEL, (const uint8_t *) "", 0, &before, 0),
                         -EBADMSG);
        ck_assert_ptr_null(pop());
        /* What is left is freed. */
        push("SYSCALL", 1, "");
        push("USER", 2, "");
        end();
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("events");
        TCase *tc = tcase_create("events");

        tcase_add_test(tc, eoe_ends_an_event);
        tcase_add_test(tc, proctitle_ends_an_event);
        tcase_add_loop_test(tc, single_record_events, 0, ELEMENTSOF(types));
        tcase_add_test(tc, in_the_order_of_their_beginnings);
        tcase_add_test(tc, time_is_over);
        tcase_add_test(tc, too_many_events);
        tcase_add_test(tc, too_many_bytes);
        tcase_add_test(tc, too_many_records);
        tcase_add_test(tc, not_to_be_mixed);
        tcase_add_test(tc, only_with_a_key);
        tcase_add_test(tc, what_is_not_given_out);
        tcase_add_test(tc, no_record);
        suite_add_tcase(suite, tc);
        return check_main(suite);
}
