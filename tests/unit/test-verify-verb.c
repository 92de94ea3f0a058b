/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay verify, run as a program (its path is the first argument) on stores made here, and then attacked: what it says,
 * and its exit status. Which damage is found where: test-store-verify.c. */

#include "real-store.h"
#include "runtime/signing.h"
#include "tool-run.h"

#include <gnutls/crypto.h>
#include <inttypes.h>

#define INTACT 0
#define FAILED 1
#define USAGE 2
#define DAMAGED 3
#define GAPS 4

static char directory[64];
static uint64_t now = UINT64_C(1700000000) * USEC_PER_SEC;

/* --- Stores --- */

static void sha256(const void *data, size_t size, uint8_t ret_digest[static SHA256_SIZE])
{
        ck_assert_int_eq(gnutls_hash_fast(GNUTLS_DIG_SHA256, data, size, ret_digest), 0);
}

static Store *open_store(const char *name, bool chained)
{
        return real_store_open(directory, name, (StoreOptions) { .hash = chained ? sha256 : NULL }, now);
}

static void commit(Store *store)
{
        real_store_commit(store, now);
}

/* n records of node "webI", received a second after the last. */
static void append(Store *store, uint8_t i, uint64_t first, unsigned n)
{
        char text[4096];
        int size = 0;
        StreamId stream = { { i } };
        char owner[16];
        Batch batch = { .first = first, .last = first + n - 1, .count = n, .origin = BATCH_ORIGIN_KERNEL,
                        .payload = (const uint8_t *) text };
        Sink *sink = store_sink(store);

        for (unsigned k = 0; k < n; k++)
                size += snprintf(text + size, sizeof text - (size_t) size, "node=web%u type=USER msg=audit(1000.000:%" PRIu64 "): x\n",
                                 i, first + k);
        batch.size = (uint32_t) size;
        batch_seal(&batch);
        (void) snprintf(owner, sizeof owner, "web%u", i);
        now += USEC_PER_SEC;
        ck_assert_int_eq(sink->append(sink, &stream, owner, &batch, &batch, now), 0);
        commit(store);
}

/* A range that the sender says is lost, as an intake stores it. */
static void append_lost(Store *store, uint8_t i, uint64_t first, uint64_t last)
{
        static uint8_t out[RECORD_LINE_MAX];
        StreamId stream = { { i } };
        char id[33];
        Batch lost = { .first = first, .last = last, .origin = BATCH_ORIGIN_KERNEL, .reason = BATCH_LOST, .size = 16,
                       .payload = (const uint8_t *) "deleted-for-size" }, stored;
        Sink *sink = store_sink(store);

        batch_seal(&lost);
        stream_id_format(&stream, id);
        record_explain_lost(&lost, "web1", id, record_time(now, 1), out, &stored);
        ck_assert_int_eq(sink->append(sink, &stream, "web1", &lost, &stored, now), 0);
        commit(store);
}

/* Segments 1 (two streams), 7 and 10; three batches in the first, one in each other. */
static void make_store(const char *name)
{
        Store *store = open_store(name, true);

        append(store, 1, 1, 2);
        append(store, 2, 1, 2);
        append(store, 1, 3, 2);
        store_rotate(store);
        commit(store);
        append(store, 1, 5, 3);
        store_rotate(store);
        commit(store);
        append(store, 2, 3, 1);
        store_free(store);
}

/* --- The program --- */

static int run(const char *arguments)
{
        return tool_run("cd '%s' && '%s' verify %s", directory, tool, arguments);
}

static void expect(const char *arguments, int status)
{
        int r = run(arguments);

        ck_assert_msg(r == status, "%s: exit status %d, not %d:\n%s", arguments, r, status, output);
}

/* What an attacker types. */
static void attack(const char *command)
{
        char line[1024];

        (void) snprintf(line, sizeof line, "cd '%s/a' && { %s; } 2>/dev/null", directory, command);
        ck_assert_int_eq(system(line), 0);
}

static void setup(void)
{
        scratch_make(directory);
}

static void teardown(void)
{
        scratch_remove(directory);
}

/* --- What is said of whole stores --- */

