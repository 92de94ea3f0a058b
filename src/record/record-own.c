/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Records of our own: what was lost (op=relay-gap), what was refused (op=relay-refused), and commands (op=relay-command,
 * op=relay-answer). Their types are DAEMON_ERR and, for commands, DAEMON_CONFIG, as auditd has it for what it was asked to do:
 * ausearch refuses to search for types it does not know. docs/records.md describes each field.
 *
 *  1. A record written here passes record_check(), whatever bytes it is about.
 *  2. A value is a bare word or in double quotes; within these every byte outside '!'..'~', and '"', '\\', '\'' and '=', is
 *     written \xNN. So nobody can forge a field by having his line refused.
 *  3. No write goes beyond the output's size: what does not fit is left out, and said.
 */

#include "record/record.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#define TYPE_ERROR "DAEMON_ERR"
#define TYPE_COMMAND "DAEMON_CONFIG"
#define OP_GAP "relay-gap"
#define OP_REFUSED "relay-refused"
/* "\" res=success\n" and the NUL that snprintf() adds. */
#define TAIL_MAX 16U
/* More than a refused record has without its line: prefix, fault, peer (escaped at worst), size, hash. */
#define REFUSED_MAX (5U * NODE_NAME_MAX + 300U)

typedef struct Line {
        uint8_t *out;
        size_t size;
        size_t max;
} Line;

static void put_format(Line *line, const char *format, ...) _printf_(2, 3);

static void put_format(Line *line, const char *format, ...)
{
        size_t room = line->max - line->size;
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vsnprintf((char *) line->out + line->size, room, format, arguments);
        va_end(arguments);
        assert(n >= 0 && (size_t) n < room);
        line->size += (size_t) n;
}

static bool is_plain(uint8_t c)
{
        return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '\'' && c != '=';
}

/* As many bytes as fit before the tail. */
static void put_escaped(Line *line, const uint8_t *data, size_t size)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < size && line->max - line->size > TAIL_MAX + 4; i++) {
                uint8_t *p = line->out + line->size;

                if (is_plain(data[i])) {
                        *p = data[i];
                        line->size++;
                        continue;
                }
                p[0] = '\\';
                p[1] = 'x';
                p[2] = (uint8_t) digits[data[i] >> 4];
                p[3] = (uint8_t) digits[data[i] & 15];
                line->size += 4;
        }
}

/* " key=word" or " key=\"escaped\"", of at most `max` bytes. */
static void put_bytes(Line *line, const char *key, const uint8_t *data, size_t size, size_t max)
{
        bool plain = size > 0;

        size = MIN(size, max);
        for (size_t i = 0; i < size; i++)
                plain = plain && is_plain(data[i]);
        put_format(line, " %s=%s", key, plain ? "" : "\"");
        put_escaped(line, data, size);
        put_format(line, "%s", plain ? "" : "\"");
}

static void put_value(Line *line, const char *key, const uint8_t *data, size_t size)
{
        put_bytes(line, key, data, size, BATCH_ARGUMENT_MAX);
}

static void put_word(Line *line, const char *key, const char *word)
{
        put_value(line, key, (const uint8_t *) word, strlen(word));
}

static void put_prefix(Line *line, const char *node, const RecordTime *time, const char *type,
                       const char *op)
{
        put_format(line, "node=%.*s type=%s msg=audit(%" PRIu64 ".%03" PRIu32 ":%" PRIu64 "): op=%s",
                   (int) NODE_NAME_MAX, node, type, time->sec, time->msec % 1000, time->serial, op);
}

static void put_tail(Line *line, bool success)
{
        put_format(line, " res=%s", success ? "success" : "failed");
        line->out[line->size++] = '\n';
}

static void seal_records(Batch *batch, const uint8_t *payload, size_t size, uint32_t count, BatchOrigin origin)
{
        *batch = (Batch) {
                .first = 1,
                .last = count,
                .count = count,
                .size = (uint32_t) size,
                .origin = origin,
                .reason = BATCH_RECORDS,
                .payload = payload,
        };
        batch_seal(batch);
}

/* --- Gaps --- */

