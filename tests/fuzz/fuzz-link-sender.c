/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A sender with sixteen batches of four records and a peer that answers anything. The first byte: bit 0
 * features, bit 1 who speaks first, the rest how large the pieces are. Whatever comes: nothing is released
 * that was not sent, or that the peer could not have; nothing goes out beyond the credit but one batch.
 */

#include "fuzz.h"
#include "link/link-sender.h"

enum { BATCHES = 16, RECORDS = 4, LAST = BATCHES * RECORDS };

typedef struct Counted {
        Source source;
        LinkSender *sender;
        uint64_t released;
} Counted;

static Batch batch_at(uint64_t first)
{
        Batch batch = { .first = first, .last = first + RECORDS - 1, .count = RECORDS, .size = 2 * RECORDS,
                        .origin = BATCH_ORIGIN_KERNEL, .payload = (const uint8_t *) "a\nb\nc\nd\n" };

        batch_seal(&batch);
        return batch;
}

static void range(Source *source, SourceRange *ret)
{
        *ret = (SourceRange) { .stream = { { 1, 2, 3, 4 } }, .oldest = 1, .newest = LAST };
}

static int get(Source *source, uint64_t seq, Cursor *cursor, Batch *ret)
{
        if (seq > LAST)
                return seq == LAST + 1 ? 0 : -ESTALE;
        *ret = batch_at(seq);
        return seq % RECORDS == 1 ? 1 : -ESTALE;
}

static int ended(Source *source, uint64_t seq, uint64_t *ret_checksum)
{
        if (seq > LAST || seq % RECORDS != 0)
                return -ESTALE;
        *ret_checksum = seq > 0 ? batch_at(seq - RECORDS + 1).checksum : 0;
        return seq > 0;
}

static void release(Source *source, uint64_t seq, uint64_t checksum)
{
        Counted *counted = container_of(source, Counted, source);

        /* One session: nothing goes back. WELCOME may say that it has nothing. */
        CHECK(seq <= counted->sender->sent && seq >= counted->released && seq % RECORDS == 0);
        CHECK(checksum == (seq > 0 ? batch_at(seq - RECORDS + 1).checksum : 0));
        counted->released = seq;
}

static const LinkSenderHandler handler;

static void run(LinkSender *sender, Buffer *input, size_t piece)
{
        Buffer output = BUFFER_INIT(4 * LINK_FRAME_MAX);

        for (size_t offered = 0, before = SIZE_MAX; buffer_size(input) > 0 && offered != before;) {
                uint64_t now_usec = 300000 * buffer_size(input);
                ssize_t n;

                before = offered;
                offered = MIN(offered + piece, buffer_size(input));
                n = link_sender_feed(sender, buffer_head(input), offered, &output, now_usec);
                if (n < 0) {
                        CHECK(sender->state == LINK_SENDER_ENDED && sender->why);
                        break;
                }
                CHECK((size_t) n <= offered);
                buffer_consume(input, (size_t) n);
                offered -= (size_t) n;
                before = n > 0 ? SIZE_MAX : before;
                CHECK(link_sender_fill(sender, &output, now_usec) == 0);
                CHECK(sender->acked <= sender->sent && sender->sent <= LAST);
                CHECK(sender->bytes_sent < sender->credit + LINK_FRAME_MAX ||
                      sender->credit > UINT64_MAX - LINK_FRAME_MAX);
                buffer_consume(&output, buffer_size(&output));
        }
        buffer_done(&output);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Counted counted = { .source = { range, get, ended, release } };
        Buffer output = BUFFER_INIT(LINK_FRAME_MAX), input = BUFFER_INIT(4U << 20);
        LinkSender sender;

        if (size < 1)
                return 0;
        counted.sender = &sender;
        link_sender_init(&sender, &counted.source, &handler, "web1",
                         data[0] & 1 ? LINK_FEATURE_ZSTD | LINK_FEATURE_COMMANDS : 0);
        if (data[0] & 2)
                link_sender_accept(&sender);
        else
                CHECK(link_sender_start(&sender, &output, 0) == 0);
        CHECK(buffer_append(&input, data + 1, size - 1) == 0);
        fuzz_mend_stream(buffer_head(&input), buffer_size(&input));
        run(&sender, &input, 1 + (size_t) (data[0] >> 2) * 8);
        link_sender_done(&sender);
        buffer_done(&input);
        buffer_done(&output);
        return 0;
}
