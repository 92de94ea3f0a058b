/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Writing lines, once, at the source: from a kernel message, or from a line that a producer wrote.
 *
 *  1. Deterministic: after a crash the same message is formatted again and must give the same bytes.
 *  2. A line written here passes record_check().
 *  3. The text is copied untouched but for LF, CR and NUL, which become spaces and are counted: only privileged user-space
 *     senders can put them there, and a newline would be a forged record.
 */

#include "record/record.h"

#include <libaudit.h>
#include <stdio.h>

#define TYPES (UINT16_MAX + 1)

/* "node=", the longest name, " type=", the longest type name libaudit has (below 40), " msg=" and the newline. */
_Static_assert(RECORD_TEXT_MAX + NODE_NAME_MAX + 64 < RECORD_LINE_MAX, "every text fits into a line");

typedef struct TypeName {
        const char *name;
        uint32_t size;
} TypeName;

/* Looked up once a type. Only the pages of types that occur are ever touched. */
static const TypeName *type_name(uint16_t type)
{
        static TypeName names[TYPES];
        static char unknown[TYPES][sizeof "UNKNOWN[65535]"];
        TypeName *entry = &names[type];
        const char *name;

        if (entry->name)
                return entry;
        name = audit_msg_type_to_name(type);
        if (!name) {
                (void) snprintf(unknown[type], sizeof unknown[type], "UNKNOWN[%u]", (unsigned) type);
                name = unknown[type];
        }
        *entry = (TypeName) { name, (uint32_t) strlen(name) };
        return entry;
}

const char *record_type_name(uint16_t type)
{
        return type_name(type)->name;
}

static uint8_t *put(uint8_t *out, const void *data, size_t size)
{
        memcpy(out, data, size);
        return out + size;
}

/* Makes every `byte` a space; nearly always there is none. */
static uint64_t replace(uint8_t *text, size_t size, int byte)
{
        uint8_t *end = text + size;
        uint64_t n = 0;

        for (uint8_t *p = text; (p = memchr(p, byte, (size_t) (end - p))); n++)
                *p = ' ';
        return n;
}

static uint64_t replace_all(uint8_t *text, size_t size)
{
        return replace(text, size, '\n') + replace(text, size, '\r') + replace(text, size, '\0');
}

/* Copies a text and ends the line. Returns what follows. */
static uint8_t *put_text(uint8_t *out, const uint8_t *text, size_t size, uint64_t *replaced)
{
        uint8_t *end = put(out, text, size);

        *replaced += replace_all(out, size);
        *end = '\n';
        return end + 1;
}

static uint8_t *put_node(uint8_t *out, const char *node)
{
        out = put(out, "node=", 5);
        out = put(out, node, strnlen(node, NODE_NAME_MAX));
        *out = ' ';
        return out + 1;
}

size_t record_format(uint16_t type, const uint8_t *text, size_t text_size, const char *node, uint8_t *out,
                     uint64_t *replaced)
{
        const TypeName *name = type_name(type);
        RecordTime time;
        uint8_t *p;

        text_size = MIN(text_size, (size_t) RECORD_TEXT_MAX);
        if (record_parse_time(text, text_size, &time) == 0)
                return 0;
        p = put_node(out, node);
        p = put(p, "type=", 5);
        p = put(p, name->name, name->size);
        p = put(p, " msg=", 5);
        p = put_text(p, text, text_size, replaced);
        return (size_t) (p - out);
}

void record_adopter_init(RecordAdopter *adopter, const char *node, const uint8_t *text, size_t size)
{
        adopter->known = (RecordKnown) { 0 };
        record_know_node(&adopter->known, node);
        adopter->clean = size > 0 && !memchr(text, '\r', size) && !memchr(text, '\0', size);
        adopter->replaced = 0;
}

/* `known`: the node it becomes one of. */
static RecordFault adopt(RecordKnown *known, bool clean, const uint8_t *line, size_t size, uint8_t *out, size_t *ret_size,
                         uint64_t *replaced)
{
        RecordPrefix prefix;
        RecordFault fault = record_parse_next(line, size, known, &prefix);
        uint8_t *p;

        if (fault != RECORD_OK)
                return fault;
        if (prefix.type_offset > 0 &&
            (prefix.type_offset != known->node_size || memcmp(line, known->node, known->node_size) != 0))
                return RECORD_E_NODE;
        line += prefix.type_offset;
        size -= prefix.type_offset;
        if (size > RECORD_LINE_MAX - known->node_size - strlen("\n"))
                return RECORD_E_LONG;
        p = put(out, known->node, known->node_size);
        p = put(p, line, size);
        if (!clean)
                *replaced += replace_all(p - size, size);
        *p++ = '\n';
        *ret_size = (size_t) (p - out);
        return RECORD_OK;
}

RecordFault record_adopt_next(RecordAdopter *adopter, const uint8_t *line, size_t size, uint8_t *out, size_t *ret_size)
{
        return adopt(&adopter->known, adopter->clean, line, size, out, ret_size, &adopter->replaced);
}

RecordFault record_adopt(const uint8_t *line, size_t size, const char *node, uint8_t *out, size_t *ret_size,
                         uint64_t *replaced)
{
        RecordKnown known = { 0 };

        record_know_node(&known, node);
        return adopt(&known, false, line, size, out, ret_size, replaced);
}
