/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A store whose disk says no at a chosen call, or whose memory does, one case at a time: which trouble is an
 * ordinary result, which ends the segment, and what is then still there. Random trouble: tests/sim.
 */

#include "store-case.h"
#include "capture.h"
#include "fault-disk.h"
#include "memory-faults.h"

/* --- The disk --- */

static FaultPlan plan;

static void open_faulty(void)
{
        close_store();
        plan = (FaultPlan) { 0 };
        options.disk = fault_disk_new(sim_disk_attach(sim), &plan);
        ck_assert_int_eq(store_open(&options, now, &store, &report), 0);
}

/* The nth call from now. */
static void fail_call(uint64_t n, int error)
{
        plan.at = plan.calls + n;
        plan.error = error;
        plan.hit = false;
}

START_TEST(no_room_is_an_ordinary_result)
{
        static const int errors[] = { -ENOSPC, -EDQUOT, -EFBIG };
        unsigned refused = 0;

        open_faulty();
        ck_assert_int_eq(append(1, 1, 3), 0);
        commit();
        for (uint64_t n = 1;; n++) {
                uint64_t first = position(1) + 1;
                int r;

                store_rotate(store);
                fail_call(n, errors[_i]);
                r = append(1, first, first + 2);
                if (!plan.hit)
                        break;
                ck_assert(r == 0 || r == errors[_i]);
                refused += r < 0;
                /* The same again, and nothing was forgotten. */
                if (r < 0)
                        ck_assert_int_eq(append(1, first, first + 2), 0);
                commit();
                ck_assert_uint_eq(position(1), first + 2);
        }
        ck_assert_uint_ge(refused, 2);
        reopen();
        ck_assert_uint_eq(report.n_damages, 0);
        ck_assert_uint_gt(position(1), 3);
}
END_TEST

/* Of lines 1..last of stream 1. */
static uint64_t text_size(uint64_t last)
{
        char line[256];
        uint64_t size = 0;

        for (uint64_t seq = 1; seq <= last; seq++)
                size += fixture_line(1, seq, line);
        return size;
}

/* So many bytes more are there. */
static void leave_room(uint64_t bytes)
{
        Disk *disk = sim_disk_attach(sim);
        DiskSpace space = { 0 };

        ck_assert_int_eq(disk->space(disk, &space), 0);
        sim_disk_set_capacity(sim, space.bytes_total - space.bytes_free + bytes);
        (void) disk_free(disk);
}

/* On a file system that cannot reserve, the write itself finds out that there is no room, and half of it is
 * there. */
START_TEST(half_a_line_does_not_stay)
{
        unsigned found_out = 0;

        for (uint64_t n = 1;; n++) {
                uint64_t size;

                teardown();
                setup();
                open_faulty();
                fail_call(n, _i ? -ENOSYS : -EOPNOTSUPP);
                if (append(1, 1, 3) < 0)
                        continue;
                if (!plan.hit)
                        break;
                leave_room(1024);
                if (append(1, 4, 60) != -ENOSPC)
                        continue;
                found_out++;
                ck_assert_ptr_nonnull(sim_disk_bytes(sim, "00000000000000000001.log", &size));
                ck_assert_uint_eq(size, text_size(3));
        }
        ck_assert_uint_gt(found_out, 0);
}
END_TEST

/* The same for the index, where the commit finds out. */
START_TEST(half_an_entry_does_not_stay)
{
        unsigned found_out = 0;

        for (uint64_t n = 1;; n++) {
                uint64_t before, after;

                teardown();
                setup();
                open_faulty();
                fail_call(n, -EOPNOTSUPP);
                if (append(1, 1, 3) < 0)
                        continue;
                if (!plan.hit)
                        break;
                commit();
                ck_assert_ptr_nonnull(sim_disk_bytes(sim, "00000000000000000001.idx", &before));
                ck_assert_int_eq(append(1, 4, 4), 0);
                fail_call(1, -ENOSPC);
                ck_assert_int_eq(fixture_commit(store, now), -ENOSPC);
                ck_assert_ptr_nonnull(sim_disk_bytes(sim, "00000000000000000001.idx", &after));
                ck_assert_uint_eq(before, after);
                commit();
                ck_assert_uint_eq(position(1), 4);
                found_out++;
        }
        ck_assert_uint_gt(found_out, 1);
}
END_TEST

