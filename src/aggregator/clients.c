/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Admission is in two steps. When the handshake is done, the certificate is judged: trusted, in time, not
 * revoked; and what peers.d/ says of the names in it. When HELLO has come, the node it names must be one that the certificate names; from there on the
 * session's streams belong to that node, and only its records are taken as they are. Each refusal is a BYE
 * with a sentence for people.
 */

#include "aggregator/clients.h"
#include "runtime/config.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>

#define REFUSED_LOG_USEC (10 * USEC_PER_SEC)
#define REFUSED_LOG_BURST 20U

static Clients *clients_of(const InletSession *session)
{
        return inlet_userdata(inlet_session_inlet(session));
}

static const char *peer_of(const IntakeSession *session)
{
        return connection_peer(inlet_session_connection(inlet_session_of(session)));
}

/* --- Admission --- */

static int on_secure(Inlet *inlet, int fd, Transport **ret_transport)
{
        Clients *clients = inlet_userdata(inlet);

        return tls_session_new(*clients->tls, true, NULL, fd, ret_transport);
}

TlsSession *clients_tls(const InletSession *session)
{
        return tls_session_of(connection_transport(inlet_session_connection(session)));
}

const Peer *clients_peer(const Clients *clients, const TlsSession *tls)
{
        const Peer *found = NULL;

        for (unsigned i = 0; !found || found->action != PEER_REFUSE; i++) {
                _cleanup_(freep) char *name = tls_session_peer_names(tls, i);
                const Peer *peer = name ? peers_find(*clients->peers, name) : NULL;

                if (!name)
                        break;
                if (peer && (!found || peer->action == PEER_REFUSE))
                        found = peer;
        }
        return found;
}

static LinkByeCode judge_peer(const Clients *clients, const TlsSession *tls, char **ret_why)
{
        const Peer *peer = clients_peer(clients, tls);
        const char *name = tls_session_peer_name(tls);
        int r;

        if (peer ? peer->action == PEER_ALLOW : !clients->config->peers_required)
                return 0;
        if (peer)
                r = asprintf(ret_why, "The collector refuses \"%s\" (Action=refuse in %s)", peer->name,
                             peer->path);
        else
                r = asprintf(ret_why,
                             "The collector takes only whom a file in peers.d names (PeersRequired=yes); none "
                             "names \"%.120s\"",
                             name ? name : "nobody");
        if (r < 0)
                *ret_why = NULL;
        return LINK_BYE_NODE;
}

static LinkByeCode judge(InletSession *session, char **ret_why)
{
        TlsSession *tls = clients_tls(session);
        Clients *clients = clients_of(session);
        LinkByeCode code = 0;
        int r = tls_session_judge(tls, *clients->tls, ret_why);

        clients->judged = r;
        if (r < 0)
                code = LINK_BYE_CERTIFICATE;
        else
                code = judge_peer(clients, tls, ret_why);
        /* Whoever has no certificate of ours may name himself as he likes. */
        if (code == LINK_BYE_NODE || r == -EKEYREVOKED || r == -EKEYEXPIRED)
                clients_note_refused(clients, tls_session_peer_name(tls));
        return code;
}

static LinkByeCode on_admit(InletSession *session, InletIdentity *ret_identity, char **ret_why)
{
        TlsSession *tls = clients_tls(session);
        Clients *clients = clients_of(session);
        LinkByeCode code = judge(session, ret_why);
        const Peer *peer = code == 0 ? clients_peer(clients, tls) : NULL;

        ret_identity->peer = tls_session_peer_name(tls);
        ret_identity->connections_max = peer && peer->connections_max > 0 ? peer->connections_max
                                                                         : clients->config->peer_connections_max;
        return code;
}

static Refusal refusal_of(int judged)
{
        switch (judged) {
        case 0:
                return REFUSAL_HANDSHAKE;
        case -EKEYEXPIRED:
                return REFUSAL_EXPIRED;
        case -EKEYREVOKED:
                return REFUSAL_REVOKED;
        default:
                return REFUSAL_CERTIFICATE;
        }
}

static void on_inlet_refused(InletSession *session, LinkByeCode code, const char *why)
{
        Clients *clients = clients_of(session);

        if (code == LINK_BYE_CERTIFICATE)
                clients->certificates_refused[refusal_of(clients->judged)]++;
        clients->nodes_refused += code == LINK_BYE_NODE;
        clients->judged = 0;
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
        .taken = clients_taken,
        .refused = on_inlet_refused,
        .overload = on_overload,
};

/* --- The intake's handler --- */

static LinkByeCode on_judge(IntakeSession *session, const LinkHello *hello, const char **ret_why)
{
        InletSession *client = inlet_session_of(session);
        Clients *clients = clients_of(client);
        TlsSession *tls = clients_tls(client);
        _cleanup_(freep) char *name = NULL;
        char node[NODE_NAME_MAX + 1];
        const RosterRow *row;

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
        /* As the certificate spells it, so that one client is one however it spells itself. */
        name = tls_session_peer_spelling(tls, node);
        if (!name) {
                const char *first = tls_session_peer_name(tls);

                (void) snprintf(clients->why, sizeof clients->why,
                                "the certificate of \"%.120s\" does not name node \"%s\": "
                                "set Node= or issue a certificate for it", first ? first : "nobody", node);
                return LINK_BYE_NODE;
        }
        row = roster_find(clients->roster, name);
        if (row && row->streams >= CLIENTS_STREAMS_REFUSED) {
                (void) snprintf(clients->why, sizeof clients->why, "the node has begun more streams than are remembered of one");
                return LINK_BYE_OVERLOAD;
        }
        if (intake_session_identify(session, name, node) < 0) {
                (void) snprintf(clients->why, sizeof clients->why, "out of memory");
                return LINK_BYE_INTERNAL;
        }
        return 0;
}

