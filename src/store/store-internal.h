/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the store share. Nobody outside src/store includes this.
 *
 *      store.c      delivering: append, positions, status
 *      commit.c     the group: begin, end, step back
 *      retention.c  which whole segments go, and their going
 *      segment.c    the open pair of files: begin, write, reserve, end
 *      header.c     what a new segment's index begins with
 *      streams.c    the table of streams
 *      custody.c    the collectors: who has what, and what explains seqs that are not shown
 *      recovery.c   from the files to the state above
 *      recovery-segment.c   … for the last segment
 *      replay.c     … for each entry
 *      reader.c     the source: from a seq to a batch
 *      text.c       the text of a segment, for who reads
 *      pack.c       compressing closed segments
 *      view.c       the store as others read it, beside its owner
 *      view-back.c  … from its end back
 *      verify.c     … whether it is whole: segments, entries, chain
 *      verify-batch.c   … text, own seqs, those of each stream
 *      links.c      names for ausearch and tail
 */

#include "basic/mark.h"
#include "store/store.h"

#include <sys/queue.h>

/* Room kept ahead of the text that only store_append_own() may use: a few gap records of the longest
 * kind. */
#define STORE_RESERVE (4U * RECORD_LINE_MAX)
/* How far ahead files are allocated: large enough that a system call for it is rare, small enough to waste
 * on a small disk. */
#define STORE_TEXT_CHUNK (4U * 1024U * 1024U)
#define STORE_INDEX_CHUNK (256U * 1024U)
/* Entries kept free in the index for a commit's own: mark, custody, deletions, clean end. */
#define STORE_INDEX_RESERVE 64U
/* Entries of one group: bounds memory when batches are tiny. */
#define STORE_GROUP_ENTRIES_MAX 16384U
/* A segment whose index has this many entries ends, whatever its text: an index is read whole at start. */
#define STORE_SEGMENT_ENTRIES_MAX (512U * 1024U)
/* Collectors whose custody is remembered: those of a long configuration; further ones displace nobody, they
 * are refused. */
#define STORE_COLLECTORS_MAX 32U
/* An interrupted write is repeated this often before it counts as failed. */
#define STORE_INTERRUPTED_MAX 8U
#define STORE_NAME_MAX 64U
/* The index of a segment that has no durable group yet; it gets its own name when its header is durable. */
#define STORE_INDEX_NEW "new.idx"
/* What a text is packed into; it gets its own name when all of it is durable. */
#define STORE_PACK_NEW "new.zst"
#define STORE_PACKED ".log.zst"
#define STORE_DAMAGED_REASON "store-damaged"

/* How far the store is: written, in the group in flight, or durable. */
typedef struct Point {
        uint64_t segment; /* first seq of the segment the rest is about, 0: none */
        uint64_t text_size;
        uint32_t entries;
        uint64_t last; /* own seq */
        uint64_t last_usec;
        BatchSpan span; /* of the segment's records */
        uint8_t chain[SHA256_SIZE];
} Point;

typedef struct Segment {
        uint64_t first;
        uint64_t bytes; /* text and index, for retention: segment_set_bytes() */
        /* From its first entry; read when needed. */
        bool loaded;
        uint64_t created_usec;
        uint8_t head[SHA256_SIZE]; /* chain of the segment before it */
        bool damaged;              /* found so: kept under another name when its turn to be deleted comes */
        bool packed;
        bool unpackable; /* its text cannot be read whole */
} Segment;

/* Handles of a segment's two files, -EBADF when closed. */
typedef struct SegmentFiles {
        uint64_t first;
        int text, index;
} SegmentFiles;

#define SEGMENT_FILES_NULL ((SegmentFiles) { .text = -EBADF, .index = -EBADF })

/* The text of a segment that is read. */
typedef struct SegmentText {
        int plain, packed; /* one of the two is open */
        uint32_t n_blocks, last_block; /* size of the last, plain */
        uint32_t largest;  /* of the packed blocks */
        uint64_t *ends;    /* of each block in the file */
        uint32_t loaded;   /* the one in `block`, UINT32_MAX: none */
        uint8_t *block;
} SegmentText;

#define SEGMENT_TEXT_NULL ((SegmentText) { .plain = -EBADF, .packed = -EBADF, .loaded = UINT32_MAX })

/* A packed text (docs/store.md): frames of so much plain text, and the table behind them. */
#define PACK_BLOCK ((size_t) 1024 * 1024)
/* Of a frame: ZSTD_compressBound(PACK_BLOCK) and to spare. */
#define PACK_BOUND (PACK_BLOCK + PACK_BLOCK / 128 + 1024)
#define PACK_HEAD_SIZE 8U
#define PACK_ENTRY_SIZE 8U
#define PACK_FOOTER_SIZE 9U
#define PACK_MAGIC_TABLE UINT32_C(0x184D2A5E)
#define PACK_MAGIC_END UINT32_C(0x8F92EAB1)
/* Blocks of one text: what a table has in memory stays small. Longer ones are not packed. */
#define PACK_BLOCKS_MAX (64U * 1024U)