START_TEST(an_intact_store)
{
        make_store("a");
        expect("a", INTACT);
        ck_assert_str_eq(output,
                         "a\n"
                         "stream 02020202020202020202020202020202, seqs 1..10: 10 records, 450 bytes of text in 3 segments "
                         "(0 compressed)\n"
                         "\n"
                         "Who delivered\n"
                         "OWNER  STREAM                            FIRST  LAST  RECORDS  FILTERED  ELSEWHERE  LOST  RECEIVED\n"
                         "web1   01000000000000000000000000000000      1     7        7         0          0     0  "
                         "2023-11-14T22:13:24Z\n"
                         "web2   02000000000000000000000000000000      1     3        3         0          0     0  "
                         "2023-11-14T22:13:25Z\n"
                         "\n"
                         "Intact.\n");
        expect("--json a", INTACT);
        expect_output("\"verdict\": \"intact\",\n    \"stream\": \"02020202020202020202020202020202\"");
        expect_output("\"records\": 10,\n    \"text_bytes\": 450,\n    \"segments\": 3,\n    \"compressed\": 0,\n    \"unchained\": 0");
        expect_output("\"owner\": \"web2\",\n        \"stream\": \"02000000000000000000000000000000\",\n        \"first\": 1,\n"
                    "        \"last\": 3");
        expect_output("\"damages\": []");
}
END_TEST

/* Its owner is at work, and has a group under way. */
START_TEST(beside_its_owner)
{
        Store *store = open_store("a", false);
        Sink *sink = store_sink(store);
        StreamId stream = { { 1 } };
        Batch batch = { .first = 3, .last = 3, .count = 1, .size = 2, .origin = BATCH_ORIGIN_KERNEL,
                        .payload = (const uint8_t *) "x\n" };

        append(store, 1, 1, 2);
        batch_seal(&batch);
        ck_assert_int_eq(sink->append(sink, &stream, "web1", &batch, &batch, now), 0);
        expect("a", INTACT);
        expect_output("1 segments have no chain: there, only what happened by accident is sure to be found\n");
        expect_output("2 bytes at the end were promised to nobody: a group under way, or what a crash left\n");
        expect_output("seqs 1..2: 2 records");
        store_free(store);
}
END_TEST

START_TEST(gaps_that_were_told)
{
        Store *store = open_store("a", true);

        append(store, 1, 1, 2);
        append_lost(store, 1, 3, 12);
        append(store, 1, 13, 1);
        store_free(store);
        expect("a", GAPS);
        expect_output("\nGaps that were told (op=relay-gap)\n"
                    "NODE  TIME                  LOST  COUNT  WHERE   REASON            SEQS\n");
        expect_output("10  exact  stream  deleted-for-size  3..3\n");
        expect_output("Intact, with gaps that were told when they came about.\n");
        expect("--json a", GAPS);
        expect_output("\"lost\": 10,\n        \"count\": \"exact\",\n        \"where\": \"stream\",\n        \"reason\": "
                    "\"deleted-for-size\"");
}
END_TEST

/* What a user wrote into a record of his is no gap record. */
START_TEST(a_gap_that_a_user_made_up)
{
        static const char line[] = "node=web1 type=USER msg=audit(1.000:1): op=relay-gap where=ring reason=x lost=7\n"
                                   "node=web1 type=DAEMON_ERR msg=audit(1.000:1): op=other op=relay-gap lost=7\n";
        Store *store = open_store("a", true);
        Batch batch = { .first = 1, .last = 2, .count = 2, .size = (uint32_t) strlen(line), .origin = BATCH_ORIGIN_KERNEL,
                        .payload = (const uint8_t *) line };
        StreamId stream = { { 1 } };
        Sink *sink = store_sink(store);

        batch_seal(&batch);
        ck_assert_int_eq(sink->append(sink, &stream, "web1", &batch, &batch, now), 0);
        commit(store);
        store_free(store);
        expect("a", INTACT);
}
END_TEST

