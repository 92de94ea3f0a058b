/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "record/record.h"

#include <auparse.h>
#include <libaudit.h>
#include <stdio.h>

#define STAMP "audit(1700000000.123:4567):"
#define GOOD "node=n1 type=SYSCALL msg=" STAMP " arch=c000003e syscall=59"

static const RecordTime now = { 1700000001, 5, 99 };

static const uint8_t *bytes(const char *text)
{
        return (const uint8_t *) text;
}

/* --- Prefix --- */

START_TEST(every_shorter_prefix_is_malformed)
{
        static const char full[] = "node=n1 type=SYSCALL msg=" STAMP;
        RecordPrefix prefix;

        for (size_t size = 0; size < sizeof full - 1; size++) {
                /* A copy of its own, so that the address sanitizer sees a read behind the end. */
                uint8_t *copy = malloc(size + 1);

                memcpy(copy, full, size);
                uint8_t *exact = memcpy(malloc(size ? size : 1), copy, size);
                ck_assert_int_ne(record_parse(exact, size, &prefix), RECORD_OK);
                copy[size] = '\n';
                ck_assert_int_ne(record_check(copy, size + 1, "n1"), RECORD_OK);
                free(copy);
                free(exact);
        }
        ck_assert_int_eq(record_parse(bytes(full), sizeof full - 1, &prefix), RECORD_OK);
        ck_assert_uint_eq(prefix.time.sec, 1700000000);
        ck_assert_uint_eq(prefix.time.msec, 123);
        ck_assert_uint_eq(prefix.time.serial, 4567);
        ck_assert_uint_eq(prefix.type.size, 7);
        ck_assert_mem_eq(prefix.type.data, "SYSCALL", 7);
        ck_assert_uint_eq(prefix.node.size, 2);
        ck_assert_uint_eq(prefix.type_offset, 8);
}
END_TEST

