/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where stores are: by default, and those of nodes below a directory (Layout=by-node). */

#include "basic/macro.h"

/* The collector's, the sender's; NULL-terminated. */
extern const char *const store_directories_default[];

/* Calls found() for each folder in the directory that may be a node's store, in the order of their names, until it
 * fails. Returns the sum of what it returned, or its negative errno; 0 where there is no such directory. */
int store_directories_nodes(const char *directory, int (*found)(const char *path, void *userdata),
                            void *userdata) _must_check_;
