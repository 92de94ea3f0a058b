/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The text of a segment, for reading: plain, or packed (pack.c) in blocks that are inflated one at a time. */

#include "store/store-internal.h"
#include "basic/bytes.h"

#include <fcntl.h>
#include <zstd.h>

/* Where the blocks are: from the table at the end. */
static int read_table(Disk *disk, SegmentText *text)
{
        uint8_t footer[PACK_FOOTER_SIZE], entry[PACK_ENTRY_SIZE];
        uint64_t size, table, end = 0;
        int r;

        r = disk->size(disk, text->packed, &size);
        if (r < 0)
                return r;
        if (size < PACK_HEAD_SIZE + PACK_FOOTER_SIZE)
                return -EBADMSG;
        r = segment_read(disk, text->packed, footer, sizeof footer, size - sizeof footer);
        if (r < 0)
                return r;
        text->n_blocks = get_le32(footer);
        table = size - PACK_FOOTER_SIZE - (uint64_t) text->n_blocks * PACK_ENTRY_SIZE;
        if (get_le32(footer + 5) != PACK_MAGIC_END || text->n_blocks == 0 || text->n_blocks > PACK_BLOCKS_MAX ||
            table < PACK_HEAD_SIZE || table > size)
                return -EBADMSG;
        text->ends = calloc(text->n_blocks, sizeof *text->ends);
        if (!text->ends)
                return -ENOMEM;
        for (uint32_t i = 0; i < text->n_blocks; i++) {
                r = segment_read(disk, text->packed, entry, sizeof entry, table + (uint64_t) i * sizeof entry);
                if (r < 0)
                        return r;
                text->last_block = get_le32(entry + 4);
                if (get_le32(entry) > PACK_BOUND || text->last_block > PACK_BLOCK ||
                    (text->last_block < PACK_BLOCK && i + 1 < text->n_blocks))
                        return -EBADMSG;
                text->largest = MAX(text->largest, get_le32(entry));
                text->ends[i] = end += get_le32(entry);
        }
        return end == table - PACK_HEAD_SIZE ? 0 : -EBADMSG;
}

/* Plain, of any but the last. */
static size_t block_max(const SegmentText *text)
{
        return text->n_blocks > 1 ? PACK_BLOCK : text->last_block;
}

static int open_packed(Disk *disk, uint64_t first, SegmentText *ret)
{
        SegmentText text = SEGMENT_TEXT_NULL;
        char name[STORE_NAME_MAX];
        int r;

        segment_name(first, STORE_PACKED, name);
        text.packed = disk->open(disk, name, O_RDONLY);
        if (text.packed < 0)
                return text.packed;
        r = read_table(disk, &text);
        text.block = r == 0 ? malloc(block_max(&text) + text.largest) : NULL;
        if (r == 0 && !text.block)
                r = -ENOMEM;
        if (r < 0)
                segment_text_close(disk, &text);
        else
                *ret = text;
        return r;
}

int segment_text_open(Disk *disk, uint64_t first, SegmentText *ret)
{
        char name[STORE_NAME_MAX];
        int handle, r;

        segment_name(first, ".log", name);
        for (unsigned attempt = 0;; attempt++) {
                handle = disk->open(disk, name, O_RDONLY);
                if (handle >= 0) {
                        *ret = SEGMENT_TEXT_NULL;
                        ret->plain = handle;
                        return 0;
                }
                if (handle != -ENOENT)
                        return handle;
                r = open_packed(disk, first, ret);
                /* It is packed, or unpacked, right now: one of the two is there. */
                if (r != -ENOENT || attempt > 0)
                        return r;
        }
}

void segment_text_close(Disk *disk, SegmentText *text)
{
        if (text->plain >= 0)
                disk->close(disk, text->plain);
        if (text->packed >= 0)
                disk->close(disk, text->packed);
        free(text->ends);
        free(text->block);
        *text = SEGMENT_TEXT_NULL;
}

static int load_block(Disk *disk, SegmentText *text, uint32_t i)
{
        uint64_t begin = i > 0 ? text->ends[i - 1] : 0;
        size_t size = i + 1 < text->n_blocks ? PACK_BLOCK : text->last_block, n = (size_t) (text->ends[i] - begin);
        uint8_t *input = text->block + block_max(text);
        int r;

        text->loaded = UINT32_MAX;
        r = segment_read(disk, text->packed, input, n, begin);
        if (r < 0)
                return r;
        if (ZSTD_decompress(text->block, block_max(text), input, n) != size)
                return -EBADMSG;
        text->loaded = i;
        return 0;
}

uint64_t segment_text_packed_size(const SegmentText *text)
{
        return (uint64_t) (text->n_blocks - 1) * PACK_BLOCK + text->last_block;
}

int segment_text_read(Disk *disk, SegmentText *text, void *data, size_t size, uint64_t offset)
{
        uint8_t *p = data;
        int r;

        if (text->plain >= 0)
                return segment_read(disk, text->plain, data, size, offset);
        if (offset > segment_text_packed_size(text) || size > segment_text_packed_size(text) - offset)
                return -EBADMSG;
        while (size > 0) {
                uint32_t i = (uint32_t) (offset / PACK_BLOCK);
                size_t at = offset % PACK_BLOCK, n = MIN(size, PACK_BLOCK - at);

                r = text->loaded == i ? 0 : load_block(disk, text, i);
                if (r < 0)
                        return r;
                memcpy(p, text->block + at, n);
                p += n;
                offset += n;
                size -= n;
        }
        return 0;
}
