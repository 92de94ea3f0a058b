/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What verify.c (segments, entries, chain) and verify-batch.c (text, seqs) share. */

#include "store/verify.h"
#include "store/view-private.h"

/* Entries between the end of a group and the checkpoint of it: those of the group in flight meanwhile, and of the next. */
#define VERIFY_HEADS (4U * STORE_GROUP_ENTRIES_MAX)

typedef struct VerifyHead {
        uint8_t chain[SHA256_SIZE];
        uint64_t seq;
} VerifyHead;

typedef struct Verify {
        StoreView *view;
        StoreHash hash;
        const VerifyHandler *handler;
        void *userdata;
        VerifyResult result;

        /* The chain. */
        uint8_t chain[SHA256_SIZE];
        bool chain_known;
        VerifyHead *heads;      /* of the last VERIFY_HEADS entries */
        size_t n_heads;         /* ever */
        bool entries_missing;   /* some are none any more */

        /* The segment that is read. */
        uint64_t before;        /* the one read before it, 0: none */
        bool chained;
        uint32_t rows;          /* entries of its header */
        uint32_t bad, bad_first; /* entries that are none, since the last that is one */
        uint64_t last;          /* own seq reached */
        bool begun;             /* … by any segment */
        uint64_t text_end;      /* behind the last batch */
        uint64_t text_size;     /* of the file, plain */
        bool text_missing;
        uint64_t difference;    /* how much longer the file is than the index says; shorter: modulo 2^64 */
        uint64_t shift;         /* … as far as it was come to */
        VerifyFinding torn;     /* text that is not what it was; not told yet. size 0: none */

        /* The oldest segment. */
        uint64_t oldest;
        uint8_t oldest_head[SHA256_SIZE];
        bool oldest_loaded, oldest_explained;
        uint64_t deleted;       /* last own seq of the deletions told */

        unsigned epoch;         /* from 1; another one when segments went while others were read */
        void *streams;          /* tsearch() */
} Verify;

void verify_find(Verify *verify, VerifyFinding finding);
/* The finding in the index of the segment that is read, at this entry, about no own seqs. */
VerifyFinding verify_at(const Verify *verify, VerifyKind kind, uint32_t number);

/* --- verify-batch.c --- */

/* -ESTALE: the segment has gone. */
int verify_open_text(Verify *verify) _must_check_;
/* A row of the header, or before the first batch of a stream. */
int verify_row(Verify *verify, const IndexEntry *entry) _must_check_;
int verify_stream_end(Verify *verify, const IndexEntry *entry) _must_check_;
/* 1; 0: it is behind what was promised, and torn: nothing behind it counts; or a negative errno. */
int verify_batch(Verify *verify, const IndexEntry *entry, bool promised) _must_check_;
/* Whether its text is there, and it goes on where the one before ended. */
bool verify_batch_follows(const Verify *verify, const IndexEntry *entry);
/* At the end of a segment: text that was found damaged is told. */
void verify_flush_text(Verify *verify);
int verify_collect_streams(Verify *verify) _must_check_;
void verify_free_streams(Verify *verify);
