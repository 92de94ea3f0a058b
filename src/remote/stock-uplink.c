/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One connection at a time to a stock auditd.
 *
 *  1. Its ack says that a record is written, not that it will survive the collector: it is treated as
 * custody, since there is nothing better, and the status says so.
 *  2. Replies are always read: auditd drops those that its socket does not take.
 *  3. Connected means a reply: a heartbeat goes first. Only an acked record resets the backoff, as a
 * collector that stores nothing answers heartbeats all the same.
 *  4. Of the conditions that say why there is no connection at most one holds; a reply ends it. What the
 * collector said of its disk ends with an ack.
 */

#include "remote/stock-uplink.h"
#include "remote/resolver.h"
#include "remote/stock-feed.h"
#include "remote/stock-position.h"
#include "runtime/connection.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/tls-psk.h"
#include "stock/stock-sender.h"

#include <inttypes.h>
#include <stdio.h>

/* Parts of NetworkTimeout= after which a silent connection is asked for a sign of life. */
#define BEATS 3U
/* auditd says DISKLOW to each record, our own aggregator once a connection: the condition ends when none
 * came for so long and records did. */
#define LOW_USEC (60 * USEC_PER_SEC)
#define PEER_MAX 300U

struct StockUplink {
        const RemoteConfig *config;
        sd_event *event;
        State *state;
        StoreLoop *store;
        Resolver *resolver;
        struct addrinfo *addresses, *next; /* of this round; next to be tried */
        sd_event_source *timer;            /* until the next round */
        uint64_t backoff_usec;
        Tls *tls; /* NULL: plain */
        Connection *connection;
        StockSender sender;
        StockFeed feed;
        StockPosition position;
        bool established, answered, stopped;
        const char *condition; /* of the session that ends; NULL: what its end says */
        bool unread;           /* … none, as the store says it */
        char reason[400];
        char peer[PEER_MAX];
        char text[PEER_MAX + 64];
        uint64_t progress_usec; /* monotonic: a reply came, or the first request went out behind silence */
        uint64_t low_usec;      /* DISKLOW was said last; 0: acked long since */
        uint64_t sent, acked, cut, connects, disconnects, refusals; /* counters */
};

static const char *const connection_conditions[] = { "network_down", "network_timeout", "tls_refused",
                                                     "collector_ending", "collector_error" };
static const char *const disk_conditions[] = { "collector_disk_full", "collector_disk_error" };

static void clear_conditions(StockUplink *uplink, const char *const *names, size_t n, const char *except)
{
        for (size_t i = 0; i < n; i++)
                if (names[i] != except)
                        state_clear(uplink->state, names[i]);
}

static void raise_condition(StockUplink *uplink, const char *condition, const char *why)
{
        char keys[PEER_MAX + 8];

        (void) snprintf(keys, sizeof keys, "PEER=%s", uplink->peer);
        state_raise(uplink->state, condition, why, keys);
}

/* --- Rounds --- */

static void start_round(StockUplink *uplink);

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        StockUplink *uplink = userdata;

        uplink->timer = sd_event_source_disable_unref(uplink->timer);
        start_round(uplink);
        return 0;
}

static void wait_for_round(StockUplink *uplink)
{
        uint64_t wait = uplink->backoff_usec;
        int r;

        if (uplink->stopped || uplink->timer)
                return;
        uplink->backoff_usec = MIN(uplink->backoff_usec * 2, uplink->config->retry_max_usec);
        r = sd_event_add_time_relative(uplink->event, &uplink->timer, CLOCK_MONOTONIC, wait, 0, on_timer,
                                       uplink);
        if (r < 0)
                log_error("Cannot set a timer: %s", strerror(-r));
}

static void forget_addresses(StockUplink *uplink)
{
        if (uplink->addresses)
                freeaddrinfo(uplink->addresses);
        uplink->addresses = uplink->next = NULL;
}

