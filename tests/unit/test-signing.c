/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Signed notes: as OpenSSL and a few lines of Python made one, and what is no note. */

#include "check-main.h"
#include "capture.h"
#include "runtime/credentials.h"

#define VERIFIER "log1.example.org+182af122+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
#define BODY                                             \
        "audit-relay/log1.example.org\n"                  \
        "1002\n"                                         \
        "lBSIawcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n" \
        "1700000060\n"                                   \
        "store 000102030405060708090a0b0c0d0e0f\n"       \
        "checkpoint 3\n"                                 \
        "previous ZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY=\n"
#define SIGNATURE \
        "GCrxIvm2xWSpNUpRiMOyhNfikzglwJirP15sst5Edk7r2TyJqIapiHmcmeACwbnIEijIf3Dc7v+qJR9n5MCyL8tG0Ag="
#define SIGNED BODY "\n\xe2\x80\x94 log1.example.org " SIGNATURE "\n"
/* The seed 00 01 02 … 1f. */
#define KEY                                                                  \
        "-----BEGIN PRIVATE KEY-----\n"                                      \
        "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n" \
        "-----END PRIVATE KEY-----\n"

static char directory[64], path[128];
static char *why;

static void setup(void)
{
        scratch_make(directory);
        (void) snprintf(path, sizeof path, "%s/sign.pem", directory);
        scratch_write(directory, "sign.pem", KEY);
}

static void teardown(void)
{
        free(why);
        why = NULL;
        scratch_remove(directory);
}

static StoreHead head_of_1002(void)
{
        StoreHead head = {
                .stream = { { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 } },
                .seq = 1002,
                .chain = { 0x94, 0x14, 0x88, 0x6b },
        };

        memset(head.chain + 4, 7, sizeof head.chain - 4);
        return head;
}

START_TEST(a_note_that_others_made)
{
        VerifierKey key;
        char text[VERIFIER_KEY_MAX];
        Note note;

        ck_assert_int_eq(verifier_key_parse("  " VERIFIER "\n", &key), 0);
        verifier_key_format(&key, text);
        ck_assert_str_eq(text, VERIFIER);
        ck_assert_int_eq(verifier_key_verify(&key, SIGNED, strlen(SIGNED), &note), 0);
        ck_assert_str_eq(note.name, "log1.example.org");
        ck_assert_uint_eq(note.seq, 1002);
        ck_assert_uint_eq(note.time_sec, 1700000060);
        ck_assert_uint_eq(note.number, 3);
        ck_assert_uint_eq(note.store.bytes[15], 15);
        ck_assert_uint_eq(note.head[0], 0x94);
        ck_assert_uint_eq(note.previous[31], 0x66);
        ck_assert_uint_eq(note.size, strlen(BODY));
}
END_TEST

/* Further lines and signatures are none of ours, and no fault. */
START_TEST(a_note_of_a_later_version)
{
        static const char text[] = BODY "more\n\n\xe2\x80\x94 other.example AAAA\n\xe2\x80\x94 log1.example.org AAAA\n"
                                        "\xe2\x80\x94 log1.example.org " SIGNATURE "\n";
        VerifierKey key;
        Note note;

        ck_assert_int_eq(verifier_key_parse(VERIFIER, &key), 0);
        ck_assert_int_eq(note_parse(text, strlen(text), &note), 0);
        ck_assert_uint_eq(note.size, strlen(BODY "more\n"));
        /* It signs the line that is not there. */
        ck_assert_int_eq(verifier_key_verify(&key, text, strlen(text), &note), -EBADMSG);
}
END_TEST

