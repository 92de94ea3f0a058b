/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tool/systemctl.h"
#include "basic/unix.h"
#include "runtime/config.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

/* Of one command line, ours are shorter; and of what `show` says of some dozen units. */
#define ARGUMENTS_MAX 64U
#define TEXT_MAX (1024U * 1024U)

/* `output`: its standard output; negative: ours, and its complaints as well. */
static int spawn(char *const *argv, int output, pid_t *ret_pid)
{
        posix_spawn_file_actions_t actions;
        int r = posix_spawn_file_actions_init(&actions);

        if (r != 0)
                return -r;
        if (output >= 0) {
                r = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
                if (r == 0)
                        r = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        }
        if (r == 0)
                r = posix_spawnp(ret_pid, "systemctl", &actions, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        return -r;
}

int systemctl_run(const char *const *arguments, char **ret_text)
{
        _cleanup_(close_fdp) int from = -EBADF, to = -EBADF;
        char *argv[ARGUMENTS_MAX + 2] = { (char *) "systemctl" };
        int pipe_fds[2], status, r = 0;
        pid_t pid;

        for (size_t i = 0; arguments[i]; i++) {
                if (i == ARGUMENTS_MAX)
                        return -E2BIG;
                argv[i + 1] = (char *) arguments[i];
        }
        if (ret_text) {
                if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                        return -errno;
                from = pipe_fds[0];
                to = pipe_fds[1];
        }
        r = spawn(argv, to, &pid);
        if (r < 0)
                return r;
        if (ret_text) {
                to = close_fd(to);
                r = read_text(from, TEXT_MAX, ret_text, NULL);
                /* What is not read any more ends it. */
                from = close_fd(from);
        }
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        if (r < 0)
                return r;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -ECANCELED;
}

int systemctl_show(const char *properties, const char *const *units, char **ret_text)
{
        const char *arguments[ARGUMENTS_MAX + 1] = { "show", "--no-pager" };
        char option[512];
        size_t n = 2;
        int r;

        (void) snprintf(option, sizeof option, "--property=Id,%s", properties);
        arguments[n++] = option;
        for (size_t i = 0; units[i]; i++) {
                if (n == ARGUMENTS_MAX)
                        return -E2BIG;
                arguments[n++] = units[i];
        }
        r = systemctl_run(arguments, ret_text);
        return r > 0 ? -EIO : r;
}

/* The block of the unit; *ret_end is where it ends. */
static const char *find_block(const char *text, const char *unit, const char **ret_end)
{
        char wanted[300];
        int n = snprintf(wanted, sizeof wanted, "Id=%s\n", unit);

        for (const char *p = text; p && *p != '\0';) {
                const char *end = strstr(p, "\n\n");
                const char *found = strstr(p, wanted);

                end = end ? end + 1 : p + strlen(p);
                if (found && found + n <= end && (found == p || found[-1] == '\n')) {
                        *ret_end = end;
                        return p;
                }
                p = end + (*end == '\n');
        }
        return NULL;
}

char *systemctl_property(const char *text, const char *unit, const char *property)
{
        const char *end = NULL, *p = find_block(text, unit, &end);
        size_t n = strlen(property);

        for (; p && p < end; p += strcspn(p, "\n") + 1)
                if (strncmp(p, property, n) == 0 && p[n] == '=')
                        return strndup(p + n + 1, strcspn(p + n + 1, "\n"));
        return NULL;
}

int systemctl_properties(const char *text, const char *unit, const char *property, char ***ret_values)
{
        const char *end = NULL, *p = find_block(text, unit, &end);
        size_t n = strlen(property);
        int r = 0;

        for (; p && p < end && r == 0; p += strcspn(p, "\n") + 1)
                if (strncmp(p, property, n) == 0 && p[n] == '=' && p[n + 1] != '\n') {
                        _cleanup_(freep) char *value = strndup(p + n + 1, strcspn(p + n + 1, "\n"));

                        r = value ? strings_append(ret_values, value) : -ENOMEM;
                }
        return r;
}

bool systemctl_is(const char *text, const char *unit, const char *property, const char *value)
{
        _cleanup_(freep) char *found = systemctl_property(text, unit, property);

        return found && strcmp(found, value) == 0;
}
