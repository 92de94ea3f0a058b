/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/* Prints the peers that an aggregator's status file tells of, as a table or as JSON. Returns 0 or -ENOMEM. */
int status_peers(const char *text, bool json) _must_check_;
