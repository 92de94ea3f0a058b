/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The real disk: each function is one system call, relative to one directory descriptor, so that a store
 * whose directory is renamed or mounted over goes on in the directory it locked.
 */

#include "store/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* Readable by the group that may read audit logs; the directory's mode decides who gets there. */
#define FILE_MODE 0640
#define DIRECTORY_MODE 0750

typedef struct RealDisk {
        Disk disk;
        int directory;
} RealDisk;

static int directory_of(Disk *disk)
{
        return container_of(disk, RealDisk, disk)->directory;
}

static int errno_or(int result)
{
        return result < 0 ? -errno : result;
}

/* Somebody's copy may have a FIFO by a segment's name: nobody waits for its other end. */
static int real_open(Disk *disk, const char *name, int flags)
{
        return errno_or(openat(directory_of(disk), name, flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK,
                               FILE_MODE));
}

static void real_close(Disk *disk, int handle)
{
        (void) close_fd(handle);
}

static ssize_t real_read(Disk *disk, int handle, void *data, size_t size, uint64_t offset)
{
        ssize_t n = pread(handle, data, size, (off_t) offset);

        return n < 0 ? -errno : n;
}

static ssize_t real_write(Disk *disk, int handle, const struct iovec *parts, int n_parts, uint64_t offset)
{
        ssize_t n = pwritev(handle, parts, n_parts, (off_t) offset);

        return n < 0 ? -errno : n;
}

static int real_size(Disk *disk, int handle, uint64_t *ret_size)
{
        struct stat st;

        if (fstat(handle, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EBADF;
        *ret_size = (uint64_t) st.st_size;
        return 0;
}

static int real_truncate(Disk *disk, int handle, uint64_t size)
{
        return errno_or(ftruncate(handle, (off_t) size));
}

static int real_allocate(Disk *disk, int handle, uint64_t offset, uint64_t size)
{
        return errno_or(fallocate(handle, FALLOC_FL_KEEP_SIZE, (off_t) offset, (off_t) size));
}

static int real_sync(Disk *disk, int handle)
{
        return errno_or(fdatasync(handle));
}

static int real_sync_directory(Disk *disk)
{
        return errno_or(fsync(directory_of(disk)));
}

static int real_rename(Disk *disk, const char *from, const char *to)
{
        return errno_or(renameat(directory_of(disk), from, directory_of(disk), to));
}

static int real_unlink(Disk *disk, const char *name)
{
        return errno_or(unlinkat(directory_of(disk), name, 0));
}

static int real_make_directory(Disk *disk, const char *name)
{
        return errno_or(mkdirat(directory_of(disk), name, DIRECTORY_MODE));
}

static int real_remove_directory(Disk *disk, const char *name)
{
        return errno_or(unlinkat(directory_of(disk), name, AT_REMOVEDIR));
}

/* symlinkat() does not replace: where there is one, it is made beside and renamed, so that the name is never missing. */
static int real_link(Disk *disk, const char *target, const char *name)
{
        char beside[NAME_MAX + 1];

        if (symlinkat(target, directory_of(disk), name) == 0)
                return 0;
        if (errno != EEXIST)
                return -errno;
        if ((size_t) snprintf(beside, sizeof beside, "%s.new", name) >= sizeof beside)
                return -ENAMETOOLONG;
        if (unlinkat(directory_of(disk), beside, 0) < 0 && errno != ENOENT)
                return -errno;
        if (symlinkat(target, directory_of(disk), beside) < 0)
                return -errno;
        return real_rename(disk, beside, name);
}

static int real_read_link(Disk *disk, const char *name, char *ret_target, size_t size)
{
        ssize_t n = readlinkat(directory_of(disk), name, ret_target, size);

        if (n < 0)
                return -errno;
        if ((size_t) n >= size)
                return -ENAMETOOLONG;
        ret_target[n] = '\0';
        return 0;
}

static int real_list(Disk *disk, const char *name, int (*found)(const char *entry, void *userdata),
                     void *userdata)
{
        int fd = openat(directory_of(disk), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        const struct dirent *entry;
        DIR *directory;
        int r = 0;

        if (fd < 0)
                return -errno;
        directory = fdopendir(fd);
        if (!directory) {
                r = -errno;
                (void) close_fd(fd);
                return r;
        }
        while (r >= 0) {
                errno = 0;
                entry = readdir(directory);
                if (!entry) {
                        r = -errno;
                        break;
                }
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        r = found(entry->d_name, userdata);
        }
        (void) closedir(directory);
        return r;
}

static int real_space(Disk *disk, DiskSpace *ret)
{
        struct statvfs st;

        if (fstatvfs(directory_of(disk), &st) < 0)
                return -errno;
        *ret = (DiskSpace) {
                .bytes_free = (uint64_t) st.f_bavail * st.f_frsize,
                .bytes_total = (uint64_t) st.f_blocks * st.f_frsize,
                .inodes_free = st.f_favail,
                .inodes_total = st.f_files,
        };
        return 0;
}

static int real_lock(Disk *disk)
{
        if (flock(directory_of(disk), LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EBUSY : -errno;
        return 0;
}

static void real_free(Disk *disk)
{
        RealDisk *real = container_of(disk, RealDisk, disk);

        (void) close_fd(real->directory);
        free(real);
}

int disk_open(const char *path, Disk **ret)
{
        _cleanup_(close_fdp) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        RealDisk *real;

        if (fd < 0)
                return -errno;
        real = malloc(sizeof *real);
        if (!real)
                return -ENOMEM;
        *real = (RealDisk) {
                .disk = {
                        .open = real_open,
                        .close = real_close,
                        .read = real_read,
                        .write = real_write,
                        .size = real_size,
                        .truncate = real_truncate,
                        .allocate = real_allocate,
                        .sync = real_sync,
                        .sync_directory = real_sync_directory,
                        .rename = real_rename,
                        .unlink = real_unlink,
                        .make_directory = real_make_directory,
                        .remove_directory = real_remove_directory,
                        .link = real_link,
                        .read_link = real_read_link,
                        .list = real_list,
                        .space = real_space,
                        .lock = real_lock,
                        .free = real_free,
                },
                .directory = TAKE_FD(fd),
        };
        *ret = &real->disk;
        return 0;
}
