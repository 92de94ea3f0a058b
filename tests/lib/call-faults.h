/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* System calls of the code under test fail in turn: link with call_faults_link_args. Names are those of 64-bit offsets. And the death of a process by its own
 * assertion, with its coverage saved. */

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Of the calls from now on the nth fails, once. 0: none. */
static uint64_t call_fails_at;
static int call_errno;
static bool call_failed;
/* Instead: every call of that name. */
static const char *call_fails_always;

static inline bool call_strikes(const char *name)
{
        if (call_fails_always) {
                if (strcmp(call_fails_always, name) != 0)
                        return false;
        } else if (call_fails_at == 0 || --call_fails_at > 0) {
                return false;
        }
        call_failed = true;
        errno = call_errno;
        return true;
}

#define CALL_FAULT(type, name, parameters, arguments, failure) \
        type __real_##name parameters;                         \
        type __wrap_##name parameters;                         \
        type __wrap_##name parameters                          \
        {                                                      \
                return call_strikes(#name) ? (failure) : __real_##name arguments; \
        }

CALL_FAULT(int, flock, (int fd, int how), (fd, how), -1)
CALL_FAULT(int, fstat64, (int fd, struct stat *st), (fd, st), -1)
CALL_FAULT(int, stat64, (const char *path, struct stat *st), (path, st), -1)
CALL_FAULT(void *, mmap64, (void *at, size_t size, int prot, int flags, int fd, off_t offset),
           (at, size, prot, flags, fd, offset), MAP_FAILED)
CALL_FAULT(int, rename, (const char *from, const char *to), (from, to), -1)
CALL_FAULT(int, ftruncate64, (int fd, off_t size), (fd, size), -1)
CALL_FAULT(int, posix_fallocate64, (int fd, off_t offset, off_t size), (fd, offset, size), call_errno)
CALL_FAULT(ssize_t, pread64, (int fd, void *data, size_t size, off_t offset), (fd, data, size, offset), -1)
CALL_FAULT(void *, malloc, (size_t size), (size), NULL)
CALL_FAULT(void *, calloc, (size_t n, size_t size), (n, size), NULL)
CALL_FAULT(void *, realloc, (void *at, size_t size), (at, size), NULL)

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
