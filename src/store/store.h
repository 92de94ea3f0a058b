/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The store: a durable, ordered log of sealed batches; remote's spool and the aggregator's log alike. A
 * directory of segments, each a plain text audit log and an index (docs/store.md).
 *
 *      append (written) → commit_begin (submitted) → job on the worker → commit_end (durable)
 *
 * At most one job is in flight. Rotation, deletion and close happen between jobs. Nothing that is not
 * durable is ever shown by a source or may be acked. Pure but for its disk table; the clock is handed in
 * (realtime microseconds).
 */

#include "basic/batch.h"
#include "store/disk.h"
#include "store/index.h"

typedef struct Store Store;

typedef struct StoreOptions {
        Disk *disk;                 /* taken over on success */
        StoreHash hash;             /* SHA-256 chain when set */
        StoreSpan span;             /* so that readers find records by time and node without reading, of batches that come
                                       without it; NULL: not */
        void (*random)(void *bytes, size_t size); /* for stream ids */
        uint64_t segment_size_max;  /* bytes of text; rotation behind it */
        uint64_t segment_age_usec;  /* the same by age, 0: none; also of one that nobody writes to */
        uint64_t chunk;             /* bytes allocated ahead of the text, 0: as much as is good for one store alone */
        uint64_t group_bytes_max;   /* of the open group; append says -EAGAIN behind it */
        uint64_t use_max;           /* bytes of all segments, 0: none */
        DiskAmount keep_free;       /* bytes to leave free on the file system, 0: none */
        uint64_t retention_usec;    /* age at which whole segments go, 0: never */
        bool delete_acked;          /* whole segments go once a collector has them in its custody */
        uint64_t acked_usec;        /* … and are of this age, 0: at once */
        bool use_blocks; /* at use_max nothing is deleted, whatever the other bounds do: append says -ENOSPC */
        bool delete_unacked; /* these bounds may delete what is not released (a gap); else they say -ENOSPC */
        bool links;                 /* keep audit.log and the folder of links for ausearch */
        uint64_t stream_forget_usec; /* idle streams leave the table, 0: never */
        void (*progress)(void);     /* called again and again while store_open() reads on; may be NULL */
} StoreOptions;

/* What opening found, for the log and the gap records of the owner. */
typedef struct StoreDamage {
        uint64_t first, last; /* own seqs that cannot be read any more; last = first - 1: an entry that
                                 described no record */
        uint64_t segment;     /* first seq of the segment they are in */
} StoreDamage;

typedef struct StoreReport {
        bool created;         /* the directory held no segment */
        bool clean_end;       /* the last close was in order */
        uint64_t cut_bytes;   /* of text behind the durable mark that had not been acked */
        uint64_t last_usec;   /* receive time of the last batch; before the first, when the store began */
        StoreDamage *damages; /* owned by the report */
        size_t n_damages;
} StoreReport;

void store_report_done(StoreReport *report);

/* Opens (creates, recovers). `now_usec` is the time for entries written here. Returns 0; -EBUSY when
 * another process has the directory; -EPROTONOSUPPORT for a newer format; an errno of the disk. */
int store_open(const StoreOptions *options, uint64_t now_usec, Store **ret_store,
               StoreReport *ret_report) _must_check_;

/* Closes without a clean end, as a crash would: nothing is written. For a clean end commit with
 * store_finish() first. */
Store *store_free(Store *store);
DEFINE_CLEANUP(Store *, store_free)

/* Takes the mark of the clean end back, durably, before anything is delivered: from now on the store ends
 * cleanly only by store_finish(). For owners who conclude something from a missing mark. An error of the disk
 * is returned, and the next commit tries again: store_dirty() says so. */
int store_begin(Store *store, uint64_t now_usec) _must_check_;

/* --- Several stores --- */