START_TEST(several_stores)
{
        char path[256];

        (void) snprintf(path, sizeof path, "%s/nodes", directory);
        ck_assert_int_eq(mkdir(path, 0755), 0);
        make_store("a");
        make_store("nodes/web1");
        make_store("nodes/web2");
        expect("nodes a", INTACT);
        expect_output("nodes/web1\nstream ");
        expect_output("\n\nnodes/web2\nstream ");
        expect_output("\n\na\nstream ");
        attack("printf x | dd of=00000000000000000001.log conv=notrunc bs=1 seek=10");
        expect("nodes a", DAMAGED);
        expect("nodes", INTACT);
}
END_TEST

START_TEST(what_cannot_be_verified)
{
        expect(".", FAILED);
        expect_output("There is no store in .: check the path\n");
        expect("none", FAILED);
        expect_output("Cannot verify none: No such file or directory; check the path\n");
        expect("--nonsense", USAGE);
        expect("--help", INTACT);
        expect_output("Exit status: 0 intact;");
}
END_TEST

/* --- Attacks --- */

START_TEST(changed)
{
        make_store("a");
        attack("printf y | dd of=00000000000000000001.log conv=notrunc bs=1 seek=100");
        expect("a", DAMAGED);
        expect_output("FILE                      OFFSET  BYTES  SEQS  STREAM  WHAT\n"
                    "00000000000000000001.log      90     90  3..4  -       the text is not what was stored\n");
        expect_output("the text is not what was stored: The records may still be on another collector");
        expect_output("\nDAMAGED in 1 place. Nothing was changed here; keep a copy before you do.\n");
        expect("--json a", DAMAGED);
        expect_output("\"kind\": \"text\",\n        \"file\": \"00000000000000000001.log\",\n        \"offset\": 90,\n"
                    "        \"bytes\": 90,\n        \"first\": 3,\n        \"last\": 4");
}
END_TEST

START_TEST(removed_and_inserted)
{
        make_store("a");
        attack("sed -i 2d 00000000000000000001.log");
        expect("a", DAMAGED);
        expect_output("00000000000000000001.log       0     45  1..2  -       bytes are missing here\n");
        attack("sed -i '1p' 00000000000000000001.log");
        expect("a", DAMAGED);
        attack("cp 00000000000000000007.log t && sed -i '3p' 00000000000000000007.log");
        expect("a", DAMAGED);
        expect_output("00000000000000000007.log");
        expect_output("bytes behind the end, of no batch");
        attack("mv t 00000000000000000007.log");
        attack("tac 00000000000000000007.log >t && mv t 00000000000000000007.log");
        expect("a", DAMAGED);
        expect_output("00000000000000000007.log       0    135  7..9  -       the text is not what was stored\n");
}
END_TEST

START_TEST(whole_segments)
{
        make_store("a");
        attack("rm 00000000000000000007.*");
        expect("a", DAMAGED);
        expect_output("00000000000000000007.idx       0      0  7..9  -       segments are missing, and no entry says that they "
                    "were deleted\n");
        expect_output("web1    seqs of this stream are not here\n");
        attack("rm 00000000000000000001.*");
        expect("a", DAMAGED);
        expect_output("1..9");
}
END_TEST

/* Nothing in the store itself says that there was more. */
START_TEST(a_cut_tail_is_not_found_without_evidence)
{
        make_store("a");
        attack("rm 00000000000000000010.*");
        expect("a", INTACT);
        expect_output("seqs 1..9: 9 records");
}
END_TEST

/* --- With a key, and with what somebody else keeps --- */

static SigningKey *signing_key;
static char verifier[VERIFIER_KEY_MAX];

static void make_key(void)
{
        char path[128], *pem = NULL, *why = NULL;

        ck_assert_int_eq(signing_key_generate(&pem, &why), 0);
        scratch_write(directory, "sign.pem", pem);
        free(pem);
        (void) snprintf(path, sizeof path, "%s/sign.pem", directory);
        signing_key_free(signing_key);
        ck_assert_int_eq(signing_key_load(path, "log1", &signing_key, &why), 0);
        verifier_key_format(signing_key_verifier(signing_key), verifier);
        scratch_write(directory, "key", verifier);
}

#define RECEIPT_STREAM "01000000000000000000000000000000"

static unsigned receipt_seq = 2; /* of that stream, as its client was told */

