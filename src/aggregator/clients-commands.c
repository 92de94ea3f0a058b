/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which clients a command goes to: of each node the newest session that takes commands. Whether a node is known at all,
 * and not connected, is the roster's to say.
 */

#include "aggregator/clients.h"

static bool takes(const IntakeSession *session, const char *node)
{
        return (!node || strcmp(session->owner, node) == 0) && link_receiver_commands(&session->receiver);
}

static const char *why_not(const RosterRow *row)
{
        return row && row->sessions > 0 ? "it takes no commands" : row ? "not connected" : "no such client is known";
}

void clients_find(Clients *clients, ClientCommands *commands, const char *node)
{
        uint64_t search = ++clients->searches;
        InletSession *client = NULL;
        RosterRow *row;

        while ((client = inlet_session_next(clients->inlet, client))) {
                const IntakeSession *session = inlet_session_intake(client);

                if (!takes(session, node))
                        continue;
                row = roster_find(clients->roster, session->owner);
                if (!row || row->asked == search)
                        continue;
                row->asked = search;
                client_commands_add(commands, row->node, client, NULL);
        }
        if (node) {
                row = roster_find(clients->roster, node);
                if (!row || row->asked != search)
                        client_commands_add(commands, node, NULL, why_not(row));
                return;
        }
        for (row = NULL; (row = roster_next(clients->roster, row));)
                if (row->asked != search)
                        client_commands_add(commands, row->node, NULL, why_not(row));
}

int clients_send(void *client, const LinkCommand *command)
{
        return inlet_session_command(client, command);
}

const char *clients_name(const void *client)
{
        return inlet_session_intake(client)->owner;
}
