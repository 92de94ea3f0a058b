/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* clients ─▶ store
 *
 * One store for all, or one for each node (stores.h): one group commit. Its entries are chained by SHA-256, and nothing is
 * deleted unless the configuration says so.
 */

#include "aggregator/aggregator.h"
#include "aggregator/clients.h"
#include "aggregator/publisher.h"
#include "aggregator/stock-clients.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/when-full.h"

#include <gnutls/crypto.h>
#include <inttypes.h>

typedef struct Aggregator {
        const AggregatorConfig *config;
        Loop *loop;
        State *state;
        Tls *tls;
        SigningKey *signing_key; /* NULL: checkpoints are not made */
        Peers *peers;
        CredentialsWarned warned;
        Stores *stores;
        Clients clients;
        Publisher *publisher;        /* NULL: nothing is published, and no commands are taken */
        ClientCommands *commands;    /* NULL: none are taken */
        StockClients *stock_clients; /* NULL: no socket for them */
} Aggregator;

/* --- The store's handler --- */

/* Stock clients deliver there. */
static bool is_own(const Aggregator *aggregator, const StoreLoop *store)
{
        return aggregator->stores && stores_own(aggregator->stores) == store;
}

static void on_condition(StoreLoop *store, StoreCondition condition, bool on, void *userdata)
{
        Aggregator *aggregator = userdata;

        clients_tell(&aggregator->clients, store, condition);
}

static void on_durable(StoreLoop *store, void *userdata)
{
        Aggregator *aggregator = userdata;

        if (aggregator->publisher)
                publisher_wake(aggregator->publisher);
}

static void on_submitted(StoreLoop *store, void *userdata)
{
        Aggregator *aggregator = userdata;

        if (is_own(aggregator, store))
                stock_clients_submitted(aggregator->stock_clients);
}

static void on_settled(StoreLoop *store, int error, void *userdata)
{
        Aggregator *aggregator = userdata;

        if (is_own(aggregator, store))
                stock_clients_settled(aggregator->stock_clients, error);
}

_Static_assert(NOTE_MAX <= CHECKPOINT_NOTE_MAX, "a note has room");

static int on_sign(StoreLoop *store, const StoreHead *head, uint64_t now_usec, IndexEntry *ret_entry, char *ret_note,
                   void *userdata)
{
        Aggregator *aggregator = userdata;
        int r;

        if (!aggregator->signing_key)
                return -ENOKEY;
        r = signing_key_sign(aggregator->signing_key, head, now_usec, ret_entry, ret_note);
        if (r < 0)
                log_message(LOG_ERR, MESSAGE_ID_CHECKPOINT_FAILED, NULL,
                            "A checkpoint could not be signed, it is tried again at the next time: %s", strerror(-r));
        return r;
}

static const StoreLoopHandler store_handler = {
        .durable = on_durable,
        .submitted = on_submitted,
        .settled = on_settled,
        .sign = on_sign,
        .condition = on_condition,
};

/* Fails only for an algorithm that the library does not have. */
static void sha256(const void *data, size_t size, uint8_t ret_digest[static SHA256_SIZE])
{
        int r = gnutls_hash_fast(GNUTLS_DIG_SHA256, data, size, ret_digest);

        assert(r == 0);
        (void) r;
}

/* --- Commands: of the dispatcher, for clients, and back --- */

static void on_command(const LinkCommand *command, void *userdata)
{
        Aggregator *aggregator = userdata;

        client_commands_take(aggregator->commands, command);
}

static void on_dispatcher_gone(void *userdata)
{
        Aggregator *aggregator = userdata;

        client_commands_abandon(aggregator->commands);
}

static void on_find(ClientCommands *commands, const char *node, void *userdata)
{
        Aggregator *aggregator = userdata;

        clients_find(&aggregator->clients, commands, node);
}

static void on_reply(const LinkReply *reply, void *userdata)
{
        Aggregator *aggregator = userdata;

        publisher_reply(aggregator->publisher, reply);
}

static void status_of_commands(const Aggregator *aggregator)
{
        const ClientCommandsCounters *counters = client_commands_counters(aggregator->commands);
        State *state = aggregator->state;

        status_counter(state, "commands_taken", NULL, counters->taken, "Commands of the local dispatcher for clients");
        status_counter(state, "commands_sent", NULL, counters->sent, "Commands sent to clients");
        status_counter(state, "commands_unanswered", NULL, counters->silent, "Of these, those without an answer in time");
}

/* --- The loop's handler --- */

static void on_left(void *userdata)
{
        Aggregator *aggregator = userdata;

        loop_exit(aggregator->loop, EXIT_SUCCESS);
}

static void on_clients_left(void *userdata)
{
        Aggregator *aggregator = userdata;

        stock_clients_leave(aggregator->stock_clients, on_left, aggregator);
}

/* All is durable, and everybody was told that we end: they are to hear it before their connections break. */
static void on_drained(void *userdata)
{
        Aggregator *aggregator = userdata;

        acceptor_leave(inlet_acceptor(aggregator->clients.inlet), on_clients_left, aggregator);
}

