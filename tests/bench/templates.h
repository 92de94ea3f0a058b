/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The lines of one cycle of records. */

#include "records.h"

/* Mean size of a line without node=, as measured on a host that logs every execve. */
#define TEMPLATES_MEAN 267U

int templates_make(Records *records, const char *node) _must_check_;
