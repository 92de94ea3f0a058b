/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Frames: the bytes of the link protocol (docs/protocol.md). Encoding appends to a buffer, decoding reads from one; no I/O,
 * no state.
 *
 * Every frame begins with 16 bytes:
 *
 *      offset  size
 *           0     2  magic 0x5241 ("AR")
 *           2     1  type
 *           3     1  flags          1: may be skipped if unknown; 2: payload is one zstd frame (BATCH only); others zero
 *           4     4  size           bytes of the body
 *           8     8  checksum       XXH3-64 of header bytes 0..7 and the body; for BATCH: of header bytes 0..7 and the 48
 *                                   bytes of the batch header, which itself carries the hash of the payload
 *
 * Strings are a 16-bit length and that many bytes. Bytes behind the fields known here are ignored in every body but
 * BATCH, so that fields can be added at the end.
 */

#include "basic/batch.h"
#include "basic/buffer.h"

#define LINK_MAGIC UINT16_C(0x5241)
#define LINK_VERSION 1U
#define LINK_FRAME_HEADER_SIZE 16U
/* Body of any frame but BATCH: room for a STATE with its keys or a checkpoint note. */
#define LINK_BODY_MAX (16U * 1024U)
#define LINK_FRAME_MAX (LINK_FRAME_HEADER_SIZE + BATCH_HEADER_SIZE + BATCH_PAYLOAD_MAX)
#define LINK_ALPN "audit-relay/1"

/* Fixed part of each body; strings follow. */
#define FRAME_HELLO_SIZE 40U
#define FRAME_WELCOME_SIZE 48U
#define FRAME_ACK_SIZE 16U
#define FRAME_RECEIPT_SIZE 8U
#define FRAME_STATE_SIZE 8U
#define FRAME_COMMAND_SIZE 16U
#define FRAME_REPLY_SIZE 16U
#define FRAME_BYE_SIZE 8U
/* Where the payload of a BATCH begins in its frame. */
#define FRAME_BATCH_PAYLOAD (LINK_FRAME_HEADER_SIZE + BATCH_HEADER_SIZE)

typedef enum FrameType {
        FRAME_HELLO = 1,
        FRAME_WELCOME = 2,
        FRAME_BATCH = 3,
        FRAME_ACK = 4,
        FRAME_RECEIPT = 5,
        FRAME_STATE = 6,
        FRAME_COMMAND = 7,
        FRAME_REPLY = 8,
        FRAME_BYE = 9,
        _FRAME_MAX,
} FrameType;

enum {
        FRAME_FLAG_SKIP = 1U << 0,
        FRAME_FLAG_ZSTD = 1U << 1,
};

/* Features, offered in HELLO and taken in WELCOME. */
enum {
        LINK_FEATURE_ZSTD = 1U << 0,
        LINK_FEATURE_COMMANDS = 1U << 1, /* COMMAND and REPLY may be sent, in either direction */
};

/* A slice of the bytes a frame was decoded from, or of the caller's when encoding. */
typedef struct LinkString {
        const char *data;
        size_t size;
} LinkString;

static inline LinkString link_string(const char *text)
{
        return (LinkString) { text, text ? strlen(text) : 0 };
}

typedef enum LinkRole {
        LINK_ROLE_SENDER = 1,     /* I send batches of this stream */
        LINK_ROLE_SUBSCRIBER = 2, /* send me batches; answered by a HELLO of role sender */
        _LINK_ROLE_MAX,
} LinkRole;

typedef enum LinkStart {
        LINK_START_CURSOR = 0, /* behind (stream, newest), if it is still the same stream, else from the oldest held */
        LINK_START_NOW = 1,
        LINK_START_OLDEST = 2,
        _LINK_START_MAX,
} LinkStart;

/* 2 version_min, 2 version_max, 1 role, 1 start, 2 features, 16 stream, 8 oldest, 8 newest, node,
 * software, filter. */
typedef struct LinkHello {
        uint16_t version_min, version_max;
        LinkRole role;
        LinkStart start; /* subscriber only */
        uint16_t features;
        StreamId stream;         /* subscriber: of its cursor */
        uint64_t oldest, newest; /* subscriber: newest is the last seq it has */
        LinkString node;         /* subscriber: its name */
        LinkString software;
        LinkString filter; /* subscriber only */
} LinkHello;

/* 2 version, 2 features, 4 zero, 16 stream, 8 last, 8 checksum, 8 credit, name, node, software. */
typedef struct LinkWelcome {
        uint16_t version;
        uint16_t features;
        StreamId stream;
        uint64_t last;     /* last seq in custody for that stream */
        uint64_t checksum; /* of the batch that ended there; 0: not known, nothing to compare */
        uint64_t credit;   /* as in ACK */
        LinkString name;   /* the receiver's, what a custody batch would call it; not empty */
        LinkString node;   /* the node= it expects in lines, empty: any it is told */
        LinkString software;
} LinkWelcome;

/* 8 seq, 8 credit. */
typedef struct LinkAck {
        uint64_t seq;    /* all up to here are in my custody */
        uint64_t credit; /* bytes of BATCH frames, heartbeats apart, that may have been sent in this session; never decreases */
} LinkAck;

/* 8 seq, note. A signed checkpoint of the collector's store, for keeping elsewhere. */
typedef struct LinkReceipt {
        uint64_t seq; /* of the client's stream, covered by the checkpoint */
        LinkString note;
} LinkReceipt;

/* 1 on, 7 zero, name, keys. A condition at the receiver began or ended, its name without the component;
 * keys are KEY=VALUE lines. */
typedef struct LinkState {
        bool on;
        LinkString name;
        LinkString keys;
} LinkState;

