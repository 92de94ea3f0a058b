/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How far streams had come under the other Layout=: a store that does not know a stream, or knows less of it,
 * goes on from there. Nothing is changed where it is read.
 */

#include "runtime/store-loop.h"

typedef struct Positions Positions;

/* Whether a stream is to be left out. */
typedef bool (*PositionsSkip)(const StoreStream *stream, void *userdata);

int positions_new(Positions **ret) _must_check_;
Positions *positions_free(Positions *positions);
DEFINE_CLEANUP(Positions *, positions_free)

/* Whether there is a store in the directory. 1, 0 or a negative errno. */
int positions_has_store(const char *directory) _must_check_;
/* Adds those of the store in a directory: opened as any store is, since only recovery tells what counts, and closed again.
 * `store`: as it would be opened by its owner; bounds are not applied. */
int positions_add(Positions *positions, const StoreLoopOptions *store, const char *directory, PositionsSkip skip,
                  void *userdata) _must_check_;
size_t positions_count(const Positions *positions);

/* Brings the store as far as is known of the streams of `owner`, whatever its case, or of all (NULL), durably: by a batch
 * without records, reason custody, for what another store has. On any thread. Returns how many streams moved, or a
 * negative errno. */
int positions_import(const Positions *positions, const char *owner, Store *store, uint64_t now_usec) _must_check_;
