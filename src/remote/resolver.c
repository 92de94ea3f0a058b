/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "remote/resolver.h"
#include "runtime/loop.h"
#include "runtime/worker.h"

#include <sys/socket.h>

struct Resolver {
        Worker *worker;
        char *host, *port;
        ResolverDone done;
        void *userdata;
        struct addrinfo *addresses; /* the running look-up's */
};

static int run(void *userdata)
{
        static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
        Resolver *resolver = userdata;

        return getaddrinfo(resolver->host, resolver->port, &hints, &resolver->addresses);
}

static void on_done(int error, void *userdata)
{
        Resolver *resolver = userdata;
        struct addrinfo *addresses = TAKE_PTR(resolver->addresses);

        resolver->done(error, addresses, resolver->userdata);
}

void resolver_start(Resolver *resolver)
{
        if (!worker_busy(resolver->worker))
                worker_start(resolver->worker, run, on_done, resolver);
}

int resolver_new(sd_event *event, const char *host, const char *port, ResolverDone done, void *userdata,
                 Resolver **ret)
{
        _cleanup_(resolver_freep) Resolver *resolver = calloc(1, sizeof *resolver);
        int r;

        if (!resolver)
                return -ENOMEM;
        resolver->done = done;
        resolver->userdata = userdata;
        resolver->host = strdup(host);
        resolver->port = strdup(port);
        if (!resolver->host || !resolver->port)
                return -ENOMEM;
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
        free(resolver->host);
        free(resolver->port);
        free(resolver);
        return NULL;
}
