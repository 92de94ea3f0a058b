/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What view.c (onwards) and view-back.c (back from the end) share. */

#include "store/store-internal.h"
#include "store/view.h"

/* One read of the index. */
#define VIEW_CHUNK_ENTRIES 256U

struct StoreView {
        Disk *disk;
        bool follow;
        uint64_t since_usec, until_usec, node;
        uint64_t from; /* own seq to begin with */
        uint64_t behind, behind_checksum; /* the batch that ended there was this one; 0: not known */
        uint64_t done; /* FIRST of the last segment left behind, 0: none */
        uint64_t *firsts;
        size_t n, allocated;
        /* The segment that is read. */
        uint64_t first; /* 0: none */
        uint64_t end;   /* FIRST of the next, 0: this is the newest */
        int index;
        SegmentText text;
        uint32_t number, limit; /* the next entry; how many may be looked at */
        uint32_t mark;          /* entries that are said to be durable; of the newest segment */
        uint64_t mark_last;
        uint64_t last, last_checksum; /* own seq reached, and the batch that ended there, 0: none did */
        bool again;    /* the newest segment, without records, was opened a second time */
        StreamId stream;
        IndexEntry entry; /* of the batch given last */
        /* Going back. */
        size_t left;   /* segments in the list that were not begun */
        uint64_t next; /* own seq reached: all from here on were passed */
        uint32_t chunk_first, n_chunk;
        uint8_t chunk[VIEW_CHUNK_ENTRIES * INDEX_ENTRY_SIZE];
        uint8_t payload[BATCH_PAYLOAD_MAX];
};

int view_list_segments(StoreView *view) _must_check_;
void view_close_segment(StoreView *view);
int view_open_index(StoreView *view, uint64_t first) _must_check_;
/* The first bytes of a segment's index. 1; 0: it is not there, or they cannot be read; or a negative errno. */
int view_read_index(StoreView *view, uint64_t first, uint8_t *ret_bytes, size_t size) _must_check_;
/* Opens it and sees how many entries may be looked at. 1; 0: it is not there any more; or a negative errno. */
int view_open_segment(StoreView *view, uint64_t first, uint64_t end) _must_check_;
/* 1: a readable entry; 0: none; or a negative errno. */
int view_entry_at(StoreView *view, uint32_t number, uint32_t n_entries, IndexEntry *ret) _must_check_;
/* Whether the index of a segment says that nothing in the one before it is meant. */
bool view_header_excludes(StoreView *view, uint64_t first, uint64_t before);
bool view_is_wanted(const StoreView *view, const IndexEntry *entry);
void view_put_batch(StoreView *view, const IndexEntry *entry, ViewBatch *ret);
