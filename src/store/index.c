/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The codec of index entries. Every entry stands alone: magic, number and checksum say whether it is one
 * and the right one, so a damaged entry hides no other. Bytes behind the fields known here are zero and not
 * looked at, so that fields can be added at the end of a body.
 */

#include "store/index.h"
#include "basic/bytes.h"

_Static_assert(INDEX_ENTRY_SIZE % 256 == 0, "entries never straddle a sector more than they must");

enum {
        OFFSET_MAGIC = 0,
        OFFSET_KIND = 4,
        OFFSET_CHECKSUM = 8,
        OFFSET_NUMBER = 16,
        OFFSET_FLAGS = 20,
        OFFSET_BODY = 24,
        OFFSET_CHAIN = 224,
};

static void put_name(uint8_t *p, const char *name)
{
        size_t size = strnlen(name, NODE_NAME_MAX);

        p[0] = (uint8_t) size;
        memcpy(p + 1, name, size);
}

static int get_name(const uint8_t *p, char *ret)
{
        size_t size = p[0];

        if (size > NODE_NAME_MAX || memchr(p + 1, '\0', size))
                return -EBADMSG;
        memcpy(ret, p + 1, size);
        ret[size] = '\0';
        return 0;
}

static void put_id(uint8_t *p, const StreamId *id)
{
        memcpy(p, id->bytes, sizeof id->bytes);
}

static StreamId get_id(const uint8_t *p)
{
        StreamId id;

        memcpy(id.bytes, p, sizeof id.bytes);
        return id;
}

/* Of the whole entry but the checksum itself. */
static uint64_t entry_checksum(const uint8_t *bytes)
{
        return checksum64_pair(bytes, OFFSET_CHECKSUM, bytes + OFFSET_NUMBER,
                               INDEX_ENTRY_SIZE - OFFSET_NUMBER);
}

static void encode_batch(const IndexEntry *entry, uint8_t *p)
{
        batch_encode(&entry->batch.stored, p + 24);
        put_id(p + 72, &entry->batch.stream);
        put_le64(p + 88, entry->batch.received_first);
        put_le64(p + 96, entry->batch.received_last);
        put_le64(p + 104, entry->batch.received_checksum);
        put_le64(p + 112, entry->batch.offset);
        put_le64(p + 120, entry->batch.received_usec);
        p[128] = (uint8_t) entry->batch.received_reason;
        memcpy(p + 136, entry->batch.sha256, SHA256_SIZE);
        put_le64(p + 168, entry->batch.stored.span.oldest_usec);
        put_le64(p + 176, entry->batch.stored.span.newest_usec);
        put_le64(p + 184, entry->batch.stored.span.node);
}

static void encode_segment(const IndexEntry *entry, uint8_t *p)
{
        put_le64(p + 24, entry->segment.version);
        put_id(p + 32, &entry->segment.stream);
        put_le64(p + 48, entry->segment.first);
        put_le64(p + 56, entry->segment.created_usec);
        put_le64(p + 64, entry->segment.previous);
        put_le32(p + 72, entry->segment.rows);
        memcpy(p + 80, entry->segment.head, SHA256_SIZE);
        put_le64(p + 112, entry->segment.last_usec);
        put_le64(p + 120, entry->segment.before.oldest_usec);
        put_le64(p + 128, entry->segment.before.newest_usec);
}

static void encode_checkpoint(const IndexEntry *entry, uint8_t *p)
{
        put_le64(p + 24, entry->checkpoint.seq);
        put_le64(p + 32, entry->checkpoint.time_usec);
        put_le64(p + 40, entry->checkpoint.serial);
        memcpy(p + 48, entry->checkpoint.previous, SHA256_SIZE);
        put_le64(p + 80, entry->checkpoint.key_id);
        memcpy(p + 88, entry->checkpoint.signature, SIGNATURE_SIZE);
        memcpy(p + 152, entry->checkpoint.head, SHA256_SIZE);
        put_id(p + 184, &entry->checkpoint.stream);
}

