/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How often each client may ask. What it asks for beyond that is refused and counted; the counts are told in
 * records of their own, so that a flood of commands makes no flood of records. Pure: the clock is handed in
 * (monotonic usec).
 *
 * A client is a user, however many connections he makes, or a push subscriber by its name.
 */

#include "basic/batch.h"

/* A guard that finds a burst of attackers must be able to say so; nobody needs more for long. */
#define COMMAND_BURST 64U
#define COMMAND_INTERVAL_USEC (USEC_PER_SEC / 16)
/* Those who have asked lately. Whoever finds no place shares one with the others of his kind. */
#define COMMAND_CLIENTS_MAX 64U
/* Between two records of one client's surplus. */
#define COMMAND_TELL_USEC (10 * USEC_PER_SEC)

typedef struct CommandClient {
        char name[NODE_NAME_MAX + 1]; /* of a push subscriber; "": a user */
        int64_t uid;                  /* -1: none, or several */
        uint64_t due_usec;            /* when all that it asked for is paid */
        uint64_t untold;              /* refused since the last record of it */
        uint64_t told_usec;
} CommandClient;

typedef struct CommandBudget {
        CommandClient clients[COMMAND_CLIENTS_MAX];
        CommandClient others;
} CommandBudget;

/* The client's place, which stays valid until the next call. `name`: NULL, it is the user. */
CommandClient *command_budget_find(CommandBudget *budget, const char *name, int64_t uid, uint64_t now_usec);
/* Whether it may ask now; if not, it is counted. */
bool command_budget_spend(CommandClient *client, uint64_t now_usec);
/* The next whose surplus is to be told now; NULL: none. The caller sets untold to 0 once it is told. */
CommandClient *command_budget_untold(CommandBudget *budget, uint64_t now_usec);
