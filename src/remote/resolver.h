/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Name look-up on a thread of its own: the C library's blocks and knows no time-out. */

#include "remote/collectors.h"

#include <netdb.h>
#include <systemd/sd-event.h>

typedef struct Resolver Resolver;

/* Called from the loop. `service` may be NULL where none is looked for. */
typedef struct ResolverHandler {
        /* error: of getaddrinfo(), 0 with the addresses, which are the callee's to free. */
        void (*host)(int error, struct addrinfo *addresses, void *userdata);
        /* error: as of service_find(), 0 with the services. */
        void (*service)(int error, const CollectorsService *services, size_t n, void *userdata);
} ResolverHandler;

int resolver_new(sd_event *event, const ResolverHandler *handler, void *userdata, Resolver **ret) _must_check_;
/* For the end of the process: a look-up that runs is left running. */
Resolver *resolver_free(Resolver *resolver);
DEFINE_CLEANUP(Resolver *, resolver_free)

/* Each begins a look-up. Returns 0; -EBUSY when one runs that nobody waits for any more; -ENOMEM. */
int resolver_find_host(Resolver *resolver, const char *host, const char *port) _must_check_;
int resolver_find_service(Resolver *resolver, const char *domain) _must_check_;
