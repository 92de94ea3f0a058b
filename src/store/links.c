/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Names for the tools that know only auditd's: `audit.log` is a link to the open segment, and the folder
 * `ausearch` has links audit.log, audit.log.1, audit.log.2 … from the newest to the oldest, as ausearch and
 * aureport -if want them.
 *
 * The folder is a link to one of two directories; the new one is built beside and switched to by one
 * rename, so that a reader sees the old names or the new, never a mixture. All this is convenience: what
 * fails is tried again at the next change, and nothing of it is synced, as it is made again at start where
 * it does not agree.
 */

#include "store/store-internal.h"

#include <inttypes.h>
#include <stdio.h>

#define FOLDER "ausearch"
#define LINK_NAME "audit.log"

static void link_name(const char *folder, size_t i, char ret[static STORE_NAME_MAX])
{
        if (i == 0)
                (void) snprintf(ret, STORE_NAME_MAX, "%s/" LINK_NAME, folder);
        else
                (void) snprintf(ret, STORE_NAME_MAX, "%s/" LINK_NAME ".%zu", folder, i);
}

static void link_target(const Store *store, size_t i, const char *prefix, char ret[static STORE_NAME_MAX])
{
        (void) snprintf(ret, STORE_NAME_MAX, "%s%020" PRIu64 ".log", prefix,
                        store->segments[store->n_segments - 1 - i].first);
}

static bool points_to(const Store *store, const char *name, const char *target)
{
        char is[STORE_NAME_MAX];

        return store->disk->read_link(store->disk, name, is, sizeof is) == 0 && strcmp(is, target) == 0;
}

/* Whom ausearch can read: from the newest back to the first that is packed. */
static size_t n_linked(const Store *store)
{
        size_t n = 1;

        while (n < store->n_segments && !store->segments[store->n_segments - 1 - n].packed)
                n++;
        return n;
}

/* Newest and oldest name right and none behind: then those between are, too. */
static bool agree(const Store *store)
{
        size_t n = n_linked(store);
        char name[STORE_NAME_MAX], target[STORE_NAME_MAX];

        link_target(store, 0, "", target);
        if (!points_to(store, LINK_NAME, target))
                return false;
        link_name(FOLDER, 0, name);
        link_target(store, 0, "../", target);
        if (!points_to(store, name, target))
                return false;
        link_name(FOLDER, n - 1, name);
        link_target(store, n - 1, "../", target);
        if (!points_to(store, name, target))
                return false;
        link_name(FOLDER, n, name);
        return store->disk->read_link(store->disk, name, target, sizeof target) == -ENOENT;
}

typedef struct Emptying {
        Disk *disk;
        const char *folder;
} Emptying;

static int remove_entry(const char *entry, void *userdata)
{
        Emptying *emptying = userdata;
        char name[STORE_NAME_MAX * 5];

        if ((size_t) snprintf(name, sizeof name, "%s/%s", emptying->folder, entry) < sizeof name)
                (void) emptying->disk->unlink(emptying->disk, name);
        return 0;
}

static void remove_folder(Disk *disk, const char *folder)
{
        Emptying emptying = { disk, folder };

        (void) disk->list(disk, folder, remove_entry, &emptying);
        (void) disk->remove_directory(disk, folder);
}

static int build(Store *store)
{
        static const char *const folders[] = { FOLDER ".0", FOLDER ".1" };
        const char *beside = folders[points_to(store, FOLDER, folders[0])];
        const char *old = folders[beside == folders[0]];
        char name[STORE_NAME_MAX], target[STORE_NAME_MAX];
        size_t n = n_linked(store);
        Disk *disk = store->disk;
        int r;

        remove_folder(disk, beside);
        r = disk->make_directory(disk, beside);
        for (size_t i = 0; r == 0 && i < n; i++) {
                link_name(beside, i, name);
                link_target(store, i, "../", target);
                r = disk->link(disk, target, name);
        }
        if (r == 0)
                r = disk->link(disk, beside, FOLDER);
        if (r < 0)
                return r;
        remove_folder(disk, old);
        link_target(store, 0, "", target);
        return disk->link(disk, target, LINK_NAME);
}

void links_update(Store *store)
{
        if (!store->options.links || !store->links_due || store->n_segments == 0)
                return;
        store->links_due = !agree(store) && build(store) < 0;
}
