/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a verification finds: each kind of damage, once, where it is; and nothing where nothing is. */

#include "store-verify-case.h"

/* --- Whole stores --- */

START_TEST(no_store)
{
        Disk *disk = sim_disk_attach(sim);

        ck_assert_int_eq(fixture_verify(disk, &found, &result), -ENODATA);
        (void) disk_free(disk);
}
END_TEST

START_TEST(a_whole_store)
{
        append_batches(1, 1, 1);
        expect_whole(1, 1);
        append_batches(2, 600, 2);
        rotate();
        expect_whole(1, 1201);
        ck_assert_uint_eq(result.segments, 2);
        ck_assert_uint_gt(found.progress, 0);
        append_batches(1202, 2, 2);
        ck_assert_int_eq(store_finish(store, true, now), 0);
        commit_all();
        reopen();
        append_batches(1206, 2, 1);
        expect_whole(1, 1207);
        ck_assert_uint_eq(found.n, 0);
        ck_assert_uint_eq(result.unchained, 0);
}
END_TEST

START_TEST(a_store_without_a_chain)
{
        options.hash = NULL;
        reopen();
        fill_three();
        expect_whole(1, 27);
        ck_assert_uint_eq(result.unchained, 3);
        options.hash = fixture_hash;
        reopen();
        append_batches(28, 2, 3);
        rotate();
        append_batches(34, 1, 3);
        expect_whole(1, 36);
        ck_assert_uint_eq(result.unchained, 3);
        sim_disk_flip(sim, name_of(1, ".log"), text_of(1, 4), 1);
        expect_damage(VERIFY_TEXT, 1, 4, 6);
}
END_TEST

START_TEST(compressed_segments)
{
        StorePack pack;

        fill_three();
        while (store_pack_begin(store, &pack))
                ck_assert_int_eq(store_pack_end(store, &pack, store_pack_run(&pack)), 0);
        expect_whole(1, 27);
        ck_assert_uint_eq(result.packed, 2);
        sim_disk_flip(sim, name_of(10, ".log.zst"), 40, 0xff);
        expect_damage(VERIFY_TEXT, 10, 10, 18);
        truncate_to(name_of(10, ".log.zst"), 20);
        expect_damage(VERIFY_TEXT, 10, 10, 18);
}
END_TEST

START_TEST(deleted_by_their_owner)
{
        const VerifyFinding *finding = NULL;

        options.use_max = 6000;
        options.delete_unacked = true;
        reopen();
        for (unsigned i = 0; i < 40; i++)
                append_batches(1 + 5 * i, 1, 5);
        commit_all();
        ck_assert_uint_gt(store_source(store, "c") ? 1 : 0, 0);
        verify();
        ck_assert_uint_gt(result.oldest, 1);
        ck_assert_uint_eq(result.damages, 0);
        for (size_t i = 0; i < found.n; i++)
                if (found.findings[i].kind == VERIFY_DELETED)
                        finding = &found.findings[i];
        ck_assert_ptr_nonnull(finding);
        ck_assert_uint_eq(finding->last, result.oldest - 1);
        ck_assert_int_eq((int) finding->reason, INDEX_DELETED_SIZE);
        ck_assert_uint_gt(finding->time_usec, 0);
}
END_TEST

START_TEST(what_came_without_records)
{
        StreamId id = fixture_stream(1);
        Batch batch = { .first = 4, .last = 9, .origin = BATCH_ORIGIN_KERNEL, .reason = BATCH_FILTERED };
        Sink *sink = store_sink(store);
        const VerifyHandler handler = { .finding = found_finding };
        Disk *disk = sim_disk_attach(sim);

        append_batches(1, 1, 3);
        batch_seal(&batch);
        ck_assert_int_eq(sink->append(sink, &id, "owner", &batch, &batch, now), 0);
        batch = (Batch) { .first = 10, .last = 14, .origin = BATCH_ORIGIN_KERNEL, .reason = BATCH_CUSTODY, .size = 1,
                          .payload = (const uint8_t *) "x" };
        batch_seal(&batch);
        ck_assert_int_eq(sink->append(sink, &id, "owner", &batch, &batch, now), 0);
        batch = (Batch) { .first = 15, .last = 16, .origin = BATCH_ORIGIN_KERNEL, .reason = BATCH_LOST, .size = 1,
                          .payload = (const uint8_t *) "x" };
        batch_seal(&batch);
        ck_assert_int_eq(sink->append(sink, &id, "owner", &batch, &batch, now), 0);
        append_batches(17, 1, 1);
        ck_assert_int_eq(append(2, 1, 5), 0);
        commit();
        store_stream_forget(store, &id);
        commit_all();
        append_batches(1, 1, 2);
        ck_assert_int_eq(store_verify(disk, fixture_hash, &handler, &found, &result), 0);
        (void) disk_free(disk);
        ck_assert_uint_eq(result.damages, 0);
        ck_assert_uint_eq(result.n_streams, 2);
        ck_assert_str_eq(result.streams[0].owner, "owner");
        ck_assert_uint_eq(result.streams[0].first, 1);
        ck_assert_uint_eq(result.streams[0].last, 2);
        ck_assert_uint_eq(result.streams[0].filtered, 6);
        ck_assert_uint_eq(result.streams[0].elsewhere, 5);
        ck_assert_uint_eq(result.streams[0].lost, 2);
        ck_assert_uint_eq(result.streams[0].records, 6);
        ck_assert_uint_eq(result.streams[1].records, 5);
        verify_result_done(&result);
        ck_assert_ptr_null(result.streams);
}
END_TEST