START_TEST(a_write_of_nothing_is_a_failure)
{
        open_faulty();
        ck_assert_int_eq(append(1, 1, 3), 0);
        commit();
        fail_call(1, FAULT_NOTHING);
        ck_assert_int_eq(append(1, 4, 6), -EIO);
        store_step_back(store);
        ck_assert_int_eq(append(1, 4, 6), 0);
        commit();
}
END_TEST

/* What an attempt that failed has left goes first; if it does not go, that is the error. */
START_TEST(a_file_left_by_an_attempt_is_taken_away)
{
        open_faulty();
        fail_call(2, -EMFILE); /* new.idx is there, the text is not */
        ck_assert_int_eq(append(1, 1, 3), -EMFILE);
        fail_call(2, -EPERM);
        ck_assert_int_eq(append(1, 1, 3), -EPERM);
        ck_assert_int_eq(append(1, 1, 3), 0);
        commit();
        reopen();
        ck_assert_uint_eq(position(1), 3);
}
END_TEST

START_TEST(without_memory_the_table_only_stays_small)
{
        for (unsigned s = 0; s < 64; s++)
                ck_assert_int_eq(append(s, 1, 1), 0);
        memory_fails_at = 2;
        memory_failed = false;
        ck_assert_int_eq(append(64, 1, 1), 0);
        ck_assert(memory_failed);
        ck_assert_int_eq(append(65, 1, 1), 0);
        commit();
        reopen();
        for (unsigned s = 0; s <= 65; s++)
                ck_assert_uint_eq(position(s), 1);
}
END_TEST

/* The table of segments grows with the seventeenth. */
START_TEST(without_memory_a_segment_waits)
{
        for (unsigned i = 1; i <= 16; i++) {
                fill(i, 1);
                store_rotate(store);
        }
        memory_fails_at = 1;
        ck_assert_int_eq(append(1, 17, 17), -ENOMEM);
        ck_assert_int_eq(append(1, 17, 17), 0);
        commit();
        ck_assert_uint_eq(count_segments(), 17);
        reopen();
        ck_assert_uint_eq(position(1), 17);
}
END_TEST

/* A segment's age is in the next one's header. */
START_TEST(what_cannot_be_opened_is_not_old)
{
        options.retention_usec = 3600 * USEC_PER_SEC;
        options.delete_unacked = true;
        open_faulty();
        fill(1, 1);
        store_rotate(store);
        fill(2, 1);
        now += 3601 * USEC_PER_SEC;
        open_faulty();
        ck_assert_int_eq(append(1, 3, 3), 0);
        fail_call(1, -EMFILE);
        commit();
        ck_assert(plan.hit);
        ck_assert_uint_eq(range_of(store_source(store, "c")).oldest, 1);
        fill(4, 1);
        ck_assert_uint_eq(range_of(store_source(store, "c")).oldest, 2);
        now -= 3601 * USEC_PER_SEC;
}
END_TEST

START_TEST(a_failed_commit_steps_back)
{
        open_faulty();
        ck_assert_int_eq(append(1, 1, 3), 0);
        commit();
        ck_assert_int_eq(append(1, 4, 6), 0);
        ck_assert_int_eq(append(2, 1, 1), 0);
        sim_disk_fail_sync_at(sim, 1);
        ck_assert_int_eq(fixture_commit(store, now), -EIO);
        ck_assert_uint_eq(position(1), 3);
        ck_assert_uint_eq(position(2), 0);
        ck_assert_int_eq(append(1, 4, 6), 0);
        ck_assert_int_eq(append(2, 1, 1), 0);
        commit();
        ck_assert_uint_eq(count_segments(), 2);
        reopen();
        ck_assert_uint_eq(position(1), 6);
        ck_assert_uint_eq(position(2), 1);
}
END_TEST

/* A process dies between a new segment's name and its sync; the next one is not to rely on it. */
START_TEST(names_left_unsynced_are_synced_by_the_next_start)
{
        StoreJob job;

        for (uint64_t seed = 1; seed < 50; seed++) {
                close_store();
                (void) sim_disk_free(sim);
                sim = sim_disk_new(seed);
                open_store();
                ck_assert_int_eq(append(1, 1, 3), 0);
                ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
                job.directory = false;
                ck_assert_int_eq(store_job_run(&job), 0);
                reopen();
                ck_assert_uint_eq(position(1), 3);
                ck_assert_int_eq(append(1, 4, 6), 0);
                commit();
                close_store();
                sim_disk_power_cycle(sim);
                open_store();
                ck_assert_uint_eq(position(1), 6);
        }
}
END_TEST

