/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the command lines of the daemons have in common: --config=FILE, --help, --version. */

#include "basic/macro.h"

/* A configuration that cannot be used: as in systemd.exec(5), "Process Exit Codes". */
#define PROGRAM_EXIT_CONFIG 78

/* Reads the arguments. Returns 1 with *ret_config (NULL: the usual places), 0 when all is said and done,
 * -EINVAL when they are wrong, which it has said. `name`: the program's; `what`: a sentence for --help. */
int program_arguments(int argc, char **argv, const char *name, const char *what,
                      const char **ret_config) _must_check_;

/* The host name with what no node name may have replaced, so that there always is one; owned by the caller.
 * NULL: no memory. */
char *program_host_name(void);
