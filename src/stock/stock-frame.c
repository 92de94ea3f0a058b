/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "stock/stock-frame.h"
#include "basic/bytes.h"

static const uint8_t magic[] = { 0xfe, 0x00, 0x00, 0xff };

int stock_frame_put(Buffer *output, uint32_t type, uint32_t seq, const void *payload, uint16_t size)
{
        uint8_t *p = buffer_reserve(output, STOCK_HEADER_SIZE + (size_t) size);

        if (!p)
                return -ENOBUFS;
        memcpy(p, magic, sizeof magic);
        p[4] = p[5] = 0;
        /* The type is not aligned. */
        put_le32(p + 6, type);
        put_le16(p + 10, size);
        put_le32(p + 12, seq);
        if (size > 0)
                memcpy(p + STOCK_HEADER_SIZE, payload, size);
        buffer_extend(output, STOCK_HEADER_SIZE + (size_t) size);
        return 0;
}

int stock_frame_parse(const uint8_t *data, size_t size, StockFrame *ret)
{
        if (size == 0)
                return 0;
        if (memcmp(data, magic, MIN(size, sizeof magic)) != 0)
                return -EBADMSG;
        if (size < STOCK_HEADER_SIZE)
                return 0;
        *ret = (StockFrame) {
                .type = get_le32(data + 6),
                .size = get_le16(data + 10),
                .seq = get_le32(data + 12),
                .payload = data + STOCK_HEADER_SIZE,
        };
        return stock_frame_size(ret) <= size;
}
