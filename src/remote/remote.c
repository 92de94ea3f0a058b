/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* dispatcher ─▶ local ─▶ store ─▶ uplink ─▶ collector
 *
 * The store decouples both sides: what the dispatcher delivers is acked when it is durable here, whether or
 * not there is a collector, and goes when the collector has acked it.
 */

#include "remote/remote.h"
#include "remote/local.h"
#include "remote/receipts.h"
#include "remote/stock-uplink.h"
#include "remote/uplink.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/program.h"
#include "runtime/when-full.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"

typedef struct Remote {
        const RemoteConfig *config;
        Loop *loop;
        State *state;
        Tls *tls; /* NULL: no usable credentials yet */
        CredentialsWarned warned;
        char *node;
        char boot_id[64];
        StoreLoop *store;
        Receipts *receipts;
        Local local;
        Uplink *uplink;             /* one of these two, as Protocol= says */
        StockUplink *stock_uplink;
        Passage *passage; /* of commands, between the last two */
} Remote;

/* --- The store's handler --- */

static void on_durable(StoreLoop *store, void *userdata)
{
        Remote *remote = userdata;

        if (remote->uplink)
                uplink_wake(remote->uplink);
        if (remote->stock_uplink)
                stock_uplink_wake(remote->stock_uplink);
}

static const StoreLoopHandler store_handler = {
        .durable = on_durable,
};

/* --- The uplink's handler --- */

static void on_receipt(const char *collector, const LinkReceipt *receipt, void *userdata)
{
        Remote *remote = userdata;
        StoreStatus status;

        store_status(store_loop_store(remote->store), &status);
        receipts_take(remote->receipts, collector, &status.stream, receipt);
}

static void on_command(Outlet *collector, const LinkCommand *command, void *userdata)
{
        Remote *remote = userdata;

        passage_command(remote->passage, collector, command);
}

static void on_disconnected(Outlet *collector, void *userdata)
{
        Remote *remote = userdata;

        passage_forget(remote->passage, collector);
}

/* --- The loop's handler --- */

static void on_drained(void *userdata)
{
        Remote *remote = userdata;

        loop_exit(remote->loop, EXIT_SUCCESS);
}

static void on_terminate(void *userdata)
{
        Remote *remote = userdata;

        local_close(&remote->local);
        if (remote->stock_uplink)
                stock_uplink_stop(remote->stock_uplink);
        else
                uplink_stop(remote->uplink);
        store_loop_finish(remote->store, on_drained, remote);
}

static bool load_credentials(Remote *remote)
{
        _cleanup_(freep) char *why = NULL;

        if (credentials_load(&remote->config->tls, &remote->tls, &why) >= 0)
                return true;
        log_message(LOG_ERR, MESSAGE_ID_CREDENTIALS_FAILED, NULL,
                    "Cannot use the TLS credentials: %s", why ? why : "out of memory");
        return false;
}

static void on_reload(void *userdata)
{
        Remote *remote = userdata;

        /* A stock collector knows none. */
        if (remote->stock_uplink || !load_credentials(remote))
                return;
        uplink_reload(remote->uplink);
        log_message(LOG_INFO, MESSAGE_ID_RELOADED, NULL, "Read the TLS credentials again");
}

static void on_rotate(void *userdata)
{
        Remote *remote = userdata;

        store_loop_rotate(remote->store);
}

static void on_tick(void *userdata)
{
        Remote *remote = userdata;
        StoreStatus status;

        inlet_tick(remote->local.inlet);
        if (remote->stock_uplink)
                stock_uplink_tick(remote->stock_uplink);
        else
                uplink_tick(remote->uplink);
        passage_tick(remote->passage);
        credentials_tick(remote->tls, &remote->warned);
        store_status(store_loop_store(remote->store), &status);
        status_begin(remote->state);
        store_loop_status(remote->store);
        if (remote->stock_uplink)
                stock_uplink_status(remote->stock_uplink);
        else
                uplink_status(remote->uplink);
        receipts_status(remote->receipts, remote->state);
        local_status(&remote->local, remote->state);
        credentials_status(remote->tls, remote->state);
        status_counter(remote->state, "deliverers_refused", NULL,
                       inlet_counters(remote->local.inlet)->refused, "Local connections refused");
        status_counter(remote->state, "protocol_violations", NULL,
                       inlet_counters(remote->local.inlet)->violations,
                       "Local sessions ended for bad framing");
        status_end(remote->state, "%s, %" PRIu64 " records waiting",
                   remote->stock_uplink ? stock_uplink_describe(remote->stock_uplink)
                                        : uplink_describe(remote->uplink),
                   status.newest > status.released ? status.newest - status.released : 0);
}

