/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See image.h.
 *
 * 1. What was flushed is in `durable`; of what was not, any subset of the blocks that the disk writes whole
 * may stay, in the order in which they were written.
 * 2. The image is made anew for each crash: whatever mounting it wrote is gone with it.
 * 3. The loop device goes with its last user, so nothing stays behind whatever ends this process.
 */

#include "image.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* Somebody else took the free loop device, so often. */
#define LOOP_TRIES 32U

/* --- The log --- */

static int map_file(const char *path, int protection, void **ret_map, size_t *ret_size)
{
        _cleanup_(close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        *ret_size = (size_t) st.st_size;
        *ret_map = mmap(NULL, *ret_size, protection, MAP_PRIVATE, fd, 0);
        return *ret_map == MAP_FAILED ? -errno : 0;
}

int block_log_read(const char *path, BlockLog *ret)
{
        size_t allocated = 0, at = 0;
        LoggedEntry *entry;
        int r;

        *ret = (BlockLog) { 0 };
        r = map_file(path, PROT_READ, &ret->map, &ret->size);
        if (r < 0)
                return r;
        while (at < ret->size) {
                if (ret->n == allocated) {
                        allocated = MAX(2 * allocated, 4096U);
                        entry = reallocarray(ret->entries, allocated, sizeof *entry);
                        if (!entry)
                                return -ENOMEM;
                        ret->entries = entry;
                }
                entry = &ret->entries[ret->n++];
                if (ret->size - at < sizeof entry->entry)
                        return -EBADMSG;
                memcpy(&entry->entry, (uint8_t *) ret->map + at, sizeof entry->entry);
                at += sizeof entry->entry;
                entry->data = (uint8_t *) ret->map + at;
                if (entry->entry.disk >= _DISK_MAX || ret->size - at < entry->entry.size)
                        return -EBADMSG;
                at += entry->entry.size;
        }
        return 0;
}

void block_log_done(BlockLog *log)
{
        free(log->entries);
        if (log->map)
                (void) munmap(log->map, log->size);
        *log = (BlockLog) { 0 };
}

/* --- The medium --- */

static bool is_zero(const uint8_t *block)
{
        return block[0] == 0 && memcmp(block, block + 1, LOG_BLOCK_SIZE - 1) == 0;
}

static int find_blocks(Medium *medium, const BlockLog *log)
{
        size_t n = medium->size / LOG_BLOCK_SIZE;
        _cleanup_(freep) bool *used = calloc(n, sizeof *used);
        const LogEntry *entry;

        medium->blocks = malloc(n * sizeof *medium->blocks);
        medium->cached = reallocarray(NULL, log->n + 1, sizeof *medium->cached);
        if (!used || !medium->blocks || !medium->cached)
                return -ENOMEM;
        for (size_t i = 0; i < log->n; i++) {
                entry = &log->entries[i].entry;
                if (entry->kind != LOG_WRITE || entry->disk != medium->disk || entry->size == 0)
                        continue;
                if (entry->value > medium->size || entry->size > medium->size - entry->value)
                        return -EBADMSG;
                for (uint64_t b = entry->value / LOG_BLOCK_SIZE;
                     b <= (entry->value + entry->size - 1) / LOG_BLOCK_SIZE; b++)
                        used[b] = true;
        }
        for (size_t b = 0; b < n; b++)
                if (used[b] || !is_zero(medium->durable + b * LOG_BLOCK_SIZE))
                        medium->blocks[medium->n_blocks++] = (uint32_t) b;
        return 0;
}

int medium_init(Medium *medium, uint32_t disk, const char *base, const BlockLog *log, const char *path)
{
        void *map;
        int r;

        *medium = (Medium) { .disk = disk, .image_fd = -EBADF };
        if (strlen(path) >= sizeof medium->path)
                return -ENAMETOOLONG;
        strcpy(medium->path, path);
        r = map_file(base, PROT_READ | PROT_WRITE, &map, &medium->size);
        if (r < 0)
                return r;
        medium->durable = map;
        r = find_blocks(medium, log);
        if (r < 0)
                return r;
        medium->image_fd = memfd_create("crash-image", MFD_CLOEXEC);
        if (medium->image_fd < 0 || ftruncate(medium->image_fd, (off_t) medium->size) < 0)
                return -errno;
        map = mmap(NULL, medium->size, PROT_READ | PROT_WRITE, MAP_SHARED, medium->image_fd, 0);
        if (map == MAP_FAILED)
                return -errno;
        medium->image = map;
        return 0;
}

void medium_done(Medium *medium)
{
        if (medium->durable)
                (void) munmap(medium->durable, medium->size);
        if (medium->image)
                (void) munmap(medium->image, medium->size);
        medium->image_fd = close_fd(medium->image_fd);
        free(medium->blocks);
        free(medium->cached);
}

void medium_advance(Medium *medium, const LoggedEntry *logged)
{
        const LogEntry *entry = &logged->entry;

        if (entry->disk != medium->disk)
                return;
        if (entry->kind == LOG_WRITE)
                medium->cached[medium->n_cached++] = logged;
        if (entry->kind != LOG_FLUSH)
                return;
        for (size_t i = 0; i < medium->n_cached; i++) {
                entry = &medium->cached[i]->entry;
                memcpy(medium->durable + entry->value, medium->cached[i]->data, entry->size);
        }
        medium->n_cached = 0;
}

static bool survives(Fate fate, uint64_t (*draw)(uint64_t n))
{
        switch (fate) {
        case FATE_NONE:
                return false;
        case FATE_HALF:
                return draw(2) == 0;
        case FATE_MOST:
                return draw(16) != 0;
        default:
                return true;
        }
}

/* One write, block by block. Returns how many blocks of it were lost. */
static uint64_t crash_write(Medium *medium, const LoggedEntry *logged, Fate fate,
                            uint64_t (*draw)(uint64_t n))
{
        uint64_t at = logged->entry.value, end = at + logged->entry.size, next, lost = 0;
        const uint8_t *data = logged->data;

        for (; at < end; data += next - at, at = next) {
                next = MIN(end, (at / LOG_BLOCK_SIZE + 1) * LOG_BLOCK_SIZE);
                if (survives(fate, draw))
                        memcpy(medium->image + at, data, next - at);
                else
                        lost++;
        }
        return lost;
}

uint64_t medium_crash(Medium *medium, Fate fate, uint64_t (*draw)(uint64_t n))
{
        size_t prefix = fate == FATE_PREFIX ? draw(medium->n_cached + 1) : medium->n_cached;
        uint64_t lost = 0;
        int r;

        assert(!medium->mounted);
        r = fallocate(medium->image_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t) medium->size);
        assert(r == 0);
        for (size_t i = 0; i < medium->n_blocks; i++) {
                size_t at = (size_t) medium->blocks[i] * LOG_BLOCK_SIZE;

                memcpy(medium->image + at, medium->durable + at, LOG_BLOCK_SIZE);
        }
        for (size_t i = 0; i < medium->n_cached; i++) {
                if (i + 1 < prefix || fate != FATE_PREFIX)
                        lost += crash_write(medium, medium->cached[i], fate, draw);
                else
                        lost += crash_write(medium, medium->cached[i],
                                            i + 1 == prefix ? FATE_HALF : FATE_NONE, draw);
        }
        return lost;
}

