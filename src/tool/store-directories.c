/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tool/store-directories.h"
#include "runtime/config.h"

#include <dirent.h>
#include <stdio.h>

const char *const store_directories_default[] = { "/var/log/audit-relay", "/var/lib/audit-relay/remote", NULL };

static bool may_be_node(const struct dirent *entry)
{
        return entry->d_name[0] != '.' && entry->d_type != DT_REG && entry->d_type != DT_LNK &&
               node_name_is_valid(entry->d_name);
}

int store_directories_nodes(const char *directory, int (*found)(const char *path, void *userdata), void *userdata)
{
        struct dirent **entries;
        int n = scandir(directory, &entries, NULL, alphasort), sum = 0, r = 0;

        if (n < 0)
                return errno == ENOTDIR || errno == ENOENT ? 0 : -errno;
        for (int i = 0; i < n; i++) {
                _cleanup_(freep) char *path = NULL;

                if (r >= 0 && may_be_node(entries[i]))
                        r = asprintf(&path, "%s/%s", directory, entries[i]->d_name) < 0 ? -ENOMEM
                                                                                        : found(path, userdata);
                sum += MAX(r, 0);
                free(entries[i]);
        }
        free(entries);
        return r < 0 ? r : sum;
}
