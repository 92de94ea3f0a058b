/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tool/log/stores.h"
#include "tool/reason.h"
#include "tool/store-directories.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

typedef struct LogRoot {
        char *directory;
        bool read;               /* else no store was there yet, but perhaps those of nodes in it */
        struct timespec changed; /* when it last got another folder, as last looked at */
} LogRoot;

typedef struct LogNode {
        char *directory;
        bool read; /* else no store was there yet */
} LogNode;

static int say_failed(const char *directory, int error)
{
        if (error == -ENODATA)
                fprintf(stderr, "There is no store in %s: check the path\n", directory);
        else if (error == -E2BIG)
                fprintf(stderr, "%s: at most %u stores can be read at once\n", directory, LOG_STORES_MAX);
        else
                fprintf(stderr, "Cannot read the store in %s: %s\n", directory, tool_reason(error));
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

/* 1: from now on it is read; 0: no store is there, or not yet. */
static int read_if_there(LogStores *stores, const char *directory, bool *read)
{
        int r = *read ? 0 : add_one(stores, directory);

        if (r == 0 && !*read) {
                *read = true;
                return 1;
        }
        /* It went while we looked, or has just been made. */
        return r == 0 || r == -ENODATA || r == -ENOENT || r == -ENOTDIR ? 0 : say_failed(directory, r);
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
        return read_if_there(stores, node->directory, &node->read);
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

/* 1; 0: the directory is there, and no store in it yet. */
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
        *root = (LogRoot) { .directory = strdup(directory), .read = r == 0 };
        if (!root->directory)
                return -ENOMEM;
        stores->n_roots++;
        (void) has_changed(root);
        n = store_directories_nodes(directory, add_node, stores);
        return n < 0 ? n : n > 0 || r == 0;
}

/* Where a program has not stored its first record yet, none is there to be shown. */
static int add_default(LogStores *stores)
{
        bool is_there = false, any = false;
        struct stat st;
        int r;

        for (const char *const *directory = store_directories_default; *directory; directory++) {
                if (stat(*directory, &st) < 0)
                        continue;
                r = add_root(stores, *directory);
                if (r < 0)
                        return r;
                is_there = true;
                any = any || r > 0;
        }
        if (!is_there) {
                fprintf(stderr, "There is no store on this host: --store=DIR says where one is\n");
                return -ENODATA;
        }
        if (!any)
                fprintf(stderr, "No record is stored on this host yet: see `audit-relay status`\n");
        return 0;
}

static int add_named(LogStores *stores, const char *directory)
{
        int r = add_root(stores, directory);

        if (r != 0)
                return MIN(r, 0);
        if (!stores->follow)
                return say_failed(directory, -ENODATA);
        fprintf(stderr, "There is no store in %s yet, waiting for it\n", directory);
        return 0;
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
                r = add_named(stores, *directories);
        return r;
}

static int look_at_root(LogStores *stores, LogRoot *root)
{
        int added = read_if_there(stores, root->directory, &root->read), nodes = 0;

        if (added >= 0 && has_changed(root))
                nodes = store_directories_nodes(root->directory, add_node, stores);
        return added < 0 ? added : nodes < 0 ? nodes : added + nodes;
}

int log_stores_look(LogStores *stores)
{
        size_t n = stores->n_nodes;
        int added = 0, r = 0;

        for (size_t i = 0; i < n && r >= 0; i++) {
                r = read_if_there(stores, stores->nodes[i].directory, &stores->nodes[i].read);
                added += r;
        }
        for (size_t i = 0; i < stores->n_roots && r >= 0; i++) {
                r = look_at_root(stores, &stores->roots[i]);
                added += r;
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
