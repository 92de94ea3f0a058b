/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Several stores as one: batches in the order in which they were received, each (stream, seq) once. */

#include "store/view.h"
#include "tool/log-match.h"

/* Stores that one command reads: one for each name on a long command line, a bound for descriptors. */
#define LOG_STORES_MAX 256U

typedef struct LogMerge LogMerge;

int log_merge_new(LogMerge **ret) _must_check_;
LogMerge *log_merge_free(LogMerge *merge);
DEFINE_CLEANUP(LogMerge *, log_merge_free)

/* Opens the store in a directory. -E2BIG: too many; -ENODATA: no store is there. */
int log_merge_add(LogMerge *merge, const char *directory, bool follow) _must_check_;
void log_merge_select(LogMerge *merge, const LogQuery *query);
/* Begins again, with the last n records of each store. 1: these are all of them; 0; or a negative errno. */
int log_merge_seek(LogMerge *merge, uint64_t n) _must_check_;

/* The next batch, with its text, or damage. 1; 0: nothing more for now; or a negative errno with the
 * directory it is about. */
int log_merge_next(LogMerge *merge, ViewBatch *ret, const char **ret_directory) _must_check_;
