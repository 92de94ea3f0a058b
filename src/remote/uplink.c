/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The outlet to the collector.
 *
 *  1. One look-up serves one round: its addresses are tried in turn, and only when all have failed is the
 *     round over and the backoff kept.
 *  2. Of the conditions that say why there is no connection at most one holds; a connection (WELCOME) ends
 *     it. What the collector said of itself in the session before it says again with WELCOME; a condition
 *     that it does not repeat ends.
 *  3. After the collector has shown another history of our stream nothing is sent before the new stream id
 *     is durable.
 */

#include "remote/uplink.h"
#include "remote/resolver.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

/* The peer's sentence in a condition's file. */
#define REASON_MAX 500
/* A collector says its states with WELCOME; they have arrived by then. */
#define CONFIRM_USEC (2 * USEC_PER_SEC)

struct Uplink {
        UplinkOptions options;
        Outlet *outlet;
        Resolver *resolver;
        struct addrinfo *addresses, *next; /* of this round; next to be tried */
        bool looking_up;
        bool restarting;       /* the store is getting a new stream id in place of: */
        StreamId old_stream;
        uint64_t restart_seq;  /* newest seq then: the condition ends when that is acked */
        uint64_t set_backs, set_back_seq; /* seen so far; the same for a collector that was restored */
        unsigned unconfirmed; /* bits of collector_states: said in an earlier session, not yet in this one */
        uint64_t connected_usec;
        uint64_t connects, disconnects, diverged;
        char text[OUTLET_PEER_MAX + 64];
};

static const char *const connection_conditions[] = {
        [OUTLET_E_NETWORK] = "network_down",     [OUTLET_E_TIMEOUT] = "network_timeout",
        [OUTLET_E_TLS] = "tls_refused",          [OUTLET_E_REFUSED] = "refused",
        [OUTLET_E_PROTOCOL] = "collector_error", [OUTLET_E_ENDING] = "collector_ending",
        [OUTLET_E_SOURCE] = "spool_error",
};

/* What a collector says of itself, and our condition. */
static const struct {
        const char *state, *condition;
} collector_states[] = {
        { "disk_low", "collector_disk_low" },
        { "disk_full", "collector_disk_full" },
        { "disk_error", "collector_disk_error" },
        { "refused", "refused" },
};

/* --- Addresses --- */

static void forget_addresses(Uplink *uplink)
{
        if (uplink->addresses)
                freeaddrinfo(uplink->addresses);
        uplink->addresses = uplink->next = NULL;
}

static void name_address(Uplink *uplink, const struct addrinfo *address)
{
        char host[NI_MAXHOST], name[OUTLET_PEER_MAX];
        int r = getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, NULL, 0,
                            NI_NUMERICHOST | NI_NUMERICSERV);

        (void) snprintf(name, sizeof name, address->ai_family == AF_INET6 ? "[%.*s]:%s" : "%.*s:%s", 200,
                        r == 0 ? host : uplink->options.config->host, uplink->options.config->port);
        outlet_name_peer(uplink->outlet, name);
}

