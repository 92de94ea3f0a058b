/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Packing the text of a closed segment: blocks of 1 MiB, each a zstd frame of its own, and a table behind them
 * in zstd's seekable format. So `zstdcat` reads it, and we read a part of it without the rest. The index stays:
 * its offsets and checksums are of the plain text.
 *
 * 1. The packed text is written under another name, inflated again and compared, synced, named, the name synced;
 *    only then does the plain text go. Where both are found, the plain one counts.
 * 2. Only a segment behind which there is a durable one is packed, the oldest first: nobody writes to it, and no
 *    start reads it.
 * 3. What fails leaves everything as it was.
 */

#include "store/store-internal.h"
#include "basic/bytes.h"

#include <fcntl.h>
#include <zstd.h>

#define LEVEL 3

typedef struct Packer {
        Disk *disk;
        uint64_t first;
        int from, to;
        uint64_t size, written;
        size_t block_max, packed_max; /* most segments have full blocks, those of tests have not */
        uint8_t *block, *packed, *again, *table;
        uint32_t n;
        ZSTD_CCtx *context;
} Packer;

static int pack_block(Packer *packer, uint64_t offset)
{
        size_t size = (size_t) MIN(packer->size - offset, (uint64_t) PACK_BLOCK), n;
        int r = segment_read(packer->disk, packer->from, packer->block, size, offset);

        if (r < 0)
                return r;
        n = ZSTD_compress2(packer->context, packer->packed, packer->packed_max, packer->block, size);
        if (ZSTD_isError(n))
                return -ENOMEM;
        if (ZSTD_decompress(packer->again, packer->block_max, packer->packed, n) != size ||
            memcmp(packer->again, packer->block, size) != 0)
                return -EBADMSG;
        r = segment_write(packer->disk, packer->to, packer->packed, n, packer->written);
        put_le32(packer->table + PACK_HEAD_SIZE + (size_t) packer->n * PACK_ENTRY_SIZE, (uint32_t) n);
        put_le32(packer->table + PACK_HEAD_SIZE + (size_t) packer->n * PACK_ENTRY_SIZE + 4, (uint32_t) size);
        packer->written += n;
        packer->n++;
        return r;
}

static int write_table(Packer *packer)
{
        uint8_t *footer = packer->table + PACK_HEAD_SIZE + (size_t) packer->n * PACK_ENTRY_SIZE;
        size_t size = PACK_HEAD_SIZE + (size_t) packer->n * PACK_ENTRY_SIZE + PACK_FOOTER_SIZE;

        put_le32(packer->table, PACK_MAGIC_TABLE);
        put_le32(packer->table + 4, (uint32_t) (size - PACK_HEAD_SIZE));
        put_le32(footer, packer->n);
        footer[4] = 0;
        put_le32(footer + 5, PACK_MAGIC_END);
        return segment_write(packer->disk, packer->to, packer->table, size, packer->written);
}

static int write_blocks(Packer *packer)
{
        uint64_t n = (packer->size + PACK_BLOCK - 1) / PACK_BLOCK;
        int r = 0;

        if (n == 0 || n > PACK_BLOCKS_MAX)
                return -EINVAL;
        packer->block_max = (size_t) MIN(packer->size, (uint64_t) PACK_BLOCK);
        packer->packed_max = ZSTD_compressBound(packer->block_max);
        packer->block = malloc(2 * packer->block_max + packer->packed_max + PACK_HEAD_SIZE + n * PACK_ENTRY_SIZE +
                               PACK_FOOTER_SIZE);
        packer->context = ZSTD_createCCtx();
        if (!packer->block || !packer->context)
                return -ENOMEM;
        packer->again = packer->block + packer->block_max;
        packer->packed = packer->again + packer->block_max;
        packer->table = packer->packed + packer->packed_max;
        /* Each frame with zstd's own checksum, for those who read it with zstd alone. */
        (void) ZSTD_CCtx_setParameter(packer->context, ZSTD_c_compressionLevel, LEVEL);
        (void) ZSTD_CCtx_setParameter(packer->context, ZSTD_c_checksumFlag, 1);
        for (uint64_t i = 0; i < n && r == 0; i++)
                r = pack_block(packer, i * PACK_BLOCK);
        return r < 0 ? r : write_table(packer);
}

static int write_packed(Packer *packer)
{
        char name[STORE_NAME_MAX];
        int r;

        segment_name(packer->first, ".log", name);
        packer->from = packer->disk->open(packer->disk, name, O_RDONLY);
        if (packer->from < 0)
                return packer->from;
        r = packer->disk->size(packer->disk, packer->from, &packer->size);
        if (r == 0)
                r = write_blocks(packer);
        packer->disk->close(packer->disk, packer->from);
        free(packer->block);
        ZSTD_freeCCtx(packer->context);
        return r;
}

