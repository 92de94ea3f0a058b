/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A subscriber is an outlet to a Unix socket, with the ring as its source. With Overflow=block the ring
 * keeps what it has not acked, also while it is away or the dispatcher is dead; any other one may be
 * overtaken, and is told what it missed.
 *
 *  1. The ring waits for exactly the subscribers that the configuration names with Overflow=block: who
 *     leaves it is forgotten, also when that happened while no dispatcher ran.
 *  2. Records are sent to root, to us, and to the user that the file names, whoever listens on the socket.
 */

#include "dispatcher/subscriber.h"
#include "dispatcher/config.h"
#include "runtime/config.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/outlet.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>

/* systemd accepts at once and starts the service then: WELCOME may take as long as a program and its store
 * need to start. */
#define CONNECT_USEC (60 * USEC_PER_SEC)
/* A disk that is busy for so long is as good as dead; a new session costs nothing but what is in flight. */
#define TIMEOUT_USEC (120 * USEC_PER_SEC)
#define BACKOFF_MIN_USEC (100 * USEC_PER_MSEC)
#define BACKOFF_MAX_USEC (5 * USEC_PER_SEC)
#define LOG_INTERVAL_USEC (60 * USEC_PER_SEC)

typedef struct Subscriber {
        Subscribers *all;
        SubscriberConfig config;
        Source *source;
        Outlet *outlet;
        bool known; /* `acked` is: it has been connected */
        bool dropping;
        bool leaving;   /* BYE is out, its connection not yet closed */
        uint64_t acked; /* last seq in its custody */
        uint64_t logged_usec;
        LIST_ENTRY(Subscriber) subscribers;
} Subscriber;

LIST_HEAD(SubscriberList, Subscriber);

struct Subscribers {
        SubscribersOptions options;
        char *node;
        struct SubscriberList list;
};

static Subscriber *subscriber_free(Subscriber *subscriber)
{
        if (!subscriber)
                return NULL;
        outlet_free(subscriber->outlet);
        ring_source_free(subscriber->all->options.ring, subscriber->source);
        subscriber_config_done(&subscriber->config);
        free(subscriber);
        return NULL;
}
DEFINE_CLEANUP(Subscriber *, subscriber_free)

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

static int on_open(Outlet *outlet, int *ret_fd, TlsSession **ret_tls, char **ret_why)
{
        const Subscriber *subscriber = outlet_userdata(outlet);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_(close_fdp) int fd = -EBADF;
        int r;

        outlet_name_peer(outlet, subscriber->config.socket);
        memcpy(address.sun_path, subscriber->config.socket, strlen(subscriber->config.socket));
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        /* Complete at once, or refused: EAGAIN is a full queue, to be tried again. */
        if (connect(fd, (struct sockaddr *) &address, sizeof address) < 0)
                return -errno;
        r = check_peer(subscriber, fd, ret_why);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        *ret_tls = NULL;
        return 0;
}

static void move_acked(Subscriber *subscriber, uint64_t seq)
{
        subscriber->acked = seq;
        subscriber->known = true;
        subscriber->all->options.acked(subscriber->all->options.userdata);
}

static void on_connected(Outlet *outlet, const LinkWelcome *welcome)
{
        Subscriber *subscriber = outlet_userdata(outlet);

        subscriber->logged_usec = 0;
        log_message(LOG_INFO, MESSAGE_ID_PEER_CONNECTED, NULL,
                    "Subscriber %s connected, it has all up to %" PRIu64, subscriber->config.name,
                    welcome->last);
        move_acked(subscriber, welcome->last);
}

static void on_disconnected(Outlet *outlet, OutletTrouble trouble, const char *why)
{
        Subscriber *subscriber = outlet_userdata(outlet);

        if (trouble != OUTLET_OK && log_limit(&subscriber->logged_usec, LOG_INTERVAL_USEC))
                log_message(LOG_NOTICE, MESSAGE_ID_PEER_DISCONNECTED, NULL, "Subscriber %s (%s): %s",
                            subscriber->config.name, subscriber->config.socket, why);
        if (subscriber->leaving) {
                subscriber->leaving = false;
                subscriber->all->options.acked(subscriber->all->options.userdata);
        }
}

static void on_acked(Outlet *outlet, uint64_t seq)
{
        move_acked(outlet_userdata(outlet), seq);
}

static const OutletHandler outlet_handler = {
        .open = on_open,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .acked = on_acked,
};

/* --- Loading --- */

