/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Stores on a real disk, for a program that is to read them. */

#include "check-main.h"
#include "record/record.h"
#include "store/store.h"

#include <stdio.h>
#include <sys/stat.h>

static uint8_t real_random = 1; /* what the next stream's id is made of */

static inline void real_fill_random(void *bytes, size_t size)
{
        memset(bytes, real_random++, size);
}

/* Opens, or makes, DIRECTORY/NAME; of the options what is not the same for all. */
static inline Store *real_store_open(const char *directory, const char *name, StoreOptions options, uint64_t now_usec)
{
        char path[256];
        StoreReport report;
        Store *store;

        options.random = real_fill_random;
        options.span = record_span;
        options.segment_size_max = options.group_bytes_max = 1024 * 1024;
        (void) snprintf(path, sizeof path, "%s/%s", directory, name);
        (void) mkdir(path, 0750);
        ck_assert_int_eq(disk_open(path, &options.disk), 0);
        ck_assert_int_eq(store_open(&options, now_usec, &store, &report), 0);
        store_report_done(&report);
        return store;
}

/* Until all is durable. */
static inline void real_store_commit(Store *store, uint64_t now_usec)
{
        StoreJob job;

        while (store_dirty(store)) {
                ck_assert_int_eq(store_commit_begin(store, now_usec, &job), 1);
                ck_assert_int_eq(store_commit_end(store, store_job_run(&job), now_usec), 0);
        }
}
