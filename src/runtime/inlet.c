/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sessions of the intake over connections of the loop.
 *
 *  1. A session is freed in closed() alone, so nothing that a handler calls can take it away under the
 *     caller.
 *  2. A session that has ended says its BYE, half-closes and drains: it leaves by connection_finish().
 *  3. What one peer does costs the others nothing: not its bad framing, not its silence, not its slowness.
 */

#include "runtime/inlet.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

/* Connections taken from one listener in one turn of the loop. */
#define ACCEPT_TURN_MAX 16U
/* So many refusals of a kind are logged in so long; all are counted. A peer that is refused comes back every
 * few seconds, and a fleet with an expired CA all at once. */
#define REFUSED_LOG_USEC (10 * USEC_PER_SEC)
#define REFUSED_LOG_BURST 20U

struct InletSession {
        Inlet *inlet;
        Connection *connection;
        IntakeSession intake;
        bool admitted; /* `intake` is a session */
        bool told;     /* its refusal was logged and counted */
        bool held;     /* by the owner: not read */
        uint64_t since_usec; /* of what it is waited for: HELLO, or being read again */
        LIST_ENTRY(InletSession) sessions;
};

struct Inlet {
        InletOptions options;
        sd_event *event;
        sd_event_source *listeners[INLET_LISTENERS_MAX];
        size_t n_listeners;
        LIST_HEAD(, InletSession) sessions;
        size_t n_sessions;
        bool full; /* the listeners rest */
        bool overload;
        uint64_t logged_usec;
        LogBurst bursts[_LINK_BYE_MAX]; /* each kind of refusal has its own say */
        InletCounters counters;
};

/* --- Ends of sessions --- */

static void log_refusal(InletSession *session, LinkByeCode code, const char *why)
{
        bool violation = code == LINK_BYE_PROTOCOL;
        const char *peer = connection_peer(session->connection);
        char field[300];

        if (!log_burst(&session->inlet->bursts[code], REFUSED_LOG_USEC, REFUSED_LOG_BURST))
                return;
        (void) snprintf(field, sizeof field, "PEER=%s", peer);
        log_message(LOG_WARNING, violation ? MESSAGE_ID_PROTOCOL_VIOLATION : MESSAGE_ID_PEER_REFUSED, field,
                    "%s %s: %s", violation ? "Broken protocol by" : "Refused", peer, why);
}

static void tell_refused(InletSession *session, LinkByeCode code, const char *why)
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

        tell_refused(session, code, why);
        /* Without memory for it the peer gets the EOF alone. */
        if (frame_put_bye(connection_output(session->connection), &bye) < 0)
                log_debug("No room for a BYE");
        connection_finish(session->connection);
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

static bool rests(const InletSession *session)
{
        return session->held || intake_session_blocked(&session->intake);
}

void inlet_flush(IntakeSession *intake_session)
{
        InletSession *session = intake_session->userdata;

        if (intake_session->receiver.state == LINK_RECEIVER_ENDED) {
                if (was_refused(intake_session))
                        tell_refused(session, intake_session->end_code, intake_session->end_why);
                connection_finish(session->connection);
                return;
        }
        connection_flush(session->connection);
        if (!rests(session))
                session->since_usec = monotonic_usec();
        connection_pause(session->connection, rests(session));
}

static void session_free(InletSession *session)
{
        Inlet *inlet = session->inlet;

        LIST_REMOVE(session, sessions);
        inlet->n_sessions--;
        if (session->admitted)
                intake_session_done(&session->intake);
        connection_free(session->connection);
        free(session);
}

/* --- Accepting --- */

static void rest_listeners(Inlet *inlet, bool rest)
{
        inlet->full = rest;
        for (size_t i = 0; i < inlet->n_listeners; i++)
                (void) sd_event_source_set_enabled(inlet->listeners[i], rest ? SD_EVENT_OFF : SD_EVENT_ON);
}

static void note_overload(Inlet *inlet, bool on)
{
        if (inlet->overload == on)
                return;
        inlet->overload = on;
        if (inlet->options.handler->overload)
                inlet->options.handler->overload(inlet, on);
}

/* --- The connection's handler --- */

