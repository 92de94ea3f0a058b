/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See sim-disk.h. A file is two byte arrays, the cache and the medium, and a mark for each sector in which
 * they may differ. The directory is two tables of names, and a log of what was done since it was synced, of
 * which any part may survive.
 */

#include "sim-disk-internal.h"

#undef NDEBUG
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>

#define HANDLES_MAX 128U
#define NAMES_MAX 65536U /* of a segment are up to four: text, index, a link in each of ausearch's folders */

typedef struct SimProcess {
        Disk disk;
        SimDisk *sim;
        Node *handles[HANDLES_MAX];
} SimProcess;

static uint64_t draw(SimDisk *sim)
{
        uint64_t z = (sim->random += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

static uint64_t below(SimDisk *sim, uint64_t n)
{
        return n > 0 ? draw(sim) % n : 0;
}

/* --- Bytes and nodes --- */

void sim_bytes_resize(Bytes *bytes, uint64_t size)
{
        uint64_t room = MAX(ALIGN_UP(size, SECTOR), bytes->room);

        assert(size <= FILE_MAX);
        if (room > bytes->room) {
                room = MAX(room, 2 * bytes->room);
                bytes->data = realloc(bytes->data, room);
                assert(bytes->data);
                memset(bytes->data + bytes->room, 0, room - bytes->room);
                bytes->room = room;
        }
        if (size < bytes->size)
                memset(bytes->data + size, 0, bytes->size - size);
        bytes->size = size;
}

Node *sim_node_new(SimDisk *sim, NodeType type)
{
        Node *node = calloc(1, sizeof *node);

        assert(node);
        node->type = type;
        node->next = sim->nodes;
        sim->nodes = node;
        return node;
}

static void node_ref(Node *node)
{
        if (node)
                node->references++;
}

static void node_unref(SimDisk *sim, Node *node)
{
        Node **p = &sim->nodes;

        if (!node || --node->references > 0)
                return;
        while (*p != node)
                p = &(*p)->next;
        *p = node->next;
        free(node->cache.data);
        free(node->medium.data);
        free(node->dirty);
        free(node);
}

static uint64_t used(const SimDisk *sim)
{
        uint64_t sum = 0;

        for (const Node *node = sim->nodes; node; node = node->next)
                sum += MAX(ALIGN_UP(node->cache.size, SECTOR), node->allocated);
        return sum;
}

/* The sectors of these bytes were written. */
void sim_node_soil(Node *node, uint64_t from, uint64_t to)
{
        uint64_t n = node->cache.room / SECTOR;

        if (n > node->n_sectors) {
                node->dirty = realloc(node->dirty, n);
                assert(node->dirty);
                memset(node->dirty + node->n_sectors, 0, n - node->n_sectors);
                node->n_sectors = n;
        }
        for (uint64_t s = from / SECTOR; s * SECTOR < to; s++)
                node->dirty[s] = 1;
        node->soiled = node->soiled || to > from;
}

void sim_node_clean(Node *node)
{
        if (node->soiled)
                memset(node->dirty, 0, node->n_sectors);
        node->soiled = node->resized = false;
}

/* --- Names --- */

static Name *find(const Names *names, const char *name)
{
        for (size_t i = 0; i < names->n; i++)
                if (strcmp(names->names[i].name, name) == 0)
                        return &names->names[i];
        return NULL;
}

void sim_names_set(SimDisk *sim, Names *names, const char *name, Node *node)
{
        Name *entry = find(names, name);
        Node *old = entry ? entry->node : NULL;

        node_ref(node);
        if (!entry && node) {
                if (names->n == names->allocated) {
                        names->allocated = MAX(2 * names->allocated, 32U);
                        assert(names->allocated <= NAMES_MAX);
                        names->names = reallocarray(names->names, names->allocated, sizeof *names->names);
                        assert(names->names);
                }
                entry = &names->names[names->n++];
                strcpy(entry->name, name);
        }
        if (entry && node)
                entry->node = node;
        else if (entry)
                *entry = names->names[--names->n];
        node_unref(sim, old);
}

static void apply(SimDisk *sim, Names *names, const Change *change)
{
        Name *from;

        sim_names_set(sim, names, change->name, change->node);
        from = change->from[0] ? find(names, change->from) : NULL;
        if (from && from->node == change->node)
                sim_names_set(sim, names, change->from, NULL);
}

static void forget_changes(SimDisk *sim)
{
        for (size_t i = 0; i < sim->n_changes; i++)
                node_unref(sim, sim->changes[i].node);
        sim->n_changes = 0;
}

void sim_disk_change(SimDisk *sim, const char *name, const char *from, Node *node)
{
        Change *c;

        if (sim->n_changes == sim->allocated_changes) {
                sim->allocated_changes = MAX(2 * sim->allocated_changes, 32U);
                sim->changes = reallocarray(sim->changes, sim->allocated_changes, sizeof *sim->changes);
                assert(sim->changes);
        }
        c = &sim->changes[sim->n_changes++];
        *c = (Change) { .node = node };
        strcpy(c->name, name);
        strcpy(c->from, from);
        node_ref(node);
        apply(sim, &sim->now, c);
}

/* The first part of a path may be a link to a directory. */
static const char *resolve(const SimDisk *sim, const char *name, char *buffer)
{
        const char *slash = strchr(name, '/');
        const Name *entry;

        assert(strlen(name) < 100);
        if (!slash)
                return name;
        memcpy(buffer, name, (size_t) (slash - name));
        buffer[slash - name] = '\0';
        entry = find(&sim->now, buffer);
        if (!entry || entry->node->type != NODE_LINK)
                return name;
        strcpy(buffer, entry->node->target);
        return strcat(buffer, slash);
}

/* --- Calls --- */

static SimProcess *process_of(Disk *disk)
{
        return container_of(disk, SimProcess, disk);
}

/* Before each call that changes something: 1: do it; 0: the power is cut in the middle of it; -EIO: it is
 * cut. */
static int step(SimDisk *sim)
{
        if (sim->cut)
                return -EIO;
        sim->calls++;
        if (sim->cut_at > 0 && sim->calls == sim->cut_at) {
                sim->cut = true;
                return 0;
        }
        return 1;
}

static int sim_open(Disk *disk, const char *name, int flags)
{
        SimProcess *process = process_of(disk);
        SimDisk *sim = process->sim;
        Name *entry = find(&sim->now, name);
        int handle, r;

        if (sim->cut)
                return -EIO;
        for (handle = 0; handle < (int) HANDLES_MAX && process->handles[handle]; handle++)
                ;
        if (handle == HANDLES_MAX)
                return -EMFILE;
        if (entry && (flags & O_CREAT) && (flags & O_EXCL))
                return -EEXIST;
        if (entry && entry->node->type != NODE_FILE)
                return -ELOOP;
        if (!entry && !(flags & O_CREAT))
                return -ENOENT;
        if (!entry) {
                r = step(sim);
                if (r < 0 || (r == 0 && below(sim, 2)))
                        return -EIO;
                sim_disk_change(sim, name, "", sim_node_new(sim, NODE_FILE));
                if (r == 0)
                        return -EIO;
                entry = find(&sim->now, name);
        }
        process->handles[handle] = entry->node;
        node_ref(entry->node);
        return handle;
}

static Node *node_of(Disk *disk, int handle)
{
        Node *node = handle >= 0 && handle < (int) HANDLES_MAX ? process_of(disk)->handles[handle] : NULL;

        assert(node);
        return node;
}

static void sim_close(Disk *disk, int handle)
{
        node_unref(process_of(disk)->sim, node_of(disk, handle));
        process_of(disk)->handles[handle] = NULL;
}

static ssize_t sim_read(Disk *disk, int handle, void *data, size_t size, uint64_t offset)
{
        const Node *node = node_of(disk, handle);

        if (process_of(disk)->sim->cut)
                return -EIO;
        if (offset >= node->cache.size)
                return 0;
        size = MIN(size, node->cache.size - offset);
        memcpy(data, node->cache.data + offset, size);
        return (ssize_t) size;
}

static ssize_t sim_write(Disk *disk, int handle, const struct iovec *parts, int n_parts, uint64_t offset)
{
        SimDisk *sim = process_of(disk)->sim;
        Node *node = node_of(disk, handle);
        uint64_t size = parts[0].iov_len, end, room;
        int r = step(sim);

        assert(n_parts == 1);
        if (r < 0)
                return r;
        if (r == 0)
                size = below(sim, size + 1);
        end = ALIGN_UP(offset + size, SECTOR);
        room = MAX(ALIGN_UP(node->cache.size, SECTOR), node->allocated);
        if (end > room && used(sim) + end - room > sim->capacity) {
                /* As much as there is room for, then the error. */
                room += sim->capacity > used(sim) ? (sim->capacity - used(sim)) / SECTOR * SECTOR : 0;
                if (room <= offset)
                        return -ENOSPC;
                size = MIN(size, room - offset);
        }
        if (offset + size > node->cache.size) {
                sim_bytes_resize(&node->cache, offset + size);
                node->resized = true;
        }
        if (size > 0)
                memcpy(node->cache.data + offset, parts[0].iov_base, size);
        sim_node_soil(node, offset, offset + size);
        return r == 0 ? -EIO : (ssize_t) size;
}

static int sim_size(Disk *disk, int handle, uint64_t *ret_size)
{
        if (process_of(disk)->sim->cut)
                return -EIO;
        *ret_size = node_of(disk, handle)->cache.size;
        return 0;
}

static int sim_truncate(Disk *disk, int handle, uint64_t size)
{
        SimDisk *sim = process_of(disk)->sim;
        Node *node = node_of(disk, handle);
        uint64_t old_size = node->cache.size;
        int r = step(sim);

        if (r < 0 || (r == 0 && below(sim, 2)))
                return -EIO;
        sim_bytes_resize(&node->cache, size);
        node->allocated = 0;
        node->resized = node->resized || size != old_size;
        if (size > old_size)
                sim_node_soil(node, old_size, size);
        return r == 0 ? -EIO : 0;
}

static int sim_allocate(Disk *disk, int handle, uint64_t offset, uint64_t size)
{
        SimDisk *sim = process_of(disk)->sim;
        Node *node = node_of(disk, handle);
        uint64_t room = MAX(ALIGN_UP(node->cache.size, SECTOR), node->allocated);
        uint64_t end = ALIGN_UP(offset + size, SECTOR);

        if (sim->cut)
                return -EIO;
        if (end > room && used(sim) + end - room > sim->capacity)
                return -ENOSPC;
        node->allocated = MAX(node->allocated, end);
        return 0;
}

static int sim_sync(Disk *disk, int handle)
{
        SimDisk *sim = process_of(disk)->sim;
        Node *node = node_of(disk, handle);
        int r = step(sim);

        if (r <= 0)
                return -EIO;
        sim->syncs++;
        if (sim->fail_sync_at > 0 && sim->syncs == sim->fail_sync_at) {
                /* The pages count as clean though the medium has the old bytes. */
                sim_node_clean(node);
                return -EIO;
        }
        sim_bytes_resize(&node->medium, node->cache.size);
        for (uint64_t s = 0; node->soiled && s < node->n_sectors && s * SECTOR < node->cache.size; s++)
                if (node->dirty[s])
                        memcpy(node->medium.data + s * SECTOR, node->cache.data + s * SECTOR, SECTOR);
        sim_node_clean(node);
        return 0;
}

void sim_directory_durable(SimDisk *sim)
{
        for (size_t i = 0; i < sim->n_changes; i++)
                apply(sim, &sim->durable, &sim->changes[i]);
        forget_changes(sim);
}

static int sim_sync_directory(Disk *disk)
{
        SimDisk *sim = process_of(disk)->sim;

        if (step(sim) <= 0)
                return -EIO;
        sim_directory_durable(sim);
        return 0;
}

static int sim_rename(Disk *disk, const char *from, const char *to)
{
        SimDisk *sim = process_of(disk)->sim;
        Name *entry = find(&sim->now, from);
        int r = step(sim);

        if (r < 0 || (r == 0 && below(sim, 2)))
                return -EIO;
        if (!entry)
                return -ENOENT;
        sim_disk_change(sim, to, from, entry->node);
        return r == 0 ? -EIO : 0;
}

static int sim_unlink(Disk *disk, const char *name)
{
        SimDisk *sim = process_of(disk)->sim;
        char buffer[256];
        int r;

        if (sim->cut)
                return -EIO;
        name = resolve(sim, name, buffer);
        if (!find(&sim->now, name))
                return -ENOENT;
        r = step(sim);
        if (r < 0 || (r == 0 && below(sim, 2)))
                return -EIO;
        sim_disk_change(sim, name, "", NULL);
        return r == 0 ? -EIO : 0;
}

static int make(Disk *disk, const char *name, NodeType type, const char *target)
{
        SimDisk *sim = process_of(disk)->sim;
        Node *node;
        int r = step(sim);

        if (r <= 0)
                return -EIO;
        node = sim_node_new(sim, type);
        strcpy(node->target, target);
        sim_disk_change(sim, name, "", node);
        return 0;
}

static int sim_make_directory(Disk *disk, const char *name)
{
        return find(&process_of(disk)->sim->now, name) ? -EEXIST : make(disk, name, NODE_DIRECTORY, "");
}

static int sim_remove_directory(Disk *disk, const char *name)
{
        return sim_unlink(disk, name);
}

static int sim_link(Disk *disk, const char *target, const char *name)
{
        return make(disk, name, NODE_LINK, target);
}

static int sim_read_link(Disk *disk, const char *name, char *ret_target, size_t size)
{
        SimDisk *sim = process_of(disk)->sim;
        const Name *entry;
        char buffer[256];

        entry = find(&sim->now, resolve(sim, name, buffer));
        if (!entry)
                return -ENOENT;
        if (entry->node->type != NODE_LINK)
                return -EINVAL;
        assert(strlen(entry->node->target) < size);
        strcpy(ret_target, entry->node->target);
        return 0;
}

static int sim_list(Disk *disk, const char *name, int (*found)(const char *entry, void *userdata),
                    void *userdata)
{
        SimDisk *sim = process_of(disk)->sim;
        size_t prefix = strcmp(name, ".") == 0 ? 0 : strlen(name) + 1;
        char entry[128];
        int r;

        if (sim->cut)
                return -EIO;
        /* From the end: found() may remove what it is shown. */
        for (size_t i = sim->now.n; i-- > 0;) {
                strcpy(entry, sim->now.names[i].name);
                if (prefix > 0 && (strncmp(entry, name, prefix - 1) != 0 || entry[prefix - 1] != '/'))
                        continue;
                if (strchr(entry + prefix, '/'))
                        continue;
                r = found(entry + prefix, userdata);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int sim_space(Disk *disk, DiskSpace *ret)
{
        const SimDisk *sim = process_of(disk)->sim;
        uint64_t in_use = used(sim);

        *ret = (DiskSpace) {
                .bytes_free = sim->capacity > in_use ? sim->capacity - in_use : 0,
                .bytes_total = sim->capacity,
        };
        return sim->cut ? -EIO : 0;
}

static int sim_lock(Disk *disk)
{
        SimDisk *sim = process_of(disk)->sim;

        if (sim->cut)
                return -EIO;
        if (sim->owner && sim->owner != disk)
                return -EBUSY;
        sim->owner = disk;
        return 0;
}

static void sim_free(Disk *disk)
{
        SimProcess *process = process_of(disk);

        if (process->sim->owner == disk)
                process->sim->owner = NULL;

        for (unsigned i = 0; i < HANDLES_MAX; i++)
                node_unref(process->sim, process->handles[i]);
        free(process);
}

Disk *sim_disk_attach(SimDisk *sim)
{
        SimProcess *process = calloc(1, sizeof *process);

        assert(process);
        process->sim = sim;
        process->disk = (Disk) {
                .open = sim_open,
                .close = sim_close,
                .read = sim_read,
                .write = sim_write,
                .size = sim_size,
                .truncate = sim_truncate,
                .allocate = sim_allocate,
                .sync = sim_sync,
                .sync_directory = sim_sync_directory,
                .rename = sim_rename,
                .unlink = sim_unlink,
                .make_directory = sim_make_directory,
                .remove_directory = sim_remove_directory,
                .link = sim_link,
                .read_link = sim_read_link,
                .list = sim_list,
                .space = sim_space,
                .lock = sim_lock,
                .free = sim_free,
        };
        return &process->disk;
}

/* --- The medium --- */

SimDisk *sim_disk_new(uint64_t seed)
{
        SimDisk *sim = calloc(1, sizeof *sim);

        assert(sim);
        sim->random = seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
        sim->capacity = UINT64_C(1) << 40;
        return sim;
}

static void drop_names(SimDisk *sim, Names *names)
{
        while (names->n > 0)
                node_unref(sim, names->names[--names->n].node);
}

SimDisk *sim_disk_free(SimDisk *sim)
{
        if (!sim)
                return NULL;
        forget_changes(sim);
        drop_names(sim, &sim->now);
        drop_names(sim, &sim->durable);
        assert(!sim->nodes);
        free(sim->now.names);
        free(sim->durable.names);
        free(sim->changes);
        free(sim);
        return NULL;
}

void sim_disk_set_capacity(SimDisk *sim, uint64_t bytes)
{
        sim->capacity = bytes;
}

void sim_disk_cut_at(SimDisk *sim, uint64_t n)
{
        sim->cut_at = n > 0 ? sim->calls + n : 0;
}

bool sim_disk_is_cut(const SimDisk *sim)
{
        return sim->cut;
}

void sim_disk_fail_sync_at(SimDisk *sim, uint64_t n)
{
        sim->fail_sync_at = n > 0 ? sim->syncs + n : 0;
}

uint64_t sim_disk_calls(const SimDisk *sim)
{
        return sim->calls;
}

/* One sector that was written and not synced: the old bytes, the new ones, or some of each. */
static void survive(SimDisk *sim, Node *node, uint64_t sector, unsigned mode)
{
        uint8_t *medium = node->medium.data + sector * SECTOR;
        const uint8_t *cache = node->cache.data + sector * SECTOR;
        uint64_t n = SECTOR;

        if (mode == 0 || (mode != 1 && below(sim, 2)))
                return;
        if (mode == 3 && below(sim, 4) == 0)
                n = below(sim, SECTOR);
        memcpy(medium, cache, n);
}

static void power_cycle_node(SimDisk *sim, Node *node)
{
        /* Nothing, everything, a subset of sectors, a subset with torn ones. */
        unsigned mode = (unsigned) below(sim, 4);
        uint64_t size = node->medium.size, n;

        if (node->resized) {
                uint64_t low = MIN(size, node->cache.size), high = MAX(size, node->cache.size);

                size = mode == 0 ? size : mode == 1 ? node->cache.size : low + below(sim, high - low + 1);
        }
        n = MAX(size, node->medium.size);
        sim_bytes_resize(&node->medium, MAX(n, node->cache.size));
        sim_bytes_resize(&node->cache, node->medium.size);
        for (uint64_t s = 0; node->soiled && s < node->n_sectors && s * SECTOR < n; s++)
                if (node->dirty[s])
                        survive(sim, node, s, mode);
        sim_bytes_resize(&node->medium, size);
        sim_bytes_resize(&node->cache, size);
        if (size > 0)
                memcpy(node->cache.data, node->medium.data, size);
        node->allocated = 0;
        sim_node_clean(node);
}

void sim_disk_power_cycle(SimDisk *sim)
{
        unsigned mode = (unsigned) below(sim, 4);
        size_t prefix = below(sim, sim->n_changes + 1);

        for (size_t i = 0; i < sim->n_changes; i++)
                if (mode == 1 || (mode == 2 && i < prefix) || (mode == 3 && below(sim, 2)))
                        apply(sim, &sim->durable, &sim->changes[i]);
        forget_changes(sim);
        drop_names(sim, &sim->now);
        for (size_t i = 0; i < sim->durable.n; i++)
                sim_names_set(sim, &sim->now, sim->durable.names[i].name, sim->durable.names[i].node);
        for (Node *node = sim->nodes; node; node = node->next)
                power_cycle_node(sim, node);
        sim->cut = false;
        sim->cut_at = 0;
}

void sim_disk_drop_caches(SimDisk *sim)
{
        for (Node *node = sim->nodes; node; node = node->next) {
                if (node->soiled || node->resized)
                        continue;
                sim_bytes_resize(&node->cache, node->medium.size);
                if (node->medium.size > 0)
                        memcpy(node->cache.data, node->medium.data, node->medium.size);
        }
}

void sim_disk_put(SimDisk *sim, const char *name, const void *data, size_t size)
{
        Node *node = sim_node_new(sim, NODE_FILE);

        sim_bytes_resize(&node->cache, size);
        sim_bytes_resize(&node->medium, size);
        if (size > 0) {
                memcpy(node->cache.data, data, size);
                memcpy(node->medium.data, data, size);
        }
        sim_disk_change(sim, name, "", node);
        sim_directory_durable(sim);
}

bool sim_disk_flip(SimDisk *sim, const char *name, uint64_t offset, uint8_t mask)
{
        Name *entry = find(&sim->now, name);

        if (!entry || offset >= entry->node->cache.size)
                return false;
        entry->node->cache.data[offset] ^= mask;
        if (offset < entry->node->medium.size)
                entry->node->medium.data[offset] ^= mask;
        return true;
}

const uint8_t *sim_disk_bytes(const SimDisk *sim, const char *name, uint64_t *ret_size)
{
        const Name *entry = find(&sim->now, name);

        if (!entry)
                return NULL;
        *ret_size = entry->node->cache.size;
        return entry->node->cache.size > 0 ? entry->node->cache.data : (const uint8_t *) "";
}

const uint8_t *sim_disk_synced(const SimDisk *sim, size_t i, const char **ret_name, uint64_t *ret_size)
{
        const Bytes *medium;

        if (i >= sim->durable.n)
                return NULL;
        medium = &sim->durable.names[i].node->medium;
        *ret_name = sim->durable.names[i].name;
        *ret_size = medium->size;
        return medium->size > 0 ? medium->data : (const uint8_t *) "";
}