START_TEST(the_same_note_by_us)
{
        StoreHead head = head_of_1002();
        SigningKey *key = NULL;
        VerifierKey other;
        char text[VERIFIER_KEY_MAX], note[NOTE_MAX];
        IndexEntry entry;
        Note again;

        ck_assert_int_eq(signing_key_load(path, "log1.example.org", &key, &why), 0);
        verifier_key_format(signing_key_verifier(key), text);
        ck_assert_str_eq(text, VERIFIER);
        /* The first of its store. */
        ck_assert_int_eq(signing_key_sign(key, &head, UINT64_C(1700000060999999), &entry, note), 0);
        ck_assert_ptr_nonnull(strstr(note, "\ncheckpoint 1\nprevious AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"));
        ck_assert_int_eq(verifier_key_verify(signing_key_verifier(key), note, strlen(note), &again), 0);
        ck_assert_int_eq(entry.kind, INDEX_CHECKPOINT);
        ck_assert_uint_eq(entry.checkpoint.serial, 1);
        ck_assert_uint_eq(entry.checkpoint.time_usec, UINT64_C(1700000060000000));
        ck_assert_int_eq(verifier_key_verify_entry(signing_key_verifier(key), &entry), 0);
        /* The next names it. */
        head.last = entry;
        ck_assert_int_eq(signing_key_sign(key, &head, UINT64_C(1700000061000000), &entry, note), 0);
        ck_assert_uint_eq(entry.checkpoint.serial, 2);
        ck_assert_mem_ne(entry.checkpoint.previous, head.last.checkpoint.previous, SHA256_SIZE);
        ck_assert_int_eq(verifier_key_verify_entry(signing_key_verifier(key), &entry), 0);
        entry.checkpoint.seq++;
        ck_assert_int_eq(verifier_key_verify_entry(signing_key_verifier(key), &entry), -EBADMSG);
        key = signing_key_free(key);
        ck_assert_ptr_null(key);
        /* Of another name it is another key. */
        ck_assert_int_eq(signing_key_load(path, "log2.example.org", &key, &why), 0);
        ck_assert_int_eq(verifier_key_verify_entry(signing_key_verifier(key), &entry), -ENOKEY);
        ck_assert_int_eq(verifier_key_verify(signing_key_verifier(key), SIGNED, strlen(SIGNED), &again), -ENOKEY);
        other = *signing_key_verifier(key);
        ck_assert_int_ne(memcmp(other.id, entry.checkpoint.signature, 4), 0);
        signing_key_free(key);
}
END_TEST

START_TEST(each_byte_counts)
{
        char text[sizeof SIGNED];
        VerifierKey key;
        Note note;

        ck_assert_int_eq(verifier_key_parse(VERIFIER, &key), 0);
        for (size_t i = 0; i < strlen(SIGNED); i++) {
                memcpy(text, SIGNED, sizeof SIGNED);
                text[i] ^= 1;
                ck_assert_msg(verifier_key_verify(&key, text, strlen(SIGNED), &note) < 0, "byte %zu", i);
        }
        for (size_t n = 0; n < strlen(SIGNED); n++)
                ck_assert_int_lt(verifier_key_verify(&key, SIGNED, n, &note), 0);
}
END_TEST

static const char *const no_notes[] = {
        "",
        "\n",
        "audit-relay/\n1\n",
        "audit-relay/a b\n",
        "audit-relay/a+b\n",
        "other/log1.example.org\n1002\n",
        "audit-relay/x\n01\n",
        "audit-relay/x\n-1\n",
        "audit-relay/x\n18446744073709551616\n",
        "audit-relay/x\n1\nAAAA\n",
        "audit-relay/x\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n",
        "audit-relay/x\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
        "audit-relay/x\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nnow\n",
        "audit-relay/x\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n1\n\n",
        "audit-relay/x\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n1\nstore 0\n",
        "audit-relay/x\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n1\nstore 000102030405060708090A0b0c0d0e0f\n",
        BODY,
};

START_TEST(what_is_no_note)
{
        Note note;

        ck_assert_int_eq(note_parse(no_notes[_i], strlen(no_notes[_i]), &note), -EBADMSG);
}
END_TEST

static const char *const no_keys[] = {
        "", "log1", "+182af122+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", "log1.example.org+182af122",
        "log1.example.org+182af123+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        "log1.example.org+182af12+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        "log1.example.org+182af122+AgOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        "log1.example.org+182af122+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG", VERIFIER " more",
};