START_TEST(nothing_is_released_that_was_not_shown)
{
        Source *source = store_source(store, "collector");
        StoreStatus status;

        fill(1, 3);
        ck_assert_int_eq(append(1, 4, 4), 0);
        release(source, 2);
        source->release(source, 4, 1);
        store_status(store, &status);
        ck_assert_uint_eq(status.released, 2);
}
END_TEST

/* The stream's first seqs are with another collector: its segment has no own seqs. Then it is poisoned. */
static void explain_and_poison(void)
{
        StreamId id = fixture_stream(1);
        Sink *sink = store_sink(store);
        Batch explained = { .first = 1, .last = 5, .size = 1, .origin = BATCH_ORIGIN_LOCAL,
                            .reason = BATCH_CUSTODY, .payload = (const uint8_t *) "c" };

        batch_seal(&explained);
        ck_assert_int_eq(sink->append(sink, &id, "owner", &explained, &explained, now), 0);
        commit();
        for (unsigned i = 0; i < 2; i++) {
                ck_assert_int_eq(append(1, 6, 6), 0);
                /* The second time what was cut is synced first. */
                sim_disk_fail_sync_at(sim, i == 0 ? 1 : 3);
                ck_assert_int_eq(fixture_commit(store, now), -EIO);
                ck_assert_uint_eq(position(1), 5);
        }
}

static unsigned count_explained(void)
{
        unsigned n = 0;
        const uint8_t *bytes;
        IndexEntry entry;
        uint64_t size;

        bytes = sim_disk_bytes(sim, "00000000000000000001.idx", &size);
        ck_assert_ptr_nonnull(bytes);
        for (uint32_t i = 0; i < size / INDEX_ENTRY_SIZE; i++) {
                ck_assert_int_eq(index_decode(bytes + (size_t) i * INDEX_ENTRY_SIZE, i, &entry), 0);
                n += entry.kind == INDEX_BATCH && entry.batch.received_reason == BATCH_CUSTODY;
        }
        return n;
}

/* Another one takes its place, and says it again: nothing else does. */
START_TEST(what_was_explained_stays_when_its_segment_is_replaced)
{
        explain_and_poison();
        ck_assert_int_eq(append(1, 6, 6), 0);
        commit();
        close_store();
        sim_disk_power_cycle(sim);
        open_store();
        ck_assert_uint_eq(report.n_damages, 0);
        ck_assert_uint_eq(position(1), 6);
        ck_assert_uint_eq(count_explained(), 1);
}
END_TEST

/* Its index cannot be read, or there is no memory for it: the tables are as good, or it waits. */
START_TEST(what_is_replaced_may_not_be_readable)
{
        explain_and_poison();
        memory_fails_at = 1;
        ck_assert_int_eq(append(1, 6, 6), -ENOMEM);
        ck_assert(sim_disk_flip(sim, "00000000000000000001.idx", INDEX_ENTRY_SIZE + 30, 1));
        ck_assert_int_eq(append(1, 6, 6), 0);
        commit();
        reopen();
        ck_assert_uint_eq(report.n_damages, 0);
        ck_assert_uint_eq(position(1), 6);
        ck_assert_uint_eq(count_explained(), 0);
}
END_TEST

START_TEST(each_call_of_a_replacement_may_fail)
{
        uint64_t n = 1;

        do {
                teardown();
                setup();
                open_faulty();
                explain_and_poison();
                fail_call(n++, -EIO);
                if (append(1, 6, 6) < 0 || fixture_commit(store, now) < 0) {
                        plan.at = 0;
                        store_step_back(store);
                        ck_assert_int_eq(append(1, 6, 6), 0);
                        commit();
                }
                plan.at = 0;
                close_store();
                open_store();
                ck_assert_uint_eq(report.n_damages, 0);
                ck_assert_uint_eq(position(1), 6);
        } while (plan.hit);
        ck_assert_uint_gt(n, 10);
}
END_TEST

