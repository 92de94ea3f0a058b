/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tool/terminal.h"

#include <stdarg.h>

/* To the line's begin, and empties it. */
#define CLEAR "\r\033[K"

static bool shown;

static bool is_capable(FILE *to)
{
        const char *term = getenv("TERM");

        return isatty(fileno(to)) && term && strcmp(term, "dumb") != 0;
}

bool terminal_has_colours(FILE *to)
{
        const char *no = getenv("NO_COLOR");

        return is_capable(to) && (!no || *no == '\0');
}

void terminal_progress(const char *format, ...)
{
        va_list ap;

        if (!is_capable(stderr))
                return;
        shown = true;
        fputs(CLEAR, stderr);
        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        (void) fflush(stderr);
}

void terminal_progress_end(void)
{
        if (shown)
                fputs(CLEAR, stderr);
        shown = false;
}