static int on_established(Connection *connection)
{
        InletSession *session = connection_userdata(connection);
        Inlet *inlet = session->inlet;
        _cleanup_(freep) char *why = NULL;
        InletIdentity identity = { 0 };
        LinkByeCode code;
        int r;

        if (inlet->n_sessions > inlet->options.connections_max) {
                inlet->counters.surplus++;
                note_overload(inlet, true);
                turn_away(session, LINK_BYE_OVERLOAD, "too many connections, come back later");
                return 0;
        }
        code = inlet->options.handler->admit(session, &identity, &why);
        if (code != 0) {
                turn_away(session, code, why ? why : "refused");
                return 0;
        }
        r = intake_session_init(&session->intake, inlet->options.intake, connection_output(connection),
                                identity.owner, identity.node, identity.accept, identity.origin, session);
        if (r < 0)
                return r;
        session->intake.types = identity.types;
        session->admitted = true;
        session->held = identity.held;
        connection_pause(connection, session->held);
        session->since_usec = monotonic_usec();
        return 0;
}

static int on_received(Connection *connection, Buffer *input)
{
        InletSession *session = connection_userdata(connection);
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
                tell_refused(session, n == -EBADMSG ? LINK_BYE_PROTOCOL : LINK_BYE_VERSION,
                             why ? why : "bad framing");
                connection_finish(connection);
                return 0;
        }
        /* Ended: flush() has begun to finish the connection, which empties its input. */
        if (session->intake.receiver.state == LINK_RECEIVER_ENDED)
                return 0;
        buffer_consume(input, (size_t) n);
        if (session->intake.bytes > bytes && session->inlet->options.handler->taken)
                session->inlet->options.handler->taken(session, session->intake.bytes - bytes);
        connection_pause(connection, rests(session));
        return 0;
}

static void on_closed(Connection *connection, int error, const char *why)
{
        InletSession *session = connection_userdata(connection);
        Inlet *inlet = session->inlet;
        char field[300];

        if (session->admitted && session->intake.welcomed) {
                (void) snprintf(field, sizeof field, "PEER=%s", connection_peer(connection));
                log_message(LOG_INFO, MESSAGE_ID_PEER_DISCONNECTED, field,
                            "%s (%s) is gone: %s", session->intake.owner ? session->intake.owner : "peer",
                            connection_peer(connection), why ? why : "connection closed");
        } else if (error == -ETIMEDOUT) {
                inlet->counters.timeouts++;
        } else if (error < 0 && connection_tls(connection)) {
                /* Who does not like our certificate often just goes. */
                tell_refused(session, LINK_BYE_CERTIFICATE, why ? why : strerror(-error));
        }
        session_free(session);
        if (inlet->full && inlet->n_sessions < inlet->options.connections_max + INLET_SURPLUS)
                rest_listeners(inlet, false);
        if (inlet->overload && inlet->n_sessions <= inlet->options.connections_max * 9 / 10)
                note_overload(inlet, false);
}

static const ConnectionHandler connection_handler = {
        .established = on_established,
        .received = on_received,
        .closed = on_closed,
};

int inlet_take(Inlet *inlet, int fd)
{
        InletSession *session = calloc(1, sizeof *session);
        TlsSession *tls = NULL;
        int r = -ENOMEM;

        if (session && inlet->options.handler->secure)
                r = inlet->options.handler->secure(inlet, fd, &tls);
        else if (session)
                r = 0;
        if (r < 0) {
                free(session);
                close_fd(fd);
                return r;
        }
        session->inlet = inlet;
        r = connection_new(inlet->event, fd, tls, &connection_handler, session, &session->connection);
        if (r < 0) {
                free(session);
                return r;
        }
        LIST_INSERT_HEAD(&inlet->sessions, session, sessions);
        inlet->n_sessions++;
        inlet->counters.accepted++;
        r = connection_start(session->connection, inlet->options.connect_usec);
        if (r < 0)
                session_free(session);
        return r;
}

static int on_listener(sd_event_source *source, int listener, uint32_t events, void *userdata)
{
        Inlet *inlet = userdata;

        for (unsigned i = 0; i < ACCEPT_TURN_MAX; i++) {
                int fd, r;

                if (inlet->n_sessions >= inlet->options.connections_max + INLET_SURPLUS) {
                        rest_listeners(inlet, true);
                        return 0;
                }
                fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0 && errno == ECONNABORTED)
                        continue;
                if (fd < 0 && errno != EAGAIN && errno != EINTR) {
                        /* No descriptors or no memory: again with the next tick, not in a circle. */
                        rest_listeners(inlet, true);
                        if (log_limit(&inlet->logged_usec, REFUSED_LOG_USEC))
                                log_error("Cannot accept a connection: %s", strerror(errno));
                }
                if (fd < 0)
                        return 0;
                r = inlet_take(inlet, fd);
                if (r < 0 && log_limit(&inlet->logged_usec, REFUSED_LOG_USEC))
                        log_warning("Cannot serve a connection: %s", strerror(-r));
        }
        return 0;
}

