/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* raw: the lines as they are stored; of events with ausearch's line between two.
 * json: one object a line. `fields` has each NAME=value of the text as it stands, without its quotes, the
 * first where a name comes twice; the whole text is beside it, as not everything in it is a field.
 */

#include "tool/log/print.h"
#include "tool/json.h"
#include "tool/log/match.h"

#include <inttypes.h>
#include <libaudit.h>

static void put_slice(Json *json, const char *name, RecordSlice slice)
{
        char text[RECORD_LINE_MAX + 1];
        size_t size = MIN(slice.size, sizeof text - 1);

        memcpy(text, slice.data, size);
        text[size] = '\0';
        json_string(json, name, text);
}

/* --- JSON --- */

static bool is_first_of_name(RecordSlice text, const Field *field)
{
        size_t offset = 0;
        Field other;

        while (field_next(text, &offset, &other) && other.name.data < field->name.data)
                if (other.name.size == field->name.size &&
                    memcmp(other.name.data, field->name.data, field->name.size) == 0)
                        return false;
        return true;
}

static void put_fields(Json *json, RecordSlice text)
{
        char name[RECORD_LINE_MAX + 1];
        size_t offset = 0;
        Field field;

        json_object_begin(json, "fields");
        while (field_next(text, &offset, &field)) {
                if (!is_first_of_name(text, &field))
                        continue;
                memcpy(name, field.name.data, field.name.size);
                name[field.name.size] = '\0';
                put_slice(json, name, field.value);
        }
        json_object_end(json);
}

/* The audit keys of a record that has them: readable, one by one. */
static void put_keys(Json *json, uint32_t type, RecordSlice text)
{
        uint8_t decoded[RECORD_LINE_MAX];
        RecordSlice keys;
        Field field;
        ssize_t n;

        if ((type != AUDIT_SYSCALL && type != AUDIT_URINGOP && type != AUDIT_CONFIG_CHANGE) ||
            !field_find(text, "key", &field))
                return;
        keys = field.value;
        if (!field.quoted) {
                n = field_decode(field.value, decoded, sizeof decoded);
                if (n <= 0)
                        return;
                keys = (RecordSlice) { decoded, (size_t) n };
        }
        json_array_begin(json, "keys");
        for (size_t begin = 0, i = 0; i <= keys.size; i++)
                if (i == keys.size || keys.data[i] == 1) {
                        put_slice(json, NULL, (RecordSlice) { keys.data + begin, i - begin });
                        begin = i + 1;
                }
        json_array_end(json);
}

static void put_record(Json *json, const uint8_t *line, size_t size, const RecordPrefix *prefix)
{
        RecordSlice text = log_record_text(line, size, prefix);

        put_slice(json, "type", prefix->type);
        put_keys(json, type_number(prefix->type), text);
        put_fields(json, text);
        put_slice(json, "text", text);
}

static void put_id(Json *json, const RecordPrefix *prefix)
{
        char time[40];

        if (prefix->node.size > 0)
                put_slice(json, "node", prefix->node);
        (void) snprintf(time, sizeof time, "%" PRIu64 ".%03" PRIu32, prefix->time.sec, prefix->time.msec);
        json_number(json, "time", time);
        json_unsigned(json, "serial", prefix->time.serial);
}

static void print_json(const LogPrint *print, const uint8_t *lines, size_t size)
{
        Json json = JSON_INIT_COMPACT(stdout);
        RecordPrefix prefix;
        bool first = true;

        json_object_begin(&json, NULL);
        for (size_t line; (line = record_next(lines, size)) > 0; lines += line, size -= line, first = false) {
                if (record_parse(lines, line, &prefix) != RECORD_OK)
                        continue;
                if (first)
                        put_id(&json, &prefix);
                if (first && print->event)
                        json_array_begin(&json, "records");
                if (print->event)
                        json_object_begin(&json, NULL);
                put_record(&json, lines, line, &prefix);
                if (print->event)
                        json_object_end(&json);
        }
        if (print->event)
                json_array_end(&json);
        json_object_end(&json);
        fputc('\n', stdout);
}

/* --- All --- */

int log_print(LogPrint *print, const uint8_t *lines, size_t size)
{
        int r = 0;

        if (print->event && print->format != LOG_FORMAT_JSON)
                fputs("----\n", stdout);
        if (print->format == LOG_FORMAT_JSON)
                print_json(print, lines, size);
        else if (print->format == LOG_FORMAT_INTERPRETED)
                r = log_interpret(print->interpreter, lines, size);
        else
                (void) fwrite(lines, 1, size, stdout);
        if (r == 0 && ferror(stdout))
                r = errno > 0 ? -errno : -EIO;
        return r;
}

int log_print_damage(LogPrint *print, const ViewBatch *damage, const char *directory)
{
        uint64_t first = damage->stored.first, last = damage->stored.last;
        Json json = JSON_INIT_COMPACT(stdout);

        fprintf(stderr, "%s: %" PRIu64 " records, seqs %" PRIu64 " to %" PRIu64 ", are damaged: `audit-relay verify` says how\n", directory,
                last - first + 1, first, last);
        if (print->format != LOG_FORMAT_JSON)
                return 0;
        json_object_begin(&json, NULL);
        json_string(&json, "gap", "store-damaged");
        json_unsigned(&json, "first", first);
        json_unsigned(&json, "last", last);
        json_object_end(&json);
        fputc('\n', stdout);
        return ferror(stdout) ? -EIO : 0;
}
