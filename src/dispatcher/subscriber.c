/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A subscriber is an outlet to a Unix socket, with a feed of the ring as its source. With Overflow=block the
 * ring keeps what it has not acked, also while it is away or the dispatcher is dead; any other one may be
 * left behind, and is told what it missed.
 *
 *  1. Records are sent to root, to us, and to the user that the file names, whoever listens on the socket.
 */

#include "dispatcher/subscriber.h"
#include "basic/unix.h"
#include "dispatcher/subscriber-peer.h"
#include "dispatcher/text.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>

/* systemd accepts at once and starts the service then: WELCOME may take as long as a program and its store
 * need to start. */
#define CONNECT_USEC (60 * USEC_PER_SEC)
/* A disk that is busy for so long is as good as dead; a new session costs nothing but what is in flight. */
#define TIMEOUT_USEC (120 * USEC_PER_SEC)
#define BACKOFF_MIN_USEC (100 * USEC_PER_MSEC)
#define BACKOFF_MAX_USEC (5 * USEC_PER_SEC)
#define LOG_INTERVAL_USEC (60 * USEC_PER_SEC)
/* Who drops now and then is dropping: a condition that comes and goes every second tells less. */
#define DROPPING_TICKS 10U

struct Subscriber {
        SubscriberOptions options;
        SubscriberConfig config;
        Feed *feed;
        Outlet *outlet;
        SubscriberPeer peer;
        Text text;      /* unless it speaks the link */
        bool known;     /* `acked` is: it has been connected */
        bool leaving;   /* BYE is out, its connection not yet closed */
        uint64_t acked; /* last seq in its custody */
        uint64_t logged_usec;
        unsigned calm_ticks; /* without a further drop; DROPPING_TICKS: long enough */
        SubscriberStatus status;
};

/* --- The outlet's handler --- */

/* On a socket that PID 1 listens on, SO_PEERCRED names PID 1. */
static int check_peer(const Subscriber *subscriber, int fd, char **ret_why)
{
        struct ucred peer;
        socklen_t size = sizeof peer;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return -errno;
        if (peer.uid == 0 || peer.uid == geteuid() || peer.uid == subscriber->config.uid)
                return 0;
        if (asprintf(ret_why, "user %u listens on %s, which is neither root nor User=", peer.uid,
                     subscriber->config.socket) < 0)
                *ret_why = NULL;
        return -EACCES;
}

static int on_open(Outlet *outlet, int *ret_fd, Transport **ret_transport, char **ret_why)
{
        const Subscriber *subscriber = outlet_userdata(outlet);
        _cleanup_(close_fdp) int fd = -EBADF;
        int r;

        outlet_name_peer(outlet, subscriber->config.socket);
        /* Complete at once, or refused: EAGAIN is a full queue, to be tried again. */
        fd = connect_unix(subscriber->config.socket);
        if (fd < 0)
                return fd;
        r = check_peer(subscriber, fd, ret_why);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        *ret_transport = NULL;
        return 0;
}

static void tell_acked(const Subscriber *subscriber)
{
        subscriber->options.acked(subscriber->options.userdata);
}

static void move_acked(Subscriber *subscriber, uint64_t seq)
{
        subscriber->acked = seq;
        subscriber->known = true;
        tell_acked(subscriber);
}

static void on_connected(Outlet *outlet, const LinkWelcome *welcome)
{
        Subscriber *subscriber = outlet_userdata(outlet);
        uint64_t last = welcome ? welcome->last : subscriber->text.read;

        subscriber->logged_usec = 0;
        log_message(LOG_INFO, MESSAGE_ID_PEER_CONNECTED, NULL,
                    "Subscriber %s connected, it has all up to %" PRIu64, subscriber->config.name, last);
        move_acked(subscriber, last);
}

static void on_disconnected(Outlet *outlet, OutletTrouble trouble, const char *why)
{
        Subscriber *subscriber = outlet_userdata(outlet);

        if (trouble != OUTLET_OK && log_limit(&subscriber->logged_usec, LOG_INTERVAL_USEC))
                log_message(LOG_NOTICE, MESSAGE_ID_PEER_DISCONNECTED, NULL, "Subscriber %s (%s): %s",
                            subscriber->config.name, subscriber->config.socket, why);
        subscriber_peer_disconnected(&subscriber->peer);
        if (subscriber->leaving) {
                subscriber->leaving = false;
                tell_acked(subscriber);
        }
}

static void on_acked(Outlet *outlet, uint64_t seq)
{
        move_acked(outlet_userdata(outlet), seq);
}

static void on_command(Outlet *outlet, const LinkCommand *command)
{
        Subscriber *subscriber = outlet_userdata(outlet);

        subscriber_peer_command(&subscriber->peer, command);
}

static void on_reply(Outlet *outlet, const LinkReply *reply)
{
        Subscriber *subscriber = outlet_userdata(outlet);

        subscriber_peer_reply(&subscriber->peer, reply);
}

static const OutletHandler outlet_handler = {
        .open = on_open,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .acked = on_acked,
        .command = on_command,
        .reply = on_reply,
};

/* --- What the owner calls --- */

const SubscriberConfig *subscriber_config(const Subscriber *subscriber)
{
        return &subscriber->config;
}

bool subscriber_is_kept(const Subscriber *subscriber)
{
        return subscriber->config.overflow == OVERFLOW_BLOCK || subscriber->config.format != FORMAT_LINK;
}

void subscriber_wake(Subscriber *subscriber)
{
        outlet_wake(subscriber->outlet);
}

