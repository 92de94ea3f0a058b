/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The sending half of the link: a state machine without I/O and without a clock of its own. It is cursors only (sent,
 * acked, bytes against credit); the source is the queue.
 *
 *      start → HELLO → [WELCOME] → BATCH, BATCH, … → [ACK] …
 *      accept → [HELLO of a subscriber] → HELLO → [WELCOME] → …
 *
 * The owner feeds it received bytes, asks it to fill an output buffer, and tells it the time. All times are monotonic
 * microseconds.
 */

#include "basic/batch.h"
#include "basic/buffer.h"
#include "link/frame.h"

#include <sys/types.h>

/* A sender says at least this often that it lives: an empty BATCH, so that a quiet filter does not hold
 * the ring. */
#define LINK_HEARTBEAT_USEC (1 * USEC_PER_SEC)
/* How much link_sender_fill() puts into the output before it lets the socket take it. */
#define LINK_OUTPUT_TARGET (2U * LINK_FRAME_MAX)
/* A payload below this is always copied into the output: several of them go out with one system call. */
#define LINK_COPY_MAX (16U * 1024U)
/* A payload below this is sent as it is: what compression saves of it is less than the headers around it. */
#define LINK_COMPRESS_MIN 256U

typedef enum LinkSenderState {
        LINK_SENDER_IDLE,
        LINK_SENDER_ACCEPTING, /* a subscriber connected to us: nothing is sent before its HELLO */
        LINK_SENDER_GREETED,   /* HELLO is out; nothing else before WELCOME */
        LINK_SENDER_CONNECTED, /* WELCOME came and fits our history */
        LINK_SENDER_ENDED,     /* BYE sent or received, or bad framing: what still arrives is thrown away */
} LinkSenderState;

typedef struct LinkSender LinkSender;

/* What the owner is told. Any member may be NULL. Strings are valid during the call. A handler may call
 * link_sender_end() and append frames of its own (REPLY), not link_sender_feed() or _fill(). */
typedef struct LinkSenderHandler {
        /* After link_sender_accept(): who subscribes to what. May set sender->source; link_sender_end()
         * refuses. */
        void (*hello)(LinkSender *sender, const LinkHello *hello, Buffer *output);
        void (*welcomed)(LinkSender *sender, const LinkWelcome *welcome);
        /* The peer's custody moved up to seq; the source has been told (release) already. */
        void (*acked)(LinkSender *sender, uint64_t seq);
        /* The peer knows our stream with another history (a disk or VM rolled back, a clone): start a new
         * stream in the source; the session is ended with BYE (diverged), connect again. */
        void (*diverged)(LinkSender *sender, uint64_t peer_last);
        void (*receipt)(LinkSender *sender, const LinkReceipt *receipt);
        void (*state)(LinkSender *sender, const LinkState *state);
        /* To be answered with REPLY, unless its timeout_sec is 0. NULL: the machine answers "unknown
         * verb". */
        void (*command)(LinkSender *sender, const LinkCommand *command);
        void (*reply)(LinkSender *sender, const LinkReply *reply);
        void (*bye)(LinkSender *sender, const LinkBye *bye);
        /* From link_sender_fill(): these bytes of a payload come next, behind what is in the output. They are valid during
         * the call: it sends both as far as it can, and appends a copy of the rest to the output, which has room. Returns
         * whether everything was sent; else the output counts as full. NULL: payloads are copied into the output. */
        bool (*payload)(LinkSender *sender, const uint8_t *data, size_t size);
} LinkSenderHandler;

struct LinkSender {
        Source *source;
        const LinkSenderHandler *handler;
        const char *node; /* not owned */
        uint16_t features; /* we could use */

        LinkSenderState state;
        uint16_t negotiated; /* features of this session: offered, after WELCOME taken */
        StreamId stream;
        uint64_t sent;          /* last seq sent */
        uint64_t sent_checksum; /* of the batch that ended there; 0: not sent in this session */
        uint64_t acked;         /* last seq in the peer's custody */
        uint64_t checksum;      /* of the batch that ended at acked, as far as known; 0: not */
        uint64_t bytes_sent;    /* of BATCH frames in this session, heartbeats apart */
        uint64_t credit;        /* the peer's limit: nothing but heartbeats while bytes_sent has reached it */
        uint64_t sent_usec;     /* when the last BATCH went out */
        /* Since when the peer owes an answer: the later of its last ACK and of the first BATCH, heartbeat
         * or not, that went out when it owed nothing. USEC_INFINITY: its last ACK covers all that was
         * sent, and no BATCH followed. A live receiver answers every heartbeat, and repeats its ACK while
         * it cannot take batches; so when this is long ago, the peer is gone or a black hole swallows
         * what we send. */
        uint64_t unacked_usec;
        Cursor cursor;
        FrameCompressor *compressor; /* made when first needed */
        const char *why;             /* of the violation, static */
};

/* `node`, `source` and `handler` must outlive the sender. */
void link_sender_init(LinkSender *sender, Source *source, const LinkSenderHandler *handler, const char *node,
                      uint16_t features);
void link_sender_done(LinkSender *sender);

/* A new connection that we made: forgets the old one and appends HELLO. Returns 0 or -ENOBUFS. */
int link_sender_start(LinkSender *sender, Buffer *output, uint64_t now_usec) _must_check_;

/* A new connection of a subscriber to us: HELLO follows its HELLO. */
void link_sender_accept(LinkSender *sender);

/* Takes received bytes. Returns how many were consumed: whole frames, or all of them once the session has
 * ended. Negative: -EBADMSG when the peer broke the protocol, -EPROTONOSUPPORT when it has no version in
 * common with us: a BYE is in `output` then and sender->why says what; or an errno of the source. */
ssize_t link_sender_feed(LinkSender *sender, const uint8_t *data, size_t size, Buffer *output,
                         uint64_t now_usec) _must_check_;

/* Appends batches while the source has some, credit lasts and less than LINK_OUTPUT_TARGET was appended or is in the
 * output; a heartbeat when one is due. With a payload() handler, nothing behind what an earlier call left there. Returns 1
 * when it stopped because the output is full, 0 when there is no more to send now, or a negative errno of the source (-EIO
 * also when it breaks its contract). */
int link_sender_fill(LinkSender *sender, Buffer *output, uint64_t now_usec) _must_check_;

/* When to call link_sender_fill() again though nothing arrived; USEC_INFINITY: never. */
uint64_t link_sender_deadline(const LinkSender *sender);

/* Ends the session with BYE; without one when there is no session. */
int link_sender_end(LinkSender *sender, Buffer *output, LinkByeCode code, const char *reason);

/* Whether frame_put_command() and frame_put_reply() may be used on its output now. */
bool link_sender_commands(const LinkSender *sender);
