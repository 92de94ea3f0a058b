/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Receipts as remote keeps them: whose, how many, and which not. */

#include "check-main.h"
#include "capture.h"
#include "remote/receipts.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/signing.h"

static char directory[64];
static char note[NOTE_MAX], verifier[VERIFIER_KEY_MAX];
static Capture capture;
static Receipts *receipts;
static uint64_t clock_usec = 1000 * USEC_PER_SEC;
static const StreamId stream = { { 0xab } };

/* The clock. */
uint64_t __wrap_monotonic_usec(void);

uint64_t __wrap_monotonic_usec(void)
{
        return clock_usec;
}

static void setup(void)
{
        char path[128], *pem = NULL, *why = NULL;
        StoreHead head = { .seq = 7, .chain = { 1 } };
        SigningKey *key;
        IndexEntry entry;

        scratch_make(directory);
        (void) snprintf(path, sizeof path, "%s/sign.pem", directory);
        ck_assert_int_eq(signing_key_generate(&pem, &why), 0);
        scratch_write(directory, "sign.pem", pem);
        free(pem);
        ck_assert_int_eq(signing_key_load(path, "log1", &key, &why), 0);
        ck_assert_int_eq(signing_key_sign(key, &head, 1, &entry, note), 0);
        verifier_key_format(signing_key_verifier(key), verifier);
        signing_key_free(key);
        capture_begin(&capture);
        log_init("test", LOG_INFO);
        log_journal_socket = "";
}

static void teardown(void)
{
        receipts = receipts_free(receipts);
        scratch_remove(directory);
}

static void open_with(const char *key)
{
        char *keys[] = { (char *) (uintptr_t) key, NULL };

        ck_assert_int_eq(receipts_new(directory, key ? keys : NULL, &receipts), 0);
}

static void take(const char *collector, const char *text)
{
        LinkReceipt receipt = { .seq = 42, .note = link_string(text) };

        clock_usec += USEC_PER_SEC;
        receipts_take(receipts, collector, &stream, &receipt);
}

static const char *kept(const char *collector)
{
        char name[128];

        (void) snprintf(name, sizeof name, "receipts/%s", collector);
        return scratch_read(directory, name);
}

START_TEST(what_is_kept)
{
        char expected[2 * NOTE_MAX];

        open_with(NULL);
        take("log1.example.org", note);
        (void) snprintf(expected, sizeof expected, "\n# stream ab000000000000000000000000000000 up to 42\n%s", note);
        ck_assert_str_eq(kept("log1.example.org"), expected);
        take("log1.example.org", note);
        ck_assert_uint_eq(strlen(kept("log1.example.org")), 2 * strlen(expected));
        ck_assert_str_eq(capture_end(&capture), "");
}
END_TEST

START_TEST(by_whom_it_is_signed)
{
        char changed[NOTE_MAX];
        const char *said;

        open_with(verifier);
        take("a", note);
        ck_assert_ptr_nonnull(kept("a"));
        (void) snprintf(changed, sizeof changed, "%s", note);
        strstr(changed, "\n7\n")[1] = '8';
        take("b", changed);
        ck_assert_ptr_null(kept("b"));
        receipts = receipts_free(receipts);
        open_with("log1.example.org+182af122+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4");
        take("c", note);
        ck_assert_ptr_null(kept("c"));
        said = capture_end(&capture);
        ck_assert_ptr_nonnull(strstr(said, "The receipt of collector b is not kept: its signature is wrong\n"));
        ck_assert_ptr_nonnull(strstr(said, "The receipt of collector c is not kept: no key in VerifierKey= has signed it\n"));
}
END_TEST

START_TEST(how_many)
{
        open_with(NULL);
        for (unsigned i = 0; i < 3 * RECEIPTS_FILE_MAX / strlen(note); i++)
                take("log1", note);
        ck_assert_uint_le(strlen(kept("log1")), RECEIPTS_FILE_MAX);
        ck_assert_uint_gt(strlen(kept("log1~")), RECEIPTS_FILE_MAX / 2);
        ck_assert_ptr_null(kept("log1~~"));
        (void) capture_end(&capture);
}
END_TEST

START_TEST(what_is_not_kept)
{
        static char longer[NOTE_MAX + 8];
        LinkReceipt receipt = { .seq = 42, .note = link_string(note) };
        size_t n;
        const char *said;

        open_with(NULL);
        take("log1", "no note\n");
        (void) snprintf(longer, sizeof longer, "%s", note);
        memset(longer + strlen(note), 'x', NOTE_MAX - strlen(note));
        clock_usec += 100 * USEC_PER_SEC;
        take("log1", longer);
        ck_assert_ptr_null(kept("log1"));
        take("../log1", note);
        take(".log1", note);
        ck_assert_ptr_null(kept(".log1"));
        /* More often than they can come. */
        take("log1", note);
        n = strlen(kept("log1"));
        receipts_take(receipts, "log1", &stream, &receipt);
        ck_assert_uint_eq(strlen(kept("log1")), n);
        said = capture_end(&capture);
        ck_assert_ptr_nonnull(strstr(said, "The receipt of collector log1 is not kept: it is no checkpoint\n"));
        ck_assert_ptr_nonnull(strstr(said, "The receipt of collector ../log1 cannot be kept: Invalid argument\n"));
}
END_TEST

START_TEST(where_nothing_can_be_written)
{
        open_with(NULL);
        scratch_write(directory, "receipts", "a file");
        take("log1", note);
        ck_assert_ptr_nonnull(strstr(capture_end(&capture), "The receipt of collector log1 cannot be kept: Not a directory\n"));
        receipts = receipts_free(receipts);
        ck_assert_int_eq(receipts_new(directory, (char *[]) { (char[]) { "x" }, NULL }, &receipts), -EINVAL);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("receipts");
        TCase *tcase = tcase_create("receipts");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, what_is_kept);
        tcase_add_test(tcase, by_whom_it_is_signed);
        tcase_add_test(tcase, how_many);
        tcase_add_test(tcase, what_is_not_kept);
        tcase_add_test(tcase, where_nothing_can_be_written);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
