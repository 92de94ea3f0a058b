/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a new segment's index begins with: all that older ones say, so that it alone tells everything.
 *
 * A segment that ended before it had own seqs is replaced by one of the same name. Its index said what nothing
 * else says: that a stream's seqs were explained without records. So there the new one begins with what the
 * old one held, entry for entry, but for the marks.
 */

#include "store/store-internal.h"

#include <fcntl.h>

/* --- What is replaced --- */

void header_forget_replaced(Store *store)
{
        free(store->replaced);
        store->replaced = NULL;
        store->n_replaced = 0;
}

/* Whether every entry can be read: else the header is made of the tables, as far as they could be. */
static bool all_whole(const uint8_t *bytes, uint32_t n)
{
        IndexEntry entry;

        for (uint32_t i = 0; i < n; i++)
                if (index_decode(bytes + (size_t) i * INDEX_ENTRY_SIZE, i, &entry) < 0)
                        return false;
        return true;
}

int header_load_replaced(Store *store, const Segment *segment)
{
        size_t size = (size_t) store->durable.entries * INDEX_ENTRY_SIZE;
        char name[STORE_NAME_MAX];
        uint8_t *bytes;
        int handle, r;

        header_forget_replaced(store);
        if (store->n_pending > 0)
                return 0;
        bytes = malloc(size);
        if (!bytes)
                return -ENOMEM;
        segment_name(segment->first, ".idx", name);
        handle = store->disk->open(store->disk, name, O_RDONLY);
        r = handle < 0 ? handle : segment_read(store->disk, handle, bytes, size, 0);
        if (handle >= 0)
                store->disk->close(store->disk, handle);
        if (r < 0 || !all_whole(bytes, store->durable.entries)) {
                free(bytes);
                return 0;
        }
        store->replaced = bytes;
        store->n_replaced = store->durable.entries;
        return 0;
}

/* --- Writing --- */

void writer_put(Writer *writer, const IndexEntry *entry)
{
        IndexEntry numbered = *entry;

        assert(writer->n < writer->n_max);
        numbered.number = writer->store->written.entries + (uint32_t) writer->n;
        if (numbered.kind == INDEX_SEGMENT && writer->store->chained)
                numbered.flags |= INDEX_FLAG_CHAINED;
        index_encode(&numbered, writer->store->chained ? writer->store->options.hash : NULL, writer->chain,
                     writer->bytes + writer->n++ * INDEX_ENTRY_SIZE);
}

void header_put_custody(Writer *writer, Collector *collector, uint64_t now_usec)
{
        IndexEntry entry = {
                .kind = INDEX_CUSTODY,
                .custody = {
                        .seq = collector->seq,
                        .checksum = collector->checksum,
                        .from = collector->from,
                        .doubted = collector->store->doubted,
                },
        };

        if (collector->unsaved)
                collector->time_usec = now_usec;
        entry.custody.time_usec = collector->time_usec;
        strcpy(entry.custody.collector, collector->name);
        writer_put(writer, &entry);
}

static void put_replaced(Writer *writer)
{
        const Store *store = writer->store;
        IndexEntry entry;

        for (uint32_t i = 0; i < store->n_replaced; i++) {
                int r = index_decode(store->replaced + (size_t) i * INDEX_ENTRY_SIZE, i, &entry);

                assert(r == 0);
                (void) r;
                entry.flags = 0;
                if (i == 0)
                        entry.segment.created_usec = store->created_usec;
                if (entry.kind != INDEX_COMMIT)
                        writer_put(writer, &entry);
        }
}

/* Durable positions, custody, the last deletion. */
static void put_tables(Writer *writer, uint64_t now_usec)
{
        Store *store = writer->store;
        IndexEntry entry = {
                .kind = INDEX_SEGMENT,
                .segment = {
                        .version = INDEX_FORMAT_VERSION,
                        .stream = store->stream,
                        .first = store->current.first,
                        .created_usec = store->created_usec,
                        .last_usec = store->durable.last_usec,
                },
        };
        size_t i = store->n_segments - 1;

        entry.segment.previous = i > 0 ? store->segments[i - 1].first : 0;
        if (store->left.written.segment == entry.segment.previous)
                entry.segment.before = store->left.written.span;
        memcpy(entry.segment.head, writer->chain, SHA256_SIZE);
        entry.segment.rows = (store->restart.kind == INDEX_RESTART) + (store->deleted.kind == INDEX_DELETED) +
                             (store->checkpoint.kind == INDEX_CHECKPOINT);
        for (const Stream *s = NULL; (s = streams_next(&store->streams, s));)
                entry.segment.rows += s->durable.last > 0;
        for (i = 0; i < store->n_collectors; i++)
                entry.segment.rows += custody_is_noted(store->collectors[i]);
        writer_put(writer, &entry);

        if (store->restart.kind == INDEX_RESTART)
                writer_put(writer, &store->restart);
        if (store->deleted.kind == INDEX_DELETED)
                writer_put(writer, &store->deleted);
        if (store->checkpoint.kind == INDEX_CHECKPOINT)
                writer_put(writer, &store->checkpoint);
        for (i = 0; i < store->n_collectors; i++)
                if (custody_is_noted(store->collectors[i]))
                        header_put_custody(writer, store->collectors[i], now_usec);
        for (const Stream *s = NULL; (s = streams_next(&store->streams, s));) {
                if (s->durable.last == 0)
                        continue;
                entry = (IndexEntry) {
                        .kind = INDEX_STREAM,
                        .stream = {
                                .stream = s->id,
                                .last = s->durable.last,
                                .checksum = s->durable.checksum,
                                .seen_usec = s->seen_usec,
                        },
                };
                strcpy(entry.stream.owner, s->owner);
                writer_put(writer, &entry);
        }
}

void header_put(Writer *writer, uint64_t now_usec)
{
        if (writer->store->n_replaced > 0)
                put_replaced(writer);
        else
                put_tables(writer, now_usec);
}
