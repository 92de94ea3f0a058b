/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Packed segments: written, read by the store itself and beside it, at any point of a failure, and at start. */

#include "store-case.h"
#include "basic/bytes.h"
#include "fault-disk.h"
#include "store/view.h"

#include <zstd.h>

/* Plain text of a block. */
#define PACK_TEST_BLOCK 1048576U
#define PACK_TEST_MAGIC UINT32_C(0x184D2A5E)
#define PACK_TEST_MAGIC_END UINT32_C(0x8F92EAB1)
#define FIRST_LOG "00000000000000000001.log"
#define FIRST_PACKED FIRST_LOG ".zst"

/* --- Memory that ends, and a zstd that errs --- */

/* Of the calls from now on (those that only packing and unpacking make) the nth fails, once. 0: none. */
static uint64_t fails_at;
static bool failed;
static size_t compressed_to; /* what compressing says instead; 0: the truth */
static bool inflates_wrong;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
ZSTD_CCtx *__real_ZSTD_createCCtx(void);
size_t __real_ZSTD_compress2(ZSTD_CCtx *context, void *to, size_t size, const void *from, size_t n);
size_t __real_ZSTD_decompress(void *to, size_t size, const void *from, size_t n);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
ZSTD_CCtx *__wrap_ZSTD_createCCtx(void);
size_t __wrap_ZSTD_compress2(ZSTD_CCtx *context, void *to, size_t size, const void *from, size_t n);
size_t __wrap_ZSTD_decompress(void *to, size_t size, const void *from, size_t n);

static bool strikes(void)
{
        if (fails_at == 0 || --fails_at > 0)
                return false;
        failed = true;
        return true;
}

void *__wrap_malloc(size_t size)
{
        return size >= PACK_TEST_BLOCK && strikes() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
        return size == sizeof(uint64_t) && strikes() ? NULL : __real_calloc(n, size);
}

ZSTD_CCtx *__wrap_ZSTD_createCCtx(void)
{
        return strikes() ? NULL : __real_ZSTD_createCCtx();
}

size_t __wrap_ZSTD_compress2(ZSTD_CCtx *context, void *to, size_t size, const void *from, size_t n)
{
        return compressed_to > 0 ? compressed_to : __real_ZSTD_compress2(context, to, size, from, n);
}

size_t __wrap_ZSTD_decompress(void *to, size_t size, const void *from, size_t n)
{
        size_t m = __real_ZSTD_decompress(to, size, from, n);

        if (inflates_wrong)
                *(uint8_t *) to ^= 1;
        return m;
}

/* --- Words --- */

static int run_pack(void)
{
        StorePack pack;

        if (!store_pack_begin(store, &pack))
                return 1;
        return store_pack_end(store, &pack, store_pack_run(&pack));
}

static void rotate(void)
{
        store_rotate(store);
        commit();
}

static bool exists(const char *name)
{
        uint64_t size;

        return sim_disk_bytes(sim, name, &size) != NULL;
}

/* All own seqs from `first` on are shown as they were written, by a source and by a view. */
static void expect_all(uint64_t first, uint64_t last)
{
        Source *source = store_source(store, "c");
        StoreView *view;
        ViewBatch batch;
        uint64_t seq = first;
        char text[256];

        for (; seq <= last;) {
                Batch shown;

                ck_assert_int_eq(source->get(source, seq, NULL, &shown), 1);
                ck_assert_int_eq(shown.reason, BATCH_RECORDS);
                ck_assert_mem_eq(shown.payload, text, fixture_line(1, seq, text));
                seq = shown.last + 1;
        }
        ck_assert_int_eq(store_view_open(sim_disk_attach(sim), false, &view), 0);
        for (seq = first; seq <= last; seq = batch.stored.last + 1) {
                ck_assert_int_eq(store_view_next(view, &batch), 1);
                ck_assert_uint_eq(batch.stored.first, seq);
                ck_assert_int_eq(store_view_read(view, &batch), 1);
                ck_assert_mem_eq(batch.stored.payload, text, fixture_line(1, seq, text));
        }
        ck_assert_int_eq(store_view_next(view, &batch), 0);
        store_view_free(view);
}

/* Three blocks and a bit of text, in batches that lie across their borders. */
static uint64_t fill_large(void)
{
        uint64_t seq = 1;

        options.segment_size_max = options.group_bytes_max = 16 * PACK_TEST_BLOCK;
        reopen();
        while (seq < 60000) {
                ck_assert_int_eq(append(1, seq, seq + 2999), 0);
                commit();
                seq += 3000;
        }
        rotate();
        return seq - 1;
}