static const LoopHandler loop_handler = {
        .terminate = on_terminate,
        .reload = on_reload,
        .rotate = on_rotate,
        .tick = on_tick,
};

/* --- Life --- */

static const char *read_boot_id(Remote *remote)
{
        int fd = open(BOOT_ID_FILE, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, remote->boot_id, sizeof remote->boot_id - 1);

        close_fd(fd);
        if (n <= 0)
                return NULL;
        remote->boot_id[strcspn(remote->boot_id, "\n")] = '\0';
        return remote->boot_id;
}

/* As configured, else what our certificate says, else the host's name. */
static int choose_node(Remote *remote)
{
        const char *name = remote->config->node;

        if (!name && remote->tls)
                name = tls_name(remote->tls);
        remote->node = name ? strdup(name) : program_host_name();
        return remote->node ? 0 : -ENOMEM;
}

static int make_store(Remote *remote)
{
        const RemoteConfig *config = remote->config;
        StoreLoopOptions options = {
                .directory = config->directory,
                .store = {
                        .segment_size_max = config->segment_size_max,
                        .segment_age_usec = config->segment_age_usec,
                        .use_max = config->use_max,
                        .keep_free = config->keep_free,
                        .retention_usec = config->retention_usec,
                        .delete_acked = config->keep_acked_usec != USEC_INFINITY,
                        .acked_usec = config->keep_acked_usec,
                        .delete_unacked = config->when_full == WHEN_FULL_DROP_OLDEST,
                        .links = config->keep_acked_usec > 0,
                },
                .state = remote->state,
                .conditions = { "spool_low", "spool_full", "spool_error", "store_damaged", "spool_dropping" },
                .node = remote->node,
                .name = remote->node,
                .boot_id = read_boot_id(remote),
                .intake = &local_intake_handler,
                .window = config->window,
                .space_left = config->space_left,
                .inodes_left = config->inodes_left,
                .handler = &store_handler,
                .userdata = remote,
        };

        return store_loop_new(loop_event(remote->loop), &options, &remote->store);
}

static int make_uplink(Remote *remote)
{
        UplinkOptions uplink = {
                .config = remote->config,
                .node = remote->node,
                .state = remote->state,
                .store = remote->store,
                .tls = &remote->tls,
                .command = on_command,
                .receipt = on_receipt,
                .disconnected = on_disconnected,
                .userdata = remote,
        };

        if (remote->config->protocol == PROTOCOL_AUDITD)
                return stock_uplink_new(loop_event(remote->loop), remote->config, remote->node, remote->state, remote->store,
                                        &remote->stock_uplink);
        return uplink_new(loop_event(remote->loop), &uplink, &remote->uplink);
}

static int make(Remote *remote)
{
        int r;

        r = loop_new(&loop_handler, remote, &remote->loop);
        if (r < 0)
                return r;
        r = state_new(remote->config->state_directory, "remote", &remote->state);
        if (r < 0)
                return r;
        if (remote->config->protocol == PROTOCOL_LINK)
                (void) load_credentials(remote);
        r = choose_node(remote);
        if (r < 0)
                return r;
        r = make_store(remote);
        if (r < 0)
                return r;
        r = passage_new(&remote->local.inlet, &remote->passage);
        if (r < 0)
                return r;
        r = receipts_new(remote->config->directory, remote->config->verifier_keys, &remote->receipts);
        if (r < 0)
                return r;
        r = make_uplink(remote);
        if (r < 0)
                return r;
        return local_init(&remote->local, loop_event(remote->loop), remote->config, remote->node,
                          remote->store, remote->passage);
}

static void done(Remote *remote)
{
        local_done(&remote->local);
        uplink_free(remote->uplink);
        stock_uplink_free(remote->stock_uplink);
        receipts_free(remote->receipts);
        passage_free(remote->passage);
        store_loop_free(remote->store);
        tls_unref(remote->tls);
        free(remote->node);
        state_free(remote->state);
        loop_free(remote->loop);
}

int remote_run(const RemoteConfig *config)
{
        Remote remote = { .config = config };
        int r;

        r = make(&remote);
        if (r >= 0) {
                log_message(LOG_INFO, MESSAGE_ID_STARTED, NULL, "Sending as node %s, to %s%s", remote.node,
                            config->collectors[0], config->collectors[1] ? " and others" : "");
                r = loop_run(remote.loop);
        }
        if (r < 0)
                log_error("Remote cannot run: %s", strerror(-r));
        else
                log_message(LOG_INFO, MESSAGE_ID_STOPPED, NULL, "Stopped; what no collector has stays in the store");
        done(&remote);
        return r < 0 ? EXIT_FAILURE : r;
}
