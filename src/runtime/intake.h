/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The receiving end of every hop, without sockets and clock: sessions of the link deliver into a sink,
 * content is judged, and acks go out when the sink's owner has committed. The dispatcher (ring), remote and
 * the aggregator (store) use the same code, and so does the simulator.
 *
 * Positions belong to streams, not sessions. Each stream has what is in the open group and what is in the
 * group in flight; intake_commit_begin() moves the one to the other, intake_commit_end() moves custody and
 * sends one ACK per stream. A session that dies leaves its stream behind; its successor's WELCOME waits
 * until all of the stream is in custody. After a failed commit all streams step back and all sessions are
 * told to resume.
 */

#include "link/link-receiver.h"
#include "record/record.h"

#include <sys/queue.h>

typedef struct Intake Intake;
typedef struct IntakeSession IntakeSession;

/* What the owner is told; called from within the functions below, also from intake_session_feed() of another
 * session. None may call intake_commit_begin() or intake_commit_end() but dirty(), which is the last thing a
 * feed does. */
typedef struct IntakeHandler {
        /* Something was put into the session's output, or it may go on reading, or it has ended
         * (receiver.state: send what is in the output and close). It may not free the session. */
        void (*flush)(IntakeSession *session);
        /* HELLO came: judge node and stream; may call intake_session_identify(). Returns 0, or a BYE code
         * with *ret_why. May be NULL. */
        LinkByeCode (*judge)(IntakeSession *session, const LinkHello *hello, const char **ret_why);
        /* HELLO was judged: which intake takes the stream, if not this one? *ret untouched: not known yet, the session
         * waits for intake_session_place(). Returns 0, or a BYE code with *ret_why. May be NULL: this one. */
        LinkByeCode (*place)(IntakeSession *session, Intake **ret, const char **ret_why);
        /* WELCOME went out: the session delivers. May be NULL. */
        void (*connected)(IntakeSession *session);
        /* Something is in the open group: commit soon. */
        void (*dirty)(Intake *intake);
        /* The sink said no room (-ENOSPC, -EDQUOT, -EFBIG): nothing is taken until intake_retry(). Or it
         * failed (anything else): nothing is taken until intake_commit_end() with that error, which steps
         * back. */
        void (*blocked)(Intake *intake, int error);
        /* The nodes whose records a batch of origin remote may have, besides `accept`: NULL-terminated, valid during the
         * call that follows; NULL: none. May be NULL. */
        char *const *(*also)(const IntakeSession *session);
        /* May take lines out of a batch, before it is judged; its range stays. May be NULL. */
        void (*screen)(IntakeSession *session, Batch *batch);
        /* Gives a batch the bytes it is stored with, in place of those that came: *stored is sealed, its payload the
         * handler's until the next call. The position stays that of what came. Returns 0; -EAGAIN: not now, the
         * session rests until intake_prepared(). May be NULL. */
        int (*prepare)(IntakeSession *session, Batch *stored);
        /* n lines of a batch were refused and stored escaped. May be NULL. */
        void (*refused)(IntakeSession *session, uint32_t n, RecordFault fault);
        /* The session is being done away with: what was kept for it is to be forgotten. May be NULL. */
        void (*gone)(IntakeSession *session);
        /* The peer said BYE. May be NULL. */
        void (*bye)(IntakeSession *session, const LinkBye *bye);
        /* COMMAND and REPLY are taken from the peer only if there is one of these; see
         * LinkReceiverHandler. */
        void (*command)(IntakeSession *session, const LinkCommand *command);
        void (*reply)(IntakeSession *session, const LinkReply *reply);
} IntakeHandler;

typedef struct IntakeOptions {
        Sink *sink;
        const IntakeHandler *handler;
        const char *name;    /* ours, for WELCOME */
        uint64_t window;     /* bytes in flight per session */
        bool uncompressed;   /* the window counts what is sent: where it stands for memory, that is all there may be */
        uint64_t (*realtime_usec)(void);
        void *userdata;
} IntakeOptions;

/* Of all sessions together, since the intake was made. */
typedef struct IntakeCounters {
        uint64_t batches;
        uint64_t records;
        uint64_t bytes;
        uint64_t refused;  /* lines stored escaped */
        uint64_t lost;     /* seqs that senders reported lost */
        uint64_t replaced; /* sessions that another one of the same stream took the place of */
        uint64_t resumed;  /* times all had to step back */
} IntakeCounters;

typedef struct IntakeStream IntakeStream;

