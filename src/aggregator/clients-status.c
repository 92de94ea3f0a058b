/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is known of the clients: the roster kept up to date, their certificates watched, their metrics. */

#include "aggregator/clients.h"
#include "runtime/expiry.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

/* Peers with metrics of their own in the status file: more would take longer to write than they are worth. */
#define STATUS_PEERS_MAX 5000U
/* What is forgotten is asked for again until it is durably so; that is not said each time. */
#define FORGOTTEN_LOG_USEC (60 * USEC_PER_SEC)
#define FORGOTTEN_LOG_BURST 20U
/* Warnings of peers' certificates in one second; a fleet's may have been made on one day. */
#define WARNINGS_MAX 20U

/* --- The roster --- */

static void set_rate(Clients *clients, const IntakeSession *session, RosterRow *row)
{
        const Peer *peer = clients_peer(clients, clients_tls(inlet_session_of(session)));

        roster_set_rate(row, peer && peer->rate > 0 ? peer->rate : clients->config->peer_rate);
}

void clients_connected(Clients *clients, const IntakeSession *session)
{
        const char *peer = connection_peer(inlet_session_connection(inlet_session_of(session)));
        RosterRow *row = roster_connected(clients->roster, session->owner, peer, &session->receiver.stream);

        /* Without memory for its row it delivers all the same. */
        if (!row)
                return;
        row->expires = tls_session_peer_expires(clients_tls(inlet_session_of(session)));
        set_rate(clients, session, row);
}

static RosterCounters counters_of(const IntakeSession *session)
{
        return (RosterCounters) { session->records, session->bytes, session->refused, session->lost };
}

void clients_disconnected(Clients *clients, const IntakeSession *session)
{
        RosterCounters counters = counters_of(session);

        roster_disconnected(clients->roster, session->owner, &counters);
}

void clients_note_refused(Clients *clients, const char *name)
{
        RosterRow *row = name ? roster_find(clients->roster, name) : NULL;

        if (row)
                row->refused = true;
}

static void look(Clients *clients)
{
        StoresPosition position = { 0 };
        InletSession *client = NULL;
        StoreStream stream;

        roster_look_begin(clients->roster);
        while ((client = inlet_session_next(clients->inlet, client))) {
                const IntakeSession *session = inlet_session_intake(client);
                RosterCounters counters = counters_of(session);

                roster_look_session(clients->roster, session->owner, &counters, session->delay_usec);
        }
        while (stores_stream_next(clients->stores, &position, &stream))
                if (roster_look_stream(clients->roster, stream.owner, &stream.id, stream.last,
                                       stream.seen_usec) < 0)
                        break; /* without memory the rows that are there will do */
        roster_look_end(clients->roster);
}

/* --- Rates --- */

static bool must_wait(const InletSession *client)
{
        Clients *clients = inlet_userdata(inlet_session_inlet(client));
        const char *owner = inlet_session_intake(client)->owner;
        const RosterRow *row = owner ? roster_find(clients->roster, owner) : NULL;

        return row && row->tokens < 0;
}

void clients_taken(InletSession *session, uint64_t bytes)
{
        Clients *clients = inlet_userdata(inlet_session_inlet(session));
        RosterRow *row = roster_find(clients->roster, inlet_session_intake(session)->owner);

        if (!row || !roster_charge(row, bytes))
                return;
        clients->waited++;
        clients->waits = true;
        inlet_hold(clients->inlet, must_wait);
}

static void refill(Clients *clients)
{
        uint64_t now = monotonic_usec();
        bool waits = roster_refill(clients->roster, now - clients->refilled_usec);

        clients->refilled_usec = now;
        if (clients->waits)
                inlet_hold(clients->inlet, must_wait);
        clients->waits = waits;
}

void clients_set_rates(Clients *clients)
{
        InletSession *client = NULL;

        while ((client = inlet_session_next(clients->inlet, client))) {
                const IntakeSession *session = inlet_session_intake(client);
                RosterRow *row = roster_find(clients->roster, session->owner);

                if (row)
                        set_rate(clients, session, row);
        }
}

/* --- Certificates --- */

static void warn(const RosterRow *row, int64_t now)
{
        char field[NODE_NAME_MAX + 8], text[64];

        (void) snprintf(field, sizeof field, "NODE=%s", row->node);
        log_message(LOG_WARNING, MESSAGE_ID_CERTIFICATE_EXPIRING, field, "The certificate of %s %s", row->node,
                    expiry_text(row->expires, now, text, sizeof text));
}

