/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Two disks with a volatile cache, as files of a FUSE file system to put under loop devices, and the log of
 * what they are asked to do.
 *
 *      log-disk SENDER.base COLLECTOR.base LOG MOUNTPOINT
 *
 * 1. One thread: the log is the order of things, over both disks and the acks.
 * 2. A request is in the log before it is answered; so what follows from its answer comes behind it.
 * 3. The base files stay as they are: what is written is in memory, and in the log.
 */

#define FUSE_USE_VERSION 31

#include "block-log.h"

#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

typedef struct LogDisk {
        uint8_t *bytes;
        size_t size;
} LogDisk;

static LogDisk disks[_DISK_MAX];
static int log_fd = -EBADF;

static const char *const names[] = { [DISK_SENDER] = "/sender", [DISK_COLLECTOR] = "/collector" };
#define ACKS "/acks"

static int disk_of(const char *path)
{
        for (int i = 0; i < _DISK_MAX; i++)
                if (strcmp(path, names[i]) == 0)
                        return i;
        return -ENOENT;
}

static int append(LogKind kind, int disk, uint64_t value, const char *data, size_t size)
{
        LogEntry entry = { .kind = kind, .disk = (uint32_t) disk, .value = value, .size = (uint32_t) size };
        struct iovec parts[] = {
                { .iov_base = &entry, .iov_len = sizeof entry },
                { .iov_base = (void *) (uintptr_t) data, .iov_len = size },
        };

        return writev(log_fd, parts, size > 0 ? 2 : 1) == (ssize_t) (sizeof entry + size) ? 0 : -EIO;
}

static int on_getattr(const char *path, struct stat *st, struct fuse_file_info *file)
{
        int disk = disk_of(path);

        *st = (struct stat) { .st_mode = S_IFREG | 0600, .st_nlink = 1 };
        if (strcmp(path, "/") == 0)
                st->st_mode = S_IFDIR | 0700;
        else if (disk >= 0)
                st->st_size = (off_t) disks[disk].size;
        else if (strcmp(path, ACKS) != 0)
                return -ENOENT;
        return 0;
}

static int on_open(const char *path, struct fuse_file_info *file)
{
        file->direct_io = strcmp(path, ACKS) == 0;
        return 0;
}

static int on_read(const char *path, char *data, size_t size, off_t offset, struct fuse_file_info *file)
{
        int disk = disk_of(path);

        if (disk < 0)
                return disk;
        if ((size_t) offset >= disks[disk].size)
                return 0;
        size = MIN(size, disks[disk].size - (size_t) offset);
        memcpy(data, disks[disk].bytes + offset, size);
        return (int) size;
}

static int on_ack(const char *data, size_t size)
{
        AckMessage ack;
        int r;

        if (size != sizeof ack)
                return -EINVAL;
        memcpy(&ack, data, sizeof ack);
        if (ack.disk >= _DISK_MAX)
                return -EINVAL;
        r = append(LOG_ACK, (int) ack.disk, ack.seq, NULL, 0);
        return r < 0 ? r : (int) size;
}

static int on_write(const char *path, const char *data, size_t size, off_t offset,
                    struct fuse_file_info *file)
{
        int disk = disk_of(path), r;

        if (disk < 0)
                return on_ack(data, size);
        if ((size_t) offset > disks[disk].size || size > disks[disk].size - (size_t) offset)
                return -ENOSPC;
        r = append(LOG_WRITE, disk, (uint64_t) offset, data, size);
        if (r < 0)
                return r;
        memcpy(disks[disk].bytes + offset, data, size);
        return (int) size;
}

static int on_fsync(const char *path, int data_only, struct fuse_file_info *file)
{
        int disk = disk_of(path);

        return disk < 0 ? 0 : append(LOG_FLUSH, disk, 0, NULL, 0);
}

static const struct fuse_operations operations = {
        .getattr = on_getattr,
        .open = on_open,
        .read = on_read,
        .write = on_write,
        .fsync = on_fsync,
};

static void load(const char *path, LogDisk *ret)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0) {
                perror(path);
                exit(EXIT_FAILURE);
        }
        ret->size = (size_t) st.st_size;
        ret->bytes = mmap(NULL, ret->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        if (ret->bytes == MAP_FAILED) {
                perror(path);
                exit(EXIT_FAILURE);
        }
        (void) close_fd(fd);
}

int main(int argc, char **argv)
{
        char *arguments[] = { argv[0], (char[]) { "-f" }, (char[]) { "-s" }, NULL, NULL };

        if (argc != 5) {
                fprintf(stderr, "usage: log-disk SENDER.base COLLECTOR.base LOG MOUNTPOINT\n");
                return 2;
        }
        load(argv[1], &disks[DISK_SENDER]);
        load(argv[2], &disks[DISK_COLLECTOR]);
        log_fd = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
        if (log_fd < 0) {
                perror(argv[3]);
                return EXIT_FAILURE;
        }
        arguments[3] = argv[4];
        return fuse_main(4, arguments, &operations, NULL);
}
