/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A client is an accepted outlet with a feed of its own.
 *
 *  1. A client costs a bounded amount of memory, and the others nothing: its feed drops its oldest, and what
 *     it does not read stays in its own buffers.
 *  2. Clients are bounded in number, each user's too, from accept() to the last byte of the BYE.
 *  3. Whoever may connect may read everything and write nothing: who that is, is the socket file's business.
 */

#include "dispatcher/pull.h"
#include "dispatcher/feed.h"
#include "dispatcher/subscriber-peer.h"
#include "dispatcher/text.h"
#include "runtime/connection-peer.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define ACCEPTS_PER_TURN 16U
/* A client on this host sends HELLO as its first thing, and WELCOME as its second. */
#define CONNECT_USEC (30 * USEC_PER_SEC)
#define LOG_INTERVAL_USEC (10 * USEC_PER_SEC)
/* Clients come and go, and some in a loop. */
#define LOG_BURST 20U
/* `lines`, and the paths of old that drop-ins give it. */
#define LISTENERS_MAX 16U

typedef struct PullClient {
        Pull *pull;
        Outlet *outlet;
        Feed *feed; /* of the link's: from HELLO on */
        RecordFilter *filter;
        ConnectionPeer peer;
        char name[NODE_NAME_MAX + 1];
        bool lines;
        SubscriberPeer as_peer; /* of the link's: from WELCOME on */
        Text text; /* of lines */
        LIST_ENTRY(PullClient) clients;
} PullClient;

typedef struct Listener {
        Pull *pull;
        sd_event_source *source; /* owns the socket */
        bool lines;
} Listener;

struct Pull {
        PullOptions options;
        char *node;
        Listener listeners[LISTENERS_MAX];
        size_t n_listeners;
        bool resting; /* out of descriptors: accepts again at the next tick */
        bool stopped;
        size_t n_clients;
        LIST_HEAD(, PullClient) clients;
        uint64_t accepted, surplus, refused;
        uint64_t dropped, gaps; /* of those that are gone */
        LogBurst burst;
};

static PullClient *client_free(PullClient *client)
{
        FeedStatus status;

        if (!client)
                return NULL;
        subscriber_peer_detach(&client->as_peer);
        if (client->feed) {
                feed_status(client->feed, &status);
                client->pull->dropped += status.dropped;
                client->pull->gaps += status.gaps;
        }
        LIST_REMOVE(client, clients);
        client->pull->n_clients--;
        outlet_free(client->outlet);
        feed_free(client->feed);
        record_filter_free(client->filter);
        free(client);
        return NULL;
}

/* --- The outlet's handler --- */

static int client_begin_feed(PullClient *client)
{
        FeedOptions options = {
                .ring = client->pull->options.ring,
                .name = client->name,
                .filter = client->filter,
                .queue_limit = client->pull->options.queue_limit,
                .overflow = OVERFLOW_DROP_OLDEST,
        };

        return feed_new(&options, &client->feed);
}

static LinkByeCode on_hello(Outlet *outlet, const LinkHello *hello, Source **ret_source, char **ret_why)
{
        PullClient *client = outlet_userdata(outlet);
        int r = 0;

        (void) snprintf(client->name, sizeof client->name, "%.*s", (int) hello->node.size, hello->node.data);
        if (hello->filter.size > 0)
                r = record_filter_parse(hello->filter.data, hello->filter.size, &client->filter, ret_why);
        if (r == -EINVAL)
                return LINK_BYE_PROTOCOL;
        if (r >= 0)
                r = client_begin_feed(client);
        if (r < 0)
                return LINK_BYE_OVERLOAD;
        *ret_source = feed_source(client->feed);
        return 0;
}

static void on_connected(Outlet *outlet, const LinkWelcome *welcome)
{
        PullClient *client = outlet_userdata(outlet);

        if (log_burst(&client->pull->burst, LOG_INTERVAL_USEC, LOG_BURST))
                log_message(LOG_INFO, MESSAGE_ID_PEER_CONNECTED, NULL,
                            "Client %s (%s) reads from seq %" PRIu64 " on", client->name, client->peer.name,
                            (welcome ? welcome->last : client->text.read) + 1);
        if (client->lines)
                return;
        client->as_peer.outlet = outlet;
        client->as_peer.feed = client->feed;
        subscriber_peer_attach(&client->as_peer, client->pull->options.commands, COMMAND_VIA_PULL,
                               client->name, NULL);
}

