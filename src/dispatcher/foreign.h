/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Records of other hosts, as the aggregator of this one publishes them: those of this host that have come back are left
 * out. Pure. */

#include "basic/batch.h"

typedef struct Foreign {
        uint64_t came_back; /* left out */
        uint8_t payload[BATCH_PAYLOAD_MAX];
} Foreign;

/* Keeps the lines that are not `node`'s. A batch without any of those stays as it is; another one becomes a filtered one of the
 * same range, with its bytes in foreign->payload. */
void foreign_keep(Foreign *foreign, const char *node, Batch *batch);
