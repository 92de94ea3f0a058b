/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Producers on the input socket: plain audit lines, or the link. */

#include "dispatcher/auditd.h"
#include "dispatcher/commands.h"
#include "dispatcher/quota.h"
#include "record/record.h"
#include "ring/ring.h"

#include <systemd/sd-event.h>

typedef struct Input Input;

typedef struct InputOptions {
        sd_event *event;
        Ring *ring;
        int fd;                            /* listening; taken over, also on failure */
        Auditd *auditd;                    /* whom the plugin of a running auditd is handed to */
        Commands *commands;
        const RecordFilter *types;         /* of records that producers may send; not owned */
        QuotaOptions quota;                /* of each user's producers */
        const uid_t *remote;               /* users who deliver records of other hosts; not owned */
        size_t n_remote;
        void (*published)(void *userdata); /* subscribers have more */
        void *userdata;
} InputOptions;

int input_new(const InputOptions *options, Input **ret) _must_check_;
Input *input_free(Input *input);
DEFINE_CLEANUP(Input *, input_free)

/* The ring is nearly full: nothing more is taken before it is not. */
void input_hold(Input *input, bool hold);
/* A subscriber is behind: each user has but a share. */
void input_press(Input *input, bool pressure);
/* The ring may have room again for what found none. */
void input_retry(Input *input);
/* Accepts nobody any more and ends the producers that will resume; plain ones are read on. */
void input_stop(Input *input);
/* Once a second. */
void input_tick(Input *input);

typedef struct InputCounters {
        uint64_t connections; /* open now */
        uint64_t turned_away; /* too many, of a user or of all */
        uint64_t waited;      /* times a user's producers had to wait for his rate or share */
        uint64_t violations;  /* of the link: bad framing */
        uint64_t plain_records, plain_batches;
        uint64_t link_records, link_batches;
        uint64_t came_back; /* records of this host, from one who delivers those of others */
        uint64_t refused[_RECORD_FAULT_MAX];
} InputCounters;

void input_counters(const Input *input, InputCounters *ret);
