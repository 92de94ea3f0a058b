/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Decoding: from bytes of a peer that is not trusted to a frame whose every field keeps its rules.
 *
 *  1. Nothing is read behind `size`, and no more than LINK_FRAME_MAX bytes are ever asked for.
 *  2. A frame is judged as soon as its header is there, a BATCH as soon as its batch header is: no peer makes us wait for
 *     the rest of what is refused anyway.
 *  3. No field is used before the checksum that covers it was compared. The size, needed to find the checksummed bytes, is
 *     bounded first.
 */

#include "basic/bytes.h"
#include "link/frame-string.h"

#include <zstd.h>

typedef const char *(*DecodeFn)(const uint8_t *fixed, const LinkString *strings, Frame *frame);

static bool all_zero(const uint8_t *data, size_t size)
{
        for (size_t i = 0; i < size; i++)
                if (data[i] != 0)
                        return false;
        return true;
}

static StreamId get_stream(const uint8_t *data)
{
        StreamId id;

        memcpy(id.bytes, data, sizeof id.bytes);
        return id;
}

static const char *decode_hello(const uint8_t *fixed, const LinkString *strings, Frame *frame)
{
        LinkHello *hello = &frame->hello;

        *hello = (LinkHello) {
                .version_min = get_le16(fixed),
                .version_max = get_le16(fixed + 2),
                .role = fixed[4],
                .start = fixed[5],
                .features = get_le16(fixed + 6),
                .stream = get_stream(fixed + 8),
                .oldest = get_le64(fixed + 24),
                .newest = get_le64(fixed + 32),
                .node = strings[0],
                .software = strings[1],
                .filter = strings[2],
        };
        if (hello->version_min == 0 || hello->version_min > hello->version_max)
                return "HELLO with an impossible range of versions";
        if (hello->newest == UINT64_MAX)
                return "HELLO with an impossible seq";
        switch (hello->role) {
        case LINK_ROLE_SENDER:
                if (stream_id_is_null(&hello->stream))
                        return "HELLO of a sender without a stream";
                if (hello->oldest == 0 || hello->oldest > hello->newest + 1)
                        return "HELLO with an impossible range of seqs";
                if (hello->start != 0 || hello->filter.size > 0)
                        return "HELLO of a sender with a subscription";
                return NULL;
        case LINK_ROLE_SUBSCRIBER:
                if (fixed[5] >= _LINK_START_MAX)
                        return "HELLO with an unknown start";
                return NULL;
        default:
                return "HELLO with an unknown role";
        }
}

static const char *decode_welcome(const uint8_t *fixed, const LinkString *strings, Frame *frame)
{
        frame->welcome = (LinkWelcome) {
                .version = get_le16(fixed),
                .features = get_le16(fixed + 2),
                .stream = get_stream(fixed + 8),
                .last = get_le64(fixed + 24),
                .checksum = get_le64(fixed + 32),
                .credit = get_le64(fixed + 40),
                .name = strings[0],
                .node = strings[1],
                .software = strings[2],
        };
        return all_zero(fixed + 4, 4) ? NULL : "WELCOME with reserved bytes set";
}

static const char *decode_ack(const uint8_t *fixed, const LinkString *strings, Frame *frame)
{
        frame->ack = (LinkAck) { .seq = get_le64(fixed), .credit = get_le64(fixed + 8) };
        return NULL;
}

static const char *decode_receipt(const uint8_t *fixed, const LinkString *strings, Frame *frame)
{
        frame->receipt = (LinkReceipt) { .seq = get_le64(fixed), .note = strings[0] };
        return NULL;
}

static const char *decode_state(const uint8_t *fixed, const LinkString *strings, Frame *frame)
{
        frame->state = (LinkState) { .on = fixed[0] != 0, .name = strings[0], .keys = strings[1] };
        return fixed[0] <= 1 && all_zero(fixed + 1, 7) ? NULL : "STATE with reserved bytes set";
}

