/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The verbs of the program that stands on both sides of those who are measured. Each says what it found as one line
 * of JSON on its standard output. */

#include "basic/macro.h"

#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

typedef struct Verb {
        const char *name, *usage;
        int arguments; /* at least */
        int (*run)(int argc, char **argv);
} Verb;

int verb_generate(int argc, char **argv);
int verb_sum(int argc, char **argv);
int verb_feed(int argc, char **argv);
int verb_watch(int argc, char **argv);
int verb_check(int argc, char **argv);
int verb_subscribe(int argc, char **argv);
int verb_part(int argc, char **argv);
int verb_store(int argc, char **argv);
int verb_execs(int argc, char **argv);
int verb_bound(int argc, char **argv);
int verb_bound_fanout(int argc, char **argv);

static inline uint64_t bench_clock(clockid_t clock)
{
        struct timespec now;

        (void) clock_gettime(clock, &now);
        return (uint64_t) now.tv_sec * UINT64_C(1000000000) + (uint64_t) now.tv_nsec;
}

static inline uint64_t bench_now(void)
{
        return bench_clock(CLOCK_MONOTONIC);
}

/* Of this process, all threads. */
static inline uint64_t bench_cpu(void)
{
        return bench_clock(CLOCK_PROCESS_CPUTIME_ID);
}

/* Writes all of it to a blocking descriptor. Returns 0 or a negative errno. */
static inline int bench_write(int fd, const void *data, size_t size)
{
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                data = (const uint8_t *) data + n;
                size -= (size_t) n;
        }
        return 0;
}

/* Memory that children share with us; NULL: none. */
static inline void *bench_shared(size_t size)
{
        void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        return data != MAP_FAILED ? data : NULL;
}

/* What was resident at most since exec: getrusage() would count what was there before. */
static inline uint64_t bench_peak_kib(void)
{
        FILE *file = fopen("/proc/self/status", "re");
        unsigned long kib = 0;
        char line[128];

        while (file && fgets(line, sizeof line, file))
                if (sscanf(line, "VmHWM: %lu", &kib) == 1)
                        break;
        if (file)
                (void) fclose(file);
        return kib;
}

static inline int bench_fail(const char *what, int error)
{
        fprintf(stderr, "%s: %s\n", what, strerror(error < 0 ? -error : error));
        return EXIT_FAILURE;
}
