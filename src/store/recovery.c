/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Opening a directory: which files are segments, what was begun or deleted half, and the rest of recovery
 * around the last segment (recovery-segment.c).
 */

#include "store/store-internal.h"

typedef struct Names {
        uint64_t *firsts;
        size_t n, allocated;
} Names;

static int add_name(Names *names, uint64_t first)
{
        size_t allocated = MAX(2 * names->allocated, 64U);
        uint64_t *firsts;

        if (names->n == names->allocated) {
                firsts = reallocarray(names->firsts, allocated, sizeof *firsts);
                if (!firsts)
                        return -ENOMEM;
                names->firsts = firsts;
                names->allocated = allocated;
        }
        names->firsts[names->n++] = first;
        return 0;
}

typedef struct Listing {
        Names indexes, texts, packed;
} Listing;

static int found_name(const char *entry, void *userdata)
{
        Listing *listing = userdata;
        uint64_t first;

        if (strlen(entry) < 24)
                return 0;
        if (segment_parse_name(entry, STORE_PACKED, &first))
                return add_name(&listing->packed, first);
        if (segment_parse_name(entry, ".idx", &first))
                return add_name(&listing->indexes, first);
        if (segment_parse_name(entry, ".log", &first))
                return add_name(&listing->texts, first);
        return 0;
}

static int compare(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return (x > y) - (x < y);
}

/* A text without index: begun and never durable. Nobody was told that its records are safe, still they are
 * not thrown away. */
static void set_aside_text(Store *store, uint64_t first)
{
        char name[STORE_NAME_MAX], aside[STORE_NAME_MAX + sizeof ".orphan"];

        segment_name(first, ".log", name);
        strcpy(aside, name);
        strcat(aside, ".orphan");
        if (segment_file_size(store->disk, first, ".log") > 0)
                (void) store->disk->rename(store->disk, name, aside);
        else
                (void) store->disk->unlink(store->disk, name);
        store->directory_dirty = true;
}

static int list_segments(Store *store, Listing *listing)
{
        int r = store->disk->list(store->disk, ".", found_name, listing);
        Segment *segment;

        if (r < 0)
                return r;
        if (listing->indexes.n > 0)
                qsort(listing->indexes.firsts, listing->indexes.n, sizeof(uint64_t), compare);
        for (size_t i = 0; i < listing->indexes.n; i++) {
                recovery_progress(store);
                segment = segment_add(store, listing->indexes.firsts[i]);
                if (!segment)
                        return -ENOMEM;
                segment_set_bytes(store, segment, segment_file_size(store->disk, segment->first, ".log") +
                                                          segment_file_size(store->disk, segment->first, ".idx"));
        }
        (void) store->disk->unlink(store->disk, STORE_INDEX_NEW);
        (void) store->disk->unlink(store->disk, STORE_PACK_NEW);
        for (size_t i = 0; i < listing->packed.n && r == 0; i++)
                r = pack_settle(store, listing->packed.firsts[i]);
        return r;
}

static void remove_files(Store *store, const Segment *segment)
{
        retention_remove_files(store->disk, &(StoreGone) { segment->first, segment->damaged });
        store->directory_dirty = true;
}

/* Deletions whose entry is durable, finished. */
static void finish_deletions(Store *store, const Names *texts)
{
        uint64_t last = store->deleted.kind == INDEX_DELETED ? store->deleted.deleted.last : 0;
        size_t n = 0;

        while (n + 1 < store->n_segments && store->segments[n].first <= last)
                remove_files(store, &store->segments[n++]);
        segment_drop_oldest(store, n);
        for (size_t i = 0; i < texts->n; i++)
                if (texts->firsts[i] <= last && store->n_segments > 0 &&
                    texts->firsts[i] < store->segments[0].first)
                        remove_files(store, &(Segment) { .first = texts->firsts[i] });
}

static void set_aside_begun(Store *store, const Names *texts)
{
        uint64_t newest = store->n_segments > 0 ? store->segments[store->n_segments - 1].first : 0;

        for (size_t i = 0; i < texts->n; i++)
                if (texts->firsts[i] > newest)
                        set_aside_text(store, texts->firsts[i]);
}

/* Streams that were announced, but of which no batch became durable. */
static void drop_announced(Store *store)
{
        Stream *stream, *next;

        for (stream = streams_next(&store->streams, NULL); stream; stream = next) {
                next = streams_next(&store->streams, stream);
                streams_drop_new(&store->streams, stream);
        }
}

/* What damage was found is written down at once; on a full disk it goes with the first commit there is room
 * for. */
static int write_down_damage(Store *store, uint64_t now_usec)
{
        int r = commit_now(store, now_usec);

        return error_is_no_room(r) && store->restart.kind != INDEX_RESTART ? 0 : r;
}

static int recover(Store *store, uint64_t now_usec, const Listing *listing, StoreReport *report)
{
        int r = 0;

        report->created = store->n_segments == 0;
        if (!report->created)
                r = recovery_segment(store, now_usec, report);
        if (r < 0)
                return r;
        if (stream_id_is_null(&store->stream))
                store->options.random(&store->stream, sizeof store->stream);
        /* Before anything goes: the segment that says what was deleted may have got its name by a process that
         * did not live to sync that. */
        r = store->disk->sync_directory(store->disk);
        if (r < 0)
                return r;
        store->directory_dirty = false;
        finish_deletions(store, &listing->texts);
        finish_deletions(store, &listing->packed);
        set_aside_begun(store, &listing->texts);
        drop_announced(store);
        if (store->n_pending > 0)
                r = write_down_damage(store, now_usec);
        else if (!report->created && !report->clean_end)
                commit_write_mark(store, now_usec);
        links_settle(store);
        return r;
}

int recovery_run(Store *store, uint64_t now_usec, StoreReport *report)
{
        Listing listing = { 0 };
        int r;

        r = list_segments(store, &listing);
        if (r == 0)
                r = recover(store, now_usec, &listing, report);
        free(listing.indexes.firsts);
        free(listing.texts.firsts);
        free(listing.packed.firsts);
        return r;
}
