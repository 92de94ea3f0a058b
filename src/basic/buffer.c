/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/buffer.h"

/* A first allocation: one page holds every frame but batches. */
#define BUFFER_ALLOCATION_MIN 4096U

void buffer_done(Buffer *buffer)
{
        free(buffer->data);
        *buffer = BUFFER_INIT(buffer->maximum);
}

static int grow(Buffer *buffer, size_t needed)
{
        size_t size = MAX(buffer->allocated * 2, BUFFER_ALLOCATION_MIN);
        uint8_t *data;

        size = MIN(MAX(size, needed), buffer->maximum);
        data = malloc(size);
        if (!data)
                return -ENOMEM;
        if (buffer_size(buffer) > 0)
                memcpy(data, buffer_head(buffer), buffer_size(buffer));
        free(buffer->data);
        buffer->end = buffer_size(buffer);
        buffer->begin = 0;
        buffer->data = data;
        buffer->allocated = size;
        return 0;
}

uint8_t *buffer_reserve(Buffer *buffer, size_t size)
{
        size_t needed = buffer_size(buffer) + size;

        if (needed < size || needed > buffer->maximum)
                return NULL;
        if (buffer->end + size > buffer->allocated) {
                if (needed > buffer->allocated) {
                        if (grow(buffer, needed) < 0)
                                return NULL;
                } else {
                        memmove(buffer->data, buffer_head(buffer), buffer_size(buffer));
                        buffer->end -= buffer->begin;
                        buffer->begin = 0;
                }
        }
        return buffer->data + buffer->end;
}

void buffer_extend(Buffer *buffer, size_t size)
{
        assert(size <= buffer->allocated - buffer->end);
        buffer->end += size;
}

int buffer_append(Buffer *buffer, const void *data, size_t size)
{
        uint8_t *space;

        if (size == 0)
                return 0;
        space = buffer_reserve(buffer, size);
        if (!space)
                return -ENOBUFS;
        memcpy(space, data, size);
        buffer_extend(buffer, size);
        return 0;
}

void buffer_consume(Buffer *buffer, size_t size)
{
        assert(size <= buffer_size(buffer));
        buffer->begin += size;
        if (buffer->begin == buffer->end)
                buffer->begin = buffer->end = 0;
}