/* The one that is replaced was found damaged at the start: what could be read of it is in the tables. */
START_TEST(damage_is_not_said_again)
{
        StreamId id = fixture_stream(1);
        Sink *sink = store_sink(store);
        Batch explained = { .first = 1, .last = 5, .size = 1, .origin = BATCH_ORIGIN_LOCAL,
                            .reason = BATCH_CUSTODY, .payload = (const uint8_t *) "c" };

        batch_seal(&explained);
        ck_assert_int_eq(sink->append(sink, &id, "owner", &explained, &explained, now), 0);
        commit();
        ck_assert_int_eq(store_finish(store, true, now), 0);
        commit_all();
        ck_assert(sim_disk_flip(sim, "00000000000000000001.idx", 2 * INDEX_ENTRY_SIZE + 30, 1));
        reopen();
        ck_assert_uint_eq(report.n_damages, 1);
        ck_assert_int_eq(append(2, 1, 1), 0);
        commit();
        reopen();
        ck_assert_uint_eq(report.n_damages, 0);
        ck_assert_uint_eq(position(2), 1);
}
END_TEST

/* --- Every call of an opening, and of a reader --- */

#define LAST_IMAGES 6

/* What an opening may find: streams 1 (to 12) and 2 (to 1), in three segments. */
static void make_image(int kind)
{
        static const uint8_t zero[64 * INDEX_ENTRY_SIZE];
        const char *last = "00000000000000000012";
        char index[32], text[32];

        (void) snprintf(index, sizeof index, "%s.idx", last);
        (void) snprintf(text, sizeof text, "%s.log", last);
        for (uint64_t first = 1; first < 9; first += 3) {
                ck_assert_int_eq(append(1, first, first + 2), 0);
                commit();
        }
        ck_assert_int_eq(append(2, 1, 1), 0);
        commit();
        release(store_source(store, "collector"), 3);
        store_rotate(store);
        fill(10, 1);
        store_rotate(store);
        fill(11, 1);
        if (kind == 1) {
                /* Written, and the process died before the job. */
                StoreJob job;

                ck_assert_int_eq(append(1, 12, 12), 0);
                ck_assert_int_eq(store_commit_begin(store, now, &job), 1);
        } else {
                fill(12, 1);
        }
        close_store();
        switch (kind) {
        case 2:
                ck_assert(sim_disk_flip(sim, index, 40, 1));
                break;
        case 3:
                ck_assert(sim_disk_flip(sim, text, 10, 1));
                break;
        case 4:
                sim_disk_put(sim, index, zero, sizeof zero);
                break;
        case 5:
                ck_assert(sim_disk_flip(sim, index, 40, 1));
                ck_assert(sim_disk_flip(sim, "00000000000000000011.idx", 40, 1));
                break;
        default:
                break;
        }
}

static const struct {
        int error;
        uint64_t more;
} opening_faults[] = { { -EIO, 0 }, { -EIO, 1 }, { -EMFILE, 0 }, { -ENOSPC, 0 }, { -ENOENT, 0 }, { FAULT_SHORT, 0 } };

/* Whatever fails, the next start has all that was acked. What could not be read may count as damage: then its
 * seqs were named, and the position stands all the same. */
START_TEST(each_call_of_an_opening_may_fail)
{
        int kind = _i % LAST_IMAGES;
        size_t f = (size_t) _i / LAST_IMAGES;
        uint64_t n = 1, position_1 = kind == 4 ? 0 : 12;

        for (;; n++) {
                int r;

                make_image(kind);
                plan = (FaultPlan) { .at = n, .error = opening_faults[f].error, .more = opening_faults[f].more };
                options.disk = fault_disk_new(sim_disk_attach(sim), &plan);
                r = store_open(&options, now, &store, &report);
                if (r < 0) {
                        (void) disk_free(options.disk);
                        store = NULL;
                        /* What was missing for once is taken for damage or for a directory that is not there. */
                        ck_assert(r == opening_faults[f].error || opening_faults[f].error == -ENOENT);
                }
                if (!plan.hit)
                        break;
                close_store();
                open_store();
                if (opening_faults[f].error != -ENOENT) {
                        ck_assert_uint_ge(position(1), position_1);
                        ck_assert(kind == 4 || position(2) == 1);
                        ck_assert_int_eq(append(1, position(1) + 1, position(1) + 1), 0);
                        commit();
                }
                teardown();
                setup();
        }
        ck_assert_uint_gt(n, 10);
}
END_TEST

static const int reading_faults[] = { -EIO, -EMFILE, -EUCLEAN, -EBADMSG, -ENOENT };