/* Warns, and sends those away whose time is over. */
static void watch_certificates(Clients *clients)
{
        int64_t now = (int64_t) (realtime_usec() / USEC_PER_SEC);
        unsigned n = 0;
        bool over = false;

        for (RosterRow *row = NULL; n < WARNINGS_MAX && (row = roster_next(clients->roster, row));) {
                if (row->sessions == 0 || !expiry_due(&row->warned, row->expires, now))
                        continue;
                warn(row, now);
                over = over || row->expires <= now;
                n++;
        }
        if (over)
                clients_judge_again(clients);
}

/* --- Forgetting --- */

static const InletSession *find_session(Clients *clients, const StreamId *stream)
{
        InletSession *client = NULL;

        while ((client = inlet_session_next(clients->inlet, client)))
                if (stream_id_equal(&inlet_session_intake(client)->receiver.stream, stream))
                        break;
        return client;
}

/* Asks for the end of the streams of peers that are to be forgotten, once nobody delivers them; until the
 * table has none of them left. */
static void forget(Clients *clients)
{
        StoresPosition position = { 0 };
        size_t n = 0;
        StoreStream stream;

        if (!clients->forgetting)
                return;
        while (stores_stream_next(clients->stores, &position, &stream)) {
                const Peer *peer = peers_find(*clients->peers, stream.owner);

                if (!peer || !peer->forget)
                        continue;
                n++;
                if (!find_session(clients, &stream.id)) {
                        if (log_burst(&clients->forgotten, FORGOTTEN_LOG_USEC, FORGOTTEN_LOG_BURST))
                                log_notice("The position of %s in its stream is forgotten (Forget= in %s)",
                                           stream.owner, peer->path);
                        stores_forget(clients->stores, &stream);
                }
        }
        clients->forgetting = n > 0;
}

/* Of a node that has too many streams the one that was silent longest, unless it is delivered just now. */
static void forget_surplus(Clients *clients)
{
        for (RosterRow *row = NULL; (row = roster_next(clients->roster, row));) {
                StoreStream stream = { .id = row->silent, .owner = row->node };

                if (row->streams <= CLIENTS_STREAMS_MAX || find_session(clients, &row->silent))
                        continue;
                if (log_burst(&clients->forgotten, FORGOTTEN_LOG_USEC, FORGOTTEN_LOG_BURST))
                        log_notice("%s has begun %u streams: its position in the longest silent one is forgotten", row->node,
                                   row->streams);
                stores_forget(clients->stores, &stream);
        }
}

void clients_tick(Clients *clients)
{
        inlet_tick(clients->inlet);
        refill(clients);
        forget(clients);
        look(clients);
        forget_surplus(clients);
        watch_certificates(clients);
}

/* --- Metrics --- */

static double certificate_days(const RosterRow *row)
{
        return expiry_days(row->expires, (int64_t) (realtime_usec() / USEC_PER_SEC));
}

static uint64_t sum(const RosterRow *row, size_t offset)
{
        return *(const uint64_t *) ((const char *) &row->ended + offset) +
               *(const uint64_t *) ((const char *) &row->live + offset);
}

/* One family of metrics, a sample for each peer. */
static void status_of_peers(Clients *clients, const char *name, const char *help,
                            double (*value)(const RosterRow *row))
{
        size_t n = 0;

        for (RosterRow *row = NULL; n < STATUS_PEERS_MAX && (row = roster_next(clients->roster, row)); n++) {
                char label[NODE_NAME_MAX + 16];

                /* A valid node's name needs no quoting. */
                (void) snprintf(label, sizeof label, "node=\"%s\"", row->node);
                status_gauge(clients->state, name, label, value(row), n == 0 ? help : NULL);
        }
}

static void count_of_peers(Clients *clients, const char *name, const char *help, size_t offset)
{
        size_t n = 0;

        for (RosterRow *row = NULL; n < STATUS_PEERS_MAX && (row = roster_next(clients->roster, row)); n++) {
                char label[NODE_NAME_MAX + 16];

                (void) snprintf(label, sizeof label, "node=\"%s\"", row->node);
                status_counter(clients->state, name, label, sum(row, offset), n == 0 ? help : NULL);
        }
}

static double seq_of(const RosterRow *row)
{
        return (double) row->seq;
}

static double seen_of(const RosterRow *row)
{
        return (double) (row->seen_usec / USEC_PER_MSEC) / 1000;
}

static double delay_of(const RosterRow *row)
{
        return row->sessions > 0 ? (double) row->delay_usec / (double) USEC_PER_SEC : 0;
}

