/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From a list of collectors to a socket: looks up whose turn it is, tries the addresses in turn. What an outlet
 * asks its owner for, open() and another().
 */

#include "remote/collectors.h"
#include "remote/config.h"
#include "runtime/outlet.h"
#include "runtime/store-loop.h"

typedef struct Route Route;

/* All outlive the route. */
typedef struct RouteOptions {
        const RemoteConfig *config;
        const char *node;
        StoreLoop *store;
        Tls **tls;
        bool silent; /* who is found there is sent no records */
} RouteOptions;

int route_new(sd_event *event, const RouteOptions *options, Route **ret) _must_check_;
/* Before the store. */
Route *route_free(Route *route);
DEFINE_CLEANUP(Route *, route_free)

/* Whose way it is: once, before anything else. */
void route_attach(Route *route, Outlet *outlet);
/* Its owner begins the rounds. */
Collectors *route_collectors(Route *route);

/* Goes on in the round: another address, another collector, whose source the outlet has then. As open() of an
 * outlet. */
int route_open(Route *route, int *ret_fd, Transport **ret_transport, char **ret_why) _must_check_;
/* The same, for an outlet that waits for outlet_offer(). */
void route_go_on(Route *route);
/* Whether route_open() has somebody left in this round. */
bool route_another(const Route *route);
/* Whether the current collector has addresses left. */
bool route_has_address(const Route *route);
/* The next is another collector's. */
void route_forget_addresses(Route *route);
