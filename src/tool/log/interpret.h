/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Records with their numbers as names, as ausearch -i writes them. */

#include "record/record.h"

typedef struct LogInterpreter LogInterpreter;

int log_interpreter_new(LogInterpreter **ret) _must_check_;
LogInterpreter *log_interpreter_free(LogInterpreter *interpreter);
DEFINE_CLEANUP(LogInterpreter *, log_interpreter_free)

/* Writes the lines of one event, or one of them, to standard output. */
int log_interpret(LogInterpreter *interpreter, const uint8_t *lines, size_t size) _must_check_;