/* Signed, written, and kept by a client. */
static void checkpoint(Store *store, const char *receipts)
{
        char note[NOTE_MAX], path[256];
        IndexEntry entry;
        StoreHead head;
        FILE *file;

        ck_assert(store_head(store, &head));
        ck_assert_int_eq(signing_key_sign(signing_key, &head, now, &entry, note), 0);
        ck_assert_int_eq(store_checkpoint(store, &entry), 0);
        commit(store);
        if (!receipts)
                return;
        (void) snprintf(path, sizeof path, "%s/receipts", directory);
        (void) mkdir(path, 0755);
        (void) snprintf(path, sizeof path, "%s/receipts/%s", directory, receipts);
        file = fopen(path, "ae");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_gt(fprintf(file, "\n# stream %s up to %u\n%s", RECEIPT_STREAM, receipt_seq, note), 0);
        ck_assert_int_eq(fclose(file), 0);
}

/* As make_store(), with a checkpoint behind each of the three segments' records. */
static void make_signed_store(const char *name)
{
        Store *store;

        make_key();
        real_random = 40;
        store = open_store(name, true);
        append(store, 1, 1, 2);
        append(store, 2, 1, 2);
        checkpoint(store, "log1");
        append(store, 1, 3, 2);
        store_rotate(store);
        commit(store);
        append(store, 1, 5, 3);
        checkpoint(store, "log1");
        store_rotate(store);
        commit(store);
        append(store, 2, 3, 1);
        checkpoint(store, "log1");
        store_free(store);
}

START_TEST(a_signed_store)
{
        char arguments[512];

        make_signed_store("a");
        expect("a", INTACT);
        expect_output("3 checkpoints, whose signatures nobody has looked at: see --key=\n");
        (void) snprintf(arguments, sizeof arguments, "--receipts=receipts --key='%s' a", verifier);
        expect(arguments, INTACT);
        expect_output("Signed up to seq 10 at 20");
        expect("--key=key --json a", INTACT);
        expect_output("\"checkpoints\": 3,\n    \"signed_seq\": 10,\n");
        expect_output("\"evidence\": []");
        /* It goes on. */
        now += USEC_PER_SEC;
        {
                Store *store = open_store("a", true);

                append(store, 1, 8, 2);
                store_free(store);
        }
        expect("--key=key --receipts=receipts a", INTACT);
        expect_output("; the 2 records behind are not signed yet\n");
}
END_TEST

START_TEST(a_cut_tail)
{
        make_signed_store("a");
        attack("rm 00000000000000000010.*");
        expect("--key=key a", INTACT);
        expect_output("Signed up to seq 9 at ");
        expect("--key=key --receipts=receipts a", DAMAGED);
        expect_output("10..10  receipts/log1  the store ends before what a checkpoint says it had\n");
        expect("--key=key --receipts=receipts --json a", DAMAGED);
        expect_output("\"kind\": \"truncated\",\n        \"checkpoint\": 3,");
        attack("rm 00000000000000000007.*");
        expect("--key=key --checkpoint=receipts/log1 a", DAMAGED);
        expect_output("7..10  receipts/log1");
}
END_TEST

/* Somebody writes another history, with all its hashes, into a store that looks the same. */
static Store *forge_store(const char *name)
{
        Store *store;

        real_random = 40;
        store = open_store(name, true);
        append(store, 1, 1, 2);
        append(store, 2, 1, 1);
        append(store, 2, 2, 1);
        append(store, 1, 3, 2);
        append(store, 1, 5, 3);
        append(store, 2, 3, 1);
        return store;
}

START_TEST(all_of_it_computed_again)
{
        make_signed_store("a");
        store_free(forge_store("b"));
        expect("b", INTACT);
        expect("--key=key b", DAMAGED);
        expect_output("1..10  index  nothing in this store is signed by this key\n");
        expect("--key=key --receipts=receipts b", DAMAGED);
        expect_output("1..4   receipts/log1  a checkpoint that was kept is of another history\n");
}
END_TEST