START_TEST(packed_and_read)
{
        uint64_t last = fill_large(), plain, packed;
        const uint8_t *bytes, *text;
        StoreStatus before, after;
        uint8_t *again;

        text = sim_disk_bytes(sim, FIRST_LOG, &plain);
        ck_assert_ptr_nonnull(text);
        ck_assert_uint_gt(plain, 3 * PACK_TEST_BLOCK);
        again = malloc(plain + 1);
        memcpy(again, text, plain);
        store_status(store, &before);
        ck_assert_int_eq(run_pack(), 0);
        ck_assert_int_eq(run_pack(), 1);
        ck_assert(!exists(FIRST_LOG));
        store_status(store, &after);
        ck_assert_uint_eq(after.packed, 1);
        ck_assert_uint_lt(after.bytes, before.bytes / 2);
        expect_all(1, last);
        reopen();
        store_status(store, &before);
        ck_assert_uint_eq(before.packed, 1);
        /* But for the mark that the start writes. */
        ck_assert_uint_le(before.bytes, after.bytes + INDEX_ENTRY_SIZE);
        expect_all(1, last);
        /* Whoever has zstd can read it, the table being a frame that is passed over. */
        bytes = sim_disk_bytes(sim, FIRST_PACKED, &packed);
        {
                uint8_t *inflated = malloc(plain + 1);

                ck_assert_uint_eq(ZSTD_decompress(inflated, plain + 1, bytes, packed), plain);
                ck_assert_mem_eq(inflated, again, plain);
                free(inflated);
        }
        free(again);
}
END_TEST

START_TEST(the_oldest_first_and_never_the_last)
{
        StorePack pack;

        ck_assert_int_eq(run_pack(), 1);
        fill(1, 2);
        ck_assert_int_eq(run_pack(), 1);
        rotate();
        fill(3, 2);
        rotate();
        /* One that is begun and not yet durable keeps the one before it. */
        fill(5, 1);
        store_rotate(store);
        ck_assert_int_eq(append(1, 6, 6), 0);
        ck_assert(store_pack_begin(store, &pack));
        ck_assert_uint_eq(pack.first, 1);
        {
                StorePack other;

                ck_assert(!store_pack_begin(store, &other));
        }
        ck_assert_int_eq(store_pack_end(store, &pack, store_pack_run(&pack)), 0);
        ck_assert(store_pack_begin(store, &pack));
        ck_assert_uint_eq(pack.first, 3);
        ck_assert_int_eq(store_pack_end(store, &pack, store_pack_run(&pack)), 0);
        ck_assert_int_eq(run_pack(), 1);
        commit();
        ck_assert_int_eq(run_pack(), 0);
        expect_all(1, 6);
}
END_TEST

/* Whatever call fails: an error, nothing is lost, and it goes the next time. */
START_TEST(any_call_may_fail)
{
        static const int errors[] = { -EIO, -ENOSPC, -ENOENT, -EMFILE, FAULT_SHORT, FAULT_NOTHING, -EINTR };

        for (size_t e = 0; e < ELEMENTSOF(errors); e++)
                for (uint64_t n = 1;; n++) {
                        FaultPlan plan = { 0 };
                        StorePack pack;
                        bool hit;
                        int r;

                        teardown();
                        setup();
                        close_store();
                        options.disk = fault_disk_new(sim_disk_attach(sim), &plan);
                        ck_assert_int_eq(store_open(&options, now, &store, &report), 0);
                        fill(1, 2);
                        rotate();
                        fill(3, 1);
                        ck_assert(store_pack_begin(store, &pack));
                        plan = (FaultPlan) { .at = n, .error = errors[e] };
                        r = store_pack_run(&pack);
                        hit = plan.hit;
                        r = store_pack_end(store, &pack, r);
                        ck_assert(hit || r == 0);
                        ck_assert(r == 0 || exists(FIRST_LOG));
                        plan = (FaultPlan) { 0 };
                        expect_all(1, 3);
                        reopen();
                        expect_all(1, 3);
                        (void) run_pack();
                        expect_all(1, 3);
                        if (!hit)
                                break;
                        ck_assert_uint_lt(n, 100);
                }
}
END_TEST

START_TEST(deleted_meanwhile)
{
        StorePack pack;
        int r;

        options.use_max = 16384;
        options.delete_unacked = true;
        options.segment_size_max = 300;
        reopen();
        fill(1, 10);
        ck_assert(store_pack_begin(store, &pack));
        r = store_pack_run(&pack);
        fill(11, 100);
        ck_assert(!exists(FIRST_LOG));
        ck_assert_int_eq(store_pack_end(store, &pack, r), 0);
        ck_assert(!exists(FIRST_PACKED));
        /* Packed ones are deleted like others, also by the next start. */
        ck_assert_int_eq(run_pack(), 0);
        fill(111, 100);
        reopen();
        ck_assert_uint_lt(count_segments(), 40);
}
END_TEST

