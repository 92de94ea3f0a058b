/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The outlet to the collectors, and another one that tries to come back to better ones.
 *
 *  1. What ends a session, or keeps one from beginning, leads to the next collector at once; but to the same
 *     one again where it said so (resume), or has another history. Only when a whole round has failed is the
 *     backoff kept; then a round begins at the preferred collector.
 *  2. A working session is not given up before a better collector has said WELCOME, and nothing of a full disk. It does so to
 *     the trial, an outlet that is only there for that; then the session is ended, and the next begins with that one.
 *  3. After the collector has shown another history of our stream nothing is sent before the new stream id
 *     is durable.
 *  4. A collector that says its disk is full is left for the next, if there are several; but not twice in a short time: when all
 *     are full, or nobody else is there, one of them is waited for, as if it were the only one.
 */

#include "remote/uplink.h"
#include "remote/route.h"
#include "remote/troubles.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <stdio.h>

/* A collector that is full is left once in so long, or in half of FailBackSec= if that is shorter: whoever comes back by a trial
 * leaves at once, as it is the earliest that one comes. */
#define FULL_AGAIN_USEC (150 * USEC_PER_SEC)

struct Uplink {
        UplinkOptions options;
        Outlet *outlet, *trial; /* trial: NULL if there is nothing to come back to */
        Route *route, *trial_route;
        Troubles troubles;
        bool session;    /* a WELCOME came */
        bool full;       /* … and that there is no room */
        bool stopping;
        bool held_back; /* the outlet waits until the store's new stream id is durable */
        char last_name[NODE_NAME_MAX + 1]; /* of the session before, "" before the first */
        char trial_until[NODE_NAME_MAX + 1]; /* the trial is for one that is better than this one */
        uint64_t trial_usec;                 /* it has said WELCOME to it; 0: not */
        bool trial_full;                     /* … and that there is no room */
        uint64_t connects, disconnects, diverged, failovers;
        char text[OUTLET_PEER_MAX + NODE_NAME_MAX + 64];
};

static const char *current(const Uplink *uplink)
{
        return collectors_current(route_collectors(uplink->route));
}

/* What is sent under the old id now, and acked, would count for the new one. */
static bool is_restarting(const Uplink *uplink)
{
        StoreStatus status;

        store_status(store_loop_store(uplink->options.store), &status);
        return status.restarting;
}

/* --- The outlet's handler --- */

/* The credentials may be there by now: enrolling writes them. */
static int need_credentials(Uplink *uplink, char **ret_why)
{
        if (*uplink->options.tls)
                return 0;
        return credentials_load(&uplink->options.config->tls, uplink->options.tls, ret_why) < 0
                       ? -EKEYREJECTED
                       : 0;
}

static int on_open(Outlet *outlet, int *ret_fd, Transport **ret_transport, char **ret_why)
{
        Uplink *uplink = outlet_userdata(outlet);
        int r;

        r = need_credentials(uplink, ret_why);
        if (r < 0)
                return r;
        uplink->held_back = is_restarting(uplink);
        if (uplink->held_back)
                return -EINPROGRESS;
        if (!route_another(uplink->route))
                collectors_begin(route_collectors(uplink->route), NULL);
        return route_open(uplink->route, ret_fd, ret_transport, ret_why);
}

static int on_judge(Outlet *outlet, Transport *transport, char **ret_why)
{
        const Uplink *uplink = outlet_userdata(outlet);

        return tls_session_judge(tls_session_of(transport), *uplink->options.tls, ret_why);
}

static bool on_another(Outlet *outlet)
{
        Uplink *uplink = outlet_userdata(outlet);

        return *uplink->options.tls && route_another(uplink->route);
}

static void on_connected(Outlet *outlet, const LinkWelcome *welcome)
{
        Uplink *uplink = outlet_userdata(outlet);
        Collectors *collectors = route_collectors(uplink->route);
        char field[OUTLET_PEER_MAX + 8];

        uplink->session = true;
        uplink->full = false;
        uplink->connects++;
        if (uplink->last_name[0] && strcmp(uplink->last_name, current(uplink)) != 0)
                uplink->failovers++;
        (void) snprintf(uplink->last_name, sizeof uplink->last_name, "%s", current(uplink));
        (void) snprintf(field, sizeof field, "PEER=%s", outlet_peer(outlet));
        log_message(LOG_INFO, MESSAGE_ID_PEER_CONNECTED, field,
                    "Connected to collector %.*s (%s); it has records up to %" PRIu64,
                    (int) welcome->name.size, welcome->name.data, outlet_peer(outlet), welcome->last);
        troubles_connected(&uplink->troubles, outlet, current(uplink), welcome, collectors_preferred(collectors));
        route_forget_addresses(uplink->route);
        collectors_begin_behind(collectors);
}

