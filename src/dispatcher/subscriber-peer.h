/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A subscriber, whichever side connected, as one that sends and takes commands. */

#include "dispatcher/commands.h"
#include "dispatcher/feed.h"
#include "runtime/outlet.h"

typedef struct SubscriberPeer {
        CommandPeer peer;
        Commands *commands; /* NULL: not attached */
        Outlet *outlet;
        Feed *feed;
} SubscriberPeer;

/* outlet and feed outlive the attachment. `verbs`: see CommandPeer. */
void subscriber_peer_attach(SubscriberPeer *subscriber, Commands *commands, CommandVia via, const char *name,
                            char *const *verbs);
/* Nothing when it is not attached; so for all below. */
void subscriber_peer_detach(SubscriberPeer *subscriber);

/* For the outlet's handler. */
void subscriber_peer_command(SubscriberPeer *subscriber, const LinkCommand *command);
void subscriber_peer_reply(SubscriberPeer *subscriber, const LinkReply *reply);
void subscriber_peer_disconnected(SubscriberPeer *subscriber);
