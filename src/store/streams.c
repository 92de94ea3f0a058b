/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table of streams: who delivers here, and how far. It is the whole de-duplication state of a receiver.
 *
 * Each row has three positions: written, in the group in flight, durable. Rows that moved are on one list
 * for the open group and one for the group in flight, so that a commit costs what moved, not what is known.
 */

#include "store/store-internal.h"

/* Rows of a new table's first bucket array. */
#define BUCKETS_MIN 64U

int streams_init(Streams *streams, void (*random)(void *bytes, size_t size))
{
        *streams = (Streams) { .n_buckets = BUCKETS_MIN };
        streams->buckets = calloc(streams->n_buckets, sizeof *streams->buckets);
        if (!streams->buckets)
                return -ENOMEM;
        /* Ids are chosen by peers: without salt they could choose one bucket. */
        random(streams->salt, sizeof streams->salt);
        return 0;
}

void streams_done(Streams *streams)
{
        Stream *stream;

        for (size_t i = 0; streams->buckets && i < streams->n_buckets; i++)
                while ((stream = LIST_FIRST(&streams->buckets[i]))) {
                        LIST_REMOVE(stream, bucket);
                        free(stream);
                }
        free(streams->buckets);
        *streams = (Streams) { 0 };
}

static StreamBucket *bucket_of(const Streams *streams, const StreamId *id)
{
        uint8_t key[sizeof streams->salt + sizeof id->bytes];

        memcpy(key, streams->salt, sizeof streams->salt);
        memcpy(key + sizeof streams->salt, id->bytes, sizeof id->bytes);
        return &streams->buckets[checksum64(key, sizeof key) & (streams->n_buckets - 1)];
}

Stream *streams_find(const Streams *streams, const StreamId *id)
{
        Stream *stream;

        LIST_FOREACH(stream, bucket_of(streams, id), bucket)
                if (stream_id_equal(&stream->id, id))
                        return stream;
        return NULL;
}

/* Doubles the buckets. Failing is harmless: the chains are only longer. */
static void grow(Streams *streams)
{
        Streams bigger = *streams;
        Stream *stream;

        bigger.n_buckets *= 2;
        bigger.buckets = calloc(bigger.n_buckets, sizeof *bigger.buckets);
        if (!bigger.buckets)
                return;
        for (size_t i = 0; i < streams->n_buckets; i++)
                while ((stream = LIST_FIRST(&streams->buckets[i]))) {
                        LIST_REMOVE(stream, bucket);
                        LIST_INSERT_HEAD(bucket_of(&bigger, &stream->id), stream, bucket);
                }
        free(streams->buckets);
        *streams = bigger;
}

Stream *streams_get(Streams *streams, const StreamId *id)
{
        Stream *stream = streams_find(streams, id);

        if (stream)
                return stream;
        stream = calloc(1, sizeof *stream);
        if (!stream)
                return NULL;
        stream->id = *id;
        if (streams->n >= streams->n_buckets)
                grow(streams);
        LIST_INSERT_HEAD(bucket_of(streams, id), stream, bucket);
        streams->n++;
        return stream;
}

void streams_remove(Streams *streams, Stream *stream)
{
        assert(!stream->in_group && !stream->in_flight);
        streams->n_ending -= stream->ending != STREAM_LIVES;
        LIST_REMOVE(stream, bucket);
        streams->n--;
        free(stream);
}

Stream *streams_next(const Streams *streams, const Stream *stream)
{
        StreamBucket *bucket = streams->buckets;

        if (stream) {
                if (LIST_NEXT(stream, bucket))
                        return LIST_NEXT(stream, bucket);
                bucket = bucket_of(streams, &stream->id) + 1;
        }
        for (; bucket < streams->buckets + streams->n_buckets; bucket++)
                if (!LIST_EMPTY(bucket))
                        return LIST_FIRST(bucket);
        return NULL;
}

void streams_write(Streams *streams, Stream *stream, uint64_t last, uint64_t checksum)
{
        stream->written = (StreamPoint) { last, checksum };
        if (stream->ending != STREAM_LIVES) {
                stream->ending = STREAM_LIVES;
                streams->n_ending--;
        }
        if (!stream->in_group) {
                stream->in_group = true;
                stream->group_next = streams->group;
                streams->group = stream;
        }
}

void streams_end(Streams *streams, Stream *stream, IndexStreamEnd reason)
{
        if (stream->ending == STREAM_LIVES) {
                stream->ending = STREAM_ENDS;
                streams->n_ending++;
        }
        stream->end_reason = (uint8_t) reason;
}

void streams_submit(Streams *streams)
{
        assert(!streams->flight);
        while (streams->group) {
                Stream *stream = streams->group;

                streams->group = stream->group_next;
                stream->in_group = false;
                stream->flight = stream->written;
                stream->in_flight = true;
                stream->flight_next = streams->flight;
                streams->flight = stream;
        }
        if (streams->n_ending == 0)
                return;
        for (Stream *stream = NULL; (stream = streams_next(streams, stream));)
                if (stream->ending == STREAM_ENDS)
                        stream->ending = STREAM_END_FLIGHT;
}

static void remove_ended(Streams *streams)
{
        Stream *stream, *next;

        if (streams->n_ending == 0)
                return;
        for (stream = streams_next(streams, NULL); stream; stream = next) {
                next = streams_next(streams, stream);
                if (stream->ending == STREAM_END_FLIGHT)
                        streams_remove(streams, stream);
        }
}

void streams_durable(Streams *streams)
{
        while (streams->flight) {
                Stream *stream = streams->flight;

                streams->flight = stream->flight_next;
                stream->in_flight = false;
                stream->durable = stream->flight;
        }
        remove_ended(streams);
}

void streams_drop_new(Streams *streams, Stream *stream)
{
        if (stream->written.last == 0 && !stream->in_group && !stream->in_flight)
                streams_remove(streams, stream);
}

static void step_back(Streams *streams, Stream *stream)
{
        stream->written = stream->durable;
        streams_drop_new(streams, stream);
}

void streams_step_back(Streams *streams)
{
        Stream *stream;

        while ((stream = streams->flight)) {
                streams->flight = stream->flight_next;
                stream->in_flight = false;
                step_back(streams, stream);
        }
        while ((stream = streams->group)) {
                streams->group = stream->group_next;
                stream->in_group = false;
                step_back(streams, stream);
        }
        if (streams->n_ending == 0)
                return;
        for (stream = NULL; (stream = streams_next(streams, stream));)
                if (stream->ending == STREAM_END_FLIGHT)
                        stream->ending = STREAM_ENDS;
}
