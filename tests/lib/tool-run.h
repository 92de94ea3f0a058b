/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* audit-relay run as a program, by a shell: its exit status, and all that it says. */

#include "capture.h"
#include "check-main.h"

#include <stdarg.h>
#include <sys/wait.h>

static const char *tool; /* its path; main() sets it */
static char output[1 << 20];

/* Runs a command line, in which the program's path has to be quoted; what it writes to both outputs is in `output`. Returns the exit
 * status. */
__attribute__((format(printf, 1, 2))) static inline int tool_run(const char *format, ...)
{
        char command[1024];
        va_list ap;
        FILE *pipe;
        size_t n;
        int status;

        va_start(ap, format);
        n = (size_t) vsnprintf(command, sizeof command - sizeof " 2>&1", format, ap);
        va_end(ap);
        ck_assert_uint_lt(n, sizeof command - sizeof " 2>&1");
        (void) strcat(command, " 2>&1");
        pipe = popen(command, "re");
        ck_assert_ptr_nonnull(pipe);
        n = fread(output, 1, sizeof output - 1, pipe);
        output[n] = '\0';
        status = pclose(pipe);
        ck_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static inline void expect_output(const char *text)
{
        ck_assert_msg(strstr(output, text), "\"%s\" is not in:\n%.2000s", text, output);
}

/* A systemctl of the test's own, found before any other: a shell script in its directory. */
static inline void write_systemctl(const char *directory, const char *script)
{
        char path[128];

        scratch_write(directory, "systemctl", script);
        (void) snprintf(path, sizeof path, "%s/systemctl", directory);
        ck_assert_int_eq(chmod(path, 0755), 0);
        (void) snprintf(path, sizeof path, "%s:/usr/bin:/bin", directory);
        ck_assert_int_eq(setenv("PATH", path, 1), 0);
}
