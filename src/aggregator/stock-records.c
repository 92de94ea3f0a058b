/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "aggregator/stock-records.h"
#include "basic/bytes.h"

int stock_records_init(StockRecords *records)
{
        *records = (StockRecords) { .payload = malloc(BATCH_PAYLOAD_MAX) };
        return records->payload ? 0 : -ENOMEM;
}

void stock_records_done(StockRecords *records)
{
        free(records->payload);
        *records = (StockRecords) { 0 };
}

/* The node that the line names, if it may. Returns false when it names none. */
static bool named_node(const uint8_t *text, size_t size, char ret_node[static NODE_NAME_MAX + 1])
{
        RecordPrefix prefix;

        if (record_parse(text, size, &prefix) != RECORD_OK || prefix.node.size == 0 ||
            prefix.node.size > NODE_NAME_MAX)
                return false;
        memcpy(ret_node, prefix.node.data, prefix.node.size);
        ret_node[prefix.node.size] = '\0';
        return true;
}

static size_t refuse(StockRecords *records, const uint8_t *text, size_t size, RecordFault fault,
                     const char *node, uint64_t realtime_usec, uint8_t *out)
{
        RecordRules rules = { .node = node };

        if (records->refused_now++ == 0)
                records->fault = fault;
        return record_refuse_line(text, size, fault, &rules, record_time(realtime_usec, ++records->serial),
                                  out);
}

int stock_records_add(StockRecords *records, const uint8_t *text, size_t size, const char *node, bool any,
                      uint64_t realtime_usec)
{
        uint8_t *out = records->payload + records->size;
        char named[NODE_NAME_MAX + 1];
        RecordFault fault;
        size_t n;

        if (BATCH_PAYLOAD_MAX - records->size < RECORD_LINE_MAX)
                return -EAGAIN;
        fault = record_adopt(text, size, any && named_node(text, size, named) ? named : node, out, &n,
                             &records->replaced);
        if (fault != RECORD_OK)
                n = refuse(records, text, size, fault, node, realtime_usec, out);
        records->size += n;
        records->count++;
        return 0;
}

void stock_records_batch(const StockRecords *records, Batch *ret)
{
        *ret = (Batch) {
                .count = records->count,
                .size = (uint32_t) records->size,
                /* Stock clients send what an auditd read from its kernel. */
                .origin = BATCH_ORIGIN_KERNEL,
                .reason = BATCH_RECORDS,
                .payload = records->payload,
        };
}

void stock_records_end(StockRecords *records, bool stored)
{
        if (stored) {
                records->records += records->count;
                records->bytes += records->size;
                records->refused += records->refused_now;
        }
        records->size = 0;
        records->count = records->refused_now = 0;
}

void stock_records_stream(const StreamId *store, const char *client, bool authenticated, uint32_t turn, StreamId *ret)
{
        uint8_t key[sizeof store->bytes + 2 + sizeof turn] = { 0 };
        /* The first is as it always was. */
        size_t size = sizeof key - (turn == 0 ? sizeof turn : 0);

        memcpy(key, store->bytes, sizeof store->bytes);
        key[sizeof store->bytes] = authenticated;
        put_le32(key + sizeof store->bytes + 2, turn);
        for (size_t half = 0; half < 2; half++) {
                key[sizeof store->bytes + 1] = (uint8_t) half;
                put_le64(ret->bytes + 8 * half, checksum64_pair(key, size, client, strlen(client)));
        }
}
