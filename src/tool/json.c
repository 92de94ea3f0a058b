/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tool/json.h"

#include <ctype.h>
#include <inttypes.h>

/* Length of the UTF-8 sequence at `p`, 0 when it is none: overlong, a surrogate, beyond U+10FFFF or cut. */
static size_t utf8_size(const unsigned char *p)
{
        size_t n = p[0] < 0x80                   ? 1
                   : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                   : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                   : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                                 : 0;

        for (size_t i = 1; i < n; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) ||
            (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90))
                return 0;
        return n;
}

static void write_string(FILE *to, const char *text)
{
        const unsigned char *p = (const unsigned char *) text;

        fputc('"', to);
        while (*p != '\0') {
                size_t n = utf8_size(p);

                if (n == 0)
                        fputs("\\ufffd", to);
                else if (*p == '"' || *p == '\\')
                        fprintf(to, "\\%c", *p);
                else if (*p < 0x20 || *p == 0x7f)
                        fprintf(to, "\\u%04x", (unsigned) *p);
                else
                        (void) fwrite(p, 1, n, to);
                p += n == 0 ? 1 : n;
        }
        fputc('"', to);
}

static void begin_value(Json *json, const char *name)
{
        if (json->more)
                fputc(',', json->to);
        if (json->depth > 0 && !json->compact)
                fprintf(json->to, "\n%*s", (int) (json->depth * 2), "");
        json->more = true;
        if (name) {
                write_string(json->to, name);
                fputs(json->compact ? ":" : ": ", json->to);
        }
}

static void begin_group(Json *json, const char *name, char bracket)
{
        begin_value(json, name);
        fputc(bracket, json->to);
        json->depth++;
        json->more = false;
}

static void end_group(Json *json, char bracket)
{
        json->depth--;
        if (json->more && !json->compact)
                fprintf(json->to, "\n%*s", (int) (json->depth * 2), "");
        fputc(bracket, json->to);
        json->more = true;
}

void json_object_begin(Json *json, const char *name)
{
        begin_group(json, name, '{');
}

void json_object_end(Json *json)
{
        end_group(json, '}');
}

void json_array_begin(Json *json, const char *name)
{
        begin_group(json, name, '[');
}

void json_array_end(Json *json)
{
        end_group(json, ']');
}

void json_string(Json *json, const char *name, const char *value)
{
        begin_value(json, name);
        if (value)
                write_string(json->to, value);
        else
                fputs("null", json->to);
}

/* JSON's grammar: no leading zeros, no plus, a digit on both sides of the point. */
static bool is_number(const char *p)
{
        p += *p == '-';
        if (!isdigit((unsigned char) *p) || (p[0] == '0' && isdigit((unsigned char) p[1])))
                return false;
        while (isdigit((unsigned char) *p))
                p++;
        if (*p == '.') {
                if (!isdigit((unsigned char) *++p))
                        return false;
                while (isdigit((unsigned char) *p))
                        p++;
        }
        if (*p == 'e' || *p == 'E') {
                p++;
                p += *p == '-' || *p == '+';
                if (!isdigit((unsigned char) *p))
                        return false;
                while (isdigit((unsigned char) *p))
                        p++;
        }
        return *p == '\0';
}

void json_number(Json *json, const char *name, const char *value)
{
        if (!is_number(value)) {
                json_string(json, name, value);
                return;
        }
        begin_value(json, name);
        fputs(value, json->to);
}

void json_integer(Json *json, const char *name, int64_t value)
{
        begin_value(json, name);
        fprintf(json->to, "%" PRId64, value);
}

void json_unsigned(Json *json, const char *name, uint64_t value)
{
        begin_value(json, name);
        fprintf(json->to, "%" PRIu64, value);
}

void json_bool(Json *json, const char *name, bool value)
{
        begin_value(json, name);
        fputs(value ? "true" : "false", json->to);
}
