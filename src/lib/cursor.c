/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Cursors as text and in files: "STREAM:SEQ:CHECKSUM", 32 hexadecimal digits, a decimal number, 16
 * hexadecimal digits. */

#include "basic/batch.h"
#include "lib/relay.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

_public_ void audit_relay_cursor_format(const AuditRelayCursor *cursor, char text[AUDIT_RELAY_CURSOR_SIZE])
{
        char stream[33];
        StreamId id;

        memcpy(id.bytes, cursor->stream, sizeof id.bytes);
        stream_id_format(&id, stream);
        (void) snprintf(text, AUDIT_RELAY_CURSOR_SIZE, "%s:%" PRIu64 ":%016" PRIx64, stream, cursor->seq,
                        cursor->checksum);
}

/* Digits of the base up to `end`, and nothing else. */
static const char *parse_number(const char *p, int base, char end, uint64_t *ret)
{
        static const char digits[] = "0123456789abcdef";
        char *after;

        if (*p == '\0' || !memchr(digits, *p, (size_t) base))
                return NULL;
        errno = 0;
        *ret = strtoull(p, &after, base);
        return errno == 0 && *after == end ? after + (end != '\0') : NULL;
}

_public_ int audit_relay_cursor_parse(const char *text, AuditRelayCursor *ret)
{
        AuditRelayCursor cursor;
        char digits[17] = { 0 };

        for (unsigned half = 0; half < 2; half++) {
                uint64_t value;

                if (strnlen(text, 16) < 16)
                        return -EINVAL;
                memcpy(digits, text, 16);
                if (strspn(digits, "0123456789abcdef") != 16 || !parse_number(digits, 16, '\0', &value))
                        return -EINVAL;
                for (unsigned i = 0; i < 8; i++)
                        cursor.stream[8 * half + i] = (uint8_t) (value >> (56 - 8 * i));
                text += 16;
        }
        if (*text++ != ':')
                return -EINVAL;
        text = parse_number(text, 10, ':', &cursor.seq);
        if (!text || strspn(text, "0123456789abcdef") != 16 ||
            !parse_number(text, 16, '\0', &cursor.checksum))
                return -EINVAL;
        *ret = cursor;
        return 0;
}

static int write_file(const char *path, const char *text, size_t size)
{
        _cleanup_(close_fdp) int fd =
                open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = write(fd, text, size);
        if (n < 0 || fdatasync(fd) < 0)
                return -errno;
        return (size_t) n == size ? 0 : -ENOSPC;
}

/* A rename is on disk when its directory is. */
static int sync_directory(const char *path)
{
        _cleanup_(freep) char *directory = strdup(path);
        _cleanup_(close_fdp) int fd = -EBADF;
        char *slash;

        if (!directory)
                return -ENOMEM;
        slash = strrchr(directory, '/');
        if (slash)
                slash[slash == directory] = '\0';
        fd = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return fsync(fd) < 0 ? -errno : 0;
}

int cursor_replace_file(const char *path, const char *text)
{
        _cleanup_(freep) char *beside = NULL;
        int r;

        if (asprintf(&beside, "%s.new", path) < 0) {
                beside = NULL;
                return -ENOMEM;
        }
        r = write_file(beside, text, strlen(text));
        if (r >= 0 && rename(beside, path) < 0)
                r = -errno;
        if (r < 0) {
                (void) unlink(beside);
                return r;
        }
        return sync_directory(path);
}

_public_ int audit_relay_cursor_save(const char *path, const AuditRelayCursor *cursor)
{
        char text[AUDIT_RELAY_CURSOR_SIZE + 1];

        audit_relay_cursor_format(cursor, text);
        strcat(text, "\n");
        return cursor_replace_file(path, text);
}

_public_ int audit_relay_cursor_load(const char *path, AuditRelayCursor *ret)
{
        _cleanup_(close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
        char text[AUDIT_RELAY_CURSOR_SIZE + 1];
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = read(fd, text, sizeof text - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        text[strcspn(text, "\n")] = '\0';
        return audit_relay_cursor_parse(text, ret);
}
