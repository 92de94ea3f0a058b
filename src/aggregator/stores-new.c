/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How the stores begin and end: what there is, what was delivered under the other layout, our own. */

#include "aggregator/stores-private.h"
#include "runtime/config.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* --- What there is --- */

bool stores_name_is_free(const char *node)
{
        /* What a blended store calls its files. */
        static const char *const taken[] = { "audit.log", "ausearch", "new.idx", "new.zst" };
        static const char *const folders = "ausearch.";

        if (node[0] == '.' || strspn(node, "0123456789") >= 20 ||
            strncasecmp(node, folders, strlen(folders)) == 0)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(taken); i++)
                if (strcasecmp(node, taken[i]) == 0)
                        return false;
        return true;
}

static int open_own(Stores *stores)
{
        int r;

        stores_set_options(stores->own);
        r = stores_open_node(stores->own);
        if (r < 0) {
                store_loop_log_open(stores->own->directory, r);
                return r;
        }
        stores->n_open++;
        return stores_adopt(stores->own);
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* The folders that can be nodes' stores, and are. */
static int list_nodes(Stores *stores, char ***ret)
{
        _cleanup_(strings_freep) char **names = NULL;
        const char *directory = stores->options.store.directory;
        const struct dirent *entry;
        DIR *folder = opendir(directory);
        int r = 0;

        if (!folder)
                return errno == ENOENT ? 0 : -errno;
        while (r >= 0 && (entry = readdir(folder))) {
                _cleanup_(freep) char *path = NULL;

                if (!node_name_is_valid(entry->d_name) || !stores_name_is_free(entry->d_name) ||
                    entry->d_type == DT_REG || entry->d_type == DT_LNK)
                        continue;
                r = asprintf(&path, "%s/%s", directory, entry->d_name) < 0 ? -ENOMEM : positions_has_store(path);
                if (r > 0)
                        r = strings_append(&names, entry->d_name);
        }
        (void) closedir(folder);
        if (r < 0)
                return r;
        if (names)
                qsort(names, strings_count(names), sizeof *names, compare_names);
        *ret = TAKE_PTR(names);
        return 0;
}

/* What was delivered under the other layout. */
static int load_positions(Stores *stores, char *const *names)
{
        const StoresOptions *options = &stores->options;
        const char *directory = options->store.directory;
        int r = positions_new(&stores->positions);

        if (r >= 0 && options->by_node) {
                r = positions_has_store(directory);
                if (r > 0)
                        r = positions_add(stores->positions, &options->store, directory, options->skip,
                                          options->skip_userdata);
                return r;
        }
        for (; r >= 0 && names && *names; names++) {
                _cleanup_(freep) char *path = NULL;

                r = asprintf(&path, "%s/%s", directory, *names) < 0
                            ? -ENOMEM
                            : positions_add(stores->positions, &options->store, path, options->skip,
                                            options->skip_userdata);
        }
        return r;
}

static size_t descriptors_for(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / STORES_DESCRIPTORS > STORES_OPEN_MAX)
                return STORES_OPEN_MAX;
        /* Our own and one other at least. */
        return MAX(limit.rlim_cur / STORES_DESCRIPTORS, (rlim_t) 2);
}

static int make_lobby(Stores *stores)
{
        const StoreLoopOptions *store = &stores->options.store;
        IntakeOptions options = {
                .handler = &stores->lobby_handler,
                .name = store->name,
                .window = store->window,
                .realtime_usec = realtime_usec,
                .userdata = stores,
        };

        stores->lobby_handler = *store->intake;
        stores->lobby_handler.place = stores_on_place;
        return intake_new(&options, &stores->lobby);
}

/* What is a share of the file system is one of the size that it has now. */
static int fix_quota(Stores *stores)
{
        _cleanup_(disk_freep) Disk *disk = NULL;
        DiskAmount *quota = &stores->options.node_use_max;
        DiskSpace space;
        int r;

        if (!quota->percent)
                return 0;
        r = disk_open(stores->options.store.directory, &disk);
        if (r >= 0)
                r = disk->space(disk, &space);
        if (r >= 0)
                *quota = (DiskAmount) { .n = disk_amount_of(*quota, space.bytes_total) };
        return r;
}

static int make_by_node(Stores *stores, char *const *names)
{
        const char *directory = stores->options.store.directory;
        NodeStore *node;
        int r;

        stores->pool.max = stores->options.store.store.use_max;
        if (stores->options.open_max == 0)
                stores->options.open_max = descriptors_for();
        stores->parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (stores->parent < 0)
                return -errno;
        r = fix_quota(stores);
        if (r >= 0)
                r = make_lobby(stores);
        if (r >= 0)
                r = worker_new(stores->event, "store-opener", LOOP_DATA, &stores->opener);
        if (r >= 0)
                r = sd_event_add_defer(stores->event, &stores->reap, stores_on_reap, stores);
        if (r >= 0)
                r = sd_event_source_set_enabled(stores->reap, SD_EVENT_OFF);
        for (; r >= 0 && names && *names; names++)
                if (!stores_find(stores, *names))
                        r = stores_add(stores, *names, &node);
        return r;
}

static int make(Stores *stores)
{
        _cleanup_(strings_freep) char **names = NULL;
        const char *directory = stores->options.store.directory;
        int r;

        if (mkdir(directory, 0750) < 0 && errno != EEXIST) {
                r = -errno;
                log_error("Cannot make the directory %s: %s", directory, strerror(-r));
                return r;
        }
        r = stores_add(stores, stores->options.by_node ? stores->options.own : NULL, &stores->own);
        if (r >= 0)
                r = list_nodes(stores, &names);
        if (r >= 0)
                r = load_positions(stores, names);
        if (r >= 0)
                r = store_workers_new(stores->event, stores->options.pack, stores->options.store.store.links,
                                      &stores->workers);
        if (r >= 0 && stores->options.by_node)
                r = make_by_node(stores, names);
        if (r < 0) {
                log_error("Cannot set up the stores in %s: %s", directory, strerror(-r));
                return r;
        }
        return open_own(stores);
}

int stores_new(sd_event *event, const StoresOptions *options, Stores **ret)
{
        _cleanup_(stores_freep) Stores *stores = calloc(1, sizeof *stores);
        int r;

        if (!stores)
                return -ENOMEM;
        stores->event = event;
        stores->options = *options;
        stores->parent = -EBADF;
        TAILQ_INIT(&stores->nodes);
        TAILQ_INIT(&stores->queue);
        r = make(stores);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(stores);
        return 0;
}

Stores *stores_free(Stores *stores)
{
        NodeStore *node;

        if (!stores)
                return NULL;
        worker_free(stores->opener);
        store_workers_free(stores->workers);
        while ((node = TAILQ_FIRST(&stores->nodes))) {
                TAILQ_REMOVE(&stores->nodes, node, nodes);
                stores_free_node(node);
        }
        if (stores->reap)
                sd_event_source_disable_unref(stores->reap);
        intake_free(stores->lobby);
        positions_free(stores->positions);
        stores->parent = close_fd(stores->parent);
        free(stores);
        return NULL;
}
