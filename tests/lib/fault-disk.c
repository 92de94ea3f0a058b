/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fault-disk.h"

#undef NDEBUG
#include <assert.h>

typedef struct FaultDisk {
        Disk disk;
        Disk *inner;
        FaultPlan *plan;
} FaultDisk;

static FaultDisk *fault_of(Disk *disk)
{
        return container_of(disk, FaultDisk, disk);
}

/* 0: go on; FAULT_SHORT, FAULT_NOTHING; or the errno. */
static int strike(Disk *disk)
{
        FaultPlan *plan = fault_of(disk)->plan;

        plan->calls++;
        if (plan->at == 0 || plan->calls < plan->at || (plan->calls > plan->at + plan->more && !plan->for_ever))
                return 0;
        plan->hit = true;
        return plan->error;
}

/* Calls that cannot be short are left alone by FAULT_SHORT. */
static int strike_whole(Disk *disk)
{
        int r = strike(disk);

        return MIN(r, 0);
}

#define FORWARD(call, ...)                                                       \
        __extension__({                                                          \
                Disk *_inner = fault_of(disk)->inner;                            \
                int _r = strike_whole(disk);                                     \
                _r < 0 ? _r : _inner->call(_inner __VA_OPT__(, ) __VA_ARGS__);   \
        })

static int fault_open(Disk *disk, const char *name, int flags)
{
        return FORWARD(open, name, flags);
}

static void fault_close(Disk *disk, int handle)
{
        Disk *inner = fault_of(disk)->inner;

        inner->close(inner, handle);
}

static ssize_t fault_read(Disk *disk, int handle, void *data, size_t size, uint64_t offset)
{
        Disk *inner = fault_of(disk)->inner;
        int r = strike(disk);

        if (r < 0)
                return r;
        return inner->read(inner, handle, data, r == FAULT_SHORT ? (size + 1) / 2 : size, offset);
}

static ssize_t fault_write(Disk *disk, int handle, const struct iovec *parts, int n_parts, uint64_t offset)
{
        Disk *inner = fault_of(disk)->inner;
        struct iovec part = parts[0];
        int r = strike(disk);

        assert(n_parts == 1);
        if (r < 0)
                return r;
        if (r == FAULT_NOTHING)
                return 0;
        if (r == FAULT_SHORT)
                part.iov_len = (part.iov_len + 1) / 2;
        return inner->write(inner, handle, &part, 1, offset);
}

static int fault_size(Disk *disk, int handle, uint64_t *ret_size)
{
        return FORWARD(size, handle, ret_size);
}

static int fault_truncate(Disk *disk, int handle, uint64_t size)
{
        return FORWARD(truncate, handle, size);
}

static int fault_allocate(Disk *disk, int handle, uint64_t offset, uint64_t size)
{
        return FORWARD(allocate, handle, offset, size);
}

static int fault_sync(Disk *disk, int handle)
{
        return FORWARD(sync, handle);
}

static int fault_sync_directory(Disk *disk)
{
        return FORWARD(sync_directory);
}

static int fault_rename(Disk *disk, const char *from, const char *to)
{
        return FORWARD(rename, from, to);
}

static int fault_unlink(Disk *disk, const char *name)
{
        return FORWARD(unlink, name);
}

static int fault_make_directory(Disk *disk, const char *name)
{
        return FORWARD(make_directory, name);
}

static int fault_remove_directory(Disk *disk, const char *name)
{
        return FORWARD(remove_directory, name);
}

static int fault_link(Disk *disk, const char *target, const char *name)
{
        return FORWARD(link, target, name);
}

static int fault_read_link(Disk *disk, const char *name, char *ret_target, size_t size)
{
        return FORWARD(read_link, name, ret_target, size);
}

static int fault_list(Disk *disk, const char *name, int (*found)(const char *entry, void *userdata),
                      void *userdata)
{
        return FORWARD(list, name, found, userdata);
}

static int fault_space(Disk *disk, DiskSpace *ret)
{
        return FORWARD(space, ret);
}

static int fault_lock(Disk *disk)
{
        return FORWARD(lock);
}

static void fault_free(Disk *disk)
{
        (void) disk_free(fault_of(disk)->inner);
        free(fault_of(disk));
}

Disk *fault_disk_new(Disk *inner, FaultPlan *plan)
{
        FaultDisk *fault = malloc(sizeof *fault);

        assert(fault);
        *fault = (FaultDisk) {
                .disk = {
                        .open = fault_open,
                        .close = fault_close,
                        .read = fault_read,
                        .write = fault_write,
                        .size = fault_size,
                        .truncate = fault_truncate,
                        .allocate = fault_allocate,
                        .sync = fault_sync,
                        .sync_directory = fault_sync_directory,
                        .rename = fault_rename,
                        .unlink = fault_unlink,
                        .make_directory = fault_make_directory,
                        .remove_directory = fault_remove_directory,
                        .link = fault_link,
                        .read_link = fault_read_link,
                        .list = fault_list,
                        .space = fault_space,
                        .lock = fault_lock,
                        .free = fault_free,
                },
                .inner = inner,
                .plan = plan,
        };
        return &fault->disk;
}
