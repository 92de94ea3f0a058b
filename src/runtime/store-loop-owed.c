/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/store-loop-owed.h"

void store_owed_init(StoreOwed *owed)
{
        *owed = (StoreOwed) { .unknown = true };
}

void store_owed_connected(StoreOwed *owed)
{
        owed->unknown = true;
}

static size_t find(const StoreOwed *owed, const StreamId *stream)
{
        size_t i = 0;

        while (i < owed->n && !stream_id_equal(&owed->streams[i], stream))
                i++;
        return i;
}

void store_owed_note(StoreOwed *owed, const StreamId *stream)
{
        if (find(owed, stream) < owed->n)
                return;
        if (owed->n == STORE_OWED_MAX)
                owed->more = true;
        else
                owed->streams[owed->n++] = *stream;
}

void store_owed_bye(StoreOwed *owed, const LinkReceiver *receiver, const LinkBye *bye)
{
        size_t i = find(owed, &receiver->stream);

        if ((bye->code != LINK_BYE_ENDING && bye->code != LINK_BYE_DONE) ||
            receiver->received != receiver->acked)
                return;
        if (i < owed->n)
                owed->streams[i] = owed->streams[--owed->n];
        if (bye->code == LINK_BYE_ENDING)
                owed->unknown = false;
}

bool store_owed_nothing(const StoreOwed *owed)
{
        return owed->n == 0 && !owed->unknown && !owed->more;
}
