/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Enrich=yes: behind a record's text stands the byte 0x1D, and what its user, group, system call, architecture
 * and address fields mean on this host, in the words of auditd's log_format=ENRICHED. */

#include "basic/batch.h"
#include "remote/names.h"

/* Between a record as it was and what was added. */
#define ENRICH_SEPARATOR 0x1d

typedef struct Enricher Enricher;

typedef struct EnricherOptions {
        const char *node; /* of the records that this host can interpret: its own; outlives the enricher */
        NamesOptions names;
} EnricherOptions;

typedef struct EnricherCounters {
        uint64_t records;  /* that got something added */
        uint64_t too_long; /* left as they were: line or batch would have become too long */
        uint64_t unnamed;  /* users and groups written as unknown because the name did not come in time */
} EnricherCounters;

int enricher_new(sd_event *event, const EnricherOptions *options, Enricher **ret) _must_check_;
Enricher *enricher_free(Enricher *enricher);
DEFINE_CLEANUP(Enricher *, enricher_free)

/* Replaces the batch by one of the same records, enriched and sealed; its payload is valid until the next call.
 * What is not of this host (another node, origin remote) or has something added already stays as it is. Returns 0;
 * -EAGAIN: names are being looked up, offer it again after ready(). The same batch is not put off without end. */
int enricher_batch(Enricher *enricher, Batch *batch) _must_check_;

const EnricherCounters *enricher_counters(const Enricher *enricher);
const NamesCounters *enricher_names_counters(const Enricher *enricher);
