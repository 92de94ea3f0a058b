/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reads what a store has written from the description of its files, not with its code: so a mistake that
 * writer and reader of the store share is still a mistake here.
 */

#include "sim.h"
#include "basic/bytes.h"

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define ENTRY 256U
#define MAGIC 0x58495241U
#define CHAIN 32U
#define SEGMENTS_MAX 4096U

enum { KIND_SEGMENT = 1, KIND_STREAM = 2, KIND_BATCH = 3, KIND_CUSTODY = 5, KIND_DELETED = 6, KIND_RESTART = 10 };

void reader_hash(const void *data, size_t size, uint8_t ret_digest[static 32])
{
        uint64_t h = checksum64(data, size);

        for (size_t i = 0; i < CHAIN; i += sizeof h) {
                memcpy(ret_digest + i, &h, sizeof h);
                h = (h ^ h >> 29) * UINT64_C(0xbf58476d1ce4e5b9) + 1;
        }
}

static bool entry_is_good(const uint8_t *entry, uint32_t number)
{
        return get_le32(entry) == MAGIC && get_le32(entry + 16) == number &&
               get_le64(entry + 8) == checksum64_pair(entry, 8, entry + 16, ENTRY - 16);
}

static void follow_chain(uint8_t chain[static CHAIN], const uint8_t *entry)
{
        uint8_t bytes[CHAIN + 8 + 208];

        memcpy(bytes, chain, CHAIN);
        memcpy(bytes + CHAIN, entry, 8);
        memcpy(bytes + CHAIN + 8, entry + 16, 208);
        reader_hash(bytes, sizeof bytes, chain);
}

static ReaderBatch read_batch(const uint8_t *entry, const uint8_t *text)
{
        ReaderBatch batch = {
                .first = get_le64(entry + 24),
                .last = get_le64(entry + 32),
                .count = get_le32(entry + 40),
                .size = get_le32(entry + 44),
                .received_first = get_le64(entry + 88),
                .received_last = get_le64(entry + 96),
                .received_reason = entry[128],
        };

        memcpy(batch.stream.bytes, entry + 72, sizeof batch.stream.bytes);
        batch.text = text + get_le64(entry + 112);
        return batch;
}

static bool text_is_good(const uint8_t *entry, const uint8_t *text, uint64_t text_size)
{
        uint64_t offset = get_le64(entry + 112), size = get_le32(entry + 44);

        return offset <= text_size && size <= text_size - offset &&
               checksum64(text + offset, size) == get_le64(entry + 56);
}

/* --- Which segments there are --- */

typedef struct Firsts {
        uint64_t first[SEGMENTS_MAX];
        size_t n;
} Firsts;

static bool parse_name(const char *name, const char *suffix, uint64_t *ret)
{
        char *end;

        *ret = strtoull(name, &end, 10);
        return end == name + 20 && strcmp(end, suffix) == 0;
}

static int collect(const char *name, void *userdata)
{
        Firsts *firsts = userdata;
        uint64_t first;

        if (parse_name(name, ".idx", &first)) {
                assert(firsts->n < SEGMENTS_MAX);
                firsts->first[firsts->n++] = first;
        }
        return 0;
}

static int compare(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return (x > y) - (x < y);
}

static size_t list_firsts(const SimDisk *disk, Firsts *firsts)
{
        Disk *reading = sim_disk_attach((SimDisk *) (uintptr_t) disk);

        assert(reading->list(reading, ".", collect, firsts) == 0);
        (void) disk_free(reading);
        qsort(firsts->first, firsts->n, sizeof firsts->first[0], compare);
        return firsts->n;
}

/* --- All of it --- */

typedef struct Position {
        StreamId stream;
        uint64_t last;
} Position;

typedef struct Walk {
        const SimDisk *disk;
        bool chained;
        void (*found)(const ReaderBatch *batch, void *userdata);
        void *userdata;
        uint64_t last; /* own seq */
        Position positions[64];
        size_t n_positions;
        const char *why;
        char text[200];
} Walk;

static bool wrong(Walk *walk, uint64_t segment, uint32_t entry, const char *what)
{
        static char why[200];

        (void) snprintf(why, sizeof why, "segment %" PRIu64 ", entry %u: %s", segment, entry, what);
        walk->why = why;
        return false;
}

