/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of verification share: a chained store of three segments, hands on its files, and what is expected to
 * be found. */

#include "store-case.h"
#include "store-verify.h"

#include <inttypes.h>
#include <stdio.h>

static Found found;
static VerifyResult result;

static inline void setup_chained(void)
{
        sim = sim_disk_new(1);
        options = fixture_options(NULL);
        options.hash = fixture_hash;
        open_store();
}

static inline void verify(void)
{
        Disk *disk = sim_disk_attach(sim);

        ck_assert_int_eq(fixture_verify(disk, &found, &result), 0);
        ck_assert_uint_eq(result.damages, found.n_damages);
        (void) disk_free(disk);
}

/* Exactly this one damage. */
static inline const VerifyFinding *expect_damage(VerifyKind kind, uint64_t segment, uint64_t first, uint64_t last)
{
        const VerifyFinding *only = NULL;

        verify();
        for (size_t i = 0; i < found.n; i++)
                if (verify_is_damage(found.findings[i].kind)) {
                        ck_assert_msg(!only, "also kind %d, %" PRIu64 "..%" PRIu64, (int) found.findings[i].kind,
                                      found.findings[i].first, found.findings[i].last);
                        only = &found.findings[i];
                }
        ck_assert_ptr_nonnull(only);
        ck_assert_int_eq((int) only->kind, (int) kind);
        ck_assert_uint_eq(only->segment, segment);
        ck_assert_uint_eq(only->first, first);
        ck_assert_uint_eq(only->last, last);
        return only;
}

static inline bool has(VerifyKind kind)
{
        for (size_t i = 0; i < found.n; i++)
                if (found.findings[i].kind == kind)
                        return true;
        return false;
}

static inline void expect_whole(uint64_t oldest, uint64_t newest)
{
        verify();
        for (size_t i = 0; i < found.n; i++)
                ck_assert_msg(!verify_is_damage(found.findings[i].kind), "kind %d", (int) found.findings[i].kind);
        ck_assert_uint_eq(result.oldest, oldest);
        ck_assert_uint_eq(result.newest, newest);
        ck_assert_uint_eq(result.records, newest + 1 - oldest);
        ck_assert_uint_eq(found.records, result.records);
}

static inline void append_batches(uint64_t first, unsigned n, unsigned each)
{
        for (unsigned i = 0; i < n; i++, first += each) {
                ck_assert_int_eq(append(1, first, first + each - 1), 0);
                commit();
        }
}

static inline void rotate(void)
{
        store_rotate(store);
        commit_all();
}

/* Segments 1 (seqs 1..9), 10 (10..18) and 19 (19..27); three batches each. */
static inline void fill_three(void)
{
        append_batches(1, 3, 3);
        rotate();
        append_batches(10, 3, 3);
        rotate();
        append_batches(19, 3, 3);
}

/* --- The files, by hand --- */

static inline const char *name_of(uint64_t first, const char *suffix)
{
        /* Several are used in one expression. */
        static char names[8][64];
        static unsigned next;
        char *name = names[next++ % 8];

        (void) snprintf(name, sizeof names[0], "%020" PRIu64 "%s", first, suffix);
        return name;
}

static inline uint8_t *copy_of(const char *name, uint64_t *ret_size)
{
        const uint8_t *bytes = sim_disk_bytes(sim, name, ret_size);
        uint8_t *copy = malloc(*ret_size + 4096);

        ck_assert_ptr_nonnull(bytes);
        memcpy(copy, bytes, *ret_size);
        return copy;
}

/* The bytes from `begin` to `end` are replaced. */
static inline void splice(const char *name, uint64_t begin, uint64_t end, const void *with, size_t n)
{
        uint64_t size;
        uint8_t *bytes = copy_of(name, &size);

        memmove(bytes + begin + n, bytes + end, size - end);
        if (n > 0)
                memcpy(bytes + begin, with, n);
        sim_disk_put(sim, name, bytes, size - (end - begin) + n);
        free(bytes);
}

static inline void truncate_to(const char *name, uint64_t size)
{
        uint64_t whole;

        (void) sim_disk_bytes(sim, name, &whole);
        splice(name, size, whole, NULL, 0);
}

static inline void remove_file(const char *name)
{
        Disk *disk = sim_disk_attach(sim);

        ck_assert_int_eq(disk->unlink(disk, name), 0);
        (void) disk_free(disk);
}

/* The entry of the batch with this own seq. */
static inline uint64_t entry_of(uint64_t segment, uint64_t own, IndexEntry *ret)
{
        const uint8_t *bytes;
        uint64_t size;

        bytes = sim_disk_bytes(sim, name_of(segment, ".idx"), &size);
        for (uint32_t i = 0; i < size / INDEX_ENTRY_SIZE; i++)
                if (index_decode(bytes + (size_t) i * INDEX_ENTRY_SIZE, i, ret) == 0 && ret->kind == INDEX_BATCH &&
                    ret->batch.stored.first <= own && own <= ret->batch.stored.last)
                        return (uint64_t) i * INDEX_ENTRY_SIZE;
        ck_abort();
}

static inline uint64_t text_of(uint64_t segment, uint64_t own)
{
        IndexEntry entry;

        (void) entry_of(segment, own, &entry);
        return entry.batch.offset;
}

/* Writes the entry again, as somebody would who knows the format; with the chain from here on, if he is thorough. */
static inline void forge(uint64_t segment, uint64_t offset, const IndexEntry *entry, bool chain)
{
        uint64_t size;
        uint8_t *bytes = copy_of(name_of(segment, ".idx"), &size), head[SHA256_SIZE];
        IndexEntry other = *entry;
        int r = 0;

        memcpy(head, bytes + offset - 32, sizeof head);
        for (uint32_t i = (uint32_t) (offset / INDEX_ENTRY_SIZE); r == 0 && (uint64_t) i * INDEX_ENTRY_SIZE < size; i++) {
                index_encode(&other, fixture_hash, head, bytes + (size_t) i * INDEX_ENTRY_SIZE);
                if (!chain)
                        break;
                r = index_decode(bytes + (size_t) (i + 1) * INDEX_ENTRY_SIZE, i + 1, &other);
        }
        sim_disk_put(sim, name_of(segment, ".idx"), bytes, size);
        free(bytes);
}

