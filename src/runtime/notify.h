/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Words to the service manager, as sd_notify(3) sends them, but never waited for: sd_notify() blocks while the
 * manager does not read, and with it everything that the loop has to do meanwhile.
 */

#include "basic/macro.h"

/* Sends assignments such as "READY=1\nSTATUS=Started" to $NOTIFY_SOCKET. Returns 1; 0 when there is no manager to
 * tell; -EAGAIN when it does not take them now; another negative errno. */
int notify_manager(const char *text);

/* Before READY=1: the start takes its time and is getting on, so TimeoutStartSec= is not to end it: from now on it has
 * NOTIFY_STARTING_USEC to say so again, or to be ready. May be called as often as there is progress: it says so once a second. Of the
 * main thread. */
#define NOTIFY_STARTING_USEC (90 * USEC_PER_SEC)
void notify_starting(void);
