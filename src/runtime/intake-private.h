/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What intake.c (sessions and streams) and intake-commit.c (groups and custody) share. */

#include "basic/mark.h"
#include "runtime/intake.h"

/* Streams with a session or something pending; a few thousand clients make short chains. */
#define STREAM_BUCKETS 1024U

typedef struct Mark {
        uint64_t last;  /* the stream's last seq in the group; 0: none of it is */
        uint64_t bytes; /* the session's bytes_received by then */
} Mark;

LIST_HEAD(StreamList, IntakeStream);

struct IntakeStream {
        StreamId id;
        char owner[NODE_NAME_MAX + 1];
        IntakeSession *session;
        Mark open, flying;
        LIST_ENTRY(IntakeStream) bucket, opens, flyings;
};

struct Intake {
        IntakeOptions options;
        char *name;
        LIST_HEAD(, IntakeSession) sessions;
        struct StreamList buckets[STREAM_BUCKETS];
        struct StreamList opens, flyings;
        int error; /* the sink takes nothing now */
        bool stopped;
        bool held;
        uint64_t serial; /* of the records written here */
        IntakeCounters counters;
        uint8_t *scratch; /* BATCH_PAYLOAD_MAX, for what replaces a payload */
};

static inline bool intake_stream_pending(const IntakeStream *stream)
{
        return stream->open.last != 0 || stream->flying.last != 0;
}

static inline bool intake_session_connected(const IntakeSession *session)
{
        return session->receiver.state == LINK_RECEIVER_CONNECTED;
}

static inline void intake_session_flush(IntakeSession *session)
{
        session->intake->options.handler->flush(session);
}

void intake_stream_free(IntakeStream *stream);
void intake_stream_free_if_idle(IntakeStream *stream);
/* Without flush(). The BYE may find no room in the output; the session is ended all the same. */
void intake_session_end_quietly(IntakeSession *session, LinkByeCode code, uint32_t retry_after_msec,
                                const char *reason);
void intake_session_ack(IntakeSession *session, uint64_t seq, uint64_t bytes);
/* The stream has nothing pending: what the sink has is in custody. */
void intake_session_welcome(IntakeSession *session);