/* As a crash leaves it, or a group under way. */
START_TEST(an_end_that_was_promised_to_nobody)
{
        fill_three();
        ck_assert_int_eq(append(1, 28, 30), 0);
        expect_whole(1, 27);
        ck_assert_uint_eq(found.n, 1);
        ck_assert_int_eq((int) found.findings[0].kind, VERIFY_UNFINISHED);
        ck_assert(found.findings[0].text);
        splice(name_of(19, ".idx"), 0, 0, NULL, 0);
        close_store();
        {
                uint64_t size;

                (void) sim_disk_bytes(sim, name_of(19, ".idx"), &size);
                splice(name_of(19, ".idx"), size, size, "half an entry", 13);
        }
        expect_whole(1, 27);
        ck_assert_uint_eq(found.n, 2);
        ck_assert_uint_eq(found.findings[0].size, 13);
        open_store();
}
END_TEST

/* --- Changed --- */

START_TEST(a_changed_byte_of_text)
{
        fill_three();
        ck_assert(sim_disk_flip(sim, name_of(10, ".log"), text_of(10, 13) + 5, 1));
        ck_assert_uint_eq(expect_damage(VERIFY_TEXT, 10, 13, 15)->offset, text_of(10, 13));
        /* With the one behind it that is one damage; the newest segment's is another. */
        ck_assert(sim_disk_flip(sim, name_of(10, ".log"), text_of(10, 16) + 5, 1));
        ck_assert(expect_damage(VERIFY_TEXT, 10, 13, 18)->text);
        ck_assert(sim_disk_flip(sim, name_of(19, ".log"), text_of(19, 19), 1));
        verify();
        ck_assert_uint_eq(found.n_damages, 2);
        ck_assert_uint_eq(found.batches, 6);
}
END_TEST

START_TEST(a_changed_byte_of_the_index)
{
        IndexEntry entry;
        uint64_t offset;

        fill_three();
        offset = entry_of(1, 4, &entry);
        ck_assert(sim_disk_flip(sim, name_of(1, ".idx"), offset + 100, 1));
        verify();
        ck_assert(has(VERIFY_ENTRY) && has(VERIFY_STREAM));
        ck_assert_uint_eq(found.n_damages, 2);
        ck_assert_uint_eq(found.findings[0].offset, offset);
        ck_assert_uint_eq(found.findings[0].size, INDEX_ENTRY_SIZE);
        ck_assert_uint_eq(found.findings[0].first, 4);
        ck_assert_uint_eq(found.findings[0].last, 6);
        /* Whose they were. */
        ck_assert_str_eq(found.findings[1].stream ? "it is said" : "", "it is said");
        ck_assert_uint_eq(found.findings[1].first, 4);
        ck_assert_uint_eq(found.findings[1].last, 6);
}
END_TEST

START_TEST(a_header_that_is_none)
{
        fill_three();
        ck_assert(sim_disk_flip(sim, name_of(10, ".idx"), 30, 1));
        expect_damage(VERIFY_ENTRY, 10, 10, 9);
        ck_assert(sim_disk_flip(sim, name_of(10, ".idx"), 30, 1));
        ck_assert(sim_disk_flip(sim, name_of(1, ".idx"), 30, 1));
        expect_damage(VERIFY_ENTRY, 1, 1, 0);
        ck_assert_uint_eq(result.unchained, 0);
        truncate_to(name_of(1, ".idx"), 100);
        verify();
        ck_assert(has(VERIFY_LINK) && has(VERIFY_ORDER));
}
END_TEST

