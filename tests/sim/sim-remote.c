/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* remote: a keeper, and the uplink that ships. The oracle listens between uplink and outlet (ld --wrap).
 *
 * In half of the histories with two collectors the uplink knows both, and fails over and back by itself. Besides, an
 * administrator prefers the other one (in the other half: names only that) from the next start on; or the uplink is
 * made anew within the process, which is the same, but sooner.
 */

#include "sim-client.h"
#include "remote/resolver.h"
#include "runtime/credentials.h"

#undef NDEBUG
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECT_USEC (10 * USEC_PER_SEC)
#define BACKOFF_MIN_USEC (100 * USEC_PER_MSEC)
#define BACKOFF_MAX_USEC (5 * USEC_PER_SEC)
#define FAIL_BACK_USEC (3 * USEC_PER_SEC)
/* A host may have several addresses; the first ones may not answer. */
#define ADDRESSES_MAX 3U

static char names[SIM_COLLECTORS_MAX][16] = {"collector-0", "collector-1"};
static char hosts[SIM_COLLECTORS_MAX][32] = {"collector-0:6560", "collector-1:6561"};

const char *sim_collector_name(unsigned number)
{
        return names[number];
}

/* --- Names --- */

struct Resolver {
        sd_event_source *timer;
        const char *port;
        const ResolverHandler *handler;
        void *userdata;
};

/* As freeaddrinfo() frees it: one block each. */
static struct addrinfo *make_address(const char *port, struct addrinfo *next)
{
        struct addrinfo *address = calloc(1, sizeof *address + sizeof(struct sockaddr_in));
        struct sockaddr_in *in = (struct sockaddr_in *) (void *) (address + 1);

        assert(address);
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t) atoi(port))};
        address->ai_family = AF_INET;
        address->ai_socktype = SOCK_STREAM;
        address->ai_addrlen = sizeof *in;
        address->ai_addr = (struct sockaddr *) in;
        address->ai_next = next;
        return address;
}

static int on_resolved(sd_event_source *source, uint64_t usec, void *userdata)
{
        Resolver *resolver = userdata;
        struct addrinfo *addresses = NULL;

        if (sim.current->machine->cut_until > sim.now) {
                resolver->handler->host(EAI_AGAIN, NULL, resolver->userdata);
                return 0;
        }
        for (uint64_t n = 1 + sim_below(ADDRESSES_MAX); n > 0; n--)
                addresses = make_address(resolver->port, addresses);
        resolver->handler->host(0, addresses, resolver->userdata);
        return 0;
}

int resolver_new(sd_event *event, const ResolverHandler *handler, void *userdata, Resolver **ret)
{
        Resolver *resolver = calloc(1, sizeof *resolver);

        assert(resolver);
        *resolver = (Resolver){.handler = handler, .userdata = userdata};
        *ret = resolver;
        return sd_event_add_time(event, &resolver->timer, CLOCK_MONOTONIC, USEC_INFINITY, 0, on_resolved,
                                 resolver);
}

Resolver *resolver_free(Resolver *resolver)
{
        if (resolver)
                (void) sd_event_source_disable_unref(resolver->timer);
        free(resolver);
        return NULL;
}

int resolver_find_host(Resolver *resolver, const char *host, const char *port)
{
        resolver->port = port;
        (void) sd_event_source_set_time(resolver->timer, sim.now + sim_spread(sim.delay_usec));
        (void) sd_event_source_set_enabled(resolver->timer, SD_EVENT_ONESHOT);
        return 0;
}

int resolver_find_service(Resolver *resolver, const char *domain)
{
        assert(!"there are services");
        return 0;
}

int credentials_load(const CredentialsPaths *paths, Tls **tls, char **ret_why)
{
        assert(!"there are credentials");
        return 0;
}

/* --- Between the uplink and its outlet --- */

static Store *store_of(Client *client)
{
        return keeper_store(client->keeper);
}

