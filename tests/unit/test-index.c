/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The codec of index entries, against the vectors of docs/store.md (tests/vectors/index.txt). */

#include "check-main.h"
#include "store-fixture.h"

#include <ctype.h>

/* Every kind with all its fields set. */
static IndexEntry sample(IndexKind kind)
{
        static const uint8_t payload[] = "node=a type=USER msg=audit(1.000:1): x\n";
        IndexEntry entry = { .kind = kind, .number = (uint32_t) kind, .flags = kind == INDEX_COMMIT };
        StreamId a, b;

        for (size_t i = 0; i < sizeof a.bytes; i++) {
                a.bytes[i] = (uint8_t) (0x10 + i);
                b.bytes[i] = (uint8_t) (0x20 + i);
        }
        switch (kind) {
        case INDEX_SEGMENT:
                entry.flags = INDEX_FLAG_CHAINED;
                entry.segment.version = INDEX_FORMAT_VERSION;
                entry.segment.stream = a;
                entry.segment.first = 1001;
                entry.segment.created_usec = UINT64_C(1700000000000000);
                entry.segment.previous = 501;
                entry.segment.rows = 7;
                memset(entry.segment.head, 0x33, SHA256_SIZE);
                entry.segment.last_usec = UINT64_C(1699999999000000);
                entry.segment.before.oldest_usec = UINT64_C(1699999990000000);
                entry.segment.before.newest_usec = UINT64_C(1699999998000000);
                break;
        case INDEX_STREAM:
                entry.stream.stream = b;
                entry.stream.last = 42;
                entry.stream.checksum = UINT64_C(0x1122334455667788);
                entry.stream.seen_usec = UINT64_C(1700000000000001);
                strcpy(entry.stream.owner, "client.example");
                break;
        case INDEX_BATCH:
                entry.batch.stored = (Batch) {
                        .first = 1001, .last = 1001, .count = 1, .size = sizeof payload - 1,
                        .origin = BATCH_ORIGIN_KERNEL, .payload = payload,
                };
                batch_seal(&entry.batch.stored);
                entry.batch.stored.payload = NULL;
                entry.batch.stream = b;
                entry.batch.received_first = 43;
                entry.batch.received_last = 45;
                entry.batch.received_checksum = UINT64_C(0x0123456789abcdef);
                entry.batch.received_reason = BATCH_LOST;
                entry.batch.offset = 4096;
                entry.batch.received_usec = UINT64_C(1700000000000002);
                memset(entry.batch.sha256, 0x44, SHA256_SIZE);
                entry.batch.stored.span = (BatchSpan) {
                        UINT64_C(1699999998000000), UINT64_C(1699999998500000), UINT64_C(0xb1b2b3b4b5b6b7b8),
                };
                break;
        case INDEX_COMMIT:
                entry.commit.segment = 1001;
                entry.commit.text_size = 4135;
                entry.commit.index_size = 2304;
                entry.commit.last = 1001;
                entry.commit.time_usec = UINT64_C(1700000000000003);
                break;
        case INDEX_CUSTODY:
                entry.custody.seq = 1000;
                entry.custody.checksum = UINT64_C(0xfedcba9876543210);
                entry.custody.time_usec = UINT64_C(1700000000000004);
                strcpy(entry.custody.collector, "logs.example");
                break;
        case INDEX_DELETED:
                entry.deleted.first = 1;
                entry.deleted.last = 500;
                entry.deleted.time_usec = UINT64_C(1700000000000005);
                entry.deleted.bytes = 65536;
                entry.deleted.reason = INDEX_DELETED_SIZE;
                memset(entry.deleted.head, 0x55, SHA256_SIZE);
                break;
        case INDEX_STREAM_END:
                entry.stream_end.stream = b;
                entry.stream_end.last = 45;
                entry.stream_end.time_usec = UINT64_C(1700000000000006);
                entry.stream_end.reason = INDEX_STREAM_END_IDLE;
                break;
        case INDEX_DAMAGED:
                entry.damaged.first = 700;
                entry.damaged.last = 709;
                entry.damaged.time_usec = UINT64_C(1700000000000007);
                entry.damaged.segment = 501;
                break;
        case INDEX_CHECKPOINT:
                entry.checkpoint.seq = 1001;
                entry.checkpoint.time_usec = UINT64_C(1700000000000008);
                entry.checkpoint.serial = 3;
                memset(entry.checkpoint.previous, 0x66, SHA256_SIZE);
                entry.checkpoint.key_id = UINT64_C(0xa1a2a3a4a5a6a7a8);
                memset(entry.checkpoint.signature, 0x77, sizeof entry.checkpoint.signature);
                memset(entry.checkpoint.head, 0x88, SHA256_SIZE);
                memset(&entry.checkpoint.stream, 0x99, sizeof entry.checkpoint.stream);
                break;
        case INDEX_RESTART:
                entry.restart.stream = b;
                entry.restart.old = a;
                entry.restart.last = 1001;
                entry.restart.released = 900;
                entry.restart.time_usec = UINT64_C(1700000000000009);
                break;
        default:
                assert(false);
        }
        return entry;
}

static const char *const names[_INDEX_KIND_MAX] = {
        [INDEX_SEGMENT] = "segment", [INDEX_STREAM] = "stream",         [INDEX_BATCH] = "batch",
        [INDEX_COMMIT] = "commit",   [INDEX_CUSTODY] = "custody",       [INDEX_DELETED] = "deleted",
        [INDEX_DAMAGED] = "damaged", [INDEX_STREAM_END] = "stream-end", [INDEX_CHECKPOINT] = "checkpoint",
        [INDEX_RESTART] = "restart",
};

