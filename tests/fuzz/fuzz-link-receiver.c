/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A receiver and a peer that sends anything. The first byte: its bits 0..2 choose features and whether the
 * owner blocks now and then, the rest how large the pieces are. Whatever comes: batches reach the owner in
 * order, each seq once, intact; an error leaves a BYE.
 */

#include "fuzz.h"
#include "link/link-receiver.h"

typedef struct Owner {
        LinkReceiver receiver;
        Buffer *output;
        uint64_t last;
        unsigned n_batches;
        bool blocks;
} Owner;

static void on_hello(LinkReceiver *receiver, const LinkHello *hello)
{
        Owner *owner = container_of(receiver, Owner, receiver);

        CHECK(receiver->state == LINK_RECEIVER_GREETED);
        CHECK(hello->node.size > 0 && hello->node.size <= NODE_NAME_MAX);
        if (hello->newest % 7 == 6)
                CHECK(link_receiver_end(receiver, owner->output, LINK_BYE_NODE, 0, "not you") == 0);
        else
                CHECK(link_receiver_welcome(receiver, owner->output, 0, 0, "log1", "") == 0);
}

static int on_batch(LinkReceiver *receiver, const Batch *batch)
{
        Owner *owner = container_of(receiver, Owner, receiver);

        CHECK(batch->first == owner->last + 1);
        CHECK(batch->last + 1 >= batch->first);
        CHECK(batch_payload_intact(batch));
        if (owner->blocks && owner->n_batches++ % 2 == 0)
                return -EAGAIN;
        owner->last = batch->last;
        return link_receiver_ack(receiver, owner->output, batch->last, receiver->bytes_received);
}

static const LinkReceiverHandler handler = { .hello = on_hello, .batch = on_batch };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Owner owner = { 0 };
        Buffer output = BUFFER_INIT(8 * LINK_FRAME_MAX), input = BUFFER_INIT(4U << 20);
        size_t piece;

        if (size < 1)
                return 0;
        owner.output = &output;
        owner.blocks = data[0] & 1;
        piece = 1 + (size_t) (data[0] >> 3) * 16;
        link_receiver_init(&owner.receiver, &handler, 100000,
                           (data[0] & 2 ? LINK_FEATURE_ZSTD : 0) |
                                   (data[0] & 4 ? LINK_FEATURE_COMMANDS : 0));
        CHECK(buffer_append(&input, data + 1, size - 1) == 0);
        fuzz_mend_stream(buffer_head(&input), buffer_size(&input));
        for (size_t offered = 0, stuck = 0; buffer_size(&input) > 0 && stuck < 3;) {
                ssize_t n;

                offered = MIN(offered + piece, buffer_size(&input));
                n = link_receiver_feed(&owner.receiver, buffer_head(&input), offered, &output);
                if (n < 0) {
                        CHECK(owner.receiver.state == LINK_RECEIVER_ENDED || n == -ENOBUFS);
                        break;
                }
                CHECK((size_t) n <= offered);
                stuck = n == 0 && offered == buffer_size(&input) ? stuck + 1 : 0;
                buffer_consume(&input, (size_t) n);
                offered -= (size_t) n;
                CHECK(owner.receiver.received == owner.last);
                CHECK(owner.receiver.acked == owner.last);
        }
        link_receiver_done(&owner.receiver);
        buffer_done(&input);
        buffer_done(&output);
        return 0;
}
