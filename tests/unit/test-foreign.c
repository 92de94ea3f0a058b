/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What an aggregator publishes: the records it shows, and those of this host that the dispatcher does not take back;
 * and what a collector takes from a relay. */

#include "array-source.h"
#include "check-main.h"
#include "aggregator/published.h"
#include "dispatcher/foreign.h"
#include "record/record.h"

#define LINE(node, n) "node=" node " type=USER msg=audit(1700000000.123:" #n "): op=x\n"

static ArraySource store;
static Published published;
static Foreign foreign;

static void setup(void)
{
        array_init(&store, 1);
        foreign.came_back = 0;
}

static void teardown(void)
{
        array_done(&store);
}

static Batch get(uint64_t seq)
{
        Cursor cursor = { 0 };
        Batch batch;

        ck_assert_int_eq(published.source.get(&published.source, seq, &cursor, &batch), 1);
        ck_assert_uint_eq(batch.first, seq);
        ck_assert(batch_payload_intact(&batch));
        return batch;
}

START_TEST(what_clients_deliver_is_shown_and_what_relays_deliver_is_not)
{
        SourceRange range;
        Cursor cursor = { 0 };
        uint64_t checksum;
        Batch batch;

        array_append_lines(&store, 2, 2, LINE("a", 1) LINE("a", 2), BATCH_ORIGIN_KERNEL);
        array_append_lines(&store, 1, 1, LINE("b", 3), BATCH_ORIGIN_REMOTE);
        array_append_lines(&store, 1, 1, LINE("c", 4), BATCH_ORIGIN_LOCAL);
        published_init(&published, &store.source, 0);
        published.source.range(&published.source, &range);
        ck_assert_uint_eq(range.newest, 4);
        ck_assert_uint_eq(get(1).count, 2);
        batch = get(3);
        ck_assert_uint_eq(batch.count, 0);
        ck_assert_uint_eq(batch.size, 0);
        ck_assert_uint_eq(batch.last, 3);
        ck_assert_int_eq(batch.reason, BATCH_FILTERED);
        ck_assert_uint_eq(get(4).count, 1);
        ck_assert_uint_eq(published.records, 3);
        ck_assert_int_eq(published.source.get(&published.source, 5, &cursor, &batch), 0);
        /* Nothing to compare, and no custody. */
        ck_assert_int_eq(published.source.ended(&published.source, 2, &checksum), 0);
        published.source.release(&published.source, 4, 1);
        ck_assert_uint_eq(store.released, 0);
}
END_TEST

START_TEST(a_new_ring_begins_behind_what_was_before)
{
        Batch batch;

        array_append_lines(&store, 2, 2, LINE("a", 1) LINE("a", 2), BATCH_ORIGIN_KERNEL);
        array_append_lines(&store, 1, 1, LINE("a", 3), BATCH_ORIGIN_KERNEL);
        array_append_lines(&store, 1, 1, LINE("a", 4), BATCH_ORIGIN_KERNEL);
        published_init(&published, &store.source, 2);
        batch = get(1);
        ck_assert_uint_eq(batch.last, 2);
        ck_assert_int_eq(batch.reason, BATCH_FILTERED);
        ck_assert_uint_eq(batch.count, 0);
        ck_assert_uint_eq(get(3).count, 1);
        /* One that comes later, behind what the old one had. */
        published.source.release(&published.source, 3, 0);
        published.source.release(&published.source, 0, 0);
        ck_assert_uint_eq(get(1).last, 3);
        /* One that has some of it goes on there. */
        ck_assert_uint_eq(get(3).count, 1);
}
END_TEST

static Batch make(const char *lines, uint32_t count)
{
        Batch batch = { .first = 10, .last = 9 + count, .count = count, .size = (uint32_t) strlen(lines),
                        .origin = BATCH_ORIGIN_REMOTE, .payload = (const uint8_t *) lines };

        batch_seal(&batch);
        return batch;
}

