/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A producer of the dispatcher's: it acks when a batch is in its ring, and says with WELCOME how far it has come. That
 * is the only memory of it; the store keeps none.
 *
 * Without records to publish there is still a session, for commands. Its stream is another one than the store's, and empty: it has
 * no part in what was published before, or will be.
 */

#include "aggregator/publisher.h"
#include "aggregator/published.h"
#include "basic/unix.h"
#include "link/send-queue.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <inttypes.h>

/* How the store calls the one who reads here; it has nothing in custody. */
#define READER "local-dispatcher"
/* systemd accepts for a dispatcher that is being started. */
#define CONNECT_USEC (60 * USEC_PER_SEC)
/* A dispatcher without room repeats its ACK every few seconds. */
#define TIMEOUT_USEC (60 * USEC_PER_SEC)
#define BACKOFF_MIN_USEC (200 * USEC_PER_MSEC)
#define BACKOFF_MAX_USEC (10 * USEC_PER_SEC)

static const char condition[] = "publish_failed";

struct Publisher {
        PublisherOptions options;
        Published published;
        SendQueue *nothing; /* what is sent in place of records; NULL: they are published */
        Outlet *outlet;
        bool restarting; /* the store is getting a new stream id in place of: */
        StreamId old_stream;
        uint64_t acked;
};

static void status_of(const Publisher *publisher, StoreStatus *ret)
{
        store_status(store_loop_store(publisher->options.store), ret);
}

/* --- The outlet's handler --- */

static int on_open(Outlet *outlet, int *ret_fd, Transport **ret_transport, char **ret_why)
{
        Publisher *publisher = outlet_userdata(outlet);
        StoreStatus status;

        status_of(publisher, &status);
        if (publisher->restarting && stream_id_equal(&status.stream, &publisher->old_stream))
                return -EAGAIN;
        publisher->restarting = false;
        outlet_name_peer(outlet, publisher->options.socket);
        *ret_transport = NULL;
        *ret_fd = connect_unix(publisher->options.socket);
        return MIN(*ret_fd, 0);
}

static void on_connected(Outlet *outlet, const LinkWelcome *welcome)
{
        Publisher *publisher = outlet_userdata(outlet);

        publisher->acked = welcome->last;
        state_clear(publisher->options.state, condition);
        if (publisher->nothing)
                log_message(LOG_INFO, MESSAGE_ID_PEER_CONNECTED, NULL, "Connected to the dispatcher, for its commands");
        else
                log_message(LOG_INFO, MESSAGE_ID_PEER_CONNECTED, NULL,
                            "Publishing to the dispatcher, which has records up to %" PRIu64, welcome->last);
}

static void on_disconnected(Outlet *outlet, OutletTrouble trouble, const char *why)
{
        Publisher *publisher = outlet_userdata(outlet);

        if (publisher->options.disconnected)
                publisher->options.disconnected(publisher->options.userdata);
        if (trouble != OUTLET_OK && !publisher->nothing)
                state_raise(publisher->options.state, condition, why, NULL);
}

static void on_acked(Outlet *outlet, uint64_t seq)
{
        Publisher *publisher = outlet_userdata(outlet);

        publisher->acked = seq;
}

/* The store was set back, and the dispatcher was not. */
static void on_diverged(Outlet *outlet, uint64_t peer_last)
{
        Publisher *publisher = outlet_userdata(outlet);
        StoreStatus status;
        int r = store_restart_stream(store_loop_store(publisher->options.store), realtime_usec());

        if (r < 0) {
                log_error("Cannot begin a new stream: %s", strerror(-r));
                return;
        }
        status_of(publisher, &status);
        publisher->restarting = true;
        publisher->old_stream = status.stream;
        store_loop_wake(publisher->options.store);
}

static void on_command(Outlet *outlet, const LinkCommand *command)
{
        Publisher *publisher = outlet_userdata(outlet);

        publisher->options.command(command, publisher->options.userdata);
}

static const OutletHandler outlet_handler = {
        .open = on_open,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .acked = on_acked,
        .diverged = on_diverged,
};

static const OutletHandler command_handler = {
        .open = on_open,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .acked = on_acked,
        .diverged = on_diverged,
        .command = on_command,
};

/* --- What the aggregator calls --- */

void publisher_wake(Publisher *publisher)
{
        outlet_wake(publisher->outlet);
}

void publisher_reply(Publisher *publisher, const LinkReply *reply)
{
        if (outlet_reply(publisher->outlet, reply) < 0)
                log_debug("The dispatcher is not told what became of its command");
}

void publisher_stop(Publisher *publisher)
{
        outlet_end(publisher->outlet, LINK_BYE_ENDING, "the aggregator is stopping", false);
}

void publisher_status(const Publisher *publisher)
{
        State *state = publisher->options.state;
        StoreStatus status;

        if (publisher->nothing)
                return;
        status_of(publisher, &status);
        status_gauge(state, "publish_connected", NULL, outlet_connected(publisher->outlet),
                     "1 while the dispatcher of this host takes records");
        status_gauge(state, "published_seq", NULL, (double) publisher->acked,
                     "Seq of the store up to which the dispatcher has what is published");
        status_gauge(state, "publish_lag_records", NULL,
                     outlet_connected(publisher->outlet) ? (double) (status.newest - MIN(publisher->acked, status.newest)) : 0,
                     "Stored and not yet with the dispatcher");
        status_counter(state, "published_records", NULL, publisher->published.records, "Records published");
}

/* --- Life --- */

/* Always the same for one store, so that a dispatcher remembers but one. */
static int make_nothing(Publisher *publisher, Source **ret)
{
        StoreStatus status;
        int r;

        status_of(publisher, &status);
        for (size_t i = 0; i < sizeof status.stream; i++)
                ((uint8_t *) &status.stream)[i] ^= 0xff;
        r = send_queue_new(&status.stream, &publisher->nothing);
        if (r >= 0)
                *ret = send_queue_source(publisher->nothing);
        return r;
}

static int make_records(Publisher *publisher, Source **ret)
{
        Source *source = store_source(store_loop_store(publisher->options.store), READER);
        StoreStatus status;

        if (!source)
                return -ENOMEM;
        status_of(publisher, &status);
        published_init(&publisher->published, source, status.newest);
        *ret = &publisher->published.source;
        return 0;
}

int publisher_new(sd_event *event, const PublisherOptions *options, Publisher **ret)
{
        _cleanup_(publisher_freep) Publisher *publisher = calloc(1, sizeof *publisher);
        OutletOptions outlet_options = {
                .handler = options->command ? &command_handler : &outlet_handler,
                .node = options->name,
                .connect_usec = CONNECT_USEC,
                .timeout_usec = TIMEOUT_USEC,
                .backoff_min_usec = BACKOFF_MIN_USEC,
                .backoff_max_usec = BACKOFF_MAX_USEC,
                .userdata = publisher,
        };
        int r;

        if (!publisher)
                return -ENOMEM;
        publisher->options = *options;
        r = options->records ? make_records(publisher, &outlet_options.source)
                             : make_nothing(publisher, &outlet_options.source);
        if (r < 0)
                return r;
        r = outlet_new(event, &outlet_options, &publisher->outlet);
        if (r < 0)
                return r;
        outlet_name_peer(publisher->outlet, options->socket);
        *ret = TAKE_PTR(publisher);
        return 0;
}

Publisher *publisher_free(Publisher *publisher)
{
        if (!publisher)
                return NULL;
        outlet_free(publisher->outlet);
        send_queue_free(publisher->nothing);
        free(publisher);
        return NULL;
}