static void encode(IndexKind kind, uint8_t bytes[static INDEX_ENTRY_SIZE])
{
        uint8_t chain[SHA256_SIZE] = { 0 };
        IndexEntry entry = sample(kind);

        index_encode(&entry, NULL, chain, bytes);
}

static bool read_vector(const char *name, uint8_t bytes[static INDEX_ENTRY_SIZE])
{
        const char *directory = getenv("AUDIT_RELAY_VECTORS");
        char path[4096], line[1024];
        size_t size = strlen(name);
        bool found = false;
        FILE *file;

        snprintf(path, sizeof path, "%s/index.txt", directory ? directory : "tests/vectors");
        file = fopen(path, "re");
        ck_assert_msg(file != NULL, "%s", path);
        while (!found && fgets(line, sizeof line, file)) {
                unsigned byte;
                size_t n = 0;

                if (strncmp(line, name, size) != 0 || line[size] != ':')
                        continue;
                for (const char *p = line + size + 2; n < INDEX_ENTRY_SIZE && sscanf(p, "%2x", &byte) == 1;
                     p += 2)
                        bytes[n++] = (uint8_t) byte;
                found = n == INDEX_ENTRY_SIZE;
        }
        fclose(file);
        return found;
}

START_TEST(bytes_are_those_of_the_documentation)
{
        uint8_t bytes[INDEX_ENTRY_SIZE], expected[INDEX_ENTRY_SIZE];

        encode((IndexKind) _i, bytes);
        if (getenv("AUDIT_RELAY_PRINT_VECTORS")) {
                printf("%s: ", names[_i]);
                for (size_t i = 0; i < sizeof bytes; i++)
                        printf("%02x", bytes[i]);
                printf("\n");
                fflush(stdout);
        }
        ck_assert_msg(read_vector(names[_i], expected), "no vector %s", names[_i]);
        ck_assert_mem_eq(bytes, expected, sizeof bytes);
}
END_TEST

START_TEST(entries_survive_the_round_trip)
{
        uint8_t bytes[INDEX_ENTRY_SIZE], again[INDEX_ENTRY_SIZE], chain[SHA256_SIZE] = { 0 };
        IndexEntry entry;

        encode((IndexKind) _i, bytes);
        ck_assert_int_eq(index_decode(bytes, (uint32_t) _i, &entry), 0);
        ck_assert_int_eq(entry.kind, _i);
        index_encode(&entry, NULL, chain, again);
        ck_assert_mem_eq(bytes, again, sizeof bytes);
        ck_assert_int_eq(index_decode(bytes, (uint32_t) _i + 1, &entry), -EBADMSG);
}
END_TEST

START_TEST(every_flipped_bit_is_noticed)
{
        uint8_t bytes[INDEX_ENTRY_SIZE];
        IndexEntry entry;

        encode((IndexKind) _i, bytes);
        for (size_t bit = 0; bit < 8 * INDEX_ENTRY_SIZE; bit++) {
                bytes[bit / 8] ^= (uint8_t) (1U << bit % 8);
                ck_assert_int_eq(index_decode(bytes, (uint32_t) _i, &entry), -EBADMSG);
                bytes[bit / 8] ^= (uint8_t) (1U << bit % 8);
        }
}
END_TEST

START_TEST(the_chain_depends_on_what_was_before)
{
        uint8_t bytes[INDEX_ENTRY_SIZE], other[INDEX_ENTRY_SIZE];
        uint8_t chain[SHA256_SIZE] = { 0 }, changed[SHA256_SIZE] = { 1 };
        IndexEntry entry = sample(INDEX_BATCH), decoded;

        index_encode(&entry, fixture_hash, chain, bytes);
        index_encode(&entry, fixture_hash, changed, other);
        ck_assert_int_eq(index_decode(bytes, entry.number, &decoded), 0);
        ck_assert_mem_eq(decoded.chain, chain, SHA256_SIZE);
        ck_assert_mem_ne(chain, changed, SHA256_SIZE);
        ck_assert_mem_ne(bytes, other, sizeof bytes);
}
END_TEST

START_TEST(names_have_a_longest)
{
        uint8_t bytes[INDEX_ENTRY_SIZE], chain[SHA256_SIZE] = { 0 };
        IndexEntry entry = sample(INDEX_STREAM), decoded;

        memset(entry.stream.owner, 'x', NODE_NAME_MAX);
        entry.stream.owner[NODE_NAME_MAX] = '\0';
        index_encode(&entry, NULL, chain, bytes);
        ck_assert_int_eq(index_decode(bytes, entry.number, &decoded), 0);
        ck_assert_str_eq(decoded.stream.owner, entry.stream.owner);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("index");
        TCase *tcase = tcase_create("index");

        tcase_add_loop_test(tcase, bytes_are_those_of_the_documentation, INDEX_SEGMENT, _INDEX_KIND_MAX);
        tcase_add_loop_test(tcase, entries_survive_the_round_trip, INDEX_SEGMENT, _INDEX_KIND_MAX);
        tcase_add_loop_test(tcase, every_flipped_bit_is_noticed, INDEX_SEGMENT, _INDEX_KIND_MAX);
        tcase_add_test(tcase, the_chain_depends_on_what_was_before);
        tcase_add_test(tcase, names_have_a_longest);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
