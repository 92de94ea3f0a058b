/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The store's front: opening, delivering, status.
 *
 * 1. A stream's batches are taken in order only, and only from the owner who began the stream.
 * 2. Own seqs are contiguous over all segments; batches without records take none but move their stream.
 * 3. Text is written as it comes; nothing is promised before the commit.
 * 4. A group never spans two segments: a new one begins only when the group is empty.
 */

#include "store/store-internal.h"

void store_report_done(StoreReport *report)
{
        free(report->damages);
        *report = (StoreReport) { 0 };
}

Store *store_free(Store *store)
{
        if (!store)
                return NULL;
        retention_leave_pool(store);
        custody_done(store);
        segment_files_close(store, &store->current);
        segment_files_close(store, &store->before);
        segment_files_close(store, &store->ended);
        streams_done(&store->streams);
        header_forget_replaced(store);
        free(store->group.entries);
        free(store->segments);
        free(store->pending);
        (void) disk_free(store->disk);
        free(store);
        return NULL;
}

/* Of age, too: what goes whole when its youngest record is so old must not become much older by waiting for more. */
static void limit_age(uint64_t *age_usec, uint64_t retention_usec)
{
        if (retention_usec > 0)
                *age_usec = MIN(*age_usec > 0 ? *age_usec : USEC_INFINITY, MAX(retention_usec / 8, 1));
}

int store_open(const StoreOptions *options, uint64_t now_usec, Store **ret_store, StoreReport *ret_report)
{
        _cleanup_(store_report_done) StoreReport report = { 0 };
        Store *store;
        int r;

        store = calloc(1, sizeof *store);
        if (!store)
                return -ENOMEM;
        store->options = *options;
        store->disk = options->disk;
        store->current = store->before = store->ended = SEGMENT_FILES_NULL;
        /* Whole segments are deleted: keep several within the limit, or retention has nothing to choose from. And what
         * goes for a group goes when that is durable, beside another one that comes: none may be large beside the limit. */
        if (options->use_max > 0) {
                store->options.segment_size_max = MIN(options->segment_size_max, MAX(options->use_max / 8, 1));
                store->options.group_bytes_max = MIN(options->group_bytes_max, MAX(options->use_max / 8, 1));
        }
        limit_age(&store->options.segment_age_usec, options->retention_usec);
        limit_age(&store->options.segment_age_usec, options->delete_acked ? options->acked_usec : 0);
        r = streams_init(&store->streams, options->random);
        if (r == 0)
                r = store->disk->lock(store->disk);
        if (r == 0)
                r = recovery_run(store, now_usec, &report);
        if (r < 0) {
                /* The disk stays its owner's. */
                custody_done(store);
                segment_files_close(store, &store->current);
                segment_files_close(store, &store->before);
                segment_files_close(store, &store->ended);
                store->disk = NULL;
                (void) store_free(store);
                return r;
        }
        *ret_store = store;
        *ret_report = report;
        report = (StoreReport) { 0 };
        return 0;
}

/* --- Delivering --- */

/* Batches without records have entries alone, and it is the text that ends a segment: beside a bound, the entries behind
 * the header have their share, too. */
static bool index_is_long(const Store *store)
{
        uint64_t header = store->streams.n + store->n_collectors + 5;

        return store->options.use_max > 0 && store->written.entries > header &&
               (store->written.entries - header) * INDEX_ENTRY_SIZE > store->options.use_max / 8;
}

bool store_newest_is_old(Store *store, uint64_t now_usec)
{
        uint64_t age = store->options.segment_age_usec;
        Segment *newest;

        if (store->n_segments == 0 || store->fresh || store->finish || store->group.n > 0)
                return false;
        newest = &store->segments[store->n_segments - 1];
        if (store->written.last < newest->first)
                return false;
        if (store->open && index_is_long(store))
                return true;
        if (age == 0)
                return false;
        segment_load(store, newest);
        return newest->loaded && now_usec > newest->created_usec && now_usec - newest->created_usec >= age;
}

/* Among several: whoever has his share of what they may have together has segments to choose from, as above. */
static uint64_t segment_size_max(const Store *store)
{
        const StorePool *pool = store->pool;

        if (!pool || pool->max == 0 || pool->n == 0)
                return store->options.segment_size_max;
        return MIN(store->options.segment_size_max, MAX(pool->max / pool->n / 8, (uint64_t) STORE_RESERVE));
}

static bool rotation_due(const Store *store, uint64_t size, uint64_t now_usec)
{
        if (store->group.n > 0 || store->fresh)
                return false;
        if (store->chained != (store->options.hash != NULL) ||
            store->written.entries >= STORE_SEGMENT_ENTRIES_MAX)
                return true;
        if (store->written.last < store->current.first)
                return false;
        if (store->rotate || index_is_long(store) || store->written.text_size + size > segment_size_max(store))
                return true;
        return store->options.segment_age_usec > 0 && now_usec > store->created_usec &&
               now_usec - store->created_usec >= store->options.segment_age_usec;
}

