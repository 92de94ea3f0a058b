/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which configuration files there are: the *.conf of some directories, of which an earlier one hides in the
 * later ones what has the same name. So a file in /etc replaces one that a package ships.
 */

#include "runtime/config.h"
#include "runtime/log.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

const char *const config_directories[] = { "/etc/audit-relay", "/run/audit-relay", "/usr/lib/audit-relay",
                                           NULL };

char **strings_free(char **strings)
{
        for (size_t i = 0; strings && strings[i]; i++)
                free(strings[i]);
        free(strings);
        return NULL;
}

size_t strings_count(char *const *strings)
{
        size_t n = 0;

        while (strings && strings[n])
                n++;
        return n;
}

int strings_append(char ***strings, const char *string)
{
        size_t n = strings_count(*strings);
        char **grown = reallocarray(*strings, n + 2, sizeof *grown);

        if (!grown)
                return -ENOMEM;
        *strings = grown;
        grown[n] = strdup(string);
        grown[n + 1] = NULL;
        return grown[n] ? 0 : -ENOMEM;
}

static bool name_is_conf(const char *name)
{
        size_t n = strlen(name);

        return n > 5 && name[0] != '.' && strcmp(name + n - 5, ".conf") == 0;
}

static const char *base_name(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

static bool list_has_name(char *const *paths, const char *name)
{
        for (size_t i = 0; paths && paths[i]; i++)
                if (strcmp(base_name(paths[i]), name) == 0)
                        return true;
        return false;
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(base_name(*(char *const *) a), base_name(*(char *const *) b));
}

/* Adds the directory's *.conf whose names are not there yet. */
static int list_directory(const char *path, char ***paths)
{
        DIR *dir = opendir(path);
        struct dirent *entry;
        int r = 0;

        if (!dir)
                return -errno;
        while (r == 0 && (errno = 0, entry = readdir(dir))) {
                _cleanup_(freep) char *file = NULL;

                if (!name_is_conf(entry->d_name) || list_has_name(*paths, entry->d_name))
                        continue;
                if (asprintf(&file, "%s/%s", path, entry->d_name) < 0) {
                        file = NULL;
                        r = -ENOMEM;
                } else {
                        r = strings_append(paths, file);
                }
        }
        if (r == 0 && errno != 0)
                r = -errno;
        (void) closedir(dir);
        return r;
}

static int list_all(const char *const *directories, const char *subdir, char ***ret_paths)
{
        _cleanup_(strings_freep) char **paths = calloc(1, sizeof *paths);

        if (!paths)
                return -ENOMEM;
        for (size_t i = 0; directories[i]; i++) {
                char path[PATH_MAX];
                int r;

                if (snprintf(path, sizeof path, "%s%s%s", directories[i], subdir[0] ? "/" : "", subdir) >=
                    (int) sizeof path)
                        return -ENAMETOOLONG;
                r = list_directory(path, &paths);
                if (r < 0 && (r != -ENOENT || subdir[0] == '\0')) {
                        log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL, "%s: cannot be read: %s", path,
                                    strerror(-r));
                        return r;
                }
        }
        qsort(paths, strings_count(paths), sizeof *paths, compare_names);
        *ret_paths = TAKE_PTR(paths);
        return 0;
}

/* An empty file, or a link to /dev/null, is how an administrator hides a file of the same name. */
static bool file_is_mask(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 && (S_ISCHR(st.st_mode) || (S_ISREG(st.st_mode) && st.st_size == 0));
}

int config_list_from(const char *const *directories, const char *subdir, char ***ret_paths)
{
        _cleanup_(strings_freep) char **paths = NULL;
        size_t kept = 0;
        int r = list_all(directories, subdir, &paths);

        if (r < 0)
                return r;
        for (size_t i = 0; paths[i]; i++)
                if (file_is_mask(paths[i]))
                        free(paths[i]);
                else
                        paths[kept++] = paths[i];
        paths[kept] = NULL;
        *ret_paths = TAKE_PTR(paths);
        return 0;
}

int config_list(const char *subdir, const char *path, char ***ret_paths)
{
        if (path)
                return config_list_from((const char *const[]) { path, NULL }, "", ret_paths);
        return config_list_from(config_directories, subdir, ret_paths);
}
