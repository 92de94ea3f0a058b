/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a store is compared with beside itself: the signatures in it, and checkpoints that were kept elsewhere (receipts). */

#include "runtime/signing.h"
#include "store/verify.h"

typedef enum ProofKind {
        PROOF_SIGNATURE, /* a CHECKPOINT entry whose signature is wrong */
        PROOF_SEQUENCE,  /* checkpoints before this one are missing in the index */
        PROOF_UNSIGNED,  /* nothing here is signed by the keys that were given */
        PROOF_TRUNCATED, /* the store ends before what a checkpoint says it had */
        PROOF_HISTORY,   /* a checkpoint is of another history than this store's */
        PROOF_STREAM,    /* it has less of a client's stream than the client's receipt says it had */
        PROOF_STORE,     /* a checkpoint is of a store that was not looked at */
        _PROOF_KIND_MAX,
} ProofKind;

typedef struct Proof {
        ProofKind kind;
        uint64_t first, last; /* own seqs; of PROOF_STREAM, the stream's; last = first - 1: none */
        StreamId stream;      /* PROOF_STREAM; else null */
        uint64_t number;      /* of the checkpoint; 0: none */
        uint64_t time_sec;    /* … when it was signed */
        StreamId store;
        const char *path;     /* the file that it is in; NULL: the store's index */
} Proof;

/* A checkpoint that was kept elsewhere. */
typedef struct EvidenceNote {
        Note note;
        char *path;
        StreamId stream;     /* that of the client who kept it, … */
        uint64_t stream_seq; /* … which had been told that all up to here is covered; 0: that is not said */
        bool seen;   /* in the store that is read */
        bool placed; /* in some store */
} EvidenceNote;

typedef struct Evidence {
        VerifierKey *keys;
        size_t n_keys;
        EvidenceNote *notes; /* sorted by their heads from evidence_begin() on */
        size_t n_notes, allocated;
        uint64_t foreign;    /* notes that none of the keys has signed */
        /* Of the store that is read. */
        IndexEntry last;     /* CHECKPOINT, kind 0: none yet */
        uint64_t checkpoints, signed_seq, signed_sec;
        void (*found)(const Proof *proof, void *userdata);
        void *userdata;
} Evidence;

/* A verifier key, or the path of a file that has one. Each of these says itself what is wrong. */
int evidence_add_key(Evidence *evidence, const char *text) _must_check_;
/* All notes in a file; in all files of a directory. Keys first: what they have not signed is left out. */
int evidence_add_file(Evidence *evidence, const char *path) _must_check_;
int evidence_add_directory(Evidence *evidence, const char *path) _must_check_;
void evidence_done(Evidence *evidence);

/* A store is going to be read; found() is told what is wrong with it. */
void evidence_begin(Evidence *evidence, void (*found)(const Proof *proof, void *userdata), void *userdata);
void evidence_chained(Evidence *evidence, const uint8_t chain[static SHA256_SIZE], uint64_t seq);
void evidence_checkpoint(Evidence *evidence, const IndexEntry *entry);
void evidence_end(Evidence *evidence, const VerifyResult *result);
/* All stores were read: of which others are there checkpoints? One for each. */
void evidence_rest(Evidence *evidence, void (*found)(const Proof *proof, void *userdata), void *userdata);