/* A socket on its way to the address. */
static int connect_to(const struct addrinfo *address, int *ret_fd)
{
        _cleanup_(close_fdp) int fd = -EBADF;
        int on = 1;

        fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    address->ai_protocol);
        if (fd < 0)
                return -errno;
        /* Frames are written whole; a window's last must not wait for an ack of the one before. */
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (connect(fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS)
                return -errno;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Tries the next addresses until one takes the call. */
static int try_next(Uplink *uplink, int *ret_fd, TlsSession **ret_tls)
{
        int r = -EHOSTUNREACH;

        while (uplink->next) {
                const struct addrinfo *address = uplink->next;
                _cleanup_(close_fdp) int fd = -EBADF;

                uplink->next = address->ai_next;
                name_address(uplink, address);
                r = connect_to(address, &fd);
                if (r < 0)
                        continue;
                r = tls_session_new(*uplink->options.tls, false, uplink->options.config->collector_name, fd,
                                    ret_tls);
                if (r < 0)
                        continue;
                *ret_fd = TAKE_FD(fd);
                return 0;
        }
        return r;
}

static void offer_next(Uplink *uplink)
{
        TlsSession *tls = NULL;
        int fd = -EBADF, r;
        char why[128];

        r = try_next(uplink, &fd, &tls);
        (void) snprintf(why, sizeof why, "Cannot connect: %s", strerror(-r));
        outlet_offer(uplink->outlet, fd, tls, r, why);
}

static void on_resolved(int error, struct addrinfo *addresses, void *userdata)
{
        Uplink *uplink = userdata;
        char why[400];

        uplink->looking_up = false;
        forget_addresses(uplink);
        if (error != 0) {
                (void) snprintf(why, sizeof why, "The collector's name \"%.250s\" is not found: %s",
                                uplink->options.config->host, gai_strerror(error));
                outlet_offer(uplink->outlet, -EBADF, NULL, -EHOSTUNREACH, why);
                return;
        }
        uplink->addresses = uplink->next = addresses;
        offer_next(uplink);
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

static int on_open(Outlet *outlet, int *ret_fd, TlsSession **ret_tls, char **ret_why)
{
        Uplink *uplink = outlet_userdata(outlet);
        int r;

        r = need_credentials(uplink, ret_why);
        if (r < 0)
                return r;
        if (uplink->restarting)
                return -EINPROGRESS;
        if (uplink->next)
                return try_next(uplink, ret_fd, ret_tls);
        if (!uplink->looking_up) {
                uplink->looking_up = true;
                resolver_start(uplink->resolver);
        }
        return -EINPROGRESS;
}

static bool on_another(Outlet *outlet)
{
        Uplink *uplink = outlet_userdata(outlet);

        return uplink->next != NULL;
}

static void clear_connection_conditions(Uplink *uplink, const char *except)
{
        for (size_t i = 0; i < ELEMENTSOF(connection_conditions); i++) {
                const char *name = connection_conditions[i];

                if (name && name != except)
                        state_clear(uplink->options.state, name);
        }
}

/* The store has noticed while WELCOME was judged. */
static void tell_set_back(Uplink *uplink, const LinkWelcome *welcome)
{
        StoreStatus status;
        char reason[200];

        store_status(store_loop_store(uplink->options.store), &status);
        if (status.set_backs == uplink->set_backs)
                return;
        uplink->set_backs = status.set_backs;
        uplink->set_back_seq = status.newest;
        (void) snprintf(reason, sizeof reason,
                        "The collector has our records up to %" PRIu64
                        ", less than it had acknowledged: what is still held is sent again, the rest is told "
                        "as lost",
                        welcome->last);
        state_raise(uplink->options.state, "collector_set_back", reason, NULL);
        store_loop_wake(uplink->options.store);
}

static void on_connected(Outlet *outlet, const LinkWelcome *welcome)
{
        Uplink *uplink = outlet_userdata(outlet);
        char field[OUTLET_PEER_MAX + 8];

        uplink->connects++;
        forget_addresses(uplink);
        (void) snprintf(field, sizeof field, "PEER=%s", outlet_peer(outlet));
        log_message(LOG_INFO, MESSAGE_ID_PEER_CONNECTED, field,
                    "Connected to collector %.*s (%s); it has records up to %" PRIu64,
                    (int) welcome->name.size, welcome->name.data, outlet_peer(outlet), welcome->last);
        clear_connection_conditions(uplink, NULL);
        tell_set_back(uplink, welcome);
        uplink->connected_usec = monotonic_usec();
        uplink->unconfirmed = (1U << ELEMENTSOF(collector_states)) - 1;
}

static void on_disconnected(Outlet *outlet, OutletTrouble trouble, const char *why)
{
        Uplink *uplink = outlet_userdata(outlet);
        char keys[OUTLET_PEER_MAX + 8];
        const char *condition;

        uplink->disconnects++;
        if (uplink->options.disconnected)
                uplink->options.disconnected(outlet, uplink->options.userdata);
        forget_addresses(uplink);
        if (trouble == OUTLET_OK)
                return;
        condition = connection_conditions[trouble];
        clear_connection_conditions(uplink, condition);
        (void) snprintf(keys, sizeof keys, "PEER=%s", outlet_peer(outlet));
        state_raise(uplink->options.state, condition, why, keys);
}

static void on_acked(Outlet *outlet, uint64_t seq)
{
        Uplink *uplink = outlet_userdata(outlet);

        if (uplink->restart_seq != 0 && seq >= uplink->restart_seq) {
                uplink->restart_seq = 0;
                state_clear(uplink->options.state, "stream_restarted");
        }
        if (uplink->set_back_seq != 0 && seq >= uplink->set_back_seq) {
                uplink->set_back_seq = 0;
                state_clear(uplink->options.state, "collector_set_back");
        }
}

static void on_diverged(Outlet *outlet, uint64_t peer_last)
{
        Uplink *uplink = outlet_userdata(outlet);
        StoreStatus status;
        char reason[200];
        int r;

        store_status(store_loop_store(uplink->options.store), &status);
        uplink->diverged++;
        uplink->restart_seq = MAX(status.newest, (uint64_t) 1);
        (void) snprintf(reason, sizeof reason,
                        "The collector has our stream up to %" PRIu64
                        ", with another history than our store's, which ends "
                        "at %" PRIu64 ": a new stream begins, and what is held is sent again",
                        peer_last, status.newest);
        state_raise(uplink->options.state, "stream_restarted", reason, NULL);
        r = store_restart_stream(store_loop_store(uplink->options.store), realtime_usec());
        if (r < 0) {
                log_error("Cannot begin a new stream: %s", strerror(-r));
                return;
        }
        uplink->restarting = true;
        uplink->old_stream = status.stream;
        store_loop_wake(uplink->options.store);
}

/* The value of REASON= among KEY=VALUE lines. */
static void find_reason(LinkString keys, char *ret, size_t size)
{
        static const char name[] = "REASON=";
        const char *p = keys.data, *end = keys.data + keys.size;

        (void) snprintf(ret, size, "The collector said so");
        while (p < end) {
                const char *newline = memchr(p, '\n', (size_t) (end - p));
                size_t n = (size_t) ((newline ? newline : end) - p);

                if (n > sizeof name - 1 && memcmp(p, name, sizeof name - 1) == 0) {
                        (void) snprintf(ret, size, "%.*s", (int) (n - (sizeof name - 1)),
                                        p + sizeof name - 1);
                        return;
                }
                p += n + 1;
        }
}

static void on_state(Outlet *outlet, const LinkState *state)
{
        Uplink *uplink = outlet_userdata(outlet);
        char reason[REASON_MAX], keys[OUTLET_PEER_MAX + 8];

        for (size_t i = 0; i < ELEMENTSOF(collector_states); i++) {
                const char *name = collector_states[i].state;

                if (state->name.size != strlen(name) ||
                    memcmp(state->name.data, name, state->name.size) != 0)
                        continue;
                uplink->unconfirmed &= ~(1U << i);
                if (!state->on) {
                        state_clear(uplink->options.state, collector_states[i].condition);
                        return;
                }
                find_reason(state->keys, reason, sizeof reason);
                (void) snprintf(keys, sizeof keys, "PEER=%s", outlet_peer(outlet));
                state_raise(uplink->options.state, collector_states[i].condition, reason, keys);
                return;
        }
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
        .another = on_another,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .acked = on_acked,
        .diverged = on_diverged,
        .state = on_state,
        .command = on_command,
};

/* --- What remote calls --- */

/* The new stream id may be durable: then goes on where on_open() stopped. */
static void continue_restart(Uplink *uplink)
{
        StoreStatus status;

        store_status(store_loop_store(uplink->options.store), &status);
        if (stream_id_equal(&status.stream, &uplink->old_stream))
                return;
        uplink->restarting = false;
        if (!uplink->looking_up) {
                uplink->looking_up = true;
                resolver_start(uplink->resolver);
        }
}

void uplink_wake(Uplink *uplink)
{
        if (uplink->restarting)
                continue_restart(uplink);
        else
                outlet_wake(uplink->outlet);
}

void uplink_reload(Uplink *uplink)
{
        if (*uplink->options.tls)
                outlet_review(uplink->outlet);
}

void uplink_stop(Uplink *uplink)
{
        outlet_end(uplink->outlet, LINK_BYE_ENDING, "remote is stopping", false);
}

void uplink_tick(Uplink *uplink)
{
        if (!outlet_connected(uplink->outlet) || monotonic_usec() - uplink->connected_usec < CONFIRM_USEC)
                return;
        for (size_t i = 0; i < ELEMENTSOF(collector_states); i++)
                if (uplink->unconfirmed & (1U << i))
                        state_clear(uplink->options.state, collector_states[i].condition);
        uplink->unconfirmed = 0;
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
        status_gauge(state, "waiting_records", NULL, (double) waiting,
                     "Stored here and not yet acknowledged by a collector");
        status_gauge(state, "acked_seq", NULL, (double) sender->acked,
                     "Last seq in the collector's custody, in this session");
        status_counter(state, "connects", NULL, uplink->connects, "Sessions begun with a collector");
        status_counter(state, "disconnects", NULL, uplink->disconnects, "Sessions and attempts that ended");
        status_counter(state, "stream_restarts", NULL, uplink->diverged,
                       "Times the collector had another history");
        status_counter(state, "collector_set_backs", NULL, uplink->set_backs,
                       "Times a collector had less than it had acknowledged");
}

const char *uplink_describe(Uplink *uplink)
{
        (void) snprintf(uplink->text, sizeof uplink->text, "%s %s",
                        outlet_connected(uplink->outlet) ? "connected to" : "no connection to",
                        outlet_peer(uplink->outlet));
        return uplink->text;
}

/* --- Life --- */

int uplink_new(sd_event *event, const UplinkOptions *options, Uplink **ret)
{
        _cleanup_(uplink_freep) Uplink *uplink = calloc(1, sizeof *uplink);
        const RemoteConfig *config = options->config;
        OutletOptions outlet_options = {
                .handler = &outlet_handler,
                .node = options->node,
                .tls = options->tls,
                .connect_usec = config->connect_timeout_usec,
                .timeout_usec = config->network_timeout_usec,
                .backoff_min_usec = config->retry_min_usec,
                .backoff_max_usec = config->retry_max_usec,
                .compress = (OutletCompress) config->compress,
                .userdata = uplink,
        };
        int r;

        if (!uplink)
                return -ENOMEM;
        uplink->options = *options;
        outlet_options.source = store_source(store_loop_store(options->store), config->collector_name);
        if (!outlet_options.source)
                return -ENOMEM;
        r = resolver_new(event, config->host, config->port, on_resolved, uplink, &uplink->resolver);
        if (r < 0)
                return r;
        r = outlet_new(event, &outlet_options, &uplink->outlet);
        if (r < 0)
                return r;
        outlet_name_peer(uplink->outlet, config->collector);
        /* What another collector has must be written down before this one is told. */
        store_loop_wake(options->store);
        *ret = TAKE_PTR(uplink);
        return 0;
}

Uplink *uplink_free(Uplink *uplink)
{
        if (!uplink)
                return NULL;
        resolver_free(uplink->resolver);
        outlet_free(uplink->outlet);
        forget_addresses(uplink);
        free(uplink);
        return NULL;
}
