/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What one index entry does to the state of the store: recovery is this, from the first entry of a segment
 * to the last. */

#include "store/store-internal.h"

static int replay_stream(Store *store, const IndexEntry *entry)
{
        Stream *stream = streams_get(&store->streams, &entry->stream.stream);

        if (!stream)
                return -ENOMEM;
        strcpy(stream->owner, entry->stream.owner);
        stream->seen_usec = entry->stream.seen_usec;
        stream->durable = (StreamPoint) { entry->stream.last, entry->stream.checksum };
        stream->written = stream->flight = stream->durable;
        return 1;
}

/* A batch moves its stream even where its text is damaged: its sender does not have it any more. */
static int replay_batch(Replay *replay, const IndexEntry *entry)
{
        const Batch *stored = &entry->batch.stored;
        Stream *stream = NULL;
        bool own = stream_id_is_null(&entry->batch.stream);

        if (!own)
                stream = streams_find(&replay->store->streams, &entry->batch.stream);
        if (replay->strict &&
            (stored->first != replay->last + 1 ||
             (stored->count > 0 && entry->batch.offset != replay->text_size) ||
             (!own && entry->batch.received_first != (stream ? stream->durable.last : 0) + 1)))
                return 0;
        if (!own) {
                if (!stream)
                        stream = streams_get(&replay->store->streams, &entry->batch.stream);
                if (!stream)
                        return -ENOMEM;
                stream->seen_usec = entry->batch.received_usec;
                stream->durable = (StreamPoint){entry->batch.received_last, entry->batch.received_checksum};
                stream->written = stream->flight = stream->durable;
        }
        if (stored->count > 0) {
                replay->last = stored->last;
                replay->text_size = entry->batch.offset + stored->size;
                batch_span_add(&replay->span, &entry->batch.stored.span);
        }
        replay->last_usec = entry->batch.received_usec;
        return 1;
}

/* Behind the mark, custody of what is not there does not follow: nothing is released before it is durable. */
static int replay_custody(Replay *replay, const IndexEntry *entry)
{
        Store *store = replay->store;
        Collector *collector;

        if (entry->custody.seq == UINT64_MAX || (replay->strict && entry->custody.seq > replay->last))
                return 0;
        collector = custody_collector(store, entry->custody.collector);
        if (!collector)
                return -ENOMEM;
        /* It was set back; of what that means for others (custody_set_back()) the entries may be torn off. */
        if (entry->custody.seq < collector->seq)
                custody_distrust(store, collector);
        store->doubted = MAX(store->doubted, entry->custody.doubted);
        collector->seq = entry->custody.seq;
        collector->checksum = entry->custody.checksum;
        collector->time_usec = entry->custody.time_usec;
        collector->from = entry->custody.from;
        collector->flight = collector->durable = collector->seq;
        return 1;
}

static void replay_restart(Replay *replay, const IndexEntry *entry)
{
        Store *store = replay->store;

        store->restart = *entry;
        replay->stream = entry->restart.stream;
        custody_forget(store);
}

int replay_entry(Replay *replay, const IndexEntry *entry)
{
        Stream *stream;
        int r = 1;

        switch (entry->kind) {
        case INDEX_SEGMENT:
                replay->stream = entry->segment.stream;
                replay->last_usec = MAX(replay->last_usec, entry->segment.last_usec);
                if (replay->last_usec == 0)
                        replay->last_usec = entry->segment.created_usec;
                break;
        case INDEX_STREAM:
                r = replay_stream(replay->store, entry);
                break;
        case INDEX_BATCH:
                r = replay_batch(replay, entry);
                break;
        case INDEX_CUSTODY:
                r = replay_custody(replay, entry);
                break;
        case INDEX_DELETED:
                replay->store->deleted = *entry;
                break;
        case INDEX_CHECKPOINT:
                replay->store->checkpoint = *entry;
                break;
        case INDEX_STREAM_END:
                stream = streams_find(&replay->store->streams, &entry->stream_end.stream);
                if (stream)
                        streams_remove(&replay->store->streams, stream);
                break;
        case INDEX_RESTART:
                replay_restart(replay, entry);
                break;
        default:
                /* COMMIT, DAMAGED: facts for readers of the index, no state. */
                break;
        }
        if (r > 0) {
                replay->clean_end = entry->kind == INDEX_COMMIT && (entry->flags & INDEX_FLAG_CLEAN_END);
                memcpy(replay->chain, entry->chain, SHA256_SIZE);
        }
        return r;
}
