/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What store-loop.c (commit) and store-loop-disk.c (conditions) share. */

#include "runtime/store-loop.h"
#include "runtime/store-loop-gaps.h"
#include "runtime/store-loop-owed.h"
#include "runtime/store-workers.h"

typedef enum Ending {
        ENDING_NOT,
        ENDING_REST, /* commits what there is */
        ENDING_MARK, /* commits the clean-end mark */
        ENDING_DONE,
} Ending;

struct StoreLoop {
        StoreLoopOptions options;
        IntakeHandler handler; /* the owner's, with ours put in */
        Disk *disk;            /* owned by the store */
        Store *store;
        Intake *intake;
        StoreWorkers *workers, *own_workers; /* the latter NULL: they are shared */
        StoreCommit commit;
        uint64_t links_rest_until; /* monotonic */
        sd_event_source *retry;
        int failed;   /* to step back from, once no job is in flight */
        bool blocked; /* the intake is, for want of room */
        StoreGaps gaps;
        bool boot_known; /* the link names this boot */
        StoreOwed owed;
        bool held[_STORE_CONDITION_MAX];
        uint64_t
                trouble_usec[_STORE_CONDITION_MAX]; /* monotonic, when the condition's cause was last seen */
        bool unread;      /* … of STORE_ERROR: a read failed, and none has succeeded since */
        uint64_t dropped; /* of the store, as last looked at */
        uint64_t reminded_usec;
        uint64_t commits, errors, checkpoints;
        uint64_t commit_usec; /* monotonic, when the job in flight began */
        Histogram commit_time;
        uint64_t checkpoint_due_usec;     /* monotonic: when the next is due, if records came … */
        uint64_t checkpoint_idle_usec;    /* … and if none did; 0: not looked at yet */
        uint64_t checkpoint_number;       /* of the one that is on its way into the index; 0: none */
        char note[CHECKPOINT_NOTE_MAX];   /* … as its peers will have it */
        Ending ending;
        void (*done)(void *userdata);
        void *done_userdata;
};

void store_loop_raise_condition(StoreLoop *loop, StoreCondition condition, const char *reason);
/* The store leaves the loop: of those that it holds, what others hold too goes on. */
void store_loop_release_conditions(StoreLoop *loop);
/* Nothing has gone wrong just now, and, if so, a group became durable: ends what that has contradicted for
 * long enough. */
void store_loop_calm(StoreLoop *loop, bool committed);
void store_loop_check_space(StoreLoop *loop);
void store_loop_check_store(StoreLoop *loop);
/* --- store-loop-checkpoint.c --- */

/* Signs what is durable, if it is time. Returns whether a commit is to follow. */
bool store_loop_checkpoint(StoreLoop *loop);
/* A commit has ended: was it in it? */
void store_loop_checkpoint_end(StoreLoop *loop, int error);

/* Whether only a commit can tell if the disk works again. */
bool store_loop_needs_proof(const StoreLoop *loop);

/* Whether an error only says that there is no room now. */
bool store_loop_no_room(int error);
void store_loop_note_no_room(StoreLoop *loop, int error);
void store_loop_note_failure(StoreLoop *loop, int error);