/* Killed after the packed text has its name: the plain one counts. After the newest were taken away by hand: the
 * packed one is the one to go on from. */
START_TEST(at_start)
{
        StorePack pack;
        Disk *disk;

        fill(1, 2);
        rotate();
        fill(3, 1);
        ck_assert(store_pack_begin(store, &pack));
        ck_assert_int_eq(store_pack_run(&pack), 0);
        sim_disk_put(sim, "new.zst", "x", 1);
        reopen();
        ck_assert(exists(FIRST_LOG) && !exists(FIRST_PACKED) && !exists("new.zst"));
        expect_all(1, 3);
        ck_assert_int_eq(run_pack(), 0);
        ck_assert(!exists(FIRST_LOG) && exists(FIRST_PACKED));
        close_store();
        sim_disk_put(sim, "00000000000000000077.log.zst", "x", 1);
        disk = sim_disk_attach(sim);
        ck_assert_int_eq(disk->unlink(disk, "00000000000000000003.idx"), 0);
        ck_assert_int_eq(disk->unlink(disk, "00000000000000000003.log"), 0);
        (void) disk_free(disk);
        open_store();
        ck_assert(exists(FIRST_LOG) && !exists(FIRST_PACKED) && exists("00000000000000000077.log.zst"));
        expect_all(1, 2);
        fill(3, 1);
        expect_all(1, 3);
}
END_TEST

START_TEST(unpacking_may_fail)
{
        static const int errors[] = { -EIO, -ENOSPC };

        for (size_t e = 0; e < ELEMENTSOF(errors); e++)
                for (uint64_t n = 1;; n++) {
                        FaultPlan plan = { 0 };
                        Disk *disk;
                        int r;

                        teardown();
                        setup();
                        fill(1, 2);
                        rotate();
                        ck_assert_int_eq(run_pack(), 0);
                        close_store();
                        disk = sim_disk_attach(sim);
                        ck_assert_int_eq(disk->unlink(disk, "00000000000000000003.idx"), 0);
                        (void) disk_free(disk);
                        plan = (FaultPlan) { .at = n, .error = errors[e] };
                        options.disk = fault_disk_new(sim_disk_attach(sim), &plan);
                        r = store_open(&options, now, &store, &report);
                        if (r < 0)
                                (void) disk_free(options.disk);
                        else
                                close_store();
                        open_store();
                        ck_assert_uint_eq(report.n_damages, 0);
                        expect_all(1, 2);
                        if (!plan.hit)
                                break;
                        ck_assert_uint_lt(n, 200);
                }
}
END_TEST

/* Every byte of the packed text and its table: never another text than was stored. */
START_TEST(damage)
{
        uint64_t size;

        fill(1, 3);
        rotate();
        ck_assert_int_eq(run_pack(), 0);
        ck_assert_ptr_nonnull(sim_disk_bytes(sim, FIRST_PACKED, &size));
        for (uint64_t i = 0; i < size; i++) {
                StoreView *view;
                ViewBatch batch;
                char text[256];

                ck_assert(sim_disk_flip(sim, FIRST_PACKED, i, 0x81));
                ck_assert_int_eq(store_view_open(sim_disk_attach(sim), false, &view), 0);
                for (uint64_t seq = 1; seq <= 3; seq++) {
                        int r;

                        ck_assert_int_eq(store_view_next(view, &batch), 1);
                        r = store_view_read(view, &batch);
                        ck_assert_int_ge(r, 0);
                        if (r > 0)
                                ck_assert_mem_eq(batch.stored.payload, text, fixture_line(1, seq, text));
                }
                store_view_free(view);
                ck_assert(sim_disk_flip(sim, FIRST_PACKED, i, 0x81));
        }
        expect_all(1, 3);
        /* A file that is too short; the source explains it. */
        {
                Source *source = store_source(store, "d");

                close_store();
                sim_disk_put(sim, FIRST_PACKED, "x", 1);
                open_store();
                source = store_source(store, "d");
                ck_assert_uint_eq(expect(source, 1, BATCH_LOST, "store-damaged"), 1);
        }
}
END_TEST