START_TEST(signatures_of_another_history)
{
        IndexEntry entry, genuine;
        char note[NOTE_MAX];
        StoreHead head;
        Store *store;

        make_signed_store("a");
        store = open_store("a", true);
        ck_assert(store_head(store, &head));
        genuine = head.last;
        store_free(store);
        /* As it was. */
        store = forge_store("b");
        ck_assert_int_eq(store_checkpoint(store, &genuine), 0);
        commit(store);
        store_free(store);
        expect("b", DAMAGED);
        expect_output("the checkpoint is of another history than this store's\n");
        /* With the head that it would have to have. */
        store = forge_store("c");
        ck_assert(store_head(store, &head));
        entry = genuine;
        memcpy(entry.checkpoint.head, head.chain, SHA256_SIZE);
        ck_assert_int_eq(store_checkpoint(store, &entry), 0);
        commit(store);
        store_free(store);
        expect("c", INTACT);
        expect("--key=key c", DAMAGED);
        expect_output("the signature of this checkpoint is wrong\n");
        /* By a key of his own. */
        make_key();
        store = forge_store("d");
        ck_assert(store_head(store, &head));
        ck_assert_int_eq(signing_key_sign(signing_key, &head, now, &entry, note), 0);
        entry.checkpoint.serial = 5;
        ck_assert_int_eq(store_checkpoint(store, &entry), 0);
        commit(store);
        append(store, 1, 8, 1);
        checkpoint(store, NULL);
        entry.checkpoint.serial = 9;
        ck_assert(store_head(store, &head));
        ck_assert_int_eq(signing_key_sign(signing_key, &head, now, &entry, note), 0);
        memset(entry.checkpoint.previous, 0, SHA256_SIZE);
        ck_assert_int_eq(store_checkpoint(store, &entry), 0);
        commit(store);
        store_free(store);
        expect("d", DAMAGED);
        expect_output("checkpoints before this one are missing, or others\n");
        expect("--key=key --receipts=receipts a", DAMAGED);
        expect_output("nothing in this store is signed by this key");
        expect_output("3 of the checkpoints are signed by none of these keys, and were left out: give all of them by --key=\n");
}
END_TEST

/* Set back to what it was, it goes on as if nothing had been between. */
START_TEST(a_missing_period)
{
        Store *store;

        make_signed_store("a");
        attack("cp -r . ../old");
        store = open_store("a", true);
        append(store, 1, 8, 4);
        checkpoint(store, "log1");
        store_free(store);
        attack("cd .. && rm -r a && mv old a");
        store = open_store("a", true);
        append(store, 1, 8, 1);
        expect("--key=key --receipts=receipts a", DAMAGED);
        expect_output("12..14  receipts/log1  the store ends before what a checkpoint says it had\n");
        append(store, 2, 4, 5);
        checkpoint(store, NULL);
        store_free(store);
        expect("--key=key a", INTACT);
        expect("--key=key --receipts=receipts a", DAMAGED);
        expect_output("11..14  receipts/log1  a checkpoint that was kept is of another history\n");
}
END_TEST

/* The collector signs, and has not written down what it told a client that it had. */
START_TEST(a_receipt_for_what_is_not_there)
{
        Store *store;

        make_signed_store("a");
        store = open_store("a", true);
        append(store, 1, 8, 1);
        receipt_seq = 8;
        checkpoint(store, "log1");
        expect("--key=key --receipts=receipts a", INTACT);
        receipt_seq = 11;
        checkpoint(store, "log1");
        store_free(store);
        receipt_seq = 2;
        expect("--key=key a", INTACT);
        expect("--key=key --receipts=receipts a", DAMAGED);
        expect_output("9..11  receipts/log1  these seqs of the client's stream are not here, which its receipt says were\n");
        expect("--json --key=key --receipts=receipts a", DAMAGED);
        expect_output("\"kind\": \"receipt\"");
        expect_output("\"stream\": \"" RECEIPT_STREAM "\"");
        /* A client that was left out whole. */
        attack("sed -i 's/^# stream 01/# stream 03/' ../receipts/log1");
        expect("--key=key --receipts=receipts a", DAMAGED);
        expect_output("1..11  receipts/log1  these seqs of the client's stream are not here, which its receipt says were\n");
        /* Of none, nothing is told. */
        attack("sed -i 's/^# stream 03.*/# a line of somebody/' ../receipts/log1");
        expect("--key=key --receipts=receipts a", INTACT);
}
END_TEST

