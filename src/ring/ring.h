/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The ring: the dispatcher's buffer, one mapped file on tmpfs that outlives the process. Its whole truth is in the file:
 * landing area, sealed batches, what the subscribers it waits for have acked, and the state that must move together with
 * the published end. kill -9 at any instruction loses nothing that had landed.
 *
 *      landing  ──format──▶  begin, seal, …  ──publish: one 64-bit store──▶  visible to sources
 *
 * The published word is the byte position of the end, and in its lowest bit which of the two copies of RingState belongs to
 * it. A landing group carries a number and the state counts the groups done, so that "the group's number is the next one and
 * a message has a length" means: landed, not yet published; it is then formatted again, so formatting must be deterministic.
 * docs/ring.md describes the file.
 */

#include "basic/batch.h"

#include <sys/socket.h>

/* Datagrams taken by one recvmmsg(): a full group makes a batch of about 64 KiB of ordinary records. */
#ifndef RING_LANDING_MAX /* tests make this and the size smaller, for many crashes in little time */
#define RING_LANDING_MAX 256U
#endif
/* Largest datagram: netlink header and RECORD_TEXT_MAX, rounded up; a longer one is cut and shows MSG_TRUNC. */
#define RING_MESSAGE_MAX 9216U
#ifndef RING_SIZE_MIN
#define RING_SIZE_MIN (8U * 1024U * 1024U)
#endif
#define RING_SIZE_DEFAULT (64U * 1024U * 1024U)
/* Subscribers whose ack the ring waits for (Overflow=block): remote and a few. */
#define RING_AWAITED_MAX 16U
/* Others of whom the file keeps where they stand, because they cannot say it themselves: as many plugins as there are. */
#define RING_REMEMBERED_MAX 48U
#define RING_KEPT_MAX (RING_AWAITED_MAX + RING_REMEMBERED_MAX)
/* Producers whose position is remembered; the longest silent one is forgotten first. */
#define RING_PRODUCERS_MAX 64U
#define RING_DROPPED_TYPES_MAX 62U
/* For the dispatcher's bookkeeping of serials and unfinished events; opaque here. */
#define RING_KERNEL_STATE_SIZE 8192U
/* Kept free for the record that says what was dropped: room for one of RECORD_LINE_MAX at any place. */
#define RING_RESERVE (64U * 1024U)

typedef struct RingProducer {
        StreamId stream;
        uint64_t last;
        uint64_t checksum;
        uint64_t seen; /* publication number, for forgetting */
        uint64_t owner; /* checksum64() of its name */
} RingProducer;

/* What moves together with the published end. Change it only through ring_state(), before ring_publish(). */
typedef struct RingState {
        uint64_t newest;       /* last seq */
        uint64_t publications;
        uint64_t landings;     /* landing groups published */
        uint64_t dropped;      /* records dropped since the last gap record */
        uint64_t dropped_sec;  /* realtime, when that began */
        uint64_t n_dropped_types;
        struct {
                uint64_t type;
                uint64_t count;
        } dropped_types[RING_DROPPED_TYPES_MAX];
        uint64_t dropped_other; /* of types beyond that table */
        uint64_t dropped_total; /* in the ring's life */
        uint64_t replaced;      /* LF, CR, NUL made spaces, in the ring's life */
        uint64_t auditd_bytes;  /* of auditd's socket, published last and perhaps not yet taken out of it */
        uint64_t auditd_hash;   /* checksum64() of them */
        RingProducer producers[RING_PRODUCERS_MAX];
        uint8_t kernel[RING_KERNEL_STATE_SIZE];
} RingState;

typedef struct Ring Ring;

typedef struct RingOptions {
        const char *path;
        uint64_t size;    /* of batches; for a new file only */
        const char *node; /* for a new file only: kept as long as the ring lives */
        StreamId stream;  /* random, for a new file only */
} RingOptions;

/* Opens the file if it is a ring, else creates it (a file that is none is set aside as PATH.damaged, replacing an earlier one).
 * Allocated and pre-faulted on return. *ret_created tells which. -EBUSY: another process has it; -ENOSPC: no room for it. The
 * node must have at most NODE_NAME_MAX bytes, the stream must not be null (-EINVAL). */
int ring_open(const RingOptions *options, Ring **ret_ring, bool *ret_created) _must_check_;