/* A segment that cannot be read is not tried again and again. */
START_TEST(what_cannot_be_packed)
{
        StorePack pack;

        fill(1, 1);
        rotate();
        fill(2, 1);
        rotate();
        ck_assert(store_pack_begin(store, &pack));
        ck_assert_int_eq(store_pack_end(store, &pack, -EIO), -EIO);
        ck_assert(store_pack_begin(store, &pack));
        ck_assert_uint_eq(pack.first, 2);
        /* Room comes back. */
        ck_assert_int_eq(store_pack_end(store, &pack, -ENOSPC), -ENOSPC);
        ck_assert(store_pack_begin(store, &pack));
        ck_assert_uint_eq(pack.first, 2);
        ck_assert_int_eq(store_pack_end(store, &pack, -ENOMEM), -ENOMEM);
        ck_assert_int_eq(run_pack(), 0);
        expect_all(1, 2);
        /* No text at all. */
        close_store();
        sim_disk_put(sim, FIRST_LOG, "", 0);
        open_store();
        ck_assert(store_pack_begin(store, &pack));
        ck_assert_int_eq(store_pack_run(&pack), -EINVAL);
        ck_assert_int_eq(store_pack_end(store, &pack, -EINVAL), -EINVAL);
}
END_TEST

START_TEST(memory_that_ends)
{
        fill(1, 3);
        rotate();
        for (uint64_t n = 1;; n++) {
                int r;

                failed = false;
                fails_at = n;
                r = run_pack();
                fails_at = 0;
                ck_assert_int_eq(r, failed ? -ENOMEM : 0);
                expect_all(1, 3);
                if (!failed)
                        break;
        }
        /* Reading. */
        for (uint64_t n = 1;; n++) {
                StoreView *view;
                ViewBatch batch;
                int r;

                ck_assert_int_eq(store_view_open(sim_disk_attach(sim), false, &view), 0);
                ck_assert_int_eq(store_view_next(view, &batch), 1);
                failed = false;
                fails_at = n;
                r = store_view_read(view, &batch);
                fails_at = 0;
                store_view_free(view);
                ck_assert_int_eq(r, failed ? -ENOMEM : 1);
                if (!failed)
                        break;
        }
        /* Unpacking at a start. */
        for (uint64_t n = 1;; n++) {
                Disk *disk = sim_disk_attach(sim);
                int r;

                close_store();
                (void) disk->unlink(disk, "00000000000000000004.idx");
                (void) disk_free(disk);
                options.disk = sim_disk_attach(sim);
                failed = false;
                fails_at = n;
                r = store_open(&options, now, &store, &report);
                fails_at = 0;
                if (r == 0)
                        break;
                ck_assert(failed);
                (void) disk_free(options.disk);
                open_store();
                rotate();
                (void) run_pack();
        }
        expect_all(1, 3);
}
END_TEST

/* What does not inflate to what it was is not kept. */
START_TEST(zstd_that_errs)
{
        fill(1, 3);
        rotate();
        compressed_to = (size_t) -1;
        ck_assert_int_eq(run_pack(), -ENOMEM);
        compressed_to = 5;
        ck_assert_int_eq(run_pack(), -EBADMSG);
        compressed_to = 0;
        reopen();
        inflates_wrong = true;
        ck_assert_int_eq(run_pack(), -EBADMSG);
        inflates_wrong = false;
        expect_all(1, 3);
}
END_TEST

/* A failure in the midst of many blocks; and damage found meanwhile keeps a segment as it is. */
START_TEST(large_and_failing)
{
        uint64_t last = fill_large();
        FaultPlan plan = { 0 };
        StorePack pack;

        close_store();
        options.disk = fault_disk_new(sim_disk_attach(sim), &plan);
        ck_assert_int_eq(store_open(&options, now, &store, &report), 0);
        for (uint64_t n = 5; n < 10; n++) {
                ck_assert(store_pack_begin(store, &pack));
                plan = (FaultPlan) { .at = n, .error = -ENOSPC };
                ck_assert_int_eq(store_pack_end(store, &pack, store_pack_run(&pack)), -ENOSPC);
        }
        plan = (FaultPlan) { 0 };
        expect_all(1, last);
        ck_assert(sim_disk_flip(sim, FIRST_LOG, 5, 1));
        (void) expect(store_source(store, "c"), 1, BATCH_LOST, "store-damaged");
        ck_assert(!store_pack_begin(store, &pack));
}
END_TEST

