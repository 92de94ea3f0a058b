/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A verification in trouble: memory or a disk that ends, segments that go while they are read, an end that is torn. */

#include "store-verify-case.h"
#include "fault-disk.h"
#include "memory-faults.h"

/* --- The memory --- */

START_TEST(each_request_for_memory_may_fail)
{
        StreamId id = fixture_stream(1);

        fill_three();
        store_stream_forget(store, &id);
        commit_all();
        for (uint64_t n = 1;; n++) {
                Disk *disk = sim_disk_attach(sim);
                int r;

                memory_fails_at = n;
                memory_failed = false;
                r = fixture_verify(disk, &found, &result);
                memory_fails_at = 0;
                (void) disk_free(disk);
                ck_assert_int_eq(r, memory_failed ? -ENOMEM : 0);
                if (!memory_failed)
                        break;
        }
        ck_assert_uint_eq(result.records, 27);
}
END_TEST

/* --- The disk --- */

/* Each call fails in turn: then it says so, or what it could not read is damaged; never that all is well. */
static void sweep(int error)
{
        for (uint64_t n = 1;; n++) {
                FaultPlan plan = { .at = n, .error = error, .for_ever = true };
                Disk *disk = fault_disk_new(sim_disk_attach(sim), &plan);
                int r = fixture_verify(disk, &found, &result);

                (void) disk_free(disk);
                if (!plan.hit)
                        break;
                ck_assert_msg(r == error || (r == 0 && found.n_damages > 0), "call %" PRIu64 ": %d", n, r);
        }
}

START_TEST(a_disk_that_does_not_answer)
{
        StorePack pack;

        fill_three();
        ck_assert(store_pack_begin(store, &pack));
        ck_assert_int_eq(store_pack_end(store, &pack, store_pack_run(&pack)), 0);
        sweep(-EIO);
        sweep(-EACCES);
        sweep(-ENOENT);
        ck_assert(sim_disk_flip(sim, name_of(10, ".idx"), entry_of(10, 16, &(IndexEntry) { 0 }) + 90, 1));
        sweep(-EACCES);
}
END_TEST

/* A segment that its owner deletes while others are read is none that is missing. */
static unsigned opens_until_gone;
static int (*open_through)(Disk *disk, const char *name, int flags);

static int open_and_delete(Disk *disk, const char *name, int flags)
{
        if (opens_until_gone > 0 && --opens_until_gone == 0)
                for (unsigned i = 0; i < 2; i++) {
                        (void) disk->unlink(disk, name_of(i == 0 ? 1 : 10, ".idx"));
                        (void) disk->unlink(disk, name_of(i == 0 ? 1 : 10, ".log"));
                }
        return open_through(disk, name, flags);
}

START_TEST(deleted_while_it_is_read)
{
        for (unsigned n = 1; n < 9; n++) {
                Disk *disk = sim_disk_attach(sim);

                fill_three();
                open_through = disk->open;
                disk->open = open_and_delete;
                opens_until_gone = n;
                ck_assert_int_eq(fixture_verify(disk, &found, &result), 0);
                /* Nothing says that they were deleted, so that is told; but as what was before the oldest. */
                for (size_t i = 0; i < found.n; i++)
                        ck_assert_int_eq((int) found.findings[i].kind, VERIFY_MISSING);
                ck_assert_uint_eq(result.newest, 27);
                (void) disk_free(disk);
                teardown();
                setup_chained();
        }
}
END_TEST

/* Behind the last COMMIT what does not follow is a torn end, as it is for the next start. */
START_TEST(an_end_that_does_not_follow)
{
        IndexEntry entry;
        uint64_t offset, size;

        append_batches(1, 3, 3);
        close_store();
        /* The last COMMIT goes, and with it the promise; the batch before it is another one. */
        offset = entry_of(1, 7, &entry);
        truncate_to(name_of(1, ".idx"), offset + INDEX_ENTRY_SIZE);
        (void) sim_disk_bytes(sim, name_of(1, ".idx"), &size);
        expect_whole(1, 9);
        entry.batch.received_first++;
        entry.batch.received_last++;
        forge(1, offset, &entry, true);
        expect_whole(1, 6);
        entry.batch.received_first--;
        entry.batch.received_last--;
        entry.batch.offset++;
        forge(1, offset, &entry, true);
        expect_whole(1, 6);
        entry.batch.offset--;
        batch_renumber(&entry.batch.stored, 8, 10);
        forge(1, offset, &entry, true);
        expect_whole(1, 6);
        batch_renumber(&entry.batch.stored, 7, 9);
        forge(1, offset, &entry, true);
        expect_whole(1, 9);
        ck_assert(sim_disk_flip(sim, name_of(1, ".log"), entry.batch.offset, 1));
        expect_whole(1, 6);
        ck_assert(sim_disk_flip(sim, name_of(1, ".log"), entry.batch.offset, 1));
        entry.flags = 4;
        {
                uint8_t *bytes = copy_of(name_of(1, ".idx"), &size), head[SHA256_SIZE] = { 0 };

                index_encode(&entry, fixture_hash, head, bytes + offset);
                sim_disk_put(sim, name_of(1, ".idx"), bytes, size);
                free(bytes);
        }
        expect_whole(1, 6);
        open_store();
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-verify-edges");
        TCase *tcase = tcase_create("store-verify-edges");

        tcase_add_checked_fixture(tcase, setup_chained, teardown);
        tcase_add_test(tcase, each_request_for_memory_may_fail);
        tcase_add_test(tcase, a_disk_that_does_not_answer);
        tcase_add_test(tcase, deleted_while_it_is_read);
        tcase_add_test(tcase, an_end_that_does_not_follow);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
