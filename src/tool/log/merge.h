/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Several stores as one: batches in the order in which they were received, each (stream, seq) once. */

#include "store/view.h"
#include "tool/log/cursor.h"
#include "tool/log/match.h"

typedef struct LogMerge LogMerge;

int log_merge_new(LogMerge **ret) _must_check_;
LogMerge *log_merge_free(LogMerge *merge);
DEFINE_CLEANUP(LogMerge *, log_merge_free)

/* Opens the store in a directory, whose name must outlive this. -E2BIG: too many; -ENODATA: no store is there. */
int log_merge_add(LogMerge *merge, const char *directory, bool follow) _must_check_;
void log_merge_select(LogMerge *merge, const LogQuery *query);
/* Begins again, with the last n records of each store. 1: these are all of them; 0; or a negative errno. */
int log_merge_seek(LogMerge *merge, uint64_t n) _must_check_;
/* From now on the newest come first. */
void log_merge_reverse(LogMerge *merge);
/* Goes on where the cursor says; a store of which it says nothing is shown from its oldest record on. Says on
 * stderr what is wrong. */
int log_merge_resume(LogMerge *merge, const LogCursor *cursor) _must_check_;
/* What an errno of these functions means. */
const char *log_merge_reason(int error);
/* Up to where all was given by log_merge_next(), once it has said that there is nothing more for now. */
void log_merge_position(const LogMerge *merge, LogCursor *ret);

/* The next batch, with its text, or damage. 1; 0: nothing more for now; or a negative errno with the
 * directory it is about, -ESTALE: its records are not those that the cursor knows. */
int log_merge_next(LogMerge *merge, ViewBatch *ret, const char **ret_directory) _must_check_;
