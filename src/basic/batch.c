/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/batch.h"
#include "basic/bytes.h"

#define XXH_STATIC_LINKING_ONLY /* the state of a hash lies on the stack */
#include <xxhash.h>
#if HAVE_XXHASH_DISPATCH
#include <xxh_x86dispatch.h>
#endif

_Static_assert(BATCH_PAYLOAD_MAX >= 2 * RECORD_LINE_MAX, "a batch holds the longest line");

enum {
        OFFSET_FIRST = 0,
        OFFSET_LAST = 8,
        OFFSET_COUNT = 16,
        OFFSET_SIZE = 20,
        OFFSET_ORIGIN = 24,
        OFFSET_REASON = 25,
        OFFSET_ZERO = 26,
        OFFSET_PAYLOAD_HASH = 32,
        OFFSET_CHECKSUM = 40,
};

void stream_id_format(const StreamId *id, char ret_text[static 33])
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < sizeof id->bytes; i++) {
                ret_text[2 * i] = digits[id->bytes[i] >> 4];
                ret_text[2 * i + 1] = digits[id->bytes[i] & 15];
        }
        ret_text[32] = '\0';
}

uint64_t checksum64(const void *data, size_t size)
{
        return XXH3_64bits(data, size);
}

/* Headers and index entries: faster joined than hashed in two steps. */
#define PAIR_JOINED_MAX 256U

uint64_t checksum64_pair(const void *a, size_t a_size, const void *b, size_t b_size)
{
        uint8_t joined[PAIR_JOINED_MAX];
        XXH3_state_t state;

        if (a_size + b_size <= sizeof joined) {
                memcpy(joined, a, a_size);
                memcpy(joined + a_size, b, b_size);
                return XXH3_64bits(joined, a_size + b_size);
        }
        (void) XXH3_64bits_reset(&state);
        (void) XXH3_64bits_update(&state, a, a_size);
        (void) XXH3_64bits_update(&state, b, b_size);
        return XXH3_64bits_digest(&state);
}

static void encode_fields(const Batch *batch, uint8_t *header)
{
        put_le64(header + OFFSET_FIRST, batch->first);
        put_le64(header + OFFSET_LAST, batch->last);
        put_le32(header + OFFSET_COUNT, batch->count);
        put_le32(header + OFFSET_SIZE, batch->size);
        header[OFFSET_ORIGIN] = (uint8_t) batch->origin;
        header[OFFSET_REASON] = (uint8_t) batch->reason;
        memset(header + OFFSET_ZERO, 0, OFFSET_PAYLOAD_HASH - OFFSET_ZERO);
        put_le64(header + OFFSET_PAYLOAD_HASH, batch->payload_hash);
}

static uint64_t header_checksum(const Batch *batch)
{
        uint8_t header[BATCH_HEADER_SIZE];

        encode_fields(batch, header);
        return checksum64(header, OFFSET_CHECKSUM);
}

void batch_seal(Batch *batch)
{
        batch->payload_hash = checksum64(batch->payload, batch->size);
        batch->checksum = header_checksum(batch);
}

void batch_renumber(Batch *batch, uint64_t first, uint64_t last)
{
        batch->first = first;
        batch->last = last;
        batch->checksum = header_checksum(batch);
}

void batch_encode(const Batch *batch, uint8_t ret_header[static BATCH_HEADER_SIZE])
{
        encode_fields(batch, ret_header);
        put_le64(ret_header + OFFSET_CHECKSUM, batch->checksum);
}

/* The rules that bind range, count, size and reason to each other. */
static bool fields_agree(const Batch *batch)
{
        uint64_t range = batch_range(batch);

        if (batch->first == 0 || batch->last == UINT64_MAX || batch->last + 1 < batch->first)
                return false;
        switch (batch->reason) {
        case BATCH_RECORDS:
                if (batch->count != range)
                        return false;
                break;
        case BATCH_FILTERED:
                if (range == 0 || batch->count > range)
                        return false;
                break;
        case BATCH_CUSTODY:
        case BATCH_LOST:
                return range > 0 && batch->count == 0 && batch->size <= BATCH_ARGUMENT_MAX;
        default:
                return false;
        }
        /* Every record is a line of at least its newline. */
        return batch->size <= BATCH_PAYLOAD_MAX && batch->count <= batch->size && (batch->size == 0 || batch->count > 0);
}

int batch_decode(const uint8_t header[static BATCH_HEADER_SIZE], Batch *ret_batch)
{
        static const uint8_t zero[OFFSET_PAYLOAD_HASH - OFFSET_ZERO];
        Batch batch = {
                .first = get_le64(header + OFFSET_FIRST),
                .last = get_le64(header + OFFSET_LAST),
                .count = get_le32(header + OFFSET_COUNT),
                .size = get_le32(header + OFFSET_SIZE),
                .origin = header[OFFSET_ORIGIN],
                .reason = header[OFFSET_REASON],
                .payload_hash = get_le64(header + OFFSET_PAYLOAD_HASH),
                .checksum = get_le64(header + OFFSET_CHECKSUM),
        };

        if (batch.checksum != checksum64(header, OFFSET_CHECKSUM))
                return -EBADMSG;
        if (memcmp(header + OFFSET_ZERO, zero, sizeof zero) != 0)
                return -EBADMSG;
        if (batch.origin < BATCH_ORIGIN_KERNEL || batch.origin >= _BATCH_ORIGIN_MAX || !fields_agree(&batch))
                return -EBADMSG;
        *ret_batch = batch;
        return 0;
}

bool batch_payload_intact(const Batch *batch)
{
        return batch->payload_hash == checksum64(batch->payload, batch->size);
}

bool batch_span_meets(const BatchSpan *span, uint64_t since_usec, uint64_t until_usec)
{
        if (!batch_span_is_known(span))
                return true;
        return span->oldest_usec <= until_usec && span->newest_usec >= since_usec;
}

void batch_span_add(BatchSpan *span, const BatchSpan *more)
{
        if (!batch_span_is_known(span) || !batch_span_is_known(more)) {
                *span = (BatchSpan) { 0 };
                return;
        }
        span->oldest_usec = MIN(span->oldest_usec, more->oldest_usec);
        span->newest_usec = MAX(span->newest_usec, more->newest_usec);
}