/* A file of the segment made anew: written, synced, and named. */
static int make_file(Disk *disk, uint64_t first, const char *suffix, int (*write)(Packer *packer))
{
        Packer packer = { .disk = disk, .first = first };
        char name[STORE_NAME_MAX];
        int r;

        (void) disk->unlink(disk, STORE_PACK_NEW);
        packer.to = disk->open(disk, STORE_PACK_NEW, O_RDWR | O_CREAT | O_EXCL);
        if (packer.to < 0)
                return packer.to;
        r = write(&packer);
        if (r == 0)
                r = disk->sync(disk, packer.to);
        disk->close(disk, packer.to);
        segment_name(first, suffix, name);
        if (r == 0)
                r = disk->rename(disk, STORE_PACK_NEW, name);
        return r < 0 ? r : disk->sync_directory(disk);
}

int store_pack_run(const StorePack *pack)
{
        return make_file(pack->disk, pack->first, STORE_PACKED, write_packed);
}

bool store_pack_begin(Store *store, StorePack *ret)
{
        /* The last, and the one before it as long as that may be gone back to. */
        size_t keep = 1 + store->fresh;

        if (store->packing)
                return false;
        for (size_t i = store->n_victims; i + keep < store->n_segments; i++) {
                Segment *segment = &store->segments[i];

                if (segment->packed || segment->unpackable || segment->damaged)
                        continue;
                store->packing = true;
                *ret = (StorePack) { .disk = store->disk, .first = segment->first };
                return true;
        }
        return false;
}

static void remove_file(Store *store, uint64_t first, const char *suffix)
{
        char name[STORE_NAME_MAX];

        segment_name(first, suffix, name);
        (void) store->disk->unlink(store->disk, name);
        store->directory_dirty = true;
}

int store_pack_end(Store *store, const StorePack *pack, int error)
{
        Segment *segment = segment_find(store, pack->first);

        assert(store->packing);
        store->packing = false;
        /* It may have been deleted meanwhile, with all before it, or be deleted just now. */
        if (!segment || retention_is_going(store, segment)) {
                remove_file(store, pack->first, STORE_PACKED);
                return 0;
        }
        if (error < 0) {
                (void) store->disk->unlink(store->disk, STORE_PACK_NEW);
                remove_file(store, pack->first, STORE_PACKED);
                /* What cannot be read, or is no text, will not be packed the next time either. */
                segment->unpackable = error != -ENOMEM && !error_is_no_room(error);
                return error;
        }
        MARK("store.packed");
        custody_forget_files(store, pack->first);
        remove_file(store, pack->first, ".log");
        segment->packed = true;
        segment_set_bytes(store, segment, segment_file_size(store->disk, pack->first, STORE_PACKED) +
                                                  segment_file_size(store->disk, pack->first, ".idx"));
        store->links_due = true;
        return 0;
}

/* --- At start --- */

static int write_plain(Packer *packer)
{
        SegmentText text = SEGMENT_TEXT_NULL;
        uint64_t offset = 0, size;
        uint8_t *block;
        int r = segment_text_open(packer->disk, packer->first, &text);

        if (r < 0)
                return r;
        size = segment_text_packed_size(&text);
        block = malloc(PACK_BLOCK);
        r = block ? 0 : -ENOMEM;
        while (r == 0 && offset < size) {
                size_t n = (size_t) MIN(size - offset, (uint64_t) PACK_BLOCK);

                r = segment_text_read(packer->disk, &text, block, n, offset);
                if (r == 0)
                        r = segment_write(packer->disk, packer->to, block, n, offset);
                offset += n;
        }
        free(block);
        segment_text_close(packer->disk, &text);
        return r;
}

int pack_settle(Store *store, uint64_t first)
{
        uint64_t plain = segment_file_size(store->disk, first, ".log");
        Segment *segment = segment_find(store, first);
        int r;

        /* Whose plain text is there was not packed to the end. */
        if (plain > 0) {
                remove_file(store, first, STORE_PACKED);
                return 0;
        }
        if (!segment || segment->first != first)
                return 0;
        if (segment != &store->segments[store->n_segments - 1]) {
                /* Perhaps of no bytes. */
                remove_file(store, first, ".log");
                segment->packed = true;
                segment_set_bytes(store, segment, segment->bytes + segment_file_size(store->disk, first, STORE_PACKED));
                return 0;
        }
        /* Those behind it were taken away by hand: now it is the one to go on from. */
        MARK("store.unpacked");
        r = make_file(store->disk, first, ".log", write_plain);
        if (r == 0)
                remove_file(store, first, STORE_PACKED);
        return r;
}