/* Room for `n` more entries in the group's memory. */
static int grow_group(Group *group, size_t n)
{
        size_t allocated = MAX(2 * group->allocated, 64U);
        IndexEntry *entries;

        if (group->n + n <= group->allocated)
                return 0;
        entries = reallocarray(group->entries, allocated, sizeof *entries);
        if (!entries)
                return -ENOMEM;
        group->entries = entries;
        group->allocated = allocated;
        return 0;
}

/* The stream's owner is nowhere but in its row: say it before its first batch. */
static void add_row(Store *store, const Stream *stream)
{
        IndexEntry *entry = &store->group.entries[store->group.n++];

        *entry = (IndexEntry) {
                .kind = INDEX_STREAM,
                .stream = {
                        .stream = stream->id,
                        .last = stream->written.last,
                        .checksum = stream->written.checksum,
                        .seen_usec = stream->seen_usec,
                },
        };
        strcpy(entry->stream.owner, stream->owner);
}

static void add_batch(Store *store, const StreamId *stream, const Batch *received, const Batch *stored,
                      uint64_t now_usec)
{
        IndexEntry *entry = &store->group.entries[store->group.n++];
        Batch *batch = &entry->batch.stored;

        *entry = (IndexEntry) {
                .kind = INDEX_BATCH,
                .batch = {
                        .stored = *stored,
                        .received_first = received->first,
                        .received_last = received->last,
                        .received_checksum = received->checksum,
                        .received_reason = received->reason,
                        .offset = store->written.text_size,
                        .received_usec = now_usec,
                },
        };
        if (stream)
                entry->batch.stream = *stream;
        batch->reason = BATCH_RECORDS;
        if (stored->count == 0) {
                batch->size = 0;
                batch->payload_hash = checksum64("", 0);
                batch->span = (BatchSpan) { 0 };
        } else {
                if (store->chained)
                        store->options.hash(stored->payload, stored->size, entry->batch.sha256);
                if (store->options.span && !batch_span_is_known(&batch->span))
                        store->options.span(stored->payload, stored->size, &batch->span);
                batch_span_add(&store->written.span, &batch->span);
        }
        batch_renumber(batch, store->written.last + 1, store->written.last + batch->count);
        batch->payload = NULL;
        store->written.last = batch->last;
        store->written.text_size += batch->size;
        store->written.last_usec = now_usec;
        store->group.bytes += batch->size + INDEX_ENTRY_SIZE;
}

/* Everything that may say no, before anything is written. */
static int prepare(Store *store, const Batch *stored, bool own, uint64_t now_usec)
{
        uint64_t size = stored->count > 0 ? stored->size : 0;
        Group *group = &store->group;
        int r;

        if (store->failed)
                return -EIO;
        if (stored->count >= UINT64_MAX - 1 - store->written.last)
                return -EOVERFLOW;
        if (group->n >= STORE_GROUP_ENTRIES_MAX ||
            (group->n > 0 && group->bytes + size > store->options.group_bytes_max))
                return -EAGAIN;
        if (!own) {
                r = retention_admit(store, size);
                if (r < 0)
                        return r;
        }
        r = grow_group(group, 2);
        if (r < 0)
                return r;
        /* A record of our own is about trouble: it goes where room is reserved for it. */
        if (!store->open || (!own && rotation_due(store, size, now_usec)))
                r = segment_begin(store, size, own, now_usec);
        else
                r = segment_reserve(store, size, own);
        if (r == 0 && size > 0)
                r = segment_write_text(store, stored->payload, size);
        return r;
}

/* A row whose owner was lost to damage belongs to the first who knows the id. In names of hosts case says nothing. */
static bool may_own(const Stream *stream, const char *owner)
{
        return stream->written.last == 0 || stream->owner[0] == '\0' ||
               strcasecmp(stream->owner, owner) == 0;
}

/* The row of a stream that `owner` may write to, made if it is new. */
static int admit_stream(Store *store, const StreamId *id, const char *owner, const Batch *received,
                        Stream **ret)
{
        Stream *stream;

        if (stream_id_is_null(id) || strlen(owner) > NODE_NAME_MAX)
                return -EINVAL;
        stream = streams_find(&store->streams, id);
        if (stream && !may_own(stream, owner))
                return -EPERM;
        if (received->first != (stream ? stream->written.last : 0) + 1)
                return -ESTALE;
        if (!stream)
                stream = streams_get(&store->streams, id);
        if (!stream)
                return -ENOMEM;
        *ret = stream;
        return 0;
}

static int sink_append(Sink *sink, const StreamId *id, const char *owner, const Batch *received,
                       const Batch *stored, uint64_t realtime_usec)
{
        Store *store = container_of(sink, Store, sink);
        Stream *stream;
        int r;

        if (batch_is_heartbeat(received)) {
                /* Who has nothing to say is not idle. */
                stream = streams_find(&store->streams, id);
                if (stream)
                        stream->seen_usec = realtime_usec;
                return 0;
        }
        owner = owner ? owner : "";
        r = admit_stream(store, id, owner, received, &stream);
        if (r < 0)
                return r;
        r = prepare(store, stored, false, realtime_usec);
        if (r < 0) {
                streams_drop_new(&store->streams, stream);
                return r;
        }
        if (stream->written.last == 0 || stream->ending != STREAM_LIVES ||
            strcmp(stream->owner, owner) != 0) {
                strcpy(stream->owner, owner);
                add_row(store, stream);
        }
        stream->seen_usec = realtime_usec;
        add_batch(store, id, received, stored, realtime_usec);
        streams_write(&store->streams, stream, received->last, received->checksum);
        store->finish = false;
        return 0;
}

