/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files that contradict themselves in one place, openings whose calls fail in turn, and what a caller must not do. */

#include "check-main.h"
#include "call-faults.h"
#include "ring/ring-internal.h"

#include <fcntl.h>
#include <stdio.h>

static char directory[64], path[80];
static Ring *ring;
static bool created;

static const RingOptions options = { .path = path, .size = RING_SIZE_MIN, .node = "n1", .stream = { { 1, 2, 3 } } };

static void open_ring(void)
{
        ck_assert_int_eq(ring_open(&options, &ring, &created), 0);
}

static void set_up(void)
{
        strcpy(directory, "/tmp/test-ring-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        (void) snprintf(path, sizeof path, "%s/ring", directory);
        open_ring();
        ck_assert(created);
}

static void tear_down(void)
{
        char command[128];

        ring = ring_free(ring);
        (void) snprintf(command, sizeof command, "rm -r %s", directory);
        ck_assert_int_eq(system(command), 0);
}

static void put(uint32_t count)
{
        uint8_t *out = ring_begin(ring, count * 2, false);

        ck_assert_ptr_nonnull(out);
        for (uint32_t i = 0; i < count; i++)
                memcpy(out + (size_t) 2 * i, "x\n", 2);
        ring_seal(ring, (size_t) count * 2, count, BATCH_ORIGIN_KERNEL);
        ring_publish(ring);
}

/* --- One contradiction each --- */

static void change_entry(RingFile *file, uint64_t position, uint64_t first, uint64_t last, uint32_t count, BatchReason reason)
{
        uint8_t *entry = (uint8_t *) file + sizeof *file + position;
        Batch batch = { .first = first, .last = last, .count = count, .size = count * 2, .origin = BATCH_ORIGIN_KERNEL,
                        .reason = reason, .payload = entry + BATCH_HEADER_SIZE };

        batch_seal(&batch);
        batch_encode(&batch, entry);
}

#define CONTRADICTIONS 26

/* The file holds batches 1..3 and 4..6, in that order. */
static void contradict(RingFile *file, int which)
{
        RingHeader *header = &file->header;
        RingWords *words = &file->words;
        uint64_t end = words->published & ~UINT64_C(7), copy = words->published & 1;

        switch (which) {
        case 0: header->version++; break;
        case 1: header->landing_max++; break;
        case 2: header->state_size++; break;
        case 3: header->landing_size++; break;
        case 4: header->area_size = RING_SIZE_MIN - RING_PAGE; break;
        case 5: header->area_size++; break;
        case 6: header->area_size += RING_PAGE; break;
        case 7: memset(header->node, 'x', sizeof header->node); break;
        case 8: memset(&header->stream, 0, sizeof header->stream); break;
        case 9: words->published |= 4; break;
        case 10: words->head = 4; break;
        case 11: words->head = end + 8; break;
        case 12: words->published = (header->area_size + 8) | copy; break;
        case 13: words->published = words->head = (UINT64_C(1) << 63) | copy; words->head &= ~UINT64_C(7); break;
        case 14: file->states[copy].newest = UINT64_MAX; break;
        case 15: file->states[copy].newest = 7; break;
        case 16: change_entry(file, 0, 1, 3, 3, BATCH_FILTERED); break;
        case 17: change_entry(file, end / 2, 4, 3, 0, BATCH_RECORDS); break;
        case 18: change_entry(file, end / 2, 5, 7, 3, BATCH_RECORDS); break;
        case 19: words->kept[3].used = 3; break;
        case 20: words->kept[3].turn = 2; break;
        case 21: words->kept[3].used = 1; memset(words->kept[3].name, 'x', sizeof words->kept[3].name); break;
        case 22: words->kept[3].used = 1; words->kept[3].acked[0].seq = 7; break;
        case 23: file->states[copy].n_dropped_types = RING_DROPPED_TYPES_MAX + 1; break;
        case 24: words->published = (end - 8) | copy; break;
        /* An entry cannot begin so near to the end of the area. */
        case 25: words->head = header->area_size - 8; words->published = (header->area_size + 8) | copy; break;
        default: break;
        }
        header->checksum = checksum64(header, offsetof(RingHeader, checksum));
}

static RingFile *map_file(size_t *ret_size)
{
        int fd = open(path, O_RDWR | O_CLOEXEC);
        struct stat st;
        void *file;

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(fstat(fd, &st), 0);
        *ret_size = (size_t) st.st_size;
        file = mmap(NULL, *ret_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert(file != MAP_FAILED);
        (void) close(fd);
        return file;
}

START_TEST(a_contradiction_is_set_aside)
{
        RingFile *file;
        RingStatus status;
        size_t size;

        put(3);
        put(3);
        ring = ring_free(ring);
        file = map_file(&size);
        contradict(file, _i);
        ck_assert_int_eq(munmap(file, size), 0);
        open_ring();
        /* The last way is none. */
        ck_assert(created == (_i < CONTRADICTIONS));
        ck_assert((ring_set_aside(ring) != NULL) == (_i < CONTRADICTIONS));
        ring_status(ring, &status);
        ck_assert_uint_eq(status.newest, _i < CONTRADICTIONS ? 0 : 6);
}
END_TEST

START_TEST(a_header_with_another_checksum_is_set_aside)
{
        RingFile *file;
        size_t size;

        ring = ring_free(ring);
        file = map_file(&size);
        file->header.node[0] ^= 1;
        ck_assert_int_eq(munmap(file, size), 0);
        open_ring();
        ck_assert_ptr_nonnull(ring_set_aside(ring));
}
END_TEST

/* --- Calls that fail --- */

static const int errors[] = { EIO, ENOMEM, EINTR };

/* Whatever fails, the next opening has what there was; only a file that was set aside for it is begun anew. */
START_TEST(each_call_of_an_opening_may_fail)
{
        bool there = _i % 2;

        call_errno = errors[_i / 2];
        put(3);
        for (uint64_t n = 1;; n++) {
                RingStatus status;
                int r;

                ring = ring_free(ring);
                if (!there)
                        ck_assert_int_eq(unlink(path), 0);
                call_failed = false;
                call_fails_at = n;
                r = ring_open(&options, &ring, &created);
                call_fails_at = 0;
                ck_assert(r == 0 || call_failed);
                if (!call_failed)
                        break;
                ring = ring_free(ring);
                open_ring();
                ring_status(ring, &status);
                ck_assert_uint_eq(status.newest, there ? 3 : 0);
        }
}
END_TEST

/* Somebody renames again and again: not for ever. */
START_TEST(a_name_that_never_stays_is_busy)
{
        ring = ring_free(ring);
        call_errno = ENOENT;
        call_fails_always = "stat64";
        ck_assert_int_eq(ring_open(&options, &ring, &created), -EBUSY);
        call_fails_always = NULL;
        open_ring();
        ck_assert(!created);
}
END_TEST

START_TEST(memory_for_a_source_may_be_missing)
{
        call_errno = ENOMEM;
        call_fails_at = 1;
        ck_assert_ptr_null(ring_source(ring, "remote", true));
        call_fails_at = 0;
        ring_source_free(ring, NULL);
        ck_assert_ptr_null(ring_free(NULL));
}
END_TEST

START_TEST(paths_have_a_longest)
{
        RingOptions wrong = options;
        char longest[4096], name[200];
        Ring *other = NULL;

        memset(longest, '/', sizeof longest);
        strcpy(longest + sizeof longest - 2 - strlen(path), path);
        wrong.path = longest;
        ring = ring_free(ring);
        /* Found as it is, with a suffix it would be too long. */
        ck_assert_int_eq(truncate(path, 100), 0);
        ck_assert_int_eq(ring_open(&wrong, &other, &created), -ENAMETOOLONG);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(ring_open(&wrong, &other, &created), -ENAMETOOLONG);
        memset(name, 'n', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        wrong = options;
        wrong.node = name;
        ck_assert_int_eq(ring_open(&wrong, &other, &created), -EINVAL);
        ck_assert_ptr_null(other);
}
END_TEST

START_TEST(a_directory_is_no_ring)
{
        char device[] = "/dev/null";
        RingOptions wrong = options;
        Ring *other = NULL;

        wrong.path = device;
        ck_assert_int_eq(ring_open(&wrong, &other, &created), -EINVAL);
        /* Where the damaged one should go, something else is. */
        ring = ring_free(ring);
        ck_assert_int_eq(truncate(path, 100), 0);
        ck_assert_int_eq(chdir(directory), 0);
        ck_assert_int_eq(mkdir("ring.damaged", 0700), 0);
        ck_assert_int_eq(ring_open(&options, &other, &created), -EISDIR);
}
END_TEST

/* --- Questions at the edge --- */

START_TEST(what_no_batch_answers)
{
        Source *source = ring_source(ring, "remote", true);
        Sink *sink = ring_sink(ring);
        StreamId null = { { 0 } };
        uint64_t checksum, last;
        Cursor cursor = { { 0 } };
        Batch batch;

        put(3);
        put(3);
        ck_assert_int_eq(source->ended(source, 2, &checksum), -ESTALE);
        ck_assert_int_eq(source->ended(source, 7, &checksum), -ESTALE);
        ck_assert_int_eq(source->get(source, 2, &cursor, &batch), -ESTALE);
        ck_assert_int_eq(source->get(source, 0, &cursor, &batch), -ESTALE);
        ck_assert_int_eq(source->get(source, 8, &cursor, &batch), -ESTALE);
        /* A hint that is none: position and seq do not belong together. */
        cursor = (Cursor) { { 0, 4 } };
        ck_assert_int_eq(source->get(source, 4, &cursor, &batch), 1);
        ck_assert_uint_eq(batch.first, 4);
        cursor = (Cursor) { { UINT64_MAX, 4 } };
        ck_assert_int_eq(source->get(source, 4, &cursor, &batch), 1);
        source->release(source, 7, 1);
        source->release(source, 3, 1);
        source->release(source, 3, 1);
        ck_assert_uint_eq(ring_floor(ring), 3);
        ck_assert_int_eq(sink->position(sink, &null, "me", &last, &checksum), -EINVAL);
        ck_assert_int_eq(sink->append(sink, &null, "me", &batch, &batch, 0), -EINVAL);
}
END_TEST

/* --- What ends the process: it would write over what is published --- */

START_TEST(a_wrong_call_ends_the_process)
{
        Source other = { 0 };
        Batch batch = { .first = 1, .last = 1, .count = 1, .size = 2, .origin = BATCH_ORIGIN_LOCAL, .reason = BATCH_RECORDS,
                        .payload = (const uint8_t *) "x\n" };
        RingSource foreign = { .source = other };
        uint32_t port;
        size_t size;

        batch_seal(&batch);
        (void) ring_begin(ring, 100, false);
        /* Nobody tears down behind an abort; the mapping does not need its name. */
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(rmdir(directory), 0);
        expect_abort();
        switch (_i) {
        case 0:
                ring_landing_prepare(ring)->msg_len = 5;
                (void) ring_landing_prepare(ring);
                break;
        case 1: (void) ring_landed_message(ring, RING_LANDING_MAX, &size, &port); break;
        case 2: (void) ring_begin(ring, BATCH_PAYLOAD_MAX + 1, false); break;
        case 3: ring_seal(ring, 2, 0, BATCH_ORIGIN_KERNEL); break;
        case 4: ring_seal(ring, 101, 1, BATCH_ORIGIN_KERNEL); break;
        case 5:
                ring_seal(ring, 2, 1, BATCH_ORIGIN_KERNEL);
                (void) ring_sink(ring)->append(ring_sink(ring), &(StreamId){ { 7 } }, "me", &batch, &batch, 0);
                break;
        case 6: ring_source_free(ring, &foreign.source); break;
        default: (void) ring_kept(ring, RING_KEPT_MAX); break;
        }
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("ring-edges");
        TCase *tcase = tcase_create("ring-edges");

        tcase_add_checked_fixture(tcase, set_up, tear_down);
        tcase_add_loop_test(tcase, a_contradiction_is_set_aside, 0, CONTRADICTIONS + 1);
        tcase_add_test(tcase, a_header_with_another_checksum_is_set_aside);
        tcase_add_loop_test(tcase, each_call_of_an_opening_may_fail, 0, 2 * (int) ELEMENTSOF(errors));
        tcase_add_test(tcase, a_name_that_never_stays_is_busy);
        tcase_add_test(tcase, memory_for_a_source_may_be_missing);
        tcase_add_test(tcase, paths_have_a_longest);
        tcase_add_test(tcase, a_directory_is_no_ring);
        tcase_add_test(tcase, what_no_batch_answers);
        tcase_add_loop_test_raise_signal(tcase, a_wrong_call_ends_the_process, SIGABRT, 0, 8);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
