/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The sending half of the link: a state machine without I/O and without a clock of its own. It is cursors only (sent,
 * acked, bytes against credit); the source is the queue.
 *
 *      start → HELLO → [WELCOME] → BATCH, BATCH, … → [ACK] …
 *
 * The owner feeds it received bytes, asks it to fill an output buffer, and tells it the time. All times are monotonic
 * microseconds.
 */

#include "basic/batch.h"
#include "basic/buffer.h"
#include "link/frame.h"

/* A sender says at least this often that it lives: an empty BATCH, so that a quiet filter does not hold the ring. */
#define LINK_HEARTBEAT_USEC (1 * USEC_PER_SEC)
/* How much link_sender_fill() puts into the output before it lets the socket take it. */
#define LINK_OUTPUT_TARGET (2U * LINK_FRAME_MAX)

typedef enum LinkSenderState {
        LINK_SENDER_IDLE,
        LINK_SENDER_GREETED,   /* HELLO is out; nothing else before WELCOME */
        LINK_SENDER_CONNECTED, /* WELCOME came and fits our history */
        LINK_SENDER_ENDED,     /* BYE sent or received, or bad framing */
} LinkSenderState;

typedef struct LinkSender LinkSender;

/* What the owner is told. Any member may be NULL. Strings are valid during the call. A handler may call
 * link_sender_end(), not link_sender_feed() or _fill(). */
typedef struct LinkSenderHandler {
        void (*welcomed)(LinkSender *sender, const LinkWelcome *welcome);
        /* The peer's custody moved up to seq; the source has been told (release) already. */
        void (*acked)(LinkSender *sender, uint64_t seq);
        /* The peer knows our stream with another history (a disk or VM rolled back, a clone): start a new stream in the
         * source; the session is ended with BYE (diverged), connect again. */
        void (*diverged)(LinkSender *sender, uint64_t peer_last);
        void (*receipt)(LinkSender *sender, const LinkReceipt *receipt);
        void (*state)(LinkSender *sender, const LinkState *state);
        void (*command)(LinkSender *sender, const LinkCommand *command);
        void (*bye)(LinkSender *sender, const LinkBye *bye);
} LinkSenderHandler;

struct LinkSender {
        Source *source;
        const LinkSenderHandler *handler;
        const char *node; /* not owned */
        uint16_t features;

        LinkSenderState state;
        StreamId stream;
        uint64_t sent;         /* last seq sent */
        uint64_t acked;        /* last seq in the peer's custody */
        uint64_t checksum;     /* of the batch that ended at acked, as far as known; 0: not */
        uint64_t bytes_sent;   /* of BATCH frames in this session */
        uint64_t credit;       /* the peer's limit for bytes_sent */
        uint64_t sent_usec;    /* when the last BATCH went out */
        uint64_t unacked_usec; /* since when a BATCH waits for an ack; USEC_INFINITY: none does */
        Cursor cursor;
        const char *why; /* of the violation, static */
};

/* `node`, `source` and `handler` must outlive the sender. */
void link_sender_init(LinkSender *sender, Source *source, const LinkSenderHandler *handler, const char *node,
                      uint16_t features);

/* A new connection: forgets the old one and appends HELLO. Returns 0 or -ENOBUFS. */
int link_sender_start(LinkSender *sender, Buffer *output, uint64_t now_usec) _must_check_;

/* Takes received bytes. Returns how many were consumed (whole frames), or -EBADMSG when the peer broke the protocol: a BYE
 * is in `output` then and sender->why says what; or another negative errno. */
ssize_t link_sender_feed(LinkSender *sender, const uint8_t *data, size_t size, Buffer *output, uint64_t now_usec)
        _must_check_;

/* Appends batches while the source has some, credit lasts and the output holds less than LINK_OUTPUT_TARGET; a heartbeat
 * when one is due. Returns 1 when there was more to send, 0 when not, or a negative errno of the source. */
int link_sender_fill(LinkSender *sender, Buffer *output, uint64_t now_usec) _must_check_;

/* When to call link_sender_fill() again though nothing arrived; USEC_INFINITY: never. */
uint64_t link_sender_deadline(const LinkSender *sender);

/* Ends the session with BYE. */
int link_sender_end(LinkSender *sender, Buffer *output, LinkByeCode code, const char *reason);