/* Each seq of a stream once, in order, none left out. */
static bool follow_stream(Walk *walk, const ReaderBatch *batch)
{
        static const StreamId own = {{0}};
        size_t i;

        if (memcmp(&batch->stream, &own, sizeof own) == 0)
                return true;
        for (i = 0;
             i < walk->n_positions && memcmp(&walk->positions[i].stream, &batch->stream, sizeof own) != 0;
             i++)
                ;
        if (i == walk->n_positions) {
                assert(i < ELEMENTSOF(walk->positions));
                walk->positions[walk->n_positions++] = (Position){batch->stream, 0};
        }
        if (batch->received_first != walk->positions[i].last + 1 ||
            batch->received_last < batch->received_first)
                return false;
        walk->positions[i].last = batch->received_last;
        return true;
}

static bool walk_batch(Walk *walk, uint64_t segment, uint32_t number, const uint8_t *entry,
                       const uint8_t *text, uint64_t text_size, uint64_t *text_end)
{
        ReaderBatch batch = read_batch(entry, text);

        if (batch.first != walk->last + 1 || batch.last + 1 != batch.first + batch.count)
                return wrong(walk, segment, number, "own seqs are not contiguous");
        if (get_le64(entry + 112) != *text_end || !text_is_good(entry, text, text_size))
                return wrong(walk, segment, number, "the text is another");
        if (!follow_stream(walk, &batch))
                return wrong(walk, segment, number, "a stream's seqs are not contiguous");
        walk->last = batch.last;
        *text_end += batch.size;
        walk->found(&batch, walk->userdata);
        return true;
}

/* `next_head`: of the segment behind it; what follows the entry with that chain was given up. NULL: the last
 * one. */
static bool walk_segment(Walk *walk, uint64_t first, uint8_t chain[static CHAIN], const uint8_t *next_head)
{
        uint64_t index_size, text_size = 0, text_end = 0;
        const uint8_t *index, *text;
        char name[32];
        uint32_t i;

        (void) snprintf(name, sizeof name, "%020" PRIu64 ".idx", first);
        index = sim_disk_bytes(walk->disk, name, &index_size);
        (void) snprintf(name, sizeof name, "%020" PRIu64 ".log", first);
        text = sim_disk_bytes(walk->disk, name, &text_size);
        if (!text || first != walk->last + 1)
                return wrong(walk, first, 0, text ? "is not where the one before ends" : "has no text");
        for (i = 0; i < index_size / ENTRY; i++) {
                const uint8_t *entry = index + (size_t) i * ENTRY;

                if (i > 0 && next_head && memcmp(chain, next_head, CHAIN) == 0)
                        break;
                if (!entry_is_good(entry, i))
                        return wrong(walk, first, i, "does not verify");
                if ((get_le16(entry + 4) == KIND_SEGMENT) != (i == 0))
                        return wrong(walk, first, i,
                                     "a header is where none should be, or none where one should");
                if (walk->chained && i == 0 && memcmp(entry + 80, chain, CHAIN) != 0)
                        return wrong(walk, first, i, "the chain of the segment before is another");
                follow_chain(chain, entry);
                if (walk->chained && memcmp(chain, entry + 224, CHAIN) != 0)
                        return wrong(walk, first, i, "the chain breaks");
                if (get_le16(entry + 4) == KIND_BATCH &&
                    !walk_batch(walk, first, i, entry, text, text_size, &text_end))
                        return false;
        }
        if (text_size != text_end)
                return wrong(walk, first, i, "text that no batch has");
        return true;
}

const char *reader_walk(const SimDisk *disk, bool chained,
                        void (*found)(const ReaderBatch *batch, void *userdata), void *userdata)
{
        Walk *walk = calloc(1, sizeof *walk);
        Firsts *firsts = calloc(1, sizeof *firsts);
        uint8_t chain[CHAIN] = {0};
        const char *why;

        assert(walk && firsts);
        *walk = (Walk){.disk = disk, .chained = chained, .found = found, .userdata = userdata};
        (void) list_firsts(disk, firsts);
        for (size_t i = 0; i < firsts->n && !walk->why; i++) {
                const uint8_t *head = NULL;
                uint64_t size;
                char name[32];

                if (i + 1 < firsts->n) {
                        (void) snprintf(name, sizeof name, "%020" PRIu64 ".idx", firsts->first[i + 1]);
                        head = sim_disk_bytes(disk, name, &size);
                        if (size < ENTRY)
                                (void) wrong(walk, firsts->first[i + 1], 0, "has no header");
                        head += 80;
                }
                if (!walk->why)
                        (void) walk_segment(walk, firsts->first[i], chain, head);
        }
        why = walk->why;
        free(firsts);
        free(walk);
        return why;
}