static void on_disconnected(Outlet *outlet, OutletTrouble trouble, const char *why)
{
        PullClient *client = outlet_userdata(outlet);
        Pull *pull = client->pull;
        bool refused =
                trouble == OUTLET_E_REFUSED || trouble == OUTLET_E_PROTOCOL || trouble == OUTLET_E_TIMEOUT;

        subscriber_peer_disconnected(&client->as_peer);
        pull->refused += refused;
        if (log_burst(&pull->burst, LOG_INTERVAL_USEC, LOG_BURST))
                log_message(refused ? LOG_WARNING : LOG_INFO, MESSAGE_ID_PEER_DISCONNECTED, NULL,
                            "Client %s (%s) reads no more: %s", client->name, client->peer.name, why);
}

static void on_command(Outlet *outlet, const LinkCommand *command)
{
        PullClient *client = outlet_userdata(outlet);

        subscriber_peer_command(&client->as_peer, command);
}

static void on_reply(Outlet *outlet, const LinkReply *reply)
{
        PullClient *client = outlet_userdata(outlet);

        subscriber_peer_reply(&client->as_peer, reply);
}

static void on_ended(Outlet *outlet)
{
        client_free(outlet_userdata(outlet));
}

static const OutletHandler client_handler = {
        .hello = on_hello,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .command = on_command,
        .reply = on_reply,
        .ended = on_ended,
};

/* --- Accepting --- */

static bool has_room(const Pull *pull, uid_t uid)
{
        const PullClient *client;
        uint64_t n = 0;

        LIST_FOREACH(client, &pull->clients, clients)
                n += client->peer.uid == uid;
        return pull->n_clients < pull->options.clients_max && n < pull->options.user_clients_max;
}

/* A peer that speaks the link hears why. Its socket is new and takes a frame. */
static void turn_away(Pull *pull, int fd, const ConnectionPeer *peer, bool lines)
{
        LinkBye bye = { .code = LINK_BYE_OVERLOAD, .reason = link_string("too many connections") };
        Buffer output = BUFFER_INIT(LINK_FRAME_MAX);

        pull->surplus++;
        if (!lines && frame_put_bye(&output, &bye) >= 0)
                (void) send(fd, buffer_head(&output), buffer_size(&output), MSG_DONTWAIT | MSG_NOSIGNAL);
        buffer_done(&output);
        if (log_burst(&pull->burst, LOG_INTERVAL_USEC, LOG_BURST))
                log_message(LOG_WARNING, MESSAGE_ID_PEER_REFUSED, NULL,
                            "Turned %s away, who wanted to read: too many connections", peer->name);
}

/* From now on. */
static int client_begin_lines(PullClient *client)
{
        SourceRange range;
        int r = client_begin_feed(client);

        if (r < 0)
                return r;
        client->text = (Text) {
                .source = feed_source(client->feed),
                .format = TEXT_LINES,
                .node = client->pull->node,
                .realtime_usec = realtime_usec,
        };
        client->text.source->range(client->text.source, &range);
        client->text.read = range.newest;
        return 0;
}

static int client_begin(PullClient *client, int fd)
{
        Pull *pull = client->pull;
        OutletOptions options = {
                .handler = &client_handler,
                .node = pull->node,
                .connect_usec = CONNECT_USEC,
                .timeout_usec =
                        USEC_INFINITY, /* a peer on this host that is gone hangs up: else it is slow */
                .userdata = client,
        };
        int r = 0;

        if (client->lines) {
                r = client_begin_lines(client);
                options.source = client->text.source;
                options.speech = &text_speech;
                options.speaker = &client->text;
        }
        if (r < 0) {
                (void) close_fd(fd);
                return r;
        }
        return outlet_accept(pull->options.event, &options, fd, &client->outlet);
}

/* Takes fd over. */
static int client_new(Pull *pull, int fd, const ConnectionPeer *peer, bool lines)
{
        PullClient *client = calloc(1, sizeof *client);
        int r;

        if (!client) {
                (void) close_fd(fd);
                return -ENOMEM;
        }
        client->pull = pull;
        client->peer = *peer;
        client->lines = lines;
        (void) snprintf(client->name, sizeof client->name, "%s", lines ? "of lines" : "without HELLO");
        LIST_INSERT_HEAD(&pull->clients, client, clients);
        pull->n_clients++;
        r = client_begin(client, fd);
        if (r < 0)
                client_free(client);
        return r;
}

