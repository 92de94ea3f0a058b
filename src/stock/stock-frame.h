/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Frames of the protocol that stock audisp-remote and auditd speak, which they call "managed"
 * (docs/stock-protocol.md):
 *
 *      offset  size  field
 *           0     4  magic          fe 00 00 ff
 *           4     1  header version 0; nobody checks it
 *           5     1  message version 0; nobody checks it
 *           6     4  type           StockType
 *          10     2  size           of the payload
 *          12     4  seq            chosen by the client; a reply has that of its request
 *          16        payload        a record's line; of some replies a text
 *
 * Numbers are little-endian.
 */

#include "basic/batch.h"
#include "basic/buffer.h"

#define STOCK_HEADER_SIZE 16U
/* auditd receives into 8,970 bytes, the header among them: a longer frame breaks the connection. */
#define STOCK_PAYLOAD_MAX (RECORD_TEXT_MAX - STOCK_HEADER_SIZE)
/* What a size of 16 bits can say. */
#define STOCK_FRAME_MAX (STOCK_HEADER_SIZE + 65535U)

typedef enum StockType {
        STOCK_MESSAGE = 0x00000000,
        STOCK_HEARTBEAT = 0x00000001,
        STOCK_ACK = 0x40000000,
        STOCK_ENDING = 0x40000001,    /* seq 0, unasked: come back later */
        STOCK_DISKLOW = 0x50000001,   /* stored; the disk is nearly full */
        STOCK_DISKFULL = 0x60000001,  /* not stored */
        STOCK_DISKERROR = 0x60000002, /* not stored */
} StockType;

/* Bits of a type. */
#define STOCK_REPLY 0x40000000U
#define STOCK_FATAL 0x20000000U /* not stored */
#define STOCK_WARNING 0x10000000U

typedef struct StockFrame {
        uint32_t type;
        uint32_t seq;
        uint16_t size;
        const uint8_t *payload; /* not owned */
} StockFrame;

/* Bytes of the whole frame. */
static inline size_t stock_frame_size(const StockFrame *frame)
{
        return STOCK_HEADER_SIZE + frame->size;
}

/* Appends a frame. Returns 0 or -ENOBUFS. */
int stock_frame_put(Buffer *output, uint32_t type, uint32_t seq, const void *payload,
                    uint16_t size) _must_check_;

/* Reads the frame at the front. Returns 1; 0 when it is not all there; -EBADMSG when the bytes, as far as
 * they are there, do not begin with the magic. */
int stock_frame_parse(const uint8_t *data, size_t size, StockFrame *ret) _must_check_;
