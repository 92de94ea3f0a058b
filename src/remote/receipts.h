/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Receipts: checkpoints that collectors have signed of their stores, kept here, away from them. Of each collector the last
 * ones, in DIRECTORY/receipts/COLLECTOR and, before these, COLLECTOR~; text, for `audit-relay verify --receipts=`.
 */

#include "link/frame.h"
#include "runtime/state.h"

/* A file; then the next is begun, and the one before the last goes. Some 120 receipts. */
#define RECEIPTS_FILE_MAX (64U * 1024U)
/* One comes a second at most: an interval shorter than that cannot be configured. */
#define RECEIPTS_INTERVAL_USEC (USEC_PER_SEC / 2)

typedef struct Receipts Receipts;

/* `keys`: verifier keys, NULL-terminated, which config_load() has checked; NULL: what comes is kept as it is. */
int receipts_new(const char *directory, char *const *keys, Receipts **ret) _must_check_;
Receipts *receipts_free(Receipts *receipts);
DEFINE_CLEANUP(Receipts *, receipts_free)

/* One came. Says itself what is wrong with it. */
void receipts_take(Receipts *receipts, const char *collector, const StreamId *stream, const LinkReceipt *receipt);
/* Writes what is counted into the status being written. */
void receipts_status(const Receipts *receipts, State *state);