/* `condition`: NULL, somebody else has said why. */
static void note_failure(StockUplink *uplink, const char *condition, const char *why)
{
        uplink->disconnects++;
        clear_conditions(uplink, connection_conditions, ELEMENTSOF(connection_conditions), condition);
        if (condition)
                raise_condition(uplink, condition, why);
}

/* --- The feed --- */

static void on_passed(StockFeed *feed, uint64_t seq)
{
        StockUplink *uplink = container_of(feed, StockUplink, feed);

        stock_position_set(&uplink->position, seq);
}

/* Puts a line into the output, cut when it is longer than auditd takes. */
static int put_line(StockUplink *uplink, const uint8_t *line, size_t size)
{
        Buffer *output = connection_output(uplink->connection);
        uint8_t shorter[STOCK_PAYLOAD_MAX];
        size_t fits = stock_sender_fit(line, size - 1);
        int r;

        if (fits == size - 1)
                return stock_sender_put(&uplink->sender, output, line, size);
        memcpy(shorter, line, fits);
        shorter[fits] = '\n';
        r = stock_sender_put(&uplink->sender, output, shorter, fits + 1);
        uplink->cut += r >= 0;
        return r;
}

/* Sends as much as the window and the output take. Returns 0, or an errno of the source. */
static int fill(StockUplink *uplink)
{
        int r = 0;

        while (uplink->answered && uplink->sender.in_flight < uplink->sender.window &&
               !uplink->sender.beating) {
                const uint8_t *line;
                size_t size;

                r = stock_feed_next(&uplink->feed, realtime_usec(), &line, &size);
                if (r <= 0)
                        break;
                if (uplink->sender.in_flight == 0)
                        uplink->progress_usec = monotonic_usec();
                /* No room, or not now: the next reply, or the socket, calls again. */
                r = 0;
                if (put_line(uplink, line, size) < 0)
                        break;
                stock_feed_sent(&uplink->feed);
                uplink->sent++;
        }
        if (r < 0) {
                uplink->unread = true;
                store_loop_not_read(uplink->store, strerror(-r));
        }
        return r;
}

/* --- The sender's handler --- */

static void on_acked(StockSender *sender)
{
        StockUplink *uplink = container_of(sender, StockUplink, sender);

        uplink->acked++;
        uplink->backoff_usec = uplink->config->retry_min_usec;
        store_loop_was_read(uplink->store);
        clear_conditions(uplink, disk_conditions, ELEMENTSOF(disk_conditions), NULL);
        stock_feed_acked(&uplink->feed);
}

static void on_warned(StockSender *sender, uint32_t type, const uint8_t *text, size_t size)
{
        StockUplink *uplink = container_of(sender, StockUplink, sender);

        if (type != STOCK_DISKLOW)
                return;
        uplink->low_usec = monotonic_usec();
        if (!state_holds(uplink->state, "collector_disk_low"))
                raise_condition(uplink, "collector_disk_low", "The collector's disk is nearly full");
}

static void on_refused(StockSender *sender, uint32_t type, const uint8_t *text, size_t size)
{
        StockUplink *uplink = container_of(sender, StockUplink, sender);
        int n = (int) MIN(size, (size_t) 256);

        uplink->refusals += type != STOCK_ENDING;
        if (type == STOCK_ENDING) {
                uplink->condition = "collector_ending";
                (void) snprintf(uplink->reason, sizeof uplink->reason, "The collector is stopping");
                return;
        }
        uplink->condition = type == STOCK_DISKFULL    ? "collector_disk_full"
                            : type == STOCK_DISKERROR ? "collector_disk_error"
                                                      : "collector_error";
        (void) snprintf(uplink->reason, sizeof uplink->reason,
                        "The collector does not store: it says 0x%08" PRIx32 " \"%.*s\"", type, n,
                        (const char *) text);
}

static const StockSenderHandler sender_handler = {
        .acked = on_acked,
        .warned = on_warned,
        .refused = on_refused,
};

/* --- The connection's handler --- */

