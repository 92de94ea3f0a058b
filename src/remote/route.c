/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One look-up for each collector, when it is its turn: who is reached by address is not held up by a name that
 * nobody answers for.
 */

#include "remote/route.h"
#include "remote/resolver.h"
#include "runtime/loop.h"

#include <stdio.h>

struct Route {
        RouteOptions options;
        Collectors *collectors;
        Resolver *resolver;
        Outlet *outlet;
        Source *source;             /* of the current collector */
        Source silent;              /* … without its records */
        const Collector *collector; /* valid while it is looked up and its addresses are tried */
        const char *domain;         /* of the service that is looked up */
        struct addrinfo *addresses, *next;
};

/* --- Addresses --- */

void route_forget_addresses(Route *route)
{
        if (route->addresses)
                freeaddrinfo(route->addresses);
        route->addresses = route->next = NULL;
}

static void name_address(Route *route, const struct addrinfo *address)
{
        char host[NI_MAXHOST], name[OUTLET_PEER_MAX];
        int r = getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, NULL, 0,
                            NI_NUMERICHOST | NI_NUMERICSERV);

        (void) snprintf(name, sizeof name, address->ai_family == AF_INET6 ? "[%.*s]:%s" : "%.*s:%s", 200,
                        r == 0 ? host : route->collector->host, route->collector->port);
        outlet_name_peer(route->outlet, name);
}

/* Tries the next addresses until one takes the call. */
static int try_next(Route *route, int *ret_fd, Transport **ret_transport, char **ret_why)
{
        int r = -EHOSTUNREACH;

        while (route->next) {
                const struct addrinfo *address = route->next;
                _cleanup_(close_fdp) int fd = -EBADF;

                route->next = address->ai_next;
                name_address(route, address);
                r = connection_connect(address, &fd);
                if (r < 0)
                        continue;
                r = tls_session_new(*route->options.tls, false, route->collector->name, fd, ret_transport);
                if (r < 0)
                        continue;
                *ret_fd = TAKE_FD(fd);
                return 0;
        }
        if (asprintf(ret_why, "Cannot connect: %s", strerror(-r)) < 0)
                *ret_why = NULL;
        return r;
}

/* --- The source --- */

static Source *silenced(const Source *silent)
{
        return container_of(silent, const Route, silent)->source;
}

static void on_range(Source *silent, SourceRange *ret)
{
        silenced(silent)->range(silenced(silent), ret);
}

static int on_get(Source *silent, uint64_t seq, Cursor *cursor, Batch *ret)
{
        return 0;
}

static int on_ended(Source *silent, uint64_t seq, uint64_t *ret_checksum)
{
        return silenced(silent)->ended(silenced(silent), seq, ret_checksum);
}

static void on_release(Source *silent, uint64_t seq, uint64_t checksum)
{
        silenced(silent)->release(silenced(silent), seq, checksum);
}

/* --- Turns --- */

/* What the collector has of ours is a matter of its name. What others have must be written down before it is
 * told so. */
static int take_collector(Route *route)
{
        Source *source = store_source(store_loop_store(route->options.store), route->collector->name);

        if (!source)
                return -ENOBUFS;
        outlet_set_source(route->outlet, route->options.silent ? &route->silent : source);
        if (route->source)
                store_source_end(route->source);
        route->source = source;
        outlet_name_peer(route->outlet, route->collector->name);
        store_loop_wake(route->options.store);
        return resolver_find_host(route->resolver, route->collector->host, route->collector->port);
}

/* Returns -EINPROGRESS: an answer is awaited. */
static int take_turn(Route *route, char **ret_why)
{
        int r = -EHOSTUNREACH;

        route_forget_addresses(route);
        switch (collectors_next(route->collectors, &route->collector, &route->domain)) {
        case COLLECTORS_TRY:
                r = take_collector(route);
                break;
        case COLLECTORS_FIND:
                outlet_name_peer(route->outlet, route->domain);
                r = resolver_find_service(route->resolver, route->domain);
                break;
        case COLLECTORS_NONE:
                if (asprintf(ret_why, "No collector is known") < 0)
                        *ret_why = NULL;
                return r;
        }
        return r == 0 ? -EINPROGRESS : r;
}

int route_open(Route *route, int *ret_fd, Transport **ret_transport, char **ret_why)
{
        if (route->next)
                return try_next(route, ret_fd, ret_transport, ret_why);
        return take_turn(route, ret_why);
}

void route_go_on(Route *route)
{
        _cleanup_(freep) char *why = NULL;
        Transport *transport = NULL;
        int fd = -EBADF, r;

        r = route_open(route, &fd, &transport, &why);
        if (r != -EINPROGRESS)
                outlet_offer(route->outlet, fd, transport, r, why ? why : strerror(-r));
}

bool route_has_address(const Route *route)
{
        return route->next != NULL;
}

bool route_another(const Route *route)
{
        return route->next || collectors_more(route->collectors);
}

/* --- Answers --- */

static void on_host(int error, struct addrinfo *addresses, void *userdata)
{
        Route *route = userdata;
        char why[400];

        route_forget_addresses(route);
        if (error != 0) {
                (void) snprintf(why, sizeof why, "The name \"%.250s\" is not found: %s",
                                route->collector->host, gai_strerror(error));
                outlet_offer(route->outlet, -EBADF, NULL, -EHOSTUNREACH, why);
                return;
        }
        route->addresses = route->next = addresses;
        route_go_on(route);
}

static void on_service(int error, const CollectorsService *services, size_t n, void *userdata)
{
        Route *route = userdata;
        char why[400];

        if (error == 0)
                error = collectors_found(route->collectors, services, n);
        /* Those that were found before may be there. */
        if (collectors_more(route->collectors)) {
                route_go_on(route);
                return;
        }
        (void) snprintf(why, sizeof why, "No collector is found for \"%.250s\": %s", route->domain,
                        error == -ENXIO || error == 0 ? "the DNS knows none (_audit-relay._tcp)"
                        : error == -EAGAIN            ? "no DNS server answers"
                                                      : strerror(-error));
        outlet_offer(route->outlet, -EBADF, NULL, -EHOSTUNREACH, why);
}

static const ResolverHandler resolver_handler = {
        .host = on_host,
        .service = on_service,
};

/* --- Life --- */

void route_attach(Route *route, Outlet *outlet)
{
        route->outlet = outlet;
}

Collectors *route_collectors(Route *route)
{
        return route->collectors;
}

int route_new(sd_event *event, const RouteOptions *options, Route **ret)
{
        _cleanup_(route_freep) Route *route = calloc(1, sizeof *route);
        const RemoteConfig *config = options->config;
        int r;

        if (!route)
                return -ENOMEM;
        route->options = *options;
        route->silent = (Source) { .range = on_range, .get = on_get, .ended = on_ended, .release = on_release };
        r = collectors_new(config->collectors, options->node, config->spread, &route->collectors);
        if (r < 0)
                return r;
        r = resolver_new(event, &resolver_handler, route, &route->resolver);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(route);
        return 0;
}

Route *route_free(Route *route)
{
        if (!route)
                return NULL;
        resolver_free(route->resolver);
        route_forget_addresses(route);
        if (route->source)
                store_source_end(route->source);
        collectors_free(route->collectors);
        free(route);
        return NULL;
}
