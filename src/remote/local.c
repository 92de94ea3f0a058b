/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "remote/local.h"
#include "runtime/listen.h"
#include "runtime/log.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>

/* The dispatcher, and its predecessor that is not quite gone; people who try things out. */
#define CONNECTIONS_MAX 16U
/* To say HELLO on a local socket. */
#define HELLO_USEC (10 * USEC_PER_SEC)
#define REFUSED_LOG_USEC (10 * USEC_PER_SEC)
/* Whoever may connect speaks for this host: their streams have one owner. */
#define OWNER "local"

/* --- Who may connect --- */

static bool uid_allowed(const Local *local, uid_t uid)
{
        return uid == 0 || uid == geteuid() || (local->dispatcher != (uid_t) -1 && uid == local->dispatcher);
}

static LinkByeCode on_admit(InletSession *session, InletIdentity *ret_identity, char **ret_why)
{
        Local *local = inlet_userdata(inlet_session_inlet(session));
        pid_t pid;
        uid_t uid;
        gid_t gid;

        connection_credentials(inlet_session_connection(session), &pid, &uid, &gid);
        if (!uid_allowed(local, uid)) {
                if (asprintf(ret_why,
                             "uid %u may not deliver to remote: only the dispatcher's user and root may",
                             (unsigned) uid) < 0)
                        *ret_why = NULL;
                return LINK_BYE_NODE;
        }
        store_loop_owe(local->store);
        *ret_identity = (InletIdentity) { .owner = OWNER, .node = local->node };
        return 0;
}

static const InletHandler inlet_handler = {
        .admit = on_admit,
};

/* --- The intake's handler --- */

static void on_connected(IntakeSession *session)
{
        const char *peer = connection_peer(inlet_session_connection(inlet_session_of(session)));
        char field[300];

        (void) snprintf(field, sizeof field, "PEER=%s", peer);
        log_message(LOG_INFO, MESSAGE_ID_PEER_CONNECTED, field,
                    "%s delivers; its records up to %" PRIu64 " are here", peer, session->receiver.received);
}

static void on_refused(IntakeSession *session, uint32_t n, RecordFault fault)
{
        Local *local = inlet_userdata(inlet_session_inlet(inlet_session_of(session)));

        if (log_limit(&local->refused_usec, REFUSED_LOG_USEC))
                log_message(LOG_WARNING, MESSAGE_ID_RECORDS_REFUSED, NULL,
                            "%" PRIu32 " records of %s broke a rule (%s) and were stored escaped", n,
                            connection_peer(inlet_session_connection(inlet_session_of(session))),
                            record_fault_to_string(fault));
}

/* The dispatcher takes whoever passes commands on to it for somebody who does them, too: silence would be waited for. */
static void on_command(IntakeSession *session, const LinkCommand *command)
{
        LinkReply reply = { .id = command->id, .status = LINK_REPLY_UNKNOWN };

        if (command->timeout_sec > 0 && intake_session_reply(session, &reply) < 0)
                log_debug("The dispatcher is not told that its command is none of ours");
}

static void on_reply(IntakeSession *session, const LinkReply *reply)
{
        const Local *local = inlet_userdata(inlet_session_inlet(inlet_session_of(session)));

        passage_reply(local->passage, session, reply);
}

static void on_gone(IntakeSession *session)
{
        const Local *local = inlet_userdata(inlet_session_inlet(inlet_session_of(session)));

        passage_forget(local->passage, session);
}

/* Its place in the stream stays. */
static void leave_out(Batch *batch)
{
        batch->count = batch->size = 0;
        batch->payload = (const uint8_t *) "";
        batch->reason = BATCH_FILTERED;
        batch_seal(batch);
}

static int on_prepare(IntakeSession *session, Batch *stored)
{
        Local *local = inlet_userdata(inlet_session_inlet(inlet_session_of(session)));

        if (stored->origin == BATCH_ORIGIN_REMOTE && !local->relay && stored->count > 0) {
                local->left_out += stored->count;
                leave_out(stored);
        }
        return local->enricher ? enricher_batch(local->enricher, stored) : 0;
}