static void encode_body(const IndexEntry *entry, uint8_t *p)
{
        switch (entry->kind) {
        case INDEX_SEGMENT:
                encode_segment(entry, p);
                break;
        case INDEX_STREAM:
                put_id(p + 24, &entry->stream.stream);
                put_le64(p + 40, entry->stream.last);
                put_le64(p + 48, entry->stream.checksum);
                put_le64(p + 56, entry->stream.seen_usec);
                put_name(p + 64, entry->stream.owner);
                break;
        case INDEX_BATCH:
                encode_batch(entry, p);
                break;
        case INDEX_COMMIT:
                put_le64(p + 24, entry->commit.segment);
                put_le64(p + 32, entry->commit.text_size);
                put_le64(p + 40, entry->commit.index_size);
                put_le64(p + 48, entry->commit.last);
                put_le64(p + 56, entry->commit.time_usec);
                break;
        case INDEX_CUSTODY:
                put_le64(p + 24, entry->custody.seq);
                put_le64(p + 32, entry->custody.checksum);
                put_le64(p + 40, entry->custody.time_usec);
                put_name(p + 64, entry->custody.collector);
                put_le64(p + 192, entry->custody.from);
                put_le64(p + 200, entry->custody.doubted);
                break;
        case INDEX_DELETED:
                put_le64(p + 24, entry->deleted.first);
                put_le64(p + 32, entry->deleted.last);
                put_le64(p + 40, entry->deleted.time_usec);
                put_le64(p + 48, entry->deleted.bytes);
                p[56] = entry->deleted.reason;
                memcpy(p + 64, entry->deleted.head, SHA256_SIZE);
                break;
        case INDEX_STREAM_END:
                put_id(p + 24, &entry->stream_end.stream);
                put_le64(p + 40, entry->stream_end.last);
                put_le64(p + 48, entry->stream_end.time_usec);
                p[56] = entry->stream_end.reason;
                break;
        case INDEX_DAMAGED:
                put_le64(p + 24, entry->damaged.first);
                put_le64(p + 32, entry->damaged.last);
                put_le64(p + 40, entry->damaged.time_usec);
                put_le64(p + 48, entry->damaged.segment);
                break;
        case INDEX_CHECKPOINT:
                encode_checkpoint(entry, p);
                break;
        case INDEX_RESTART:
                put_id(p + 24, &entry->restart.stream);
                put_id(p + 40, &entry->restart.old);
                put_le64(p + 56, entry->restart.last);
                put_le64(p + 64, entry->restart.released);
                put_le64(p + 72, entry->restart.time_usec);
                break;
        default:
                assert(false);
        }
}

void index_chain(const uint8_t bytes[static INDEX_ENTRY_SIZE], StoreHash hash, uint8_t chain[static SHA256_SIZE])
{
        uint8_t chained[SHA256_SIZE + OFFSET_CHECKSUM + OFFSET_CHAIN - OFFSET_NUMBER];

        memcpy(chained, chain, SHA256_SIZE);
        memcpy(chained + SHA256_SIZE, bytes, OFFSET_CHECKSUM);
        memcpy(chained + SHA256_SIZE + OFFSET_CHECKSUM, bytes + OFFSET_NUMBER, OFFSET_CHAIN - OFFSET_NUMBER);
        hash(chained, sizeof chained, chain);
}

void index_encode(const IndexEntry *entry, StoreHash hash, uint8_t chain[static SHA256_SIZE],
                  uint8_t ret_bytes[static INDEX_ENTRY_SIZE])
{
        memset(ret_bytes, 0, INDEX_ENTRY_SIZE);
        put_le32(ret_bytes + OFFSET_MAGIC, INDEX_MAGIC);
        put_le16(ret_bytes + OFFSET_KIND, (uint16_t) entry->kind);
        put_le32(ret_bytes + OFFSET_NUMBER, entry->number);
        put_le32(ret_bytes + OFFSET_FLAGS, entry->flags);
        encode_body(entry, ret_bytes);
        if (hash) {
                index_chain(ret_bytes, hash, chain);
                memcpy(ret_bytes + OFFSET_CHAIN, chain, SHA256_SIZE);
        }
        put_le64(ret_bytes + OFFSET_CHECKSUM, entry_checksum(ret_bytes));
}

static int decode_batch(const uint8_t *p, IndexEntry *entry)
{
        entry->batch.stream = get_id(p + 72);
        entry->batch.received_first = get_le64(p + 88);
        entry->batch.received_last = get_le64(p + 96);
        entry->batch.received_checksum = get_le64(p + 104);
        entry->batch.offset = get_le64(p + 112);
        entry->batch.received_usec = get_le64(p + 120);
        entry->batch.received_reason = p[128];
        memcpy(entry->batch.sha256, p + 136, SHA256_SIZE);
        if (entry->batch.received_reason >= _BATCH_REASON_MAX ||
            batch_decode(p + 24, &entry->batch.stored) < 0 || entry->batch.stored.reason != BATCH_RECORDS)
                return -EBADMSG;
        entry->batch.stored.span.oldest_usec = get_le64(p + 168);
        entry->batch.stored.span.newest_usec = get_le64(p + 176);
        entry->batch.stored.span.node = get_le64(p + 184);
        return 0;
}

