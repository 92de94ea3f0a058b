/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Commands for clients. The dispatcher of this host, which has judged and recorded them, sends them with NODE=, the
 * name of one client or "all"; each goes on to the clients without that line, and what they answer goes back as one
 * REPLY that tells it of each. What a client obeys is its own configuration.
 *
 * No I/O, and the clock is handed in; clients are whatever pointers their owner knows them by.
 */

#include "link/frame.h"

typedef struct ClientCommands ClientCommands;

typedef struct ClientCommandsOptions {
        /* Calls client_commands_add() once for each client that is known, or for the one of that name. */
        void (*find)(ClientCommands *commands, const char *node, void *userdata); /* NULL: all */
        /* Returns a negative errno when it does not read. */
        int (*send)(void *client, const LinkCommand *command);
        const char *(*name)(const void *client);
        /* To the dispatcher. */
        void (*reply)(const LinkReply *reply, void *userdata);
        uint64_t (*monotonic_usec)(void);
        void *userdata;
} ClientCommandsOptions;

int client_commands_new(const ClientCommandsOptions *options, ClientCommands **ret) _must_check_;
ClientCommands *client_commands_free(ClientCommands *commands);
DEFINE_CLEANUP(ClientCommands *, client_commands_free)

/* From find(). `client`: NULL, it cannot be asked, with `why_not`, static. */
void client_commands_add(ClientCommands *commands, const char *node, void *client, const char *why_not);

void client_commands_take(ClientCommands *commands, const LinkCommand *command);
void client_commands_reply(ClientCommands *commands, const void *client, const LinkReply *reply);
/* The client's session is over. */
void client_commands_gone(ClientCommands *commands, const void *client);
/* The dispatcher's session is over: nobody waits for what is under way. */
void client_commands_abandon(ClientCommands *commands);
/* Once a second. */
void client_commands_tick(ClientCommands *commands);

typedef struct ClientCommandsCounters {
        uint64_t taken;  /* of the dispatcher */
        uint64_t sent;   /* to clients: one of these may be many of those */
        uint64_t silent; /* of them: without an answer */
} ClientCommandsCounters;

const ClientCommandsCounters *client_commands_counters(const ClientCommands *commands);
