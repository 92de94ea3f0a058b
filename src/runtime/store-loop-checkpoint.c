/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Checkpoints of the chain, from time to time, also when nothing came:
 *
 *      what is durable ─▶ signed ─▶ CHECKPOINT entry, with the next commit ─▶ durable ─▶ RECEIPT to those who delivered
 *
 * So nobody is told of a checkpoint that the store could lose; and what it speaks of was durable before it was signed.
 */

#include "runtime/store-loop-private.h"
#include "runtime/log.h"
#include "runtime/loop.h"

static bool has_records(const StoreHead *head)
{
        return head->last.kind != INDEX_CHECKPOINT || head->last.checkpoint.seq != head->seq;
}

bool store_loop_checkpoint(StoreLoop *loop)
{
        const StoreLoopOptions *options = &loop->options;
        uint64_t now = monotonic_usec();
        IndexEntry entry;
        StoreHead head;

        if (!options->handler->sign || loop->checkpoint_number != 0 || now < loop->checkpoint_due_usec ||
            !store_head(loop->store, &head))
                return false;
        /* A store that is only opened to be looked at, and closed again, needs none. */
        if (loop->checkpoint_idle_usec == 0)
                loop->checkpoint_idle_usec = now + options->checkpoint_usec;
        if (!has_records(&head) && now < loop->checkpoint_idle_usec)
                return false;
        /* Who cannot sign now is asked again at the next time, not each second. */
        loop->checkpoint_due_usec = loop->checkpoint_idle_usec = now + options->checkpoint_usec;
        if (options->handler->sign(loop, &head, realtime_usec(), &entry, loop->note, options->userdata) < 0 ||
            store_checkpoint(loop->store, &entry) < 0)
                return false;
        loop->checkpoint_number = entry.checkpoint.serial;
        intake_cover(loop->intake);
        return true;
}

void store_loop_checkpoint_end(StoreLoop *loop, int error)
{
        StoreHead head;

        if (loop->checkpoint_number == 0)
                return;
        if (error < 0) {
                /* The store has forgotten it: another one is made when it works again. */
                loop->checkpoint_number = loop->checkpoint_due_usec = 0;
                return;
        }
        (void) store_head(loop->store, &head);
        if (head.last.kind != INDEX_CHECKPOINT || head.last.checkpoint.serial != loop->checkpoint_number)
                return;
        loop->checkpoint_number = 0;
        loop->checkpoints++;
        intake_receipt(loop->intake, loop->note);
}