typedef struct StreamPoint {
        uint64_t last;
        uint64_t checksum;
} StreamPoint;

typedef enum StreamEnding {
        STREAM_LIVES,
        STREAM_ENDS,       /* its entry goes with the next commit */
        STREAM_END_FLIGHT, /* … is in the group in flight */
} StreamEnding;

typedef struct Stream Stream;

struct Stream {
        StreamId id;
        char owner[NODE_NAME_MAX + 1];
        uint64_t seen_usec;
        StreamPoint written, flight, durable;
        StreamEnding ending;
        uint8_t end_reason;
        bool in_group, in_flight; /* on which of the two lists */
        Stream *group_next, *flight_next;
        LIST_ENTRY(Stream) bucket;
};

typedef LIST_HEAD(StreamBucket, Stream) StreamBucket;

typedef struct Streams {
        StreamBucket *buckets;
        size_t n_buckets; /* a power of two */
        size_t n;
        size_t n_ending;
        uint8_t salt[16];
        Stream *group, *flight; /* singly linked: in the open group, in the group in flight */
} Streams;

/* A collector: what it has in custody, and the store as its source. */
typedef struct Collector {
        Source source;
        Store *store;
        char name[NODE_NAME_MAX + 1];
        uint64_t seq; /* it has all up to here */
        uint64_t checksum;
        uint64_t flight, durable; /* how far that is written down here, and may be told to others */
        uint64_t from;            /* what it has of others' is not certain before: see custody_set_back() */
        uint64_t time_usec;
        bool unsaved; /* its entry goes with the next commit */
        unsigned users; /* who have the source */
        char old_stream[33];
        /* Reading */
        SegmentFiles files; /* the index */
        SegmentText text;
        uint64_t index_entries;
        bool sized; /* … of a closed segment, from the file */
        uint32_t cached_first, n_cached;
        uint8_t *cache;
        uint8_t *payload;
} Collector;

typedef struct Group {
        IndexEntry *entries; /* of the batches in the open group */
        size_t n, allocated;
        uint64_t bytes;
} Group;

struct Store {
        Sink sink;
        StoreOptions options;
        Disk *disk;
        StreamId stream;
        IndexEntry restart; /* last RESTART, kind 0: none */
        IndexEntry deleted; /* last DELETED, kind 0: none */
        IndexEntry checkpoint, checkpoint_next; /* last CHECKPOINT; one that goes with the next commit; kind 0: none */
        bool restart_unsaved; /* changed since it was written */
        bool restart_wanted;
        StreamId restart_stream;

        Point written, flight, durable;
        bool in_flight; /* a job is out */
        bool failed;    /* something behind `durable` failed: append nothing before the step back */

        Segment *segments; /* sorted by first; the last is the open one if `open` */
        size_t n_segments, allocated_segments;
        uint64_t segment_bytes; /* of all of them */
        bool open;
        bool fresh;    /* the open one has no durable group: no header, no name of its own for the index */
        bool replaces; /* … and takes the place of one without own seqs */
        uint8_t *replaced; /* the index of that one */
        uint32_t n_replaced;
        bool chained;  /* the open one is */
        bool rotate;   /* end the open one at the next commit */
        bool ragged;   /* bytes behind written.text_size could not be truncated yet */
        SegmentFiles current;
        SegmentFiles before; /* rotated out, to be synced with the first group of current */
        SegmentFiles ended;  /* poisoned and cut; the cut is to be synced before another segment counts */
        uint64_t text_allocated, index_allocated;
        uint64_t created_usec; /* of current */
        struct {               /* the same of `before`, to go back to it */
                Point written;
                uint64_t text_allocated, index_allocated, created_usec;
                bool chained, rotate;
        } left;

        Group group;
        bool mark_due; /* `durable` is not yet said by a COMMIT entry */
        bool finish;   /* write the end */
        bool finish_clean;
        bool finished; /* it is written and nothing followed */
        bool begin;    /* … and something is to follow, so that it does not stand any more */
        bool directory_dirty;
        bool links_due; /* the segments are others than when the links were made */
        bool linking;   /* a StoreLinks is out */
        bool flight_began; /* the job in flight gives a new segment its name */
        bool flight_restarts;
        IndexEntry flight_restart, flight_deleted, flight_checkpoint;

        IndexEntry *pending; /* DAMAGED entries that recovery found */
        size_t n_pending, n_pending_flight;