/* Somebody who knows the format changes a batch, and its entry with it. */
START_TEST(a_changed_record_and_its_entry)
{
        IndexEntry entry;
        uint64_t offset, size;
        uint8_t *text;

        fill_three();
        offset = entry_of(10, 13, &entry);
        text = copy_of(name_of(10, ".log"), &size);
        text[entry.batch.offset + 7] ^= 1;
        entry.batch.stored.payload = text + entry.batch.offset;
        batch_seal(&entry.batch.stored);
        fixture_hash(entry.batch.stored.payload, entry.batch.stored.size, entry.batch.sha256);
        sim_disk_put(sim, name_of(10, ".log"), text, size);
        forge(10, offset, &entry, false);
        /* What follows was chained to the entry that was there. */
        ck_assert_uint_eq(expect_damage(VERIFY_CHAIN, 10, 16, 15)->offset, offset + 2 * INDEX_ENTRY_SIZE - INDEX_ENTRY_SIZE);
        forge(10, offset, &entry, true);
        expect_damage(VERIFY_LINK, 19, 19, 18);
        free(text);
}
END_TEST

/* --- Removed, inserted, reordered --- */

START_TEST(a_removed_record)
{
        uint64_t begin;
        const VerifyFinding *finding;

        fill_three();
        begin = text_of(10, 13);
        splice(name_of(10, ".log"), begin, begin + 37, NULL, 0);
        finding = expect_damage(VERIFY_REMOVED, 10, 13, 15);
        ck_assert_uint_eq(finding->offset, begin);
        ck_assert_uint_eq(finding->size, 37);
        /* Two places: what is between is not where it is looked for. */
        splice(name_of(10, ".log"), 0, 10, NULL, 0);
        verify();
        ck_assert_uint_ge(found.n_damages, 1);
        ck_assert(has(VERIFY_REMOVED));
}
END_TEST

START_TEST(a_removed_batch)
{
        fill_three();
        splice(name_of(10, ".log"), text_of(10, 13), text_of(10, 16), NULL, 0);
        expect_damage(VERIFY_REMOVED, 10, 13, 15);
}
END_TEST

START_TEST(an_inserted_record)
{
        static const char line[] = "node=x type=USER msg=audit(1.000:1): forged\n";
        const VerifyFinding *finding;

        fill_three();
        splice(name_of(10, ".log"), text_of(10, 16), text_of(10, 16), line, strlen(line));
        finding = expect_damage(VERIFY_INSERTED, 10, 16, 15);
        ck_assert_uint_eq(finding->size, strlen(line));
        ck_assert_uint_eq(finding->offset, text_of(10, 16));
        splice(name_of(10, ".log"), text_of(10, 16), text_of(10, 16) + strlen(line), NULL, 0);
        /* In the middle of a batch. */
        splice(name_of(10, ".log"), text_of(10, 13) + 40, text_of(10, 13) + 40, line, strlen(line));
        expect_damage(VERIFY_INSERTED, 10, 13, 15);
}
END_TEST

START_TEST(an_appended_record)
{
        static const char line[] = "node=x type=USER msg=audit(1.000:1): forged\n";
        uint64_t size;

        fill_three();
        (void) sim_disk_bytes(sim, name_of(1, ".log"), &size);
        splice(name_of(1, ".log"), size, size, line, strlen(line));
        ck_assert_uint_eq(expect_damage(VERIFY_SURPLUS, 1, 10, 9)->offset, size);
        truncate_to(name_of(1, ".log"), size);
        (void) sim_disk_bytes(sim, name_of(1, ".idx"), &size);
        splice(name_of(1, ".idx"), size, size, line, strlen(line));
        ck_assert(!expect_damage(VERIFY_SURPLUS, 1, 10, 9)->text);
        truncate_to(name_of(1, ".idx"), size);
        /* Behind the newest, that may be a group under way; behind a clean end it is not. */
        (void) sim_disk_bytes(sim, name_of(19, ".log"), &size);
        splice(name_of(19, ".log"), size, size, line, strlen(line));
        expect_whole(1, 27);
        truncate_to(name_of(19, ".log"), size);
        ck_assert_int_eq(store_finish(store, true, now), 0);
        commit_all();
        close_store();
        splice(name_of(19, ".log"), size, size, line, strlen(line));
        expect_damage(VERIFY_SURPLUS, 19, 28, 27);
        open_store();
}
END_TEST

