/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who sent a command, as seen when it came: what its record says of the process. */

#include "basic/macro.h"

#include <sys/types.h>

typedef struct CommandSender {
        int64_t pid, uid;  /* -1: not known; so for all of these */
        int64_t auid, ses; /* whom somebody logged in as, and in which session; 4294967295: nobody did */
        char unit[256];    /* of systemd; "": not known */
} CommandSender;

/* `pidfd` is of that very process; without one (-EBADF) the number may be another's by now, and nothing is
 * looked up by it. */
void command_sender_see(CommandSender *ret, pid_t pid, uid_t uid, int pidfd);

/* The unit in the text of /proc/PID/cgroup: the first part of the path, from the root on, that is one and no
 * slice; what lies below it is the unit's own. */
void command_sender_unit(const char *cgroup, char *ret, size_t size);
