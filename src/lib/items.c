/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From batches to items, and what may be acked.
 *
 *  1. An item's cursor names the end of a batch before which nothing is left that the caller has not been
 * handed: neither lines of a batch that is half given out, nor records of events that are waiting.
 *  2. `acked` moves to what the caller acked; and, while it holds nothing that it has not acked, over what
 * made no item.
 */

#include "lib/relay.h"

#include <stdio.h>

#define ALIGNMENT 8U

bool items_waiting(const AuditRelay *relay)
{
        return buffer_size(&relay->queue) > 0 || relay->n_messages > 0 ||
               (relay->events && events_deadline(relay->events) == 0);
}

/* --- The queue --- */

static size_t queued_size(const QueuedBatch *queued)
{
        return sizeof *queued + ALIGN_UP((size_t) queued->batch.size, ALIGNMENT);
}

int items_queue(AuditRelay *relay, const QueuedBatch *batch, const uint8_t *payload)
{
        size_t size = queued_size(batch);
        uint8_t *space = buffer_reserve(&relay->queue, size);

        if (!space)
                return -ENOMEM;
        memcpy(space, batch, sizeof *batch);
        if (batch->batch.size > 0)
                memcpy(space + sizeof *batch, payload, batch->batch.size);
        buffer_extend(&relay->queue, size);
        return 0;
}

static const QueuedBatch *queue_front(const AuditRelay *relay)
{
        return buffer_size(&relay->queue) > 0
                       ? (const QueuedBatch *) (const void *) buffer_head(&relay->queue)
                       : NULL;
}

static const uint8_t *payload_of(const QueuedBatch *queued)
{
        return (const uint8_t *) (queued + 1);
}

/* All of the first batch is in items. Its bytes stay for as long as the item that points to them. */
static void finish_batch(AuditRelay *relay, bool given)
{
        const QueuedBatch *queued = queue_front(relay);

        relay->taken = queued->end;
        relay->offset = 0;
        if (given)
                relay->given_bytes = queued_size(queued);
        else
                buffer_consume(&relay->queue, queued_size(queued));
}

/* --- Records --- */

static RecordSlice text_behind(const uint8_t *line, size_t size, const RecordPrefix *prefix)
{
        const uint8_t *end = line + size, *p = prefix->type.data + prefix->type.size;

        while (end - p >= 2 && !(p[0] == ')' && p[1] == ':'))
                p++;
        p = MIN(p + 2, end);
        p += p < end && *p == ' ';
        return (RecordSlice) { p, (size_t) (end - p) };
}

/* `size` with the newline. */
static int read_record(const uint8_t *line, size_t size, AuditRelayRecord *ret)
{
        RecordPrefix prefix;
        RecordSlice text;

        if (record_parse(line, size, &prefix) != RECORD_OK)
                return -EBADMSG;
        text = text_behind(line, size - 1, &prefix);
        *ret = (AuditRelayRecord) {
                .line = (const char *) line,
                .line_size = size - 1,
                .node = (const char *) prefix.node.data,
                .node_size = prefix.node.size,
                .type = (const char *) prefix.type.data,
                .type_size = prefix.type.size,
                .text = (const char *) text.data,
                .text_size = text.size,
                .sec = prefix.time.sec,
                .msec = prefix.time.msec,
                .serial = prefix.time.serial,
                .type_number = type_number(prefix.type),
        };
        return 0;
}

static int allocate_records(AuditRelay *relay, size_t n)
{
        AuditRelayRecord *records;

        if (n <= relay->n_records_allocated)
                return 0;
        records = reallocarray(relay->records, n, sizeof *records);
        if (!records)
                return -ENOMEM;
        relay->records = records;
        relay->n_records_allocated = n;
        return 0;
}

/* The next line of the first batch. Returns its size, 0 when there is none. */
static size_t next_line(AuditRelay *relay, const uint8_t **ret_line)
{
        const QueuedBatch *queued = queue_front(relay);
        size_t size;

        *ret_line = payload_of(queued) + relay->offset;
        size = queued->batch.count > 0 ? record_next(*ret_line, queued->batch.size - relay->offset) : 0;
        if (size == SIZE_MAX)
                return 0;
        relay->offset += size;
        return size;
}

/* --- What kinds of items there are --- */

static void give(AuditRelay *relay, AuditRelayKind kind)
{
        AuditRelayCursor before;

        relay->item.kind = kind;
        relay->item.cursor = relay->events && events_before(relay->events, &before) ? before : relay->taken;
        relay->given = relay->item.cursor;
        relay->outstanding = true;
}

static int give_gap(AuditRelay *relay)
{
        const QueuedBatch *queued = queue_front(relay);
        const char *prefix = queued->batch.reason == BATCH_CUSTODY ? "custody=" : "";
        int size = (int) MIN(queued->batch.size, BATCH_ARGUMENT_MAX);

        (void) snprintf(relay->text, sizeof relay->text, "%s%.*s", prefix, size,
                        (const char *) payload_of(queued));
        relay->item = (AuditRelayItem) {
                .origin = (AuditRelayOrigin) queued->batch.origin,
                .first = queued->batch.first,
                .last = queued->batch.last,
                .text = relay->text,
        };
        if (queued->lost_unknown)
                relay->item.text = "another stream";
        finish_batch(relay, false);
        give(relay, AUDIT_RELAY_GAP);
        return 1;
}

