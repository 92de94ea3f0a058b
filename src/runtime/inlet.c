/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sessions of the intake over connections of the loop.
 *
 *  1. A session is freed in closed() alone, so nothing that a handler calls can take it away under the
 *     caller.
 *  2. A session that has ended says its BYE, half-closes and drains: it leaves by connection_finish().
 *  3. What one peer does costs the others nothing: not its bad framing, not its silence, not its slowness.
 */

#include "runtime/inlet-private.h"
#include "runtime/loop.h"

#include <stdio.h>

/* So many refusals of a kind are logged in so long; all are counted. A peer that is refused comes back every
 * few seconds, and a fleet with an expired CA all at once. */
#define REFUSED_LOG_USEC (10 * USEC_PER_SEC)
#define REFUSED_LOG_BURST 20U

static InletSession *session_of(Arrival *arrival)
{
        return container_of(arrival, InletSession, arrival);
}

/* --- Ends of sessions --- */

static void log_refusal(InletSession *session, LinkByeCode code, const char *why)
{
        bool violation = code == LINK_BYE_PROTOCOL;
        const char *peer = connection_peer(session->arrival.connection);
        char field[300];

        if (!log_burst(&session->inlet->bursts[code], REFUSED_LOG_USEC, REFUSED_LOG_BURST))
                return;
        (void) snprintf(field, sizeof field, "PEER=%s", peer);
        log_message(LOG_WARNING, violation ? MESSAGE_ID_PROTOCOL_VIOLATION : MESSAGE_ID_PEER_REFUSED, field,
                    violation ? "Broken protocol by %s: %s" : "Refused %s: %s", peer, why);
}

void inlet_tell_refused(InletSession *session, LinkByeCode code, const char *why)
{
        Inlet *inlet = session->inlet;

        if (session->told)
                return;
        session->told = true;
        if (code == LINK_BYE_PROTOCOL)
                inlet->counters.violations++;
        else
                inlet->counters.refused++;
        log_refusal(session, code, why);
        if (inlet->options.handler->refused)
                inlet->options.handler->refused(session, code, why);
}

/* A BYE to a peer that has no session of the intake yet. */
static void turn_away(InletSession *session, LinkByeCode code, const char *why)
{
        LinkBye bye = { .code = (uint16_t) code, .reason = link_string(why) };

        inlet_tell_refused(session, code, why);
        /* Without memory for it the peer gets the EOF alone. */
        if (frame_put_bye(connection_output(session->arrival.connection), &bye) < 0)
                log_debug("No room for a BYE");
        connection_finish(session->arrival.connection);
}

static bool was_refused(const IntakeSession *session)
{
        switch (session->end_code) {
        case LINK_BYE_PROTOCOL:
        case LINK_BYE_CERTIFICATE:
        case LINK_BYE_NODE:
        case LINK_BYE_VERSION:
                return session->end_why != NULL;
        default:
                return false;
        }
}

/* --- Places --- */

static void note_overload(Inlet *inlet, bool on)
{
        if (inlet->overload == on)
                return;
        inlet->overload = on;
        if (inlet->options.handler->overload)
                inlet->options.handler->overload(inlet, on);
}

/* A place is taken or given back; the owner hears of the first that found none. */
static void count(InletSession *session, bool counted)
{
        Inlet *inlet = session->inlet;

        if (session->counted == counted)
                return;
        session->counted = counted;
        inlet->n_counted += counted ? 1 : SIZE_MAX;
        if (inlet->overload && inlet->n_counted <= inlet->options.connections_max * 9 / 10)
                note_overload(inlet, false);
}

/* Whether it is to go before the other: it finishes already, or was heard of longer ago. */
static bool is_older(const InletSession *a, const InletSession *b)
{
        if (a->counted != b->counted)
                return !a->counted;
        return connection_heard_usec(a->arrival.connection) < connection_heard_usec(b->arrival.connection);
}

/* A place for a session of this peer: one of its own that it has too many, or when there is none left at all, is ended for it.
 * Returns whether there is one. */
static bool make_room(Inlet *inlet, const InletIdentity *identity)
{
        bool full = inlet->n_counted >= inlet->options.connections_max;
        InletSession *session, *oldest = NULL;
        size_t n = 0;

        LIST_FOREACH(session, &inlet->sessions, sessions) {
                if (!session->peer || !identity->peer || strcmp(session->peer, identity->peer) != 0)
                        continue;
                n++;
                if (!oldest || is_older(session, oldest))
                        oldest = session;
        }
        if (!oldest || (!full && (identity->connections_max == 0 || n < identity->connections_max)))
                return !full;
        /* The newest is alive; of the others nobody knows. */
        inlet->counters.displaced++;
        if (!oldest->counted) {
                connection_cut(oldest->arrival.connection);
                return !full;
        }
        intake_session_end(&oldest->intake, LINK_BYE_REPLACED, 0,
                           "a newer connection of the same peer takes its place");
        return true;
}