static size_t put_gap(const RecordGap *gap, const uint8_t *reason, size_t reason_size, uint8_t *out)
{
        Line line = { .out = out, .max = RECORD_LINE_MAX };

        put_prefix(&line, gap->node, &gap->time, TYPE_ERROR, OP_GAP);
        put_word(&line, "where", gap->where);
        put_value(&line, "reason", reason, reason_size);
        put_format(&line, " lost=%" PRIu64 " count=%s", gap->lost,
                   !gap->at_least ? "exact" : gap->lost > 0 ? "at-least" : "unknown");
        if (gap->stream) {
                put_word(&line, "stream", gap->stream);
                put_format(&line, " first=%" PRIu64 " last=%" PRIu64, gap->first, gap->last);
        }
        if (gap->detail)
                put_format(&line, " %s", gap->detail);
        put_tail(&line, false);
        return line.size;
}

size_t record_gap(const RecordGap *gap, uint8_t *out)
{
        return put_gap(gap, (const uint8_t *) gap->reason, strlen(gap->reason), out);
}

void record_explain_lost(const Batch *lost, const char *node, const char *stream, RecordTime time, uint8_t *out,
                         Batch *ret_stored)
{
        RecordGap gap = {
                .node = node,
                .time = time,
                .where = "stream",
                .lost = batch_range(lost),
                .stream = stream,
                .first = lost->first,
                .last = lost->last,
        };

        seal_records(ret_stored, out, put_gap(&gap, lost->payload, lost->size, out), 1, lost->origin);
}

/* --- Commands --- */

static void put_number(Line *line, const char *key, int64_t number)
{
        if (number >= 0)
                put_format(line, " %s=%" PRId64, key, number);
}

static void put_optional(Line *line, const char *key, const char *text)
{
        if (text)
                put_word(line, key, text);
}

size_t record_command(const RecordCommand *command, uint8_t *out)
{
        const RecordSlice *arguments = &command->arguments;
        Line line = { .out = out, .max = RECORD_LINE_MAX };

        put_prefix(&line, command->node, &command->time, TYPE_COMMAND, command->op);
        put_number(&line, "command", command->id);
        if (command->verb.size > 0)
                put_value(&line, "verb", command->verb.data, command->verb.size);
        put_optional(&line, "via", command->via);
        put_optional(&line, "from", command->from);
        put_number(&line, "pid", command->pid);
        put_number(&line, "uid", command->uid);
        put_number(&line, "auid", command->auid);
        put_number(&line, "ses", command->ses);
        put_optional(&line, "unit", command->unit);
        if (arguments->size > 0)
                put_bytes(&line, "args", arguments->data, arguments->size, RECORD_COMMAND_ARGUMENTS_MAX);
        if (arguments->size > RECORD_COMMAND_ARGUMENTS_MAX)
                put_format(&line, " args_size=%zu", arguments->size);
        put_number(&line, "receivers", command->receivers);
        put_number(&line, "count", command->count);
        put_word(&line, "answer", command->answer);
        if (command->why[0] != '\0')
                put_bytes(&line, "why", (const uint8_t *) command->why, strlen(command->why), RECORD_COMMAND_WHY_MAX);
        put_tail(&line, command->success);
        return line.size;
}

/* --- Refused lines --- */

/* One refused line. `room`: bytes it may take; at least REFUSED_MAX. Its hash tells two apart when neither fits. */
static size_t put_refused(const uint8_t *bytes, size_t size, RecordFault fault, const RecordRules *rules,
                          const RecordTime *time, uint8_t *out, size_t room)
{
        Line line = { .out = out, .max = MIN(room, (size_t) RECORD_LINE_MAX) };

        if (size > 0 && bytes[size - 1] == '\n')
                size--;
        put_prefix(&line, rules->node, time, TYPE_ERROR, OP_REFUSED);
        put_word(&line, "fault", record_fault_to_string(fault));
        put_word(&line, "peer", rules->peer ? rules->peer : rules->node);
        put_format(&line, " size=%zu hash=%016" PRIx64 " line=\"", size, checksum64(bytes, size));
        put_escaped(&line, bytes, size);
        put_format(&line, "\"");
        put_tail(&line, false);
        return line.size;
}