void reader_scan(const SimDisk *disk, uint64_t from, void (*found)(const ReaderBatch *batch, void *userdata), void *userdata)
{
        Firsts *firsts = calloc(1, sizeof *firsts);

        assert(firsts);
        for (size_t i = 0, n = list_firsts(disk, firsts); i < n; i++) {
                uint64_t next = i + 1 < n ? firsts->first[i + 1] : UINT64_MAX, index_size, text_size = 0;
                const uint8_t *index, *text;
                ReaderBatch batch;
                char name[32];

                if (next <= from)
                        continue;
                (void) snprintf(name, sizeof name, "%020" PRIu64 ".idx", firsts->first[i]);
                index = sim_disk_bytes(disk, name, &index_size);
                (void) snprintf(name, sizeof name, "%020" PRIu64 ".log", firsts->first[i]);
                text = sim_disk_bytes(disk, name, &text_size);
                for (uint32_t k = 0; text && k < index_size / ENTRY; k++) {
                        const uint8_t *entry = index + (size_t) k * ENTRY;

                        if (!entry_is_good(entry, k) || get_le16(entry + 4) != KIND_BATCH ||
                            !text_is_good(entry, text, text_size))
                                continue;
                        batch = read_batch(entry, text);
                        if (batch.first >= from && batch.first < next)
                                found(&batch, userdata);
                }
        }
        free(firsts);
}

/* --- What is on the medium --- */

static const uint8_t *synced(const SimDisk *disk, uint64_t first, const char *suffix, uint64_t *ret_size)
{
        char wanted[32];
        const uint8_t *bytes;
        const char *name;

        (void) snprintf(wanted, sizeof wanted, "%020" PRIu64 "%s", first, suffix);
        for (size_t i = 0; (bytes = sim_disk_synced(disk, i, &name, ret_size)); i++)
                if (strcmp(name, wanted) == 0)
                        return bytes;
        *ret_size = 0;
        return NULL;
}

/* The newest segment; NULL: none. */
static const uint8_t *newest_index(const SimDisk *disk, uint64_t *ret_first, uint64_t *ret_size)
{
        const char *name;
        uint64_t first;

        *ret_first = 0;
        for (size_t i = 0; sim_disk_synced(disk, i, &name, ret_size); i++)
                if (parse_name(name, ".idx", &first))
                        *ret_first = MAX(*ret_first, first);
        return synced(disk, *ret_first, ".idx", ret_size);
}

uint64_t reader_durable(const SimDisk *disk, const StreamId *stream)
{
        uint64_t newest, size, text_size, last = 0;
        const uint8_t *index = newest_index(disk, &newest, &size);
        const uint8_t *text = synced(disk, newest, ".log", &text_size);

        for (uint32_t i = 0; index && text && i < size / ENTRY; i++) {
                const uint8_t *entry = index + (size_t) i * ENTRY;
                unsigned kind = get_le16(entry + 4);

                if (!entry_is_good(entry, i))
                        break;
                if (kind == KIND_STREAM && memcmp(entry + 24, stream, sizeof *stream) == 0)
                        last = get_le64(entry + 40);
                if (kind == KIND_BATCH && memcmp(entry + 72, stream, sizeof *stream) == 0) {
                        if (!text_is_good(entry, text, text_size))
                                break;
                        last = get_le64(entry + 96);
                }
        }
        return last;
}

uint64_t reader_custody(const SimDisk *disk, const char *collector)
{
        uint64_t newest, size, seq = 0;
        const uint8_t *index = newest_index(disk, &newest, &size);

        for (uint32_t i = 0; index && i < size / ENTRY; i++) {
                const uint8_t *entry = index + (size_t) i * ENTRY;
                unsigned kind = get_le16(entry + 4);

                if (!entry_is_good(entry, i))
                        break;
                /* In a header the custody behind a restart is that of the new stream. */
                if (kind == KIND_RESTART)
                        seq = 0;
                if (kind == KIND_CUSTODY && entry[64] == strlen(collector) &&
                    memcmp(entry + 65, collector, strlen(collector)) == 0)
                        seq = get_le64(entry + 24);
        }
        return seq;
}

uint64_t reader_deleted(const SimDisk *disk, uint64_t last)
{
        uint64_t newest, size, bytes = 0;
        const uint8_t *index = newest_index(disk, &newest, &size);

        for (uint32_t i = 0; index && i < size / ENTRY; i++) {
                const uint8_t *entry = index + (size_t) i * ENTRY;

                if (!entry_is_good(entry, i))
                        break;
                if (get_le16(entry + 4) == KIND_DELETED && get_le64(entry + 32) == last)
                        bytes = get_le64(entry + 48);
        }
        return bytes;
}
