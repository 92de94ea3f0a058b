/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Indexes whose entries verify one by one and are wrong together, as a lying disk or a file put back from elsewhere makes
 * them: behind the mark they end what is accepted, before it they are damage; nothing acked is taken twice or forgotten.
 */

#include "store-case.h"
#include "basic/bytes.h"
#include "store/index.h"

#include <inttypes.h>

#define FIRST_TEXT "00000000000000000001.log"
#define FIRST_INDEX "00000000000000000001.idx"

static uint8_t bytes[64 * INDEX_ENTRY_SIZE];
static uint32_t n_entries;

/* Batches 1..3 and 4..6 of stream 1, a commit each; then the index is ours. */
static void take_index(void)
{
        const uint8_t *there;
        uint64_t size;

        fill(1, 1);
        ck_assert_int_eq(append(1, 2, 3), 0);
        commit();
        close_store();
        there = sim_disk_bytes(sim, FIRST_INDEX, &size);
        ck_assert_uint_le(size, sizeof bytes / 2);
        memcpy(bytes, there, size);
        n_entries = (uint32_t) (size / INDEX_ENTRY_SIZE);
}

static void give_index(void)
{
        sim_disk_put(sim, FIRST_INDEX, bytes, (size_t) n_entries * INDEX_ENTRY_SIZE);
        open_store();
}

static IndexEntry entry_at(uint32_t number)
{
        IndexEntry entry;

        ck_assert_int_eq(index_decode(bytes + (size_t) number * INDEX_ENTRY_SIZE, number, &entry), 0);
        return entry;
}

static void put_at(uint32_t number, IndexEntry entry)
{
        uint8_t chain[SHA256_SIZE] = { 0 };

        entry.number = number;
        index_encode(&entry, NULL, chain, bytes + (size_t) number * INDEX_ENTRY_SIZE);
}

static void add(IndexEntry entry)
{
        put_at(n_entries++, entry);
}

/* The last entry of a batch. */
static IndexEntry last_batch(void)
{
        for (uint32_t i = n_entries; i-- > 0;)
                if (entry_at(i).kind == INDEX_BATCH)
                        return entry_at(i);
        ck_abort_msg("there is no batch");
}

/* One that follows it in every respect, with its text in place. */
static IndexEntry next_batch(void)
{
        IndexEntry entry = last_batch();
        char text[4096];
        const uint8_t *there;
        uint64_t size;
        Batch batch = fixture_batch(1, 4, 5, text);

        there = sim_disk_bytes(sim, FIRST_TEXT, &size);
        memmove(text + size, text, batch.size);
        memcpy(text, there, size);
        sim_disk_put(sim, FIRST_TEXT, text, size + batch.size);
        batch.payload = NULL;
        entry.batch.stored = batch;
        entry.batch.offset = size;
        entry.batch.received_first = 4;
        entry.batch.received_last = 5;
        entry.batch.received_checksum = batch.checksum;
        return entry;
}

static void expect_all_and_more(uint64_t last)
{
        ck_assert_uint_eq(report.n_damages, 0);
        ck_assert_uint_eq(position(1), last);
        ck_assert_int_eq(append(1, last + 1, last + 1), 0);
        commit();
        reopen();
        ck_assert_uint_eq(report.n_damages, 0);
        ck_assert_uint_eq(position(1), last + 1);
}

#define TAILS 10

START_TEST(a_tail_that_does_not_follow_is_cut)
{
        IndexEntry entry, end = { .kind = INDEX_STREAM_END };
        IndexEntry custody = { .kind = INDEX_CUSTODY, .custody = { .seq = 4, .collector = "c" } };

        take_index();
        entry = next_batch();
        switch (_i) {
        case 0: /* follows */
                break;
        case 1: /* own seqs leave some out */
                batch_renumber(&entry.batch.stored, 5, 6);
                break;
        case 2: /* the same text again */
                entry.batch.stored = last_batch().batch.stored;
                batch_renumber(&entry.batch.stored, 4, 5);
                entry.batch.offset = last_batch().batch.offset;
                break;
        case 3: /* the stream leaves some out */
                entry.batch.received_first = entry.batch.received_last = 5;
                break;
        case 4: /* a stream that nobody knows does not begin with its first */
                entry.batch.stream = fixture_stream(9);
                break;
        case 5: /* an end of a stream that is not there changes nothing */
                end.stream_end.stream = fixture_stream(9);
                add(end);
                break;
        case 6: /* a header is no tail */
                entry = entry_at(0);
                break;
        case 7: /* text that is not there */
                entry.batch.offset += 1;
                break;
        case 8: /* custody of what is not there */
                add(custody);
                break;
        case 9: /* and of more than can be */
                custody.custody.seq = UINT64_MAX;
                add(custody);
                break;
        default:
                break;
        }
        add(entry);
        give_index();
        expect_all_and_more(_i == 0 || _i == 5 ? 5 : 3);
}
END_TEST