START_TEST(reordered_records)
{
        uint64_t begin, middle, end, size;
        uint8_t *bytes, *moved;

        fill_three();
        begin = text_of(10, 10);
        middle = text_of(10, 13);
        end = text_of(10, 16);
        bytes = copy_of(name_of(10, ".log"), &size);
        moved = malloc(size);
        memcpy(moved, bytes, size);
        memcpy(moved + begin, bytes + middle, end - middle);
        memcpy(moved + begin + (end - middle), bytes + begin, middle - begin);
        sim_disk_put(sim, name_of(10, ".log"), moved, size);
        expect_damage(VERIFY_TEXT, 10, 10, 15);
        free(moved);
        free(bytes);
}
END_TEST

/* Entries have numbers: who moves them has to write them again. */
START_TEST(reordered_entries)
{
        IndexEntry one, two;
        uint64_t first, second;

        fill_three();
        first = entry_of(10, 10, &one);
        second = entry_of(10, 13, &two);
        two.number = (uint32_t) (first / INDEX_ENTRY_SIZE);
        one.number = (uint32_t) (second / INDEX_ENTRY_SIZE);
        forge(10, first, &two, false);
        forge(10, second, &one, false);
        verify();
        ck_assert(has(VERIFY_CHAIN) && has(VERIFY_ORDER) && has(VERIFY_REPEATED));
}
END_TEST

START_TEST(a_removed_entry)
{
        IndexEntry entry;
        uint64_t offset;

        fill_three();
        offset = entry_of(10, 13, &entry);
        splice(name_of(10, ".idx"), offset, offset + INDEX_ENTRY_SIZE, NULL, 0);
        verify();
        ck_assert(has(VERIFY_ENTRY));
        ck_assert_uint_eq(found.findings[0].first, 13);
        /* All behind it have the wrong number. */
        ck_assert_uint_eq(found.findings[0].last, 18);
}
END_TEST

START_TEST(a_removed_segment)
{
        fill_three();
        remove_file(name_of(10, ".log"));
        expect_damage(VERIFY_TEXT, 10, 10, 18);
        remove_file(name_of(10, ".idx"));
        verify();
        ck_assert(has(VERIFY_MISSING) && has(VERIFY_STREAM));
        ck_assert_uint_eq(found.n_damages, 2);
        ck_assert_uint_eq(found.findings[0].segment, 10);
        ck_assert_uint_eq(found.findings[0].first, 10);
        ck_assert_uint_eq(found.findings[0].last, 18);
        ck_assert_uint_eq(found.findings[1].first, 10);
        ck_assert_uint_eq(found.findings[1].last, 18);
}
END_TEST

START_TEST(a_removed_oldest_segment)
{
        fill_three();
        remove_file(name_of(1, ".log"));
        remove_file(name_of(1, ".idx"));
        expect_damage(VERIFY_MISSING, 10, 1, 9);
        ck_assert_uint_eq(result.oldest, 10);
}
END_TEST

START_TEST(an_inserted_segment)
{
        uint64_t size;
        uint8_t *bytes;

        fill_three();
        bytes = copy_of(name_of(1, ".idx"), &size);
        sim_disk_put(sim, name_of(14, ".idx"), bytes, size);
        free(bytes);
        verify();
        ck_assert(has(VERIFY_ENTRY));
        ck_assert_uint_ge(found.n_damages, 2);
}
END_TEST

/* --- Truncated --- */

START_TEST(a_truncated_segment)
{
        IndexEntry entry;

        fill_three();
        truncate_to(name_of(10, ".log"), text_of(10, 16) + 3);
        expect_damage(VERIFY_REMOVED, 10, 16, 18);
        truncate_to(name_of(10, ".idx"), entry_of(10, 16, &entry));
        verify();
        ck_assert(has(VERIFY_LINK) && has(VERIFY_ORDER));
        truncate_to(name_of(10, ".idx"), 0);
        verify();
        ck_assert(has(VERIFY_LINK) && has(VERIFY_ORDER));
}
END_TEST