START_TEST(what_is_no_verifier_key)
{
        VerifierKey key;

        ck_assert_int_eq(verifier_key_parse(no_keys[_i], &key), -EINVAL);
}
END_TEST

START_TEST(keys_that_cannot_sign)
{
        SigningKey *key = NULL;
        char *pem = NULL;

        ck_assert_int_eq(signing_key_load("/nowhere/sign.pem", "a", &key, &why), -ENOENT);
        ck_assert_str_eq(why, "Cannot read the signing key /nowhere/sign.pem: No such file or directory");
        free(why);
        ck_assert_int_eq(signing_key_load(path, "a+b", &key, &why), -EINVAL);
        ck_assert_str_eq(why, "\"a+b\" cannot be the name of a key");
        free(why);
        scratch_write(directory, "sign.pem", "no key");
        ck_assert_int_eq(signing_key_load(path, "a", &key, &why), -EINVAL);
        ck_assert_ptr_nonnull(strstr(why, "/sign.pem cannot be used: "));
        free(why);
        scratch_write(directory, "sign.pem",
                      "-----BEGIN PRIVATE KEY-----\n"
                      "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAAECAwQFBgcICQoL\n"
                      "DA0ODxAREhMUFRYXGBkaGxwdHh+hRANCAAR6WTuAiGE/RQDZB1uiqD0FTVN1RJvj\n"
                      "jUmaq5T3LQYvY22A0+bH4vwoMOTjq/K3Ujs0F9DKkGWBxTpaJl3WuzNl\n"
                      "-----END PRIVATE KEY-----\n");
        ck_assert_int_eq(signing_key_load(path, "a", &key, &why), -EINVAL);
        free(why);
        ck_assert_int_eq(signing_key_generate(&pem, &why), 0);
        scratch_write(directory, "sign.pem", pem);
        ck_assert_int_eq(signing_key_load(path, "a", &key, &why), 0);
        signing_key_free(key);
        free(pem);
}
END_TEST

/* As the aggregator finds it: where it is configured, as a credential, or nowhere. */
START_TEST(where_the_key_is)
{
        SigningKey *key = NULL;

        ck_assert_int_eq(unsetenv("CREDENTIALS_DIRECTORY"), 0);
        ck_assert_int_eq(credentials_load_signing_key(path, "a", &key, &why), 0);
        ck_assert_ptr_nonnull(key);
        ck_assert_int_eq(credentials_load_signing_key("/nowhere", "a", &key, &why), -ENOENT);
        ck_assert_ptr_nonnull(key);
        ck_assert_ptr_nonnull(why);
        scratch_write(directory, "sign", KEY);
        ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", directory, 1), 0);
        free(why);
        ck_assert_int_eq(credentials_load_signing_key(NULL, "a", &key, &why), 0);
        ck_assert_ptr_nonnull(key);
        ck_assert_int_eq(unsetenv("CREDENTIALS_DIRECTORY"), 0);
        if (access(CREDENTIALS_DIRECTORY "/sign.pem", F_OK) < 0) {
                ck_assert_int_eq(credentials_load_signing_key(NULL, "a", &key, &why), 0);
                ck_assert_ptr_null(key);
        }
        signing_key_free(key);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("signing");
        TCase *tcase = tcase_create("signing");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, a_note_that_others_made);
        tcase_add_test(tcase, a_note_of_a_later_version);
        tcase_add_test(tcase, the_same_note_by_us);
        tcase_add_test(tcase, each_byte_counts);
        tcase_add_loop_test(tcase, what_is_no_note, 0, ELEMENTSOF(no_notes));
        tcase_add_loop_test(tcase, what_is_no_verifier_key, 0, ELEMENTSOF(no_keys));
        tcase_add_test(tcase, keys_that_cannot_sign);
        tcase_add_test(tcase, where_the_key_is);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