/* Any byte of the fixed part changed to any other that has another meaning breaks the line. */
START_TEST(every_changed_byte_of_the_frame_is_noticed)
{
        static const char good[] = "node=n1 type=A msg=audit(1.234:5):";
        static const char frame[] = "node=   type=  msg=audit(      ):";
        RecordPrefix prefix;

        for (size_t i = 0; i < sizeof frame - 1; i++)
                for (unsigned c = 0; c < 256; c++) {
                        uint8_t line[sizeof good];

                        memcpy(line, good, sizeof good);
                        if (good[i] != frame[i] || line[i] == c)
                                continue;
                        line[i] = (uint8_t) c;
                        if (i == 14 && (c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')))
                                continue;
                        ck_assert_int_ne(record_parse(line, sizeof good - 1, &prefix), RECORD_OK);
                }
}
END_TEST

static const struct {
        const char *text;
        bool good;
} stamps[] = {
        { "audit(0.000:0):", true },
        { "audit(18446744073709551615.999:18446744073709551615): x", true },
        { "audit(18446744073709551616.999:1):", false },
        { "audit(1.999:18446744073709551616):", false },
        { "audit(99999999999999999999999.000:1):", false },
        { "audit(.000:1):", false },
        { "audit(1.00:1):", false },
        { "audit(1.0000:1):", false },
        { "audit(1.:1):", false },
        { "audit(1.0a0:1):", false },
        { "audit(1:1):", false },
        { "audit(1.000:):", false },
        { "audit(1.000:1)", false },
        { "audit(1.000:1):", true },
        { "audit(-1.000:1):", false },
        { "audit(+1.000:1):", false },
        { "audit( 1.000:1):", false },
        { "audit(1.000: 1):", false },
        { "audit(1.000:0x1):", false },
        { "audit(1.000;1):", false },
        { " audit(1.000:1):", false },
        { "Audit(1.000:1):", false },
        { "", false },
};

START_TEST(stamps_are_read_strictly)
{
        RecordTime time;
        size_t size = record_parse_time(bytes(stamps[_i].text), strlen(stamps[_i].text), &time);

        ck_assert_int_eq(size > 0, stamps[_i].good);
        if (size > 0)
                ck_assert_int_eq(stamps[_i].text[size - 1], ':');
}
END_TEST

static const struct {
        const char *line; /* without newline */
        const char *node;
        RecordFault fault;
} judged[] = {
        { GOOD, "n1", RECORD_OK },
        { GOOD, NULL, RECORD_OK },
        { GOOD " key=\x1d" "ARCH=x86_64", "n1", RECORD_OK },
        { GOOD " \xff\x01\x7f\t", "n1", RECORD_OK },
        { GOOD, "n2", RECORD_E_NODE },
        { GOOD, "n", RECORD_E_NODE },
        { GOOD, "n11", RECORD_E_NODE },
        { GOOD, "", RECORD_E_NODE },
        { "type=SYSCALL msg=" STAMP, "n1", RECORD_E_NODE },
        { "type=SYSCALL msg=" STAMP, NULL, RECORD_E_NODE },
        { "node= type=SYSCALL msg=" STAMP, NULL, RECORD_E_NODE },
        { "node=a/b type=SYSCALL msg=" STAMP, NULL, RECORD_E_NODE },
        { "node=a  type=SYSCALL msg=" STAMP, NULL, RECORD_E_FORM },
        { "node=n1 node=n1 type=SYSCALL msg=" STAMP, "n1", RECORD_E_FORM },
        { "node=n1 type=UNKNOWN[1334] msg=" STAMP, "n1", RECORD_OK },
        { "node=n1 type=UNKNOWN[] msg=" STAMP, "n1", RECORD_E_FORM },
        { "node=n1 type=UNKNOWN[1 msg=" STAMP, "n1", RECORD_E_FORM },
        { "node=n1 type=UNKNOWN[x] msg=" STAMP, "n1", RECORD_E_FORM },
        { "node=n1 type=SYSCALL[1] msg=" STAMP, "n1", RECORD_E_FORM },
        { "node=n1 type=XUNKNOWN[1] msg=" STAMP, "n1", RECORD_E_FORM },
        { "node=n1 type= msg=" STAMP, "n1", RECORD_E_FORM },
        { "node=n1 type=syscall msg=" STAMP, "n1", RECORD_E_FORM },
        { "node=n1 type=SYSCALL  msg=" STAMP, "n1", RECORD_E_FORM },
        { "node=n1 type=SYSCALL " STAMP, "n1", RECORD_E_FORM },
        { GOOD "\n" GOOD, "n1", RECORD_E_FORM },
        { GOOD "\r", "n1", RECORD_E_CONTROL },
        { "", "n1", RECORD_E_FORM },
        { "hello", "n1", RECORD_E_FORM },
        { "hello", NULL, RECORD_E_FORM },
};

START_TEST(lines_are_judged)
{
        uint8_t line[512];
        size_t size = strlen(judged[_i].line);

        memcpy(line, judged[_i].line, size);
        line[size] = '\n';
        ck_assert_int_eq(record_check(line, size + 1, judged[_i].node), judged[_i].fault);
        ck_assert_int_ne(record_check(line, size, judged[_i].node), RECORD_OK);

        /* The batch check agrees, but that it sees two lines where there are two newlines. */
        if (!strchr(judged[_i].line, '\n')) {
                Batch batch = { .count = 1, .size = (uint32_t) size + 1, .payload = line };
                uint32_t number;

                ck_assert_int_eq(record_check_batch(&batch, judged[_i].node, &number, NULL), judged[_i].fault);
        }
}
END_TEST

START_TEST(a_nul_and_too_long_lines_are_refused)
{
        static uint8_t line[RECORD_LINE_MAX + 1];

        memset(line, 'x', sizeof line);
        memcpy(line, GOOD, strlen(GOOD));
        line[RECORD_LINE_MAX - 1] = '\n';
        ck_assert_int_eq(record_check(line, RECORD_LINE_MAX, "n1"), RECORD_OK);
        line[1000] = '\0';
        ck_assert_int_eq(record_check(line, RECORD_LINE_MAX, "n1"), RECORD_E_CONTROL);
        line[1000] = 'x';
        line[RECORD_LINE_MAX - 1] = 'x';
        line[RECORD_LINE_MAX] = '\n';
        ck_assert_int_eq(record_check(line, RECORD_LINE_MAX + 1, "n1"), RECORD_E_LONG);
        ck_assert_int_eq(record_check(line, 0, "n1"), RECORD_E_FORM);
}
END_TEST

/* --- Types and formatting --- */

START_TEST(types_have_the_names_of_libaudit)
{
        for (unsigned type = 0; type <= UINT16_MAX; type++) {
                const char *name = audit_msg_type_to_name((int) type), *ours = record_type_name((uint16_t) type);
                char unknown[32];

                (void) snprintf(unknown, sizeof unknown, "UNKNOWN[%u]", type);
                ck_assert_str_eq(ours, name ? name : unknown);
                ck_assert_ptr_eq(record_type_name((uint16_t) type), ours);
        }
}
END_TEST

START_TEST(every_type_formats_to_a_line_that_passes)
{
        static const char text[] = STAMP " a=1";
        uint8_t out[RECORD_LINE_MAX];
        uint64_t replaced = 0;

        for (unsigned type = 0; type <= UINT16_MAX; type++) {
                size_t size = record_format((uint16_t) type, bytes(text), strlen(text), "n1", out, &replaced);

                ck_assert_uint_gt(size, 0);
                ck_assert_int_eq(record_check(out, size, "n1"), RECORD_OK);
        }
        ck_assert_uint_eq(replaced, 0);
}
END_TEST

START_TEST(control_bytes_become_spaces_and_are_counted)
{
        static const char text[] = STAMP " a\nb\rc\0d\n\ne\x1d" "f\t";
        static const char expected[] = "node=n1 type=USER msg=" STAMP " a b c d  e\x1d" "f\t\n";
        uint8_t out[RECORD_LINE_MAX];
        uint64_t replaced = 7;
        size_t size = record_format(AUDIT_USER, bytes(text), sizeof text - 1, "n1", out, &replaced);

        ck_assert_uint_eq(size, sizeof expected - 1);
        ck_assert_mem_eq(out, expected, size);
        ck_assert_uint_eq(replaced, 7 + 5);
}
END_TEST

START_TEST(long_texts_are_cut_at_the_kernels_maximum)
{
        static uint8_t text[RECORD_TEXT_MAX + 100];
        uint8_t out[RECORD_LINE_MAX];
        uint64_t replaced = 0;
        char node[NODE_NAME_MAX + 1];
        size_t size, prefix = strlen("node= type=USER msg=\n") + NODE_NAME_MAX;

        memset(node, 'n', NODE_NAME_MAX);
        node[NODE_NAME_MAX] = '\0';
        memset(text, '\n', sizeof text);
        memcpy(text, STAMP, strlen(STAMP));
        size = record_format(AUDIT_USER, text, sizeof text, node, out, &replaced);
        ck_assert_uint_eq(size, prefix + RECORD_TEXT_MAX);
        ck_assert_uint_eq(replaced, RECORD_TEXT_MAX - strlen(STAMP));
        ck_assert_int_eq(record_check(out, size, node), RECORD_OK);
        ck_assert_uint_eq(record_format(AUDIT_USER, bytes("no stamp"), 8, node, out, &replaced), 0);
        ck_assert_uint_eq(record_format(AUDIT_USER, bytes(""), 0, node, out, &replaced), 0);
}
END_TEST

static const struct {
        const char *line;
        RecordFault fault;
        const char *result;
        uint64_t replaced;
} adopted[] = {
        { "type=USER msg=" STAMP " a", RECORD_OK, "node=n1 type=USER msg=" STAMP " a\n", 0 },
        { "node=n1 type=USER msg=" STAMP " a\x1d" "B", RECORD_OK, "node=n1 type=USER msg=" STAMP " a\x1d" "B\n", 0 },
        { "type=USER msg=" STAMP "\r\n", RECORD_OK, "node=n1 type=USER msg=" STAMP "  \n", 2 },
        { "node=n2 type=USER msg=" STAMP, RECORD_E_NODE, NULL, 0 },
        { "node=n type=USER msg=" STAMP, RECORD_E_NODE, NULL, 0 },
        { "node= type=USER msg=" STAMP, RECORD_E_NODE, NULL, 0 },
        { "type=USER", RECORD_E_FORM, NULL, 0 },
        { "", RECORD_E_FORM, NULL, 0 },
};

START_TEST(lines_of_producers_are_adopted)
{
        uint8_t out[RECORD_LINE_MAX];
        uint64_t replaced = 0;
        size_t size = 0;

        ck_assert_int_eq(record_adopt(bytes(adopted[_i].line), strlen(adopted[_i].line), "n1", out, &size, &replaced),
                         adopted[_i].fault);
        ck_assert_uint_eq(replaced, adopted[_i].replaced);
        if (!adopted[_i].result)
                return;
        ck_assert_uint_eq(size, strlen(adopted[_i].result));
        ck_assert_mem_eq(out, adopted[_i].result, size);
        ck_assert_int_eq(record_check(out, size, "n1"), RECORD_OK);
}
END_TEST

START_TEST(adopted_lines_end_at_the_line_maximum)
{
        static uint8_t line[RECORD_LINE_MAX], out[RECORD_LINE_MAX + 1];
        size_t fits = RECORD_LINE_MAX - strlen("node=n1 \n"), size;
        uint64_t replaced = 0;

        memset(line, 'x', sizeof line);
        memcpy(line, "type=USER msg=" STAMP, strlen("type=USER msg=" STAMP));
        out[RECORD_LINE_MAX] = 0xAA;
        ck_assert_int_eq(record_adopt(line, fits + 1, "n1", out, &size, &replaced), RECORD_E_LONG);
        ck_assert_int_eq(record_adopt(line, fits, "n1", out, &size, &replaced), RECORD_OK);
        ck_assert_uint_eq(size, RECORD_LINE_MAX);
        ck_assert_uint_eq(out[RECORD_LINE_MAX], 0xAA);
}
END_TEST

/* --- Batches --- */

START_TEST(the_first_fault_of_a_batch_is_named)
{
        static const char payload[] = GOOD "\n" GOOD "\nbad\n" GOOD "\r\n";
        Batch batch = { .count = 4, .size = sizeof payload - 1, .payload = bytes(payload) };
        uint32_t line;

        ck_assert_int_eq(record_check_batch(&batch, "n1", &line, NULL), RECORD_E_FORM);
        ck_assert_uint_eq(line, 2);
        batch.size = (uint32_t) (2 * strlen(GOOD "\n"));
        ck_assert_int_eq(record_check_batch(&batch, "n1", &line, NULL), RECORD_E_COUNT);
        batch.count = 2;
        ck_assert_int_eq(record_check_batch(&batch, "n1", &line, NULL), RECORD_OK);
        batch.size--;
        ck_assert_int_eq(record_check_batch(&batch, "n1", &line, NULL), RECORD_E_COUNT);
        ck_assert_uint_eq(line, 1);
        batch.size = 0;
        batch.payload = NULL;
        ck_assert_int_eq(record_check_batch(&batch, "n1", &line, NULL), RECORD_E_COUNT);
        batch.count = 0;
        ck_assert_int_eq(record_check_batch(&batch, "n1", &line, NULL), RECORD_OK);
        batch = (Batch) { .first = 1, .last = 9, .size = 1, .reason = BATCH_LOST, .payload = bytes("x") };
        ck_assert_int_eq(record_check_batch(&batch, "n1", &line, NULL), RECORD_OK);
}
END_TEST

/* --- Records of our own, with auparse as the judge --- */

static int own_type = AUDIT_DAEMON_ERR;

/* The value of a field of the only record, as auparse reads it; "" when there is none. */
static const char *field(const uint8_t *line, size_t size, const char *name)
{
        static char value[RECORD_LINE_MAX];
        char text[RECORD_LINE_MAX + 1];
        auparse_state_t *parser;
        const char *found, *node;

        memcpy(text, line, size);
        text[size] = '\0';
        parser = auparse_init(AUSOURCE_BUFFER, text);
        ck_assert_ptr_nonnull(parser);
        ck_assert_int_eq(auparse_first_record(parser), 1);
        ck_assert_int_eq(auparse_get_type(parser), own_type);
        node = auparse_get_node(parser);
        ck_assert_str_eq(node, "n1");
        free((void *) node);
        ck_assert_int_eq(auparse_get_num_records(parser), 1);
        found = auparse_find_field(parser, name);
        (void) snprintf(value, sizeof value, "%s", found ? found : "");
        auparse_destroy(parser);
        return value;
}

START_TEST(what_all_lines_have_in_common)
{
        static const struct {
                const char *payload;
                BatchSpan span;
                const char *node;
        } cases[] = {
                { "node=a type=USER msg=audit(5.000:1): x\nnode=a type=USER msg=audit(3.250:2): x\n", { 3250000, 5000000, 0 }, "a" },
                { "node=a type=SYSCALL msg=audit(4.000:1): x\nnode=a type=CWD msg=audit(4.000:1): x\nnode=a type=EOE msg=audit(4.001:1): \n"
                  "node=a type=EOE msg=audit(4.000:1): \n",
                  { 4000000, 4001000, 0 }, "a" },
                { "node=a type=USER msg=audit(5.001:1): x\nnode=b type=USER msg=audit(5.001:2): x\n", { 5001000, 5001000, 0 }, NULL },
                { "node=a type=USER msg=audit(5.000:1): x\nnode=ab type=USER msg=audit(5.000:2): x\n", { 5000000, 5000000, 0 }, NULL },
                { "type=USER msg=audit(5.000:1): x\n", { 5000000, 5000000, 0 }, NULL },
                { "node=a type=USER msg=audit(18446744073709551615.999:1): x\n", { UINT64_MAX, UINT64_MAX, 0 }, "a" },
                { "node=a type=USER msg=audit(18446744073709.999:1): x\n", { UINT64_MAX, UINT64_MAX, 0 }, "a" },
                { "node=a type=USER msg=audit(5.000:1): x\nno record\n", { 0, 0, 0 }, NULL },
                { "node=a type=USER msg=audit(5.000:1): x\nnode=a type=USER msg=audit(5.000:1): x", { 0, 0, 0 }, NULL },
                { "", { UINT64_MAX, 0, 0 }, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t node = cases[i].node ? checksum64(cases[i].node, strlen(cases[i].node)) : 0;
                BatchSpan span, found;
                uint32_t line;
                Batch batch;

                record_span((const uint8_t *) cases[i].payload, strlen(cases[i].payload), &span);
                ck_assert_uint_eq(span.oldest_usec, cases[i].span.oldest_usec);
                ck_assert_uint_eq(span.newest_usec, cases[i].span.newest_usec);
                ck_assert_uint_eq(span.node, node);
                /* Who checks the lines finds the same on the way. */
                batch = (Batch) { .size = (uint32_t) strlen(cases[i].payload), .payload = bytes(cases[i].payload) };
                for (const char *p = cases[i].payload; (p = strchr(p, '\n')); p++)
                        batch.count++;
                if (record_check_batch(&batch, NULL, &line, &found) == RECORD_OK)
                        ck_assert_mem_eq(&found, &span, sizeof span);
        }
}
END_TEST

START_TEST(spans)
{
        BatchSpan sum = BATCH_SPAN_NONE, none = BATCH_SPAN_NONE, unknown = { 0 };

        ck_assert(!batch_span_meets(&none, 0, UINT64_MAX - 1));
        ck_assert(batch_span_meets(&unknown, 5, 5));
        batch_span_add(&sum, &(BatchSpan) { 20, 30, 7 });
        batch_span_add(&sum, &(BatchSpan) { 10, 25, 7 });
        batch_span_add(&sum, &none);
        ck_assert_uint_eq(sum.oldest_usec, 10);
        ck_assert_uint_eq(sum.newest_usec, 30);
        ck_assert(batch_span_meets(&sum, 30, 99));
        ck_assert(batch_span_meets(&sum, 0, 10));
        ck_assert(!batch_span_meets(&sum, 31, 99));
        ck_assert(!batch_span_meets(&sum, 0, 9));
        /* What is not known stays so. */
        batch_span_add(&sum, &unknown);
        batch_span_add(&sum, &(BatchSpan) { 20, 30, 7 });
        ck_assert(batch_span_meets(&sum, 99, 99));
}
END_TEST

START_TEST(auparse_reads_gap_records)
{
        RecordGap gap = { .node = "n1", .time = now, .where = "ring", .reason = "overflow", .lost = 12,
                          .stream = "0123456789abcdef0123456789abcdef", .first = 5, .last = 16 };
        uint8_t out[RECORD_LINE_MAX];
        size_t size = record_gap(&gap, out);

        ck_assert_int_eq(record_check(out, size, "n1"), RECORD_OK);
        ck_assert_str_eq(field(out, size, "op"), "relay-gap");
        ck_assert_str_eq(field(out, size, "where"), "ring");
        ck_assert_str_eq(field(out, size, "reason"), "overflow");
        ck_assert_str_eq(field(out, size, "lost"), "12");
        ck_assert_str_eq(field(out, size, "count"), "exact");
        ck_assert_str_eq(field(out, size, "stream"), gap.stream);
        ck_assert_str_eq(field(out, size, "first"), "5");
        ck_assert_str_eq(field(out, size, "last"), "16");
        ck_assert_str_eq(field(out, size, "res"), "failed");

        gap.at_least = true;
        ck_assert_str_eq(field(out, record_gap(&gap, out), "count"), "at-least");
        gap.lost = 0;
        gap.stream = NULL;
        size = record_gap(&gap, out);
        ck_assert_str_eq(field(out, size, "count"), "unknown");
        ck_assert_str_eq(field(out, size, "stream"), "");
}
END_TEST

START_TEST(a_lost_reason_cannot_forge_a_field)
{
        char reason[BATCH_ARGUMENT_MAX];
        Batch lost = { .first = 3, .last = 9, .size = sizeof reason, .origin = BATCH_ORIGIN_REMOTE,
                       .reason = BATCH_LOST, .payload = bytes(reason) }, stored;
        uint8_t out[RECORD_LINE_MAX];

        memset(reason, '\n', sizeof reason);
        memcpy(reason, "x\" op=fake auid=0", 17);
        record_explain_lost(&lost, "n1", "00", now, out, &stored);
        ck_assert_int_eq(record_check(out, stored.size, "n1"), RECORD_OK);
        ck_assert_uint_eq(stored.count, 1);
        ck_assert_int_eq(stored.reason, BATCH_RECORDS);
        ck_assert(batch_payload_intact(&stored));
        ck_assert_str_eq(field(out, stored.size, "op"), "relay-gap");
        ck_assert_str_eq(field(out, stored.size, "auid"), "");
        ck_assert_str_eq(field(out, stored.size, "lost"), "7");
        ck_assert_ptr_null(memmem(out, stored.size, "auid=0", 6));
}
END_TEST

static RecordSlice slice(const char *text)
{
        return (RecordSlice) { bytes(text), strlen(text) };
}

static RecordCommand full_command(void)
{
        return (RecordCommand) {
                .node = "n1",
                .time = now,
                .op = "relay-command",
                .id = 7,
                .verb = slice("block-address"),
                .arguments = slice("ADDRESS=192.0.2.0/24\nSECONDS=60\n"),
                .via = "push",
                .from = "guard",
                .pid = 4711,
                .uid = 0,
                .auid = 4294967295,
                .ses = 3,
                .unit = "audit-relay-plugin@guard.service",
                .receivers = 2,
                .count = -1,
                .answer = "taken",
                .why = "",
                .success = true,
        };
}

START_TEST(a_command_to_the_byte)
{
        static const char expected[] =
                "node=n1 type=DAEMON_CONFIG msg=audit(1700000001.005:99): op=relay-command command=7 "
                "verb=block-address via=push from=guard pid=4711 uid=0 auid=4294967295 ses=3 "
                "unit=audit-relay-plugin@guard.service "
                "args=\"ADDRESS\\x3d192.0.2.0/24\\x0aSECONDS\\x3d60\\x0a\" receivers=2 answer=taken res=success\n";
        static const char refused[] =
                "node=n1 type=DAEMON_CONFIG msg=audit(1700000001.005:99): op=relay-command via=input uid=1000 count=12 "
                "answer=refused why=\"too\\x20many\" res=failed\n";
        RecordCommand command = full_command(), rest = { .node = "n1", .time = now, .op = "relay-command",
                .id = -1, .via = "input", .pid = -1, .uid = 1000, .auid = -1, .ses = -1, .receivers = -1, .count = 12,
                .answer = "refused", .why = "too many" };
        uint8_t out[RECORD_LINE_MAX];
        size_t size = record_command(&command, out);

        ck_assert_uint_eq(size, sizeof expected - 1);
        ck_assert_mem_eq(out, expected, size);
        own_type = AUDIT_DAEMON_CONFIG;
        ck_assert_str_eq(field(out, size, "op"), "relay-command");
        ck_assert_str_eq(field(out, size, "auid"), "4294967295");
        ck_assert_str_eq(field(out, size, "res"), "success");
        size = record_command(&rest, out);
        ck_assert_uint_eq(size, sizeof refused - 1);
        ck_assert_mem_eq(out, refused, size);
}
END_TEST

/* Each of the texts that others choose. */
START_TEST(a_command_cannot_forge_a_field)
{
        static const char hostile[] = "x\" auid=0 uid=0\nnode=n1 type=LOGIN msg=audit(1.000:1): res=success '\x1d\xff=";
        RecordCommand command = full_command();
        uint8_t out[RECORD_LINE_MAX];
        size_t size;

        if (_i == 0)
                command.verb = slice(hostile);
        else if (_i == 1)
                command.arguments = slice(hostile);
        else if (_i == 2)
                command.from = hostile;
        else if (_i == 3)
                command.unit = hostile;
        else
                command.why = hostile;
        command.success = false;
        command.uid = 1000;
        size = record_command(&command, out);
        ck_assert_int_eq(record_check(out, size, "n1"), RECORD_OK);
        ck_assert_uint_eq(record_next(out, size), size);
        own_type = AUDIT_DAEMON_CONFIG;
        ck_assert_str_eq(field(out, size, "uid"), "1000");
        ck_assert_str_eq(field(out, size, "res"), "failed");
        ck_assert_ptr_null(memmem(out, size, " auid=0", 7));
        ck_assert_ptr_null(memmem(out, size, "res=success", 11));
}
END_TEST

/* All at their largest, every byte of them escaped. */
START_TEST(a_large_command_is_cut_and_says_so)
{
        static char huge[16 * 1024];
        RecordCommand command = full_command();
        uint8_t out[RECORD_LINE_MAX];
        size_t size;

        memset(huge, '\n', sizeof huge - 1);
        command.verb = command.arguments = slice(huge);
        command.from = command.unit = command.why = huge;
        size = record_command(&command, out);
        ck_assert_int_eq(record_check(out, size, "n1"), RECORD_OK);
        own_type = AUDIT_DAEMON_CONFIG;
        ck_assert_str_eq(field(out, size, "args_size"), "16383");
        ck_assert_str_eq(field(out, size, "res"), "success");
}
END_TEST

static uint8_t refused_out[BATCH_PAYLOAD_MAX];
static const RecordRules own_lines = { .node = "n1", .accept = "n1" }, all_nodes = { .node = "n1" };

static void check_stored(const Batch *stored)
{
        uint8_t header[BATCH_HEADER_SIZE];
        uint32_t line;
        Batch copy;

        batch_encode(stored, header);
        ck_assert_int_eq(batch_decode(header, &copy), 0);
        ck_assert(batch_payload_intact(stored));
        ck_assert_int_eq(record_check_batch(stored, "n1", &line, NULL), RECORD_OK);
}

START_TEST(refused_lines_are_stored_escaped_beside_good_ones)
{
        static const char payload[] = GOOD "\nnode=n2 type=A msg=audit(1.000:1): auid=0 \"x\\\n" GOOD "\nx\ry\nrest";
        Batch batch = { .first = 10, .last = 14, .count = 5, .size = sizeof payload - 1, .origin = BATCH_ORIGIN_KERNEL,
                        .payload = bytes(payload) }, stored;
        uint32_t refused;
        const uint8_t *p = refused_out;
        size_t left, size;

        record_refuse(&batch, &own_lines, now, refused_out, &stored, &refused);
        ck_assert_uint_eq(refused, 3);
        ck_assert_uint_eq(stored.count, 5);
        ck_assert_int_eq(stored.origin, BATCH_ORIGIN_KERNEL);
        check_stored(&stored);
        left = stored.size;

        size = record_next(p, left);
        ck_assert_mem_eq(p, GOOD "\n", size);
        p += size, left -= size, size = record_next(p, left);
        ck_assert_str_eq(field(p, size, "op"), "relay-refused");
        ck_assert_str_eq(field(p, size, "peer"), "n1");
        ck_assert_str_eq(field(p, size, "size"), "45");
        ck_assert_str_eq(field(p, size, "auid"), "");
        ck_assert_str_eq(field(p, size, "line"),
                         "\"node\\x3dn2\\x20type\\x3dA\\x20msg\\x3daudit(1.000:1):\\x20auid\\x3d0\\x20\\x22x\\x5c\"");
        p += size, left -= size, size = record_next(p, left);
        ck_assert_mem_eq(p, GOOD "\n", size);
        p += size, left -= size, size = record_next(p, left);
        ck_assert_str_eq(field(p, size, "line"), "\"x\\x0dy\"");
        p += size, left -= size, size = record_next(p, left);
        ck_assert_str_eq(field(p, size, "line"), "\"rest\"");
        ck_assert_uint_eq(left, size);
}
END_TEST

START_TEST(types_that_may_not_be_sent_are_refused)
{
        static const char payload[] = "node=n1 type=USER_CMD msg=audit(1.000:1): x\n"
                                      "node=n1 type=SYSCALL msg=audit(1.000:1): forged\n"
                                      "node=n1 type=UNKNOWN[1300] msg=audit(1.000:1): forged, too\n";
        Batch batch = { .first = 10, .last = 12, .count = 3, .size = sizeof payload - 1, .origin = BATCH_ORIGIN_LOCAL,
                        .payload = bytes(payload) }, stored;
        RecordRules rules = { .node = "n1", .accept = "n1", .peer = "uid:7" };
        RecordFilter *types = NULL;
        uint32_t refused, line;
        char *why = NULL;
        size_t size;

        batch_seal(&batch);
        ck_assert_int_eq(record_judge_batch(&batch, &rules, &line, NULL), RECORD_OK);
        ck_assert_int_eq(record_filter_parse("user", 4, &types, &why), 0);
        rules.types = types;
        ck_assert_int_eq(record_judge_batch(&batch, &rules, &line, NULL), RECORD_E_TYPE);
        ck_assert_uint_eq(line, 1);
        record_refuse(&batch, &rules, now, refused_out, &stored, &refused);
        ck_assert_uint_eq(refused, 2);
        ck_assert_uint_eq(stored.count, 3);
        check_stored(&stored);
        size = record_next(refused_out, stored.size);
        ck_assert_mem_eq(refused_out, payload, size);
        ck_assert_str_eq(field(refused_out + size, record_next(refused_out + size, stored.size - size), "fault"),
                         "\"type\\x20not\\x20allowed\"");
        ck_assert_str_eq(field(refused_out + size, record_next(refused_out + size, stored.size - size), "peer"), "uid:7");
        record_filter_free(types);
}
END_TEST

START_TEST(a_wrong_count_keeps_all_lines)
{
        static const char payload[] = GOOD "\n";
        Batch batch = { .first = 10, .last = 11, .count = 2, .size = sizeof payload - 1, .origin = BATCH_ORIGIN_KERNEL,
                        .payload = bytes(payload) }, stored;
        uint32_t refused;

        record_refuse(&batch, &all_nodes, now, refused_out, &stored, &refused);
        ck_assert_uint_eq(refused, 0);
        ck_assert_uint_eq(stored.count, 2);
        check_stored(&stored);
        ck_assert_mem_eq(refused_out, payload, sizeof payload - 1);
}
END_TEST

/* Full batches of nothing but bad lines, of every length. */
START_TEST(what_has_no_room_is_counted)
{
        static uint8_t payload[BATCH_PAYLOAD_MAX];
        size_t length = (size_t) 1 << _i;
        uint32_t lines = (uint32_t) (sizeof payload / length), refused;
        Batch batch = { .first = 1, .last = lines, .count = lines, .size = sizeof payload, .origin = BATCH_ORIGIN_LOCAL,
                        .payload = payload }, stored;

        memset(payload, '"', sizeof payload);
        for (size_t i = length - 1; i < sizeof payload; i += length)
                payload[i] = '\n';
        record_refuse(&batch, &own_lines, now, refused_out, &stored, &refused);
        ck_assert_uint_eq(refused, lines);
        check_stored(&stored);
        /* Lines shorter than what is said about each do not all find room. */
        ck_assert_int_eq(memmem(refused_out, stored.size, " lines=", 7) != NULL, length <= 1024);
}
END_TEST

START_TEST(good_lines_come_before_refused_ones)
{
        static uint8_t payload[BATCH_PAYLOAD_MAX];
        size_t used = 0, n = 0;
        uint32_t refused;
        Batch batch = { .origin = BATCH_ORIGIN_LOCAL, .payload = payload }, stored;

        /* Refused lines first, which escaped would take all the room. */
        for (; used < 60000; n++) {
                memset(payload + used, '\\', 1000);
                payload[used + 999] = '\n';
                used += 1000;
        }
        while (used + strlen(GOOD "\n") < BATCH_PAYLOAD_MAX - 2000) {
                memcpy(payload + used, GOOD "\n", strlen(GOOD "\n"));
                used += strlen(GOOD "\n");
                n++;
        }
        batch.size = (uint32_t) used;
        batch.first = 1;
        batch.last = batch.count = (uint32_t) n;
        record_refuse(&batch, &own_lines, now, refused_out, &stored, &refused);
        ck_assert_uint_eq(refused, 60);
        check_stored(&stored);
        /* Each gets at least the room that its own bytes had, cut there; every good line is left. */
        ck_assert_uint_eq(stored.count, n);
}
END_TEST

/* The gap of a byte beyond ASCII, a batch of nothing, and a good line at the very end of a full batch. */
START_TEST(the_last_line_may_have_no_room)
{
        static uint8_t payload[BATCH_PAYLOAD_MAX];
        Batch batch = { .first = 1, .last = 0, .origin = BATCH_ORIGIN_LOCAL, .payload = payload }, stored;
        size_t used = 0, n = 1;
        uint32_t refused;

        record_refuse(&batch, &own_lines, now, refused_out, &stored, &refused);
        ck_assert_uint_eq(refused, 0);
        ck_assert_uint_eq(stored.count, 1);
        check_stored(&stored);
        used = strlen("\x80\xff\n");
        memcpy(payload, "\x80\xff\n", used);
        batch.size = (uint32_t) used;
        batch.last = batch.count = 1;
        record_refuse(&batch, &own_lines, now, refused_out, &stored, &refused);
        ck_assert_ptr_nonnull(memmem(stored.payload, stored.size, "line=\"\\x80\\xff\"", 15));
        while (used + strlen(GOOD "\n") <= BATCH_PAYLOAD_MAX) {
                memcpy(payload + used, GOOD "\n", strlen(GOOD "\n"));
                used += strlen(GOOD "\n");
                n++;
        }
        batch.size = (uint32_t) used;
        batch.last = batch.count = (uint32_t) n;
        record_refuse(&batch, &own_lines, now, refused_out, &stored, &refused);
        ck_assert_uint_eq(refused, 1);
        ck_assert_uint_lt(stored.count, n);
        check_stored(&stored);
}
END_TEST

/* As a producer of plain lines may send it, for whom there is no other name than the node's. */
START_TEST(a_line_of_nothing_is_refused_like_any_other)
{
        RecordRules nobody = { .node = "web1" };
        size_t size = record_refuse_line((const uint8_t *) "", 0, RECORD_E_FORM, &nobody, now, refused_out);

        ck_assert_uint_gt(size, 0);
        ck_assert_int_eq(record_check(refused_out, size, "web1"), RECORD_OK);
        ck_assert_ptr_nonnull(memmem(refused_out, size, " peer=web1 size=0 ", 18));
        ck_assert_ptr_nonnull(memmem(refused_out, size, " line=\"\"", 8));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("record");
        TCase *tcase = tcase_create("record");

        tcase_add_test(tcase, every_shorter_prefix_is_malformed);
        tcase_add_test(tcase, every_changed_byte_of_the_frame_is_noticed);
        tcase_add_loop_test(tcase, stamps_are_read_strictly, 0, (int) ELEMENTSOF(stamps));
        tcase_add_loop_test(tcase, lines_are_judged, 0, (int) ELEMENTSOF(judged));
        tcase_add_test(tcase, a_nul_and_too_long_lines_are_refused);
        tcase_add_test(tcase, types_have_the_names_of_libaudit);
        tcase_add_test(tcase, every_type_formats_to_a_line_that_passes);
        tcase_add_test(tcase, control_bytes_become_spaces_and_are_counted);
        tcase_add_test(tcase, long_texts_are_cut_at_the_kernels_maximum);
        tcase_add_loop_test(tcase, lines_of_producers_are_adopted, 0, (int) ELEMENTSOF(adopted));
        tcase_add_test(tcase, adopted_lines_end_at_the_line_maximum);
        tcase_add_test(tcase, what_all_lines_have_in_common);
        tcase_add_test(tcase, spans);
        tcase_add_test(tcase, the_first_fault_of_a_batch_is_named);
        tcase_add_test(tcase, auparse_reads_gap_records);
        tcase_add_test(tcase, a_command_to_the_byte);
        tcase_add_loop_test(tcase, a_command_cannot_forge_a_field, 0, 5);
        tcase_add_test(tcase, a_large_command_is_cut_and_says_so);
        tcase_add_test(tcase, a_lost_reason_cannot_forge_a_field);
        tcase_add_test(tcase, refused_lines_are_stored_escaped_beside_good_ones);
        tcase_add_test(tcase, types_that_may_not_be_sent_are_refused);
        tcase_add_test(tcase, a_line_of_nothing_is_refused_like_any_other);
        tcase_add_test(tcase, a_wrong_count_keeps_all_lines);
        tcase_add_loop_test(tcase, what_has_no_room_is_counted, 0, 15);
        tcase_add_test(tcase, good_lines_come_before_refused_ones);
        tcase_add_test(tcase, the_last_line_may_have_no_room);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
