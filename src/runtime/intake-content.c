/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/intake-content.h"

/* Sealing again without reading the payload again: the header's fields have changed, the bytes have not. */
static void reseal(Batch *batch)
{
        batch_renumber(batch, batch->first, batch->last);
}

RecordFault content_judge(const ContentRules *rules, const StreamId *stream, const Batch *received,
                          uint64_t realtime_usec, uint64_t serial, uint8_t *scratch, Batch *ret_stored,
                          uint32_t *ret_refused)
{
        RecordTime time = record_time(realtime_usec, serial);
        RecordFault fault = RECORD_OK;
        uint32_t line;

        *ret_stored = *received;
        *ret_refused = 0;
        if (received->reason == BATCH_LOST) {
                char id[33];

                stream_id_format(stream, id);
                record_explain_lost(received, rules->lines.node, id, time, scratch, ret_stored);
        } else if (received->reason != BATCH_CUSTODY && received->count > 0) {
                fault = record_judge_batch(received, &rules->lines, &line, &ret_stored->span);
                if (fault != RECORD_OK) {
                        record_refuse(received, &rules->lines, time, scratch, ret_stored, ret_refused);
                } else if (received->reason == BATCH_FILTERED) {
                        /* What passed the filter is all there is from here on: records of our own seqs. */
                        ret_stored->reason = BATCH_RECORDS;
                        ret_stored->last = ret_stored->first + ret_stored->count - 1;
                        reseal(ret_stored);
                }
        }
        if (rules->origin != 0 && ret_stored->origin != rules->origin) {
                ret_stored->origin = rules->origin;
                reseal(ret_stored);
        }
        return fault;
}
