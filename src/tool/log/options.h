/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command line of `audit-relay log`. */

#include "tool/log/match.h"
#include "tool/log/print.h"

#define LOG_LINES_ALL UINT64_MAX

typedef struct LogOptions {
        char **stores; /* NULL: those of this host */
        LogQuery query;
        LogFormat format;
        bool event, follow, reverse, show_cursor, help;
        uint64_t lines; /* the last so many, LOG_LINES_ALL: no bound */
        const char *cursor; /* as it was given */
} LogOptions;

/* Says on stderr what is wrong. Returns 0, -EINVAL, -ENOMEM. */
int log_options_parse(int argc, char **argv, LogOptions *ret) _must_check_;
void log_options_done(LogOptions *options);
void log_options_help(void);