static unsigned welcomed_by(Client *client, const Outlet *outlet, const LinkWelcome *welcome)
{
        const StreamId *stream = &outlet_sender(outlet)->stream;
        unsigned collector = 0;

        while (strncmp(welcome->name.data, names[collector], welcome->name.size) != 0)
                assert(++collector < sim.n_collectors);
        sim_trace("connected to %s, %" PRIu64 " of stream %02x%02x are in custody", names[collector], welcome->last,
                  stream->bytes[0], stream->bytes[1]);
        if (!sim_process_is_gone(sim.current))
                oracle_welcomed(client->number, collector, stream, welcome->last, store_of(client));
        return collector;
}

static void observe_connected(Outlet *outlet, const LinkWelcome *welcome)
{
        Client *client = client_of(sim.current);

        client->collector = welcomed_by(client, outlet, welcome);
        client->uplink_handler.connected(outlet, welcome);
}

static void observe_trial_connected(Outlet *outlet, const LinkWelcome *welcome)
{
        Client *client = client_of(sim.current);
        unsigned collector = welcomed_by(client, outlet, welcome);

        sim_trace("%s could be used in place of %s", names[collector], names[client->collector]);
        client->trial_handler.connected(outlet, welcome);
}

static void observe_acked(Outlet *outlet, uint64_t seq)
{
        Client *client = client_of(sim.current);

        if (!sim_process_is_gone(sim.current))
                oracle_heard(client->number, client->collector, &outlet_sender(outlet)->stream, seq);
        client->uplink_handler.acked(outlet, seq);
}

static void observe_diverged(Outlet *outlet, uint64_t peer_last)
{
        Client *client = client_of(sim.current);
        StoreStatus status;

        store_status(store_of(client), &status);
        sim_trace("%s has another history, up to %" PRIu64 "; here are %" PRIu64, names[client->collector],
                  peer_last, status.newest);
        if (!sim_process_is_gone(sim.current))
                oracle_diverged(client->number, status.written);
        client->uplink_handler.diverged(outlet, peer_last);
}

static void observe_disconnected(Outlet *outlet, OutletTrouble trouble, const char *why)
{
        Client *client = client_of(sim.current);

        sim_trace("no connection to %s: %s", names[client->collector], why);
        if (!sim_process_is_gone(sim.current) &&
            (trouble == OUTLET_E_PROTOCOL || trouble == OUTLET_E_REFUSED || trouble == OUTLET_E_SOURCE))
                sim_fail("%s: %s", sim.current->name, why);
        client->uplink_handler.disconnected(outlet, trouble, why);
}

int __real_outlet_new(sd_event *event, const OutletOptions *options, Outlet **ret);
int __wrap_outlet_new(sd_event *event, const OutletOptions *options, Outlet **ret);

int __wrap_outlet_new(sd_event *event, const OutletOptions *options, Outlet **ret)
{
        Client *client = client_of(sim.current);
        OutletOptions observed = *options;

        /* Who is only asked whether he is there acks nothing. */
        if (sim.current == client->remote && !options->handler->acked) {
                client->trial_handler = client->trial_observer = *options->handler;
                client->trial_observer.connected = observe_trial_connected;
                observed.handler = &client->trial_observer;
        } else if (sim.current == client->remote) {
                client->uplink_handler = client->uplink_observer = *options->handler;
                client->uplink_observer.connected = observe_connected;
                client->uplink_observer.acked = observe_acked;
                client->uplink_observer.diverged = observe_diverged;
                client->uplink_observer.disconnected = observe_disconnected;
                observed.handler = &client->uplink_observer;
        }
        return __real_outlet_new(event, &observed, ret);
}

/* --- The program --- */

static void note_begun(Client *client)
{
        client->begun = client->begun || !store_dirty(store_of(client));
}

static void on_durable(StoreLoop *loop, void *userdata)
{
        Client *client = userdata;

        if (!client->remote->terminating)
                client->begun = true;
        if (!sim_process_is_gone(client->remote))
                oracle_durable(client->number, store_loop_store(loop));
        if (client->uplink)
                uplink_wake(client->uplink);
}

static void on_hello(void *userdata)
{
        Client *client = userdata;

        client->goodbye = client->clean = false;
}