/* One record for all lines that have no place of their own. */
static size_t put_omitted(const Batch *received, uint64_t n, const RecordRules *rules, const RecordTime *time, uint8_t *out)
{
        Line line = { .out = out, .max = REFUSED_MAX };

        put_prefix(&line, rules->node, time, TYPE_ERROR, OP_REFUSED);
        put_word(&line, "fault", record_fault_to_string(n > 0 ? RECORD_E_LONG : RECORD_E_COUNT));
        put_word(&line, "peer", rules->peer ? rules->peer : rules->node);
        put_format(&line, " lines=%" PRIu64 " first=%" PRIu64 " last=%" PRIu64, n, received->first, received->last);
        put_tail(&line, false);
        return line.size;
}

size_t record_refuse_line(const uint8_t *line, size_t size, RecordFault fault, const RecordRules *rules, RecordTime time,
                          uint8_t *out)
{
        return put_refused(line, size, fault, rules, &time, out, RECORD_LINE_MAX);
}

/* Of a line that has a node: whether it may. */
static bool node_allowed(const uint8_t *line, size_t size, const RecordRules *rules)
{
        RecordPrefix prefix;
        const char *node;

        if (record_parse(line, size, &prefix) != RECORD_OK)
                return false;
        node = (const char *) prefix.node.data;
        if (strlen(rules->accept) == prefix.node.size && memcmp(rules->accept, node, prefix.node.size) == 0)
                return true;
        for (char *const *also = rules->also; *also; also++)
                if (strlen(*also) == prefix.node.size && strncasecmp(*also, node, prefix.node.size) == 0)
                        return true;
        return false;
}

/* What each line is held to by itself; the rest is the same for all: the one node that is accepted, or none. */
static const char *one_node(const RecordRules *rules)
{
        return rules->also ? NULL : rules->accept;
}

static RecordFault judge_content(const uint8_t *line, size_t size, const RecordRules *rules)
{
        if (rules->also && !node_allowed(line, size, rules))
                return RECORD_E_NODE;
        return record_filter_line(rules->types, line, size) ? RECORD_OK : RECORD_E_TYPE;
}

RecordFault record_judge_batch(const Batch *batch, const RecordRules *rules, uint32_t *ret_line, BatchSpan *ret_span)
{
        RecordFault fault = record_check_batch(batch, one_node(rules), ret_line, ret_span);
        const uint8_t *p = batch->payload;
        size_t left = batch->size, size;

        if (fault != RECORD_OK || (!rules->types && !rules->also))
                return fault;
        for (*ret_line = 0; (size = record_next(p, left)) > 0; p += size, left -= size, (*ret_line)++) {
                fault = judge_content(p, size, rules);
                if (fault != RECORD_OK)
                        return fault;
        }
        return RECORD_OK;
}

static RecordFault judge_line(const uint8_t *line, size_t size, const RecordRules *rules)
{
        RecordFault fault = record_check(line, size, one_node(rules));

        return fault == RECORD_OK ? judge_content(line, size, rules) : fault;
}

/* Good lines come first in the claim for room: a refused one gets what is left beside all bytes that still follow, and
 * REFUSED_MAX are kept for the record that counts those for which nothing was left. */
void record_refuse(const Batch *received, const RecordRules *rules, RecordTime time, uint8_t *out, Batch *ret_stored,
                   uint32_t *ret_refused)
{
        const uint8_t *p = received->payload;
        size_t left = received->size, used = 0, max = BATCH_PAYLOAD_MAX - REFUSED_MAX, size;
        uint32_t count = 0, lines = 0, refused = 0, omitted = 0;

        for (; (size = record_next(p, left)) > 0; p += size, lines++) {
                RecordFault fault = RECORD_E_COUNT;

                size = MIN(size, left);
                left -= size;
                if (p[size - 1] == '\n')
                        fault = judge_line(p, size, rules);
                refused += fault != RECORD_OK;
                if (fault == RECORD_OK && used + size <= max) {
                        memcpy(out + used, p, size);
                        used += size;
                        count++;
                } else if (fault != RECORD_OK && used + left + REFUSED_MAX <= max) {
                        used += put_refused(p, size, fault, rules, &time, out + used, max - used - left);
                        count++;
                } else {
                        omitted++;
                }
        }
        if (omitted > 0 || lines != received->count || count == 0) {
                used += put_omitted(received, omitted, rules, &time, out + used);
                count++;
        }
        seal_records(ret_stored, out, used, count, received->origin);
        *ret_refused = refused;
}