/* --- The connection's handler --- */

void inlet_flush(IntakeSession *intake_session)
{
        InletSession *session = intake_session->userdata;

        if (intake_session->receiver.state == LINK_RECEIVER_ENDED) {
                if (was_refused(intake_session))
                        inlet_tell_refused(session, intake_session->end_code, intake_session->end_why);
                /* What it still has to say takes nobody's place. */
                count(session, false);
                connection_finish(session->arrival.connection);
                return;
        }
        connection_flush(session->arrival.connection);
        if (!inlet_session_rests(session))
                session->since_usec = monotonic_usec();
        connection_pause(session->arrival.connection, inlet_session_rests(session));
}

static int on_established(Connection *connection)
{
        InletSession *session = session_of(connection_userdata(connection));
        Inlet *inlet = session->inlet;
        _cleanup_(freep) char *why = NULL;
        InletIdentity identity = { 0 };
        LinkByeCode code;
        int r;

        code = inlet->options.handler->admit(session, &identity, &why);
        if (code != 0) {
                turn_away(session, code, why ? why : "refused");
                return 0;
        }
        if (!make_room(inlet, &identity)) {
                inlet->counters.surplus++;
                note_overload(inlet, true);
                turn_away(session, LINK_BYE_OVERLOAD, "too many connections, come back later");
                return 0;
        }
        if (identity.peer) {
                session->peer = strdup(identity.peer);
                if (!session->peer)
                        return -ENOMEM;
        }
        r = intake_session_init(&session->intake, inlet->options.intake, connection_output(connection),
                                identity.owner, identity.node, identity.accept, identity.origin, session);
        if (r < 0)
                return r;
        session->intake.types = identity.types;
        session->admitted = true;
        count(session, true);
        /* Who was turned away stays a visitor until he is gone: those are few. */
        acceptor_established(&session->arrival);
        session->held = identity.held;
        connection_pause(connection, session->held);
        session->since_usec = monotonic_usec();
        return 0;
}

/* What is left in the input is the beginning of a frame, unless the session rests. */
static void note_frame(InletSession *session, bool moved, size_t left)
{
        if (left == 0)
                session->frame_usec = 0;
        else if (moved || session->frame_usec == 0)
                session->frame_usec = connection_heard_usec(session->arrival.connection);
        session->frame_bytes = left;
}

static int on_received(Connection *connection, Buffer *input)
{
        InletSession *session = session_of(connection_userdata(connection));
        uint64_t bytes = session->intake.bytes;
        ssize_t n;

        if (!session->admitted || session->intake.receiver.state == LINK_RECEIVER_ENDED) {
                buffer_consume(input, buffer_size(input));
                return 0;
        }
        n = intake_session_feed(&session->intake, buffer_head(input), buffer_size(input));
        if (n < 0) {
                const char *why = session->intake.receiver.why;

                if (n != -EBADMSG && n != -EPROTONOSUPPORT)
                        return (int) n;
                inlet_tell_refused(session, n == -EBADMSG ? LINK_BYE_PROTOCOL : LINK_BYE_VERSION,
                             why ? why : "bad framing");
                connection_finish(connection);
                return 0;
        }
        /* Ended: flush() has begun to finish the connection, which empties its input. */
        if (session->intake.receiver.state == LINK_RECEIVER_ENDED)
                return 0;
        buffer_consume(input, (size_t) n);
        note_frame(session, n > 0, buffer_size(input));
        if (session->intake.bytes > bytes && session->inlet->options.handler->taken)
                session->inlet->options.handler->taken(session, session->intake.bytes - bytes);
        connection_pause(connection, inlet_session_rests(session));
        return 0;
}

static void on_closed(Connection *connection, int error, const char *why)
{
        InletSession *session = session_of(connection_userdata(connection));
        Inlet *inlet = session->inlet;
        char field[300];

        if (session->admitted && session->intake.welcomed) {
                (void) snprintf(field, sizeof field, "PEER=%s", connection_peer(connection));
                log_message(LOG_INFO, MESSAGE_ID_PEER_DISCONNECTED, field,
                            "%s (%s) is gone: %s", session->intake.owner ? session->intake.owner : "peer",
                            connection_peer(connection), why ? why : "connection closed");
        } else if (error == -ETIMEDOUT) {
                inlet->counters.timeouts++;
        } else if (error < 0 && connection_transport(connection)) {
                /* Who does not like our certificate often just goes. */
                inlet_tell_refused(session, LINK_BYE_CERTIFICATE, why ? why : strerror(-error));
        }
        acceptor_closed(&session->arrival);
}

