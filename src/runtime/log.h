/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The programs' own log: structured to the journal when stderr is connected to it (JOURNAL_STREAM), else "<N>text" lines on
 * stderr. Floors 0 and 1 never log; a function logs or returns an error, never both.
 */

#include "basic/macro.h"
#include "runtime/message-ids.h"

#include <syslog.h>

/* The program's name as SYSLOG_IDENTIFIER; messages above `priority` are dropped. Also from $SYSTEMD_LOG_LEVEL-like
 * AUDIT_RELAY_LOG_LEVEL. */
void log_init(const char *identifier, int priority_max);

/* id: one of message-ids.h or NULL. field: one more journal field "PEER=…", or NULL. Record bytes in messages must be escaped
 * by the caller. Safe in the loop: what the journal does not take at once is dropped and counted, never waited for. */
void log_message(int priority, const char *id, const char *field, const char *format, ...) _printf_(4, 5);

#define log_error(...) log_message(LOG_ERR, NULL, NULL, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, NULL, NULL, __VA_ARGS__)
#define log_notice(...) log_message(LOG_NOTICE, NULL, NULL, __VA_ARGS__)
#define log_info(...) log_message(LOG_INFO, NULL, NULL, __VA_ARGS__)
#define log_debug(...) log_message(LOG_DEBUG, NULL, NULL, __VA_ARGS__)

/* Logs at most once per interval; *last is the caller's memory (monotonic usec). Returns whether to log now. */
bool log_limit(uint64_t *last_usec, uint64_t interval_usec);
