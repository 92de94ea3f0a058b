/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define ARRAY_PAYLOAD_MAX (4U * 16384U)
#include "array-source.h"
#include "check-main.h"
#include "dispatcher/text.h"
#include "record/record.h"

#include <endian.h>
#include <libaudit.h>

#define A "node=host type=SYSCALL msg=audit(1700000000.123:7): arch=c000003e syscall=59\n"
#define B "node=host type=EOE msg=audit(1700000000.123:7): \n"
#define C "node=host type=UNKNOWN[1999] msg=audit(1700000001.000:8): x=1\n"
#define REMOTE "node=other type=USER_LOGIN msg=audit(1700000001.000:8): res=failed\n"

static ArraySource source;
static Buffer output;
static Text text;

static uint64_t noon(void)
{
        return UINT64_C(1700000012345000);
}

static void setup(void)
{
        array_init(&source, 0xab);
        output = BUFFER_INIT(1024U * 1024U);
        text = (Text) {
                .source = &source.source, .format = TEXT_LINES, .node = "host", .realtime_usec = noon
        };
        ck_assert_uint_eq(text_speech.begin(&text), 0);
}

static void teardown(void)
{
        buffer_done(&output);
        array_done(&source);
}

static void expect(const void *bytes, size_t size)
{
        ck_assert_uint_eq(buffer_size(&output), size);
        ck_assert(size == 0 || memcmp(buffer_head(&output), bytes, size) == 0);
        buffer_consume(&output, size);
}

static void expect_text(const char *expected)
{
        expect(expected, strlen(expected));
}

static int fill(void)
{
        return text_speech.fill(&text, &output);
}

/* As <libaudit.h> has it: what plugins read. */
static void expect_audisp(uint32_t type, const char *payload)
{
        struct audit_dispatcher_header header;

        ck_assert_uint_ge(buffer_size(&output), sizeof header + strlen(payload));
        memcpy(&header, buffer_head(&output), sizeof header);
        ck_assert_uint_eq(header.ver, AUDISP_PROTOCOL_VER2);
        ck_assert_uint_eq(header.hlen, sizeof header);
        ck_assert_uint_eq(header.type, type);
        ck_assert_uint_eq(header.size, strlen(payload));
        ck_assert_int_eq(memcmp(buffer_head(&output) + sizeof header, payload, strlen(payload)), 0);
        buffer_consume(&output, sizeof header + strlen(payload));
}

START_TEST(lines_are_the_lines)
{
        array_append_lines(&source, 2, 2, A B, BATCH_ORIGIN_KERNEL);
        array_append_lines(&source, 1, 1, REMOTE, BATCH_ORIGIN_REMOTE);
        ck_assert_int_eq(fill(), 0);
        expect_text(A B REMOTE);
        ck_assert_int_eq(fill(), 0);
        expect_text("");
        array_append_lines(&source, 1, 1, C, BATCH_ORIGIN_LOCAL);
        ck_assert_int_eq(fill(), 0);
        expect_text(C);
}
END_TEST

START_TEST(audisp_is_auditds_binary_form)
{
        text.format = TEXT_AUDISP;
        array_append_lines(&source, 2, 2, A B, BATCH_ORIGIN_KERNEL);
        array_append_lines(&source, 1, 1, C, BATCH_ORIGIN_LOCAL);
        array_append_lines(&source, 1, 1, REMOTE, BATCH_ORIGIN_REMOTE);
        ck_assert_int_eq(fill(), 0);
        expect_audisp(AUDIT_SYSCALL, "type=SYSCALL msg=audit(1700000000.123:7): arch=c000003e syscall=59");
        expect_audisp(AUDIT_EOE, "type=EOE msg=audit(1700000000.123:7): ");
        expect_audisp(1999, "type=UNKNOWN[1999] msg=audit(1700000001.000:8): x=1");
        expect_audisp(AUDIT_USER_LOGIN, "node=other type=USER_LOGIN msg=audit(1700000001.000:8): res=failed");
        expect_text("");
}
END_TEST

#if BYTE_ORDER == LITTLE_ENDIAN
START_TEST(audisp_to_the_byte)
{
        static const char vector[] = "\x01\x00\x00\x00\x10\x00\x00\x00\x28\x05\x00\x00\x26\x00\x00\x00"
                                     "type=EOE msg=audit(1700000000.123:7): ";

        text.format = TEXT_AUDISP;
        array_append_lines(&source, 1, 1, B, BATCH_ORIGIN_KERNEL);
        ck_assert_int_eq(fill(), 0);
        expect(vector, sizeof vector - 1);
}
END_TEST
#endif

