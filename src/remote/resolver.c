/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "remote/resolver.h"
#include "remote/service.h"
#include "runtime/loop.h"
#include "runtime/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

struct Resolver {
        Worker *worker;
        const ResolverHandler *handler;
        void *userdata;
        /* The running look-up's: of a host, with a port, or of a service */
        char *name, port[8];
        struct addrinfo *addresses;
        CollectorsService services[COLLECTORS_MAX];
};

static int run_host(void *userdata)
{
        static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
        Resolver *resolver = userdata;

        return getaddrinfo(resolver->name, resolver->port, &hints, &resolver->addresses);
}

static void on_host(int error, void *userdata)
{
        Resolver *resolver = userdata;
        struct addrinfo *addresses = TAKE_PTR(resolver->addresses);

        resolver->handler->host(error, addresses, resolver->userdata);
}

static int run_service(void *userdata)
{
        Resolver *resolver = userdata;

        return service_find(resolver->name, resolver->services, ELEMENTSOF(resolver->services));
}

static void on_service(int n, void *userdata)
{
        const Resolver *resolver = userdata;

        resolver->handler->service(MIN(n, 0), resolver->services, (size_t) MAX(n, 0), resolver->userdata);
}

static int take_name(Resolver *resolver, const char *name)
{
        if (worker_busy(resolver->worker))
                return -EBUSY;
        free(resolver->name);
        resolver->name = strdup(name);
        return resolver->name ? 0 : -ENOMEM;
}

int resolver_find_host(Resolver *resolver, const char *host, const char *port)
{
        int r = take_name(resolver, host);

        if (r < 0)
                return r;
        (void) snprintf(resolver->port, sizeof resolver->port, "%s", port);
        worker_start(resolver->worker, run_host, on_host, resolver);
        return 0;
}

int resolver_find_service(Resolver *resolver, const char *domain)
{
        int r = take_name(resolver, domain);

        if (r < 0)
                return r;
        worker_start(resolver->worker, run_service, on_service, resolver);
        return 0;
}

int resolver_new(sd_event *event, const ResolverHandler *handler, void *userdata, Resolver **ret)
{
        _cleanup_(resolver_freep) Resolver *resolver = calloc(1, sizeof *resolver);
        int r;

        if (!resolver)
                return -ENOMEM;
        resolver->handler = handler;
        resolver->userdata = userdata;
        r = worker_new(event, "resolver", LOOP_DATA, &resolver->worker);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(resolver);
        return 0;
}

Resolver *resolver_free(Resolver *resolver)
{
        /* A look-up that runs cannot be ended, and may take longer than a stop may: what it uses stays until
         * the process ends. */
        if (!resolver || (resolver->worker && worker_busy(resolver->worker)))
                return NULL;
        worker_free(resolver->worker);
        if (resolver->addresses)
                freeaddrinfo(resolver->addresses);
        free(resolver->name);
        free(resolver);
        return NULL;
}