int medium_save(const Medium *medium, const char *path)
{
        _cleanup_(close_fdp) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        off_t at;

        if (fd < 0 || ftruncate(fd, (off_t) medium->size) < 0)
                return -errno;
        for (size_t i = 0; i < medium->n_blocks; i++) {
                at = (off_t) medium->blocks[i] * LOG_BLOCK_SIZE;
                if (pwrite(fd, medium->image + at, LOG_BLOCK_SIZE, at) != LOG_BLOCK_SIZE)
                        return -errno;
        }
        return 0;
}

/* --- Mounting --- */

static int open_loop(int image_fd, char *ret_name, size_t size)
{
        struct loop_config config = { .fd = (uint32_t) image_fd,
                                      .info = { .lo_flags = LO_FLAGS_AUTOCLEAR } };
        _cleanup_(close_fdp) int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
        int fd, number, r = -EBUSY;

        if (control < 0)
                return -errno;
        for (unsigned i = 0; i < LOOP_TRIES && r == -EBUSY; i++) {
                number = ioctl(control, LOOP_CTL_GET_FREE);
                if (number < 0)
                        return -errno;
                (void) snprintf(ret_name, size, "/dev/loop%d", number);
                fd = open(ret_name, O_RDWR | O_CLOEXEC);
                if (fd < 0)
                        return -errno;
                if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
                        return fd;
                r = -errno;
                (void) close_fd(fd);
        }
        return r;
}

int medium_mount(Medium *medium, const char *type)
{
        char name[64];
        _cleanup_(close_fdp) int fd = open_loop(medium->image_fd, name, sizeof name);
        /* The file system it is an image of may be mounted elsewhere. */
        const char *options = strcmp(type, "xfs") == 0 ? "nouuid" : "";

        if (fd < 0)
                return fd;
        if (mount(name, medium->path, type, MS_NOATIME | MS_NOSUID | MS_NODEV, options) < 0)
                return -errno;
        medium->mounted = true;
        return 0;
}

int medium_unmount(Medium *medium)
{
        if (medium->mounted && umount2(medium->path, 0) < 0)
                return -errno;
        medium->mounted = false;
        return 0;
}
