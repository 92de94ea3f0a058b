/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The receiving end of every hop, without sockets and clock: sessions of the link deliver into a sink, content is judged, and
 * acks go out when the sink's owner has committed. The dispatcher (ring), remote and the aggregator (store) use the same code,
 * and so does the simulator.
 *
 * Positions belong to streams, not sessions. Each stream has what is in the open group and what is in the group in flight;
 * intake_commit_begin() swaps them, intake_commit_end() moves custody and sends one ACK per stream. A session that dies leaves
 * its stream behind; its successor's WELCOME waits until the stream's part in flight has ended. After a failed commit all
 * streams step back and all sessions are told to resume.
 */

#include "link/link-receiver.h"
#include "record/record.h"

#include <sys/queue.h>

typedef struct Intake Intake;
typedef struct IntakeSession IntakeSession;

/* What the owner is told; called from within the functions below. */
typedef struct IntakeHandler {
        /* Something was put into the session's output. */
        void (*flush)(IntakeSession *session);
        /* HELLO came: judge node and stream. Returns 0, or a BYE code with *ret_why. May be NULL. */
        LinkByeCode (*judge)(IntakeSession *session, const LinkHello *hello, const char **ret_why);
        /* WELCOME went out: the session delivers. May be NULL. */
        void (*connected)(IntakeSession *session);
        /* Something is in the open group: commit soon. */
        void (*dirty)(Intake *intake);
        /* The sink said no room (-ENOSPC, -EDQUOT, -EFBIG) or failed (anything else); reading stops until intake_retry(). */
        void (*blocked)(Intake *intake, int error);
        /* n lines of a batch were refused and stored escaped. May be NULL. */
        void (*refused)(IntakeSession *session, uint32_t n, RecordFault fault);
        /* The peer said BYE. May be NULL. */
        void (*bye)(IntakeSession *session, const LinkBye *bye);
        /* COMMAND or REPLY travelling with the data. May be NULL. */
        void (*command)(IntakeSession *session, const LinkCommand *command);
} IntakeHandler;

typedef struct IntakeOptions {
        Sink *sink;
        const IntakeHandler *handler;
        const char *name;    /* ours, for WELCOME */
        uint64_t window;     /* bytes in flight per session */
        uint64_t (*realtime_usec)(void);
} IntakeOptions;

typedef struct IntakeStream IntakeStream;

/* Owned by its owner, who may embed it; every member but userdata is the intake's. */
struct IntakeSession {
        Intake *intake;
        LinkReceiver receiver;
        IntakeStream *stream; /* NULL before HELLO was judged */
        Buffer *output;       /* the connection's */
        char *owner;          /* authenticated identity: streams belong to it */
        const char *node;     /* of records we write on its behalf, and for WELCOME */
        const char *accept;   /* node= that lines may have; NULL: any */
        BatchOrigin origin;   /* batches get this origin whatever they say; 0: their own */
        bool waiting;         /* for the group in flight, before WELCOME */
        uint64_t records, bytes, refused; /* taken in this session */
        void *userdata;
        LIST_ENTRY(IntakeSession) sessions;
};

int intake_new(const IntakeOptions *options, Intake **ret) _must_check_;
Intake *intake_free(Intake *intake);
DEFINE_CLEANUP(Intake *, intake_free)

/* owner, node and accept are copied or must outlive the session: owner is copied, node and accept are not. */
int intake_session_init(IntakeSession *session, Intake *intake, Buffer *output, const char *owner, const char *node,
                        const char *accept, BatchOrigin origin, void *userdata) _must_check_;
/* Detaches from the stream; what is in flight goes on without it. */
void intake_session_done(IntakeSession *session);

/* Takes received bytes; returns how many were consumed (the rest when the session may go on, see intake_retry), or a negative
 * errno: end the session (a BYE is in the output). */
ssize_t intake_session_feed(IntakeSession *session, const uint8_t *data, size_t size) _must_check_;
/* Whether the session waits for the sink or a WELCOME: do not read more. */
bool intake_session_blocked(const IntakeSession *session);

/* The open group becomes the group in flight. Call together with the sink's commit. Returns whether there was one. */
bool intake_commit_begin(Intake *intake);
/* The group in flight is in custody (0), or all steps back to what was durable. */
void intake_commit_end(Intake *intake, int error);

/* The sink has room again, or its open group does: sessions may be fed again (flush() is called for each that was blocked). */
void intake_retry(Intake *intake);
/* A STATE to every connected session. */
void intake_tell(Intake *intake, const LinkState *state);
/* BYE to every session, e.g. LINK_BYE_ENDING. */
void intake_end_all(Intake *intake, LinkByeCode code, const char *reason);
/* No credit while true (the ring is full). */
void intake_hold(Intake *intake, bool hold);
