/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dispatcher/commands-private.h"
#include "runtime/log.h"

#include <inttypes.h>
#include <stdio.h>

/* For those who receive a command, and for whoever waits; the second when the sender does not say. */
#define TIMEOUT_SEC_MAX 60U
#define TIMEOUT_SEC_DEFAULT 10U
#define REASON_MAX 500
/* FROM=, VIA= and UID= of a name. */
#define FIELDS_MAX (NODE_NAME_MAX + 64U)

static void raise_condition(Commands *commands, const Judgement *j)
{
        const Command *command = &j->command;
        char reason[REASON_MAX + 1], keys[FIELDS_MAX];

        if (command->reason.size > 0)
                (void) snprintf(reason, sizeof reason, "%.*s", (int) command->reason.size,
                                command->reason.data);
        else
                (void) snprintf(reason, sizeof reason, "%s said so", j->peer->name);
        (void) snprintf(keys, sizeof keys, "FROM=%s\nVIA=%s\nUID=%" PRId64, j->peer->name,
                        command_vias[j->peer->via], j->sender.uid);
        state_raise(commands->options.state, command->condition, reason, keys);
}

static void write_log(const Judgement *j)
{
        char fields[FIELDS_MAX];

        (void) snprintf(fields, sizeof fields, "COMMAND_FROM=%s\nCOMMAND_UID=%" PRId64, j->peer->name,
                        j->sender.uid);
        log_message(j->command.priority, MESSAGE_ID_COMMAND_LOG, fields, "%s says: %.*s", j->peer->name,
                    (int) j->command.message.size, j->command.message.data);
}

static void pass_on(Commands *commands, const Judgement *j)
{
        uint32_t timeout = j->frame->timeout_sec > 0 ? MIN(j->frame->timeout_sec, TIMEOUT_SEC_MAX)
                                                     : TIMEOUT_SEC_DEFAULT;
        GatheringCommand command = {
                .id = j->id,
                .client = judgement_client(j),
                .asker = j->frame->timeout_sec > 0 ? j->peer : NULL,
                .asker_id = j->frame->id,
                .deadline_usec = commands->options.monotonic_usec() + timeout * USEC_PER_SEC,
        };
        LinkCommand frame = *j->frame;
        LinkReply failed = {
                .id = j->id,
                .status = LINK_REPLY_FAILED,
                .text = link_string("does not read"),
        };

        frame.id = j->id;
        frame.timeout_sec = timeout;
        if (gathering_begin(commands->gathering, &command, (void *const *) j->receivers, j->n_receivers) <
            0) {
                GatheringAnswer none = { .id = j->id, .asker = command.asker, .asker_id = command.asker_id,
                                         .status = LINK_REPLY_FAILED, .text = "out of memory" };

                commands_answered(&none, commands);
                return;
        }
        for (size_t i = 0; i < j->n_receivers; i++) {
                CommandPeer *peer = j->receivers[i];

                if (peer->handler->command(peer, &frame) < 0)
                        gathering_reply(commands->gathering, peer, peer->name, &failed);
        }
}

static void pause_target(Commands *commands, const Judgement *j)
{
        uint64_t until = commands->options.monotonic_usec() + j->command.seconds * USEC_PER_SEC;

        j->target->handler->pause(j->target, until);
        commands->paused_usec = MAX(commands->paused_usec, until);
}

void judgement_perform(Commands *commands, const Judgement *j)
{
        const Command *command = &j->command;

        if (command->passed_on)
                pass_on(commands, j);
        else if (command->condition[0] != '\0' && command->on)
                raise_condition(commands, j);
        else if (command->condition[0] != '\0')
                state_clear(commands->options.state, command->condition);
        else if (command->verb == COMMAND_LOG)
                write_log(j);
        else if (command->verb == COMMAND_PAUSE)
                pause_target(commands, j);
        else
                j->target->handler->pause(j->target, 0);
}
