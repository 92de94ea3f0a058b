/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A component runs while it holds the lock on its directory; the status file's age tells whether its loop
 * still turns.
 */

#include "tool/component.h"
#include "basic/unix.h"
#include "runtime/config.h"
#include "runtime/loop.h"
#include "runtime/state.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

/* A file of a component is larger only if something is wrong with it: an aggregator tells a kilobyte of each
 * peer. */
#define STATE_FILE_MAX (16U * 1024U * 1024U)
/* A loop that misses its status this often is stuck. */
#define STATUS_STALE_USEC (3 * STATUS_FRESH_USEC)

const char *const health_names[N_HEALTHS] = { "running", "not responding", "not running" };

void component_done(Component *component)
{
        free(component->name);
        free(component->status);
        free(component->text);
        strings_free(component->conditions);
        strings_free(component->files);
}

/* --- Reading --- */

static char *read_at(int dir, const char *name)
{
        _cleanup_(close_fdp) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        char *text;

        return fd >= 0 && read_text(fd, STATE_FILE_MAX, &text, NULL) >= 0 ? text : NULL;
}

static Health judge_health(int dir)
{
        struct stat st;
        uint64_t modified;

        /* We got the lock, so nobody has it; it goes with the descriptor. */
        if (flock(dir, LOCK_SH | LOCK_NB) >= 0) {
                (void) flock(dir, LOCK_UN);
                return HEALTH_NOT_RUNNING;
        }
        /* It just starts. */
        if (fstatat(dir, "status", &st, AT_SYMLINK_NOFOLLOW) < 0)
                return HEALTH_RUNNING;
        modified = (uint64_t) st.st_mtim.tv_sec * USEC_PER_SEC + (uint64_t) st.st_mtim.tv_nsec / 1000;
        return modified + STATUS_STALE_USEC < realtime_usec() ? HEALTH_STUCK : HEALTH_RUNNING;
}

/* Takes the backslashes of OpenMetrics or of a quoted value out, in place. */
static void unescape(char *text)
{
        char *to = text;

        for (; *text != '\0'; text++) {
                if (*text == '\\' && text[1] != '\0')
                        text++;
                *to++ = *text;
        }
        *to = '\0';
}

/* A terminal must not be told what to do by whoever wrote the text. */
static void make_printable(char *text)
{
        for (; *text != '\0'; text++)
                if (((unsigned char) *text < 0x20 && *text != '\n') || *text == 0x7f)
                        *text = '?';
}

static char *find_status_line(const char *text)
{
        const char *begin = strstr(text, " STATUS=");
        char *line;

        if (!begin)
                return NULL;
        begin += strlen(" STATUS=");
        line = strndup(begin, strcspn(begin, "\n"));
        if (line)
                unescape(line);
        return line;
}

static bool name_is_condition(const char *name)
{
        return name[0] != '.' && strcmp(name, "status") != 0;
}

static int read_conditions(int fd, Component *component)
{
        struct dirent **entries;
        int n = scandirat(fd, ".", &entries, NULL, alphasort);
        int r = n < 0 ? -errno : 0;

        for (int i = 0; i < n; i++) {
                _cleanup_(freep) char *text = NULL;

                if (r == 0 && name_is_condition(entries[i]->d_name))
                        text = read_at(fd, entries[i]->d_name);
                if (text) {
                        make_printable(text);
                        r = strings_append(&component->conditions, entries[i]->d_name);
                        if (r == 0)
                                r = strings_append(&component->files, text);
                }
                free(entries[i]);
        }
        if (n >= 0)
                free(entries);
        return r;
}

int component_read(const char *directory, const char *name, Component *ret)
{
        _cleanup_(close_fdp) int fd = -EBADF;
        Component component = { .health = HEALTH_NOT_RUNNING };
        char path[PATH_MAX];
        int r = 0;

        if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int) sizeof path)
                return -ENAMETOOLONG;
        component.name = strdup(name);
        if (!component.name)
                return -ENOMEM;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
                component.health = judge_health(fd);
                component.text = read_at(fd, "status");
                if (component.text) {
                        make_printable(component.text);
                        component.status = find_status_line(component.text);
                }
                r = read_conditions(fd, &component);
        } else if (errno != ENOENT) {
                r = -errno;
        }
        if (r < 0)
                component_done(&component);
        else
                *ret = component;
        return r;
}

/* --- Lines of the files --- */

const char *component_next_pair(const char *p, char **ret_key, char **ret_value)
{
        size_t line = strcspn(p, "\n");
        size_t key = strcspn(p, "=\n");

        if (*p == '\0')
                return NULL;
        *ret_key = strndup(p, key);
        *ret_value = key < line ? strndup(p + key + 1, line - key - 1) : strdup("");
        if (*ret_value && (*ret_value)[0] == '"') {
                size_t n = strlen(*ret_value);

                if (n > 1 && (*ret_value)[n - 1] == '"')
                        (*ret_value)[n - 1] = '\0';
                memmove(*ret_value, *ret_value + 1, strlen(*ret_value));
                unescape(*ret_value);
        }
        return p + line + (p[line] == '\n');
}

const char *component_next_sample(const Component *component, const char *p, char **ret_name, char **ret_value)
{
        char prefix[NAME_MAX];
        int n = snprintf(prefix, sizeof prefix, "audit_relay_%s_", component->name);

        for (; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n') {
                size_t line = strcspn(p, "\n");
                const char *space = memrchr(p, ' ', line);

                if (strncmp(p, prefix, (size_t) n) != 0 || !space || strncmp(p + n, "up ", 3) == 0)
                        continue;
                *ret_name = strndup(p + n, (size_t) (space - p) - (size_t) n);
                *ret_value = strndup(space + 1, line - (size_t) (space + 1 - p));
                return p + line + (p[line] == '\n');
        }
        return NULL;
}

char *component_find_pair(const char *file, const char *wanted)
{
        char *key, *value, *found = NULL;

        while (!found && (file = component_next_pair(file, &key, &value))) {
                if (key && value && strcmp(key, wanted) == 0)
                        found = TAKE_PTR(value);
                free(key);
                free(value);
        }
        return found;
}

bool component_sample(const Component *component, const char *name, double *ret)
{
        const char *p = component->text;
        char *key, *value;
        bool found = false;

        while (!found && p && (p = component_next_sample(component, p, &key, &value))) {
                found = key && value && strcmp(key, name) == 0;
                if (found)
                        *ret = strtod(value, NULL);
                free(key);
                free(value);
        }
        return found;
}

/* --- Which there are --- */

static int filter_visible(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

int component_list(const char *directory, char ***ret_names)
{
        struct dirent **entries;
        int n = scandir(directory, &entries, filter_visible, alphasort);
        int r = 0;

        if (n < 0)
                return errno == ENOENT ? 0 : -errno;
        for (int i = 0; i < n; i++) {
                char path[PATH_MAX];
                struct stat st;

                if (r == 0 &&
                    snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name) <
                            (int) sizeof path &&
                    stat(path, &st) >= 0 && S_ISDIR(st.st_mode))
                        r = strings_append(ret_names, entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);
        return r;
}

