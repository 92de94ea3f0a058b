/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What fuzz targets share. */

#include "basic/bytes.h"
#include "link/frame.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Like assert(), whatever NDEBUG says. */
#define CHECK(condition)                                                                  \
        do {                                                                              \
                if (!(condition)) {                                                       \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);   \
                        abort();                                                          \
                }                                                                         \
        } while (false)

/* Sets the checksums of the frame at the front of `data` right, if it is all there: for a BATCH also that
 * of its header, and the hash of a payload that is not compressed. */
static inline void fuzz_mend_frame(uint8_t *data, size_t size)
{
        size_t body_size, covered_size;

        if (size < LINK_FRAME_HEADER_SIZE)
                return;
        covered_size = body_size = get_le32(data + 4);
        if (size - LINK_FRAME_HEADER_SIZE < body_size)
                return;
        if (data[2] == FRAME_BATCH && body_size >= BATCH_HEADER_SIZE) {
                uint8_t *header = data + LINK_FRAME_HEADER_SIZE;

                covered_size = BATCH_HEADER_SIZE;
                if (!(data[3] & FRAME_FLAG_ZSTD))
                        put_le64(header + 32,
                                 checksum64(header + BATCH_HEADER_SIZE, body_size - BATCH_HEADER_SIZE));
                put_le64(header + 40, checksum64(header, 40));
        }
        put_le64(data + 8, checksum64_pair(data, 8, data + LINK_FRAME_HEADER_SIZE, covered_size));
}

/* Mends a whole stream of frames, so that a state machine gets past the checksums. */
static inline void fuzz_mend_stream(uint8_t *data, size_t size)
{
        size_t used = 0;

        while (size - used >= LINK_FRAME_HEADER_SIZE) {
                size_t frame_size = LINK_FRAME_HEADER_SIZE + (size_t) get_le32(data + used + 4);

                if (frame_size > size - used)
                        return;
                fuzz_mend_frame(data + used, frame_size);
                used += frame_size;
        }
}
