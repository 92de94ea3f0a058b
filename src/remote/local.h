/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The dispatcher's end: the socket it delivers to, and who may connect there. */

#include "remote/config.h"
#include "remote/enrich.h"
#include "remote/passage.h"
#include "runtime/inlet.h"
#include "runtime/store-loop.h"

#include <sys/types.h>

typedef struct Local {
        Inlet *inlet;
        StoreLoop *store;
        const char *node; /* of records made on the dispatcher's behalf */
        uid_t dispatcher; /* (uid_t) -1: there is no such user */
        Passage *passage;
        Enricher *enricher; /* NULL: records are stored as they come */
        bool relay;           /* records of other hosts are taken, too */
        uint64_t left_out;    /* of these, if not */
        uint64_t refused_usec;
} Local;

/* For the store's intake. */
extern const IntakeHandler local_intake_handler;

/* Takes the descriptors named `remote`, and the path of Listen= when it is set. Logs why it fails. */
int local_init(Local *local, sd_event *event, const RemoteConfig *config, const char *node,
               StoreLoop *store, Passage *passage) _must_check_;
/* Accepts nobody any more. */
void local_close(Local *local);
/* Writes the metrics of enriching into the status being written. */
void local_status(const Local *local, State *state);
void local_done(Local *local);
