/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dispatcher/command-budget.h"

/* Has nothing to pay, and nothing to be told. */
static bool is_idle(const CommandClient *client, uint64_t now_usec)
{
        return client->due_usec <= now_usec && client->untold == 0;
}

CommandClient *command_budget_find(CommandBudget *budget, const char *name, int64_t uid, uint64_t now_usec)
{
        CommandClient *idle = NULL;

        if (!name)
                name = "";
        for (size_t i = 0; i < COMMAND_CLIENTS_MAX; i++) {
                CommandClient *client = &budget->clients[i];

                if (is_idle(client, now_usec))
                        idle = client;
                else if (strcmp(client->name, name) == 0 && (name[0] != '\0' || client->uid == uid))
                        return client;
        }
        if (!idle) {
                budget->others.uid = -1;
                return &budget->others;
        }
        *idle = (CommandClient) { .uid = uid };
        memcpy(idle->name, name, MIN(strlen(name), (size_t) NODE_NAME_MAX));
        return idle;
}

bool command_budget_spend(CommandClient *client, uint64_t now_usec)
{
        uint64_t due = MAX(client->due_usec, now_usec) + COMMAND_INTERVAL_USEC;

        if (due > now_usec + COMMAND_BURST * COMMAND_INTERVAL_USEC) {
                client->untold++;
                return false;
        }
        client->due_usec = due;
        return true;
}

static bool is_to_be_told(const CommandClient *client, uint64_t now_usec)
{
        return client->untold > 0 &&
               (client->told_usec == 0 || now_usec - client->told_usec >= COMMAND_TELL_USEC);
}

CommandClient *command_budget_untold(CommandBudget *budget, uint64_t now_usec)
{
        for (size_t i = 0; i < COMMAND_CLIENTS_MAX; i++)
                if (is_to_be_told(&budget->clients[i], now_usec))
                        return &budget->clients[i];
        return is_to_be_told(&budget->others, now_usec) ? &budget->others : NULL;
}
