/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading lines: the fixed prefix, and whether a line may be taken as it is.
 *
 * Every line of every hop passes here, so that a batch costs three vectorised passes (newlines, CR, NUL) and some forty
 * compared bytes a line; what its lines have in common is found on the way. Nothing behind the prefix is looked at.
 *
 *  1. No function reads outside the slice it was given.
 *  2. What record_check() accepts, record_parse() parses, and it is exactly one line: its only newline ends it.
 */

#include "record/record.h"
#include "basic/decimal.h"

static const char *const fault_names[_RECORD_FAULT_MAX] = {
        [RECORD_OK] = "none",
        [RECORD_E_FORM] = "no audit record",
        [RECORD_E_NODE] = "foreign node",
        [RECORD_E_LONG] = "too long",
        [RECORD_E_CONTROL] = "control byte",
        [RECORD_E_COUNT] = "wrong count",
        [RECORD_E_TYPE] = "type not allowed",
};

const char *record_fault_to_string(RecordFault fault)
{
        return fault < _RECORD_FAULT_MAX ? fault_names[fault] : "unknown";
}

static bool is_type_char(uint8_t c)
{
        return (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_';
}

static bool is_node_char(uint8_t c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '.' || c == '-' || c == '_' ||
               c == ':';
}

/* Each take_ function returns what follows the thing taken, or NULL when it is not there; NULL in, NULL out. */

static const uint8_t *take_text(const uint8_t *p, const uint8_t *end, const char *text, size_t size)
{
        if (!p || (size_t) (end - p) < size || memcmp(p, text, size) != 0)
                return NULL;
        return p + size;
}

#define TAKE(p, end, literal) take_text((p), (end), literal, sizeof(literal) - 1)

static const uint8_t *take_number(const uint8_t *p, const uint8_t *end, uint64_t *ret)
{
        return p ? decimal_take(p, end, ret) : NULL;
}

/* "audit(SEC.MSEC:SERIAL):"; milliseconds have three digits, as the kernel and auditd write them. */
static const uint8_t *take_time(const uint8_t *p, const uint8_t *end, RecordTime *ret)
{
        p = take_number(TAKE(p, end, "audit("), end, &ret->sec);
        if (!p || end - p < 5 || p[0] != '.' || !is_digit(p[1]) || !is_digit(p[2]) || !is_digit(p[3]) || p[4] != ':')
                return NULL;
        ret->msec = (uint32_t) ((p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0'));
        return TAKE(take_number(p + 5, end, &ret->serial), end, "):");
}

/* A name of capitals, digits and underscores, or UNKNOWN[n]. */
static const uint8_t *take_type(const uint8_t *p, const uint8_t *end, RecordSlice *ret)
{
        const uint8_t *begin = p;

        while (p < end && is_type_char(*p))
                p++;
        if (p < end && *p == '[') {
                uint64_t number;

                if (!TAKE(begin, p, "UNKNOWN") || p - begin != (ptrdiff_t) strlen("UNKNOWN"))
                        return NULL;
                p = TAKE(take_number(p + 1, end, &number), end, "]");
        }
        if (!p || p == begin)
                return NULL;
        *ret = (RecordSlice) { begin, (size_t) (p - begin) };
        return p;
}

size_t record_parse_time(const uint8_t *text, size_t size, RecordTime *ret)
{
        const uint8_t *p = take_time(text, text + size, ret);

        return p ? (size_t) (p - text) : 0;
}

static bool take_stamp(const uint8_t *p, const uint8_t *end, RecordKnown *known, RecordTime *ret)
{
        const uint8_t *next;

        if (known && known->stamp.size > 0 &&
            take_text(p, end, (const char *) known->stamp.data, known->stamp.size)) {
                *ret = known->time;
                return true;
        }
        next = take_time(p, end, ret);
        if (known && next) {
                known->stamp = (RecordSlice) { p, (size_t) (next - p) };
                known->time = *ret;
        }
        return next != NULL;
}

/* From "type=" on. `known`: NULL for a single line. */
static bool parse_after_node(const uint8_t *p, const uint8_t *end, RecordKnown *known, RecordPrefix *ret)
{
        p = TAKE(p, end, "type=");
        if (p)
                p = take_type(p, end, &ret->type);
        return take_stamp(TAKE(p, end, " msg="), end, known, &ret->time);
}

RecordFault record_parse_next(const uint8_t *line, size_t size, RecordKnown *known, RecordPrefix *ret)
{
        const uint8_t *end = line + size, *p = TAKE(line, end, "node=");

        *ret = (RecordPrefix) { 0 };
        if (p) {
                ret->node.data = p;
                while (p < end && is_node_char(*p))
                        p++;
                ret->node.size = (size_t) (p - ret->node.data);
                if (ret->node.size == 0 || ret->node.size > NODE_NAME_MAX || p == end || *p != ' ')
                        return RECORD_E_NODE;
                ret->type_offset = (size_t) (p + 1 - line);
        }
        return parse_after_node(line + ret->type_offset, end, known, ret) ? RECORD_OK : RECORD_E_FORM;
}

RecordFault record_parse(const uint8_t *line, size_t size, RecordPrefix *ret)
{
        return record_parse_next(line, size, NULL, ret);
}

void record_know_node(RecordKnown *known, const char *node)
{
        size_t size = strnlen(node, NODE_NAME_MAX);

        memcpy(known->node, "node=", 5);
        memcpy(known->node + 5, node, size);
        known->node[5 + size] = ' ';
        known->node_size = 5 + size + 1;
}

/* A line known to end with its only newline. `any`: of any node, and most likely of the one that the line before it is of.
 * `clean`: known to be without CR and NUL. */
static RecordFault check_line(const uint8_t *line, size_t size, RecordKnown *known, bool any, bool clean, RecordPrefix *ret)
{
        if (size > RECORD_LINE_MAX)
                return RECORD_E_LONG;
        if (!clean && (memchr(line, '\r', size) || memchr(line, '\0', size)))
                return RECORD_E_CONTROL;
        if (known->node_size > 0 && take_text(line, line + size, known->node, known->node_size)) {
                ret->node = (RecordSlice) { line + strlen("node="), known->node_size - strlen("node= ") };
                return parse_after_node(line + known->node_size, line + size, known, ret) ? RECORD_OK : RECORD_E_FORM;
        }

        /* Of another node, or something is wrong: which fault is it? */
        RecordFault fault = record_parse_next(line, size, known, ret);

        if (fault == RECORD_OK && (!any || ret->node.size == 0))
                return RECORD_E_NODE;
        if (fault == RECORD_OK) {
                memcpy(known->node, line, ret->type_offset);
                known->node_size = ret->type_offset;
        }
        return fault;
}

RecordFault record_check(const uint8_t *line, size_t size, const char *node)
{
        RecordKnown known = { 0 };

        if (size == 0 || memchr(line, '\n', size) != line + size - 1)
                return RECORD_E_FORM;
        if (node)
                record_know_node(&known, node);
        return check_line(line, size, &known, !node, false, &(RecordPrefix) { 0 });
}

size_t record_next(const uint8_t *payload, size_t size)
{
        const uint8_t *newline = size > 0 ? memchr(payload, '\n', size) : NULL;

        if (size == 0)
                return 0;
        return newline ? (size_t) (newline + 1 - payload) : SIZE_MAX;
}

RecordFault record_check_batch(const Batch *batch, const char *node, uint32_t *ret_line, BatchSpan *ret_span)
{
        const uint8_t *p = batch->payload;
        size_t left = batch->size, size;
        RecordSpan sum = RECORD_SPAN_INIT;
        RecordKnown known = { 0 };
        RecordPrefix prefix;
        bool clean;

        *ret_line = 0;
        /* The argument of these is no line. */
        if (batch->reason == BATCH_CUSTODY || batch->reason == BATCH_LOST)
                return RECORD_OK;
        if (node)
                record_know_node(&known, node);
        clean = left == 0 || (!memchr(p, '\r', left) && !memchr(p, '\0', left));
        for (; (size = record_next(p, left)) > 0; p += size, left -= size, (*ret_line)++) {
                RecordFault fault;

                if (size == SIZE_MAX)
                        return RECORD_E_COUNT;
                fault = check_line(p, size, &known, !node, clean, &prefix);
                if (fault != RECORD_OK)
                        return fault;
                if (ret_span)
                        record_span_add(&sum, &prefix);
        }
        if (*ret_line != batch->count)
                return RECORD_E_COUNT;
        if (ret_span)
                record_span_end(&sum, ret_span);
        return RECORD_OK;
}
