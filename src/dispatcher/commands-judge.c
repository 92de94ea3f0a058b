/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* May it be asked for, and can it be done? */

#include "dispatcher/commands-private.h"

#include <inttypes.h>
#include <stdio.h>

/* Of the state's conditions looked through: those of commands, and the dispatcher's own. */
#define CONDITIONS_MAX (COMMANDS_CONDITIONS_MAX + 32U)

void judgement_set(Judgement *j, LinkReplyStatus status, const char *why)
{
        j->status = status;
        (void) snprintf(j->why, sizeof j->why, "%s", why);
}

/* --- Grants --- */

static bool is_granted(const Commands *commands, const Judgement *j)
{
        const Connection *connection = j->peer->handler->connection(j->peer);
        _cleanup_(freep) gid_t *groups = NULL;
        CommandWish wish = { j->frame->verb, j->command.node.size > 0 };
        CommandIdentity who = { 0 };
        pid_t pid;

        if (j->peer->via == COMMAND_VIA_PUSH)
                return command_verbs_allow(j->peer->verbs, &wish);
        connection_credentials(connection, &pid, &who.uid, &who.gid);
        /* Without them, the primary group alone can be granted anything. */
        if (connection_groups(connection, &groups, &who.n_groups) < 0)
                who.n_groups = 0;
        who.groups = groups;
        return command_policy_allows(&commands->policy, &who, &wish);
}

static void refuse(Judgement *j)
{
        j->status = LINK_REPLY_REFUSED;
        if (j->peer->via == COMMAND_VIA_PUSH)
                (void) snprintf(j->why, sizeof j->why, "Commands= of the subscriber %s does not grant it",
                                j->peer->name);
        else
                (void) snprintf(j->why, sizeof j->why, "no Commands= in dispatcher.conf grants it to uid %u",
                                (unsigned) j->uid);
}

/* --- Means --- */

static size_t count_conditions(const Commands *commands)
{
        const char *names[CONDITIONS_MAX];
        size_t all = state_list(commands->options.state, names, CONDITIONS_MAX), n = 0;

        for (size_t i = 0; i < MIN(all, (size_t) CONDITIONS_MAX); i++)
                n += strncmp(names[i], COMMAND_CONDITION_PREFIX, strlen(COMMAND_CONDITION_PREFIX)) == 0;
        return n;
}

/* By name, one that we connect to first; without a name the sender. */
static CommandPeer *find_subscriber(const Commands *commands, CommandPeer *sender, LinkString name)
{
        CommandPeer *peer, *found = NULL;

        if (name.size == 0)
                return sender->handler->pause ? sender : NULL;
        LIST_FOREACH(peer, &commands->peers, peers)
                if (peer->handler->pause && strlen(peer->name) == name.size &&
                    memcmp(peer->name, name.data, name.size) == 0 &&
                    (!found || peer->via == COMMAND_VIA_PUSH))
                        found = peer;
        return found;
}

/* What is for other nodes goes to the aggregators, what is for this host to everybody else. */
static bool takes(const CommandPeer *peer, const Judgement *j)
{
        return peer != j->peer && peer->aggregator == (j->command.node.size > 0) && peer->handler->takes &&
               peer->handler->takes(peer);
}

/* All that take commands but the sender. */
static void find_receivers(const Commands *commands, Judgement *j)
{
        CommandPeer *peer;
        size_t n = 0;

        LIST_FOREACH(peer, &commands->peers, peers)
                n += takes(peer, j);
        if (n == 0) {
                judgement_set(j, LINK_REPLY_FAILED, j->command.node.size > 0 ? "no aggregator of this host passes commands on"
                                                                        : "no subscriber takes commands");
                return;
        }
        if (!gathering_has_room(commands->gathering, judgement_client(j))) {
                judgement_set(j, LINK_REPLY_FAILED, "too many commands are under way");
                return;
        }
        j->receivers = calloc(n, sizeof *j->receivers);
        if (!j->receivers) {
                judgement_set(j, LINK_REPLY_FAILED, "out of memory");
                return;
        }
        LIST_FOREACH(peer, &commands->peers, peers)
                if (takes(peer, j))
                        j->receivers[j->n_receivers++] = peer;
}

static void find_means(const Commands *commands, Judgement *j)
{
        const Command *command = &j->command;

        if (command->passed_on) {
                find_receivers(commands, j);
        } else if (command->verb == COMMAND_PAUSE || command->verb == COMMAND_RESUME) {
                j->target = find_subscriber(commands, j->peer, command->name);
                if (!j->target)
                        judgement_set(j, LINK_REPLY_FAILED,
                                      command->name.size > 0
                                              ? "there is no subscriber of that name"
                                              : "the sender is no subscriber: NAME is missing");
        } else if (command->on && !state_holds(commands->options.state, command->condition) &&
                   count_conditions(commands) >= COMMANDS_CONDITIONS_MAX) {
                judgement_set(j, LINK_REPLY_FAILED, "too many conditions of commands hold");
        }
}

void judgement_make(Commands *commands, Judgement *j)
{
        const char *why;
        LinkReplyStatus status = command_parse(j->frame, &j->command, &why);

        judgement_set(j, status, why);
        if (status == LINK_REPLY_UNKNOWN)
                return;
        if (!is_granted(commands, j))
                refuse(j);
        else if (status == LINK_REPLY_DONE)
                find_means(commands, j);
}