/* What they may take together. Of a store that is not open its owner counts the bytes. */
typedef struct StorePool {
        uint64_t max;    /* bytes, 0: any */
        uint64_t n;      /* stores that share it, open or not; 0: not known */
        uint64_t used;
        uint64_t going;  /* of these: chosen to be deleted */
        uint64_t wanted; /* by one that could delete nothing of its own: the others do */
} StorePool;

/* From now on until it is freed. Who delivers makes the room, of the oldest that his store has. */
void store_join(Store *store, StorePool *pool);

/* --- Delivering --- */

Sink *store_sink(Store *store);

/* Appends a batch of the store's owner's own making (gap records): origin local, no stream. As sink
 * append. */
int store_append_own(Store *store, const Batch *batch, uint64_t now_usec) _must_check_;

/* The stream was ended by its sender: it leaves the table with the next commit. */
int store_stream_end(Store *store, const StreamId *stream, uint64_t now_usec) _must_check_;
/* The same because somebody asked for it; nobody delivers the stream now. */
void store_stream_forget(Store *store, const StreamId *stream);

/* --- Group commit --- */

/* Segments deleted by one commit. */
#define STORE_VICTIMS_MAX 16U

typedef struct StoreGone {
        uint64_t first; /* of the segment */
        bool damaged;   /* kept, under another name */
} StoreGone;

typedef struct StoreJob {
        Disk *disk;
        int handles[4]; /* text and index of the segment, and of the one before when it was rotated out */
        size_t n_handles;
        int cut[2]; /* of a poisoned segment, cut at its last durable batch: synced too, negative: none */
        char from[64], to[64]; /* the rename behind the syncs that makes a new segment count; empty: none */
        bool directory;
        char newest[64]; /* to which audit.log leads from now on; empty: as it did */
        StoreGone gone[STORE_VICTIMS_MAX]; /* whose files go, when all else is done */
        size_t n_gone;
} StoreJob;

/* The next commit writes something, though there may be nothing new: whether the disk works. */
void store_probe(Store *store);

/* Whether there is anything that a commit would make durable. */
bool store_dirty(const Store *store);

/* Whether time alone asks for a commit: a segment has to be ended or to go for its age, or one to go for the room that
 * others have taken meanwhile. Looks at the disk. */
bool store_due(Store *store, uint64_t now_usec);

/* Closes the open group: writes its index entries, rotates if due, and returns the job. 1: run it, then
 * store_commit_end(); 0: nothing to do; negative errno: as from append, nothing was submitted. Never while
 * a job is in flight. */
int store_commit_begin(Store *store, uint64_t now_usec, StoreJob *ret_job) _must_check_;

/* Runs the syncs, and then takes away what the group says is deleted; on any thread. Returns 0 or the first error. */
int store_job_run(const StoreJob *job) _must_check_;

/* Ends the job. With 0 the group is durable: positions of its streams, source ranges. With an error the
 * segment is poisoned: ended at its last durable batch, never written again; all that was not durable is
 * forgotten and the next append begins a new segment; streams' positions step back. Returns `error`. An
 * append that failed meanwhile does not spoil the group in flight; step back after this. */
int store_commit_end(Store *store, int error, uint64_t now_usec);

/* After a failed write (append or commit_begin returned something else than no-room or -EAGAIN): the same
 * step back. Until then every append fails. Never while a job is in flight. */
void store_step_back(Store *store);

/* Asks for the end, which is a commit of its own: commit until store_dirty() says no, then store_free(). Its
 * mark covers everything; `clean` says whether it counts as a clean end. A later append takes it back. */
int store_finish(Store *store, bool clean, uint64_t now_usec) _must_check_;

/* Closes the open segment at the next commit (SIGUSR1). */
void store_rotate(Store *store);

/* --- Checkpoints --- */

/* What a checkpoint made now speaks of: all that is durable, and can only be deleted whole any more. */
typedef struct StoreHead {
        StreamId stream;            /* the store's own */
        uint64_t seq;               /* last own seq */
        uint8_t chain[SHA256_SIZE]; /* … and of an entry at or behind it */
        IndexEntry last;            /* the last checkpoint, kind 0: none */
} StoreHead;

