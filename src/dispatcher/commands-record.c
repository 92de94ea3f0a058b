/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dispatcher/commands-private.h"
#include "dispatcher/writer.h"
#include "record/record.h"
#include "runtime/loop.h"

/* Nothing known yet. */
#define RECORD_INIT(operation)                                                                              \
        ((RecordCommand) { .op = (operation),                                                               \
                           .id = -1,                                                                        \
                           .pid = -1,                                                                       \
                           .uid = -1,                                                                       \
                           .auid = -1,                                                                      \
                           .ses = -1,                                                                       \
                           .receivers = -1,                                                                 \
                           .count = -1,                                                                     \
                           .why = "" })

/* As a batch of its own. */
static bool write_record(Commands *commands, RecordCommand *record)
{
        Ring *ring = commands->options.ring;
        Writer writer = writer_begin(ring, BATCH_ORIGIN_LOCAL, RECORD_LINE_MAX);
        uint8_t *out = writer_room(&writer);

        if (!out)
                return false;
        record->node = ring_node(ring);
        record->time = record_time(realtime_usec(), ring_state(ring)->newest + 1);
        writer_commit(&writer, record_command(record, out));
        if (writer_end(&writer))
                ring_publish(ring);
        commands_wake(commands);
        return true;
}

/* Without the end of a last line, which it may have or not. */
static RecordSlice slice_of(LinkString string)
{
        size_t size = string.size;

        if (size > 0 && string.data[size - 1] == '\n')
                size--;
        return (RecordSlice) { (const uint8_t *) string.data, size };
}

bool commands_record(Commands *commands, const Judgement *j)
{
        const CommandSender *sender = &j->sender;
        RecordCommand record = RECORD_INIT("relay-command");

        record.id = (int64_t) j->id;
        record.verb = slice_of(j->frame->verb);
        record.arguments = slice_of(j->frame->arguments);
        record.via = command_vias[j->peer->via];
        record.from = j->peer->name;
        record.pid = sender->pid;
        record.uid = sender->uid;
        record.auid = sender->auid;
        record.ses = sender->ses;
        record.unit = sender->unit[0] != '\0' ? sender->unit : NULL;
        if (j->n_receivers > 0)
                record.receivers = (int64_t) j->n_receivers;
        record.answer = j->n_receivers > 0 ? "taken" : command_answers[j->status];
        record.why = j->why;
        record.success = j->status == LINK_REPLY_DONE;
        return write_record(commands, &record);
}

bool commands_record_answer(Commands *commands, const GatheringAnswer *answer)
{
        RecordCommand record = RECORD_INIT("relay-answer");

        record.id = (int64_t) answer->id;
        record.answer = command_answers[answer->status];
        record.why = answer->text;
        record.success = answer->status == LINK_REPLY_DONE;
        return write_record(commands, &record);
}

void commands_record_surplus(Commands *commands, uint64_t now_usec)
{
        CommandClient *client;

        while ((client = command_budget_untold(&commands->budget, now_usec))) {
                RecordCommand record = RECORD_INIT("relay-command");

                if (client->name[0] != '\0') {
                        record.via = command_vias[COMMAND_VIA_PUSH];
                        record.from = client->name;
                } else {
                        record.uid = client->uid;
                }
                record.count = (int64_t) client->untold;
                record.answer = command_answers[LINK_REPLY_REFUSED];
                record.why = "too many commands";
                if (!write_record(commands, &record))
                        return;
                client->untold = 0;
                client->told_usec = now_usec;
        }
}
