/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The ring file's layout (docs/ring.md) and what the four .c files share. Native byte order: the file never leaves the
 * machine. */

#include "basic/mark.h"
#include "ring/ring.h"

#include <linux/netlink.h>
#include <stdatomic.h>
#include <sys/queue.h>

#define RING_MAGIC UINT64_C(0x676e727469647561) /* "auditrng" */
#define RING_FORMAT_VERSION 3U
/* In place of a first seq: the next entry is at the start of the area. No seq is that high. */
#define RING_WRAP UINT64_MAX
/* msg_len before the kernel has written it. Not 0: that is an empty datagram. */
#define RING_NOT_LANDED UINT32_MAX
#define RING_PAGE 4096U

/* Written once, when the file is made. */
typedef struct RingHeader {
        uint64_t magic;
        uint32_t version;
        uint32_t landing_max;
        uint64_t state_size;
        uint64_t landing_size;
        uint64_t area_size;
        StreamId stream;
        char node[NODE_NAME_MAX + 8];
        uint64_t checksum; /* of all before */
} RingHeader;

/* What a subscriber has acked that the ring awaits or remembers. Two copies, so that seq and checksum change as one. */
typedef struct RingKept {
        _Atomic uint64_t used; /* RingKeep; set last. 0: the row is free */
        _Atomic uint64_t turn; /* which copy holds */
        struct {
                uint64_t seq;
                uint64_t checksum; /* of the batch that ended there; 0: not known */
        } acked[2];
        char name[NODE_NAME_MAX + 8];
} RingKept;

typedef struct RingWords {
        _Atomic uint64_t published; /* position of the end, and which copy of the state, in bit 0 */
        _Atomic uint64_t head;      /* position of the oldest entry */
        RingKept kept[RING_KEPT_MAX];
} RingWords;

typedef struct RingLanding {
        _Atomic uint64_t number; /* of this group: RingState.landings + 1 until it is published; 0: being prepared */
        struct mmsghdr headers[RING_LANDING_MAX];
        struct iovec parts[RING_LANDING_MAX];
        struct sockaddr_nl senders[RING_LANDING_MAX];
        uint8_t messages[RING_LANDING_MAX][RING_MESSAGE_MAX];
} RingLanding;

/* The file, but for the area of batches, which follows on the next page. */
typedef struct RingFile {
        _Alignas(RING_PAGE) RingHeader header;
        _Alignas(RING_PAGE) RingWords words;
        _Alignas(RING_PAGE) RingState states[2];
        _Alignas(RING_PAGE) RingLanding landing;
} RingFile;

_Static_assert(sizeof(RingFile) % RING_PAGE == 0, "the area begins on a page");
_Static_assert(RING_SIZE_MIN >= 2 * (BATCH_HEADER_SIZE + BATCH_PAYLOAD_MAX) + RING_RESERVE, "room for a batch always");
_Static_assert(RING_RESERVE >= 2 * (BATCH_HEADER_SIZE + RECORD_LINE_MAX), "room for a record, also where the area wraps");

typedef struct RingSource RingSource;

struct RingSource {
        Source source;
        Ring *ring;
        RingKept *kept; /* NULL: the file keeps nothing of it */
        Cursor ended;   /* behind the batch that was last asked about */
        LIST_ENTRY(RingSource) sources;
};

struct Ring {
        RingFile *file;
        uint8_t *area;
        uint64_t size; /* of the area */
        int fd;        /* holds the lock */
        const char *set_aside;
        Sink sink;
        uint64_t sink_limit;
        LIST_HEAD(, RingSource) sources;

        /* What follows can be told from the file; it is only known faster here. */
        uint64_t oldest;  /* seq of the entry at head; newest + 1 when there is none */
        uint64_t pending; /* position behind the last sealed batch */
        uint64_t begun;   /* position of the entry being written */
        uint64_t begun_max;
        uint64_t held;    /* position of the first entry that an awaited subscriber has not acked, or before head */
};

/* Stores a word that makes others valid or invalid: nothing moves over it, in either direction. */
static inline void ring_set_word(_Atomic uint64_t *word, uint64_t value)
{
        STEP();
        atomic_thread_fence(memory_order_seq_cst);
        atomic_store_explicit(word, value, memory_order_release);
        atomic_thread_fence(memory_order_seq_cst);
        STEP();
}

static inline uint64_t ring_word(const _Atomic uint64_t *word)
{
        return atomic_load_explicit(word, memory_order_acquire);
}

static inline uint64_t ring_head(const Ring *ring)
{
        return ring_word(&ring->file->words.head);
}

static inline uint64_t ring_end(const Ring *ring)
{
        return ring_word(&ring->file->words.published) & ~UINT64_C(7);
}

static inline unsigned ring_copy(const Ring *ring)
{
        return ring_word(&ring->file->words.published) & 1;
}

/* The state that belongs to the published end. */
static inline const RingState *ring_published(const Ring *ring)
{
        return &ring->file->states[ring_copy(ring)];
}

static inline uint64_t ring_entry_size(uint64_t payload_size)
{
        return BATCH_HEADER_SIZE + ALIGN_UP(payload_size, 8);
}

/* The entry at a position, or behind the wrap marker there. *ret_next is the position behind it. Returns 1; 0 when the
 * position is the published end; -EBADMSG when no entry is there. */
int ring_entry(const Ring *ring, uint64_t position, Batch *ret, uint64_t *ret_next) _must_check_;

/* Finds the entry that holds seq, walking from `from` on, the position of an entry. Returns 1, or 0 when none does. */
int ring_find(const Ring *ring, uint64_t seq, uint64_t from, Batch *ret, uint64_t *ret_next) _must_check_;

/* A seq that all awaited subscribers have acked; UINT64_MAX when none is awaited. */
uint64_t ring_floor(const Ring *ring);

/* Moves ring->held on, after the floor moved. */
void ring_advance_held(Ring *ring);

/* Seals a begun entry whose payload hash is known. */
void ring_seal_batch(Ring *ring, Batch *batch);

/* Publishes; the landing group, if `landed`, is done with it. */
void ring_publish_word(Ring *ring, bool landed);

void ring_sink_init(Ring *ring);

static inline uint64_t ring_kept_seq(const RingKept *row)
{
        return row->acked[ring_word(&row->turn) & 1].seq;
}