/* What was wrong with the file that ring_open() set aside, a static phrase; NULL when there was none. What it held is lost,
 * in unknown number: its owner writes a gap record. */
const char *ring_set_aside(const Ring *ring);

Ring *ring_free(Ring *ring);
DEFINE_CLEANUP(Ring *, ring_free)

const char *ring_node(const Ring *ring);

/* --- Landing: receiving from a datagram socket straight into the file --- */

/* Prepares the landing area and returns RING_LANDING_MAX headers inside it for recvmmsg(), each for one datagram of up to
 * RING_MESSAGE_MAX bytes. Only when nothing is landed. */
struct mmsghdr *ring_landing_prepare(Ring *ring);

/* How many messages are landed and not published; after a crash also those the last process did not get to. They must be
 * published before anything else is received; ring_sink() may be used meanwhile. */
unsigned ring_landed(const Ring *ring);

/* Message i of them: its bytes, and the sender's netlink port (0: the kernel). */
const uint8_t *ring_landed_message(const Ring *ring, unsigned i, size_t *ret_size, uint32_t *ret_port);

/* --- Writing: one writer, the dispatcher --- */

/* The state that the next publication will publish; ask again behind each, it is another place then. */
RingState *ring_state(Ring *ring);

/* Room for the payload of one more batch, up to BATCH_PAYLOAD_MAX, releasing the oldest batches that nobody waits for. NULL:
 * full (an awaited subscriber holds the space); `reserve` may use the last RING_RESERVE bytes. To give it up, do nothing. */
uint8_t *ring_begin(Ring *ring, size_t size_max, bool reserve);

/* Seals what was written there as a batch with the next `count` (at least 1) seqs. Not visible yet. */
void ring_seal(Ring *ring, size_t size, uint32_t count, BatchOrigin origin);

/* Makes all batches sealed since the last time, possibly none, and the state visible at once; the landing group is done with
 * them. */
void ring_publish(Ring *ring);

/* --- Reading and delivering --- */

/* What the file keeps of a subscriber, by its name, so that it counts also before it is back. */
typedef enum RingKeep {
        RING_FORGETS = 0,   /* nothing: where it stands it says itself */
        RING_AWAITS = 1,    /* what it has acked; and that holds the ring, for what is published from the first time on */
        RING_REMEMBERS = 2, /* what it has acked; that holds nothing */
} RingKeep;

/* The ring as a subscriber's source. Who was kept in another way goes on where it stands. Owned by the ring. NULL: there are
 * RING_AWAITED_MAX or RING_REMEMBERED_MAX others, the name is longer than NODE_NAME_MAX, or no memory. */
Source *ring_source(Ring *ring, const char *subscriber, RingKeep keep);
void ring_source_free(Ring *ring, Source *source);

/* What the peer has acked, as the file keeps it; checksum 0: not known. False when it keeps nothing of it. */
bool ring_source_acked(const Source *source, uint64_t *ret_seq, uint64_t *ret_checksum);

/* Places *ret before the batch that begins at seq, or at the end for newest + 1. False when no batch begins there. */
bool ring_seek(const Ring *ring, uint64_t seq, Cursor *ret);

/* Bytes published behind a place, entries as they lie in the file; also when the batches there are gone. The cursor is one
 * that ring_seek() or a source's get() has set. */
uint64_t ring_behind(const Ring *ring, const Cursor *cursor);

/* Nothing is kept any more of a subscriber of that name (it left the configuration); its sources stay usable. */
void ring_forget(Ring *ring, const char *subscriber);

/* The name in row i of RING_KEPT_MAX of those of whom something is kept; NULL: the row is free. */
const char *ring_kept(const Ring *ring, unsigned i);

/* The ring as producers' sink: appended is published, is in custody. */
Sink *ring_sink(Ring *ring);
/* It says that there is no room while awaited subscribers hold so many bytes or more: the rest is for those who cannot wait.
 * 0: as long as there is room. */
void ring_limit_sink(Ring *ring, uint64_t used);

typedef struct RingStatus {
        StreamId stream;
        uint64_t oldest, newest;
        uint64_t size;
        uint64_t used;    /* bytes that an awaited subscriber still holds */
        uint64_t dropped; /* total */
} RingStatus;

void ring_status(const Ring *ring, RingStatus *ret);