static int on_established(Connection *connection)
{
        StockUplink *uplink = connection_userdata(connection);

        uplink->established = true;
        (void) snprintf(uplink->peer, sizeof uplink->peer, "%s", connection_peer(connection));
        stock_sender_init(&uplink->sender, &sender_handler, (unsigned) uplink->config->auditd_window);
        stock_feed_restart(&uplink->feed);
        uplink->progress_usec = monotonic_usec();
        return stock_sender_beat(&uplink->sender, connection_output(connection));
}

static void note_answer(StockUplink *uplink)
{
        char field[PEER_MAX + 8];

        uplink->progress_usec = monotonic_usec();
        if (uplink->answered)
                return;
        uplink->answered = true;
        uplink->connects++;
        forget_addresses(uplink);
        (void) snprintf(field, sizeof field, "PEER=%s", uplink->peer);
        log_message(LOG_INFO, MESSAGE_ID_PEER_CONNECTED, field,
                    "Connected to stock collector %s; its ack is no custody", uplink->peer);
        clear_conditions(uplink, connection_conditions, ELEMENTSOF(connection_conditions), NULL);
}

static int on_received(Connection *connection, Buffer *input)
{
        StockUplink *uplink = connection_userdata(connection);
        ssize_t n = stock_sender_feed(&uplink->sender, buffer_head(input), buffer_size(input));
        int r;

        if (n < 0) {
                uplink->condition = "collector_error";
                (void) snprintf(uplink->reason, sizeof uplink->reason,
                                "The collector broke the protocol: %s", uplink->sender.why);
                return (int) n;
        }
        buffer_consume(input, (size_t) n);
        if (uplink->sender.over)
                return -ECONNABORTED;
        if (n > 0)
                note_answer(uplink);
        r = fill(uplink);
        connection_flush(connection);
        return r;
}

static int on_drained(Connection *connection, Buffer *output)
{
        StockUplink *uplink = connection_userdata(connection);

        return uplink->established ? fill(uplink) : 0;
}

static void try_next(StockUplink *uplink);

static void on_closed(Connection *connection, int error, const char *why)
{
        StockUplink *uplink = connection_userdata(connection);
        bool tried = uplink->established;
        const char *condition = error == -ETIMEDOUT ? "network_timeout"
                                : error == -EPROTO  ? "tls_refused"
                                                    : "network_down";

        uplink->established = uplink->answered = false;
        if (uplink->condition)
                condition = uplink->condition;
        else /* the connection's words go with it */
                (void) snprintf(uplink->reason, sizeof uplink->reason, "%s",
                                why ? why : "The connection broke");
        uplink->connection = connection_free(connection);
        note_failure(uplink, uplink->unread ? NULL : condition, uplink->reason);
        uplink->condition = NULL;
        uplink->unread = false;
        if (uplink->stopped)
                return;
        if (!tried && uplink->next) {
                try_next(uplink);
                return;
        }
        forget_addresses(uplink);
        wait_for_round(uplink);
}

static const ConnectionHandler connection_handler = {
        .established = on_established,
        .received = on_received,
        .drained = on_drained,
        .closed = on_closed,
};

/* --- Connecting --- */

static int connect_to(StockUplink *uplink, const struct addrinfo *address)
{
        _cleanup_(close_fdp) int fd = -EBADF;
        Transport *transport = NULL;
        int r = connection_connect(address, &fd);

        if (r < 0)
                return r;
        if (uplink->tls) {
                r = tls_session_new(uplink->tls, false, NULL, fd, &transport);
                if (r < 0)
                        return r;
        }
        r = connection_new(uplink->event, TAKE_FD(fd), transport, &connection_handler, uplink,
                           &uplink->connection);
        if (r < 0)
                return r;
        r = connection_start(uplink->connection, uplink->config->connect_timeout_usec);
        if (r < 0)
                uplink->connection = connection_free(uplink->connection);
        return r;
}

