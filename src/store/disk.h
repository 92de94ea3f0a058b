/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The store's system calls: one small table over one directory, so that tests can fail, tear, reorder and
 * lose. Names are relative to the directory. All functions return 0 or more, or a negative errno; none
 * retries, none blocks but the syncs, which run on the worker.
 */

#include "basic/macro.h"

#include <sys/uio.h>

typedef struct DiskSpace {
        uint64_t bytes_free; /* for an unprivileged process */
        uint64_t bytes_total;
        uint64_t inodes_free;
        uint64_t inodes_total; /* 0: the file system has no fixed number */
} DiskSpace;

/* How much of the file system: bytes or inodes, or so many hundredths of all it has. */
typedef struct DiskAmount {
        uint64_t n;
        bool percent;
} DiskAmount;

static inline uint64_t disk_amount_of(DiskAmount amount, uint64_t total)
{
        return amount.percent ? total / 100 * amount.n : amount.n;
}

typedef struct Disk Disk;

struct Disk {
        /* flags as in open(2): O_RDONLY, O_RDWR, O_CREAT, O_EXCL; close-on-exec always. Returns a handle. */
        int (*open)(Disk *disk, const char *name, int flags);
        void (*close)(Disk *disk, int handle);
        ssize_t (*read)(Disk *disk, int handle, void *data, size_t size, uint64_t offset);
        ssize_t (*write)(Disk *disk, int handle, const struct iovec *parts, int n_parts, uint64_t offset);
        int (*size)(Disk *disk, int handle, uint64_t *ret_size);
        int (*truncate)(Disk *disk, int handle, uint64_t size);
        /* Reserves room behind the end without changing the size. */
        int (*allocate)(Disk *disk, int handle, uint64_t offset, uint64_t size);
        /* The two syncs, a rename between them and unlinks behind them may be called from another thread than the rest; packing,
         * which has files of its own, calls from a third, and making the links, which nobody else looks at, from a fourth. */
        int (*sync)(Disk *disk, int handle);
        int (*sync_directory)(Disk *disk);
        int (*rename)(Disk *disk, const char *from, const char *to);
        int (*unlink)(Disk *disk, const char *name);
        int (*make_directory)(Disk *disk, const char *name);
        int (*remove_directory)(Disk *disk, const char *name);
        /* Replaces what is there. */
        int (*link)(Disk *disk, const char *target, const char *name);
        int (*read_link)(Disk *disk, const char *name, char *ret_target, size_t size);
        /* Calls found() for each entry of the directory `name` ("." for the store's own), in no order. */
        int (*list)(Disk *disk, const char *name, int (*found)(const char *entry, void *userdata),
                    void *userdata);
        int (*space)(Disk *disk, DiskSpace *ret);
        /* Takes the directory for this process alone; -EBUSY when another has it. Held until free. */
        int (*lock)(Disk *disk);
        void (*free)(Disk *disk);
};

/* The real one, over an existing directory. */
int disk_open(const char *path, Disk **ret) _must_check_;

static inline Disk *disk_free(Disk *disk)
{
        if (disk)
                disk->free(disk);
        return NULL;
}

DEFINE_CLEANUP(Disk *, disk_free)
