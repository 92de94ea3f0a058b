/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Encoding: each function appends one whole frame or nothing.
 *
 * A body other than BATCH is a fixed part and strings behind it, so one function writes them all. A BATCH's
 * payload is copied once, into the output buffer: the source may reuse its memory before a slow socket has
 * taken the bytes.
 */

#include "basic/bytes.h"
#include "link/frame-string.h"

#include <zstd.h>

/* Level 1 already halves audit text several times over; more costs the host that is being audited. */
#define COMPRESSION_LEVEL 1

#define STRING_PREFIX_SIZE 2U

static void put_header(uint8_t *frame, FrameType type, uint8_t flags, size_t body_size, size_t covered_size)
{
        put_le16(frame, LINK_MAGIC);
        frame[2] = (uint8_t) type;
        frame[3] = flags;
        put_le32(frame + 4, (uint32_t) body_size);
        put_le64(frame + 8, checksum64_pair(frame, 8, frame + LINK_FRAME_HEADER_SIZE, covered_size));
}

static int judge_strings(FrameType type, size_t fixed_size, const LinkString *strings, size_t *ret_body_size)
{
        size_t n_strings, body_size = fixed_size;
        const FrameStringKind *kinds = frame_string_kinds(type, &n_strings);

        for (size_t i = 0; i < n_strings; i++) {
                body_size += STRING_PREFIX_SIZE + strings[i].size;
                if (body_size > LINK_BODY_MAX)
                        return -EMSGSIZE;
                if (!frame_string_valid(strings[i], kinds[i]))
                        return -EINVAL;
        }
        *ret_body_size = body_size;
        return 0;
}

static int put_frame(Buffer *buffer, FrameType type, const uint8_t *fixed, size_t fixed_size,
                     const LinkString *strings)
{
        size_t n_strings, body_size;
        uint8_t *frame, *p;
        int r;

        r = judge_strings(type, fixed_size, strings, &body_size);
        if (r < 0)
                return r;
        frame = buffer_reserve(buffer, LINK_FRAME_HEADER_SIZE + body_size);
        if (!frame)
                return -ENOBUFS;
        p = frame + LINK_FRAME_HEADER_SIZE;
        memcpy(p, fixed, fixed_size);
        p += fixed_size;
        (void) frame_string_kinds(type, &n_strings);
        for (size_t i = 0; i < n_strings; i++) {
                put_le16(p, (uint16_t) strings[i].size);
                p += STRING_PREFIX_SIZE;
                if (strings[i].size > 0)
                        memcpy(p, strings[i].data, strings[i].size);
                p += strings[i].size;
        }
        put_header(frame, type, 0, body_size, body_size);
        buffer_extend(buffer, LINK_FRAME_HEADER_SIZE + body_size);
        return 0;
}

int frame_put_hello(Buffer *buffer, const LinkHello *hello)
{
        uint8_t fixed[FRAME_HELLO_SIZE];

        put_le16(fixed, hello->version_min);
        put_le16(fixed + 2, hello->version_max);
        fixed[4] = (uint8_t) hello->role;
        fixed[5] = (uint8_t) hello->start;
        put_le16(fixed + 6, hello->features);
        memcpy(fixed + 8, hello->stream.bytes, sizeof hello->stream.bytes);
        put_le64(fixed + 24, hello->oldest);
        put_le64(fixed + 32, hello->newest);
        return put_frame(buffer, FRAME_HELLO, fixed, sizeof fixed,
                         (LinkString[]) { hello->node, hello->software, hello->filter });
}

int frame_put_welcome(Buffer *buffer, const LinkWelcome *welcome)
{
        uint8_t fixed[FRAME_WELCOME_SIZE] = { 0 };

        put_le16(fixed, welcome->version);
        put_le16(fixed + 2, welcome->features);
        memcpy(fixed + 8, welcome->stream.bytes, sizeof welcome->stream.bytes);
        put_le64(fixed + 24, welcome->last);
        put_le64(fixed + 32, welcome->checksum);
        put_le64(fixed + 40, welcome->credit);
        return put_frame(buffer, FRAME_WELCOME, fixed, sizeof fixed,
                         (LinkString[]) { welcome->name, welcome->node, welcome->software });
}

