/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The receiving half of the link: a state machine without I/O and without a clock of its own. It knows the order of the
 * session; positions that outlive it belong to the stream and are handed in with link_receiver_welcome().
 */

#include "basic/batch.h"
#include "basic/buffer.h"
#include "link/frame.h"

/* Default for the bytes a sender may have in flight: what 100 MB/s need at a round trip of 80 ms. */
#define LINK_WINDOW_DEFAULT (8U * 1024U * 1024U)

typedef enum LinkReceiverState {
        LINK_RECEIVER_EXPECTS_HELLO,
        LINK_RECEIVER_GREETED, /* HELLO came; the owner owes link_receiver_welcome() or _end() */
        LINK_RECEIVER_CONNECTED,
        LINK_RECEIVER_ENDED,
} LinkReceiverState;

typedef struct LinkReceiver LinkReceiver;

/* What the owner is told. A handler may call link_receiver_welcome(), _ack() and _end(), not link_receiver_feed(). */
typedef struct LinkReceiverHandler {
        /* HELLO: judge it and call link_receiver_welcome() or link_receiver_end(), now or later; no byte is read before. */
        void (*hello)(LinkReceiver *receiver, const LinkHello *hello);
        /* A batch in order, intact. Returns 0 when appended; -EAGAIN: not now, offer it again at the next feed (the bytes
         * stay unconsumed); another negative errno ends the feed with it. */
        int (*batch)(LinkReceiver *receiver, const Batch *batch);
        void (*command)(LinkReceiver *receiver, const LinkCommand *command);
        void (*reply)(LinkReceiver *receiver, const LinkReply *reply);
        void (*bye)(LinkReceiver *receiver, const LinkBye *bye);
} LinkReceiverHandler;

struct LinkReceiver {
        const LinkReceiverHandler *handler;
        LinkReceiverState state;
        StreamId stream;
        uint64_t received; /* last seq taken */
        uint64_t acked;
        uint64_t bytes_received; /* of BATCH frames in this session */
        uint64_t window;
        uint16_t features;
        Buffer scratch; /* payload of a compressed batch */
        const char *why; /* of the violation, static */
};

void link_receiver_init(LinkReceiver *receiver, const LinkReceiverHandler *handler, uint64_t window, uint16_t features);
void link_receiver_done(LinkReceiver *receiver);

/* Takes received bytes. Returns how many were consumed (whole frames; fewer when the owner's batch() said -EAGAIN or a
 * HELLO waits for its answer), or -EBADMSG when the peer broke the protocol: a BYE is in `output` then and receiver->why
 * says what; or the errno of batch(). */
ssize_t link_receiver_feed(LinkReceiver *receiver, const uint8_t *data, size_t size, Buffer *output) _must_check_;

/* Answers HELLO: where the stream stands in our custody. */
int link_receiver_welcome(LinkReceiver *receiver, Buffer *output, uint64_t last, uint64_t checksum, const char *name,
                          const char *node) _must_check_;

/* All up to seq are in custody. `bytes` is receiver->bytes_received as it was when the batch ending at seq was taken: what
 * the sender need not count against its window any more. While
 * receiver->window is 0, credit stays where it is. */
int link_receiver_ack(LinkReceiver *receiver, Buffer *output, uint64_t seq, uint64_t bytes) _must_check_;

/* Ends the session with BYE. */
int link_receiver_end(LinkReceiver *receiver, Buffer *output, LinkByeCode code, uint32_t retry_after_msec,
                      const char *reason);
