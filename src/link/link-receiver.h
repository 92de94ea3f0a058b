/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The receiving half of the link: a state machine without I/O and without a clock of its own. It knows the
 * order of the session; positions that outlive it belong to the stream and are handed in with
 * link_receiver_welcome().
 */

#include "basic/batch.h"
#include "basic/buffer.h"
#include "link/frame.h"

#include <sys/types.h>

/* Default for the bytes a sender may have in flight: what 100 MB/s need at a round trip of 80 ms. */
#define LINK_WINDOW_DEFAULT (8U * 1024U * 1024U)
/* While the owner takes no batches (a full disk), it repeats its last ACK this often, so that the sender
 * does not take it for dead. Half of the shortest time-out that a sender may have. */
#define LINK_REPEAT_USEC (5 * USEC_PER_SEC)

typedef enum LinkReceiverState {
        LINK_RECEIVER_EXPECTS_HELLO,
        LINK_RECEIVER_GREETED, /* HELLO came; the owner owes link_receiver_welcome() or _end() */
        LINK_RECEIVER_CONNECTED,
        LINK_RECEIVER_ENDED, /* what still arrives is thrown away */
} LinkReceiverState;

typedef struct LinkReceiver LinkReceiver;

/* What the owner is told; hello and batch must be there, others may be NULL. A handler may call
 * link_receiver_welcome(), _ack() and _end(), not link_receiver_feed(). */
typedef struct LinkReceiverHandler {
        /* HELLO: judge it and call link_receiver_welcome() or link_receiver_end(), now or later; no byte
         * is read before. */
        void (*hello)(LinkReceiver *receiver, const LinkHello *hello);
        /* A batch in order, intact, or a heartbeat (answer it with an ACK); receiver->received and
         * ->bytes_received count it already. Returns 0 when appended; -EAGAIN: not now, offer it again at
         * the next feed (the bytes stay unconsumed and uncounted); another negative errno ends the feed
         * with it. */
        int (*batch)(LinkReceiver *receiver, const Batch *batch);
        /* To be answered with REPLY, unless its timeout_sec is 0. NULL: the machine answers "unknown
         * verb". */
        void (*command)(LinkReceiver *receiver, const LinkCommand *command);
        void (*reply)(LinkReceiver *receiver, const LinkReply *reply);
        /* The sender ends the session; with LINK_BYE_DONE also its stream. */
        void (*bye)(LinkReceiver *receiver, const LinkBye *bye);
} LinkReceiverHandler;

struct LinkReceiver {
        const LinkReceiverHandler *handler;
        LinkReceiverState state;
        StreamId stream;
        uint64_t received; /* last seq taken */
        uint64_t acked;
        uint64_t bytes_received; /* of BATCH frames in this session, heartbeats apart */
        uint64_t credit;         /* how far we let the sender go */
        uint64_t window;         /* bytes in flight; may be changed at any time */
        uint16_t features;       /* we could use; from HELLO on those that are negotiated */
        Buffer scratch;          /* payload of a compressed batch */
        FrameDecompressor *decompressor; /* made when first needed */
        const char *why;                 /* of the violation, static */
};

void link_receiver_init(LinkReceiver *receiver, const LinkReceiverHandler *handler, uint64_t window,
                        uint16_t features);
void link_receiver_done(LinkReceiver *receiver);

/* Begins a connection that we made to ask for batches: appends HELLO of a subscriber. Version, role and
 * features of `hello` are set here; its stream, newest, start, node and filter say what is wanted. The
 * sender's HELLO answers it. */
int link_receiver_subscribe(LinkReceiver *receiver, Buffer *output, const LinkHello *hello) _must_check_;

/* Takes received bytes. Returns how many were consumed: whole frames (fewer when the owner's batch() said
 * -EAGAIN or a HELLO waits for its answer), or all of them once the session has ended. Negative: -EBADMSG
 * when the peer broke the protocol, -EPROTONOSUPPORT when it has no version in common with us: a BYE is
 * in `output` then and receiver->why says what; -ENOMEM, -ENOBUFS; or the errno of batch(). */
ssize_t link_receiver_feed(LinkReceiver *receiver, const uint8_t *data, size_t size,
                           Buffer *output) _must_check_;

/* Answers HELLO: where the stream stands in our custody. A checksum of 0 with last > 0: we begin behind
 * last without having it (a subscriber that starts in the middle). */
int link_receiver_welcome(LinkReceiver *receiver, Buffer *output, uint64_t last, uint64_t checksum,
                          const char *name, const char *node) _must_check_;

/* All up to seq are in custody. `bytes` is receiver->bytes_received as it was when the batch ending at
 * seq was taken: what the sender need not count against its window any more. While receiver->window is 0,
 * credit stays where it is; afterwards this has to be called again with the same seq, or a sender without
 * credit would wait for ever. Does nothing when there is no session (any more). Returns 0, -ENOBUFS, or
 * -EINVAL for a seq that goes back or was not received. */
int link_receiver_ack(LinkReceiver *receiver, Buffer *output, uint64_t seq, uint64_t bytes) _must_check_;

/* Ends the session with BYE; without one when it has ended already. */
int link_receiver_end(LinkReceiver *receiver, Buffer *output, LinkByeCode code, uint32_t retry_after_msec,
                      const char *reason);

/* Whether frame_put_command() and frame_put_reply() may be used on its output now. */
bool link_receiver_commands(const LinkReceiver *receiver);