/* Owned by its owner, who may embed it; every member but userdata is the intake's. */
struct IntakeSession {
        Intake *intake;
        LinkReceiver receiver;
        IntakeStream *stream; /* NULL before HELLO was judged */
        Buffer *output;       /* the connection's */
        char *owner;          /* authenticated identity: streams belong to it; copied */
        const char *node;     /* of records we write on its behalf */
        const char *accept;   /* node= that lines may have; NULL: any */
        const RecordFilter *types; /* that lines may have; NULL: any. Set behind intake_session_init() */
        BatchOrigin origin;   /* batches get this origin whatever they say; 0: their own */
        bool welcomed;        /* WELCOME went out, once */
        LinkByeCode end_code; /* of the BYE we said; with end_why */
        const char *end_why;  /* valid during the flush() that follows; NULL: we did not */
        bool waiting;         /* WELCOME waits until all of the stream is in custody, or for a place */
        bool stalled;         /* a batch waits for the sink */
        bool preparing;       /* a batch waits for prepare() */
        bool appended;        /* during a feed: something went into the open group */
        bool beat;            /* during a feed: a heartbeat came */
        uint64_t acked_bytes; /* receiver.bytes_received as it was at the last ack */
        uint64_t records, bytes, refused; /* taken in this session */
        uint64_t lost;       /* seqs that the sender reported lost in it */
        uint64_t covered;    /* intake_cover(): acked then; 0: nothing was */
        uint64_t delay_usec; /* how old the newest record was when it came, by both hosts' clocks; 0: nothing waits */
        void *userdata;
        LIST_ENTRY(IntakeSession) sessions;
};

int intake_new(const IntakeOptions *options, Intake **ret) _must_check_;
/* After intake_session_done() of all sessions. */
Intake *intake_free(Intake *intake);
DEFINE_CLEANUP(Intake *, intake_free)
void *intake_userdata(const Intake *intake);

/* owner is copied (NULL: judge() will say); node and accept must outlive the session. */
int intake_session_init(IntakeSession *session, Intake *intake, Buffer *output, const char *owner,
                        const char *node, const char *accept, BatchOrigin origin,
                        void *userdata) _must_check_;
/* From judge(): the session speaks for `name` and nobody else: its streams belong to it. Lines must have `node`, which is how
 * it spells that. Both are copied. */
int intake_session_identify(IntakeSession *session, const char *name, const char *node) _must_check_;
/* Those that wait for it; NULL begins and ends. Where one is placed or ended, ask for its successor before. */
IntakeSession *intake_waiting_next(const Intake *intake, const IntakeSession *session);
/* This intake takes the stream of a session that waits for it; flush() is called. */
void intake_session_place(IntakeSession *session, Intake *intake);
/* Detaches from the stream; what is in flight goes on without it. */
void intake_session_done(IntakeSession *session);

/* Takes received bytes; returns how many were consumed (the rest when the session may go on, see
 * intake_session_blocked), or a negative errno: end the session (a BYE is in the output). */
ssize_t intake_session_feed(IntakeSession *session, const uint8_t *data, size_t size) _must_check_;
/* Whether the session waits for the sink or a WELCOME: do not read more. flush() is called when that may
 * have changed. */
bool intake_session_blocked(const IntakeSession *session);
/* Ends the session with a BYE; flush() is called. */
void intake_session_end(IntakeSession *session, LinkByeCode code, uint32_t retry_after_msec,
                        const char *reason);
/* Each sends one; flush() is called. Returns 0, -ENOTCONN when the peer does not take them, or -ENOBUFS when
 * it does not read. */
int intake_session_command(IntakeSession *session, const LinkCommand *command) _must_check_;
int intake_session_reply(IntakeSession *session, const LinkReply *reply) _must_check_;
/* A STATE to this session. */
void intake_session_tell(IntakeSession *session, const LinkState *state);

/* The open group becomes the group in flight. Call together with the sink's commit. Returns whether there
 * was one. */
bool intake_commit_begin(Intake *intake);
/* The group in flight is in custody (0); or all streams step back to what was durable and all sessions are
 * told to resume. */
void intake_commit_end(Intake *intake, int error);

/* What prepare() put off may be offered to it again. */
void intake_prepared(Intake *intake);
/* The sink has room again: sessions may be fed again. */
void intake_retry(Intake *intake);
/* Repeats the last ACK of each session, every LINK_REPEAT_USEC while the sink is blocked: the senders hear
 * that we live. */
void intake_remind(Intake *intake);
/* Takes no more batches, for ever: what is in the groups is still committed and acked. */
void intake_stop(Intake *intake);
/* A STATE to every connected session. */
void intake_tell(Intake *intake, const LinkState *state);
/* A checkpoint is made of what is in custody now … */
void intake_cover(Intake *intake);
/* … and is durable itself: every session that delivered then is sent it, to be kept. */
void intake_receipt(Intake *intake, const char *note);
/* BYE to every session, e.g. LINK_BYE_ENDING. */
void intake_end_all(Intake *intake, LinkByeCode code, uint32_t retry_after_msec, const char *reason);
/* Nobody delivers, and nothing is on its way into custody. */
bool intake_idle(const Intake *intake);
/* No credit while true (the ring is full). */
void intake_hold(Intake *intake, bool hold);

const IntakeCounters *intake_counters(const Intake *intake);