int inlet_listen(Inlet *inlet, int fd)
{
        sd_event_source *source = NULL;
        int r = -ENOBUFS;

        if (inlet->n_listeners < INLET_LISTENERS_MAX)
                r = sd_event_add_io(inlet->event, &source, fd, EPOLLIN, on_listener, inlet);
        if (r < 0) {
                close_fd(fd);
                return r;
        }
        inlet->listeners[inlet->n_listeners++] = source;
        (void) sd_event_source_set_description(source, "inlet-listener");
        r = sd_event_source_set_io_fd_own(source, true);
        if (r < 0)
                return r;
        return sd_event_source_set_priority(source, LOOP_DATA);
}

bool inlet_waiting(const Inlet *inlet)
{
        for (size_t i = 0; i < inlet->n_listeners; i++) {
                struct pollfd waiting = { .fd = sd_event_source_get_io_fd(inlet->listeners[i]),
                                          .events = POLLIN };

                if (poll(&waiting, 1, 0) != 0)
                        return true;
        }
        return false;
}

void inlet_close(Inlet *inlet)
{
        for (size_t i = 0; i < inlet->n_listeners; i++)
                sd_event_source_disable_unref(inlet->listeners[i]);
        inlet->n_listeners = 0;
}

/* --- Time --- */

static void check_time(InletSession *session, uint64_t now)
{
        const InletOptions *options = &session->inlet->options;
        IntakeSession *intake = &session->intake;
        uint64_t heard = MAX(session->since_usec, connection_heard_usec(session->connection));

        if (!session->admitted || rests(session))
                return;
        if (intake->receiver.state == LINK_RECEIVER_EXPECTS_HELLO &&
            now - session->since_usec >= options->connect_usec) {
                session->inlet->counters.timeouts++;
                intake_session_end(intake, LINK_BYE_TIMEOUT, 0, "no HELLO came in time");
        } else if (intake->receiver.state == LINK_RECEIVER_CONNECTED &&
                   options->idle_usec != USEC_INFINITY && now > heard && now - heard >= options->idle_usec) {
                session->inlet->counters.timeouts++;
                intake_session_end(intake, LINK_BYE_TIMEOUT, 0, "the sender was silent for too long");
        }
}

void inlet_tick(Inlet *inlet)
{
        InletSession *session, *next;
        uint64_t now = monotonic_usec();

        if (inlet->full && inlet->n_sessions < inlet->options.connections_max + INLET_SURPLUS)
                rest_listeners(inlet, false);
        for (session = LIST_FIRST(&inlet->sessions); session; session = next) {
                next = LIST_NEXT(session, sessions);
                check_time(session, now);
        }
}

void inlet_review(Inlet *inlet, LinkByeCode (*judge)(InletSession *session, char **ret_why))
{
        InletSession *session, *next;

        for (session = LIST_FIRST(&inlet->sessions); session; session = next) {
                _cleanup_(freep) char *why = NULL;
                LinkByeCode code;

                next = LIST_NEXT(session, sessions);
                if (!session->admitted || session->intake.receiver.state == LINK_RECEIVER_ENDED)
                        continue;
                code = judge(session, &why);
                if (code == 0)
                        continue;
                tell_refused(session, code, why ? why : "refused");
                intake_session_end(&session->intake, code, 0, why ? why : "refused");
        }
}

void inlet_hold(Inlet *inlet, bool (*hold)(const InletSession *session))
{
        InletSession *session;

        LIST_FOREACH(session, &inlet->sessions, sessions) {
                bool held = session->admitted && hold(session);

                if (held == session->held)
                        continue;
                session->held = held;
                session->since_usec = monotonic_usec();
                if (session->intake.receiver.state != LINK_RECEIVER_ENDED)
                        connection_pause(session->connection, rests(session));
        }
}

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
        return inlet->n_sessions;
}

size_t inlet_user_connections(const Inlet *inlet, uid_t uid)
{
        const InletSession *session;
        size_t n = 0;

        LIST_FOREACH(session, &inlet->sessions, sessions) {
                uid_t peer_uid;
                gid_t gid;
                pid_t pid;

                connection_credentials(session->connection, &pid, &peer_uid, &gid);
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
        return session->connection;
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

int inlet_new(sd_event *event, const InletOptions *options, Inlet **ret)
{
        Inlet *inlet = calloc(1, sizeof *inlet);

        if (!inlet)
                return -ENOMEM;
        inlet->options = *options;
        inlet->event = event;
        *ret = inlet;
        return 0;
}

Inlet *inlet_free(Inlet *inlet)
{
        InletSession *session;

        if (!inlet)
                return NULL;
        inlet_close(inlet);
        while ((session = LIST_FIRST(&inlet->sessions)))
                session_free(session);
        free(inlet);
        return NULL;
}