static const ConnectionHandler connection_handler = {
        .established = on_established,
        .received = on_received,
        .closed = on_closed,
};

/* --- The acceptor's handler --- */

static int on_admit(Acceptor *acceptor, int fd, const struct sockaddr *from, Arrival **ret)
{
        InletSession *session = calloc(1, sizeof *session);

        if (!session)
                return -ENOMEM;
        session->inlet = acceptor_userdata(acceptor);
        *ret = &session->arrival;
        return 0;
}

static int on_secure(Arrival *arrival, int fd, Transport **ret)
{
        Inlet *inlet = session_of(arrival)->inlet;

        return inlet->options.handler->secure ? inlet->options.handler->secure(inlet, fd, ret) : 0;
}

static void on_served(Arrival *arrival)
{
        InletSession *session = session_of(arrival);

        LIST_INSERT_HEAD(&session->inlet->sessions, session, sessions);
}

static void on_free(Arrival *arrival)
{
        InletSession *session = session_of(arrival);

        if (arrival->connection)
                LIST_REMOVE(session, sessions);
        count(session, false);
        if (session->admitted)
                intake_session_done(&session->intake);
        acceptor_part(arrival);
        free(session->peer);
        free(session);
}

static const AcceptorHandler acceptor_handler = {
        .admit = on_admit,
        .secure = on_secure,
        .served = on_served,
        .free = on_free,
        .connection = &connection_handler,
};

/* --- Facts --- */

void *inlet_userdata(const Inlet *inlet)
{
        return inlet->options.userdata;
}

const InletCounters *inlet_counters(const Inlet *inlet)
{
        return &inlet->counters;
}

size_t inlet_connections(const Inlet *inlet)
{
        return acceptor_connections(inlet->acceptor);
}

Acceptor *inlet_acceptor(const Inlet *inlet)
{
        return inlet->acceptor;
}

size_t inlet_user_connections(const Inlet *inlet, uid_t uid)
{
        const InletSession *session;
        size_t n = 0;

        LIST_FOREACH(session, &inlet->sessions, sessions) {
                uid_t peer_uid;
                gid_t gid;
                pid_t pid;

                connection_credentials(session->arrival.connection, &pid, &peer_uid, &gid);
                n += peer_uid == uid;
        }
        return n;
}

InletSession *inlet_session_of(const IntakeSession *session)
{
        return session->userdata;
}

Inlet *inlet_session_inlet(const InletSession *session)
{
        return session->inlet;
}

Connection *inlet_session_connection(const InletSession *session)
{
        return session->arrival.connection;
}

const IntakeSession *inlet_session_intake(const InletSession *session)
{
        return &session->intake;
}

int inlet_session_command(InletSession *session, const LinkCommand *command)
{
        return intake_session_command(&session->intake, command);
}

InletSession *inlet_session_next(Inlet *inlet, InletSession *session)
{
        session = session ? LIST_NEXT(session, sessions) : LIST_FIRST(&inlet->sessions);
        while (session && !(session->admitted && session->intake.receiver.state == LINK_RECEIVER_CONNECTED))
                session = LIST_NEXT(session, sessions);
        return session;
}

/* --- Life --- */

int inlet_serve(Inlet *inlet, ListenFds *fds, const char *name, int family, char *const *addresses)
{
        int n = acceptor_listen_all(inlet->acceptor, fds, name, family, addresses);

        if (n == 0)
                log_error("There is no socket, as none was handed in as \"%s\": start the socket's unit, or set Listen=", name);
        return n == 0 ? -ENOENT : MIN(n, 0);
}

int inlet_new(sd_event *event, const InletOptions *options, Inlet **ret)
{
        Inlet *inlet = calloc(1, sizeof *inlet);
        AcceptorOptions acceptor = {
                .handler = &acceptor_handler,
                .connections_max = options->connections_max + options->admission.max + INLET_SURPLUS,
                .admission = options->admission,
                .connect_usec = options->connect_usec,
                .userdata = inlet,
        };
        int r;

        if (!inlet)
                return -ENOMEM;
        inlet->options = *options;
        r = acceptor_new(event, &acceptor, &inlet->acceptor);
        if (r < 0) {
                free(inlet);
                return r;
        }
        *ret = inlet;
        return 0;
}

Inlet *inlet_free(Inlet *inlet)
{
        InletSession *session;

        if (!inlet)
                return NULL;
        acceptor_close(inlet->acceptor);
        while ((session = LIST_FIRST(&inlet->sessions)))
                on_free(&session->arrival);
        acceptor_free(inlet->acceptor);
        free(inlet);
        return NULL;
}
