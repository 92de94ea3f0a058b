/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dispatcher/subscriber-peer.h"

static SubscriberPeer *of(CommandPeer *peer)
{
        return container_of(peer, SubscriberPeer, peer);
}

static bool on_takes(const CommandPeer *peer)
{
        return outlet_commands(container_of(peer, const SubscriberPeer, peer)->outlet);
}

static int on_command(CommandPeer *peer, const LinkCommand *command)
{
        return outlet_command(of(peer)->outlet, command);
}

static int on_reply(CommandPeer *peer, const LinkReply *reply)
{
        return outlet_reply(of(peer)->outlet, reply);
}

static void on_pause(CommandPeer *peer, uint64_t until_usec)
{
        if (until_usec > 0)
                feed_pause(of(peer)->feed, until_usec);
        else
                feed_resume(of(peer)->feed);
}

static const Connection *on_connection(const CommandPeer *peer)
{
        return outlet_connection(container_of(peer, const SubscriberPeer, peer)->outlet);
}

static const CommandPeerHandler handler = {
        .takes = on_takes,
        .command = on_command,
        .reply = on_reply,
        .pause = on_pause,
        .connection = on_connection,
};

void subscriber_peer_attach(SubscriberPeer *subscriber, Commands *commands, CommandVia via, const char *name,
                            char *const *verbs)
{
        subscriber->peer = (CommandPeer) { .handler = &handler, .via = via, .name = name, .verbs = verbs };
        subscriber->commands = commands;
        commands_attach(commands, &subscriber->peer);
}

void subscriber_peer_detach(SubscriberPeer *subscriber)
{
        if (subscriber->commands)
                commands_detach(TAKE_PTR(subscriber->commands), &subscriber->peer);
}

void subscriber_peer_command(SubscriberPeer *subscriber, const LinkCommand *command)
{
        if (subscriber->commands)
                commands_take(subscriber->commands, &subscriber->peer, command);
}

void subscriber_peer_reply(SubscriberPeer *subscriber, const LinkReply *reply)
{
        if (subscriber->commands)
                commands_reply(subscriber->commands, &subscriber->peer, reply);
}

void subscriber_peer_disconnected(SubscriberPeer *subscriber)
{
        if (subscriber->commands)
                commands_disconnected(subscriber->commands, &subscriber->peer);
}