/* A reader is told of an error, or of damage, and goes on when it has passed; nothing is shown wrongly. */
START_TEST(each_call_of_a_reader_may_fail)
{
        int error = reading_faults[_i];
        uint64_t n = 1;

        make_image(0);
        for (;; n++) {
                Cursor cursor = { { 0 } };
                uint64_t seq, checksum;
                Source *source;
                Batch batch;
                int r;

                open_faulty();
                source = store_source(store, "collector");
                fail_call(n, error);
                plan.more = n % 2;
                for (seq = 1; seq <= 13; seq = batch.last + 1) {
                        r = source->get(source, seq, &cursor, &batch);
                        if (r < 0) {
                                ck_assert_int_eq(r, error);
                                r = source->ended(source, 13, &checksum);
                                ck_assert(r >= 0 || r == error);
                                batch.last = seq - 1;
                                continue;
                        }
                        ck_assert_int_eq(r, 1);
                        ck_assert_uint_eq(batch.first, seq);
                        ck_assert(batch.reason == BATCH_RECORDS || batch.reason == BATCH_LOST);
                }
                r = source->ended(source, 13, &checksum);
                ck_assert(r == 1 || plan.hit);
                if (!plan.hit)
                        break;
        }
        ck_assert_uint_gt(n, 5);
}
END_TEST

/* --- Memory --- */

/* The position without an assertion: these ask for memory themselves. */
static uint64_t position_of(unsigned s)
{
        StreamId id = fixture_stream(s);
        uint64_t last = 0, checksum;

        (void) store_sink(store)->position(store_sink(store), &id, "owner", &last, &checksum);
        return last;
}

/* The names for ausearch are a convenience: whatever fails, records go on, and the names are right again after
 * the next change. */
START_TEST(each_call_for_the_links_may_fail)
{
        char directory[64], link[128], target[128];
        uint64_t n = 1;
        bool hit = true;

        close_store();
        options.links = true;
        for (; hit; n++) {
                Disk *disk = NULL;
                ssize_t size;
                int r;

                scratch_make(directory);
                plan = (FaultPlan) { .error = -EMFILE, .more = n % 3 };
                ck_assert_int_eq(disk_open(directory, &disk), 0);
                options.disk = fault_disk_new(disk, &plan);
                ck_assert_int_eq(store_open(&options, now, &store, &report), 0);
                ck_assert_int_eq(append(1, 1, 1), 0);
                commit();
                store_rotate(store);
                ck_assert_int_eq(append(1, 2, 2), 0);
                plan.at = plan.calls + n;
                r = fixture_commit(store, now);
                plan.at = 0;
                if (r < 0) {
                        store_step_back(store);
                        ck_assert_int_eq(append(1, 2, 2), 0);
                }
                commit_all();
                store_rotate(store);
                ck_assert_int_eq(append(1, 3, 3), 0);
                commit();
                hit = plan.hit;
                /* Taken away behind our back: the next start sees that. */
                (void) snprintf(link, sizeof link, "%s/ausearch/audit.log%s", directory, n % 2 ? "" : ".2");
                ck_assert_int_eq(unlink(link), 0);
                close_store();
                ck_assert_int_eq(disk_open(directory, &options.disk), 0);
                ck_assert_int_eq(store_open(&options, now, &store, &report), 0);
                for (unsigned i = 0; i < 3; i++) {
                        (void) snprintf(link, sizeof link, i == 0 ? "%s/ausearch/audit.log" : "%s/ausearch/audit.log.%u",
                                        directory, i);
                        size = readlink(link, target, sizeof target - 1);
                        ck_assert_int_gt(size, 0);
                        target[size] = '\0';
                        ck_assert_uint_eq(strtoull(target + strlen("../"), NULL, 10), 3 - i);
                }
                close_store();
                scratch_remove(directory);
        }
        ck_assert_uint_gt(n, 20);
        options.links = false;
        open_store();
}
END_TEST

