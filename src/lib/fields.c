/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Looking into a record's text: space-separated NAME=value, where a value is a bare word or in double
 * quotes. Text that others control is either quoted without blanks and quotes in it, or written in
 * hexadecimal: so a field cannot be forged from inside another one's value.
 *
 * Keys (auditctl -k) stand in the one record of an event that is about the system call, or about the rule:
 * quoted; several of them separated by the byte 1, and then, as for any control byte, in hexadecimal.
 */

#include "lib/fields.h"
#include "record/record-filter.h"

#include <libaudit.h>

/* What auditd with log_format=ENRICHED adds stands behind this byte. */
#define ENRICHED 0x1d
#define KEY_SEPARATOR 0x01

static int hex_digit(uint8_t c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

ssize_t field_decode(RecordSlice text, uint8_t *out, size_t size)
{
        if (text.size % 2 != 0)
                return -EINVAL;
        if (text.size / 2 > size)
                return -ENOBUFS;
        for (size_t i = 0; i < text.size; i += 2) {
                int high = hex_digit(text.data[i]), low = hex_digit(text.data[i + 1]);

                if (high < 0 || low < 0)
                        return -EINVAL;
                out[i / 2] = (uint8_t) (high << 4 | low);
        }
        return (ssize_t) (text.size / 2);
}

/* Where the value at p ends. */
static const uint8_t *value_end(const uint8_t *p, const uint8_t *end, bool *ret_quoted)
{
        const uint8_t *q = p < end && *p == '"' ? memchr(p + 1, '"', (size_t) (end - p - 1)) : NULL;

        *ret_quoted = q != NULL;
        if (q)
                return q;
        while (p < end && *p != ' ')
                p++;
        return p;
}

/* Up to where auditd's additions begin. */
static const uint8_t *fields_end(RecordSlice text)
{
        const uint8_t *enriched = text.size > 0 ? memchr(text.data, ENRICHED, text.size) : NULL;

        return enriched ? enriched : text.data + text.size;
}

/* Behind a field: the next one. */
static const uint8_t *skip_to_next(const uint8_t *p, const uint8_t *end)
{
        while (p < end && *p != ' ')
                p++;
        while (p < end && *p == ' ')
                p++;
        return p;
}

bool field_next(RecordSlice text, size_t *offset, Field *ret)
{
        static const char message[] = "msg='";
        const size_t message_size = sizeof message - 1;
        const uint8_t *p, *end, *equals, *after;

        if (text.size == 0)
                return false;
        end = fields_end(text);
        for (p = text.data + MIN(*offset, text.size); p < end; p = skip_to_next(p, end)) {
                if ((size_t) (end - p) > message_size && memcmp(p, message, message_size) == 0)
                        p += message_size;
                for (equals = p; equals < end && *equals != '=' && *equals != ' ';)
                        equals++;
                if (equals == end || *equals != '=' || equals == p)
                        continue;
                after = value_end(equals + 1, end, &ret->quoted);
                ret->name = (RecordSlice) { p, (size_t) (equals - p) };
                ret->value.data = equals + 1 + ret->quoted;
                ret->value.size = (size_t) (after - ret->value.data);
                *offset = (size_t) (skip_to_next(after, end) - text.data);
                /* The quote that ends msg='…', which is last, is no part of its last value. */
                if (!ret->quoted && after == end && ret->value.size > 0 && after[-1] == '\'' &&
                    memmem(text.data, text.size, message, message_size))
                        ret->value.size--;
                return true;
        }
        return false;
}

bool field_find(RecordSlice text, const char *name, Field *ret)
{
        size_t offset = 0, size = strlen(name);

        while (field_next(text, &offset, ret))
                if (ret->name.size == size && memcmp(ret->name.data, name, size) == 0)
                        return true;
        return false;
}

uint32_t type_number(RecordSlice name)
{
        uint32_t number;

        return record_type_number(name.data, name.size, &number) ? number : 0;
}

int keys_add(Keys *keys, const char *key)
{
        size_t size = strlen(key);

        if (size == 0 || size > KEY_MAX || keys->n == KEYS_MAX)
                return -EINVAL;
        keys->keys[keys->n] = strdup(key);
        if (!keys->keys[keys->n])
                return -ENOMEM;
        keys->n++;
        return 0;
}

void keys_done(Keys *keys)
{
        for (size_t i = 0; i < keys->n; i++)
                free(keys->keys[i]);
        keys->n = 0;
}

static bool is_wanted(const Keys *keys, const uint8_t *key, size_t size)
{
        for (size_t i = 0; i < keys->n; i++)
                if (strlen(keys->keys[i]) == size && memcmp(keys->keys[i], key, size) == 0)
                        return true;
        return false;
}

static bool one_is_wanted(const Keys *keys, const uint8_t *list, size_t size)
{
        const uint8_t *end = list + size;

        for (const uint8_t *p = list; p <= end;) {
                const uint8_t *separator = memchr(p, KEY_SEPARATOR, (size_t) (end - p));
                const uint8_t *key_end = separator ? separator : end;

                if (is_wanted(keys, p, (size_t) (key_end - p)))
                        return true;
                p = key_end + 1;
        }
        return false;
}

bool keys_match(const Keys *keys, uint32_t type, RecordSlice text)
{
        uint8_t decoded[RECORD_LINE_MAX / 2];
        Field field;
        ssize_t n;

        /* Others may hold what looks like one and is text of a program. */
        if (type != AUDIT_SYSCALL && type != AUDIT_URINGOP && type != AUDIT_CONFIG_CHANGE)
                return false;
        if (!field_find(text, "key", &field))
                return false;
        if (field.quoted)
                return one_is_wanted(keys, field.value.data, field.value.size);
        n = field_decode(field.value, decoded, sizeof decoded);
        return n > 0 && one_is_wanted(keys, decoded, (size_t) n);
}
