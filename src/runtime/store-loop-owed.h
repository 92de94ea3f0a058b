/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who may still hold records that he has not delivered: only when nobody does is an end clean, and a machine
 * that goes down behind it has lost nothing.
 *
 *  1. A stream is owed from its HELLO on, until its sender says BYE (ending or done) with all that it had
 *     offered in custody. A connection that breaks settles nothing.
 *  2. Who has not said HELLO yet may hold something, too: who was there when we began, whether or not he
 *     connects, and whoever connects. None is known by name: the next BYE ending settles it.
 *  3. More streams than are remembered here are owed for ever.
 */

#include "link/link-receiver.h"

/* One for each connection that remote takes at a time. */
#define STORE_OWED_MAX 16U

typedef struct StoreOwed {
        StreamId streams[STORE_OWED_MAX];
        size_t n;
        bool unknown, more;
} StoreOwed;

void store_owed_init(StoreOwed *owed);
/* Somebody has connected. */
void store_owed_connected(StoreOwed *owed);
void store_owed_note(StoreOwed *owed, const StreamId *stream);
/* The sender of that session said BYE. */
void store_owed_bye(StoreOwed *owed, const LinkReceiver *receiver, const LinkBye *bye);
bool store_owed_nothing(const StoreOwed *owed);
