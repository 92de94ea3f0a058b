/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "remote/stock-position.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Of this machine alone: numbers are as it has them. */
typedef struct StockPositionFile {
        char magic[8];
        StreamId stream;
        uint64_t collector; /* hash of its name */
        uint64_t seq;       /* one aligned word: a kill leaves the old one or the new one */
} StockPositionFile;

static const char magic[8] = "ARSTOCK1";

/* Makes the file's bytes, so that a full disk is found out here and not by SIGBUS. */
static int make(const char *path, int *ret_fd)
{
        _cleanup_(close_fdp) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        int r;

        if (fd < 0)
                return -errno;
        r = posix_fallocate(fd, 0, sizeof(StockPositionFile));
        if (r != 0)
                return -r;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int stock_position_open(StockPosition *position, const char *directory, const StreamId *stream,
                        const char *collector)
{
        uint64_t hash = checksum64(collector, strlen(collector));
        _cleanup_(close_fdp) int fd = -EBADF;
        _cleanup_(freep) char *path = NULL;
        StockPositionFile *file;
        int r;

        if (asprintf(&path, "%s/stock-position", directory) < 0)
                return -ENOMEM;
        r = make(path, &fd);
        if (r < 0)
                return r;
        file = mmap(NULL, sizeof *file, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (file == MAP_FAILED)
                return -errno;
        if (memcmp(file->magic, magic, sizeof magic) != 0 || !stream_id_equal(&file->stream, stream) ||
            file->collector != hash) {
                file->seq = 0;
                memcpy(file->magic, magic, sizeof magic);
                file->stream = *stream;
                file->collector = hash;
        }
        position->file = file;
        return 0;
}

void stock_position_close(StockPosition *position)
{
        if (position->file)
                (void) munmap(position->file, sizeof *position->file);
        position->file = NULL;
}

uint64_t stock_position_get(const StockPosition *position)
{
        return position->file->seq;
}

void stock_position_set(StockPosition *position, uint64_t seq)
{
        position->file->seq = seq;
}