static void decode_segment(const uint8_t *p, IndexEntry *entry)
{
        entry->segment.version = get_le64(p + 24);
        entry->segment.stream = get_id(p + 32);
        entry->segment.first = get_le64(p + 48);
        entry->segment.created_usec = get_le64(p + 56);
        entry->segment.previous = get_le64(p + 64);
        entry->segment.rows = get_le32(p + 72);
        memcpy(entry->segment.head, p + 80, SHA256_SIZE);
        entry->segment.last_usec = get_le64(p + 112);
        entry->segment.before.oldest_usec = get_le64(p + 120);
        entry->segment.before.newest_usec = get_le64(p + 128);
}

static void decode_checkpoint(const uint8_t *p, IndexEntry *entry)
{
        entry->checkpoint.seq = get_le64(p + 24);
        entry->checkpoint.time_usec = get_le64(p + 32);
        entry->checkpoint.serial = get_le64(p + 40);
        memcpy(entry->checkpoint.previous, p + 48, SHA256_SIZE);
        entry->checkpoint.key_id = get_le64(p + 80);
        memcpy(entry->checkpoint.signature, p + 88, SIGNATURE_SIZE);
        memcpy(entry->checkpoint.head, p + 152, SHA256_SIZE);
        entry->checkpoint.stream = get_id(p + 184);
}

static int decode_body(const uint8_t *p, IndexEntry *entry)
{
        switch (entry->kind) {
        case INDEX_SEGMENT:
                decode_segment(p, entry);
                return 0;
        case INDEX_STREAM:
                entry->stream.stream = get_id(p + 24);
                entry->stream.last = get_le64(p + 40);
                entry->stream.checksum = get_le64(p + 48);
                entry->stream.seen_usec = get_le64(p + 56);
                return get_name(p + 64, entry->stream.owner);
        case INDEX_BATCH:
                return decode_batch(p, entry);
        case INDEX_COMMIT:
                entry->commit.segment = get_le64(p + 24);
                entry->commit.text_size = get_le64(p + 32);
                entry->commit.index_size = get_le64(p + 40);
                entry->commit.last = get_le64(p + 48);
                entry->commit.time_usec = get_le64(p + 56);
                return 0;
        case INDEX_CUSTODY:
                entry->custody.seq = get_le64(p + 24);
                entry->custody.checksum = get_le64(p + 32);
                entry->custody.time_usec = get_le64(p + 40);
                entry->custody.from = get_le64(p + 192);
                entry->custody.doubted = get_le64(p + 200);
                return get_name(p + 64, entry->custody.collector);
        case INDEX_DELETED:
                entry->deleted.first = get_le64(p + 24);
                entry->deleted.last = get_le64(p + 32);
                entry->deleted.time_usec = get_le64(p + 40);
                entry->deleted.bytes = get_le64(p + 48);
                entry->deleted.reason = p[56];
                memcpy(entry->deleted.head, p + 64, SHA256_SIZE);
                return 0;
        case INDEX_STREAM_END:
                entry->stream_end.stream = get_id(p + 24);
                entry->stream_end.last = get_le64(p + 40);
                entry->stream_end.time_usec = get_le64(p + 48);
                entry->stream_end.reason = p[56];
                return 0;
        case INDEX_DAMAGED:
                entry->damaged.first = get_le64(p + 24);
                entry->damaged.last = get_le64(p + 32);
                entry->damaged.time_usec = get_le64(p + 40);
                entry->damaged.segment = get_le64(p + 48);
                return 0;
        case INDEX_CHECKPOINT:
                decode_checkpoint(p, entry);
                return 0;
        case INDEX_RESTART:
                entry->restart.stream = get_id(p + 24);
                entry->restart.old = get_id(p + 40);
                entry->restart.last = get_le64(p + 56);
                entry->restart.released = get_le64(p + 64);
                entry->restart.time_usec = get_le64(p + 72);
                return 0;
        default:
                return -EBADMSG;
        }
}

int index_decode(const uint8_t bytes[static INDEX_ENTRY_SIZE], uint32_t number, IndexEntry *ret_entry)
{
        IndexEntry entry = {
                .kind = get_le16(bytes + OFFSET_KIND),
                .number = get_le32(bytes + OFFSET_NUMBER),
                .flags = get_le32(bytes + OFFSET_FLAGS),
        };
        int r;

        if (get_le32(bytes + OFFSET_MAGIC) != INDEX_MAGIC || entry.number != number ||
            get_le64(bytes + OFFSET_CHECKSUM) != entry_checksum(bytes))
                return -EBADMSG;
        memcpy(entry.chain, bytes + OFFSET_CHAIN, SHA256_SIZE);
        r = decode_body(bytes, &entry);
        if (r < 0)
                return r;
        *ret_entry = entry;
        return 0;
}
