/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which seqs of which streams have been shown, so that several stores are shown without duplicates. */

#include "basic/batch.h"

/* Remembered of each stream: seqs come in order and contiguous, but where a sender changed its collector. */
#define LOG_SEEN_RANGES 64U

typedef struct LogSeen LogSeen;

int log_seen_new(LogSeen **ret) _must_check_;
LogSeen *log_seen_free(LogSeen *seen);
DEFINE_CLEANUP(LogSeen *, log_seen_free)

/* Whether all of them have been added. */
bool log_seen_has(const LogSeen *seen, const StreamId *stream, uint64_t first, uint64_t last);
int log_seen_add(LogSeen *seen, const StreamId *stream, uint64_t first, uint64_t last) _must_check_;
