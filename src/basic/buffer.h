/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A byte queue with a maximum: bytes are appended at its end and consumed at its front. */

#include "basic/macro.h"

typedef struct Buffer {
        uint8_t *data;
        size_t begin; /* first byte not yet consumed */
        size_t end;   /* one behind the last byte */
        size_t allocated;
        size_t maximum; /* never allocates more than this */
} Buffer;

#define BUFFER_INIT(maximum_size) ((Buffer) { .maximum = (maximum_size) })

static inline size_t buffer_size(const Buffer *buffer)
{
        return buffer->end - buffer->begin;
}

static inline uint8_t *buffer_head(const Buffer *buffer)
{
        /* Nothing may be added to NULL, not even nothing. */
        return buffer->data ? buffer->data + buffer->begin : NULL;
}

/* Frees the bytes; the buffer is empty and usable afterwards. */
void buffer_done(Buffer *buffer);

/* Room for at least `size` more bytes behind the end, moving or growing what is there. Returns where to write; follow
 * with buffer_extend(). NULL: more than the maximum, or no memory. */
uint8_t *buffer_reserve(Buffer *buffer, size_t size) _must_check_;

/* Declares `size` bytes written where buffer_reserve() pointed. */
void buffer_extend(Buffer *buffer, size_t size);

/* Appends a copy. Returns 0 or -ENOBUFS. */
int buffer_append(Buffer *buffer, const void *data, size_t size) _must_check_;

/* Drops `size` bytes at the front. */
void buffer_consume(Buffer *buffer, size_t size);
