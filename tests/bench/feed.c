/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The load, as a file or into the dispatcher's input; and waiting until it has come out. */

#include "bench.h"
#include "records.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CHUNK (256U * 1024U)
/* A two-hundredth of the shortest run, and next to no CPU. */
#define WATCH_NSEC 1000000L

static int write_records(int fd, const char *node, uint64_t first, uint64_t last)
{
        _cleanup_(freep) uint8_t *chunk = malloc(CHUNK);
        Records records;
        size_t n;
        int r = chunk ? records_init(&records, node) : -ENOMEM;

        if (r < 0)
                return r;
        records_seek(&records, first);
        while (r >= 0 && (n = records_fill(&records, chunk, CHUNK, last)) > 0)
                r = bench_write(fd, chunk, n);
        records_done(&records);
        return r;
}

int verb_generate(int argc, char **argv)
{
        const char *node = argc > 2 && strcmp(argv[2], "-") != 0 ? argv[2] : NULL;
        uint64_t first = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
        int r = write_records(STDOUT_FILENO, node, first, strtoull(argv[1], NULL, 10));

        return r < 0 ? bench_fail("generate", r) : EXIT_SUCCESS;
}

int verb_sum(int argc, char **argv)
{
        RecordsSum sum;
        int r = records_sum(strcmp(argv[2], "-") == 0 ? NULL : argv[2], strtoull(argv[1], NULL, 10), &sum);

        if (r < 0)
                return bench_fail("sum", r);
        printf("{\"bytes\": %" PRIu64 ", \"bytes_without_eoe\": %" PRIu64 "}\n", sum.bytes, sum.bytes_without_eoe);
        return EXIT_SUCCESS;
}

/* SOCKET LAST [FIRST]. Plain lines: the way that has most to be done behind it. */
int verb_feed(int argc, char **argv)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_(close_fdp) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        uint64_t begin;
        int r;

        (void) strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address) < 0)
                return bench_fail(argv[1], errno);
        begin = bench_now();
        r = write_records(fd, NULL, argc > 3 ? strtoull(argv[3], NULL, 10) : 1, strtoull(argv[2], NULL, 10));
        if (r < 0)
                return bench_fail(argv[1], r);
        printf("{\"begin_ns\": %" PRIu64 ", \"end_ns\": %" PRIu64 ", \"cpu_ns\": %" PRIu64 "}\n", begin,
               bench_now(), bench_cpu());
        return EXIT_SUCCESS;
}

/* --- The other end --- */

static bool is_log(const char *name)
{
        const char *dot = strrchr(name, '.');

        return name[0] >= '0' && name[0] <= '9' && dot && strcmp(dot, ".log") == 0;
}

/* With `sync`: on the disk. A file that went meanwhile has none. */
static uint64_t file_size(int directory, const char *name, bool sync)
{
        _cleanup_(close_fdp) int fd = sync ? openat(directory, name, O_RDONLY | O_CLOEXEC) : -EBADF;
        struct stat status;

        if (sync && (fd < 0 || fdatasync(fd) < 0))
                return 0;
        return fstatat(directory, name, &status, 0) < 0 ? 0 : (uint64_t) status.st_size;
}

/* Of a file, or of all segments of a store. */
static uint64_t log_size(const char *path, bool sync)
{
        DIR *directory = opendir(path);
        struct dirent *entry;
        uint64_t size = 0;

        if (!directory && errno == ENOTDIR)
                return file_size(AT_FDCWD, path, sync);
        while (directory && (entry = readdir(directory)))
                if (is_log(entry->d_name))
                        size += file_size(dirfd(directory), entry->d_name, sync);
        if (directory)
                (void) closedir(directory);
        return size;
}

/* Until a file, or the segments of a store, have so many bytes, on the disk. */
int verb_watch(int argc, char **argv)
{
        static const struct timespec pause = { .tv_nsec = WATCH_NSEC };
        uint64_t wanted = strtoull(argv[2], NULL, 10), size = 0;
        uint64_t until = bench_now() + strtoull(argv[3], NULL, 10) * UINT64_C(1000000000);

        while ((size = log_size(argv[1], false)) < wanted && bench_now() < until)
                (void) nanosleep(&pause, NULL);
        if (size >= wanted)
                size = log_size(argv[1], true);
        printf("{\"end_ns\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"cpu_ns\": %" PRIu64 "}\n", bench_now(), size,
               bench_cpu());
        return size >= wanted ? EXIT_SUCCESS : EXIT_FAILURE;
}