/* The newest says itself how far it went, unless that is cut off, too: then only what somebody else was told says so. */
START_TEST(a_truncated_tail)
{
        IndexEntry entry;
        uint64_t size;

        fill_three();
        truncate_to(name_of(19, ".log"), text_of(19, 25));
        expect_damage(VERIFY_REMOVED, 19, 25, 27);
        (void) sim_disk_bytes(sim, name_of(19, ".idx"), &size);
        truncate_to(name_of(19, ".idx"), entry_of(19, 25, &entry));
        expect_whole(1, 24);
        remove_file(name_of(19, ".idx"));
        expect_whole(1, 18);
}
END_TEST

/* What is not there is explained by what its owner wrote down, and by nothing else. */
START_TEST(seqs_of_a_stream_that_are_skipped)
{
        IndexEntry entry;
        uint64_t offset;

        append_batches(1, 4, 2);
        offset = entry_of(1, 5, &entry);
        entry.batch.received_first += 10;
        entry.batch.received_last += 10;
        forge(1, offset, &entry, true);
        verify();
        ck_assert(has(VERIFY_STREAM) && has(VERIFY_REPEATED));
        ck_assert_uint_eq(found.findings[0].first, 5);
        ck_assert_uint_eq(found.findings[0].last, 14);
}
END_TEST

START_TEST(text_that_lies_elsewhere)
{
        IndexEntry entry;
        uint64_t offset, size;
        uint8_t *bytes;

        append_batches(1, 3, 2);
        offset = entry_of(1, 3, &entry);
        bytes = copy_of(name_of(1, ".log"), &size);
        sim_disk_put(sim, name_of(1, ".log"), bytes, size);
        memcpy(bytes + size, bytes + entry.batch.offset, entry.batch.stored.size);
        sim_disk_put(sim, name_of(1, ".log"), bytes, size + entry.batch.stored.size);
        entry.batch.offset = size;
        forge(1, offset, &entry, true);
        verify();
        ck_assert(has(VERIFY_ORDER));
        free(bytes);
}
END_TEST

/* --- A disk that does not answer, and a newer format --- */

START_TEST(a_newer_format)
{
        IndexEntry entry;
        const uint8_t *bytes;
        uint64_t size;
        Disk *disk = sim_disk_attach(sim);

        fill_three();
        bytes = sim_disk_bytes(sim, name_of(10, ".idx"), &size);
        ck_assert_int_eq(index_decode(bytes, 0, &entry), 0);
        entry.segment.version++;
        {
                uint8_t *copy = copy_of(name_of(10, ".idx"), &size), head[SHA256_SIZE] = { 0 };

                index_encode(&entry, fixture_hash, head, copy);
                sim_disk_put(sim, name_of(10, ".idx"), copy, size);
                free(copy);
        }
        ck_assert_int_eq(fixture_verify(disk, &found, &result), -EPROTONOSUPPORT);
        (void) disk_free(disk);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-verify");
        TCase *tcase = tcase_create("store-verify");

        tcase_add_checked_fixture(tcase, setup_chained, teardown);
        tcase_add_test(tcase, no_store);
        tcase_add_test(tcase, a_whole_store);
        tcase_add_test(tcase, a_store_without_a_chain);
        tcase_add_test(tcase, compressed_segments);
        tcase_add_test(tcase, deleted_by_their_owner);
        tcase_add_test(tcase, what_came_without_records);
        tcase_add_test(tcase, an_end_that_was_promised_to_nobody);
        tcase_add_test(tcase, a_changed_byte_of_text);
        tcase_add_test(tcase, a_changed_byte_of_the_index);
        tcase_add_test(tcase, a_header_that_is_none);
        tcase_add_test(tcase, a_changed_record_and_its_entry);
        tcase_add_test(tcase, a_removed_record);
        tcase_add_test(tcase, a_removed_batch);
        tcase_add_test(tcase, an_inserted_record);
        tcase_add_test(tcase, an_appended_record);
        tcase_add_test(tcase, reordered_records);
        tcase_add_test(tcase, reordered_entries);
        tcase_add_test(tcase, a_removed_entry);
        tcase_add_test(tcase, a_removed_segment);
        tcase_add_test(tcase, a_removed_oldest_segment);
        tcase_add_test(tcase, an_inserted_segment);
        tcase_add_test(tcase, a_truncated_segment);
        tcase_add_test(tcase, a_truncated_tail);
        tcase_add_test(tcase, seqs_of_a_stream_that_are_skipped);
        tcase_add_test(tcase, text_that_lies_elsewhere);
        tcase_add_test(tcase, a_newer_format);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
