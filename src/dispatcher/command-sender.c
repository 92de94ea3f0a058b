/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A process looked up by its number may be another one already: what was read counts only if the pidfd says
 * afterwards that the process is still there.
 */

#include "dispatcher/command-sender.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

/* Of cgroup: a path, PATH_MAX at most, behind "0::". */
#define FILE_MAX 4352U

static bool is_alive(int pidfd)
{
        struct pollfd pollfd = { .fd = pidfd, .events = POLLIN };

        return pidfd >= 0 && poll(&pollfd, 1, 0) == 0;
}

/* Files below /proc/PID do not block. */
static bool read_file(pid_t pid, const char *name, char *ret, size_t size)
{
        _cleanup_(close_fdp) int fd = -EBADF;
        char path[64];
        ssize_t n;

        (void) snprintf(path, sizeof path, "/proc/%d/%s", (int) pid, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, ret, size - 1);
        ret[n > 0 ? n : 0] = '\0';
        return n > 0;
}

static int64_t read_number(pid_t pid, const char *name)
{
        unsigned number;
        char text[32];

        if (!read_file(pid, name, text, sizeof text) || sscanf(text, "%u", &number) != 1)
                return -1;
        return number;
}

static bool is_unit(const char *name, size_t size)
{
        static const char *const suffixes[] = { ".service", ".scope", ".socket", ".mount", ".swap" };

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                size_t n = strlen(suffixes[i]);

                if (size > n && memcmp(name + size - n, suffixes[i], n) == 0)
                        return true;
        }
        return false;
}

void command_sender_unit(const char *cgroup, char *ret, size_t size)
{
        const char *line = strncmp(cgroup, "0::", 3) == 0 ? cgroup : strstr(cgroup, "\n0::");

        ret[0] = '\0';
        if (!line)
                return;
        for (const char *p = strchr(line, '/'); p && *p == '/';) {
                const char *part = p + 1;
                size_t n = strcspn(part, "/\n");

                if (is_unit(part, n) && n < size) {
                        (void) snprintf(ret, size, "%.*s", (int) n, part);
                        return;
                }
                p = part + n;
        }
}

void command_sender_see(CommandSender *ret, pid_t pid, uid_t uid, int pidfd)
{
        char cgroup[FILE_MAX];
        CommandSender seen = { .pid = pid, .uid = uid };

        /* Process 0 is one of another PID namespace, that has no number here. */
        *ret = (CommandSender) { pid > 0 ? pid : -1, uid, -1, -1, "" };
        if (uid == (uid_t) -1)
                ret->uid = -1;
        if (pid <= 0 || !is_alive(pidfd))
                return;
        seen.auid = read_number(pid, "loginuid");
        seen.ses = read_number(pid, "sessionid");
        if (read_file(pid, "cgroup", cgroup, sizeof cgroup))
                command_sender_unit(cgroup, seen.unit, sizeof seen.unit);
        if (is_alive(pidfd))
                *ret = seen;
}