static const char *decode_command(const uint8_t *fixed, const LinkString *strings, Frame *frame)
{
        frame->command = (LinkCommand) {
                .id = get_le64(fixed),
                .timeout_sec = get_le32(fixed + 8),
                .verb = strings[0],
                .arguments = strings[1],
        };
        return all_zero(fixed + 12, 4) ? NULL : "COMMAND with reserved bytes set";
}

static const char *decode_reply(const uint8_t *fixed, const LinkString *strings, Frame *frame)
{
        frame->reply =
                (LinkReply) { .id = get_le64(fixed), .status = get_le16(fixed + 8), .text = strings[0] };
        return all_zero(fixed + 10, 6) ? NULL : "REPLY with reserved bytes set";
}

static const char *decode_bye(const uint8_t *fixed, const LinkString *strings, Frame *frame)
{
        frame->bye = (LinkBye) {
                .code = get_le16(fixed),
                .retry_after_msec = get_le32(fixed + 4),
                .reason = strings[0],
        };
        return all_zero(fixed + 2, 2) ? NULL : "BYE with reserved bytes set";
}

static const struct {
        const char *unexpected;
        size_t fixed_size;
        DecodeFn decode; /* NULL: BATCH, which is no fixed part with strings */
} types[_FRAME_MAX] = {
        [FRAME_HELLO] = { "unexpected HELLO", FRAME_HELLO_SIZE, decode_hello },
        [FRAME_WELCOME] = { "unexpected WELCOME", FRAME_WELCOME_SIZE, decode_welcome },
        [FRAME_BATCH] = { "unexpected BATCH", BATCH_HEADER_SIZE, NULL },
        [FRAME_ACK] = { "unexpected ACK", FRAME_ACK_SIZE, decode_ack },
        [FRAME_RECEIPT] = { "unexpected RECEIPT", FRAME_RECEIPT_SIZE, decode_receipt },
        [FRAME_STATE] = { "unexpected STATE", FRAME_STATE_SIZE, decode_state },
        [FRAME_COMMAND] = { "unexpected COMMAND", FRAME_COMMAND_SIZE, decode_command },
        [FRAME_REPLY] = { "unexpected REPLY", FRAME_REPLY_SIZE, decode_reply },
        [FRAME_BYE] = { "unexpected BYE", FRAME_BYE_SIZE, decode_bye },
};

const char *frame_unexpected(FrameType type)
{
        return type > 0 && type < _FRAME_MAX ? types[type].unexpected : "unexpected frame";
}

static const char *judge_header(const uint8_t *header, size_t body_size)
{
        uint8_t type = header[2], flags = header[3];
        bool known = type > 0 && type < _FRAME_MAX;

        if (get_le16(header) != LINK_MAGIC)
                return "not a frame";
        if (type == 0 || (!known && !(flags & FRAME_FLAG_SKIP)))
                return "unknown type of frame";
        if (flags & ~(FRAME_FLAG_SKIP | FRAME_FLAG_ZSTD))
                return "unknown flag of a frame";
        if ((flags & FRAME_FLAG_ZSTD) && type != FRAME_BATCH)
                return "compressed frame that is no BATCH";
        if (body_size > (type == FRAME_BATCH ? BATCH_HEADER_SIZE + BATCH_PAYLOAD_MAX : LINK_BODY_MAX))
                return "frame too long";
        if (known && body_size < types[type].fixed_size)
                return "frame too short";
        return NULL;
}

static bool checksum_matches(const uint8_t *data, size_t covered_size)
{
        return get_le64(data + 8) == checksum64_pair(data, 8, data + LINK_FRAME_HEADER_SIZE, covered_size);
}

/* Header and batch header are there. */
static const char *decode_batch(const uint8_t *data, size_t body_size, Frame *frame)
{
        size_t payload_size = body_size - BATCH_HEADER_SIZE;
        Batch *batch = &frame->batch;

        if (!checksum_matches(data, BATCH_HEADER_SIZE))
                return "wrong checksum of a frame";
        if (batch_decode(data + LINK_FRAME_HEADER_SIZE, batch) < 0)
                return "BATCH with a wrong header";
        batch->payload = data + FRAME_BATCH_PAYLOAD;
        if (frame->flags & FRAME_FLAG_ZSTD) {
                frame->compressed_size = payload_size;
                return payload_size > 0 && payload_size < batch->size ? NULL : "BATCH of a wrong size";
        }
        return payload_size == batch->size ? NULL : "BATCH of a wrong size";
}

