/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Admission is in two steps. When the handshake is done, the certificate is judged: trusted, in time, not
 * revoked. When HELLO has come, the node it names must be one that the certificate names; from there on the
 * session's streams belong to that node, and only its records are taken as they are. Each refusal is a BYE
 * with a sentence for people.
 */

#include "aggregator/clients.h"
#include "runtime/config.h"
#include "runtime/listen.h"
#include "runtime/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>

#define REFUSED_LOG_USEC (10 * USEC_PER_SEC)
/* Clients with metrics of their own in the status file, so that it stays readable and quick to write. */
#define STATUS_CLIENTS_MAX 500U

static Clients *clients_of(const InletSession *session)
{
        return inlet_userdata(inlet_session_inlet(session));
}

static const char *peer_of(const IntakeSession *session)
{
        return connection_peer(inlet_session_connection(inlet_session_of(session)));
}

/* --- Admission --- */

static int on_secure(Inlet *inlet, int fd, TlsSession **ret_tls)
{
        Clients *clients = inlet_userdata(inlet);

        return tls_session_new(*clients->tls, true, NULL, fd, ret_tls);
}

static LinkByeCode judge_certificate(InletSession *session, char **ret_why)
{
        TlsSession *tls = connection_tls(inlet_session_connection(session));

        return tls_session_judge(tls, *clients_of(session)->tls, ret_why) < 0 ? LINK_BYE_CERTIFICATE : 0;
}

static LinkByeCode on_admit(InletSession *session, InletIdentity *ret_identity, char **ret_why)
{
        return judge_certificate(session, ret_why);
}

static void on_inlet_refused(InletSession *session, LinkByeCode code, const char *why)
{
        Clients *clients = clients_of(session);

        clients->certificates_refused += code == LINK_BYE_CERTIFICATE;
        clients->nodes_refused += code == LINK_BYE_NODE;
}

static void on_overload(Inlet *inlet, bool on)
{
        Clients *clients = inlet_userdata(inlet);

        if (on)
                state_raise(clients->state, "overload",
                            "More clients than MaxConnections= allows: some are turned away", NULL);
        else
                state_clear(clients->state, "overload");
}

static const InletHandler inlet_handler = {
        .secure = on_secure,
        .admit = on_admit,
        .refused = on_inlet_refused,
        .overload = on_overload,
};

/* --- The intake's handler --- */

static LinkByeCode on_judge(IntakeSession *session, const LinkHello *hello, const char **ret_why)
{
        InletSession *client = inlet_session_of(session);
        Clients *clients = clients_of(client);
        TlsSession *tls = connection_tls(inlet_session_connection(client));
        char node[NODE_NAME_MAX + 1];
        const char *name;

        *ret_why = clients->why;
        if (hello->node.size > NODE_NAME_MAX || memchr(hello->node.data, '\0', hello->node.size)) {
                (void) snprintf(clients->why, sizeof clients->why, "HELLO does not have a node's name");
                return LINK_BYE_NODE;
        }
        memcpy(node, hello->node.data, hello->node.size);
        node[hello->node.size] = '\0';
        if (!node_name_is_valid(node)) {
                (void) snprintf(clients->why, sizeof clients->why, "HELLO does not have a node's name");
                return LINK_BYE_NODE;
        }
        if (!tls_session_speaks_for(tls, node)) {
                name = tls_session_peer_name(tls);
                (void) snprintf(clients->why, sizeof clients->why,
                                "the certificate of \"%.120s\" does not name node \"%s\": "
                                "set Node= or issue a certificate for it", name ? name : "nobody", node);
                return LINK_BYE_NODE;
        }
        if (intake_session_identify(session, node) < 0) {
                (void) snprintf(clients->why, sizeof clients->why, "out of memory");
                return LINK_BYE_INTERNAL;
        }
        return 0;
}

static const struct {
        const char *name;
        const char *keys;
} store_states[_STORE_CONDITION_MAX] = {
        [STORE_LOW] = { "disk_low", "REASON=The collector's disk is nearly full\n" },
        [STORE_FULL] = { "disk_full",
                         "REASON=The collector's disk is full: it takes nothing until there is room\n" },
        [STORE_ERROR] = { "disk_error", "REASON=The collector could not write to its disk\n" },
};

static LinkState store_state(StoreCondition condition, bool on)
{
        return (LinkState) {
                .on = on,
                .name = link_string(store_states[condition].name),
                .keys = link_string(on ? store_states[condition].keys : ""),
        };
}

static void on_connected(IntakeSession *session)
{
        InletSession *client = inlet_session_of(session);
        Clients *clients = clients_of(client);
        char field[300];

        (void) snprintf(field, sizeof field, "PEER=%s\nNODE=%s", peer_of(session), session->owner);
        log_message(LOG_INFO, MESSAGE_ID_PEER_CONNECTED, field,
                    "%s (%s, %s) delivers; its records up to %" PRIu64 " are here", session->owner,
                    peer_of(session),
                    tls_session_description(connection_tls(inlet_session_connection(client))),
                    session->receiver.received);
        for (StoreCondition c = 0; c < _STORE_CONDITION_MAX; c++)
                if (store_states[c].name && store_loop_holds(clients->store, c)) {
                        LinkState state = store_state(c, true);

                        intake_session_tell(session, &state);
                }
}