int frame_put_ack(Buffer *buffer, const LinkAck *ack)
{
        uint8_t fixed[FRAME_ACK_SIZE];

        put_le64(fixed, ack->seq);
        put_le64(fixed + 8, ack->credit);
        return put_frame(buffer, FRAME_ACK, fixed, sizeof fixed, NULL);
}

int frame_put_receipt(Buffer *buffer, const LinkReceipt *receipt)
{
        uint8_t fixed[FRAME_RECEIPT_SIZE];

        put_le64(fixed, receipt->seq);
        return put_frame(buffer, FRAME_RECEIPT, fixed, sizeof fixed, &receipt->note);
}

int frame_put_state(Buffer *buffer, const LinkState *state)
{
        uint8_t fixed[FRAME_STATE_SIZE] = { state->on };

        return put_frame(buffer, FRAME_STATE, fixed, sizeof fixed,
                         (LinkString[]) { state->name, state->keys });
}

int frame_put_command(Buffer *buffer, const LinkCommand *command)
{
        uint8_t fixed[FRAME_COMMAND_SIZE] = { 0 };

        put_le64(fixed, command->id);
        put_le32(fixed + 8, command->timeout_sec);
        return put_frame(buffer, FRAME_COMMAND, fixed, sizeof fixed,
                         (LinkString[]) { command->verb, command->arguments });
}

int frame_put_reply(Buffer *buffer, const LinkReply *reply)
{
        uint8_t fixed[FRAME_REPLY_SIZE] = { 0 };

        put_le64(fixed, reply->id);
        put_le16(fixed + 8, reply->status);
        return put_frame(buffer, FRAME_REPLY, fixed, sizeof fixed, &reply->text);
}

int frame_put_bye(Buffer *buffer, const LinkBye *bye)
{
        uint8_t fixed[FRAME_BYE_SIZE] = { 0 };

        put_le16(fixed, bye->code);
        put_le32(fixed + 4, bye->retry_after_msec);
        return put_frame(buffer, FRAME_BYE, fixed, sizeof fixed, &bye->reason);
}

/* What precedes the payload, which has payload_size bytes as it is or compressed. */
static void put_batch_headers(uint8_t *frame, const Batch *batch, uint8_t flags, size_t payload_size)
{
        batch_encode(batch, frame + LINK_FRAME_HEADER_SIZE);
        put_header(frame, FRAME_BATCH, flags, BATCH_HEADER_SIZE + payload_size, BATCH_HEADER_SIZE);
}

int frame_put_batch_header(Buffer *buffer, const Batch *batch)
{
        uint8_t *frame = buffer_reserve(buffer, FRAME_BATCH_PAYLOAD);

        if (!frame)
                return -ENOBUFS;
        put_batch_headers(frame, batch, 0, batch->size);
        buffer_extend(buffer, FRAME_BATCH_PAYLOAD);
        return 0;
}

int frame_put_batch(Buffer *buffer, const Batch *batch)
{
        uint8_t *frame = buffer_reserve(buffer, FRAME_BATCH_PAYLOAD + batch->size);

        if (!frame)
                return -ENOBUFS;
        if (batch->size > 0)
                memcpy(frame + FRAME_BATCH_PAYLOAD, batch->payload, batch->size);
        put_batch_headers(frame, batch, 0, batch->size);
        buffer_extend(buffer, FRAME_BATCH_PAYLOAD + batch->size);
        return 0;
}

int frame_put_batch_compressed(Buffer *buffer, const Batch *batch, FrameCompressor *compressor)
{
        uint8_t *frame;
        size_t n;

        if (batch->size == 0)
                return frame_put_batch(buffer, batch);
        frame = buffer_reserve(buffer, FRAME_BATCH_PAYLOAD + batch->size);
        if (!frame)
                return -ENOBUFS;
        /* One byte less than the payload: what does not shrink does not fit. */
        n = ZSTD_compressCCtx(compressor, frame + FRAME_BATCH_PAYLOAD, batch->size - 1, batch->payload,
                              batch->size, COMPRESSION_LEVEL);
        if (ZSTD_isError(n))
                return frame_put_batch(buffer, batch);
        put_batch_headers(frame, batch, FRAME_FLAG_ZSTD, n);
        buffer_extend(buffer, FRAME_BATCH_PAYLOAD + n);
        return 0;
}
