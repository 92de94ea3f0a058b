/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* auditd's plugins as units of their own. */

#include "basic/macro.h"

/* Whether one of the active plugins is ours: auditd hands its records to the dispatcher. */
bool plugins_include_ours(const char *root);

/* For each active file of plugins.d an instance of audit-relay-plugin@, wanted by the client target, in the generator's output
 * `directory`. What is wrong with a file is said, and costs the others nothing. `remote`: ours sends the records, so
 * audisp-remote need not. */
void plugins_generate(const char *root, int directory, bool remote);
