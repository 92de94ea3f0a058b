/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Real execs at a steady rate, for the kernel's audit: each of a program that ends at once, with its number as argument. */

#include "bench.h"

#include <grp.h>
#include <inttypes.h>
#include <sys/wait.h>

#define NSEC_PER_SEC UINT64_C(1000000000)

static void sleep_until(uint64_t nsec)
{
        struct timespec at = { .tv_sec = (time_t) (nsec / NSEC_PER_SEC), .tv_nsec = (long) (nsec % NSEC_PER_SEC) };

        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
                ;
}

/* Returns 0 or a negative errno. */
static int execute(const char *program, const char *argument)
{
        char *const argv[] = { (char *) program, (char *) argument, NULL };
        pid_t pid = vfork();
        int status;

        if (pid == 0) {
                (void) execv(program, argv);
                _exit(127);
        }
        if (pid < 0)
                return -errno;
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return status == 0 ? 0 : -ENOEXEC;
}

/* COUNT RATE GID PROGRAM: under a group of its own, by which a rule knows them. */
int verb_execs(int argc, char **argv)
{
        uint64_t count = strtoull(argv[1], NULL, 10), rate = strtoull(argv[2], NULL, 10), begin;
        gid_t gid = (gid_t) strtoul(argv[3], NULL, 10);

        if (rate == 0 || setgroups(0, NULL) < 0 || setgid(gid) < 0)
                return bench_fail("execs", rate == 0 ? EINVAL : errno);
        begin = bench_now();
        for (uint64_t i = 1; i <= count; i++) {
                char argument[32];
                int r;

                (void) snprintf(argument, sizeof argument, "relay-exec-%" PRIu64, i);
                r = execute(argv[4], argument);
                if (r < 0)
                        return bench_fail(argv[4], r);
                sleep_until(begin + i * NSEC_PER_SEC / rate);
        }
        printf("{\"begin_ns\": %" PRIu64 ", \"end_ns\": %" PRIu64 ", \"cpu_ns\": %" PRIu64 "}\n", begin, bench_now(),
               bench_cpu());
        return EXIT_SUCCESS;
}
