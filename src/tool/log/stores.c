/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tool/log/stores.h"
#include "tool/store-directories.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

typedef struct LogRoot {
        char *directory;
        struct timespec changed; /* when it last got another folder, as last looked at */
} LogRoot;

typedef struct LogNode {
        char *directory;
        bool read; /* else no store was there yet */
} LogNode;

static int say_failed(const char *directory, int error)
{
        if (error == -ENODATA)
                fprintf(stderr, "%s: no store is there\n", directory);
        else if (error == -E2BIG)
                fprintf(stderr, "%s: at most %u stores can be read at once\n", directory, LOG_STORES_MAX);
        else
                fprintf(stderr, "%s: %s\n", directory, strerror(-error));
        return error;
}

static int add_one(LogStores *stores, const char *directory)
{
        /* Watched first: what is written between is not missed. */
        int r = stores->follow ? log_follow_add(stores->follow, directory) : 0;

        return r < 0 ? r : log_merge_add(stores->merge, directory, stores->durable);
}

static bool is_known(const LogStores *stores, const char *directory)
{
        for (size_t i = 0; i < stores->n_nodes; i++)
                if (strcmp(stores->nodes[i].directory, directory) == 0)
                        return true;
        return false;
}

/* 1; 0: no store is there, or not yet. */
static int read_node(LogStores *stores, LogNode *node)
{
        int r = add_one(stores, node->directory);

        node->read = r == 0;
        if (r == 0)
                return 1;
        /* It went while we looked, or has just been made. */
        return r == -ENODATA || r == -ENOENT || r == -ENOTDIR ? 0 : say_failed(node->directory, r);
}

static int add_node(const char *directory, void *userdata)
{
        LogStores *stores = userdata;
        size_t allocated = MAX(2 * stores->allocated, (size_t) 16);
        LogNode *node;

        if (is_known(stores, directory))
                return 0;
        if (stores->n_nodes == stores->allocated) {
                node = reallocarray(stores->nodes, allocated, sizeof *node);
                if (!node)
                        return -ENOMEM;
                stores->nodes = node;
                stores->allocated = allocated;
        }
        node = &stores->nodes[stores->n_nodes];
        /* The merge keeps the name. */
        *node = (LogNode) { .directory = strdup(directory) };
        if (!node->directory)
                return -ENOMEM;
        stores->n_nodes++;
        return read_node(stores, node);
}

static bool has_changed(LogRoot *root)
{
        struct timespec before = root->changed;
        struct stat st;

        if (stat(root->directory, &st) < 0)
                return false;
        root->changed = st.st_mtim;
        /* What comes in the same tick of its clock does not change it again. */
        return before.tv_sec != st.st_mtim.tv_sec || before.tv_nsec != st.st_mtim.tv_nsec ||
               st.st_mtim.tv_sec + 1 >= time(NULL);
}

static int add_root(LogStores *stores, const char *directory)
{
        LogRoot *roots = reallocarray(stores->roots, stores->n_roots + 1, sizeof *roots), *root;
        int r, n;

        if (!roots)
                return -ENOMEM;
        stores->roots = roots;
        root = &roots[stores->n_roots];
        r = add_one(stores, directory);
        if (r < 0 && r != -ENODATA)
                return say_failed(directory, r);
        *root = (LogRoot) { .directory = strdup(directory) };
        if (!root->directory)
                return -ENOMEM;
        stores->n_roots++;
        (void) has_changed(root);
        n = store_directories_nodes(directory, add_node, stores);
        if (n < 0)
                return n;
        return n > 0 || r == 0 ? 0 : say_failed(directory, r);
}

static int add_default(LogStores *stores)
{
        struct stat st;
        size_t n = 0;
        int r = 0;

        for (const char *const *directory = store_directories_default; *directory && r == 0; directory++)
                if (stat(*directory, &st) == 0) {
                        r = add_root(stores, *directory);
                        n += r == 0;
                        /* The folder of a program that never ran. */
                        r = r == -ENODATA ? 0 : r;
                }
        if (r == 0 && n == 0) {
                fprintf(stderr, "There is no store on this host: --store=DIR says where one is\n");
                r = -ENODATA;
        }
        return r;
}

/* Those of many nodes need more descriptors than a shell gives. */
static void raise_descriptors(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
}

int log_stores_add(LogStores *stores, char *const *directories)
{
        int r = 0;

        raise_descriptors();
        if (!directories)
                return add_default(stores);
        for (; r == 0 && *directories; directories++)
                r = add_root(stores, *directories);
        return r;
}

int log_stores_look(LogStores *stores)
{
        size_t n = stores->n_nodes;
        int added = 0, r = 0;

        for (size_t i = 0; i < n && r >= 0; i++)
                if (!stores->nodes[i].read) {
                        r = read_node(stores, &stores->nodes[i]);
                        added += r > 0;
                }
        for (size_t i = 0; i < stores->n_roots && r >= 0; i++)
                if (has_changed(&stores->roots[i])) {
                        r = store_directories_nodes(stores->roots[i].directory, add_node, stores);
                        added += MAX(r, 0);
                }
        return r < 0 ? r : added;
}

void log_stores_done(LogStores *stores)
{
        for (size_t i = 0; i < stores->n_nodes; i++)
                free(stores->nodes[i].directory);
        for (size_t i = 0; i < stores->n_roots; i++)
                free(stores->roots[i].directory);
        free(stores->nodes);
        free(stores->roots);
        *stores = (LogStores) { 0 };
}