bool subscriber_pending(const Subscriber *subscriber, uint64_t newest)
{
        return subscriber->config.overflow == OVERFLOW_BLOCK && outlet_connected(subscriber->outlet) &&
               subscriber->acked < newest;
}

bool subscriber_end(Subscriber *subscriber)
{
        if (subscriber->config.overflow == OVERFLOW_BLOCK && outlet_connected(subscriber->outlet)) {
                subscriber->leaving = true;
                outlet_end(subscriber->outlet, LINK_BYE_ENDING, "the dispatcher is stopping", false);
        }
        return !subscriber->leaving;
}

const SubscriberStatus *subscriber_status(const Subscriber *subscriber)
{
        return &subscriber->status;
}

const SubscriberStatus *subscriber_tick(Subscriber *subscriber, uint64_t newest)
{
        SubscriberStatus *status = &subscriber->status;
        uint64_t dropped = status->feed.dropped;

        feed_status(subscriber->feed, &status->feed);
        if (subscriber->config.format != FORMAT_LINK) {
                subscriber->acked = subscriber->text.read; /* it may have moved without a connection */
                outlet_wake(subscriber->outlet); /* in place of a heartbeat: a pause may be over */
        }
        status->acked = subscriber->acked;
        status->lag = newest - MIN(subscriber->acked, newest);
        status->known = subscriber->known;
        status->connected = outlet_connected(subscriber->outlet);
        status->more = status->feed.dropped > dropped;
        if (status->more)
                subscriber->calm_ticks = 0;
        else if (subscriber->calm_ticks < DROPPING_TICKS)
                subscriber->calm_ticks++;
        status->dropping = status->feed.dropped > 0 &&
                           (status->feed.dropping || subscriber->calm_ticks < DROPPING_TICKS);
        return status;
}

/* --- Life --- */

static int begin_feed(Subscriber *subscriber)
{
        const SubscriberConfig *config = &subscriber->config;
        FeedOptions options = {
                .ring = subscriber->options.ring,
                .name = config->name,
                .filter = config->filter,
                .pressure_filter = config->pressure_filter,
                .queue_limit = config->queue_limit,
                .overflow = config->overflow,
                .remembered = config->format != FORMAT_LINK,
        };
        int r = feed_new(&options, &subscriber->feed);

        if (r != -ENOBUFS || !options.remembered || options.overflow == OVERFLOW_BLOCK)
                return r;
        log_warning("The ring remembers where %u subscribers stand: %s gets again what it holds whenever the "
                    "dispatcher starts",
                    RING_REMEMBERED_MAX, config->name);
        options.remembered = false;
        return feed_new(&options, &subscriber->feed);
}

/* A reader of text cannot say where it stands: the ring remembers. */
static void begin_text(Subscriber *subscriber)
{
        Source *source = feed_source(subscriber->feed);
        SourceRange range;
        FeedStatus status;

        feed_status(subscriber->feed, &status);
        source->range(source, &range);
        subscriber->text = (Text) {
                .source = source,
                .format = subscriber->config.format == FORMAT_AUDISP ? TEXT_AUDISP : TEXT_LINES,
                .node = subscriber->options.node,
                .realtime_usec = realtime_usec,
                .read = status.remembered ? status.acked : range.oldest - 1,
        };
        subscriber->acked = subscriber->text.read;
        subscriber->known = true;
}

static int begin(Subscriber *subscriber)
{
        OutletOptions options = {
                .handler = &outlet_handler,
                .node = subscriber->options.node,
                .connect_usec = CONNECT_USEC,
                .timeout_usec = TIMEOUT_USEC,
                .backoff_min_usec = BACKOFF_MIN_USEC,
                .backoff_max_usec = BACKOFF_MAX_USEC,
                /* Whom the ring waits for is to hear, in the end, that it holds nothing more: remote takes that
                 * for a clean end. */
                .idle = subscriber->config.overflow != OVERFLOW_BLOCK,
                .userdata = subscriber,
        };
        int r = begin_feed(subscriber);

        if (r < 0)
                return r;
        options.source = feed_source(subscriber->feed);
        if (subscriber->config.format != FORMAT_LINK) {
                begin_text(subscriber);
                options.idle = true; /* it hears nothing but records */
                options.speech = &text_speech;
                options.speaker = &subscriber->text;
        }
        r = outlet_new(subscriber->options.event, &options, &subscriber->outlet);
        if (r < 0)
                return r;
        subscriber->peer.outlet = subscriber->outlet;
        subscriber->peer.feed = subscriber->feed;
        subscriber_peer_attach(&subscriber->peer, subscriber->options.commands, COMMAND_VIA_PUSH,
                               subscriber->config.name, subscriber->config.commands);
        return 0;
}

int subscriber_new(const SubscriberOptions *options, SubscriberConfig *config, Subscriber **ret)
{
        _cleanup_(subscriber_freep) Subscriber *subscriber = calloc(1, sizeof *subscriber);
        int r;

        if (!subscriber) {
                subscriber_config_done(config);
                return -ENOMEM;
        }
        *subscriber = (Subscriber) { .options = *options, .config = *config, .calm_ticks = DROPPING_TICKS };
        *config = (SubscriberConfig) { 0 };
        r = begin(subscriber);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(subscriber);
        return 0;
}

Subscriber *subscriber_free(Subscriber *subscriber)
{
        if (!subscriber)
                return NULL;
        subscriber_peer_detach(&subscriber->peer);
        outlet_free(subscriber->outlet);
        feed_free(subscriber->feed);
        subscriber_config_done(&subscriber->config);
        free(subscriber);
        return NULL;
}