        bool packing;            /* a StorePack is out */
        size_t n_victims;        /* the oldest segments, chosen */
        StorePool *pool;         /* NULL: none */
        uint64_t pooled, going;  /* its part of what the pool counts */
        uint8_t victim_reason[STORE_VICTIMS_MAX];
        bool refused;     /* the last batch was, for a bound */
        bool use_reached; /* … for use_max */
        bool space_short; /* keep_free is not met and nothing may be deleted */

        Streams streams;
        Collector *collectors[STORE_COLLECTORS_MAX];
        size_t n_collectors;
        bool custody_due;   /* what they have is to be written down at once */
        uint64_t doubted;   /* the newest that one had when it was set back: what others have up to here may be the word for it */
        uint64_t set_backs;
        uint64_t damaged; /* batches, found when read */
        uint64_t dropped; /* records deleted before a collector had them */
};

/* --- store.c --- */

/* Whether the last segment has records and is too old, or has too many entries, to take more of them: without this, it
 * would outlive its time in a store that nobody writes to, or fill a bound that nothing may be written beyond. */
bool store_newest_is_old(Store *store, uint64_t now_usec);

/* --- segment.c --- */

void segment_name(uint64_t first, const char *suffix, char ret[static STORE_NAME_MAX]);
/* Reads 20 digits and the suffix. Returns whether the name is of that kind. */
bool segment_parse_name(const char *name, const char *suffix, uint64_t *ret_first);
void segment_files_close(Store *store, SegmentFiles *files);
Segment *segment_add(Store *store, uint64_t first);
void segment_set_bytes(Store *store, Segment *segment, uint64_t bytes);
/* Takes them from the table; their files are the caller's. */
void segment_drop_oldest(Store *store, size_t n);
/* The segment that holds (or should hold) seq, NULL: none. */
Segment *segment_find(const Store *store, uint64_t seq);
/* Last own seq that is shown of it. */
uint64_t segment_last(const Store *store, const Segment *segment);
/* created_usec and head from its first entry, as far as readable. */
void segment_load(Store *store, Segment *segment);
/* 0 when there is none. */
uint64_t segment_file_size(Disk *disk, uint64_t first, const char *suffix);
/* A new segment with room for what comes first; without that room the one before stays open, whose reserve
 * is still there. */
int segment_begin(Store *store, uint64_t size, bool own, uint64_t now_usec) _must_check_;
/* Ends the open segment for good: it is cut at its last durable batch and not written any more. One without
 * durable group is taken back; then it is the one rotated out that ends. */
void segment_end(Store *store);
/* Makes the room for `size` more bytes of text and one more entry sure, as far as the file system can. */
int segment_reserve(Store *store, uint64_t size, bool own) _must_check_;
int segment_write_text(Store *store, const uint8_t *data, size_t size) _must_check_;
int segment_write_index(Store *store, const uint8_t *data, size_t size) _must_check_;
/* Reads exactly `size` bytes. -EBADMSG when the file ends before. */
int segment_read(Disk *disk, int handle, void *data, size_t size, uint64_t offset) _must_check_;
int segment_write(Disk *disk, int handle, const uint8_t *data, size_t size, uint64_t offset) _must_check_;
/* No room is an ordinary result, after which the same may be tried again. */
static inline bool error_is_no_room(int error)
{
        return error == -ENOSPC || error == -EDQUOT || error == -EFBIG;
}

/* --- header.c --- */

/* Entries being put together. */
typedef struct Writer {
        Store *store;
        uint8_t *bytes;
        size_t n, n_max;
        uint8_t chain[SHA256_SIZE];
} Writer;

void writer_put(Writer *writer, const IndexEntry *entry);
void header_put(Writer *writer, uint64_t now_usec);
void header_put_custody(Writer *writer, Collector *collector, uint64_t now_usec);
/* Keeps what the index of a segment says that is to be replaced, if it can be read. */
int header_load_replaced(Store *store, const Segment *segment) _must_check_;
void header_forget_replaced(Store *store);

/* --- streams.c --- */

int streams_init(Streams *streams, void (*random)(void *bytes, size_t size)) _must_check_;
void streams_done(Streams *streams);
Stream *streams_find(const Streams *streams, const StreamId *id);
/* The row, made if there is none. NULL: no memory. */
Stream *streams_get(Streams *streams, const StreamId *id) _must_check_;
void streams_remove(Streams *streams, Stream *stream);
Stream *streams_next(const Streams *streams, const Stream *stream);
/* Moves the written position. */
void streams_write(Streams *streams, Stream *stream, uint64_t last, uint64_t checksum);
void streams_end(Streams *streams, Stream *stream, IndexStreamEnd reason);
/* Removes a row that says nothing: never durable is never heard of. */
void streams_drop_new(Streams *streams, Stream *stream);
void streams_submit(Streams *streams);
void streams_durable(Streams *streams);
void streams_step_back(Streams *streams);

/* --- custody.c --- */