static int give_batch(AuditRelay *relay)
{
        const QueuedBatch *queued = queue_front(relay);

        if (queued->batch.count == 0) {
                finish_batch(relay, false);
                return 0;
        }
        relay->item = (AuditRelayItem) {
                .origin = (AuditRelayOrigin) queued->batch.origin,
                .payload = (const char *) payload_of(queued),
                .payload_size = queued->batch.size,
                .n_records = queued->batch.count,
                .first = queued->batch.first,
                .last = queued->batch.last,
        };
        finish_batch(relay, true);
        give(relay, AUDIT_RELAY_BATCH);
        return 1;
}

/* A line that is no record ought not to be there; whoever sealed it holds it for one. It becomes no item, as
 * it is nothing that a plugin could understand. */
static int give_record(AuditRelay *relay)
{
        const QueuedBatch *queued = queue_front(relay);
        const uint8_t *line;
        size_t size;

        while ((size = next_line(relay, &line)) > 0) {
                if (read_record(line, size, relay->records) < 0)
                        continue;
                relay->item = (AuditRelayItem) {
                        .origin = (AuditRelayOrigin) queued->batch.origin,
                        .records = relay->records,
                        .n_records = 1,
                };
                if (relay->offset == queued->batch.size)
                        finish_batch(relay, true);
                give(relay, AUDIT_RELAY_RECORD);
                return 1;
        }
        finish_batch(relay, false);
        return 0;
}

/* All lines of a batch at once: what is ready is given out before the next batch. */
static int assemble(AuditRelay *relay, uint64_t now_usec)
{
        const QueuedBatch *queued = queue_front(relay);
        const uint8_t *line;
        size_t size;

        while ((size = next_line(relay, &line)) > 0) {
                int r = events_push(relay->events, queued->batch.origin, line, size, &relay->taken,
                                    now_usec);

                if (r == -ENOMEM) {
                        relay->offset -= size;
                        return r;
                }
        }
        finish_batch(relay, false);
        return 0;
}

/* Returns 1, 0 when none is ready, -ENOMEM. */
static int give_event(AuditRelay *relay, uint64_t now_usec)
{
        Event *event = events_pop(relay->events, now_usec);
        size_t offset = 0;

        if (!event)
                return 0;
        relay->event = event;
        if (allocate_records(relay, event->n_records) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < event->n_records; i++) {
                size_t size = record_next(event->lines + offset, event->size - offset);

                /* It was parsed when it came. */
                (void) read_record(event->lines + offset, size, &relay->records[i]);
                offset += size;
        }
        relay->item = (AuditRelayItem) {
                .origin = (AuditRelayOrigin) event->id.origin,
                .ended = event->ended,
                .records = relay->records,
                .n_records = event->n_records,
        };
        give(relay, AUDIT_RELAY_EVENT);
        return 1;
}

static int give_message(AuditRelay *relay)
{
        Message *message = TAILQ_FIRST(&relay->messages);

        TAILQ_REMOVE(&relay->messages, message, messages);
        relay->n_messages--;
        relay->message = message;
        relay->item = (AuditRelayItem) {
                .kind = message->kind,
                .status = (AuditRelayStatus) message->status,
                .cursor = relay->given,
                .id = message->id,
                .verb = message->verb,
                .text = message->text,
        };
        return 1;
}

/* One batch: an item of it, or into the events. */
static int take_batch(AuditRelay *relay, uint64_t now_usec)
{
        const QueuedBatch *queued = queue_front(relay);

        if (queued->lost_unknown || queued->batch.reason == BATCH_LOST ||
            queued->batch.reason == BATCH_CUSTODY)
                return give_gap(relay);
        switch (relay->unit) {
        case AUDIT_RELAY_BATCH:
                return give_batch(relay);
        case AUDIT_RELAY_RECORD:
                return give_record(relay);
        default:
                return assemble(relay, now_usec);
        }
}

int items_next(AuditRelay *relay, uint64_t now_usec)
{
        int r = 0;

        if (relay->n_messages > 0)
                return give_message(relay);
        do {
                if (relay->events)
                        r = give_event(relay, now_usec);
                if (r == 0 && queue_front(relay))
                        r = take_batch(relay, now_usec);
        } while (r == 0 && items_waiting(relay));
        return r;
}

/* --- What becomes of them --- */

void items_forget(AuditRelay *relay)
{
        relay->event = event_free(relay->event);
        relay->message = message_free(relay->message);
        buffer_consume(&relay->queue, relay->given_bytes);
        relay->given_bytes = 0;
}

void items_ack(AuditRelay *relay, const AuditRelayCursor *cursor)
{
        bool newest = cursor_same_stream(cursor, &relay->given) && cursor->seq >= relay->given.seq;

        if (newest)
                relay->outstanding = false;
        /* A cursor of a stream that is over comes too late, once the one that followed it is acked. */
        if (cursor_same_stream(cursor, &relay->acked) ? cursor->seq > relay->acked.seq : newest)
                relay->acked = *cursor;
}

void items_settle(AuditRelay *relay)
{
        AuditRelayCursor safe;

        if (relay->outstanding || buffer_size(&relay->queue) > 0)
                return;
        if (!relay->events || !events_before(relay->events, &safe))
                safe = relay->taken;
        items_ack(relay, &safe);
}
