/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "link/send-queue.h"

#include <sys/queue.h>

/* What stands for batches that were acked, when the dispatcher comes back without its ring: they were in its
 * custody. */
static const char custody[] = "dispatcher";

typedef struct Entry {
        Batch batch;
        TAILQ_ENTRY(Entry) entries;
        uint8_t payload[];
} Entry;

struct SendQueue {
        Source source;
        StreamId stream;
        TAILQ_HEAD(, Entry) entries;
        size_t size;
        uint64_t newest;
        uint64_t acked, acked_checksum;
        Entry *open; /* being filled */
        uint32_t open_size, open_count;
};

static SendQueue *queue_of(Source *source)
{
        return container_of(source, SendQueue, source);
}

static void queue_range(Source *source, SourceRange *ret)
{
        const SendQueue *queue = queue_of(source);

        *ret = (SourceRange) { .stream = queue->stream, .oldest = queue->acked + 1, .newest = queue->newest };
}

static void explain(const SendQueue *queue, uint64_t seq, Batch *ret)
{
        *ret = (Batch) {
                .first = seq,
                .last = queue->acked,
                .size = sizeof custody - 1,
                .origin = BATCH_ORIGIN_LOCAL,
                .reason = BATCH_CUSTODY,
                .payload = (const uint8_t *) custody,
        };
        batch_seal(ret);
}

/* The queue is short: a few dozen batches. */
static int queue_get(Source *source, uint64_t seq, Cursor *cursor, Batch *ret)
{
        const SendQueue *queue = queue_of(source);
        const Entry *entry;

        if (seq == queue->newest + 1)
                return 0;
        if (seq > 0 && seq <= queue->acked) {
                explain(queue, seq, ret);
                return 1;
        }
        TAILQ_FOREACH (entry, &queue->entries, entries)
                if (entry->batch.first == seq) {
                        *ret = entry->batch;
                        return 1;
                }
        return -ESTALE;
}

static int queue_ended(Source *source, uint64_t seq, uint64_t *ret_checksum)
{
        const SendQueue *queue = queue_of(source);
        const Entry *entry;

        if (seq < queue->acked || (seq == queue->acked && queue->acked_checksum == 0))
                return 0;
        if (seq == queue->acked) {
                *ret_checksum = queue->acked_checksum;
                return 1;
        }
        TAILQ_FOREACH (entry, &queue->entries, entries)
                if (entry->batch.last == seq) {
                        *ret_checksum = entry->batch.checksum;
                        return 1;
                }
        return -ESTALE;
}

static void queue_release(Source *source, uint64_t seq, uint64_t checksum)
{
        SendQueue *queue = queue_of(source);
        Entry *entry;

        if (seq <= queue->acked || seq > queue->newest)
                return;
        while ((entry = TAILQ_FIRST(&queue->entries)) && entry->batch.last <= seq) {
                queue->acked = entry->batch.last;
                queue->acked_checksum = entry->batch.checksum;
                queue->size -= entry->batch.size;
                TAILQ_REMOVE(&queue->entries, entry, entries);
                free(entry);
        }
}

Source *send_queue_source(SendQueue *queue)
{
        return &queue->source;
}

uint8_t *send_queue_room(SendQueue *queue)
{
        if (queue->open && BATCH_PAYLOAD_MAX - queue->open_size < RECORD_LINE_MAX)
                send_queue_seal(queue);
        if (!queue->open) {
                queue->open = malloc(sizeof(Entry) + BATCH_PAYLOAD_MAX);
                queue->open_size = queue->open_count = 0;
        }
        return queue->open ? queue->open->payload + queue->open_size : NULL;
}

void send_queue_commit(SendQueue *queue, size_t size)
{
        queue->open_size += (uint32_t) size;
        queue->open_count++;
}

void send_queue_seal(SendQueue *queue)
{
        Entry *entry = queue->open, *fitted;

        if (!entry || queue->open_count == 0)
                return;
        queue->open = NULL;
        fitted = realloc(entry, sizeof *entry + queue->open_size);
        entry = fitted ? fitted : entry;
        entry->batch = (Batch) {
                .first = queue->newest + 1,
                .last = queue->newest + queue->open_count,
                .count = queue->open_count,
                .size = queue->open_size,
                .origin = BATCH_ORIGIN_LOCAL,
                .payload = entry->payload,
        };
        batch_seal(&entry->batch);
        queue->newest = entry->batch.last;
        queue->size += entry->batch.size;
        TAILQ_INSERT_TAIL(&queue->entries, entry, entries);
}

size_t send_queue_size(const SendQueue *queue)
{
        return queue->size;
}

uint32_t send_queue_open(const SendQueue *queue)
{
        return queue->open ? queue->open_count : 0;
}

uint64_t send_queue_newest(const SendQueue *queue)
{
        return queue->newest;
}

uint64_t send_queue_acked(const SendQueue *queue)
{
        return queue->acked;
}

int send_queue_new(const StreamId *stream, SendQueue **ret)
{
        _cleanup_(send_queue_freep) SendQueue *queue = calloc(1, sizeof *queue);

        if (!queue)
                return -ENOMEM;
        TAILQ_INIT(&queue->entries);
        queue->source = (Source) {
                .range = queue_range,
                .get = queue_get,
                .ended = queue_ended,
                .release = queue_release,
        };
        queue->stream = *stream;
        *ret = TAKE_PTR(queue);
        return 0;
}

SendQueue *send_queue_free(SendQueue *queue)
{
        Entry *entry;

        if (!queue)
                return NULL;
        while ((entry = TAILQ_FIRST(&queue->entries))) {
                TAILQ_REMOVE(&queue->entries, entry, entries);
                free(entry);
        }
        free(queue->open);
        free(queue);
        return NULL;
}