/* Everything a store does that asks for memory. Returns the first error. */
static int live(const char *directory)
{
        char name[300];
        Disk *disk = NULL;
        int r;

        report = (StoreReport) { 0 };
        r = disk_open(directory, &disk);
        if (r < 0)
                return r;
        options.disk = disk;
        options.links = true;
        r = store_open(&options, now, &store, &report);
        if (r < 0) {
                (void) disk_free(disk);
                store = NULL;
                return r;
        }
        for (unsigned s = 1; s <= 20 && r == 0; s++) {
                r = append(s, position_of(s) + 1, position_of(s) + 2);
                if (r == 0 && s % 6 == 0) {
                        r = fixture_commit(store, now);
                        r = MIN(r, 0);
                        store_rotate(store);
                }
        }
        for (unsigned c = 0; c < 3 && r == 0; c++) {
                SourceRange range;
                Source *source;
                Batch batch;

                (void) snprintf(name, sizeof name, "c%u", c);
                source = store_source(store, name);
                if (!source)
                        return -ENOMEM;
                range = range_of(source);
                r = source->get(source, range.newest - 1, NULL, &batch);
                if (r == 1)
                        source->release(source, batch.last, batch.checksum);
                r = MIN(r, 0);
        }
        if (r == 0)
                r = fixture_commit(store, now);
        return MIN(r, 0);
}

/* The last segment, in one of several ways. */
static void spoil(const char *directory, int kind)
{
        static const struct {
                const char *name;
                long offset;
                size_t size;
        } places[] = {
                { "00000000000000000037.log", 0, 0 }, /* not at all */
                { "00000000000000000037.idx", 40, 1 }, /* the header, whose rows are 20 */
                { "00000000000000000037.log", 10, 1 },
                { "00000000000000000037.idx", 0, 60 * INDEX_ENTRY_SIZE },
        };
        char path[128];
        FILE *file;

        (void) snprintf(path, sizeof path, "%s/%s", directory, places[kind].name);
        file = fopen(path, "r+e");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_eq(fseek(file, places[kind].offset, SEEK_SET), 0);
        for (size_t i = 0; i < places[kind].size; i++)
                ck_assert_int_eq(fputc(0x55, file), 0x55);
        (void) fclose(file);
}

/* Without memory for once a call fails, and nothing else: the next start has what was acked. */
START_TEST(each_request_for_memory_may_fail)
{
        char directory[64];
        uint64_t n = 1;

        close_store();
        options.segment_size_max = 300;
        for (;; n++) {
                int r;

                scratch_make(directory);
                ck_assert_int_eq(live(directory), 0);
                close_store();
                spoil(directory, _i);
                memory_failed = false;
                memory_fails_at = n;
                r = live(directory);
                memory_fails_at = 0;
                close_store();
                ck_assert(r == 0 || (r == -ENOMEM && memory_failed));
                ck_assert_int_eq(live(directory), 0);
                for (unsigned s = 1; s <= 20; s++)
                        ck_assert_uint_ge(position(s), _i == 3 ? 2 : 4);
                close_store();
                scratch_remove(directory);
                if (!memory_failed)
                        break;
        }
        ck_assert_uint_gt(n, 20);
        options.links = false;
        open_store();
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-trouble");
        TCase *tcase = tcase_create("store-trouble");

        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, no_room_is_an_ordinary_result, 0, 3);
        tcase_add_loop_test(tcase, half_a_line_does_not_stay, 0, 2);
        tcase_add_test(tcase, half_an_entry_does_not_stay);
        tcase_add_test(tcase, a_write_of_nothing_is_a_failure);
        tcase_add_test(tcase, a_file_left_by_an_attempt_is_taken_away);
        tcase_add_test(tcase, without_memory_the_table_only_stays_small);
        tcase_add_test(tcase, without_memory_a_segment_waits);
        tcase_add_test(tcase, what_cannot_be_opened_is_not_old);
        tcase_add_test(tcase, a_failed_commit_steps_back);
        tcase_add_test(tcase, names_left_unsynced_are_synced_by_the_next_start);
        tcase_add_test(tcase, nothing_is_released_that_was_not_shown);
        tcase_add_test(tcase, what_was_explained_stays_when_its_segment_is_replaced);
        tcase_add_test(tcase, what_is_replaced_may_not_be_readable);
        tcase_add_test(tcase, each_call_of_a_replacement_may_fail);
        tcase_add_test(tcase, damage_is_not_said_again);
        tcase_add_loop_test(tcase, each_call_of_an_opening_may_fail, 0, LAST_IMAGES * (int) ELEMENTSOF(opening_faults));
        tcase_add_loop_test(tcase, each_call_of_a_reader_may_fail, 0, (int) ELEMENTSOF(reading_faults));
        tcase_add_test(tcase, each_call_for_the_links_may_fail);
        tcase_add_loop_test(tcase, each_request_for_memory_may_fail, 0, 4);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