static int sink_position(Sink *sink, const StreamId *id, const char *owner, uint64_t *ret_last,
                         uint64_t *ret_checksum)
{
        const Store *store = container_of(sink, Store, sink);
        const Stream *stream = streams_find(&store->streams, id);

        *ret_last = *ret_checksum = 0;
        if (!stream || stream->written.last == 0)
                return 0;
        if (!may_own(stream, owner ? owner : ""))
                return -EPERM;
        *ret_last = stream->written.last;
        *ret_checksum = stream->written.checksum;
        return 0;
}

Sink *store_sink(Store *store)
{
        store->sink = (Sink) { .position = sink_position, .append = sink_append };
        return &store->sink;
}

int store_append_own(Store *store, const Batch *batch, uint64_t now_usec)
{
        int r;

        if (batch->count == 0)
                return -EINVAL;
        r = prepare(store, batch, true, now_usec);
        if (r < 0)
                return r;
        add_batch(store, NULL, batch, batch, now_usec);
        store->finish = false;
        return 0;
}

static void end_stream(Store *store, const StreamId *id, IndexStreamEnd reason)
{
        Stream *stream = streams_find(&store->streams, id);

        if (stream && stream->written.last > 0)
                streams_end(&store->streams, stream, reason);
}

int store_stream_end(Store *store, const StreamId *id, uint64_t now_usec)
{
        end_stream(store, id, INDEX_STREAM_END_SENDER);
        return 0;
}

void store_stream_forget(Store *store, const StreamId *id)
{
        end_stream(store, id, INDEX_STREAM_END_ASKED);
}

bool store_stream_next(const Store *store, const void **position, StoreStream *ret)
{
        const Stream *stream = *position;

        do
                stream = streams_next(&store->streams, stream);
        while (stream && stream->durable.last == 0);
        *position = stream;
        if (!stream)
                return false;
        *ret = (StoreStream) { stream->id, stream->owner, stream->durable.last, stream->durable.checksum, stream->seen_usec };
        return true;
}

int store_finish(Store *store, bool clean, uint64_t now_usec)
{
        if (store->failed)
                return -EIO;
        store->finish = true;
        store->finish_clean = clean;
        return 0;
}

bool store_head(Store *store, StoreHead *ret)
{
        static const uint8_t none[SHA256_SIZE];
        Segment *newest = segment_find(store, store->durable.segment);

        *ret = (StoreHead) {
                .stream = store->stream,
                .seq = store->durable.last,
                .last = store->checkpoint,
        };
        memcpy(ret->chain, store->durable.chain, SHA256_SIZE);
        /* A segment without own seqs may be replaced, and the chain goes on from where it began. */
        if (newest && store->durable.last < newest->first) {
                segment_load(store, newest);
                memcpy(ret->chain, newest->loaded ? newest->head : none, SHA256_SIZE);
        }
        return store->options.hash && memcmp(ret->chain, none, SHA256_SIZE) != 0;
}

int store_checkpoint(Store *store, const IndexEntry *checkpoint)
{
        if (store->checkpoint_next.kind == INDEX_CHECKPOINT || store->flight_checkpoint.kind == INDEX_CHECKPOINT)
                return -EBUSY;
        store->checkpoint_next = *checkpoint;
        store->finish = false;
        return 0;
}

void store_rotate(Store *store)
{
        store->rotate = store->open && store->written.last >= store->current.first;
}

int store_restart_stream(Store *store, uint64_t now_usec)
{
        store->options.random(&store->restart_stream, sizeof store->restart_stream);
        store->restart_wanted = true;
        return 0;
}

void store_status(const Store *store, StoreStatus *ret)
{
        *ret = (StoreStatus) {
                .oldest = store->n_segments > 0 ? MIN(store->segments[0].first, store->durable.last + 1)
                                                : store->durable.last + 1,
                .newest = store->durable.last,
                .written = store->written.last,
                .segments = store->n_segments,
                .streams = store->streams.n,
                .released = custody_released(store),
                .bytes_awaited = retention_awaited(store),
                .dropped = store->dropped,
                .damaged = store->damaged,
                .set_backs = store->set_backs,
                .use_reached = store->use_reached,
                .stream = store->stream,
                .restarting = store->restart_wanted,
        };
        for (size_t i = 0; i < store->n_segments; i++) {
                ret->bytes += store->segments[i].bytes;
                ret->packed += store->segments[i].packed;
        }
        assert(ret->bytes == store->segment_bytes);
        ret->bytes += store->group.bytes;
}