/* 8 id, 4 timeout, 4 zero, verb, arguments. */
typedef struct LinkCommand {
        uint64_t id;
        uint32_t timeout_sec;
        LinkString verb;
        LinkString arguments; /* KEY=VALUE lines */
} LinkCommand;

typedef enum LinkReplyStatus {
        LINK_REPLY_DONE = 0,
        LINK_REPLY_REFUSED = 1, /* not yours to ask */
        LINK_REPLY_UNKNOWN = 2, /* no such verb here */
        LINK_REPLY_FAILED = 3,
} LinkReplyStatus;

/* 8 id, 2 status, 6 zero, text. */
typedef struct LinkReply {
        uint64_t id;
        uint16_t status; /* LinkReplyStatus; an unknown one is treated as failed */
        LinkString text;
} LinkReply;

typedef enum LinkByeCode {
        LINK_BYE_DONE = 0,        /* the sender's stream is ended: the receiver may forget it */
        LINK_BYE_PROTOCOL = 1,    /* bad framing */
        LINK_BYE_CERTIFICATE = 2, /* missing, expired, not trusted, revoked */
        LINK_BYE_NODE = 3,        /* the certificate does not name this node, or a stream of another owner */
        LINK_BYE_VERSION = 4,     /* no common version */
        LINK_BYE_DIVERGED = 5,    /* the sender starts a new stream and comes back */
        LINK_BYE_RESUME = 6,      /* the receiver stepped back: connect again and resume */
        LINK_BYE_ENDING = 7,      /* the receiver stops: go elsewhere or come back */
        LINK_BYE_OVERLOAD = 8,    /* too many connections or bytes */
        LINK_BYE_REPLACED = 9,    /* another session delivers this stream now */
        LINK_BYE_TIMEOUT = 10,    /* the peer was silent for too long */
        LINK_BYE_INTERNAL = 11,
        _LINK_BYE_MAX,
} LinkByeCode;

/* 2 code, 2 zero, 4 retry_after, reason. */
typedef struct LinkBye {
        uint16_t code; /* LinkByeCode; an unknown one is treated as LINK_BYE_INTERNAL */
        uint32_t retry_after_msec;
        LinkString reason; /* a sentence for people */
} LinkBye;

typedef struct Frame {
        FrameType type; /* a type this version does not know, if flagged as skippable */
        uint8_t flags;
        size_t size; /* of the whole frame, header included */
        union {
                LinkHello hello;
                LinkWelcome welcome;
                Batch batch; /* payload as in the frame; with FRAME_FLAG_ZSTD: see compressed_size */
                LinkAck ack;
                LinkReceipt receipt;
                LinkState state;
                LinkCommand command;
                LinkReply reply;
                LinkBye bye;
        };
        size_t compressed_size; /* bytes at batch.payload when FRAME_FLAG_ZSTD is set */
} Frame;

/* What the session's software= says in HELLO and WELCOME. */
#define LINK_SOFTWARE "audit-relay " AUDIT_RELAY_VERSION

/* Contexts of the compressed payload; made with ZSTD_createCCtx() and ZSTD_createDCtx(). */
typedef struct ZSTD_CCtx_s FrameCompressor;
typedef struct ZSTD_DCtx_s FrameDecompressor;

/* Reads the frame at the front of `data`; strings and payload point into it. A BATCH's payload is not
 * verified here (see frame_open_batch()). Returns 1; 0 when more bytes are needed (never more than
 * LINK_FRAME_MAX); -EBADMSG for a wrong magic, checksum, length, a field that breaks a rule, or an
 * unknown frame that may not be skipped. `ret_why`, a static string for the BYE, is set then. */
int frame_decode(const uint8_t *data, size_t size, Frame *ret_frame, const char **ret_why) _must_check_;

/* Makes frame->batch.payload the payload that was sealed: decompresses it into `scratch` if the frame
 * says so, and verifies it. Returns 0; -EBADMSG (see frame_decode()) when it is another, does not
 * decompress to exactly its size, or is compressed and `decompressor` is NULL; -ENOBUFS. */
int frame_open_batch(Frame *frame, FrameDecompressor *decompressor, Buffer *scratch,
                     const char **ret_why) _must_check_;

/* "unexpected HELLO": a static string for a violation. */
const char *frame_unexpected(FrameType type);

/* Each appends one frame. Returns 0 or -ENOBUFS; -EMSGSIZE when a string is longer than its field or the
 * body allows; -EINVAL when a string breaks the rule of its field (docs/protocol.md, "Strings"). */
int frame_put_hello(Buffer *buffer, const LinkHello *hello) _must_check_;
int frame_put_welcome(Buffer *buffer, const LinkWelcome *welcome) _must_check_;
int frame_put_batch(Buffer *buffer, const Batch *batch) _must_check_;
/* What precedes the payload, whose batch->size bytes have to come next. */
int frame_put_batch_header(Buffer *buffer, const Batch *batch) _must_check_;
/* The same with a compressed payload, where that is shorter. */
int frame_put_batch_compressed(Buffer *buffer, const Batch *batch, FrameCompressor *compressor) _must_check_;
int frame_put_ack(Buffer *buffer, const LinkAck *ack) _must_check_;
int frame_put_receipt(Buffer *buffer, const LinkReceipt *receipt) _must_check_;
int frame_put_state(Buffer *buffer, const LinkState *state) _must_check_;
int frame_put_command(Buffer *buffer, const LinkCommand *command) _must_check_;
int frame_put_reply(Buffer *buffer, const LinkReply *reply) _must_check_;
int frame_put_bye(Buffer *buffer, const LinkBye *bye) _must_check_;
