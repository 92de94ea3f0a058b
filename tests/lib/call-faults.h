/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* System calls of the code under test fail in turn: link with call_faults_link_args. And the death of a process by its own
 * assertion, with its coverage saved. */

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Of the calls from now on the nth fails, once. 0: none. */
static uint64_t call_fails_at;
static int call_errno;
static bool call_failed;

static inline bool call_strikes(void)
{
        if (call_fails_at == 0 || --call_fails_at > 0)
                return false;
        call_failed = true;
        errno = call_errno;
        return true;
}

#define CALL_FAULT(type, name, parameters, arguments, failure) \
        type __real_##name parameters;                         \
        type __wrap_##name parameters;                         \
        type __wrap_##name parameters                          \
        {                                                      \
                return call_strikes() ? (failure) : __real_##name arguments; \
        }

CALL_FAULT(int, flock, (int fd, int how), (fd, how), -1)
CALL_FAULT(int, fstat, (int fd, struct stat *st), (fd, st), -1)
CALL_FAULT(int, stat, (const char *path, struct stat *st), (path, st), -1)
CALL_FAULT(void *, mmap, (void *at, size_t size, int prot, int flags, int fd, off_t offset),
           (at, size, prot, flags, fd, offset), MAP_FAILED)
CALL_FAULT(int, rename, (const char *from, const char *to), (from, to), -1)
CALL_FAULT(int, ftruncate, (int fd, off_t size), (fd, size), -1)
CALL_FAULT(int, posix_fallocate, (int fd, off_t offset, off_t size), (fd, offset, size), call_errno)
CALL_FAULT(void *, malloc, (size_t size), (size), NULL)
CALL_FAULT(void *, calloc, (size_t n, size_t size), (n, size), NULL)

#ifdef AUDIT_RELAY_COVERAGE
void __gcov_dump(void);
#endif

static inline void save_coverage(int number)
{
        (void) number;
#ifdef AUDIT_RELAY_COVERAGE
        __gcov_dump();
#endif
}

/* To be called where the next thing must be SIGABRT. */
static inline void expect_abort(void)
{
        (void) signal(SIGABRT, save_coverage);
}