static double refused_of(const RosterRow *row)
{
        return row->refused;
}

static void status_of_connections(Clients *clients)
{
        size_t n = 0;

        for (RosterRow *row = NULL; n < STATUS_PEERS_MAX && (row = roster_next(clients->roster, row)); n++) {
                char labels[NODE_NAME_MAX + ROSTER_ADDRESS_MAX + 96], stream[33];

                stream_id_format(&row->stream, stream);
                (void) snprintf(labels, sizeof labels, "node=\"%s\",address=\"%s\",stream=\"%s\"", row->node,
                                row->address, stream);
                status_gauge(clients->state, "peer_connected", labels, row->sessions > 0,
                             n == 0 ? "1 while the peer delivers" : NULL);
        }
}

static void status_of_refusals(Clients *clients)
{
        static const char *const labels[_REFUSAL_MAX] = {
                [REFUSAL_CERTIFICATE] = "reason=\"certificate\"", [REFUSAL_EXPIRED] = "reason=\"expired\"",
                [REFUSAL_REVOKED] = "reason=\"revoked\"",         [REFUSAL_HANDSHAKE] = "reason=\"handshake\"",
                [REFUSAL_OURS] = "reason=\"ours\"",
        };

        for (Refusal i = 0; i < _REFUSAL_MAX; i++)
                status_counter(clients->state, "certificates_refused", labels[i], clients->certificates_refused[i],
                               i == 0 ? "Connections refused for their certificate, or that broke the handshake off"
                                      : NULL);
}

static void status_of_inlet(Clients *clients)
{
        const InletCounters *counters = inlet_counters(clients->inlet);
        const Acceptor *acceptor = inlet_acceptor(clients->inlet);
        const AcceptorCounters *came = acceptor_counters(acceptor);
        State *state = clients->state;
        size_t waiting, served = acceptor_handshakes(acceptor, &waiting);

        status_gauge(state, "handshakes", NULL, (double) served, "Handshakes under way");
        status_gauge(state, "handshakes_waiting", NULL, (double) waiting,
                     "Connections whose handshake waits for another to end");
        status_counter(state, "handshakes_hurried", NULL, came->hurried,
                       "Handshakes ended after five seconds, as others waited");
        status_counter(state, "connections_displaced", NULL, counters->displaced,
                       "Connections ended for a newer one of the same peer");
        status_counter(state, "rate_waits", NULL, clients->waited, "Times that a peer had used up its rate");
        status_gauge(state, "connections", NULL, (double) inlet_connections(clients->inlet),
                     "Open connections");
        status_counter(state, "connections_accepted", NULL, came->accepted, "Connections accepted");
        status_counter(state, "connections_refused", NULL, counters->refused,
                       "Connections refused with a BYE");
        status_counter(state, "connections_surplus", NULL, came->surplus + counters->surplus,
                       "Connections beyond MaxConnections=");
        status_counter(state, "connections_timed_out", NULL, came->overdue + counters->timeouts,
                       "Connections silent for too long");
        status_of_refusals(clients);
        status_counter(state, "nodes_refused", NULL, clients->nodes_refused,
                       "Sessions refused for the node or stream they named, or by peers.d");
        status_counter(state, "protocol_violations", NULL, counters->violations,
                       "Sessions ended for bad framing");
}

void clients_status(Clients *clients)
{
        status_of_inlet(clients);
        status_gauge(clients->state, "peers", NULL, (double) roster_count(clients->roster),
                     "Nodes that deliver, or whose position is known");
        status_of_connections(clients);
        status_of_peers(clients, "peer_refused", "1 when its last attempt was refused", refused_of);
        status_of_peers(clients, "peer_seq", "Last seq of its stream in custody here", seq_of);
        status_of_peers(clients, "peer_lag_seconds", "Age of its newest record when that came, by both clocks",
                        delay_of);
        status_of_peers(clients, "peer_seen_timestamp_seconds", "When something was last stored of it", seen_of);
        status_of_peers(clients, "peer_certificate_days", "Days until its certificate expires",
                        certificate_days);
        count_of_peers(clients, "peer_records", "Records taken of it", offsetof(RosterCounters, records));
        count_of_peers(clients, "peer_bytes", "Bytes of records taken of it", offsetof(RosterCounters, bytes));
        count_of_peers(clients, "peer_records_refused", "Of these, stored escaped",
                       offsetof(RosterCounters, refused));
        count_of_peers(clients, "peer_records_lost", "Records that it reported lost: gaps",
                       offsetof(RosterCounters, lost));
}
