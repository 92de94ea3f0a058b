/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The relay in one process, of the shipping parts: a host is a store with an intake in front; a hop carries
 * a source's batches to a host by the link's two machines, through two buffers.
 */

#include "block-log.h"
#include "link/link-sender.h"
#include "runtime/intake.h"
#include "store/store.h"

#include <pthread.h>

/* The collector's name, as the sender's store knows it. */
#define RELAY_COLLECTOR "collector.example"
/* Who owns the stream at a host: the one before it. */
#define RELAY_OWNER "owner.example"

typedef struct Host Host;

struct Host {
        Store *store;
        Intake *intake;
        uint64_t custody; /* the most that the host has said is in its custody */
        /* It is about to say so. May be NULL. */
        void (*promise)(Host *host);
        void *userdata;
        StoreJob job;
        pthread_t thread;
        int job_result;
        bool in_flight;
};

/* Opens the store of one of the two disks with the options of its program (but for sizes, which are small),
 * over `disk`, which is taken over in any case. Returns 0 or a negative errno. */
int host_open(Host *host, int which, Disk *disk, StoreReport *ret_report) _must_check_;
/* As a kill: nothing is written. A job in flight is waited for. */
void host_close(Host *host);
/* The two halves of a group commit; between them the job's syncs run on a thread of their own. begin: 1:
 * begun; 0: nothing to do; or a negative errno, as end. */
int host_commit_begin(Host *host) _must_check_;
int host_commit_end(Host *host) _must_check_;

typedef struct Hop {
        LinkSender sender;
        IntakeSession session;
        Buffer forth, back;
        bool open;
        bool ended; /* one of the two has ended the session: open another */
} Hop;

int hop_open(Hop *hop, Source *source, Host *to) _must_check_;
/* What is on the way is lost. */
void hop_close(Hop *hop);
/* At most `size` bytes go forth; or all go back. */
int hop_send(Hop *hop, size_t size) _must_check_;
int hop_return(Hop *hop) _must_check_;