/* What was copied of a store, without its owner: from the middle on, or up to there. Only what was left out is found. */
START_TEST(a_part_of_a_store)
{
        make_signed_store("a");
        attack("mkdir ../end ../begin && cp 00000000000000000007.* 00000000000000000010.* ../end && "
               "cp 00000000000000000001.* 00000000000000000007.* ../begin");
        expect("--key=key --receipts=receipts end", DAMAGED);
        expect_output("00000000000000000007.idx       0      0  1..6  -       segments are missing, and no entry says that they "
                    "were deleted\n");
        expect_output("\nDAMAGED in 1 place. ");
        ck_assert_ptr_null(strstr(output, "Evidence against it"));
        expect("--key=key begin", INTACT);
        expect("--key=key --receipts=receipts begin", DAMAGED);
        expect_output("the store ends before what a checkpoint says it had");
}
END_TEST

START_TEST(evidence_that_says_nothing_here)
{
        make_signed_store("a");
        make_store("b");
        expect("--key=key --receipts=receipts b", DAMAGED);
        expect_output("receipts/log1: checkpoint 3 of 20");
        expect_output("is of store 29292929292929292929292929292929, which is not here: Name that store, too; or it is gone\n");
        /* What its owner has deleted, it has deleted. */
        attack("rm 00000000000000000001.*");
        expect("--key=key --receipts=receipts a", DAMAGED);
        expect_output("segments are missing, and no entry says that they were deleted\n");
        ck_assert_ptr_null(strstr(output, "Evidence against it"));
        /* Half a receipt, and one that was changed. */
        attack("cd ../receipts && sed -i '0,/^store 29/s//store 39/' log1 && truncate -s -200 log1");
        expect("--key=key --receipts=receipts a", DAMAGED);
        expect_output("receipts/log1: 2 of 3 checkpoints are cut off or changed, and left out: compare with another copy\n");
}
END_TEST

START_TEST(evidence_that_cannot_be_used)
{
        make_signed_store("a");
        expect("--receipts=receipts a", USAGE);
        expect_output("--checkpoint= and --receipts= need --key=, by which they are signed\n");
        expect("--key=nonsense a", FAILED);
        expect_output("\"nonsense\" is no verifier key (NAME+ID+BASE64), and no file with one");
        expect("--key=sign.pem a", FAILED);
        expect("--key=key --receipts=none a", FAILED);
        expect_output("Cannot read none: No such file or directory; check the path\n");
        expect("--key=key --checkpoint=none a", FAILED);
        expect_output("Cannot read none: No such file or directory; check the path\n");
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("verify-verb");
        TCase *tcase = tcase_create("verify");

        if (argc < 2)
                return EXIT_FAILURE;
        tool = realpath(argv[1], NULL);
        if (!tool)
                return EXIT_FAILURE;
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 30);
        tcase_add_test(tcase, an_intact_store);
        tcase_add_test(tcase, beside_its_owner);
        tcase_add_test(tcase, gaps_that_were_told);
        tcase_add_test(tcase, a_gap_that_a_user_made_up);
        tcase_add_test(tcase, several_stores);
        tcase_add_test(tcase, what_cannot_be_verified);
        tcase_add_test(tcase, changed);
        tcase_add_test(tcase, removed_and_inserted);
        tcase_add_test(tcase, whole_segments);
        tcase_add_test(tcase, a_cut_tail_is_not_found_without_evidence);
        tcase_add_test(tcase, a_signed_store);
        tcase_add_test(tcase, a_cut_tail);
        tcase_add_test(tcase, all_of_it_computed_again);
        tcase_add_test(tcase, signatures_of_another_history);
        tcase_add_test(tcase, a_missing_period);
        tcase_add_test(tcase, a_receipt_for_what_is_not_there);
        tcase_add_test(tcase, a_part_of_a_store);
        tcase_add_test(tcase, evidence_that_says_nothing_here);
        tcase_add_test(tcase, evidence_that_cannot_be_used);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