static void note_end(Uplink *uplink, bool session, OutletTrouble trouble, const char *why)
{
        if (session)
                troubles_lost(&uplink->troubles, uplink->outlet, current(uplink), trouble, why);
        else
                troubles_missed(&uplink->troubles, uplink->outlet, current(uplink), trouble, why);
        log_debug("No session with collector %s (%s): %s", current(uplink), outlet_peer(uplink->outlet), why);
}

static void on_disconnected(Outlet *outlet, OutletTrouble trouble, const char *why)
{
        Uplink *uplink = outlet_userdata(outlet);
        bool session = uplink->session;

        uplink->session = false;
        uplink->disconnects++;
        if (session && uplink->options.disconnected)
                uplink->options.disconnected(outlet, uplink->options.userdata);
        /* There is no session to come back from; and the stream may be another when its WELCOME comes. */
        if (session && uplink->trial && !uplink->stopping)
                outlet_end(uplink->trial, LINK_BYE_ENDING, "the session it was for is over", true);
        /* Whoever answered, has judged: its other addresses would say the same. */
        if (trouble != OUTLET_E_NETWORK && trouble != OUTLET_E_TIMEOUT)
                route_forget_addresses(uplink->route);
        if (trouble == OUTLET_OK)
                return;
        if (trouble == OUTLET_E_RESUME)
                collectors_again(route_collectors(uplink->route));
        note_end(uplink, session, trouble, why);
        if (!on_another(outlet))
                troubles_round_over(&uplink->troubles);
}

static void on_acked(Outlet *outlet, uint64_t seq)
{
        Uplink *uplink = outlet_userdata(outlet);

        troubles_acked(&uplink->troubles, seq);
}

static void on_diverged(Outlet *outlet, uint64_t peer_last)
{
        Uplink *uplink = outlet_userdata(outlet);
        int r;

        uplink->diverged++;
        troubles_diverged(&uplink->troubles, outlet, current(uplink), peer_last);
        route_forget_addresses(uplink->route);
        collectors_again(route_collectors(uplink->route));
        r = store_restart_stream(store_loop_store(uplink->options.store), realtime_usec());
        if (r < 0)
                log_error("Cannot begin a new stream: %s", strerror(-r));
        else
                store_loop_wake(uplink->options.store);
}

static bool is_about_room(const LinkState *state)
{
        static const char name[] = "disk_full";

        return state->name.size == strlen(name) && memcmp(state->name.data, name, state->name.size) == 0;
}

/* Somebody else may have room. */
static void leave_if_full(Uplink *uplink)
{
        uint64_t again = MIN(uplink->options.config->fail_back_usec / 2, FULL_AGAIN_USEC);

        if (!uplink->full || !outlet_connected(uplink->outlet) ||
            !collectors_leave(route_collectors(uplink->route), monotonic_usec(), again))
                return;
        log_info("The disk of collector %s is full: leaving it for another one", current(uplink));
        troubles_left(&uplink->troubles, uplink->outlet, current(uplink), "Its disk is full");
        outlet_end(uplink->outlet, LINK_BYE_ENDING, "the collector has no room, another one may have", true);
}

static void on_state(Outlet *outlet, const LinkState *state)
{
        Uplink *uplink = outlet_userdata(outlet);

        troubles_say(&uplink->troubles, outlet, current(uplink), state);
        if (!is_about_room(state))
                return;
        uplink->full = state->on;
        leave_if_full(uplink);
}

static void on_receipt(Outlet *outlet, const LinkReceipt *receipt)
{
        Uplink *uplink = outlet_userdata(outlet);

        if (uplink->options.receipt)
                uplink->options.receipt(current(uplink), receipt, uplink->options.userdata);
}

static void on_command(Outlet *outlet, const LinkCommand *command)
{
        Uplink *uplink = outlet_userdata(outlet);
        LinkReply unknown = { .id = command->id, .status = LINK_REPLY_UNKNOWN };

        if (uplink->options.command)
                uplink->options.command(outlet, command, uplink->options.userdata);
        else if (command->timeout_sec > 0 && outlet_reply(outlet, &unknown) < 0)
                log_debug("No room for a REPLY");
}

static const OutletHandler outlet_handler = {
        .open = on_open,
        .judge = on_judge,
        .another = on_another,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .acked = on_acked,
        .diverged = on_diverged,
        .state = on_state,
        .receipt = on_receipt,
        .command = on_command,
};