/* Returns whether there is a chain, of anything. */
bool store_head(Store *store, StoreHead *ret);
/* An entry of kind CHECKPOINT goes with the next commit; when that fails it is forgotten. One at a time:
 * -EBUSY while there is one that is not durable. */
int store_checkpoint(Store *store, const IndexEntry *checkpoint) _must_check_;

/* --- Packing --- */

/* Closed segments may be compressed, by whom and when the owner likes; one at a time. */
typedef struct StorePack {
        Disk *disk;
        uint64_t first; /* of the segment */
} StorePack;

/* Chooses the oldest that is not packed. Returns whether there is one: run it, then store_pack_end(). */
bool store_pack_begin(Store *store, StorePack *ret);
/* On any thread, beside everything else. Returns 0 or the first error. */
int store_pack_run(const StorePack *pack) _must_check_;
/* With 0 the plain text goes; with an error all is as it was. Returns `error`. */
int store_pack_end(Store *store, const StorePack *pack, int error);

/* --- Links --- */

/* The names for ausearch: made anew when segments came or went, by whom and when the owner likes; one at a time. At a
 * start they are right. */
typedef struct StoreLinks {
        Disk *disk;
        uint64_t *firsts; /* of the segments, the newest first */
        size_t n;
} StoreLinks;

/* Returns whether they are to be made: run it, then store_links_end(). */
bool store_links_begin(Store *store, StoreLinks *ret);
/* On any thread, beside everything else. Returns 0 or the first error. */
int store_links_run(const StoreLinks *links);
/* With an error they are due again. Returns `error`. */
int store_links_end(Store *store, StoreLinks *links, int error);
/* All of it at once, if they are to be made. Returns 0 or the first error. */
int store_links_now(Store *store);

/* --- Sending --- */

/* The store as `collector`'s source; there is one per collector. Owned by the store. NULL: no memory, or
 * too many. Batches received without records (filtered, custody) are not shown: own seqs stay contiguous.
 * What another collector has in custody is not offered but explained, even if it is still held. */
Source *store_source(Store *store, const char *collector);
/* Ends one use of it: when there is none left, nothing is kept open for it, and another collector may take its
 * place in the table. */
void store_source_end(Source *source);

/* Gives the store a new stream id (the peer knows another history); all held batches are then offered under
 * it, seqs below the oldest held explained. Takes effect with the next commit. */
int store_restart_stream(Store *store, uint64_t now_usec) _must_check_;

/* --- Facts for status --- */

typedef struct StoreStatus {
        uint64_t oldest, newest; /* own seqs, durable */
        uint64_t written;        /* last own seq appended */
        uint64_t segments;
        uint64_t packed; /* of these */
        uint64_t bytes; /* text and index of all segments */
        uint64_t streams;
        uint64_t released; /* some collector has all up to here in its custody */
        uint64_t bytes_awaited; /* of segments that none has whole: they would be missed */
        uint64_t dropped;  /* records deleted before a collector had them, since open */
        uint64_t damaged;  /* batches found damaged when read, since open */
        bool use_reached; /* the last append that was refused was so for use_max */
        uint64_t set_backs; /* times a collector came back with less than it had acked, since open */
        StreamId stream;
        bool restarting; /* … which gets another id: store_restart_stream() is not durable yet */
} StoreStatus;

void store_status(const Store *store, StoreStatus *ret);

typedef struct StoreStream {
        StreamId id;
        const char *owner;
        uint64_t last; /* durable */
        uint64_t checksum; /* of the batch that ended there */
        uint64_t seen_usec;
} StoreStream;

/* The streams whose position is known, in no order. *position: NULL begins; valid as long as nothing is appended
 * or committed. Returns whether there was one more. */
bool store_stream_next(const Store *store, const void **position, StoreStream *ret);