/* The next address that takes the call, else the round is over. */
static void try_next(StockUplink *uplink)
{
        int r = -EHOSTUNREACH;
        char why[128];

        while (uplink->next) {
                const struct addrinfo *address = uplink->next;

                uplink->next = address->ai_next;
                r = connect_to(uplink, address);
                if (r >= 0)
                        return;
        }
        (void) snprintf(why, sizeof why, "Cannot connect: %s", strerror(-r));
        note_failure(uplink, "network_down", why);
        forget_addresses(uplink);
        wait_for_round(uplink);
}

static void on_host(int error, struct addrinfo *addresses, void *userdata)
{
        StockUplink *uplink = userdata;
        char why[400];

        forget_addresses(uplink);
        uplink->addresses = uplink->next = addresses;
        if (uplink->stopped)
                return;
        if (error == 0) {
                try_next(uplink);
                return;
        }
        (void) snprintf(why, sizeof why, "The collector's name \"%.250s\" is not found: %s",
                        uplink->config->host, gai_strerror(error));
        note_failure(uplink, "network_down", why);
        wait_for_round(uplink);
}

static const ResolverHandler resolver_handler = { .host = on_host };

/* Read anew for each round: a key that was replaced is used at once. */
static bool have_key(StockUplink *uplink)
{
        _cleanup_(freep) char *why = NULL;
        Tls *tls = NULL;

        if (!uplink->config->auditd_psk_file)
                return true;
        if (tls_psk_client_new(uplink->config->auditd_psk_identity, uplink->config->auditd_psk_file, &tls,
                               &why) < 0) {
                note_failure(uplink, "tls_refused", why ? why : "Out of memory");
                wait_for_round(uplink);
                return false;
        }
        tls_unref(uplink->tls);
        uplink->tls = tls;
        return true;
}

static void start_round(StockUplink *uplink)
{
        int r;

        if (uplink->stopped || !have_key(uplink))
                return;
        r = resolver_find_host(uplink->resolver, uplink->config->host, uplink->config->port);
        /* One that runs already answers for this round. */
        if (r < 0 && r != -EBUSY) {
                note_failure(uplink, "network_down", strerror(-r));
                wait_for_round(uplink);
        }
}

/* --- What remote calls --- */

void stock_uplink_wake(StockUplink *uplink)
{
        if (!uplink->answered)
                return;
        connection_refill(uplink->connection);
        connection_flush(uplink->connection);
}

void stock_uplink_stop(StockUplink *uplink)
{
        uplink->stopped = true;
        uplink->timer = sd_event_source_disable_unref(uplink->timer);
        uplink->connection = connection_free(uplink->connection);
        uplink->established = uplink->answered = false;
}

static void give_up(StockUplink *uplink)
{
        char why[128];

        (void) snprintf(why, sizeof why, "The collector has not answered for %.1f s",
                        (double) uplink->config->network_timeout_usec / USEC_PER_SEC);
        uplink->connection = connection_free(uplink->connection);
        uplink->established = uplink->answered = false;
        note_failure(uplink, "network_timeout", why);
        forget_addresses(uplink);
        wait_for_round(uplink);
}

void stock_uplink_tick(StockUplink *uplink)
{
        uint64_t now = monotonic_usec(), timeout = uplink->config->network_timeout_usec;

        if (uplink->low_usec != 0 && now - uplink->low_usec >= LOW_USEC) {
                uplink->low_usec = 0;
                state_clear(uplink->state, "collector_disk_low");
        }
        if (!uplink->established)
                return;
        if (uplink->sender.in_flight > 0 && now - uplink->progress_usec >= timeout) {
                give_up(uplink);
        } else if (uplink->sender.in_flight == 0 && now - uplink->progress_usec >= timeout / BEATS) {
                uplink->progress_usec = now;
                if (stock_sender_beat(&uplink->sender, connection_output(uplink->connection)) < 0)
                        log_debug("No room for a heartbeat");
                connection_flush(uplink->connection);
        }
}