/* --- The trial's handler --- */

/* Goes through the collectors before the one in use; there are none unless we had to fail over. */
static int on_trial_open(Outlet *outlet, int *ret_fd, Transport **ret_transport, char **ret_why)
{
        Uplink *uplink = outlet_userdata(outlet);
        Collectors *collectors = route_collectors(uplink->trial_route);

        if (!outlet_connected(uplink->outlet) || strcmp(uplink->trial_until, current(uplink)) != 0) {
                route_forget_addresses(uplink->trial_route);
                collectors_end(collectors);
        }
        /* A round that ends with one who is full ends, too. */
        if (!outlet_connected(uplink->outlet) || (uplink->trial_full && !route_another(uplink->trial_route))) {
                uplink->trial_full = false;
                return -ECANCELED;
        }
        uplink->trial_full = false;
        if (!route_another(uplink->trial_route)) {
                (void) snprintf(uplink->trial_until, sizeof uplink->trial_until, "%s", current(uplink));
                collectors_begin(collectors, uplink->trial_until);
        }
        return route_open(uplink->trial_route, ret_fd, ret_transport, ret_why);
}

static bool on_trial_another(Outlet *outlet)
{
        Uplink *uplink = outlet_userdata(outlet);

        return outlet_connected(uplink->outlet) && route_another(uplink->trial_route);
}

/* It would take us. Nothing is sent to it: the other outlet does that, from its beginning. */
static void on_trial_connected(Outlet *outlet, const LinkWelcome *welcome)
{
        Uplink *uplink = outlet_userdata(outlet);

        uplink->trial_usec = monotonic_usec();
}

static void on_trial_state(Outlet *outlet, const LinkState *state)
{
        Uplink *uplink = outlet_userdata(outlet);

        if (!is_about_room(state) || !state->on)
                return;
        uplink->trial_full = true;
        outlet_end(outlet, LINK_BYE_ENDING, "only asked whether the collector has room", true);
}

/* It has said nothing against it. */
static void decide_trial(Uplink *uplink)
{
        Collectors *collectors = route_collectors(uplink->trial_route);
        const char *name = collectors_current(collectors);

        if (uplink->trial_usec == 0 || monotonic_usec() - uplink->trial_usec < TROUBLES_CONFIRM_USEC)
                return;
        uplink->trial_usec = 0;
        route_forget_addresses(uplink->trial_route);
        collectors_end(collectors);
        if (outlet_connected(uplink->outlet) && strcmp(uplink->trial_until, current(uplink)) == 0) {
                log_info("Collector %s is there again: leaving %s for it", name, current(uplink));
                collectors_begin_at(route_collectors(uplink->route), name);
                outlet_end(uplink->outlet, LINK_BYE_ENDING, "a collector that is preferred is there again", true);
        }
        outlet_end(uplink->trial, LINK_BYE_ENDING, "only asked whether the collector is there", true);
}

static void on_trial_disconnected(Outlet *outlet, OutletTrouble trouble, const char *why)
{
        Uplink *uplink = outlet_userdata(outlet);

        uplink->trial_usec = 0;
        if (trouble != OUTLET_E_NETWORK && trouble != OUTLET_E_TIMEOUT)
                route_forget_addresses(uplink->trial_route);
        log_debug("No way back to collector %s: %s", collectors_current(route_collectors(uplink->trial_route)),
                  why);
}

static const OutletHandler trial_handler = {
        .open = on_trial_open,
        .judge = on_judge,
        .another = on_trial_another,
        .connected = on_trial_connected,
        .disconnected = on_trial_disconnected,
        .state = on_trial_state,
};

/* --- What remote calls --- */

void uplink_wake(Uplink *uplink)
{
        if (!uplink->held_back) {
                outlet_wake(uplink->outlet);
        } else if (!is_restarting(uplink)) {
                /* Where on_open() stopped. */
                uplink->held_back = false;
                route_go_on(uplink->route);
        }
}

void uplink_reload(Uplink *uplink)
{
        if (*uplink->options.tls)
                outlet_review(uplink->outlet);
}

void uplink_stop(Uplink *uplink)
{
        uplink->stopping = true;
        if (uplink->trial)
                outlet_end(uplink->trial, LINK_BYE_ENDING, "remote is stopping", false);
        outlet_end(uplink->outlet, LINK_BYE_ENDING, "remote is stopping", false);
}

