/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A table of streams, each with its last ranges, the one used last in front. Memory is bound by the number of
 * streams; a range that was forgotten can only make a record appear twice, never hide one.
 */

#include "tool/log/seen.h"

/* A chain has one or two streams in a store of two thousand senders. */
#define BUCKETS 1024U

typedef struct SeenStream SeenStream;

struct SeenStream {
        StreamId id;
        SeenStream *next;
        size_t n;
        struct {
                uint64_t first, last;
        } ranges[LOG_SEEN_RANGES];
};

struct LogSeen {
        SeenStream *buckets[BUCKETS];
};

static SeenStream *find(const LogSeen *seen, const StreamId *id, size_t *ret_bucket)
{
        SeenStream *stream;

        *ret_bucket = checksum64(id->bytes, sizeof id->bytes) % BUCKETS;
        for (stream = seen->buckets[*ret_bucket]; stream; stream = stream->next)
                if (stream_id_equal(&stream->id, id))
                        break;
        return stream;
}

bool log_seen_has(const LogSeen *seen, const StreamId *id, uint64_t first, uint64_t last)
{
        size_t bucket;
        const SeenStream *stream = find(seen, id, &bucket);

        for (size_t i = 0; stream && i < stream->n; i++)
                if (stream->ranges[i].first <= first && stream->ranges[i].last >= last)
                        return true;
        return false;
}

static void to_front(SeenStream *stream, size_t i, uint64_t first, uint64_t last)
{
        memmove(stream->ranges + 1, stream->ranges, i * sizeof *stream->ranges);
        stream->ranges[0].first = first;
        stream->ranges[0].last = last;
}

int log_seen_add(LogSeen *seen, const StreamId *id, uint64_t first, uint64_t last)
{
        size_t bucket;
        SeenStream *stream = find(seen, id, &bucket);

        if (!stream) {
                stream = calloc(1, sizeof *stream);
                if (!stream)
                        return -ENOMEM;
                stream->id = *id;
                stream->next = seen->buckets[bucket];
                seen->buckets[bucket] = stream;
        }
        for (size_t i = 0; i < stream->n; i++)
                /* What touches is one range from now on. */
                if (first <= stream->ranges[i].last + 1 && last + 1 >= stream->ranges[i].first) {
                        to_front(stream, i, MIN(first, stream->ranges[i].first),
                                 MAX(last, stream->ranges[i].last));
                        return 0;
                }
        if (stream->n < LOG_SEEN_RANGES)
                stream->n++;
        to_front(stream, stream->n - 1, first, last);
        return 0;
}

int log_seen_new(LogSeen **ret)
{
        LogSeen *seen = calloc(1, sizeof *seen);

        if (!seen)
                return -ENOMEM;
        *ret = seen;
        return 0;
}

LogSeen *log_seen_free(LogSeen *seen)
{
        SeenStream *stream;

        for (size_t i = 0; seen && i < BUCKETS; i++)
                while ((stream = seen->buckets[i])) {
                        seen->buckets[i] = stream->next;
                        free(stream);
                }
        free(seen);
        return NULL;
}