static void on_terminate(void *userdata)
{
        Aggregator *aggregator = userdata;

        acceptor_close(inlet_acceptor(aggregator->clients.inlet));
        if (aggregator->publisher)
                publisher_stop(aggregator->publisher);
        stock_clients_end(aggregator->stock_clients);
        stores_finish(aggregator->stores, on_drained, aggregator);
}

static int load_credentials(Aggregator *aggregator)
{
        _cleanup_(freep) char *why = NULL;
        int r = credentials_load(&aggregator->config->tls, &aggregator->tls, &why);

        if (r < 0)
                log_message(LOG_ERR, MESSAGE_ID_CREDENTIALS_FAILED, NULL,
                            "Cannot use the TLS credentials: %s", why ? why : "out of memory");
        return r;
}

static int load_signing_key(Aggregator *aggregator)
{
        _cleanup_(freep) char *why = NULL;
        char verifier[VERIFIER_KEY_MAX];
        int r = credentials_load_signing_key(aggregator->config->sign_key, aggregator->config->name,
                                             &aggregator->signing_key, &why);

        if (r < 0) {
                log_message(LOG_ERR, MESSAGE_ID_CREDENTIALS_FAILED, NULL, "Cannot use the signing key (SignKey=): %s",
                            why ? why : "out of memory");
                return r;
        }
        if (!aggregator->signing_key)
                return 0;
        verifier_key_format(signing_key_verifier(aggregator->signing_key), verifier);
        log_info("Checkpoints of the store are signed; verifier key: %s", verifier);
        return 0;
}

static int load_peers(Aggregator *aggregator)
{
        return peers_load(aggregator->config->peers_directory, &aggregator->peers);
}

static void on_reload(void *userdata)
{
        Aggregator *aggregator = userdata;
        bool credentials = load_credentials(aggregator) >= 0;
        bool key = load_signing_key(aggregator) >= 0;
        bool peers = load_peers(aggregator) >= 0;

        /* What is unusable stays as it was read before. The rest counts: whoever was revoked goes, though a file of peers.d is wrong. */
        clients_review(&aggregator->clients);
        stock_clients_reload(aggregator->stock_clients);
        if (credentials && key && peers)
                log_message(LOG_INFO, MESSAGE_ID_RELOADED, NULL, "Read the TLS credentials and peers.d again");
}

static void on_rotate(void *userdata)
{
        Aggregator *aggregator = userdata;

        stores_rotate(aggregator->stores);
}

static void on_tick(void *userdata)
{
        Aggregator *aggregator = userdata;
        StoreFacts facts;

        credentials_tick(aggregator->tls, &aggregator->warned);
        stores_tick(aggregator->stores);
        clients_tick(&aggregator->clients);
        stock_clients_tick(aggregator->stock_clients);
        if (aggregator->commands)
                client_commands_tick(aggregator->commands);
        status_begin(aggregator->state);
        stores_status(aggregator->stores);
        stores_facts(aggregator->stores, &facts);
        credentials_status(aggregator->tls, aggregator->state);
        if (aggregator->signing_key)
                status_counter(aggregator->state, "checkpoints", NULL, facts.checkpoints,
                               "Checkpoints signed, and durable in the index");
        clients_status(&aggregator->clients);
        if (aggregator->publisher)
                publisher_status(aggregator->publisher);
        if (aggregator->commands)
                status_of_commands(aggregator);
        stock_clients_status(aggregator->stock_clients, aggregator->state);
        status_end(aggregator->state, "%zu connections, %" PRIu64 " records taken",
                   inlet_connections(aggregator->clients.inlet), facts.intake.records);
}

static const LoopHandler loop_handler = {
        .terminate = on_terminate,
        .reload = on_reload,
        .rotate = on_rotate,
        .tick = on_tick,
};

/* --- Life --- */

/* What is to be forgotten anyway is not taken over from the other layout. */
static bool is_forgotten(const StoreStream *stream, void *userdata)
{
        const Aggregator *aggregator = userdata;
        const Peer *peer = peers_find(aggregator->peers, stream->owner);
        uint64_t limit = aggregator->config->stream_forget_usec, now = realtime_usec();

        return (peer && peer->forget) || (limit > 0 && now > stream->seen_usec && now - stream->seen_usec >= limit);
}

