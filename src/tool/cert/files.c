/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tool/cert/files.h"
#include "basic/unix.h"
#include "tool/reason.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

char *cert_path(const char *directory, const char *name)
{
        char *path;

        return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

static int say(const char *what, const char *path, int error)
{
        fprintf(stderr, "Cannot %s %s: %s\n", what, path, tool_reason(error));
        return -error;
}

int cert_make_directory(const char *path, mode_t mode)
{
        _cleanup_(freep) char *copy = strdup(path);
        struct stat st;

        if (!copy)
                return say("make", path, ENOMEM);
        for (char *slash = copy + 1; *copy && (slash = strchr(slash, '/')); slash++) {
                *slash = '\0';
                if (mkdir(copy, 0755) < 0 && errno != EEXIST)
                        return say("make", copy, errno);
                *slash = '/';
        }
        if (mkdir(path, mode) == 0)
                return 0;
        if (errno != EEXIST)
                return say("make", path, errno);
        if (stat(path, &st) < 0)
                return say("look at", path, errno);
        return S_ISDIR(st.st_mode) ? 0 : say("make", path, ENOTDIR);
}

static int write_all(int fd, const char *text, mode_t mode)
{
        size_t left = strlen(text);

        /* Before the first byte, whatever the umask. */
        if (fchmod(fd, mode) < 0)
                return -errno;
        while (left > 0) {
                ssize_t n = write(fd, text, left);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                text += n;
                left -= (size_t) n;
        }
        return fsync(fd) < 0 ? -errno : 0;
}

int cert_write(const char *directory, const char *name, const char *text, mode_t mode)
{
        _cleanup_(freep) char *path = cert_path(directory, name), *fresh = NULL;
        _cleanup_(close_fdp) int fd = -EBADF;
        int r;

        if (!path || asprintf(&fresh, "%s.new", path) < 0)
                return say("write", name, ENOMEM);
        if (unlink(fresh) < 0 && errno != ENOENT)
                return say("remove", fresh, errno);
        fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return say("write", fresh, errno);
        r = write_all(fd, text, mode);
        if (r >= 0 && rename(fresh, path) < 0)
                r = -errno;
        if (r < 0) {
                (void) unlink(fresh);
                return say("write", path, -r);
        }
        return 0;
}

int cert_read(const char *path, bool missing_ok, char **ret)
{
        _cleanup_(freep) char *text = NULL;
        _cleanup_(close_fdp) int fd = -EBADF;
        size_t size = 0;

        *ret = NULL;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return missing_ok && errno == ENOENT ? 0 : say("read", path, errno);
        text = malloc(CERT_FILE_MAX + 1);
        if (!text)
                return say("read", path, ENOMEM);
        for (;;) {
                ssize_t n = read(fd, text + size, CERT_FILE_MAX - size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return say("read", path, errno);
                if (n == 0)
                        break;
                size += (size_t) n;
        }
        if (size == CERT_FILE_MAX)
                return say("read", path, EFBIG);
        text[size] = '\0';
        *ret = TAKE_PTR(text);
        return 0;
}

int cert_keep_old(const char *directory, const char *name, bool move)
{
        _cleanup_(freep) char *path = cert_path(directory, name), *old = NULL;

        if (!path || asprintf(&old, "%s.old", path) < 0)
                return say("keep", name, ENOMEM);
        if (move)
                return rename(path, old) < 0 && errno != ENOENT ? say("rename", path, errno) : 0;
        if (access(path, F_OK) < 0 && errno == ENOENT)
                return 0;
        if (unlink(old) < 0 && errno != ENOENT)
                return say("remove", old, errno);
        return link(path, old) < 0 ? say("keep", path, errno) : 0;
}

int cert_read_input(const char *what, char **ret)
{
        size_t size = 0;
        int r;

        if (isatty(STDIN_FILENO))
                fprintf(stderr, "Paste %s, and end with Ctrl-D:\n", what);
        r = read_text(STDIN_FILENO, CERT_FILE_MAX, ret, &size);
        if (r < 0)
                return say("read", "standard input", -r);
        if (size > 0 && size < CERT_FILE_MAX)
                return 0;
        free(*ret);
        *ret = NULL;
        if (size > 0)
                return say("read", "standard input", EFBIG);
        fprintf(stderr, "There is nothing on standard input: expected is %s\n", what);
        return -ENODATA;
}
