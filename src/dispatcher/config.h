/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* dispatcher.conf. */

#include "dispatcher/command-policy.h"
#include "record/record-filter.h"

#include <sys/types.h>

typedef enum KernelMode {
        KERNEL_AUTO, /* what was handed in, else nothing */
        KERNEL_NONE,
        KERNEL_UNICAST,
        KERNEL_MULTICAST,
} KernelMode;

typedef struct DispatcherConfig {
        char *path; /* of the one file that was read; NULL: the usual places */
        char *node;
        char *ring_file;
        uint64_t ring_size;
        char *state_directory;
        char *subscribers_directory;
        char *input;
        char *subscribe;
        char *lines;
        uint64_t pull_queue_limit;
        uint64_t pull_clients_max, pull_user_clients_max;
        int kernel; /* KernelMode */
        uint64_t receive_buffer;
        CommandPolicy commands;
        uint64_t producers_max, user_producers_max;
        uint64_t producer_rate;
        char *producer_types;
        RecordFilter *producer_filter; /* of it */
        char **trusted_producers;      /* names or numbers of users */
        uid_t *trusted_uids;           /* of them, those that there are */
        size_t n_trusted;
        char **remote_producers;       /* the same of those who deliver records of other hosts */
        uid_t *remote_uids;
        size_t n_remote;
} DispatcherConfig;

/* Reads dispatcher.conf, or `path` alone. Says itself what is wrong. */
int dispatcher_config_load(const char *path, DispatcherConfig *ret) _must_check_;
/* Finds the uids of the producers whose names it has. At start alone: no reload takes them, and the C library may wait for a
 * name. Returns 0 or -ENOMEM. */
int dispatcher_config_look_up(DispatcherConfig *config) _must_check_;
void dispatcher_config_done(DispatcherConfig *config);