/* Plugins have room for MAX_AUDIT_MESSAGE_LENGTH. */
START_TEST(audisp_cuts_behind_a_field)
{
        static char line[RECORD_LINE_MAX + 1];
        const char *begin = "node=host type=EXECVE msg=audit(1700000000.123:7):";
        size_t node = strlen("node=host "), fixed = strlen("node=host type=EXECVE msg=audit(1700000000.123:7):");
        uint32_t size;

        (void) snprintf(line, sizeof line, "%s", begin);
        while (strlen(line) + 16 < RECORD_LINE_MAX)
                strcat(line, " a1234=67890abc");
        strcat(line, "\n");
        text.format = TEXT_AUDISP;
        array_append_lines(&source, 1, 1, line, BATCH_ORIGIN_KERNEL);
        ck_assert_int_eq(fill(), 0);
        memcpy(&size, buffer_head(&output) + 12, sizeof size);
        ck_assert_uint_le(size, MAX_AUDIT_MESSAGE_LENGTH);
        ck_assert_uint_gt(size, MAX_AUDIT_MESSAGE_LENGTH - 16);
        ck_assert_int_eq(line[node + size], ' ');
        ck_assert_uint_eq(buffer_size(&output), sizeof(struct audit_dispatcher_header) + size);
        ck_assert_int_eq(memcmp(buffer_head(&output) + 16, line + node, size), 0);
        ck_assert_uint_eq(text.cut, 1);
        buffer_consume(&output, buffer_size(&output));

        /* The longest that fits stays whole; without a blank the bytes are cut. */
        memset(line + fixed, 'x', RECORD_LINE_MAX - fixed);
        strcpy(line + node + MAX_AUDIT_MESSAGE_LENGTH, "\n");
        array_append_lines(&source, 1, 1, line, BATCH_ORIGIN_KERNEL);
        ck_assert_int_eq(fill(), 0);
        ck_assert_uint_eq(buffer_size(&output), 16 + MAX_AUDIT_MESSAGE_LENGTH);
        ck_assert_uint_eq(text.cut, 1);
}
END_TEST

#define GAP_FIELDS "op=relay-gap where=subscriber reason=dropped lost=5 count=exact " \
                   "stream=abababababababababababababababab first=1 last=5 res=failed"

START_TEST(a_lost_range_is_a_gap_record)
{
        for (unsigned i = 0; i < 5; i++)
                array_append_lines(&source, 1, 1, A, BATCH_ORIGIN_KERNEL);
        array_append_lines(&source, 1, 1, B, BATCH_ORIGIN_KERNEL);
        source.dropped = 5;
        ck_assert_int_eq(fill(), 0);
        expect_text("node=host type=DAEMON_ERR msg=audit(1700000012.345:1): " GAP_FIELDS "\n" B);
        ck_assert_uint_eq(text.gaps, 1);

        text.format = TEXT_AUDISP;
        ck_assert_uint_eq(text_speech.begin(&text), 0);
        ck_assert_int_eq(fill(), 0);
        expect_audisp(AUDIT_DAEMON_ERR, "type=DAEMON_ERR msg=audit(1700000012.345:1): " GAP_FIELDS);
        expect_audisp(AUDIT_EOE, "type=EOE msg=audit(1700000000.123:7): ");
}
END_TEST

START_TEST(the_output_is_bounded)
{
        static char lines[ARRAY_PAYLOAD_MAX];
        uint32_t n = 0;

        while (strlen(lines) + strlen(A) < sizeof lines / 2) {
                strcat(lines, A);
                n++;
        }
        for (unsigned i = 0; i < 20; i++)
                array_append_lines(&source, n, n, lines, BATCH_ORIGIN_KERNEL);
        ck_assert_int_eq(fill(), 1);
        ck_assert_uint_ge(buffer_size(&output), LINK_FRAME_MAX);
        ck_assert_uint_lt(buffer_size(&output), LINK_FRAME_MAX + strlen(lines));
        ck_assert_int_eq(fill(), 1);
        ck_assert_uint_lt(buffer_size(&output), LINK_FRAME_MAX + strlen(lines));
}
END_TEST

/* What is known to be read moves batch by batch, never into what may be unread. */
START_TEST(reading_is_the_ack)
{
        for (unsigned i = 0; i < 3; i++)
                array_append_lines(&source, 2, 2, A B, BATCH_ORIGIN_KERNEL);
        ck_assert_int_eq(fill(), 0);
        ck_assert_uint_eq(text_speech.look(&text, 3 * strlen(A B)), 0);
        ck_assert_uint_eq(source.n_releases, 0);
        ck_assert_uint_eq(text_speech.look(&text, 2 * strlen(A B) + 1), 0);
        ck_assert_uint_eq(text_speech.look(&text, 2 * strlen(A B)), 2);
        ck_assert_uint_eq(source.released, 2);
        ck_assert_uint_eq(source.released_checksum, source.batches[0].batch.checksum);
        /* The kernel's count may be higher than what was put. */
        ck_assert_uint_eq(text_speech.look(&text, 100000), 2);
        ck_assert_uint_eq(text_speech.look(&text, 1), 4);
        buffer_consume(&output, buffer_size(&output));

        ck_assert_uint_eq(text_speech.begin(&text), 4);
        ck_assert_int_eq(fill(), 0);
        expect_text(A B);
        ck_assert_uint_eq(text_speech.look(&text, 0), 6);
        ck_assert_uint_eq(text_speech.look(&text, 0), 6);
        ck_assert_uint_eq(source.n_releases, 3);
}
END_TEST

