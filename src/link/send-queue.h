/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sealed batches in memory until they are acked: a stream of its own, as a link sender's source. */

#include "basic/batch.h"

typedef struct SendQueue SendQueue;

/* `stream` is a random id that nobody else has. */
int send_queue_new(const StreamId *stream, SendQueue **ret) _must_check_;
SendQueue *send_queue_free(SendQueue *queue);
DEFINE_CLEANUP(SendQueue *, send_queue_free)

Source *send_queue_source(SendQueue *queue);

/* Room for one more line of RECORD_LINE_MAX in the batch that is begun. NULL: no memory. */
uint8_t *send_queue_room(SendQueue *queue) _must_check_;
/* A line of that size was written there. */
void send_queue_commit(SendQueue *queue, size_t size);
/* Seals what is begun: visible to the sender. */
void send_queue_seal(SendQueue *queue);

/* Bytes held. */
size_t send_queue_size(const SendQueue *queue);
/* Records in the batch that is begun. */
uint32_t send_queue_open(const SendQueue *queue);
/* Records sealed, and of them acked. */
uint64_t send_queue_newest(const SendQueue *queue);
uint64_t send_queue_acked(const SendQueue *queue);