/* Tables that say what cannot be, with a good end. */
START_TEST(tables)
{
        static const struct {
                uint32_t blocks, packed, plain;
        } cases[] = { { 0, 0, 0 }, { 1U << 20, 0, 0 }, { 3, 0, 0 }, { 1, 1U << 30, 10 }, { 1, 1, 1U << 30 }, { 1, 9, 10 },
                      { 2, 10, 10 } };

        fill(1, 3);
        rotate();
        ck_assert_int_eq(run_pack(), 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint8_t file[64] = { 0 };
                StoreView *view;
                ViewBatch batch;

                put_le32(file + 10, PACK_TEST_MAGIC);
                put_le32(file + 18, cases[i].packed);
                put_le32(file + 22, cases[i].plain);
                put_le32(file + 26, cases[i].packed);
                put_le32(file + 30, cases[i].plain);
                put_le32(file + 18 + 8 * MIN(cases[i].blocks, 2U), cases[i].blocks);
                put_le32(file + 18 + 8 * MIN(cases[i].blocks, 2U) + 5, PACK_TEST_MAGIC_END);
                sim_disk_put(sim, FIRST_PACKED, file, 18 + 8 * MIN(cases[i].blocks, 2U) + 9);
                ck_assert_int_eq(store_view_open(sim_disk_attach(sim), false, &view), 0);
                ck_assert_int_eq(store_view_next(view, &batch), 1);
                ck_assert_int_eq(store_view_read(view, &batch), 0);
                store_view_free(view);
        }
        /* Neither: it is gone. */
        {
                Disk *disk = sim_disk_attach(sim);
                StoreView *view;
                ViewBatch batch;

                ck_assert_int_eq(disk->unlink(disk, FIRST_PACKED), 0);
                ck_assert_int_eq(store_view_open(sim_disk_attach(sim), false, &view), 0);
                ck_assert_int_eq(store_view_next(view, &batch), 1);
                ck_assert_int_eq(store_view_read(view, &batch), 0);
                store_view_free(view);
                (void) disk_free(disk);
        }
}
END_TEST

START_TEST(links_are_to_what_ausearch_reads)
{
        Disk *disk = sim_disk_attach(sim);
        char target[64];

        options.links = true;
        reopen();
        fill(1, 1);
        rotate();
        fill(2, 1);
        rotate();
        fill(3, 1);
        ck_assert_int_eq(disk->read_link(disk, "ausearch/audit.log.2", target, sizeof target), 0);
        ck_assert_int_eq(run_pack(), 0);
        ck_assert_int_eq(store_links_now(store), 0);
        ck_assert_int_eq(disk->read_link(disk, "ausearch/audit.log.2", target, sizeof target), -ENOENT);
        ck_assert_int_eq(disk->read_link(disk, "ausearch/audit.log.1", target, sizeof target), 0);
        ck_assert_str_eq(target, "../00000000000000000002.log");
        (void) disk_free(disk);
}
END_TEST

/* The folder is built in one place at a time. */
START_TEST(links_are_made_one_making_at_a_time)
{
        Disk *disk = sim_disk_attach(sim);
        StoreLinks links, others;
        char target[64];

        options.links = true;
        reopen();
        for (unsigned i = 1; i < 4; i++) {
                fill(i, 1);
                rotate();
        }
        fill(4, 1);
        ck_assert_int_eq(run_pack(), 0);
        ck_assert(store_links_begin(store, &links));
        ck_assert_int_eq(run_pack(), 0);
        ck_assert(!store_links_begin(store, &others));
        ck_assert_int_eq(store_links_end(store, &links, store_links_run(&links)), 0);
        ck_assert(store_links_begin(store, &others));
        ck_assert_int_eq(store_links_end(store, &others, store_links_run(&others)), 0);
        ck_assert_int_eq(disk->read_link(disk, "ausearch/audit.log.1", target, sizeof target), 0);
        ck_assert_str_eq(target, "../00000000000000000003.log");
        ck_assert_int_eq(disk->read_link(disk, "ausearch/audit.log.2", target, sizeof target), -ENOENT);
        (void) disk_free(disk);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-pack");
        TCase *tcase = tcase_create("pack");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, packed_and_read);
        tcase_add_test(tcase, the_oldest_first_and_never_the_last);
        tcase_add_test(tcase, any_call_may_fail);
        tcase_add_test(tcase, deleted_meanwhile);
        tcase_add_test(tcase, at_start);
        tcase_add_test(tcase, unpacking_may_fail);
        tcase_add_test(tcase, damage);
        tcase_add_test(tcase, what_cannot_be_packed);
        tcase_add_test(tcase, memory_that_ends);
        tcase_add_test(tcase, zstd_that_errs);
        tcase_add_test(tcase, large_and_failing);
        tcase_add_test(tcase, tables);
        tcase_add_test(tcase, links_are_to_what_ausearch_reads);
        tcase_add_test(tcase, links_are_made_one_making_at_a_time);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
