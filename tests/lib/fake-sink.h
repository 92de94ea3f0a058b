/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A sink in memory that knows what it has, what of it was submitted and what is durable; it insists on each
 * seq once and none left out. For tests of those who deliver into sinks.
 */

#include "check-main.h"
#include "basic/batch.h"

#define FAKE_SINK_STREAMS 4

typedef struct SinkStream {
        StreamId id;
        char owner[NODE_NAME_MAX + 1];
        uint64_t last, checksum;                 /* appended */
        uint64_t flying_last, flying_checksum;   /* submitted */
        uint64_t durable_last, durable_checksum; /* safe */
} SinkStream;

typedef struct FakeSink {
        Sink sink;
        SinkStream streams[FAKE_SINK_STREAMS];
        int error;      /* what append() says, if not 0 */
        unsigned room;  /* batches the open group still takes */
        unsigned batches, beats;
        Batch stored;   /* the last one */
        char text[BATCH_PAYLOAD_MAX];
} FakeSink;

static inline SinkStream *sink_find(FakeSink *sink, const StreamId *id)
{
        for (size_t i = 0; i < FAKE_SINK_STREAMS; i++) {
                if (stream_id_is_null(&sink->streams[i].id))
                        sink->streams[i].id = *id;
                if (stream_id_equal(&sink->streams[i].id, id))
                        return &sink->streams[i];
        }
        ck_abort_msg("more streams than expected");
}

static inline int sink_position(Sink *base, const StreamId *id, const char *owner, uint64_t *ret_last,
                                uint64_t *ret_checksum)
{
        SinkStream *s = sink_find(container_of(base, FakeSink, sink), id);

        if (s->owner[0] != '\0' && strcmp(s->owner, owner) != 0)
                return -EPERM;
        *ret_last = s->last;
        *ret_checksum = s->checksum;
        return 0;
}

static inline int sink_append(Sink *base, const StreamId *id, const char *owner, const Batch *received,
                              const Batch *stored, uint64_t now)
{
        FakeSink *sink = container_of(base, FakeSink, sink);
        SinkStream *s = sink_find(sink, id);

        if (batch_is_heartbeat(received)) {
                sink->beats++;
                return 0;
        }
        if (sink->error < 0)
                return sink->error;
        if (s->owner[0] != '\0' && strcmp(s->owner, owner) != 0)
                return -EPERM;
        if (sink->room == 0)
                return -EAGAIN;
        /* Each seq once, none left out. */
        ck_assert_uint_eq(received->first, s->last + 1);
        ck_assert_uint_ge(received->last, received->first);
        ck_assert(batch_payload_intact(stored));
        strcpy(s->owner, owner);
        s->last = received->last;
        s->checksum = received->checksum;
        sink->room--;
        sink->batches++;
        sink->stored = *stored;
        memcpy(sink->text, stored->payload, stored->size);
        sink->text[stored->size] = '\0';
        return 0;
}

static inline void sink_begin(FakeSink *sink)
{
        for (size_t i = 0; i < FAKE_SINK_STREAMS; i++) {
                sink->streams[i].flying_last = sink->streams[i].last;
                sink->streams[i].flying_checksum = sink->streams[i].checksum;
        }
        sink->room = UINT32_MAX;
}

static inline void sink_end(FakeSink *sink, int error)
{
        for (size_t i = 0; i < FAKE_SINK_STREAMS; i++) {
                SinkStream *s = &sink->streams[i];

                if (error == 0) {
                        s->durable_last = s->flying_last;
                        s->durable_checksum = s->flying_checksum;
                } else {
                        s->last = s->durable_last;
                        s->checksum = s->durable_checksum;
                }
        }
}
