/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Words to the service manager, as sd_notify(3) sends them, but never waited for: sd_notify() blocks while the
 * manager does not read, and with it everything that the loop has to do meanwhile.
 */

#include "basic/macro.h"

/* Sends assignments such as "READY=1\nSTATUS=Started" to $NOTIFY_SOCKET. Returns 1; 0 when there is no manager to
 * tell; -EAGAIN when it does not take them now; another negative errno. */
int notify_manager(const char *text);
