/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A running auditd as the source of the kernel's records: it writes to a socket that its plugin, our
 * auditd-plugin, hands on to us, and that we read ourselves.
 */

#include "runtime/state.h"
#include "ring/ring.h"

#include <systemd/sd-event.h>

/* What the plugin says, with its standard input as SCM_RIGHTS. */
#define AUDITD_GREETING "AUDITD 1\n"

typedef struct Auditd Auditd;

typedef struct AuditdOptions {
        sd_event *event;
        Ring *ring;
        State *state;
        void (*published)(void *userdata);           /* subscribers have more */
        void (*dropped)(uint64_t n, void *userdata); /* the ring had no room */
        void *userdata;
} AuditdOptions;

int auditd_new(const AuditdOptions *options, Auditd **ret) _must_check_;
Auditd *auditd_free(Auditd *auditd);
DEFINE_CLEANUP(Auditd *, auditd_free)

/* A connection whose first bytes begin the greeting; taken over. Who may not, or comes while another auditd is
 * read, is told so. */
void auditd_take_plugin(Auditd *auditd, int fd);
/* A socket that auditd writes to; taken over, also on failure. -EBUSY: another one is read; -ENOTSUP: it is no
 * Unix stream socket. */
int auditd_take_socket(Auditd *auditd, int fd) _must_check_;
/* The kernel is read by ourselves: no auditd is taken. */
void auditd_refuse(Auditd *auditd, const char *why);

/* Reads no more; what is unread stays in the socket for the next process, which the plugin hands it to. */
void auditd_stop(Auditd *auditd);
/* Once a second: judges serials, tells losses. */
void auditd_tick(Auditd *auditd);

typedef struct AuditdCounters {
        bool connected;
        uint64_t records; /* taken into the ring */
        uint64_t batches;
        uint64_t refused; /* lines stored escaped */
} AuditdCounters;

const AuditdCounters *auditd_counters(const Auditd *auditd);