static void on_bye(const LinkReceiver *receiver, const LinkBye *bye, void *userdata)
{
        Client *client = userdata;

        client->goodbye = bye->code == LINK_BYE_ENDING && receiver->received == receiver->acked;
}

static void on_tick(void *userdata)
{
        Client *client = userdata;

        uplink_tick(client->uplink);
}

/* In order; whether this is a clean end, is for the dispatcher to say: and for the disk. */
static void on_finished(void *userdata)
{
        Client *client = userdata;

        if (!client->goodbye)
                return;
        client->clean = !keeper_troubled(client->keeper);
        client->begun = false;
}

static int make_uplink(Client *client)
{
        static char *lists[SIM_COLLECTORS_MAX][SIM_COLLECTORS_MAX + 1];
        static RemoteConfig configs[SIM_COLLECTORS_MAX];
        static char credentials;
        static Tls *tls;
        RemoteConfig *config = &configs[client->collector];
        UplinkOptions options = {
                .config = config,
                .node = client->node,
                .store = keeper_store_loop(client->keeper),
                .tls = &tls,
        };

        tls = (Tls *) (void *) &credentials;
        memset(lists[client->collector], 0, sizeof lists[client->collector]);
        for (unsigned i = 0; i < (sim.fails_over ? sim.n_collectors : 1); i++)
                lists[client->collector][i] = hosts[(client->collector + i) % sim.n_collectors];
        *config = (RemoteConfig){
                .collectors = lists[client->collector],
                .fail_back_usec = FAIL_BACK_USEC,
                .network_timeout_usec = sim.timeout_usec,
                .connect_timeout_usec = CONNECT_USEC,
                .retry_min_usec = BACKOFF_MIN_USEC,
                .retry_max_usec = BACKOFF_MAX_USEC,
                .compress = sim.compress ? OUTLET_COMPRESS_YES : OUTLET_COMPRESS_NO,
        };
        return uplink_new(client->remote->event, &options, &client->uplink);
}

static int remote_start(Process *process)
{
        Client *client = process->data;
        KeeperOptions keeper = {
                .service = client->machine->service,
                .name = client->node,
                .owner = "local",
                .durable = on_durable,
                .hello = on_hello,
                .bye = on_bye,
                .tick = on_tick,
                .finished = on_finished,
                .userdata = client,
        };
        int r = keeper_new(process, &keeper, &client->keeper);

        if (r < 0)
                return r;
        client->goodbye = client->clean = false;
        note_begun(client);
        if (!sim_process_is_gone(process))
                oracle_remote_started(client->number, store_of(client));
        return make_uplink(client);
}

static void remote_free(Process *process)
{
        Client *client = process->data;

        client->uplink = uplink_free(client->uplink);
        client->keeper = keeper_free(client->keeper);
}

static void remote_terminate(Process *process)
{
        Client *client = process->data;

        uplink_stop(client->uplink);
        keeper_finish(client->keeper);
}

void remote_new(Client *client)
{
        static const Program program = {
                .start = remote_start, .free = remote_free, .terminate = remote_terminate};
        char name[16];

        (void) snprintf(name, sizeof name, "remote-%u", client->number);
        client->remote = sim_process_new(name, client->machine, &program);
        client->remote->data = client;
}

void remote_fail_over(Client *client)
{
        Process *before = sim.current;

        client->collector = (client->collector + 1) % sim.n_collectors;
        sim_trace("%s is to use %s", client->remote->name, names[client->collector]);
        if (!client->remote->alive || client->remote->terminating)
                return;
        if (sim_chance(30)) {
                sim_process_terminate(client->remote);
        } else if (sim_chance(30)) {
                sim_process_kill(client->remote, sim_absence(USEC_PER_SEC));
        } else {
                sim.current = client->remote;
                client->uplink = uplink_free(client->uplink);
                assert(make_uplink(client) == 0);
                sim.current = before;
        }
}

bool remote_drained(Client *client)
{
        StoreStatus status;

        store_status(store_of(client), &status);
        return keeper_settled(client->keeper) &&
               oracle_heard_up_to(client->number, client->collector) >= status.newest;
}