static void set_accepting(Pull *pull, bool on)
{
        for (size_t i = 0; i < pull->n_listeners; i++)
                (void) sd_event_source_set_enabled(pull->listeners[i].source,
                                                   on ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void accept_failed(Pull *pull, int error)
{
        if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
                return;
        /* The connection stays in the queue; trying again at once would turn the loop in vain. */
        pull->resting = true;
        set_accepting(pull, false);
        if (log_burst(&pull->burst, LOG_INTERVAL_USEC, LOG_BURST))
                log_error("Cannot accept a reader: %s", strerror(error));
}

static int on_accept(sd_event_source *source, int listener, uint32_t events, void *userdata)
{
        const Listener *from = userdata;
        Pull *pull = from->pull;

        for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
                _cleanup_(close_fdp) int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                ConnectionPeer peer;
                int r;

                if (fd < 0) {
                        accept_failed(pull, errno);
                        break;
                }
                connection_peer_init(&peer);
                if (connection_peer_get(&peer, fd) < 0)
                        continue; /* gone already */
                if (!has_room(pull, peer.uid)) {
                        turn_away(pull, fd, &peer, from->lines);
                        continue;
                }
                pull->accepted++;
                r = client_new(pull, TAKE_FD(fd), &peer, from->lines);
                if (r < 0 && log_burst(&pull->burst, LOG_INTERVAL_USEC, LOG_BURST))
                        log_error("Cannot serve readers on %s: %s", peer.name, strerror(-r));
        }
        return 0;
}

/* --- What the dispatcher calls --- */

int pull_listen(Pull *pull, int fd, bool lines)
{
        Listener *listener;
        int r = -ENOBUFS;

        if (pull->n_listeners < LISTENERS_MAX) {
                listener = &pull->listeners[pull->n_listeners];
                *listener = (Listener) { .pull = pull, .lines = lines };
                r = sd_event_add_io(pull->options.event, &listener->source, fd, EPOLLIN, on_accept,
                                    listener);
        }
        if (r < 0) {
                (void) close_fd(fd);
                return r;
        }
        pull->n_listeners++;
        (void) sd_event_source_set_description(listener->source, lines ? "lines" : "subscribe");
        r = sd_event_source_set_io_fd_own(listener->source, true);
        return r < 0 ? r : sd_event_source_set_priority(listener->source, LOOP_DATA);
}

void pull_wake(Pull *pull)
{
        PullClient *client;

        LIST_FOREACH(client, &pull->clients, clients)
                outlet_wake(client->outlet);
}

void pull_tick(Pull *pull)
{
        if (!pull->resting || pull->stopped)
                return;
        pull->resting = false;
        set_accepting(pull, true);
}

void pull_stop(Pull *pull)
{
        pull->stopped = true;
        set_accepting(pull, false);
}

void pull_status(Pull *pull, State *state)
{
        uint64_t dropped = pull->dropped, gaps = pull->gaps, n[2] = { 0 };
        PullClient *client;
        FeedStatus status;

        LIST_FOREACH(client, &pull->clients, clients) {
                n[client->lines]++;
                if (!client->feed)
                        continue;
                feed_status(client->feed, &status);
                dropped += status.dropped;
                gaps += status.gaps;
        }
        status_gauge(state, "pull_clients", "socket=\"subscribe\"", (double) n[false],
                     "Clients that are connected to read");
        status_gauge(state, "pull_clients", "socket=\"lines\"", (double) n[true], NULL);
        status_counter(state, "pull_accepted", NULL, pull->accepted, "Clients that came to read");
        status_counter(state, "pull_turned_away", "reason=\"too-many\"", pull->surplus,
                       "Clients that were not served");
        status_counter(state, "pull_turned_away", "reason=\"refused\"", pull->refused, NULL);
        status_counter(state, "pull_dropped", NULL, dropped, "Records that clients were too slow for");
        status_counter(state, "pull_gaps", NULL, gaps, "Gaps that clients were told of");
}

int pull_new(const PullOptions *options, Pull **ret)
{
        _cleanup_(pull_freep) Pull *pull = calloc(1, sizeof *pull);

        if (!pull)
                return -ENOMEM;
        pull->options = *options;
        pull->node = strdup(ring_node(options->ring));
        if (!pull->node)
                return -ENOMEM;
        *ret = TAKE_PTR(pull);
        return 0;
}

Pull *pull_free(Pull *pull)
{
        PullClient *client;

        if (!pull)
                return NULL;
        while ((client = LIST_FIRST(&pull->clients)))
                client_free(client);
        for (size_t i = 0; i < pull->n_listeners; i++)
                sd_event_source_disable_unref(pull->listeners[i].source);
        free(pull->node);
        free(pull);
        return NULL;
}
