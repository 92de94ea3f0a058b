/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A store on a simulated disk with senders, a collector and a memory of what was acked and shown, so that
 * after any crash or failure it can be asked whether everything still holds (world_come_back()).
 */

#include "store-fixture.h"

#define WORLD_STREAMS 3U
#define WORLD_OWN_MAX 4096U

typedef struct WorldOwn {
        unsigned stream;
        uint64_t seq;
        uint64_t batch; /* the own seq with which its batch begins */
} WorldOwn;

typedef struct World World;

struct World {
        uint64_t random;
        SimDisk *sim;
        /* Puts something in front of the disk of each process; may be NULL. */
        Disk *(*front)(Disk *inner, void *userdata);
        void *front_userdata;
        /* Spoils the job before it is run; may be NULL. */
        void (*spoil)(StoreJob *job, void *userdata);
        bool cuts_lasting; /* the disk does not refuse to cut files: check the texts of all segments */

        Store *store;
        uint64_t now;
        /* Last seqs of each stream: acked, in the group in flight, appended; and ever sent, before any step
         * back. */
        uint64_t acked[WORLD_STREAMS], flight[WORLD_STREAMS], written[WORLD_STREAMS], sent[WORLD_STREAMS];
        WorldOwn own[WORLD_OWN_MAX]; /* what own seqs meant when they were durable */
        uint64_t own_durable;        /* up to where */
        IndexEntry checkpoint;       /* the last that was durable, and may have been told; kind 0: none */
        uint64_t released;           /* the most that the collector ever acked */
        StoreJob job;
        bool in_flight, failed;
        uint64_t cuts;
        char failure[256]; /* what did not hold */
};

World *world_new(uint64_t seed);
World *world_free(World *world);
uint64_t world_below(World *world, uint64_t n);

/* Opens the store and nothing else. */
int world_open(World *world);
/* The process dies. */
void world_die(World *world);
/* Opens, perhaps cut several times on the way (`cuts`), and checks everything, twice. Returns whether all
 * holds. */
bool world_come_back(World *world, bool cuts);

/* One random thing that happens. */
void world_operate(World *world);
