/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The programs' own log: structured to the journal when stderr is connected to it (JOURNAL_STREAM), else
 * lines on stderr:
 * "<N>identifier: text" as sd-daemon(3) has it, without <N> on a terminal. Floors 0 and 1 never log; a
 * function logs or returns an error, never both. Only the loop's thread logs.
 */

#include "basic/macro.h"
#include "runtime/message-ids.h"

#include <syslog.h>

/* Longest message with its fields; what is longer is cut. Fits PIPE_BUF, so that a line is written whole or
 * not at all. */
#define LOG_MESSAGE_MAX 4000U

/* The program's name as SYSLOG_IDENTIFIER; messages above `priority` are dropped. Also from
 * AUDIT_RELAY_LOG_LEVEL: a number, or a name such as "debug". */
void log_init(const char *identifier, int priority_max);
/* Where the journal listens; tests have their own. */
extern const char *log_journal_socket;

/* For programs that people call: always plain lines on stderr, never the journal. */
void log_init_tool(const char *identifier, int priority_max);

/* id: one of message-ids.h or NULL. field: a further journal field "PEER=…", or several separated by
 * newlines, or NULL. Control characters become blanks, so that nobody can forge a line; record bytes should
 * be escaped by the caller to remain readable. Safe in the loop: what journal or stderr does not take at
 * once is dropped and counted, never waited for; the count is said with the next message that goes out. */
void log_message(int priority, const char *id, const char *field, const char *format, ...) _printf_(4, 5);

/* What is no kind of event of its own: its explanation is in docs/messages.md, if it needs one. */
#define log_error(...) log_message(LOG_ERR, MESSAGE_ID_EXPLAINED, NULL, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, MESSAGE_ID_EXPLAINED, NULL, __VA_ARGS__)
#define log_notice(...) log_message(LOG_NOTICE, NULL, NULL, __VA_ARGS__)
#define log_info(...) log_message(LOG_INFO, NULL, NULL, __VA_ARGS__)
#define log_debug(...) log_message(LOG_DEBUG, NULL, NULL, __VA_ARGS__)

/* Logs at most once per interval; *last is the caller's memory (monotonic usec). Returns whether to log now.
 */
bool log_limit(uint64_t *last_usec, uint64_t interval_usec);

/* What was said since when; zero at first. */
typedef struct LogBurst {
        uint64_t since_usec;
        unsigned n;
} LogBurst;

/* Whether to say it: the first n times in every interval. */
static inline bool log_burst(LogBurst *burst, uint64_t interval_usec, unsigned n)
{
        if (log_limit(&burst->since_usec, interval_usec))
                burst->n = 0;
        return burst->n++ < n;
}