Collector *custody_collector(Store *store, const char *name);
void custody_done(Store *store);
/* All from seq up to here is in some collector's custody; seq - 1: not even seq. */
uint64_t custody_until(const Store *store, uint64_t seq);
/* The same from the first seq there ever was. */
uint64_t custody_released(const Store *store);
/* … was, when the store's stream still had an earlier id. */
uint64_t custody_released_before(const Store *store);
/* First seq that this collector is shown. */
uint64_t custody_oldest(const Collector *collector);
/* Whether the collector is shown seq: 1; 0: that cannot be said before another's custody is written down;
 * -ENOENT: no, it is explained. */
int custody_shows(const Collector *collector, uint64_t seq);
/* The batch without records that stands for seqs from `seq` on, which is not shown. */
void custody_explain(Collector *collector, uint64_t seq, Batch *ret);
/* The collector has less than it acked: it was restored from a backup. Nobody else is believed any more to
 * have what it had. */
void custody_set_back(Collector *collector, uint64_t seq);
void custody_distrust(Store *store, const Collector *collector);
/* Whether an entry says something of it. */
bool custody_is_noted(const Collector *collector);
/* A new stream: nobody has anything of it. */
void custody_forget(Store *store);
void custody_explain_damage(uint64_t seq, uint64_t last, Batch *ret);
/* The segment with these files is gone or replaced: nobody reads on in it. */
void custody_forget_files(Store *store, uint64_t first);

/* --- text.c --- */

int segment_text_open(Disk *disk, uint64_t first, SegmentText *ret) _must_check_;
void segment_text_close(Disk *disk, SegmentText *text);
int segment_text_read(Disk *disk, SegmentText *text, void *data, size_t size, uint64_t offset) _must_check_;

/* Size of the plain text. */
uint64_t segment_text_packed_size(const SegmentText *text);

static inline bool segment_text_is_open(const SegmentText *text)
{
        return text->plain >= 0 || text->packed >= 0;
}

/* --- pack.c --- */

/* At start: a packed text was found. */
int pack_settle(Store *store, uint64_t first) _must_check_;

/* --- reader.c --- */

void reader_init(Collector *collector);
void reader_close(Collector *collector);

/* --- retention.c --- */

/* Chooses victims. */
void retention_choose(Store *store, uint64_t now_usec);
/* … and takes the choice back. */
void retention_choose_none(Store *store);
void retention_leave_pool(Store *store);
/* Whether a commit would delete something that the rules without a clock want gone. */
bool retention_due(const Store *store);
/* Whether text of this size may be added. Returns 0 or -ENOSPC. */
int retention_admit(Store *store, uint64_t size) _must_check_;
/* Bytes of the segments that somebody still waits for. */
uint64_t retention_awaited(const Store *store);
/* The DELETED entry of victim i. */
void retention_entry(Store *store, size_t i, uint64_t now_usec, IndexEntry *ret);
/* Their entries are durable, and the files gone. */
void retention_delete(Store *store);
/* Whether the job in flight takes the segment's files away: whoever wants something of it waits for the job's end. */
bool retention_is_going(const Store *store, const Segment *segment);
/* Takes the files of one segment away, also on the job's thread. */
void retention_remove_files(Disk *disk, const StoreGone *gone);

/* --- commit.c --- */

/* A commit from begin to end, at start. With an error it has stepped back; no room leaves all as it was. */
int commit_now(Store *store, uint64_t now_usec) _must_check_;
/* Writes nothing, forgets all that is not durable. Not while a job is in flight. */
void commit_step_back(Store *store);
/* Says how far the store is durable, when nothing that says so follows at once. */
void commit_write_mark(Store *store, uint64_t now_usec);

/* --- recovery.c, replay.c --- */

/* The last segment. */
int recovery_segment(Store *store, uint64_t now_usec, StoreReport *report) _must_check_;
static inline void recovery_progress(const Store *store)
{
        if (store->options.progress)
                store->options.progress();
}
int recovery_run(Store *store, uint64_t now_usec, StoreReport *report) _must_check_;

typedef struct Replay {
        Store *store;
        uint64_t first;      /* of the segment */
        uint64_t last;       /* own seq reached */
        uint64_t text_size;  /* behind the last batch */
        uint64_t last_usec;
        BatchSpan span;
        StreamId stream;
        uint8_t chain[SHA256_SIZE];
        bool clean_end; /* the last entry says so */
        bool strict;    /* behind the mark: whatever does not follow ends the replay */
} Replay;

/* Applies one entry to the tables. 1: done; 0 (strict only): it does not follow; negative errno. */
int replay_entry(Replay *replay, const IndexEntry *entry) _must_check_;

/* --- links.c --- */

/* audit.log leads to this text from now on, or, should that fail, from the next on. */
void links_follow(Disk *disk, const char *newest);
/* At start: all of them right. */
void links_settle(Store *store);