static void expect(const Batch *batch, const char *lines)
{
        ck_assert_uint_eq(batch->size, strlen(lines));
        ck_assert_int_eq(memcmp(batch->payload, lines, batch->size), 0);
        ck_assert(batch_payload_intact(batch));
}

START_TEST(what_comes_back_is_left_out)
{
        Batch batch = make(LINE("a", 1) LINE("me", 2) LINE("mex", 3) LINE("ME", 4) LINE("b", 5), 5);

        foreign_keep(&foreign, "me", &batch);
        expect(&batch, LINE("a", 1) LINE("mex", 3) LINE("b", 5));
        ck_assert_uint_eq(batch.count, 3);
        ck_assert_uint_eq(batch.first, 10);
        ck_assert_uint_eq(batch.last, 14);
        ck_assert_int_eq(batch.reason, BATCH_FILTERED);
        ck_assert_uint_eq(foreign.came_back, 2);
        batch = make(LINE("me", 1), 1);
        foreign_keep(&foreign, "me", &batch);
        ck_assert_uint_eq(batch.count, 0);
        expect(&batch, "");
        ck_assert_uint_eq(foreign.came_back, 3);
}
END_TEST

/* They are judged as they came. */
START_TEST(other_lines_stay)
{
        Batch batch = make(LINE("a", 1) "node=me nothing\nno end", 2), before = batch;

        foreign_keep(&foreign, "me", &batch);
        ck_assert_ptr_eq(batch.payload, before.payload);
        ck_assert_uint_eq(batch.checksum, before.checksum);
        batch = make(LINE("me", 1) "no end", 1);
        foreign_keep(&foreign, "me", &batch);
        expect(&batch, "no end");
        ck_assert_uint_eq(batch.count, 1);
        batch = make("", 0);
        batch.reason = BATCH_LOST;
        foreign_keep(&foreign, "me", &batch);
        ck_assert_int_eq(batch.reason, BATCH_LOST);
        ck_assert_uint_eq(foreign.came_back, 1);
}
END_TEST

/* A relay: its own node, exactly, and those that a file lists for it, in any case. */
START_TEST(further_nodes_may_be_accepted)
{
        static char *nodes[] = { (char *) "n22", (char *) "n3", NULL };
        static const struct {
                const char *node;
                RecordFault fault;
        } lines[] = { { "n1", RECORD_OK }, { "n3", RECORD_OK }, { "N22", RECORD_OK }, { "N1", RECORD_E_NODE },
                      { "n2", RECORD_E_NODE }, { "n222", RECORD_E_NODE }, { "n4", RECORD_E_NODE } };
        RecordRules rules = { .node = "n1", .accept = "n1", .also = nodes };
        static uint8_t out[BATCH_PAYLOAD_MAX];
        uint32_t line, refused;

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                char text[200];
                Batch batch = { .first = 1, .last = 2, .count = 2, .origin = BATCH_ORIGIN_REMOTE }, stored;

                batch.size = (uint32_t) snprintf(text, sizeof text, "node=n1 type=USER msg=audit(1.000:1): x\n"
                                                 "node=%s type=USER msg=audit(1.000:1): x\n", lines[i].node);
                batch.payload = (const uint8_t *) text;
                batch_seal(&batch);
                ck_assert_int_eq(record_judge_batch(&batch, &rules, &line, NULL), lines[i].fault);
                if (lines[i].fault == RECORD_OK)
                        continue;
                ck_assert_uint_eq(line, 1);
                record_refuse(&batch, &rules, record_time(0, 1), out, &stored, &refused);
                ck_assert_uint_eq(refused, 1);
                ck_assert_uint_eq(stored.count, 2);
        }
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("foreign");
        TCase *tcase = tcase_create("foreign");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, what_clients_deliver_is_shown_and_what_relays_deliver_is_not);
        tcase_add_test(tcase, a_new_ring_begins_behind_what_was_before);
        tcase_add_test(tcase, what_comes_back_is_left_out);
        tcase_add_test(tcase, other_lines_stay);
        tcase_add_test(tcase, further_nodes_may_be_accepted);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
