/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "front-disk.h"

#include <fcntl.h>

/* One write in so many is followed by the kernel's writeback of the file, without a flush of the disk. */
#define WRITEBACK_EVERY 4U

typedef struct FrontDisk {
        Disk disk;
        Disk *inner;
        Bug bug;
        uint64_t (*draw)(uint64_t n);
        int newest[2]; /* handles of the files created last: text and index of the newest segment */
        int late;      /* with BUG_ACK_BEFORE_SYNC: the handle to be synced, negative: none */
        bool late_directory;
} FrontDisk;

static const char *const bug_names[_BUG_MAX] = {
        [BUG_NONE] = "none",
        [BUG_ACK_BEFORE_SYNC] = "ack-before-sync",
        [BUG_NO_SYNC] = "no-sync",
        [BUG_UNSYNCED_ROTATION] = "unsynced-rotation",
};

Bug bug_from_string(const char *name)
{
        unsigned bug = 0;

        while (bug < _BUG_MAX && strcmp(bug_names[bug], name) != 0)
                bug++;
        return (Bug) bug;
}

static FrontDisk *front_of(Disk *disk)
{
        return container_of(disk, FrontDisk, disk);
}

static int front_open(Disk *disk, const char *name, int flags)
{
        FrontDisk *front = front_of(disk);
        int handle = front->inner->open(front->inner, name, flags);

        if (handle >= 0 && (flags & O_ACCMODE) == O_RDWR) {
                front->newest[0] = front->newest[1];
                front->newest[1] = handle;
        }
        return handle;
}

static int sync_late(FrontDisk *front)
{
        int handle = front->late;

        front->late = -EBADF;
        return handle >= 0 ? front->inner->sync(front->inner, handle) : 0;
}

static void front_close(Disk *disk, int handle)
{
        FrontDisk *front = front_of(disk);

        if (handle == front->late)
                (void) sync_late(front);
        front->inner->close(front->inner, handle);
}

static ssize_t front_write(Disk *disk, int handle, const struct iovec *parts, int n_parts, uint64_t offset)
{
        FrontDisk *front = front_of(disk);
        ssize_t n = front->inner->write(front->inner, handle, parts, n_parts, offset);

        /* A handle of the real disk is a descriptor. */
        if (n > 0 && front->draw(WRITEBACK_EVERY) == 0)
                (void) sync_file_range(handle, 0, 0, SYNC_FILE_RANGE_WRITE);
        return n;
}

static int front_sync(Disk *disk, int handle)
{
        FrontDisk *front = front_of(disk);
        int r;

        switch (front->bug) {
        case BUG_ACK_BEFORE_SYNC:
                r = sync_late(front);
                front->late = handle;
                return r;
        case BUG_NO_SYNC:
                return 0;
        case BUG_UNSYNCED_ROTATION:
                if (handle != front->newest[0] && handle != front->newest[1])
                        return 0;
                break;
        default:
                break;
        }
        return front->inner->sync(front->inner, handle);
}

static int front_sync_directory(Disk *disk)
{
        FrontDisk *front = front_of(disk);
        bool late = front->late_directory;

        if (front->bug == BUG_NO_SYNC)
                return 0;
        if (front->bug == BUG_ACK_BEFORE_SYNC) {
                front->late_directory = true;
                if (!late)
                        return 0;
        }
        return front->inner->sync_directory(front->inner);
}

#define PASS(type, call, parameters, arguments)                                                             \
        static type front_##call parameters                                                                 \
        {                                                                                                   \
                Disk *inner = front_of(disk)->inner;                                                        \
                                                                                                            \
                return inner->call arguments;                                                               \
        }
PASS(ssize_t, read, (Disk * disk, int handle, void *data, size_t n, uint64_t at),
     (inner, handle, data, n, at))
PASS(int, size, (Disk * disk, int handle, uint64_t *ret), (inner, handle, ret))
PASS(int, truncate, (Disk * disk, int handle, uint64_t size), (inner, handle, size))
PASS(int, allocate, (Disk * disk, int handle, uint64_t at, uint64_t n), (inner, handle, at, n))
PASS(int, rename, (Disk * disk, const char *from, const char *to), (inner, from, to))
PASS(int, unlink, (Disk * disk, const char *name), (inner, name))
PASS(int, make_directory, (Disk * disk, const char *name), (inner, name))
PASS(int, remove_directory, (Disk * disk, const char *name), (inner, name))
PASS(int, link, (Disk * disk, const char *target, const char *name), (inner, target, name))
PASS(int, read_link, (Disk * disk, const char *name, char *ret, size_t size), (inner, name, ret, size))
PASS(int, list, (Disk * disk, const char *name, int (*f)(const char *, void *), void *u),
     (inner, name, f, u))
PASS(int, space, (Disk * disk, DiskSpace *ret), (inner, ret))
PASS(int, lock, (Disk * disk), (inner))

static void front_free(Disk *disk)
{
        FrontDisk *front = front_of(disk);

        (void) disk_free(front->inner);
        free(front);
}

Disk *front_disk_new(Disk *inner, Bug bug, uint64_t (*draw)(uint64_t n))
{
        FrontDisk *front = malloc(sizeof *front);

        if (!front)
                return disk_free(inner);
        *front = (FrontDisk){
                .disk =
                        {
                                .open = front_open,
                                .close = front_close,
                                .read = front_read,
                                .write = front_write,
                                .size = front_size,
                                .truncate = front_truncate,
                                .allocate = front_allocate,
                                .sync = front_sync,
                                .sync_directory = front_sync_directory,
                                .rename = front_rename,
                                .unlink = front_unlink,
                                .make_directory = front_make_directory,
                                .remove_directory = front_remove_directory,
                                .link = front_link,
                                .read_link = front_read_link,
                                .list = front_list,
                                .space = front_space,
                                .lock = front_lock,
                                .free = front_free,
                        },
                .inner = inner,
                .bug = bug,
                .draw = draw,
                .newest = {-EBADF, -EBADF},
                .late = -EBADF,
        };
        return &front->disk;
}