static void on_records_refused(IntakeSession *session, uint32_t n, RecordFault fault)
{
        Clients *clients = clients_of(inlet_session_of(session));
        char keys[200], field[300];
        LinkState state = { .on = true, .name = link_string("refused") };

        (void) snprintf(keys, sizeof keys,
                        "REASON=Records broke a rule (%s) and were stored escaped\nRECORDS=%" PRIu64 "\n",
                        record_fault_to_string(fault), session->refused);
        state.keys = link_string(keys);
        intake_session_tell(session, &state);
        if (!log_limit(&clients->records_logged_usec, REFUSED_LOG_USEC))
                return;
        (void) snprintf(field, sizeof field, "PEER=%s\nNODE=%s", peer_of(session), session->owner);
        log_message(LOG_WARNING, MESSAGE_ID_RECORDS_REFUSED, field,
                    "%" PRIu32 " records of %s (%s) broke a rule (%s) and were stored escaped", n,
                    session->owner, peer_of(session), record_fault_to_string(fault));
}

const IntakeHandler clients_intake_handler = {
        .flush = inlet_flush,
        .judge = on_judge,
        .connected = on_connected,
        .refused = on_records_refused,
};

/* --- What the aggregator calls --- */

void clients_review(Clients *clients)
{
        inlet_review(clients->inlet, judge_certificate);
}

void clients_tell(Clients *clients, StoreCondition condition, bool on)
{
        LinkState state = store_state(condition, on);

        if (clients->inlet && store_states[condition].name)
                intake_tell(store_loop_intake(clients->store), &state);
}

static void status_of_clients(Clients *clients, const char *name, const char *help, size_t offset)
{
        const char *text = help;
        InletSession *client = NULL;
        size_t n = 0;

        while ((client = inlet_session_next(clients->inlet, client)) && n++ < STATUS_CLIENTS_MAX) {
                const IntakeSession *session = inlet_session_intake(client);
                char labels[2 * NODE_NAME_MAX + 128], stream[33];

                stream_id_format(&session->receiver.stream, stream);
                (void) snprintf(labels, sizeof labels, "%s,stream=\"%s\"",
                                status_label(clients->state, "node", session->owner), stream);
                status_counter(clients->state, name, labels,
                               *(const uint64_t *) ((const char *) session + offset), text);
                text = NULL;
        }
}

void clients_status(Clients *clients)
{
        const InletCounters *counters = inlet_counters(clients->inlet);
        State *state = clients->state;

        status_gauge(state, "connections", NULL, (double) inlet_connections(clients->inlet),
                     "Open connections");
        status_counter(state, "connections_accepted", NULL, counters->accepted, "Connections accepted");
        status_counter(state, "connections_refused", NULL, counters->refused,
                       "Connections refused with a BYE");
        status_counter(state, "connections_surplus", NULL, counters->surplus,
                       "Connections beyond MaxConnections=");
        status_counter(state, "connections_timed_out", NULL, counters->timeouts,
                       "Connections silent for too long");
        status_counter(state, "certificates_refused", NULL, clients->certificates_refused,
                       "Connections refused for their certificate, or that broke the handshake off");
        status_counter(state, "nodes_refused", NULL, clients->nodes_refused,
                       "Sessions refused for the node or stream they named");
        status_counter(state, "protocol_violations", NULL, counters->violations,
                       "Sessions ended for bad framing");
        status_of_clients(clients, "client_records", "Records taken in the session",
                          offsetof(IntakeSession, records));
        status_of_clients(clients, "client_bytes", "Bytes of records taken in the session",
                          offsetof(IntakeSession, bytes));
        status_of_clients(clients, "client_records_refused", "Records of the session stored escaped",
                          offsetof(IntakeSession, refused));
}

/* --- Life --- */

static int listen_on(Clients *clients, const AggregatorConfig *config)
{
        ListenFds fds;
        int r;

        r = listen_fds_get(&fds);
        if (r < 0)
                return r;
        r = inlet_serve(clients->inlet, &fds, "tls", AF_INET, config->listen);
        listen_fds_warn_rest(&fds);
        listen_fds_done(&fds);
        return r;
}

int clients_init(Clients *clients, sd_event *event, const AggregatorConfig *config, Tls **tls, State *state,
                 StoreLoop *store)
{
        InletOptions options = {
                .intake = store_loop_intake(store),
                .handler = &inlet_handler,
                .connections_max = config->connections_max,
                .connect_usec = config->connect_timeout_usec,
                .idle_usec = config->network_timeout_usec,
                .userdata = clients,
        };
        int r;

        *clients = (Clients) { .state = state, .tls = tls, .store = store };
        r = inlet_new(event, &options, &clients->inlet);
        if (r >= 0)
                r = listen_on(clients, config);
        if (r < 0)
                clients_done(clients);
        return r;
}

void clients_done(Clients *clients)
{
        clients->inlet = inlet_free(clients->inlet);
}
