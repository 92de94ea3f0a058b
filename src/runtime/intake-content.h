/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What of a received batch is to be stored: content never ends a session, or one poisonous record would
 * block its sender for ever. Pure.
 */

#include "record/record.h"

typedef struct ContentRules {
        RecordRules lines;
        BatchOrigin origin; /* 0: the batch's own */
} ContentRules;

/* Sets *ret_stored (sealed; its payload the received one or in `scratch`, which has BATCH_PAYLOAD_MAX
 * bytes):
 *
 *      records, filtered records     as they came; with lines that break a rule: those escaped, and counted
 *                                    in *ret_refused
 *      filtered without records, custody    as they came: they have no bytes, only a range
 *      lost                          one gap record
 *
 * Returns the first fault, or RECORD_OK. */
RecordFault content_judge(const ContentRules *rules, const StreamId *stream, const Batch *received,
                          uint64_t realtime_usec, uint64_t serial, uint8_t *scratch, Batch *ret_stored,
                          uint32_t *ret_refused);
