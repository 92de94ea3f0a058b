/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A cursor of the library's form for each store, separated by commas: "STREAM:SEQ:CHECKSUM,…". */

#include "tool/log/cursor.h"
#include "lib/relay.h"
#include "tool/reason.h"

#include <fcntl.h>
#include <stdio.h>

/* 0; -EINVAL: that is no cursor. The text is cut up. */
static int parse(LogCursor *cursor, char *text)
{
        cursor->n = 0;
        for (char *one; (one = strsep(&text, ","));)
                if (cursor->n == LOG_STORES_MAX || audit_relay_cursor_parse(one, &cursor->places[cursor->n++]) < 0)
                        return -EINVAL;
        return 0;
}

static int load_file(LogCursor *cursor, const char *file)
{
        char text[LOG_CURSOR_SIZE + 1];
        _cleanup_(close_fdp) int fd = open(file, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        n = read(fd, text, sizeof text - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        text[strcspn(text, "\n")] = '\0';
        return parse(cursor, text);
}

int log_cursor_load(LogCursor *cursor, const char *value, const char **ret_file)
{
        _cleanup_(freep) char *text = strdup(value);
        int r = text ? parse(cursor, text) : -ENOMEM;

        *ret_file = NULL;
        if (r == -EINVAL && *value != '\0') {
                cursor->n = 0;
                *ret_file = value;
                r = load_file(cursor, value);
        }
        if (r < 0)
                fprintf(stderr, "Cannot go on from --cursor=%s: %s\n", value,
                        r == -EINVAL ? "this is neither a cursor nor a file that holds one" : tool_reason(r));
        return r;
}

void log_cursor_format(const LogCursor *cursor, char text[static LOG_CURSOR_SIZE])
{
        text[0] = '\0';
        for (size_t i = 0; i < cursor->n; i++) {
                audit_relay_cursor_format(&cursor->places[i], text);
                text += strlen(text);
                if (i + 1 < cursor->n)
                        *text++ = ',';
        }
}

int log_cursor_save(const LogCursor *cursor, const char *file)
{
        char text[LOG_CURSOR_SIZE + 1];
        int r;

        log_cursor_format(cursor, text);
        strcat(text, "\n");
        r = cursor_replace_file(file, text);
        if (r < 0)
                fprintf(stderr, "Cannot save the cursor in %s: %s\n", file, tool_reason(r));
        return r;
}
