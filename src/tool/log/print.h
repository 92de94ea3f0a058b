/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writing what was found to standard output. */

#include "store/view.h"
#include "tool/log/interpret.h"

typedef enum LogFormat {
        LOG_FORMAT_RAW,
        LOG_FORMAT_JSON,
        LOG_FORMAT_INTERPRETED,
} LogFormat;

typedef struct LogPrint {
        LogFormat format;
        bool event;               /* what is printed are whole events */
        LogInterpreter *interpreter; /* of the format that needs it */
} LogPrint;

/* A record: one line with its newline; an event: its lines. 0, or the errno of writing. */
int log_print(LogPrint *print, const uint8_t *lines, size_t size) _must_check_;
/* Records that nobody can read any more: on standard error, and as an object of its own in JSON. */
int log_print_damage(LogPrint *print, const ViewBatch *damage, const char *directory) _must_check_;