static int subscriber_begin(Subscriber *subscriber)
{
        Subscribers *all = subscriber->all;
        OutletOptions options = {
                .handler = &outlet_handler,
                .node = all->node,
                .connect_usec = CONNECT_USEC,
                .timeout_usec = TIMEOUT_USEC,
                .backoff_min_usec = BACKOFF_MIN_USEC,
                .backoff_max_usec = BACKOFF_MAX_USEC,
                .idle = true,
                .userdata = subscriber,
        };

        subscriber->source = ring_source(all->options.ring, subscriber->config.name,
                                         subscriber->config.overflow == OVERFLOW_BLOCK);
        if (!subscriber->source)
                return -ENOBUFS;
        options.source = subscriber->source;
        return outlet_new(all->options.event, &options, &subscriber->outlet);
}

static Subscriber *find(const struct SubscriberList *list, const char *name)
{
        Subscriber *subscriber;

        LIST_FOREACH(subscriber, list, subscribers)
                if (strcmp(subscriber->config.name, name) == 0)
                        return subscriber;
        return NULL;
}

/* Reads all files before anything is touched. */
static int read_files(Subscribers *subscribers, struct SubscriberList *ret_list)
{
        _cleanup_(strings_freep) char **paths = NULL;
        int r = config_list("subscribers.d", subscribers->options.directory, &paths);

        for (size_t i = 0; r >= 0 && i < strings_count(paths); i++) {
                Subscriber *subscriber = calloc(1, sizeof *subscriber);

                if (!subscriber)
                        return -ENOMEM;
                subscriber->all = subscribers;
                LIST_INSERT_HEAD(ret_list, subscriber, subscribers);
                r = subscriber_config_load(paths[i], &subscriber->config);
        }
        return r;
}

static void list_free(struct SubscriberList *list)
{
        Subscriber *subscriber;

        while ((subscriber = LIST_FIRST(list))) {
                LIST_REMOVE(subscriber, subscribers);
                subscriber_free(subscriber);
        }
}

/* Those that are awaited in the ring and not in the configuration. */
static void forget_others(Subscribers *subscribers)
{
        Ring *ring = subscribers->options.ring;

        for (unsigned i = 0; i < RING_AWAITED_MAX; i++) {
                const char *name = ring_awaited(ring, i);
                const Subscriber *subscriber = name ? find(&subscribers->list, name) : NULL;

                if (!name || (subscriber && subscriber->config.overflow == OVERFLOW_BLOCK))
                        continue;
                log_notice("The ring no longer waits for %s: it left the configuration", name);
                ring_forget(ring, name);
        }
}

/* Takes over what runs on unchanged, and begins the rest. */
static int replace(Subscribers *subscribers, struct SubscriberList *wanted)
{
        Subscriber *subscriber;
        int r = 0;

        while ((subscriber = LIST_FIRST(wanted))) {
                Subscriber *old = find(&subscribers->list, subscriber->config.name);
                int begun = 0;

                LIST_REMOVE(subscriber, subscribers);
                if (old && subscriber_config_equal(&old->config, &subscriber->config)) {
                        subscriber_free(subscriber);
                        continue;
                }
                if (old) {
                        LIST_REMOVE(old, subscribers);
                        subscriber_free(old);
                }
                begun = subscriber_begin(subscriber);
                if (begun >= 0) {
                        LIST_INSERT_HEAD(&subscribers->list, subscriber, subscribers);
                        continue;
                }
                log_error("Cannot send to the subscriber %s: %s", subscriber->config.name,
                          begun == -ENOBUFS ? "the ring waits for too many already" : strerror(-begun));
                subscriber_free(subscriber);
                r = begun;
        }
        return r;
}

int subscribers_load(Subscribers *subscribers)
{
        struct SubscriberList wanted = LIST_HEAD_INITIALIZER(wanted);
        Subscriber *subscriber, *next;
        int r = read_files(subscribers, &wanted);

        if (r < 0) {
                list_free(&wanted);
                return r;
        }
        for (subscriber = LIST_FIRST(&subscribers->list); subscriber; subscriber = next) {
                next = LIST_NEXT(subscriber, subscribers);
                if (find(&wanted, subscriber->config.name))
                        continue;
                LIST_REMOVE(subscriber, subscribers);
                subscriber_free(subscriber);
        }
        r = replace(subscribers, &wanted);
        forget_others(subscribers);
        subscribers->options.acked(subscribers->options.userdata);
        return r;
}

/* --- What the dispatcher calls --- */

