/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A client, as sim-client.c (kernel, dispatcher, the machine) and sim-remote.c share it. */

#include "sim-keeper.h"
#include "remote/uplink.h"
#include "ring/ring.h"
#include "runtime/outlet.h"

typedef struct Client {
        unsigned number;
        char node[16];
        Machine *machine;
        Process *dispatcher, *remote;
        /* The kernel */
        uint64_t n_records, generated, read;
        uint64_t next_usec;
        /* The dispatcher */
        char ring_path[64];
        Ring *ring;
        Source *source, *observed;
        Outlet *subscriber;
        sd_event_source *kernel, *tick;
        uint64_t dropped;
        unsigned drop_ticks;
        bool leaving; /* its BYE is out */
        /* remote */
        Keeper *keeper;
        Uplink *uplink;
        OutletHandler uplink_handler;    /* the uplink's own */
        OutletHandler uplink_observer;   /* … with the oracle's ears */
        OutletHandler trial_handler, trial_observer;
        unsigned collector;              /* which one it uses */
        bool begun;                      /* the mark of a clean end is taken back, in this boot */
        bool goodbye;                    /* the last thing the dispatcher said was BYE, with all acked */
        bool clean;                      /* … and then remote ended, in order */
} Client;

Client *client_of(const Process *process);
/* Makes remote's process. */
void remote_new(Client *client);
/* From now on it uses the other collector: at once, or as an administrator would. */
void remote_fail_over(Client *client);
/* All that it holds is with the collector it uses. */
bool remote_drained(Client *client);
