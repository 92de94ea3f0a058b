/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A store as somebody sees it who may only read its files: a directory that another process is writing, or a
 * copy of one. It is not locked and nothing is written. Batches come in the order of own seqs; which of them
 * hold what is looked for is decided by the index, and text is read only when it is asked for.
 */

#include "store/disk.h"
#include "store/index.h"

typedef struct StoreView StoreView;

typedef struct ViewBatch {
        Batch stored;   /* own seqs; payload NULL until store_view_read() */
        StreamId store; /* the store's own stream */
        StreamId stream; /* zero: of the store's owner */
        uint64_t received_first, received_last;
        BatchReason received_reason;
        uint64_t received_usec;
        bool damaged; /* only stored.first and last say anything: nobody can read these any more */
} ViewBatch;

/* `follow`: shows only what is said to be durable, and goes on when the store does; else the store is what it
 * is now, and its end is what recovery would find. Takes the disk over on success. -ENODATA: no store is
 * there. */
int store_view_open(Disk *disk, bool follow, StoreView **ret) _must_check_;
StoreView *store_view_free(StoreView *view);
DEFINE_CLEANUP(StoreView *, store_view_free)

/* Only batches in which records of this time, both ends included, and of this node (checksum64() of its
 * name, 0: any) may be. */
void store_view_select(StoreView *view, uint64_t since_usec, uint64_t until_usec, uint64_t node);

/* Begins (again) with the batch in which the last `n` records of the store begin; UINT64_MAX: with the
 * oldest. 1: that is the oldest; 0: there are older ones; or a negative errno. */
int store_view_seek(StoreView *view, uint64_t n) _must_check_;

/* Begins behind the batch of the store's stream that ended at seq. 1; 0: some records behind it are not there any
 * more; -ENOENT: the store never had a stream of that id; -ESTALE, perhaps only when the batch is come to: it has
 * another history; or a negative errno. */
int store_view_seek_behind(StoreView *view, const StreamId *stream, uint64_t seq, uint64_t checksum) _must_check_;
/* Up to which record of the store all were come to, wanted or not; the checksum is 0 where no readable batch ends
 * there. seq 0: none. */
void store_view_position(const StoreView *view, StreamId *ret_stream, uint64_t *ret_seq, uint64_t *ret_checksum);

/* The next batch with records. 1; 0: that was the last for now; or a negative errno. */
int store_view_next(StoreView *view, ViewBatch *ret) _must_check_;

/* The same from the end of the store back, with what was there when it was opened or store_view_seek() was called.
 * Not together with store_view_next(). */
int store_view_previous(StoreView *view, ViewBatch *ret) _must_check_;

/* Reads the text of the batch that was given last; it is valid until the next call. 1: it is
 * whole; 0: it is damaged; -ENODATA: it is not there any more, or was never durable; or a negative errno. */
int store_view_read(StoreView *view, ViewBatch *batch) _must_check_;
