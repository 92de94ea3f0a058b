/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a terminal gets, and nothing else does: colours, and how far a long command is. */

#include "basic/macro.h"

#include <stdio.h>

/* Whether to write colours there: not when NO_COLOR is set (https://no-color.org), nor to a terminal that is dumb. */
bool terminal_has_colours(FILE *to);

/* Says how far it is, on standard error, in place of what it said before. */
void terminal_progress(const char *format, ...) _printf_(1, 2);
/* Before anything else is written: the line is empty again. */
void terminal_progress_end(void);
