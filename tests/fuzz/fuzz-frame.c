/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bytes as a stream of frames. What decodes must encode again, and decode to the same bytes. The checksums
 * of a frame that has none or a wrong one are set right first, or no search would get past them.
 */

#include "../lib/frame-encode.h"
#include "fuzz.h"
#include "basic/bytes.h"
#include "link/frame.h"

#include <zstd.h>

/* Whatever the decoder took, its encoding is taken again and encodes to the same. */
static void check_round_trip(const Frame *frame)
{
        Buffer first = BUFFER_INIT(2 * LINK_FRAME_MAX), second = BUFFER_INIT(2 * LINK_FRAME_MAX);
        const char *why;
        Frame again;

        if (frame->type < _FRAME_MAX) {
                CHECK(frame_encode(&first, frame) == 0);
                CHECK(frame_decode(buffer_head(&first), buffer_size(&first), &again, &why) == 1);
                CHECK(again.size == buffer_size(&first));
                CHECK(frame_encode(&second, &again) == 0);
                CHECK(buffer_size(&first) == buffer_size(&second));
                CHECK(memcmp(buffer_head(&first), buffer_head(&second), buffer_size(&first)) == 0);
        }
        buffer_done(&first);
        buffer_done(&second);
}

/* Returns 0 when nothing more can be taken. */
static size_t take_one(uint8_t *data, size_t size, FrameDecompressor *decompressor)
{
        Buffer scratch = BUFFER_INIT(BATCH_PAYLOAD_MAX);
        const char *why = NULL;
        Frame frame;
        int r;

        fuzz_mend_frame(data, size);
        r = frame_decode(data, size, &frame, &why);
        if (r <= 0) {
                CHECK(r == 0 || (r == -EBADMSG && why));
                return 0;
        }
        CHECK(frame.size >= LINK_FRAME_HEADER_SIZE && frame.size <= size && frame.size <= LINK_FRAME_MAX);
        r = 0;
        if (frame.type == FRAME_BATCH)
                r = frame_open_batch(&frame, decompressor, &scratch, &why);
        CHECK(r == 0 || r == -EBADMSG);
        if (r == 0)
                check_round_trip(&frame);
        buffer_done(&scratch);
        return frame.size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        FrameDecompressor *decompressor = ZSTD_createDCtx();
        uint8_t *copy = malloc(size > 0 ? size : 1);
        size_t used = 0, n = 0;

        if (size > 0)
                memcpy(copy, data, size);
        do {
                used += n;
                n = take_one(copy + used, size - used, decompressor);
        } while (n > 0);
        free(copy);
        ZSTD_freeDCtx(decompressor);
        return 0;
}
