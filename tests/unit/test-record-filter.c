/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "record/record-filter.h"
#include "record/record.h"
#include "seed.h"

#include <libaudit.h>

static RecordFilter *parse(const char *text)
{
        RecordFilter *filter = NULL;
        char *why = NULL;

        ck_assert_msg(record_filter_parse(text, strlen(text), &filter, &why) == 0, "%s: %s", text, why);
        ck_assert_ptr_null(why);
        return filter;
}

static bool passes(const RecordFilter *filter, const char *type)
{
        char line[256];
        int size = snprintf(line, sizeof line, "node=n1 type=%s msg=audit(1.000:1): x\n", type);

        return record_filter_line(filter, (const uint8_t *) line, (size_t) size);
}

static bool text_passes(const char *text, const char *type)
{
        _cleanup_(record_filter_freep) RecordFilter *filter = parse(text);

        return passes(filter, type);
}

/* --- What passes --- */

START_TEST(words_name_types)
{
        static const struct {
                const char *text, *type;
                bool passes;
        } cases[] = {
                { "", "AVC", true },
                { " ,\t\n", "AVC", true },
                { "AVC", "AVC", true },
                { "AVC", "AVC_PATH", false },
                { "AVC", "SYSCALL", false },
                { "cwd", "CWD", true },
                { "User_Login", "USER_LOGIN", true },
                { "1112", "USER_LOGIN", true },
                { "1112", "USER_LOGOUT", false },
                { "1100-1199", "USER_AUTH", true },
                { "1100-1199", "UNKNOWN[1199]", true },
                { "1100-1199", "UNKNOWN[1200]", false },
                { "1100-1199", "DAEMON_START", false },
                { "unknown[1191]", "UNKNOWN[1191]", true },
                { "UNKNOWN[1112]", "USER_LOGIN", true },
                { "USER_LOGIN", "UNKNOWN[1112]", true },
                { "CWD,PATH  EXECVE", "EXECVE", true },
                { "CWD,PATH  EXECVE", "SYSCALL", false },
                { "~CWD", "CWD", false },
                { "~CWD", "PATH", true },
                { "~CWD", "NO_SUCH_TYPE", true },
                { "~CWD", "UNKNOWN[65535]", true },
                { "CWD", "NO_SUCH_TYPE", false },
                { "0-65535", "NO_SUCH_TYPE", false },
                { "0-65535", "UNKNOWN[65535]", true },
                { "~0-65535", "AVC", false },
                { "~0-65535", "NO_SUCH_TYPE", true },
                { "0-65535", "UNKNOWN[65536]", false },
                { "0-65535", "UNKNOWN[4294967296]", false },
                { "0-65535", "UNKNOWN[]", false },
                { "0-65535", "UNKNOWN[1x]", false },
                { "0-65535", "UNKNOWN[-1]", false },
                { "0-65535", "UNKNOWN[12", false },
                { "~PROCTITLE syscall", "SYSCALL", true },
                { "syscall ~PROCTITLE", "PROCTITLE", false },
                { "~PROCTITLE syscall PROCTITLE", "PROCTITLE", false },
                { "syscall", "EOE", true },
                { "avc", "EOE", false },
                { "avc", "USER_AVC", true },
                { "AVC", "USER_AVC", false }, /* the type */
                { "user", "USER_AUTH", true },
                { "USER", "USER_AUTH", false },
                { "1400", "USER_AVC", false },
                { "user", "USER_CMD", true },
                { "user", "USER", true },
                { "user-auth", "USER_AUTH", true },
                { "USER_AUTH", "USER_ACCT", false },
                { "daemon", "DAEMON_ERR", true },
                { "~user,~daemon", "USER_END", false },
                { "~user,~daemon", "AVC", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                ck_assert_msg(text_passes(cases[i].text, cases[i].type) == cases[i].passes, "\"%s\" and %s",
                              cases[i].text, cases[i].type);
}
END_TEST

START_TEST(a_line_need_not_be_whole)
{
        static const struct {
                const char *line;
                bool passes;
        } cases[] = {
                { "type=AVC msg=audit(1.000:1): x\n", true },
                { "type=AVC", true },
                { "node=n1 type=AVC", true },
                { "node=n1 type=", false },
                { "node=n1", false },
                { "node=n1 AVC", false },
                { "node=n1 class=AVC", false },
                { "", false },
                { "\n", false },
                { "type=AV", false },
                { "type=AVC\n", false },
        };
        _cleanup_(record_filter_freep) RecordFilter *some = parse("1400"), *others = parse("~1-65535");

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                size_t size = strlen(cases[i].line);
                /* A copy of its own, so that the address sanitizer sees a read behind the end. */
                uint8_t *exact = memcpy(malloc(size ? size : 1), cases[i].line, size);

                ck_assert_msg(record_filter_line(some, exact, size) == cases[i].passes, "%s", cases[i].line);
                ck_assert_msg(record_filter_line(others, exact, size) == !cases[i].passes, "%s",
                              cases[i].line);
                ck_assert(record_filter_line(NULL, exact, size));
                free(exact);
        }
}
END_TEST

/* --- Groups --- */

START_TEST(every_group_holds_types_and_the_one_of_its_name)
{
        const char *name, *words;

        for (size_t i = 0; record_filter_group(i, &name, &words); i++) {
                _cleanup_(record_filter_freep) RecordFilter *group = parse(name), *listed = parse(words);
                char upper[64] = "";
                unsigned n = 0;

                ck_assert_msg(record_filter_equal(group, listed), "%s", name);
                for (size_t j = 0; name[j]; j++)
                        upper[j] = (char) (name[j] >= 'a' && name[j] <= 'z' ? name[j] - 'a' + 'A' : name[j]);
                for (uint16_t number = 1000; number < 3000; number++) {
                        const char *type = audit_msg_type_to_name(number);

                        if (type && strcmp(type, upper) == 0)
                                ck_assert_msg(passes(group, type), "%s", name);
                        n += type && passes(group, type);
                }
                ck_assert_msg(n > 0, "%s holds nothing", name);
        }
        ck_assert(!record_filter_group(1000, &name, &words));
}
END_TEST

/* --- Text that is none --- */

START_TEST(an_error_names_the_word)
{
        static const struct {
                const char *text, *said;
        } cases[] = {
                { "FOO", "\"FOO\" is no record type" },
                { "AVC USER_LOGI,CWD", "\"USER_LOGI\"" },
                { "AVC ~nonsense", "\"~nonsense\"" },
                { "~", "\"~\"" },
                { "~~AVC", "\"~~AVC\"" },
                { "65536", "\"65536\"" },
                { "99999999999999999999", "\"99999999999999999999\"" },
                { "5-4", "\"5-4\"" },
                { "1-", "\"1-\"" },
                { "-1", "\"-1\"" },
                { "1-2-3", "\"1-2-3\"" },
                { "UNKNOWN[70000]", "\"UNKNOWN[70000]\"" },
                { "UNKNOWN[1", "\"UNKNOWN[1\"" },
                { "a\033[2Jb", "\"a?[2Jb\"" },
                { "AVCAVCAVCAVCAVCAVCAVCAVCAVCAVCAVCAVCAVCAVCAVCAVCAVCAVCAVCAVCAVCAVCAVC", "\"AVCAVC" },
                { "User-Auth", "user-auth" },
                { "FOO", "1100-1199" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                RecordFilter *filter = NULL;
                char *why = NULL;

                ck_assert_int_eq(record_filter_parse(cases[i].text, strlen(cases[i].text), &filter, &why),
                                 -EINVAL);
                ck_assert_ptr_null(filter);
                ck_assert_ptr_nonnull(why);
                ck_assert_msg(strstr(why, cases[i].said), "%s", why);
                free(why);
        }
}
END_TEST

START_TEST(a_text_may_hold_any_bytes_and_has_a_maximum)
{
        static char text[RECORD_FILTER_TEXT_MAX + 1];
        RecordFilter *filter = NULL;
        char *why = NULL;

        ck_assert_int_eq(record_filter_parse("AVC\0CWD", 7, &filter, &why), -EINVAL);
        ck_assert_str_eq(strchr(why, '"'), strstr(why, "\"AVC?CWD\""));
        free(why);
        ck_assert_int_eq(record_filter_parse("CWD\xff", 4, &filter, &why), -EINVAL);
        ck_assert_ptr_nonnull(strstr(why, "\"CWD?\""));
        free(why);
        ck_assert_int_eq(record_filter_parse(" \0", 2, &filter, &why), -EINVAL);
        free(why);
        memset(text, ' ', sizeof text);
        ck_assert_int_eq(record_filter_parse(text, sizeof text, &filter, &why), -EINVAL);
        ck_assert_ptr_nonnull(strstr(why, "4096"));
        free(why);
        ck_assert_int_eq(record_filter_parse(text, sizeof text - 1, &filter, &why), 0);
        ck_assert(record_filter_passes_all(filter));
        record_filter_free(filter);
        ck_assert_int_eq(record_filter_parse(NULL, 0, &filter, &why), 0);
        ck_assert(record_filter_passes_all(filter));
        record_filter_free(filter);
}
END_TEST

START_TEST(filters_are_equal_by_what_they_let_pass)
{
        _cleanup_(record_filter_freep) RecordFilter *all = parse(""), *a = parse("AVC_PATH 1300-1302"),
                                                    *b = parse("1300 1301 1302 avc_path"),
                                                    *c = parse("~AVC_PATH"), *d = parse("0-65535"), *e = parse("AVC_PATH");

        ck_assert(record_filter_passes_all(NULL) && record_filter_passes_all(all));
        ck_assert(!record_filter_passes_all(a) && !record_filter_passes_all(c) &&
                  !record_filter_passes_all(d));
        ck_assert(record_filter_equal(NULL, all) && record_filter_equal(all, NULL) &&
                  record_filter_equal(a, b));
        ck_assert(!record_filter_equal(a, c) && !record_filter_equal(NULL, a) &&
                  !record_filter_equal(a, NULL) && !record_filter_equal(all, d) && !record_filter_equal(a, e));
}
END_TEST

/* --- Against a slow reference --- */

/* Words as numbers, before they become text. */
typedef struct Word {
        bool not ;
        uint32_t first, last;
} Word;

static bool reference(const Word *words, size_t n, uint32_t number, bool known)
{
        bool any = false, wanted = false;

        for (size_t i = 0; i < n; i++) {
                bool in = known && number >= words[i].first && number <= words[i].last;

                if (words[i].not &&in)
                        return false;
                any = any || !words[i].not ;
                wanted = wanted || (!words[i].not &&in);
        }
        return wanted || !any;
}

static const char *type_text(uint32_t number, char *out, size_t size)
{
        const char *name = audit_msg_type_to_name((int) number);

        if (name)
                return name;
        (void) snprintf(out, size, "UNKNOWN[%u]", (unsigned) number);
        return out;
}

static uint32_t random_number(void)
{
        static const uint32_t begins[] = { 0, 1000, 1100, 1300, 1300, 1400, 1700, 2100, 65000 };

        return begins[random_below(ELEMENTSOF(begins))] + (uint32_t) random_below(60);
}

/* A random word, also as text. No name that is a group's as well. */
static size_t random_word(Word *word, char *out, size_t size)
{
        char name[32], any_case[64];

        word->not = random_below(3) == 0;
        word->first = word->last = random_number();
        if (random_below(3) == 0)
                word->last += (uint32_t) random_below(100);
        if (word->first != word->last)
                return (size_t) snprintf(out, size, "%s%u-%u", word->not ? "~" : "", word->first,
                                         word->last);
        (void) snprintf(any_case, sizeof any_case, "%s", type_text(word->first, name, sizeof name));
        if (random_below(2) == 0 || !strpbrk(any_case, "_["))
                return (size_t) snprintf(out, size, "%s%u", word->not ? "~" : "", word->first);
        for (char *p = any_case; *p; p++)
                if (*p >= 'A' && *p <= 'Z' && random_below(2) == 0)
                        *p = (char) (*p - 'A' + 'a');
        return (size_t) snprintf(out, size, "%s%s", word->not ? "~" : "", any_case);
}

/* Lines of random types, and those of them that pass by the reference. */
static void random_lines(const Word *words, size_t n, Batch *batch, uint8_t *payload, Batch *expected,
                         uint8_t *kept)
{
        char name[32], line[512];

        for (uint32_t i = 0; i < batch->count; i++) {
                uint32_t number = random_number();
                bool known = random_below(20) > 0;
                size_t size = (size_t) snprintf(
                        line, sizeof line, "%stype=%s msg=audit(1.000:%u): %.*s\n",
                        random_below(5) == 0 ? "" : "node=n1 ",
                        known ? type_text(number, name, sizeof name) : "NO_TYPE", i, (int) random_below(80),
                        "type=AVC node=x ======================================================"
                        "================================");

                memcpy(payload + batch->size, line, size);
                batch->size += (uint32_t) size;
                if (!reference(words, n, number, known))
                        continue;
                memcpy(kept + expected->size, line, size);
                expected->size += (uint32_t) size;
                expected->count++;
        }
}

static void try_batch(const RecordFilter *filter, const Word *words, size_t n)
{
        static uint8_t payload[BATCH_PAYLOAD_MAX], kept[BATCH_PAYLOAD_MAX], scratch[BATCH_PAYLOAD_MAX];
        Batch batch = { .first = 100, .count = (uint32_t) random_below(40), .origin = BATCH_ORIGIN_KERNEL },
              got;
        Batch expected = { 0 };

        batch.last = batch.first + batch.count - 1;
        batch.payload = payload;
        random_lines(words, n, &batch, payload, &expected, kept);
        batch_seal(&batch);
        record_filter_batch(filter, &batch, scratch, &got);
        ck_assert(got.first == batch.first && got.last == batch.last && got.origin == batch.origin);
        ck_assert(got.count == expected.count && got.size == expected.size);
        ck_assert(memcmp(got.payload, kept, got.size) == 0);
        ck_assert_uint_eq(record_filter_lost(NULL, filter, &batch), batch.count - got.count);
        ck_assert_uint_eq(record_filter_lost(filter, filter, &batch), 0);
        if (got.count == batch.count) {
                ck_assert(got.reason == BATCH_RECORDS && got.checksum == batch.checksum);
                ck_assert_ptr_eq(got.payload, payload);
        } else {
                uint8_t header[BATCH_HEADER_SIZE];
                Batch decoded;

                ck_assert_int_eq(got.reason, BATCH_FILTERED);
                ck_assert(batch_payload_intact(&got));
                batch_encode(&got, header);
                ck_assert_int_eq(batch_decode(header, &decoded), 0);
        }
}

START_TEST(random_filters_are_the_reference)
{
        for (unsigned round = 0; round < 1500; round++) {
                static const char *const separators[] = { " ", ",", ", ", "\t", "\n" };
                size_t n = random_below(6), size = 0;
                char text[1024] = "";
                Word words[6];

                for (size_t i = 0; i < n; i++) {
                        size += random_word(&words[i], text + size, sizeof text - size);
                        size += (size_t) snprintf(text + size, sizeof text - size, "%s",
                                                  separators[random_below(ELEMENTSOF(separators))]);
                }
                _cleanup_(record_filter_freep) RecordFilter *filter = parse(text);

                for (unsigned i = 0; i < 3; i++)
                        try_batch(filter, words, n);
        }
}
END_TEST

START_TEST(what_explains_passes_every_filter)
{
        _cleanup_(record_filter_freep) RecordFilter *none = parse("~0-65535");
        Batch lost = { .first = 5,
                       .last = 9,
                       .size = 8,
                       .reason = BATCH_LOST,
                       .origin = BATCH_ORIGIN_LOCAL,
                       .payload = (const uint8_t *) "overflow" };
        uint8_t scratch[16];
        Batch got;

        batch_seal(&lost);
        record_filter_batch(none, &lost, scratch, &got);
        ck_assert(got.checksum == lost.checksum && got.payload == lost.payload);
        ck_assert_uint_eq(record_filter_lost(NULL, none, &lost), 0);
        record_filter_batch(NULL, &lost, scratch, &got);
        ck_assert(got.checksum == lost.checksum && got.payload == lost.payload);
        lost.reason = BATCH_CUSTODY;
        batch_seal(&lost);
        record_filter_batch(none, &lost, scratch, &got);
        ck_assert(got.checksum == lost.checksum && got.payload == lost.payload);
        ck_assert_uint_eq(record_filter_lost(NULL, none, &lost), 0);
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("record-filter");
        TCase *tcase = tcase_create("record-filter");

        seed_begin(argc, argv);
        tcase_add_test(tcase, words_name_types);
        tcase_add_test(tcase, a_line_need_not_be_whole);
        tcase_add_test(tcase, every_group_holds_types_and_the_one_of_its_name);
        tcase_add_test(tcase, an_error_names_the_word);
        tcase_add_test(tcase, a_text_may_hold_any_bytes_and_has_a_maximum);
        tcase_add_test(tcase, filters_are_equal_by_what_they_let_pass);
        tcase_add_test(tcase, random_filters_are_the_reference);
        tcase_add_test(tcase, what_explains_passes_every_filter);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