START_TEST(a_mark_that_cannot_be_is_none)
{
        IndexEntry commit_entry = {
                .kind = INDEX_COMMIT,
                .commit = { .segment = 1, .last = 3, .index_size = 1000 * INDEX_ENTRY_SIZE },
        };

        take_index();
        if (_i == 1)
                commit_entry.commit = (__typeof__(commit_entry.commit)) { .segment = 1, .last = UINT64_MAX };
        if (_i == 2)
                commit_entry.commit.segment = 77;
        add(commit_entry);
        give_index();
        expect_all_and_more(3);
}
END_TEST

/* Before the mark the same is damage; positions stand. */
START_TEST(a_batch_twice_before_the_mark_is_damage)
{
        IndexEntry commit_entry = { .kind = INDEX_COMMIT, .commit = { .segment = 1, .last = 3 } };

        take_index();
        add(last_batch());
        commit_entry.commit.index_size = (uint64_t) n_entries * INDEX_ENTRY_SIZE;
        add(commit_entry);
        give_index();
        ck_assert_uint_gt(report.n_damages, 0);
        ck_assert_uint_eq(position(1), 3);
        ck_assert_uint_eq(expect(store_source(store, "c"), 1, BATCH_RECORDS, NULL), 1);
        ck_assert_int_eq(append(1, 4, 4), 0);
        commit();
        reopen();
        ck_assert_uint_eq(position(1), 4);
}
END_TEST

/* A collector has what no batch shows any more: these seqs are told as damaged, and none is used again. */
START_TEST(custody_before_the_mark_says_how_far_seqs_went)
{
        IndexEntry custody = { .kind = INDEX_CUSTODY, .custody = { .seq = 10, .collector = "c" } };
        IndexEntry commit_entry = { .kind = INDEX_COMMIT, .commit = { .segment = 1, .last = 3 } };
        SourceRange range;

        take_index();
        add(custody);
        commit_entry.commit.index_size = (uint64_t) n_entries * INDEX_ENTRY_SIZE;
        add(commit_entry);
        give_index();
        ck_assert_uint_eq(report.n_damages, 1);
        ck_assert_uint_eq(report.damages[0].first, 4);
        ck_assert_uint_eq(report.damages[0].last, 10);
        ck_assert_uint_eq(position(1), 3);
        ck_assert_int_eq(append(1, 4, 4), 0);
        commit();
        reopen();
        range = range_of(store_source(store, "other"));
        ck_assert_uint_eq(range.newest, 11);
        ck_assert_uint_eq(range.oldest, 11);
}
END_TEST

START_TEST(a_header_cut_short_is_damage)
{
        IndexEntry header;

        take_index();
        header = entry_at(0);
        header.segment.rows = 5;
        put_at(0, header);
        n_entries = 1;
        give_index();
        ck_assert_uint_gt(report.n_damages, 0);
        ck_assert_int_eq(append(2, 1, 1), 0);
        commit();
        reopen();
        ck_assert_uint_eq(position(2), 1);
}
END_TEST

START_TEST(an_index_of_another_segment_is_not_believed)
{
        IndexEntry header;

        take_index();
        header = entry_at(0);
        header.segment.first = 5;
        put_at(0, header);
        give_index();
        ck_assert_uint_gt(report.n_damages, 0);
        fill(position(1) + 1, 1);
        reopen();
        ck_assert_uint_gt(position(1), 0);
}
END_TEST

START_TEST(an_index_that_begins_with_something_else_is_not_believed)
{
        take_index();
        put_at(0, (IndexEntry) { .kind = INDEX_DELETED });
        give_index();
        ck_assert_uint_gt(report.n_damages, 0);
        fill(position(1) + 1, 1);
        reopen();
        ck_assert_uint_gt(position(1), 0);
}
END_TEST

