/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* subscribers.d/NAME.conf: whom the ring is sent to, and what of it. */

#include "dispatcher/feed.h"

#include <sys/types.h>

typedef enum SubscriberFormat {
        FORMAT_LINK,
        FORMAT_LINES,
        FORMAT_AUDISP,
} SubscriberFormat;

typedef struct SubscriberConfig {
        char *name;
        char *socket;
        char *user;
        char **filter_words;
        char **pressure_words;
        RecordFilter *filter;          /* NULL: all */
        RecordFilter *pressure_filter; /* NULL: none */
        uint64_t queue_limit;          /* 0: the whole ring */
        int overflow;                  /* Overflow */
        int format;                    /* SubscriberFormat */
        char **commands;               /* verbs that it may send */
        uid_t uid;                     /* of user; our own without one */
} SubscriberConfig;

/* Reads one file; the subscriber is named as the file. Says itself what is wrong. */
int subscriber_config_load(const char *path, SubscriberConfig *ret) _must_check_;
void subscriber_config_done(SubscriberConfig *config);

/* Whether nothing need be changed when one follows the other. */
bool subscriber_config_equal(const SubscriberConfig *a, const SubscriberConfig *b);