/* What a store's condition is to those who deliver into it: a quota is as good as a full disk. */
static const struct {
        const char *name;
        const char *keys;
        bool (*holds)(const StoreLoop *store);
} store_states[_STORE_CONDITION_MAX] = {
        [STORE_LOW] = { "disk_low", "REASON=The collector's disk is nearly full\n", store_loop_low },
        [STORE_FULL] = { "disk_full", "REASON=The collector's disk is full: it takes nothing until there is room\n",
                         store_loop_full },
        [STORE_ERROR] = { "disk_error", "REASON=The collector could not write to its disk\n", store_loop_failed },
        [STORE_QUOTA_LOW] = { "disk_low", "REASON=The collector's room for this node is nearly used up\n",
                              store_loop_low },
        [STORE_QUOTA_FULL] = { "disk_full",
                               "REASON=The collector's room for this node is used up: it takes nothing until there is "
                               "room\n", store_loop_full },
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

        clients_connected(clients, session);
        (void) snprintf(field, sizeof field, "PEER=%s\nNODE=%s", peer_of(session), session->owner);
        log_message(LOG_INFO, MESSAGE_ID_PEER_CONNECTED, field,
                    "%s (%s, %s) delivers; its records up to %" PRIu64 " are here", session->owner,
                    peer_of(session),
                    tls_session_description(clients_tls(client)),
                    session->receiver.received);
        for (StoreCondition c = 0; c < _STORE_CONDITION_MAX; c++)
                if (store_states[c].name && store_loop_holds(stores_of(session), c)) {
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

/* Who does not like our certificate says so before his HELLO. */
static void on_bye(IntakeSession *session, const LinkBye *bye)
{
        Clients *clients = clients_of(inlet_session_of(session));
        char field[300];

        if (bye->code != LINK_BYE_CERTIFICATE)
                return;
        clients->certificates_refused[REFUSAL_OURS]++;
        if (!log_burst(&clients->refused_us, REFUSED_LOG_USEC, REFUSED_LOG_BURST))
                return;
        (void) snprintf(field, sizeof field, "PEER=%s", peer_of(session));
        log_message(LOG_WARNING, MESSAGE_ID_PEER_REFUSED, field, "%s refuses us: %.*s", peer_of(session),
                    (int) bye->reason.size, bye->reason.data);
}

static char *const *on_also(const IntakeSession *session)
{
        return peers_relay_names(*clients_of(inlet_session_of(session))->peers, session->owner);
}

static void on_reply(IntakeSession *session, const LinkReply *reply)
{
        const Clients *clients = clients_of(inlet_session_of(session));

        if (clients->commands)
                client_commands_reply(clients->commands, inlet_session_of(session), reply);
}

static void on_gone(IntakeSession *session)
{
        const Clients *clients = clients_of(inlet_session_of(session));

        if (clients->commands)
                client_commands_gone(clients->commands, inlet_session_of(session));
        if (session->welcomed)
                clients_disconnected(clients_of(inlet_session_of(session)), session);
}

const IntakeHandler clients_intake_handler = {
        .flush = inlet_flush,
        .judge = on_judge,
        .connected = on_connected,
        .also = on_also,
        .refused = on_records_refused,
        .gone = on_gone,
        .bye = on_bye,
        .reply = on_reply,
};

/* --- What the aggregator calls --- */

void clients_judge_again(Clients *clients)
{
        inlet_review(clients->inlet, judge);
}

void clients_review(Clients *clients)
{
        clients_judge_again(clients);
        clients_set_rates(clients);
        clients->forgetting = true;
}

void clients_tell(Clients *clients, StoreLoop *store, StoreCondition condition)
{
        LinkState state;

        if (!clients->inlet || !store_states[condition].name)
                return;
        state = store_state(condition, store_states[condition].holds(store));
        intake_tell(store_loop_intake(store), &state);
}

/* --- Life --- */

int clients_init(Clients *clients, sd_event *event, const AggregatorConfig *config, ListenFds *fds, Tls **tls,
                 Peers **peers, State *state, Stores *stores)
{
        InletOptions options = {
                .intake = stores_intake(stores),
                .handler = &inlet_handler,
                .connections_max = config->connections_max,
                .admission = { config->handshakes_max, config->address_handshakes_max,
                               ADMISSION_GRACE_USEC },
                .connect_usec = config->connect_timeout_usec,
                .idle_usec = config->network_timeout_usec,
                .userdata = clients,
        };
        int r;

        *clients = (Clients) {
                .state = state,
                .tls = tls,
                .peers = peers,
                .config = config,
                .refilled_usec = monotonic_usec(),
                .stores = stores,
                .forgetting = true,
        };
        r = roster_new(&clients->roster);
        if (r >= 0)
                r = inlet_new(event, &options, &clients->inlet);
        if (r >= 0)
                r = inlet_serve(clients->inlet, fds, "tls", AF_INET, config->listen);
        if (r < 0)
                clients_done(clients);
        return r;
}

void clients_done(Clients *clients)
{
        clients->inlet = inlet_free(clients->inlet);
        clients->roster = roster_free(clients->roster);
}