/* Without its header the mark is all there is to say how far seqs went: a batch that goes on behind it is none. */
START_TEST(a_mark_within_a_batch_ends_before_it)
{
        IndexEntry batch;
        Source *source;

        take_index();
        batch = last_batch();
        put_at(0, (IndexEntry) { .kind = INDEX_DELETED });
        put_at(1, batch);
        put_at(2, (IndexEntry) { .kind = INDEX_COMMIT, .commit = { .segment = 1, .last = 2 } });
        n_entries = 3;
        give_index();
        source = store_source(store, "c");
        ck_assert_uint_eq(range_of(source).newest, 2);
        ck_assert_uint_eq(expect(source, 1, BATCH_LOST, NULL), 1);
        ck_assert_uint_eq(expect(source, 2, BATCH_LOST, NULL), 2);
}
END_TEST

/* What cannot be told from the next segment's header makes nothing old. */
START_TEST(a_damaged_header_makes_nothing_old)
{
        static const char second[] = "00000000000000000002.idx";
        uint64_t size;

        options.retention_usec = 3600 * USEC_PER_SEC;
        options.delete_unacked = true;
        reopen();
        fill(1, 1);
        for (unsigned i = 2; i < 5; i++) {
                store_rotate(store);
                fill(i, 1);
        }
        close_store();
        switch (_i) {
        case 0:
                ck_assert(sim_disk_flip(sim, second, 40, 1));
                break;
        case 1:
                sim_disk_put(sim, second, "x", 1);
                break;
        case 2: /* its own first entry is no header */
                memcpy(bytes, sim_disk_bytes(sim, second, &size), INDEX_ENTRY_SIZE);
                put_at(0, (IndexEntry) { .kind = INDEX_DELETED });
                sim_disk_put(sim, second, bytes, INDEX_ENTRY_SIZE);
                break;
        default:
                break;
        }
        now += 3601 * USEC_PER_SEC;
        open_store();
        fill(5, 2);
        ck_assert_uint_eq(range_of(store_source(store, "c")).oldest > 1, _i == 3);
        now = 1000 * USEC_PER_SEC;
}
END_TEST

START_TEST(a_damaged_entry_has_no_end)
{
        Source *source;
        uint64_t checksum;
        Batch batch;

        fill(1, 3);
        close_store();
        for (uint32_t i = 0; i < 20; i++) {
                const uint8_t *there;
                IndexEntry entry;
                uint64_t size;

                there = sim_disk_bytes(sim, FIRST_INDEX, &size);
                if (((uint64_t) i + 1) * INDEX_ENTRY_SIZE <= size &&
                    index_decode(there + (size_t) i * INDEX_ENTRY_SIZE, i, &entry) == 0 && entry.kind == INDEX_BATCH &&
                    entry.batch.stored.first == 2)
                        ck_assert(sim_disk_flip(sim, FIRST_INDEX, (uint64_t) i * INDEX_ENTRY_SIZE + 30, 1));
        }
        open_store();
        source = store_source(store, "c");
        ck_assert_int_eq(source->ended(source, 2, &checksum), 0);
        ck_assert_int_eq(source->ended(source, 3, &checksum), 1);
        ck_assert_int_eq(source->get(source, 0, NULL, &batch), -ESTALE);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-crafted");
        TCase *tcase = tcase_create("store-crafted");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, a_tail_that_does_not_follow_is_cut, 0, TAILS);
        tcase_add_loop_test(tcase, a_mark_that_cannot_be_is_none, 0, 3);
        tcase_add_test(tcase, a_batch_twice_before_the_mark_is_damage);
        tcase_add_test(tcase, custody_before_the_mark_says_how_far_seqs_went);
        tcase_add_test(tcase, a_header_cut_short_is_damage);
        tcase_add_test(tcase, an_index_of_another_segment_is_not_believed);
        tcase_add_test(tcase, an_index_that_begins_with_something_else_is_not_believed);
        tcase_add_test(tcase, a_mark_within_a_batch_ends_before_it);
        tcase_add_loop_test(tcase, a_damaged_header_makes_nothing_old, 0, 4);
        tcase_add_test(tcase, a_damaged_entry_has_no_end);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