/* Bytes behind the last string are of a later version: ignored. */
static const char *decode_body(const uint8_t *body, size_t size, Frame *frame)
{
        size_t offset = types[frame->type].fixed_size, n_strings;
        const FrameStringKind *kinds = frame_string_kinds(frame->type, &n_strings);
        LinkString strings[FRAME_STRINGS_MAX];

        for (size_t i = 0; i < n_strings; i++) {
                if (size - offset < 2)
                        return "frame too short";
                strings[i].size = get_le16(body + offset);
                offset += 2;
                if (size - offset < strings[i].size)
                        return "string longer than its frame";
                strings[i].data = (const char *) body + offset;
                offset += strings[i].size;
                if (!frame_string_valid(strings[i], kinds[i]))
                        return "string with forbidden bytes";
        }
        return types[frame->type].decode(body, strings, frame);
}

/* Returns NULL with frame->size 0 when more bytes are needed. */
static const char *decode(const uint8_t *data, size_t size, Frame *frame)
{
        size_t body_size;
        const char *why;

        if (size < LINK_FRAME_HEADER_SIZE)
                return NULL;
        body_size = get_le32(data + 4);
        why = judge_header(data, body_size);
        if (why)
                return why;
        frame->type = data[2];
        frame->flags = data[3];
        if (frame->type == FRAME_BATCH) {
                if (size < FRAME_BATCH_PAYLOAD)
                        return NULL;
                why = decode_batch(data, body_size, frame);
                if (why)
                        return why;
        }
        if (size - LINK_FRAME_HEADER_SIZE < body_size)
                return NULL;
        frame->size = LINK_FRAME_HEADER_SIZE + body_size;
        if (frame->type == FRAME_BATCH)
                return NULL;
        if (!checksum_matches(data, body_size))
                return "wrong checksum of a frame";
        return frame->type < _FRAME_MAX ? decode_body(data + LINK_FRAME_HEADER_SIZE, body_size, frame)
                                        : NULL;
}

int frame_decode(const uint8_t *data, size_t size, Frame *ret_frame, const char **ret_why)
{
        const char *why;

        *ret_frame = (Frame) { 0 };
        why = decode(data, size, ret_frame);
        if (why) {
                *ret_why = why;
                return -EBADMSG;
        }
        return ret_frame->size > 0;
}

/* Bounded by the size that the batch header promised, however much the compressed bytes would become. */
static const char *decompress(const Frame *frame, FrameDecompressor *decompressor, uint8_t *out)
{
        const Batch *batch = &frame->batch;

        if (ZSTD_findFrameCompressedSize(batch->payload, frame->compressed_size) != frame->compressed_size)
                return "BATCH that is not one zstd frame";
        if (ZSTD_decompressDCtx(decompressor, out, batch->size, batch->payload, frame->compressed_size) !=
            batch->size)
                return "BATCH that does not decompress to its size";
        return NULL;
}

int frame_open_batch(Frame *frame, FrameDecompressor *decompressor, Buffer *scratch, const char **ret_why)
{
        const char *why = NULL;

        if (frame->flags & FRAME_FLAG_ZSTD) {
                uint8_t *out;

                if (!decompressor) {
                        *ret_why = "compressed BATCH without the feature";
                        return -EBADMSG;
                }
                out = buffer_reserve(scratch, frame->batch.size);
                if (!out)
                        return -ENOBUFS;
                why = decompress(frame, decompressor, out);
                frame->batch.payload = out;
        }
        if (!why && !batch_payload_intact(&frame->batch))
                why = "BATCH with another payload than it was sealed with";
        if (!why)
                return 0;
        *ret_why = why;
        return -EBADMSG;
}
