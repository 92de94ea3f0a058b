/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* By libauparse, audit's own parser: users, groups and host names are those of the machine that reads, except
 * where the record was enriched at its source. What libauparse takes for no record is written as it is.
 */

#include "tool/log/interpret.h"

#include <auparse.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

struct LogInterpreter {
        auparse_state_t *parser;
        const uint8_t *lines; /* of the event whose turn it is */
        size_t size;
};

/* What stands before the fields: auparse has it in parts that cannot be put together again. */
static void put_prefix(const RecordPrefix *prefix)
{
        time_t t = (time_t) prefix->time.sec;
        char time[64];
        struct tm tm;

        if (!localtime_r(&t, &tm) || strftime(time, sizeof time, "%Y-%m-%d %T", &tm) == 0)
                (void) snprintf(time, sizeof time, "%" PRIu64, prefix->time.sec);
        if (prefix->node.size > 0)
                printf("node=%.*s ", (int) prefix->node.size, (const char *) prefix->node.data);
        printf("type=%.*s msg=audit(%s.%03" PRIu32 ":%" PRIu64 ") :", (int) prefix->type.size,
               (const char *) prefix->type.data, time, prefix->time.msec, prefix->time.serial);
}

static void put_field(auparse_state_t *parser)
{
        const char *name = auparse_get_field_name(parser), *value = auparse_interpret_field(parser);

        if (name && strcmp(name, "node") != 0 && strcmp(name, "type") != 0)
                printf(" %s=%s", name, value ? value : "");
}

/* The next line of the event, as it is where nobody can read it. */
static void put_line(LogInterpreter *interpreter, bool parsed)
{
        size_t size = record_next(interpreter->lines, interpreter->size);
        RecordPrefix prefix;

        if (size == 0 || size == SIZE_MAX)
                return;
        if (parsed && record_parse(interpreter->lines, size, &prefix) == RECORD_OK) {
                put_prefix(&prefix);
                if (auparse_first_field(interpreter->parser) > 0)
                        do
                                put_field(interpreter->parser);
                        while (auparse_next_field(interpreter->parser) > 0);
                fputc('\n', stdout);
        } else {
                (void) fwrite(interpreter->lines, 1, size, stdout);
        }
        interpreter->lines += size;
        interpreter->size -= size;
}

static void on_event(auparse_state_t *parser, auparse_cb_event_t kind, void *userdata)
{
        if (kind != AUPARSE_CB_EVENT_READY || auparse_first_record(parser) <= 0)
                return;
        do
                put_line(userdata, true);
        while (auparse_next_record(parser) > 0);
}

int log_interpret(LogInterpreter *interpreter, const uint8_t *lines, size_t size)
{
        interpreter->lines = lines;
        interpreter->size = size;
        if (auparse_feed(interpreter->parser, (const char *) lines, size) < 0 ||
            auparse_flush_feed(interpreter->parser) < 0)
                return -ENOMEM;
        while (interpreter->size > 0)
                put_line(interpreter, false);
        return 0;
}

int log_interpreter_new(LogInterpreter **ret)
{
        _cleanup_(log_interpreter_freep) LogInterpreter *interpreter = calloc(1, sizeof *interpreter);

        if (!interpreter)
                return -ENOMEM;
        interpreter->parser = auparse_init(AUSOURCE_FEED, NULL);
        if (!interpreter->parser)
                return -ENOMEM;
        /* Control characters in what others wrote do not reach the terminal. */
        auparse_set_escape_mode(interpreter->parser, AUPARSE_ESC_TTY);
        auparse_add_callback(interpreter->parser, on_event, interpreter, NULL);
        *ret = TAKE_PTR(interpreter);
        return 0;
}

LogInterpreter *log_interpreter_free(LogInterpreter *interpreter)
{
        if (interpreter && interpreter->parser)
                auparse_destroy(interpreter->parser);
        free(interpreter);
        return NULL;
}