void subscribers_wake(Subscribers *subscribers)
{
        Subscriber *subscriber;

        LIST_FOREACH(subscriber, &subscribers->list, subscribers)
                outlet_wake(subscriber->outlet);
}

bool subscribers_pending(const Subscribers *subscribers)
{
        const Subscriber *subscriber;
        RingStatus status;

        ring_status(subscribers->options.ring, &status);
        LIST_FOREACH(subscriber, &subscribers->list, subscribers)
                if (subscriber->config.overflow == OVERFLOW_BLOCK && outlet_connected(subscriber->outlet) &&
                    subscriber->acked < status.newest)
                        return true;
        return false;
}

bool subscribers_end(Subscribers *subscribers)
{
        Subscriber *subscriber;
        bool gone = true;

        LIST_FOREACH(subscriber, &subscribers->list, subscribers) {
                if (subscriber->config.overflow == OVERFLOW_BLOCK && outlet_connected(subscriber->outlet)) {
                        subscriber->leaving = true;
                        outlet_end(subscriber->outlet, LINK_BYE_ENDING, "the dispatcher is stopping", false);
                }
                gone = gone && !subscriber->leaving;
        }
        return gone;
}

void subscribers_tick(Subscribers *subscribers)
{
        State *state = subscribers->options.state;
        Subscriber *subscriber;
        RingStatus status;
        bool dropping = false;
        char reason[256];

        ring_status(subscribers->options.ring, &status);
        LIST_FOREACH(subscriber, &subscribers->list, subscribers) {
                bool behind = subscriber->known && subscriber->acked + 1 < status.oldest;

                dropping = dropping || behind;
                if (behind && !subscriber->dropping) {
                        (void) snprintf(reason, sizeof reason, "%s is too slow: the ring has gone past it",
                                        subscriber->config.name);
                        state_raise(state, "subscriber_dropping", reason, NULL);
                }
                subscriber->dropping = behind;
        }
        if (!dropping)
                state_clear(state, "subscriber_dropping");
}

static size_t describe(const Subscriber *subscriber, uint64_t newest, char *out, size_t size)
{
        const char *name = subscriber->config.name;

        if (subscriber->known && subscriber->acked >= newest)
                return (size_t) snprintf(out, size, ", %s acked", name);
        if (outlet_connected(subscriber->outlet))
                return (size_t) snprintf(out, size, ", %s %" PRIu64 " behind", name,
                                         newest - subscriber->acked);
        return (size_t) snprintf(out, size, ", %s away", name);
}

void subscribers_status(const Subscribers *subscribers, char *out, size_t size)
{
        State *state = subscribers->options.state;
        const Subscriber *subscriber;
        const char *help = "Last seq in the subscriber's custody";
        RingStatus status;
        size_t used = 0;

        out[0] = '\0';
        ring_status(subscribers->options.ring, &status);
        LIST_FOREACH(subscriber, &subscribers->list, subscribers) {
                status_gauge(state, "subscriber_acked_seq",
                             status_label(state, "subscriber", subscriber->config.name),
                             (double) subscriber->acked, help);
                help = NULL;
                if (used < size)
                        used += describe(subscriber, status.newest, out + used, size - used);
        }
        help = "Records published and not yet acked by the subscriber";
        LIST_FOREACH(subscriber, &subscribers->list, subscribers) {
                status_gauge(state, "subscriber_lag_records",
                             status_label(state, "subscriber", subscriber->config.name),
                             (double) (status.newest - MIN(subscriber->acked, status.newest)), help);
                help = NULL;
        }
        help = "Whether the subscriber is connected";
        LIST_FOREACH(subscriber, &subscribers->list, subscribers) {
                status_gauge(state, "subscriber_connected",
                             status_label(state, "subscriber", subscriber->config.name),
                             outlet_connected(subscriber->outlet), help);
                help = NULL;
        }
}

/* --- Life --- */

int subscribers_new(const SubscribersOptions *options, Subscribers **ret)
{
        _cleanup_(subscribers_freep) Subscribers *subscribers = calloc(1, sizeof *subscribers);

        if (!subscribers)
                return -ENOMEM;
        subscribers->options = *options;
        subscribers->node = strdup(ring_node(options->ring));
        if (!subscribers->node)
                return -ENOMEM;
        *ret = TAKE_PTR(subscribers);
        return 0;
}

Subscribers *subscribers_free(Subscribers *subscribers)
{
        if (!subscribers)
                return NULL;
        list_free(&subscribers->list);
        free(subscribers->node);
        free(subscribers);
        return NULL;
}
