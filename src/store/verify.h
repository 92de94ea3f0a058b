/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whether a store is whole: all of its text, index and chain is read, beside its owner or in a copy. Nothing is
 * locked, written or repaired; what is found is told to a handler. What is said to be durable is judged; what lies
 * behind may be a group under way, or the torn end that a crash leaves.
 */

#include "store/disk.h"
#include "store/index.h"

typedef enum VerifyKind {
        /* As it should be, and worth saying. */
        VERIFY_DELETED,    /* deleted by the store's owner, and written down */
        VERIFY_UNFINISHED, /* bytes behind what was promised to anybody */
        _VERIFY_DAMAGE,
        /* Damage: by accident or on purpose. */
        VERIFY_ENTRY = _VERIFY_DAMAGE, /* index entries that are none any more */
        VERIFY_CHAIN,    /* an entry does not continue the chain */
        VERIFY_ORDER,    /* own seqs or text do not go on where the batch before ended */
        VERIFY_LINK,     /* the segment does not go on where the one before ended */
        VERIFY_MISSING,  /* segments are not there, and nothing says that they were deleted */
        VERIFY_TEXT,     /* text is not what was stored, or cannot be read */
        VERIFY_INSERTED, /* … because there are more bytes in it … */
        VERIFY_REMOVED,  /* … or fewer */
        VERIFY_SURPLUS,  /* bytes behind the end, of no batch */
        VERIFY_STREAM,   /* received seqs of a stream are not here, nor explained */
        VERIFY_REPEATED, /* … or are here twice */
        VERIFY_CHECKPOINT, /* a CHECKPOINT entry speaks of another chain than this */
        _VERIFY_KIND_MAX,
} VerifyKind;

static inline bool verify_is_damage(VerifyKind kind)
{
        return kind >= _VERIFY_DAMAGE;
}

/* Who delivered, and what of it is here. */
typedef struct VerifyStream {
        StreamId id;
        char owner[NODE_NAME_MAX + 1];
        uint64_t first, last;        /* received seqs that the index here speaks of; first 0: none yet */
        uint64_t records;
        uint64_t filtered, elsewhere, lost; /* seqs without records: by a filter, in another collector's custody, lost */
        uint64_t last_usec;          /* when the last batch was received */
        unsigned epoch;              /* of the reading; another one: `last` is no position any more */
} VerifyStream;

typedef struct VerifyFinding {
        VerifyKind kind;
        uint64_t segment;       /* FIRST of its files */
        bool text, packed;      /* it is in the text, which is compressed; else in the index */
        uint64_t offset, size;  /* in that file, or in the plain text of a compressed one; bytes */
        uint64_t first, last;   /* own seqs; of `stream`, where that is given; last = first - 1: none */
        const VerifyStream *stream;
        IndexDeleted reason;    /* VERIFY_DELETED */
        uint64_t time_usec;     /* … when */
} VerifyFinding;

typedef struct VerifyHandler {
        void (*finding)(const VerifyFinding *finding, void *userdata);
        /* A batch that is whole; payload NULL: without records. stream NULL: the store's owner's own. May be NULL. */
        void (*batch)(const IndexEntry *entry, const VerifyStream *stream, const uint8_t *payload, void *userdata);
        /* An entry of the chain, up to which the store has own seqs up to `seq`; that of a segment that is not here any more,
         * too. May be NULL. */
        void (*chained)(const uint8_t chain[static SHA256_SIZE], uint64_t seq, void *userdata);
        /* A CHECKPOINT entry, of this chain; but nobody has looked at its signature. May be NULL. */
        void (*checkpoint)(const IndexEntry *entry, void *userdata);
        /* How much of it is done, in thousandths. May be NULL. */
        void (*progress)(unsigned done, void *userdata);
} VerifyHandler;

typedef struct VerifyResult {
        StreamId stream;        /* the store's own */
        StreamId first_stream;  /* … when its oldest segment was begun */
        uint64_t oldest, newest; /* own seqs; newest = oldest - 1: none */
        uint64_t segments, packed, unchained; /* of the segments */
        uint64_t records, text_bytes;
        uint64_t damages;
        VerifyStream *streams;  /* in the order of owners and ids; owned by the result */
        size_t n_streams;
} VerifyResult;

void verify_result_done(VerifyResult *result);

/* Reads all of the store. `hash`: SHA-256. Returns 0 whatever was found; -ENODATA: no store is there;
 * -EPROTONOSUPPORT: a newer format; or an errno of the disk. */
int store_verify(Disk *disk, StoreHash hash, const VerifyHandler *handler, void *userdata,
                 VerifyResult *ret) _must_check_;