START_TEST(what_no_filter_passes_is_read_with_what_was_before)
{
        array_append_lines(&source, 3, 0, "", BATCH_ORIGIN_KERNEL);
        ck_assert_int_eq(fill(), 0);
        expect_text("");
        ck_assert_uint_eq(text_speech.look(&text, 0), 3);
        array_append_lines(&source, 2, 1, A, BATCH_ORIGIN_KERNEL);
        array_append_lines(&source, 4, 0, "", BATCH_ORIGIN_KERNEL);
        ck_assert_int_eq(fill(), 0);
        expect_text(A);
        ck_assert_uint_eq(text_speech.look(&text, 1), 3);
        ck_assert_uint_eq(text_speech.look(&text, 0), 9);
        ck_assert_uint_eq(source.released_checksum, source.batches[2].batch.checksum);
}
END_TEST

START_TEST(what_no_filter_passes_needs_no_connection)
{
        ck_assert(!text_speech.pending(&text));
        array_append_lines(&source, 3, 0, "", BATCH_ORIGIN_KERNEL);
        array_append_lines(&source, 3, 0, "", BATCH_ORIGIN_KERNEL);
        ck_assert(!text_speech.pending(&text));
        ck_assert_uint_eq(text.read, 6);
        ck_assert_uint_eq(source.released, 6);
        array_append_lines(&source, 2, 1, A, BATCH_ORIGIN_KERNEL);
        ck_assert(text_speech.pending(&text));
        ck_assert(text_speech.pending(&text));
        ck_assert_uint_eq(text_speech.begin(&text), 6);
        ck_assert_int_eq(fill(), 0);
        expect_text(A);
        ck_assert_uint_eq(text_speech.look(&text, 0), 8);
        ck_assert(!text_speech.pending(&text));
        /* What is lost is something. */
        array_append_lines(&source, 1, 1, A, BATCH_ORIGIN_KERNEL);
        source.dropped = source.n_batches;
        ck_assert(text_speech.pending(&text));
}
END_TEST

/* Far more batches than marks: what is known gets coarser, never wrong. */
START_TEST(marks_are_bounded)
{
        enum { BATCHES = 500 };
        uint64_t last = 0, worst = 0;

        for (unsigned i = 0; i < BATCHES; i++)
                array_append_lines(&source, 1, 1, B, BATCH_ORIGIN_KERNEL);
        ck_assert_int_eq(fill(), 0);
        ck_assert_uint_eq(text.sent, BATCHES);
        for (size_t unread = BATCHES * strlen(B) + 1; unread-- > 0;) {
                uint64_t seq = text_speech.look(&text, unread), whole = (BATCHES * strlen(B) - unread) / strlen(B);

                ck_assert_uint_ge(seq, last);
                ck_assert_uint_le(seq, whole);
                worst = MAX(worst, whole - seq);
                last = seq;
        }
        ck_assert_uint_eq(last, BATCHES);
        ck_assert_uint_le(worst, BATCHES / 16);
}
END_TEST

START_TEST(a_source_that_fails_is_said)
{
        array_append_lines(&source, 1, 1, A, BATCH_ORIGIN_KERNEL);
        source.error = -EIO;
        ck_assert_int_eq(fill(), -EIO);
        ck_assert_uint_eq(text.sent, 0);
}
END_TEST

START_TEST(no_room_puts_nothing)
{
        output.maximum = strlen(A) - 1;
        array_append_lines(&source, 1, 1, A, BATCH_ORIGIN_KERNEL);
        ck_assert_int_eq(fill(), -ENOBUFS);
        text.format = TEXT_AUDISP;
        ck_assert_int_eq(fill(), -ENOBUFS);
        ck_assert_uint_eq(buffer_size(&output), 0);
        ck_assert_uint_eq(text.sent, 0);
        ck_assert_uint_eq(text.put, 0);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("text");
        TCase *tcase = tcase_create("all");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, lines_are_the_lines);
        tcase_add_test(tcase, audisp_is_auditds_binary_form);
#if BYTE_ORDER == LITTLE_ENDIAN
        tcase_add_test(tcase, audisp_to_the_byte);
#endif
        tcase_add_test(tcase, audisp_cuts_behind_a_field);
        tcase_add_test(tcase, a_lost_range_is_a_gap_record);
        tcase_add_test(tcase, the_output_is_bounded);
        tcase_add_test(tcase, reading_is_the_ack);
        tcase_add_test(tcase, what_no_filter_passes_is_read_with_what_was_before);
        tcase_add_test(tcase, what_no_filter_passes_needs_no_connection);
        tcase_add_test(tcase, marks_are_bounded);
        tcase_add_test(tcase, a_source_that_fails_is_said);
        tcase_add_test(tcase, no_room_puts_nothing);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