static int make_stores(Aggregator *aggregator)
{
        const AggregatorConfig *config = aggregator->config;
        StoreLoopOptions store = {
                .directory = config->directory,
                .store = {
                        .hash = sha256,
                        .segment_size_max = config->segment_size_max,
                        .segment_age_usec = config->segment_age_usec,
                        .use_max = config->use_max,
                        .keep_free = config->keep_free,
                        .retention_usec = config->retention_usec,
                        /* Nobody acks what is here; without bounds nothing is deleted. */
                        .delete_unacked = config->when_full != WHEN_FULL_BLOCK,
                        .links = true,
                        .stream_forget_usec = config->stream_forget_usec,
                },
                .state = aggregator->state,
                .conditions = {
                        [STORE_LOW] = "disk_low",
                        [STORE_FULL] = "disk_full",
                        [STORE_ERROR] = "disk_error",
                        [STORE_DAMAGED] = "store_damaged",
                        [STORE_QUOTA_LOW] = "node_low",
                        [STORE_QUOTA_FULL] = "node_full",
                },
                .node = config->name,
                .name = config->name,
                .intake = &clients_intake_handler,
                .window = config->window,
                .space_left = config->space_left,
                .inodes_left = config->inodes_left,
                .checkpoint_usec = config->checkpoint_usec,
                .handler = &store_handler,
                .userdata = aggregator,
        };
        StoresOptions options = {
                .store = store,
                .pack = config->segment_compress,
                .by_node = config->layout == LAYOUT_BY_NODE,
                .own = config->name,
                .node_use_max = config->node_use_max,
                .node_use_blocks = config->when_full != WHEN_FULL_DROP_OLDEST,
                .idle_usec = STORES_IDLE_USEC,
                .skip = is_forgotten,
                .skip_userdata = aggregator,
        };

        return stores_new(loop_event(aggregator->loop), &options, &aggregator->stores);
}

static int make_publisher(Aggregator *aggregator)
{
        const AggregatorConfig *config = aggregator->config;
        PublisherOptions options = {
                .socket = config->publish_socket,
                .name = config->name,
                .state = aggregator->state,
                .store = stores_own(aggregator->stores),
                .records = config->publish,
                .userdata = aggregator,
        };

        if (!config->publish && !config->pass_commands)
                return 0;
        if (config->pass_commands) {
                options.command = on_command;
                options.disconnected = on_dispatcher_gone;
        }
        return publisher_new(loop_event(aggregator->loop), &options, &aggregator->publisher);
}

static int make_commands(Aggregator *aggregator)
{
        ClientCommandsOptions options = {
                .find = on_find,
                .send = clients_send,
                .name = clients_name,
                .reply = on_reply,
                .monotonic_usec = monotonic_usec,
                .userdata = aggregator,
        };

        return aggregator->config->pass_commands ? client_commands_new(&options, &aggregator->commands) : 0;
}

static int listen_on(Aggregator *aggregator)
{
        sd_event *event = loop_event(aggregator->loop);
        StockClientsOptions stock = {
                .config = aggregator->config,
                .store = stores_own(aggregator->stores),
                .peers = &aggregator->peers,
        };
        ListenFds fds;
        int r;

        r = listen_fds_get(&fds);
        if (r < 0)
                return r;
        r = clients_init(&aggregator->clients, event, aggregator->config, &fds, &aggregator->tls,
                         &aggregator->peers, aggregator->state, aggregator->stores);
        stock.roster = aggregator->clients.roster;
        if (r >= 0)
                r = stock_clients_new(event, &stock, &fds, &aggregator->stock_clients);
        aggregator->clients.commands = aggregator->commands;
        listen_fds_warn_rest(&fds);
        listen_fds_done(&fds);
        return r;
}

static int make(Aggregator *aggregator)
{
        const AggregatorConfig *config = aggregator->config;
        int r;

        r = loop_new(&loop_handler, aggregator, &aggregator->loop);
        if (r < 0)
                return r;
        r = state_new(config->state_directory, "aggregator", &aggregator->state);
        if (r < 0)
                return r;
        r = load_credentials(aggregator);
        if (r < 0)
                return r;
        r = load_signing_key(aggregator);
        if (r < 0)
                return r;
        r = load_peers(aggregator);
        if (r < 0)
                return r;
        r = make_stores(aggregator);
        if (r < 0)
                return r;
        r = make_commands(aggregator);
        if (r < 0)
                return r;
        r = make_publisher(aggregator);
        if (r < 0)
                return r;
        return listen_on(aggregator);
}

static void done(Aggregator *aggregator)
{
        stock_clients_free(aggregator->stock_clients);
        clients_done(&aggregator->clients);
        publisher_free(aggregator->publisher);
        client_commands_free(aggregator->commands);
        stores_free(aggregator->stores);
        tls_unref(aggregator->tls);
        signing_key_free(aggregator->signing_key);
        peers_free(aggregator->peers);
        state_free(aggregator->state);
        loop_free(aggregator->loop);
}

int aggregator_run(const AggregatorConfig *config)
{
        Aggregator aggregator = { .config = config };
        int r;

        r = make(&aggregator);
        if (r >= 0) {
                log_message(LOG_INFO, MESSAGE_ID_STARTED, NULL, "Collecting as %s", config->name);
                r = loop_run(aggregator.loop);
        }
        if (r < 0)
                log_error("The aggregator cannot run: %s", strerror(-r));
        else
                log_message(LOG_INFO, MESSAGE_ID_STOPPED, NULL, "Stopped; what is not acked stays with its senders");
        done(&aggregator);
        return r < 0 ? EXIT_FAILURE : r;
}
