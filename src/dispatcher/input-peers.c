/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dispatcher/input-peers.h"
#include "runtime/inlet.h"
#include "runtime/log.h"

struct InputPeer {
        CommandPeer peer;
        IntakeSession *session;
        LIST_ENTRY(InputPeer) list;
};

static bool on_takes(const CommandPeer *peer)
{
        return link_receiver_commands(&container_of(peer, const InputPeer, peer)->session->receiver);
}

static int on_command(CommandPeer *peer, const LinkCommand *command)
{
        return intake_session_command(container_of(peer, InputPeer, peer)->session, command);
}

static int on_reply(CommandPeer *peer, const LinkReply *reply)
{
        return intake_session_reply(container_of(peer, InputPeer, peer)->session, reply);
}

static const Connection *on_connection(const CommandPeer *peer)
{
        const InputPeer *input_peer = container_of(peer, const InputPeer, peer);

        return inlet_session_connection(inlet_session_of(input_peer->session));
}

static const CommandPeerHandler handler = {
        .reply = on_reply,
        .connection = on_connection,
};

static const CommandPeerHandler aggregator_handler = {
        .takes = on_takes,
        .command = on_command,
        .reply = on_reply,
        .connection = on_connection,
};

static InputPeer *find(const InputPeers *peers, const IntakeSession *session)
{
        InputPeer *peer;

        LIST_FOREACH(peer, &peers->list, list)
                if (peer->session == session)
                        return peer;
        return NULL;
}

static InputPeer *add(InputPeers *peers, IntakeSession *session, bool aggregator)
{
        InputPeer *peer = calloc(1, sizeof *peer);

        if (!peer)
                return NULL;
        /* Its streams' owner: the user, and not what it calls itself. */
        peer->peer = (CommandPeer) {
                .handler = aggregator ? &aggregator_handler : &handler,
                .via = COMMAND_VIA_INPUT,
                .name = session->owner,
                .aggregator = aggregator,
        };
        peer->session = session;
        LIST_INSERT_HEAD(&peers->list, peer, list);
        commands_attach(peers->commands, &peer->peer);
        return peer;
}

void input_peers_aggregator(InputPeers *peers, IntakeSession *session)
{
        if (!add(peers, session, true))
                log_warning("Out of memory: the clients of an aggregator cannot be sent commands");
}

void input_peers_command(InputPeers *peers, IntakeSession *session, const LinkCommand *command)
{
        LinkReply failed = {
                .id = command->id,
                .status = LINK_REPLY_FAILED,
                .text = link_string("out of memory"),
        };
        InputPeer *peer = find(peers, session);

        if (!peer)
                peer = add(peers, session, false);
        if (peer)
                commands_take(peers->commands, &peer->peer, command);
        else if (intake_session_reply(session, &failed) < 0)
                log_debug("No room for a REPLY");
}

void input_peers_reply(InputPeers *peers, const IntakeSession *session, const LinkReply *reply)
{
        InputPeer *peer = find(peers, session);

        if (peer)
                commands_reply(peers->commands, &peer->peer, reply);
}

void input_peers_gone(InputPeers *peers, const IntakeSession *session)
{
        InputPeer *peer = find(peers, session);

        if (!peer)
                return;
        commands_detach(peers->commands, &peer->peer);
        LIST_REMOVE(peer, list);
        free(peer);
}
