/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Anything as a command: the first line its verb, the rest its arguments. What passes is what its receivers may rely on; and whatever
 * it is, its record is one line of this node that says what it should.
 */

#include "fuzz.h"
#include "dispatcher/command-verb.h"
#include "record/record.h"

#define NODE "n1"

static bool is_within(LinkString part, LinkString whole)
{
        return part.size == 0 || (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

/* As the frame's strings are: no NUL, no CR; a verb is one word. */
static bool is_of_a_frame(LinkString verb, LinkString arguments)
{
        for (size_t i = 0; i < verb.size; i++)
                if (verb.data[i] <= ' ' || verb.data[i] > '~')
                        return false;
        return verb.size > 0 && verb.size <= NODE_NAME_MAX && !memchr(arguments.data, '\0', arguments.size) &&
               !memchr(arguments.data, '\r', arguments.size);
}

static void check_good(const LinkCommand *frame, const Command *command)
{
        const char *name = command->condition;

        CHECK(frame->arguments.size <= COMMAND_ARGUMENTS_MAX);
        CHECK(command->verb < _COMMAND_VERB_MAX);
        CHECK(is_within(command->name, frame->arguments) && is_within(command->reason, frame->arguments) &&
              is_within(command->message, frame->arguments));
        CHECK(!memchr(command->reason.size ? command->reason.data : "", '\n', command->reason.size));
        CHECK(command->priority >= 0 && command->priority <= 7);
        CHECK(command->seconds <= COMMAND_BLOCK_SEC_MAX);
        CHECK(command->verb != COMMAND_PAUSE || (command->seconds >= 1 && command->seconds <= COMMAND_PAUSE_SEC_MAX));
        if (name[0] == '\0')
                return;
        /* What may be a file in the state's directory, and is none of the dispatcher's own. */
        CHECK(!command->passed_on);
        CHECK(strlen(name) < COMMAND_CONDITION_SIZE);
        CHECK(strncmp(name, COMMAND_CONDITION_PREFIX, strlen(COMMAND_CONDITION_PREFIX)) == 0);
        CHECK(strlen(name) > strlen(COMMAND_CONDITION_PREFIX));
        CHECK(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name));
}

static void check_record(const LinkCommand *frame, LinkReplyStatus status, const char *why)
{
        RecordCommand record = {
                .node = NODE,
                .time = { 1, 2, 3 },
                .op = "relay-command",
                .id = 1,
                .verb = { (const uint8_t *) frame->verb.data, frame->verb.size },
                .arguments = { (const uint8_t *) frame->arguments.data, frame->arguments.size },
                .uid = 7,
                .receivers = -1,
                .count = -1,
                .answer = "done",
                .why = why,
                .success = status == LINK_REPLY_DONE,
        };
        uint8_t line[RECORD_LINE_MAX];
        size_t size = record_command(&record, line);
        const char *result = record.success ? " res=success\n" : " res=failed\n";

        CHECK(record_check(line, size, NODE) == RECORD_OK);
        CHECK(record_next(line, size) == size);
        CHECK(memcmp(line + size - strlen(result), result, strlen(result)) == 0);
        CHECK(!memmem(line, size, " uid=0", 6) && memmem(line, size, " uid=7 ", 7));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
        size_t verb_size = newline ? (size_t) (newline - data) : size;
        LinkCommand frame = {
                .verb = { (const char *) data, verb_size },
                .arguments = { newline ? (const char *) newline + 1 : "", newline ? size - verb_size - 1 : 0 },
        };
        const char *why = NULL;
        Command command;
        LinkReplyStatus status;

        if (!is_of_a_frame(frame.verb, frame.arguments))
                return 0;
        status = command_parse(&frame, &command, &why);
        CHECK(why && (status == LINK_REPLY_DONE) == (why[0] == '\0'));
        CHECK(status != LINK_REPLY_REFUSED);
        if (status == LINK_REPLY_DONE)
                check_good(&frame, &command);
        check_record(&frame, status, why);
        return 0;
}
