/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "dispatcher/lines.h"
#include "runtime/log.h"

#include <stdio.h>
#include <time.h>

static char path[sizeof "/tmp/test-lines.XXXXXX"];
static Ring *ring;
static LinesCounters counters;
static Lines lines;
static Buffer input;

static void setup(void)
{
        RingOptions options = { .path = path, .size = RING_SIZE_MIN, .node = "host", .stream = { { 1 } } };
        bool created;

        log_init_tool("test", LOG_EMERG);
        /* A free name: what is there and no ring would be set aside. */
        strcpy(path, "/tmp/test-lines.XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(path));
        ck_assert_int_eq(rmdir(path), 0);
        ck_assert_int_eq(ring_open(&options, &ring, &created), 0);
        counters = (LinesCounters) { 0 };
        lines = (Lines) { .counters = &counters, .peer = "test" };
        input = BUFFER_INIT(1024 * 1024);
}

static void teardown(void)
{
        ring_free(ring);
        (void) unlink(path);
        buffer_done(&input);
}

static void feed(const char *data, size_t size)
{
        ck_assert_int_eq(buffer_append(&input, data, size), 0);
        ck_assert_int_eq(lines_take(&lines, ring, &input), 1);
}

/* All that is in the ring, one after the other. */
static size_t contents(char *out)
{
        Source *source = ring_source(ring, "reader", false);
        Cursor cursor = { { 0, 0 } };
        uint64_t seq = 1;
        size_t size = 0;
        Batch batch;

        for (; source->get(source, seq, &cursor, &batch) > 0; seq = batch.last + 1) {
                ck_assert(batch_payload_intact(&batch));
                memcpy(out + size, batch.payload, batch.size);
                size += batch.size;
        }
        ring_source_free(ring, source);
        return size;
}

#define GOOD "type=USER msg=audit(1700000000.123:7): "

/* What arrives, and what of it is taken. */
static const struct {
        const char *in, *out;
        RecordFault fault; /* of one line */
} cases[] = {
        { GOOD "a\n", "node=host " GOOD "a\n", RECORD_OK },
        { "node=host " GOOD "a\n", "node=host " GOOD "a\n", RECORD_OK },
        { "node=other " GOOD "a\n" GOOD "b\n", "node=host " GOOD "b\n", RECORD_E_NODE },
        { "nonsense\n" GOOD "b\n", "node=host " GOOD "b\n", RECORD_E_FORM },
        { "\n" GOOD "b\n", "node=host " GOOD "b\n", RECORD_E_FORM },
        { GOOD "a\rb\n", "node=host " GOOD "a b\n", RECORD_OK },
        { GOOD "a\n" GOOD "unfinished", "node=host " GOOD "a\n", RECORD_E_FORM },
};

START_TEST(each_line_is_taken_or_refused_whole)
{
        static char out[4096];
        uint64_t refused = 0;
        size_t size;

        feed(cases[_i].in, strlen(cases[_i].in));
        lines_end(&lines);
        size = contents(out);
        ck_assert_uint_eq(size, strlen(cases[_i].out));
        ck_assert_mem_eq(out, cases[_i].out, size);
        for (RecordFault fault = RECORD_OK; fault < _RECORD_FAULT_MAX; fault++)
                refused += counters.refused[fault];
        ck_assert_uint_eq(refused, cases[_i].fault != RECORD_OK);
        ck_assert_uint_eq(counters.refused[cases[_i].fault], cases[_i].fault != RECORD_OK);
}
END_TEST

START_TEST(a_type_that_may_not_be_sent_is_stored_escaped)
{
        static const char in[] = "type=USER_CMD msg=audit(1.000:1): x\ntype=SYSCALL msg=audit(1.000:2): uid=0\n"
                                 "type=UNKNOWN[1300] msg=audit(1.000:3): uid=0\ntype=DAEMON_ERR msg=audit(1.000:4): op=relay-gap\n";
        static char out[8192];
        RecordFilter *types;
        char *why;

        ck_assert_int_eq(record_filter_parse("user", 4, &types, &why), 0);
        lines.types = types;
        feed(in, sizeof in - 1);
        out[contents(out)] = '\0';
        ck_assert_int_eq(strncmp(out, "node=host type=USER_CMD msg=audit(1.000:1): x\n", 46), 0);
        ck_assert_ptr_nonnull(strstr(out, "op=relay-refused fault=\"type\\x20not\\x20allowed\" peer=test size=38 "));
        ck_assert_ptr_nonnull(strstr(out, "line=\"type\\x3dSYSCALL\\x20"));
        ck_assert_ptr_nonnull(strstr(out, "line=\"type\\x3dUNKNOWN[1300]\\x20"));
        ck_assert_ptr_nonnull(strstr(out, "line=\"type\\x3dDAEMON_ERR\\x20"));
        ck_assert_ptr_null(strstr(out, "type=SYSCALL"));
        ck_assert_uint_eq(counters.refused[RECORD_E_TYPE], 3);
        ck_assert_uint_eq(counters.records, 4);
        lines.types = NULL;
        feed(in, sizeof in - 1);
        ck_assert_uint_eq(counters.refused[RECORD_E_TYPE], 3);
        record_filter_free(types);
}
END_TEST

START_TEST(a_nul_becomes_a_space_and_is_counted)
{
        static const char in[] = GOOD "a\0b\n", expected[] = "node=host " GOOD "a b\n";
        static char out[4096];

        feed(in, sizeof in - 1);
        ck_assert_uint_eq(contents(out), sizeof expected - 1);
        ck_assert_mem_eq(out, expected, sizeof expected - 1);
        ck_assert_uint_eq(ring_state(ring)->replaced, 1);
}
END_TEST

START_TEST(a_line_that_is_too_long_is_skipped_to_its_own_end)
{
        static char in[5 * RECORD_LINE_MAX], out[4096];
        static const char expected[] = "node=host " GOOD "b\n";

        memset(in, 'x', sizeof in);
        memcpy(in, GOOD, sizeof GOOD - 1);
        for (size_t i = 0; i < sizeof in; i += 1000)
                feed(in + i, MIN(sizeof in - i, (size_t) 1000));
        feed("still the same\n" GOOD "b\n", strlen("still the same\n" GOOD "b\n"));
        ck_assert_uint_eq(contents(out), sizeof expected - 1);
        ck_assert_mem_eq(out, expected, sizeof expected - 1);
        ck_assert_uint_eq(counters.refused[RECORD_E_LONG], 1);
        ck_assert_uint_eq(counters.refused[RECORD_E_FORM], 0);
}
END_TEST

#define RANDOM_LINES 2000U

/* However the bytes are cut into reads, the same lines come out. */
START_TEST(where_reads_end_makes_no_difference)
{
        static char in[RANDOM_LINES * 512], expected[RANDOM_LINES * 640], out[RANDOM_LINES * 640];
        const char *given = getenv("AUDIT_RELAY_SEED");
        unsigned seed = given ? (unsigned) strtoul(given, NULL, 0) : (unsigned) time(NULL) + (unsigned) _i;
        size_t n_in = 0, n_expected = 0;
        uint64_t bad = 0;

        printf("# seed %u (replay: AUDIT_RELAY_SEED)\n", seed);
        for (unsigned i = 0; i < RANDOM_LINES; i++) {
                int size = rand_r(&seed) % 300;

                if (rand_r(&seed) % 10 == 0) {
                        bad++;
                        n_in += (size_t) sprintf(in + n_in, "bad %0*d\n", size + 1, 0);
                        continue;
                }
                n_in += (size_t) sprintf(in + n_in, GOOD "%u %0*d\n", i, size + 1, 0);
                n_expected += (size_t) sprintf(expected + n_expected, "node=host " GOOD "%u %0*d\n", i, size + 1, 0);
        }
        for (size_t at = 0, size; at < n_in; at += size) {
                size = MIN(n_in - at, 1 + (size_t) rand_r(&seed) % (rand_r(&seed) % 8 == 0 ? 20000 : 200));
                feed(in + at, size);
        }
        ck_assert_uint_eq(contents(out), n_expected);
        ck_assert_mem_eq(out, expected, n_expected);
        ck_assert_uint_eq(counters.records, RANDOM_LINES - bad);
        ck_assert_uint_eq(counters.refused[RECORD_E_FORM], bad);
}
END_TEST

/* The ring is full because a subscriber holds it: nothing is lost, the rest stays in the input. */
START_TEST(a_full_ring_leaves_the_rest_where_it_is)
{
        static char chunk[200 * 300];
        Source *holder = ring_source(ring, "holder", true);
        uint64_t fed = 0, seq;
        size_t size = 0, left;
        Batch batch;
        Cursor cursor = { { 0, 0 } };

        for (unsigned i = 0; i < 200; i++)
                size += (size_t) sprintf(chunk + size, GOOD "%0200u\n", i);
        do {
                ck_assert_int_eq(buffer_append(&input, chunk, size), 0);
                fed += 200;
        } while (lines_take(&lines, ring, &input) > 0);
        left = buffer_size(&input);
        ck_assert_uint_gt(left, 0);
        ck_assert_int_eq(lines_take(&lines, ring, &input), 0);
        ck_assert_uint_eq(buffer_size(&input), left);

        for (seq = 1; holder->get(holder, seq, &cursor, &batch) > 0; seq = batch.last + 1)
                ;
        holder->release(holder, seq - 1, batch.checksum);
        ck_assert_int_eq(lines_take(&lines, ring, &input), 1);
        ck_assert_uint_eq(buffer_size(&input), 0);
        ck_assert_uint_eq(counters.records, fed);
        ring_source_free(ring, holder);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("lines");
        TCase *tcase = tcase_create("lines");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, each_line_is_taken_or_refused_whole, 0, (int) ELEMENTSOF(cases));
        tcase_add_test(tcase, a_type_that_may_not_be_sent_is_stored_escaped);
        tcase_add_test(tcase, a_nul_becomes_a_space_and_is_counted);
        tcase_add_test(tcase, a_line_that_is_too_long_is_skipped_to_its_own_end);
        tcase_add_loop_test(tcase, where_reads_end_makes_no_difference, 0, 5);
        tcase_add_test(tcase, a_full_ring_leaves_the_rest_where_it_is);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
