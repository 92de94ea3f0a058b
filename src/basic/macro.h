/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The few compiler helpers everything uses: cleanup on scope exit, visible moves of ownership. */

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))
#define _must_check_ __attribute__((warn_unused_result))
#define _printf_(text, first) __attribute__((format(printf, text, first)))
#define _unused_ __attribute__((unused))

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))
/* One of the arguments is evaluated twice: no calls that do anything. */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define ALIGN_UP(value, alignment) (((value) + (alignment) - 1) / (alignment) * (alignment))

#define container_of(pointer, type, member) ((type *) ((char *) (pointer) - offsetof(type, member)))

/* Takes the pointer (the descriptor) out of a variable that would otherwise free (close) it. */
#define TAKE_PTR(pointer)                    \
        __extension__({                      \
                typeof(pointer) *_p = &(pointer); \
                typeof(pointer) _v = *_p;    \
                *_p = NULL;                  \
                _v;                          \
        })
#define TAKE_FD(fd)              \
        __extension__({          \
                int *_f = &(fd); \
                int _v = *_f;    \
                *_f = -EBADF;    \
                _v;              \
        })

/* Defines x_p(), for _cleanup_(), from a destructor that takes NULL. */
#define DEFINE_CLEANUP(type, function)                        \
        static inline _unused_ void function##p(type *pointer) \
        {                                                     \
                if (*pointer)                                 \
                        (void) function(*pointer);            \
        }

static inline void freep(void *pointer)
{
        free(*(void **) pointer);
}

/* Closes a descriptor, keeping errno; a negative one is nothing. Returns -EBADF, to be assigned back. */
static inline int close_fd(int fd)
{
        int saved = errno;

        if (fd >= 0)
                (void) close(fd);
        errno = saved;
        return -EBADF;
}

static inline _unused_ void close_fdp(int *fd)
{
        *fd = close_fd(*fd);
}

#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_INFINITY UINT64_MAX