/* Commands of the dispatcher are for whom they concern here, nobody: they go to no collector. */
const IntakeHandler local_intake_handler = {
        .flush = inlet_flush,
        .connected = on_connected,
        .prepare = on_prepare,
        .refused = on_refused,
        .gone = on_gone,
        .command = on_command,
        .reply = on_reply,
};

/* --- Life --- */

static uid_t find_user(const char *name)
{
        const struct passwd *user = getpwnam(name);

        if (!user)
                log_debug("There is no user \"%s\" here: only root and ourselves may deliver", name);
        return user ? user->pw_uid : (uid_t) -1;
}

static void on_names_ready(void *userdata)
{
        Local *local = userdata;

        intake_prepared(store_loop_intake(local->store));
}

static int make_enricher(Local *local, sd_event *event, const RemoteConfig *config)
{
        EnricherOptions options = {
                .node = local->node,
                .names = { .timeout_usec = config->enrich_timeout_usec, .ready = on_names_ready, .userdata = local },
        };

        return config->enrich ? enricher_new(event, &options, &local->enricher) : 0;
}

static int listen_on(Local *local, const RemoteConfig *config)
{
        char *addresses[] = { config->listen, NULL };
        ListenFds fds;
        int r;

        r = listen_fds_get(&fds);
        if (r < 0)
                return r;
        r = inlet_serve(local->inlet, &fds, "remote", AF_UNIX, addresses);
        listen_fds_warn_rest(&fds);
        listen_fds_done(&fds);
        return r;
}

int local_init(Local *local, sd_event *event, const RemoteConfig *config, const char *node, StoreLoop *store,
               Passage *passage)
{
        InletOptions options = {
                .intake = store_loop_intake(store),
                .handler = &inlet_handler,
                .connections_max = CONNECTIONS_MAX,
                .connect_usec = HELLO_USEC,
                .idle_usec = USEC_INFINITY, /* a local peer that dies is gone at once */
                .userdata = local,
        };
        int r;

        *local = (Local) {
                .node = node,
                .relay = config->relay,
                .store = store,
                .passage = passage,
                .dispatcher = find_user(config->dispatcher_user),
        };
        r = make_enricher(local, event, config);
        if (r >= 0)
                r = inlet_new(event, &options, &local->inlet);
        if (r >= 0)
                r = listen_on(local, config);
        if (r < 0)
                local_done(local);
        return r;
}

void local_close(Local *local)
{
        /* The next process serves him; should the machine go down instead, he was there. */
        if (acceptor_waiting(inlet_acceptor(local->inlet)))
                store_loop_owe(local->store);
        acceptor_close(inlet_acceptor(local->inlet));
}

void local_status(const Local *local, State *state)
{
        const EnricherCounters *counters;
        const NamesCounters *names;

        status_counter(state, "remote_records_left_out", NULL, local->left_out,
                       "Records of other hosts that the local aggregator published, not passed on without Relay=yes");
        if (!local->enricher)
                return;
        counters = enricher_counters(local->enricher);
        names = enricher_names_counters(local->enricher);
        status_counter(state, "enriched_records", NULL, counters->records, "Records with interpreted fields added");
        status_counter(state, "enrich_too_long", NULL, counters->too_long,
                       "Records left as they were, as they would have become too long");
        status_counter(state, "enrich_unnamed", NULL, counters->unnamed,
                       "Users and groups written as unknown: they have no name, or it did not come in time");
        status_counter(state, "names_looked_up", NULL, names->looked_up, "Names of users and groups looked up");
        status_counter(state, "names_overdue", NULL, names->overdue,
                       "Times that a name was not waited for any longer");
}

void local_done(Local *local)
{
        local->inlet = inlet_free(local->inlet);
        local->enricher = enricher_free(local->enricher);
}
