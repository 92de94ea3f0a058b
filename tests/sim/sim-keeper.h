/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What remote and aggregator have in common: an inlet over a store-loop. */

#include "sim.h"
#include "runtime/inlet.h"
#include "runtime/store-loop.h"

typedef struct Keeper Keeper;

typedef struct KeeperOptions {
        Service *service; /* where it listens */
        const char *name;
        bool chained;      /* a collector: SHA-256, nothing deleted */
        const char *owner; /* of all streams; NULL: the node that HELLO names */
        void (*durable)(StoreLoop *loop, void *userdata);
        /* What remote's oracle wants to know: a session begins, its sender says BYE; once a second; at the end.
         * May be NULL. */
        void (*hello)(void *userdata);
        void (*bye)(const LinkReceiver *receiver, const LinkBye *bye, void *userdata);
        void (*tick)(void *userdata);
        void (*finished)(void *userdata);
        void *userdata;
} KeeperOptions;

int keeper_new(Process *process, const KeeperOptions *options, Keeper **ret);
Keeper *keeper_free(Keeper *keeper);
Store *keeper_store(Keeper *keeper);
StoreLoop *keeper_store_loop(Keeper *keeper);
/* Its disk is full or fails, or did so lately. */
bool keeper_troubled(Keeper *keeper);
/* Takes nothing more and ends in order, then its process. */
void keeper_finish(Keeper *keeper);
/* Nothing waits to be committed. */
bool keeper_settled(Keeper *keeper);
