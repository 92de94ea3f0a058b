/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Memory that ends: link with test_trouble_link_args. */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Of the calls from now on the nth fails, once. 0: none. */
static uint64_t memory_fails_at;
static bool memory_failed;

static inline bool memory_strikes(void)
{
        if (memory_fails_at == 0 || --memory_fails_at > 0)
                return false;
        memory_failed = true;
        return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);

void *__wrap_malloc(size_t size)
{
        return memory_strikes() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
        return memory_strikes() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
        return memory_strikes() ? NULL : __real_reallocarray(old, n, size);
}
