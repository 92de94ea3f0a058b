/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What came out, compared with what went in: each line, byte for byte. A line is known by its number; one that
 * is not, to the last byte, the line of its number is strange, and the number not there.
 */

#include "bench.h"
#include "records.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SEGMENTS_MAX 65536

typedef struct Check {
        Records records; /* the next line that is expected */
        uint64_t count;
        bool auditd; /* audisp-remote leaves EOE out, and auditd writes records of its own */
        bool tail;   /* what is before the oldest one was deleted */
        uint8_t *seen; /* a bit each */
        uint64_t newest, oldest;
        uint64_t lines, bytes, duplicated, disordered, strange, lost;
        uint8_t line[RECORDS_LINE_MAX];
} Check;

static void skip_unwanted(Check *check)
{
        while (check->auditd && records_at_end_of_event(&check->records))
                (void) records_put(&check->records, check->line);
}

static void take(Check *check, uint64_t number)
{
        uint8_t *byte = &check->seen[number / 8], bit = (uint8_t) (1U << number % 8);

        if (*byte & bit)
                check->duplicated++;
        else if (number < check->newest)
                check->disordered++;
        *byte |= bit;
        check->oldest = MIN(check->oldest, number);
        check->newest = MAX(check->newest, number);
}

static void check_line(Check *check, const uint8_t *line, size_t size)
{
        static const char own[] = "type=DAEMON_";
        uint64_t number;

        if (check->auditd && size >= sizeof own && memcmp(line, own, sizeof own - 1) == 0)
                return;
        check->lines++;
        check->bytes += size;
        skip_unwanted(check);
        number = check->records.next;
        if (records_put(&check->records, check->line) != size || memcmp(line, check->line, size) != 0) {
                number = records_number(line, size);
                if (number == 0 || number > check->count) {
                        check->strange++;
                        return;
                }
                records_seek(&check->records, number);
                if (records_put(&check->records, check->line) != size || memcmp(line, check->line, size) != 0) {
                        check->strange++;
                        return;
                }
        }
        if (number > check->count)
                check->strange++;
        else
                take(check, number);
}

static int check_file(Check *check, int directory, const char *name)
{
        _cleanup_(close_fdp) int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
        struct stat status;
        const uint8_t *data, *end;

        if (fd < 0 || fstat(fd, &status) < 0)
                return -errno;
        if (status.st_size == 0)
                return 0;
        data = mmap(NULL, (size_t) status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        if (data == MAP_FAILED)
                return -errno;
        end = data + status.st_size;
        for (const uint8_t *p = data; p < end;) {
                const uint8_t *newline = memchr(p, '\n', (size_t) (end - p));
                const uint8_t *next = newline ? newline + 1 : end;

                check_line(check, p, (size_t) (next - p));
                p = next;
        }
        (void) munmap((void *) data, (size_t) status.st_size);
        return 0;
}

static int by_first_seq(const void *a, const void *b)
{
        unsigned long long x = strtoull(*(char *const *) a, NULL, 10), y = strtoull(*(char *const *) b, NULL, 10);

        return x < y ? -1 : x > y;
}

static int check_store(Check *check, const char *path)
{
        char **names = calloc(SEGMENTS_MAX, sizeof *names);
        DIR *directory = opendir(path);
        struct dirent *entry;
        size_t n = 0;
        int r = directory && names ? 0 : -errno;

        while (r >= 0 && (entry = readdir(directory)) && n < SEGMENTS_MAX) {
                const char *dot = strrchr(entry->d_name, '.');

                if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && dot && strcmp(dot, ".log") == 0)
                        names[n++] = strdup(entry->d_name);
        }
        if (n > 0)
                qsort(names, n, sizeof *names, by_first_seq);
        for (size_t i = 0; i < n; i++) {
                if (r >= 0)
                        r = names[i] ? check_file(check, dirfd(directory), names[i]) : -ENOMEM;
                free(names[i]);
        }
        free(names);
        if (directory)
                (void) closedir(directory);
        return r;
}

static void count_lost(Check *check)
{
        uint64_t first = check->tail && check->newest > 0 ? check->oldest : 1;

        records_seek(&check->records, first);
        for (uint64_t number = first; number <= check->count; number++) {
                bool wanted = !check->auditd || !records_at_end_of_event(&check->records);

                if (wanted && !(check->seen[number / 8] & (1U << number % 8)))
                        check->lost++;
                (void) records_put(&check->records, check->line);
        }
}

int verb_check(int argc, char **argv)
{
        Check *check = calloc(1, sizeof *check);
        struct stat status;
        int r = check ? 0 : -ENOMEM;

        if (r >= 0) {
                check->count = strtoull(argv[1], NULL, 10);
                check->auditd = strcmp(argv[3], "auditd") == 0;
                check->tail = strcmp(argv[3], "tail") == 0;
                check->oldest = UINT64_MAX;
                check->seen = calloc(1, check->count / 8 + 1);
                r = check->seen ? records_init(&check->records, strcmp(argv[2], "-") == 0 ? NULL : argv[2]) : -ENOMEM;
        }
        if (r >= 0)
                r = stat(argv[4], &status) < 0 ? -errno : 0;
        if (r >= 0)
                r = S_ISDIR(status.st_mode) ? check_store(check, argv[4]) : check_file(check, AT_FDCWD, argv[4]);
        if (r < 0)
                return bench_fail(argv[4], r);
        count_lost(check);
        printf("{\"records\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"duplicated\": %" PRIu64
               ", \"disordered\": %" PRIu64 ", \"strange\": %" PRIu64 "}\n",
               check->lines, check->bytes, check->lost, check->duplicated, check->disordered, check->strange);
        records_done(&check->records);
        free(check->seen);
        free(check);
        return EXIT_SUCCESS;
}
