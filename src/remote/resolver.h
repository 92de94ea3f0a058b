/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Name look-up on a thread of its own: getaddrinfo() blocks and knows no time-out. */

#include "basic/macro.h"

#include <netdb.h>
#include <systemd/sd-event.h>

typedef struct Resolver Resolver;

/* error: of getaddrinfo(), 0 with the addresses, which are the callee's to free. */
typedef void (*ResolverDone)(int error, struct addrinfo *addresses, void *userdata);

int resolver_new(sd_event *event, const char *host, const char *port, ResolverDone done, void *userdata,
                 Resolver **ret) _must_check_;
/* For the end of the process: a look-up that runs is left running. */
Resolver *resolver_free(Resolver *resolver);
DEFINE_CLEANUP(Resolver *, resolver_free)

/* Begins a look-up, unless one runs. done() is called from the loop. */
void resolver_start(Resolver *resolver);