void stock_uplink_status(StockUplink *uplink)
{
        State *state = uplink->state;
        StoreStatus status;

        store_status(store_loop_store(uplink->store), &status);
        status_gauge(state, "connected", NULL, uplink->answered, "1 while a collector takes records");
        status_gauge(state, "waiting_records", NULL,
                     status.newest > uplink->feed.acked ? (double) (status.newest - uplink->feed.acked) : 0,
                     "Stored here and not yet acknowledged by a collector");
        status_gauge(state, "acked_seq", NULL, (double) uplink->feed.acked,
                     "Last seq that the collector says to have written; that is no custody");
        status_counter(state, "connects", NULL, uplink->connects, "Sessions begun with a collector");
        status_counter(state, "disconnects", NULL, uplink->disconnects, "Sessions and attempts that ended");
        status_counter(state, "stock_records_sent", NULL, uplink->sent,
                       "Records sent to the stock collector, again ones too");
        status_counter(state, "stock_records_acked", NULL, uplink->acked, "Records it said to have written");
        status_counter(state, "stock_eoe_skipped", NULL, uplink->feed.skipped_eoe,
                       "EOE records, which a stock collector is not sent");
        status_counter(state, "stock_lines_cut", NULL, uplink->cut,
                       "Records cut at a field: longer than it takes");
        status_counter(state, "stock_refusals", NULL, uplink->refusals,
                       "Times it said that a record was not stored");
}

const char *stock_uplink_describe(StockUplink *uplink)
{
        (void) snprintf(uplink->text, sizeof uplink->text,
                        uplink->answered ? "connected to auditd %s, whose ack is no custody"
                                         : "no connection to auditd %s",
                        uplink->peer);
        return uplink->text;
}

/* --- Life --- */

static int make_feed(StockUplink *uplink, const char *node)
{
        const RemoteConfig *config = uplink->config;
        Store *store = store_loop_store(uplink->store);
        char name[NODE_NAME_MAX + 1];
        StoreStatus status;
        Source *source;
        uint64_t acked;
        int r;

        (void) snprintf(name, sizeof name, "auditd.%s", config->host);
        source = store_source(store, name);
        if (!source)
                return -ENOMEM;
        store_status(store, &status);
        r = stock_position_open(&uplink->position, config->directory, &status.stream, name);
        if (r < 0) {
                log_error("Cannot open stock-position in %s: %s", config->directory, strerror(-r));
                return r;
        }
        acked = stock_position_get(&uplink->position);
        r = stock_feed_init(&uplink->feed, source, node, status.released,
                            acked <= status.newest ? acked : 0);
        uplink->feed.passed = on_passed;
        return r;
}

int stock_uplink_new(sd_event *event, const RemoteConfig *config, const char *node, State *state,
                     StoreLoop *store, StockUplink **ret)
{
        _cleanup_(stock_uplink_freep) StockUplink *uplink = calloc(1, sizeof *uplink);
        int r;

        if (!uplink)
                return -ENOMEM;
        uplink->config = config;
        uplink->event = event;
        uplink->state = state;
        uplink->store = store;
        uplink->backoff_usec = config->retry_min_usec;
        (void) snprintf(uplink->peer, sizeof uplink->peer, "%.200s:%.50s", config->host, config->port);
        r = resolver_new(event, &resolver_handler, uplink, &uplink->resolver);
        if (r >= 0)
                r = make_feed(uplink, node);
        if (r < 0)
                return r;
        start_round(uplink);
        *ret = TAKE_PTR(uplink);
        return 0;
}

StockUplink *stock_uplink_free(StockUplink *uplink)
{
        if (!uplink)
                return NULL;
        stock_uplink_stop(uplink);
        uplink->resolver = resolver_free(uplink->resolver);
        forget_addresses(uplink);
        tls_unref(uplink->tls);
        stock_feed_done(&uplink->feed);
        stock_position_close(&uplink->position);
        free(uplink);
        return NULL;
}
