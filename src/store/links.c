/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Names for the tools that know only auditd's: `audit.log` is a link to the newest segment, and the folder
 * `ausearch` has links audit.log, audit.log.1, audit.log.2 … from the newest to the oldest, as ausearch and
 * aureport -if want them.
 *
 * 1. The folder is a link to one of two directories; the new one is built beside and switched to by one
 *    rename, so that a reader sees the old names or the new, never a mixture, wherever the building ended.
 * 2. audit.log itself, which somebody may be following, goes on with the commit that begins a segment.
 * 3. With each new segment all numbers in the folder are others. Numbers kept free for those to come would spare that, but
 *    ausearch judges by the first record of each file where to begin, and at one without any it would begin too late. So
 *    all are made anew, from a list that was taken before, beside everything else, however many came meanwhile.
 * 4. All this is convenience: what fails is tried again at the next change, and nothing of it is synced, as it is
 *    made again at start where it does not agree.
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

static void link_target(const StoreLinks *links, size_t i, char ret[static STORE_NAME_MAX])
{
        (void) snprintf(ret, STORE_NAME_MAX, "../%020" PRIu64 ".log", links->firsts[i]);
}

static bool points_to(Disk *disk, const char *name, const char *target)
{
        char is[STORE_NAME_MAX];

        return disk->read_link(disk, name, is, sizeof is) == 0 && strcmp(is, target) == 0;
}

/* Newest and oldest name right and none behind: then those between are, too. */
static bool agree(const StoreLinks *links)
{
        Disk *disk = links->disk;
        char name[STORE_NAME_MAX], target[STORE_NAME_MAX];

        link_name(FOLDER, 0, name);
        link_target(links, 0, target);
        if (!points_to(disk, name, target))
                return false;
        link_name(FOLDER, links->n - 1, name);
        link_target(links, links->n - 1, target);
        if (!points_to(disk, name, target))
                return false;
        link_name(FOLDER, links->n, name);
        return disk->read_link(disk, name, target, sizeof target) == -ENOENT;
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

static int build(const StoreLinks *links)
{
        static const char *const folders[] = { FOLDER ".0", FOLDER ".1" };
        Disk *disk = links->disk;
        const char *beside = folders[points_to(disk, FOLDER, folders[0])];
        const char *old = folders[beside == folders[0]];
        char name[STORE_NAME_MAX], target[STORE_NAME_MAX];
        int r;

        remove_folder(disk, beside);
        r = disk->make_directory(disk, beside);
        for (size_t i = 0; r == 0 && i < links->n; i++) {
                link_name(beside, i, name);
                link_target(links, i, target);
                r = disk->link(disk, target, name);
        }
        if (r == 0)
                r = disk->link(disk, beside, FOLDER);
        if (r < 0)
                return r;
        remove_folder(disk, old);
        return 0;
}

bool store_links_begin(Store *store, StoreLinks *ret)
{
        /* One that has nothing durable may be taken back. */
        size_t n = store->n_segments - store->fresh;

        if (!store->options.links || !store->links_due || store->linking || n == 0)
                return false;
        *ret = (StoreLinks) { .disk = store->disk, .firsts = calloc(n, sizeof *ret->firsts) };
        if (!ret->firsts)
                return false;
        /* What ausearch can read: from the newest back to the first that is packed. */
        while (ret->n < n && (ret->n == 0 || !store->segments[n - 1 - ret->n].packed)) {
                ret->firsts[ret->n] = store->segments[n - 1 - ret->n].first;
                ret->n++;
        }
        store->links_due = false;
        store->linking = true;
        return true;
}

int store_links_run(const StoreLinks *links)
{
        return agree(links) ? 0 : build(links);
}

int store_links_end(Store *store, StoreLinks *links, int error)
{
        assert(store->linking);
        store->linking = false;
        store->links_due = store->links_due || error < 0;
        free(links->firsts);
        return error;
}

int store_links_now(Store *store)
{
        StoreLinks links;

        return store_links_begin(store, &links) ? store_links_end(store, &links, store_links_run(&links)) : 0;
}

void links_follow(Disk *disk, const char *newest)
{
        (void) disk->link(disk, newest, LINK_NAME);
}

void links_settle(Store *store)
{
        char target[STORE_NAME_MAX];

        if (!store->options.links || store->n_segments == 0)
                return;
        segment_name(store->segments[store->n_segments - 1].first, ".log", target);
        if (!points_to(store->disk, LINK_NAME, target))
                links_follow(store->disk, target);
        store->links_due = true;
        (void) store_links_now(store);
}
