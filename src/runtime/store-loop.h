/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A store in the loop, as remote and the aggregator both have it: opened and recovered, what recovery found
 * said in gap records and conditions, an intake in front, group commit on a worker, disk states with
 * hysteresis, rotation, a clean end.
 */

#include "runtime/intake.h"
#include "runtime/state.h"
#include "runtime/store-workers.h"
#include "store/store.h"

#include <systemd/sd-event.h>

/* Text of the open group: what the disk takes in about a twentieth of a second, so that an ack is never long
 * in coming. */
#define STORE_LOOP_GROUP_MAX (16U * 1024U * 1024U)

/* A signed note, with its NUL. */
#define CHECKPOINT_NOTE_MAX 1024U

typedef struct StoreLoop StoreLoop;

typedef enum StoreCondition {
        STORE_LOW,     /* space_left or inodes_left is not met, or little is left of use_max */
        STORE_FULL,    /* no room: nothing is acked until there is */
        STORE_ERROR,   /* a write, sync or read failed */
        STORE_DAMAGED, /* stored records cannot be read any more */
        STORE_DROPPING, /* records are deleted that no collector has */
        /* Instead of the first two, where use_max is a bound for this store alone and there is room for others. */
        STORE_QUOTA_LOW,
        STORE_QUOTA_FULL,
        _STORE_CONDITION_MAX,
} StoreCondition;

typedef struct StoreLoopHandler {
        /* A group became durable: sources have more. May be NULL. */
        void (*durable)(StoreLoop *loop, void *userdata);
        /* What store_loop_append() has taken so far is submitted, and there is room for more. May be NULL. */
        void (*submitted)(StoreLoop *loop, void *userdata);
        /* All that was submitted is durable (0); or all that was taken and not yet settled is forgotten. May be NULL. */
        void (*settled)(StoreLoop *loop, int error, void *userdata);
        /* Makes a checkpoint of what is durable: the entry that the index is to have, and its note for the peers
         * (CHECKPOINT_NOTE_MAX bytes). Returns 0; -ENOKEY: nobody signs here; or another negative errno, which it has said.
         * May be NULL: there are none. */
        int (*sign)(StoreLoop *loop, const StoreHead *head, uint64_t now_usec, IndexEntry *ret_entry, char *ret_note,
                    void *userdata);
        /* A condition began or ended, for STATE to the peers. May be NULL. */
        void (*condition)(StoreLoop *loop, StoreCondition condition, bool on, void *userdata);
} StoreLoopHandler;

/* What is pointed to must outlive the loop. */
typedef struct StoreLoopOptions {
        const char *directory;     /* made when it is missing */
        StoreOptions store;        /* disk, random and group_bytes_max are set here */
        State *state;
        const char *conditions[_STORE_CONDITION_MAX]; /* their names; NULL: it is none here */
        unsigned *holders; /* _STORE_CONDITION_MAX of them: for how many stores each condition holds; NULL: this is
                              the only store */
        bool quota;        /* use_max is a quota: see above */
        const char *node;          /* of gap records made here */
        const char *name;          /* for WELCOME */
        const char *boot_id;       /* to tell a machine's death from a crash and from a clean end; NULL: do not */
        const IntakeHandler *intake; /* passed on, but for dirty() and blocked(), which are ours */
        uint64_t window;
        StoreWorkers *workers;     /* shared with other stores, whose owner frees them first; NULL: of its own */
        bool pack;                 /* its own compress closed segments */
        DiskAmount space_left, inodes_left; /* free bytes and inodes below which STORE_LOW begins */
        uint64_t checkpoint_usec;  /* between two checkpoints */
        const StoreLoopHandler *handler;
        void *userdata;
} StoreLoopOptions;

/* A store that is open, and in no loop yet. */
typedef struct StoreOpening {
        Store *store;
        Disk *disk; /* the store's */
        StoreReport report;
} StoreOpening;

/* The work for the disk, on any thread: makes what is missing, and recovers. Logs nothing. */
int store_loop_open(const StoreLoopOptions *options, StoreOpening *ret) _must_check_;
void store_loop_log_open(const char *directory, int error);
void store_opening_done(StoreOpening *opening);
/* The rest; the same options. *opening is taken over, also on failure. */
int store_loop_adopt(sd_event *event, const StoreLoopOptions *options, StoreOpening *opening,
                     StoreLoop **ret) _must_check_;
/* Both, at the start of the program: the manager is told that it takes time. Logs what it finds, and why it fails. */
int store_loop_new(sd_event *event, const StoreLoopOptions *options, StoreLoop **ret) _must_check_;
/* After all sessions are gone. Waits for the job in flight. After store_loop_finish() the end was clean. */
StoreLoop *store_loop_free(StoreLoop *loop);
DEFINE_CLEANUP(StoreLoop *, store_loop_free)

Store *store_loop_store(StoreLoop *loop);
Intake *store_loop_intake(StoreLoop *loop);
void *store_loop_userdata(const StoreLoop *loop);
bool store_loop_holds(const StoreLoop *loop, StoreCondition condition);
/* As its peers see it: there is little room for what they deliver, or none. */
bool store_loop_low(const StoreLoop *loop);
bool store_loop_full(const StoreLoop *loop);
bool store_loop_failed(const StoreLoop *loop);
/* Nobody delivers, all is durable, and no thread is at work: it may be finished and freed. */
bool store_loop_idle(const StoreLoop *loop);
/* Delivers for a peer that does not speak the link: in a stream that only the owner of the loop knows, records
 * already judged; first and last are set here. Returns 0: submitted() and settled() say what becomes of it; -EAGAIN: not before
 * submitted(); -ENOSPC and its like: there is no room; another negative errno: the disk failed. */
int store_loop_append(StoreLoop *loop, const StreamId *stream, const char *owner, Batch *batch) _must_check_;
/* Somebody has connected who may deliver: call it as soon as that is known, also for those who wait while we
 * end. With a boot_id the end is clean only if he says BYE. */
void store_loop_owe(StoreLoop *loop);
/* Commits at the next opportunity, if there is anything: for what should not wait a second, as a stream
 * restarted. */
void store_loop_wake(StoreLoop *loop);
/* What was stored could not be read for whom it goes to: STORE_ERROR, until something has reached him again. */
void store_loop_not_read(StoreLoop *loop, const char *why);
void store_loop_was_read(StoreLoop *loop);
void store_loop_rotate(StoreLoop *loop);
/* What a store counts and holds. */
typedef struct StoreFacts {
        IntakeCounters intake;
        StoreStatus store;
        uint64_t commits, errors, checkpoints;
        Histogram commit_time; /* of commits: from the group's beginning to its being durable */
} StoreFacts;

void store_loop_facts(const StoreLoop *loop, StoreFacts *ret);
/* Adds up what several stores have counted; what they hold. */
void store_facts_count(StoreFacts *facts, const StoreFacts *more);
void store_facts_hold(StoreFacts *facts, const StoreFacts *more);
/* Writes the metrics of a store and its intake into the status being written; those of several have no seqs. */
void store_loop_status(const StoreLoop *loop);
void store_facts_status(const StoreFacts *facts, State *state);
/* Takes nothing more, commits and acks the rest, tells all sessions that we are ending, writes the clean-end
 * mark, then calls done(). Without the mark when the disk does not let us, and with a boot_id when somebody
 * may still hold what he has not delivered. */
void store_loop_finish(StoreLoop *loop, void (*done)(void *userdata), void *userdata);