void uplink_tick(Uplink *uplink)
{
        if (uplink->trial)
                decide_trial(uplink);
        if (!outlet_connected(uplink->outlet))
                return;
        troubles_tick(&uplink->troubles);
        leave_if_full(uplink);
}

void uplink_status(Uplink *uplink)
{
        State *state = uplink->options.state;
        const LinkSender *sender = outlet_sender(uplink->outlet);
        StoreStatus status;
        uint64_t waiting;

        store_status(store_loop_store(uplink->options.store), &status);
        waiting = status.newest > status.released ? status.newest - status.released : 0;
        status_gauge(state, "connected", NULL, outlet_connected(uplink->outlet),
                     "1 while a collector takes records");
        if (outlet_connected(uplink->outlet))
                status_gauge(state, "collector_in_use", status_label(state, "collector", current(uplink)), 1,
                             "The collector that takes them");
        status_gauge(state, "waiting_records", NULL, (double) waiting,
                     "Stored here and not yet acknowledged by a collector");
        status_gauge(state, "acked_seq", NULL, (double) sender->acked,
                     "Last seq in the collector's custody, in this session");
        status_counter(state, "connects", NULL, uplink->connects, "Sessions begun with a collector");
        status_counter(state, "failovers", NULL, uplink->failovers,
                       "Sessions begun with another collector than the one before");
        status_counter(state, "disconnects", NULL, uplink->disconnects, "Sessions and attempts that ended");
        status_counter(state, "stream_restarts", NULL, uplink->diverged,
                       "Times the collector had another history");
        status_counter(state, "collector_set_backs", NULL, uplink->troubles.set_backs,
                       "Times a collector had less than it had acknowledged");
}

const char *uplink_describe(Uplink *uplink)
{
        if (outlet_connected(uplink->outlet))
                (void) snprintf(uplink->text, sizeof uplink->text, "connected to %s (%s)", current(uplink),
                                outlet_peer(uplink->outlet));
        else
                (void) snprintf(uplink->text, sizeof uplink->text, "no connection to a collector, tried %s",
                                outlet_peer(uplink->outlet));
        return uplink->text;
}

/* --- Life --- */

static int make_way(sd_event *event, Uplink *uplink, const OutletOptions *outlet_options, bool silent,
                    Route **ret_route, Outlet **ret_outlet)
{
        RouteOptions options = {
                .config = uplink->options.config,
                .node = uplink->options.node,
                .store = uplink->options.store,
                .tls = uplink->options.tls,
                .silent = silent,
        };
        int r;

        r = route_new(event, &options, ret_route);
        if (r < 0)
                return r;
        r = outlet_new(event, outlet_options, ret_outlet);
        if (r < 0)
                return r;
        route_attach(*ret_route, *ret_outlet);
        return 0;
}

/* Whether there are, or may be, several. */
static bool may_come_back(const RemoteConfig *config)
{
        return config->fail_back_usec != USEC_INFINITY &&
               (config->collectors[1] || collectors_is_service(config->collectors[0]));
}

static int make_ways(sd_event *event, Uplink *uplink)
{
        const RemoteConfig *config = uplink->options.config;
        OutletOptions options = {
                .handler = &outlet_handler,
                .node = uplink->options.node,
                .connect_usec = config->connect_timeout_usec,
                .timeout_usec = config->network_timeout_usec,
                .backoff_min_usec = config->retry_min_usec,
                .backoff_max_usec = config->retry_max_usec,
                .compress = (OutletCompress) config->compress,
                .userdata = uplink,
        };
        int r;

        r = make_way(event, uplink, &options, false, &uplink->route, &uplink->outlet);
        if (r < 0 || !may_come_back(config))
                return r;
        options.handler = &trial_handler;
        options.backoff_min_usec = options.backoff_max_usec = config->fail_back_usec;
        return make_way(event, uplink, &options, true, &uplink->trial_route, &uplink->trial);
}

int uplink_new(sd_event *event, const UplinkOptions *options, Uplink **ret)
{
        _cleanup_(uplink_freep) Uplink *uplink = calloc(1, sizeof *uplink);
        int r;

        if (!uplink)
                return -ENOMEM;
        uplink->options = *options;
        uplink->troubles = (Troubles) { .state = options->state, .store = options->store };
        r = make_ways(event, uplink);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(uplink);
        return 0;
}

Uplink *uplink_free(Uplink *uplink)
{
        if (!uplink)
                return NULL;
        route_free(uplink->route);
        route_free(uplink->trial_route);
        outlet_free(uplink->outlet);
        outlet_free(uplink->trial);
        free(uplink);
        return NULL;
}
