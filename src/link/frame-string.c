/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The strings of frames: which frame has which, and what they may hold.
 *
 * Names become parts of file names, log lines and records, so their alphabet is closed here, once. Text for
 * people is not judged: who shows it escapes it.
 */

#include "link/frame-string.h"

static bool name_valid(LinkString string)
{
        if (string.size > NODE_NAME_MAX)
                return false;
        for (size_t i = 0; i < string.size; i++)
                if (string.data[i] <= ' ' || string.data[i] > '~')
                        return false;
        return true;
}

static bool holds(LinkString string, char c)
{
        return string.size > 0 && memchr(string.data, c, string.size);
}

bool frame_string_valid(LinkString string, FrameStringKind kind)
{
        switch (kind) {
        case FRAME_STRING_NAME:
                return string.size > 0 && name_valid(string);
        case FRAME_STRING_OPTIONAL:
                return name_valid(string);
        case FRAME_STRING_TEXT:
                return !holds(string, '\0');
        case FRAME_STRING_LINES:
                return !holds(string, '\0') && !holds(string, '\r');
        }
        return false;
}

const FrameStringKind *frame_string_kinds(FrameType type, size_t *ret_n)
{
        static const struct {
                size_t n;
                FrameStringKind kinds[FRAME_STRINGS_MAX];
        } table[_FRAME_MAX] = {
                [FRAME_HELLO] = { 3, { FRAME_STRING_NAME, FRAME_STRING_TEXT, FRAME_STRING_TEXT } },
                [FRAME_WELCOME] = { 3, { FRAME_STRING_NAME, FRAME_STRING_OPTIONAL, FRAME_STRING_TEXT } },
                [FRAME_RECEIPT] = { 1, { FRAME_STRING_LINES } },
                [FRAME_STATE] = { 2, { FRAME_STRING_NAME, FRAME_STRING_LINES } },
                [FRAME_COMMAND] = { 2, { FRAME_STRING_NAME, FRAME_STRING_LINES } },
                [FRAME_REPLY] = { 1, { FRAME_STRING_TEXT } },
                [FRAME_BYE] = { 1, { FRAME_STRING_TEXT } },
        };

        *ret_n = table[type].n;
        return table[type].kinds;
}
