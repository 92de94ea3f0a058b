/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where `audit-relay log` left off: of each store the last own seq that it came to. */

#include "lib/audit-relay.h"

#include <stdbool.h>
#include <stddef.h>

/* Stores that one command reads: those of a collector with Layout=by-node that has as many clients as it takes by default
 * (MaxConnections=). A bound for memory and descriptors, of which each takes three. */
#define LOG_STORES_MAX 4096U
/* Its size as text, with the NUL: cursors of single stores, and a comma or the end behind each. */
#define LOG_CURSOR_SIZE ((size_t) LOG_STORES_MAX * AUDIT_RELAY_CURSOR_SIZE)

typedef struct LogCursor {
        AuditRelayCursor places[LOG_STORES_MAX];
        size_t n;
} LogCursor;

/* Takes a cursor as it is written, or the name of the file that holds one; in a file that is not there yet is none.
 * Says on stderr what is wrong. Returns 0 with the file's name or NULL, or a negative errno. */
int log_cursor_load(LogCursor *cursor, const char *value, const char **ret_file);
/* Replaces the file. Says on stderr why it cannot. */
int log_cursor_save(const LogCursor *cursor, const char *file);
void log_cursor_format(const LogCursor *cursor, char text[static LOG_CURSOR_SIZE]);
