/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A LinkSender over a connection that is made again and again.
 *
 *      DORMANT ─source has something─▶ WAITING ─deadline─▶ OPENING ─▶ CONNECTING ─WELCOME─▶ CONNECTED
 *         ▲                              ▲                    │           │                    │
 *         └───────────(idle only)────────┴──── backoff ───────┴───────────┴──── FINISHING ◀────┘
 *
 *  1. Only WELCOME resets the backoff: a peer that accepts and then refuses is not hammered.
 *  2. A session that has ended leaves by connection_finish(), so that our BYE arrives and the peer's is
 *     read; nothing new is begun before closed().
 *  3. The first cause of an end is the one that is told: what follows from it (an EOF behind a BYE) is not.
 *  4. One timer serves all phases. It is set only to earlier times and looks again when it fires, so that a
 *     batch costs no system call here.
 */

#include "runtime/outlet.h"
#include "runtime/loop.h"
#include "runtime/outlet-trouble.h"

#include <stdio.h>
#include <sys/random.h>

#define TIMER_ACCURACY_USEC (20 * USEC_PER_MSEC)

typedef enum Phase {
        PHASE_DORMANT,    /* waits for the source to have something */
        PHASE_WAITING,    /* until the deadline */
        PHASE_OPENING,    /* open() will call outlet_offer() */
        PHASE_CONNECTING, /* connect, handshake, HELLO: WELCOME before the deadline */
        PHASE_CONNECTED,
        PHASE_FINISHING, /* BYE said or heard */
        PHASE_STOPPED,
} Phase;

struct Outlet {
        OutletOptions options;
        sd_event_source *timer;
        uint64_t armed_usec;
        Phase phase;
        LinkSender sender;
        Connection *connection;
        bool established; /* this attempt's connect and handshake are done */
        uint64_t deadline_usec;
        uint64_t backoff_usec;
        uint64_t retry_after_usec; /* what the peer's BYE asked for */
        uint64_t at_once_usec;     /* last time that no backoff was kept */
        uint64_t acked;            /* last seq known to be in the peer's custody */
        OutletTrouble trouble;
        char *why;
        bool told;    /* the two */
        bool at_once; /* the next attempt waits for no backoff */
        bool stop;    /* there is no next attempt */
        char peer[OUTLET_PEER_MAX + 1];
};

/* --- The timer --- */

static uint64_t silence_deadline(const Outlet *outlet)
{
        uint64_t since = outlet->sender.unacked_usec;

        if (since == USEC_INFINITY || outlet->options.timeout_usec == USEC_INFINITY)
                return USEC_INFINITY;
        return MAX(since, connection_heard_usec(outlet->connection)) + outlet->options.timeout_usec;
}

static void arm(Outlet *outlet)
{
        uint64_t next = USEC_INFINITY;

        if (outlet->phase == PHASE_WAITING || outlet->phase == PHASE_CONNECTING)
                next = outlet->deadline_usec;
        else if (outlet->phase == PHASE_CONNECTED)
                next = MIN(link_sender_deadline(&outlet->sender), silence_deadline(outlet));
        if (next >= outlet->armed_usec)
                return;
        if (sd_event_source_set_time(outlet->timer, next) >= 0 &&
            sd_event_source_set_enabled(outlet->timer, SD_EVENT_ONESHOT) >= 0)
                outlet->armed_usec = next;
}

/* --- Ends --- */

static void note_trouble(Outlet *outlet, OutletTrouble trouble, const char *why)
{
        if (outlet->trouble != OUTLET_OK || outlet->why)
                return;
        outlet->trouble = trouble;
        outlet->why = strdup(why);
}

static uint64_t jitter(uint64_t usec)
{
        uint32_t random;

        /* Without entropy the wait is merely not spread. */
        if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
                return usec;
        return usec / 2 + (uint64_t) ((double) (usec / 2) * (random / 4294967296.0));
}

static bool source_has_something(const Outlet *outlet)
{
        SourceRange range;

        outlet->options.source->range(outlet->options.source, &range);
        return range.newest >= range.oldest && range.newest > outlet->acked;
}

/* Plans the next attempt. */
static void plan(Outlet *outlet)
{
        uint64_t now = monotonic_usec(), wait;

        if (outlet->stop) {
                outlet->phase = PHASE_STOPPED;
                return;
        }
        if (outlet->at_once && now - outlet->at_once_usec >= outlet->options.backoff_min_usec) {
                outlet->at_once_usec = now;
                wait = 0;
        } else {
                wait = jitter(outlet->backoff_usec);
                wait = MAX(wait, outlet->retry_after_usec);
                outlet->backoff_usec = MIN(outlet->backoff_usec * 2, outlet->options.backoff_max_usec);
        }
        outlet->at_once = false;
        outlet->retry_after_usec = 0;
        outlet->deadline_usec = now + wait;
        outlet->phase = PHASE_WAITING;
        arm(outlet);
}

static void tell(Outlet *outlet)
{
        if (outlet->told)
                return;
        outlet->told = true;
        if (outlet->options.handler->disconnected)
                outlet->options.handler->disconnected(outlet, outlet->trouble,
                                                      outlet->why ? outlet->why : "out of memory");
}

/* The attempt or session is over: says why, once, and plans the next. */
static void end(Outlet *outlet)
{
        outlet->phase = PHASE_WAITING;
        outlet->deadline_usec = USEC_INFINITY;
        tell(outlet);
        free(TAKE_PTR(outlet->why));
        outlet->trouble = OUTLET_OK;
        outlet->told = false;
        plan(outlet);
}

/* Sends what the machine said last and waits for the peer to close. Trouble is told at once: a peer that is
 * silent does not close either. */
static void finish(Outlet *outlet)
{
        outlet->phase = PHASE_FINISHING;
        connection_finish(outlet->connection);
        if (outlet->trouble != OUTLET_OK)
                tell(outlet);
}

static void end_session(Outlet *outlet, LinkByeCode code, OutletTrouble trouble, const char *why)
{
        note_trouble(outlet, trouble, why);
        if (!outlet->established) {
                outlet->connection = connection_free(outlet->connection);
                end(outlet);
                return;
        }
        (void) link_sender_end(&outlet->sender, connection_output(outlet->connection), code, why);
        finish(outlet);
}

/* --- The sender's handler --- */

static Outlet *outlet_of(LinkSender *sender)
{
        return container_of(sender, Outlet, sender);
}

static void on_welcomed(LinkSender *sender, const LinkWelcome *welcome)
{
        Outlet *outlet = outlet_of(sender);

        outlet->phase = PHASE_CONNECTED;
        outlet->backoff_usec = outlet->options.backoff_min_usec;
        outlet->acked = sender->acked;
        if (outlet->options.handler->connected)
                outlet->options.handler->connected(outlet, welcome);
}

static void on_acked(LinkSender *sender, uint64_t seq)
{
        Outlet *outlet = outlet_of(sender);

        outlet->acked = seq;
        if (outlet->options.handler->acked)
                outlet->options.handler->acked(outlet, seq);
}

static void on_diverged(LinkSender *sender, uint64_t peer_last)
{
        static const char why[] = "the peer knows this stream with another history";
        Outlet *outlet = outlet_of(sender);

        note_trouble(outlet, OUTLET_OK, why); /* no trouble of the connection's */
        outlet->at_once = true;
        outlet->acked = 0;
        if (outlet->options.handler->diverged)
                outlet->options.handler->diverged(outlet, peer_last);
}

static void on_receipt(LinkSender *sender, const LinkReceipt *receipt)
{
        Outlet *outlet = outlet_of(sender);

        if (outlet->options.handler->receipt)
                outlet->options.handler->receipt(outlet, receipt);
}

static void on_state(LinkSender *sender, const LinkState *state)
{
        Outlet *outlet = outlet_of(sender);

        if (outlet->options.handler->state)
                outlet->options.handler->state(outlet, state);
}

static void on_command(LinkSender *sender, const LinkCommand *command)
{
        Outlet *outlet = outlet_of(sender);

        if (outlet->options.handler->command)
                outlet->options.handler->command(outlet, command);
}

static void on_reply(LinkSender *sender, const LinkReply *reply)
{
        Outlet *outlet = outlet_of(sender);

        if (outlet->options.handler->reply)
                outlet->options.handler->reply(outlet, reply);
}

static void on_bye(LinkSender *sender, const LinkBye *bye)
{
        Outlet *outlet = outlet_of(sender);
        uint64_t retry_after = bye->retry_after_msec * USEC_PER_MSEC;
        _cleanup_(freep) char *why = NULL;

        /* The peer may slow us down, not switch us off. */
        outlet->retry_after_usec = MIN(retry_after, outlet->options.backoff_max_usec);
        why = strndup(bye->reason.data, bye->reason.size);
        note_trouble(outlet, outlet_trouble_of_bye(bye->code), why ? why : "out of memory");
}

static const LinkSenderHandler sender_handler = {
        .welcomed = on_welcomed,
        .acked = on_acked,
        .diverged = on_diverged,
        .receipt = on_receipt,
        .state = on_state,
        .command = on_command,
        .reply = on_reply,
        .bye = on_bye,
};

/* --- The connection's handler --- */

/* Puts what may be sent into the output. Returns false when the session ended over it. */
static bool fill(Outlet *outlet)
{
        int r = link_sender_fill(&outlet->sender, connection_output(outlet->connection), monotonic_usec());
        char why[128];

        if (r >= 0)
                return true;
        (void) snprintf(why, sizeof why, "the sender cannot read its own buffer: %s", strerror(-r));
        end_session(outlet, LINK_BYE_INTERNAL, OUTLET_E_SOURCE, why);
        return false;
}

static int on_established(Connection *connection)
{
        Outlet *outlet = connection_userdata(connection);
        TlsSession *tls = connection_tls(connection);
        _cleanup_(freep) char *why = NULL;

        outlet->established = true;
        outlet->deadline_usec = monotonic_usec() + outlet->options.connect_usec;
        arm(outlet);
        outlet_name_peer(outlet, connection_peer(connection));
        if (tls && outlet->options.tls) {
                int r = tls_session_judge(tls, *outlet->options.tls, &why);

                if (r < 0) {
                        note_trouble(outlet, OUTLET_E_TLS, why ? why : strerror(-r));
                        return r;
                }
        }
        return link_sender_start(&outlet->sender, connection_output(connection), monotonic_usec());
}

/* A feed failed; a BYE that says so is in the output. */
static void note_failure(Outlet *outlet, int error)
{
        const char *why = outlet->sender.why;

        if (error == -EBADMSG)
                note_trouble(outlet, OUTLET_E_PROTOCOL, why ? why : "bad framing");
        else if (error == -EPROTONOSUPPORT)
                note_trouble(outlet, OUTLET_E_REFUSED, why ? why : "no common version");
        else
                note_trouble(outlet, OUTLET_E_SOURCE, strerror(-error));
}

static int on_received(Connection *connection, Buffer *input)
{
        Outlet *outlet = connection_userdata(connection);
        ssize_t n;

        if (outlet->phase != PHASE_CONNECTING && outlet->phase != PHASE_CONNECTED) {
                buffer_consume(input, buffer_size(input));
                return 0;
        }
        n = link_sender_feed(&outlet->sender, buffer_head(input), buffer_size(input),
                             connection_output(connection), monotonic_usec());
        if (n < 0)
                note_failure(outlet, (int) n);
        else
                buffer_consume(input, (size_t) n);
        if (outlet->phase == PHASE_FINISHING)
                return 0;
        if (n < 0 || outlet->sender.state == LINK_SENDER_ENDED) {
                finish(outlet);
                return 0;
        }
        if (outlet->phase == PHASE_CONNECTED && fill(outlet)) {
                connection_flush(connection);
                arm(outlet);
        }
        return 0;
}

static int on_drained(Connection *connection, Buffer *output)
{
        Outlet *outlet = connection_userdata(connection);

        if (outlet->phase == PHASE_CONNECTED && fill(outlet))
                arm(outlet);
        return 0;
}

static void on_closed(Connection *connection, int error, const char *why)
{
        Outlet *outlet = connection_userdata(connection);
        OutletTrouble trouble = outlet_trouble_of_error(error, connection_tls(connection));
        bool silent;

        if (!why)
                why = error == 0 ? "the peer closed the connection" : strerror(-error);
        silent = !outlet->established && outlet->trouble == OUTLET_OK && trouble != OUTLET_E_TLS;
        note_trouble(outlet, trouble, why);
        outlet->connection = connection_free(connection);
        if (silent && !outlet->stop && outlet->options.handler->another &&
            outlet->options.handler->another(outlet)) {
                free(TAKE_PTR(outlet->why));
                outlet->trouble = OUTLET_OK;
                outlet->phase = PHASE_WAITING;
                outlet->deadline_usec = 0;
                arm(outlet);
                return;
        }
        end(outlet);
}

static const ConnectionHandler connection_handler = {
        .established = on_established,
        .received = on_received,
        .drained = on_drained,
        .closed = on_closed,
};

/* --- Attempts --- */

static void begin(Outlet *outlet, int fd, TlsSession *tls)
{
        int r;

        outlet->established = false;
        outlet->phase = PHASE_CONNECTING;
        outlet->deadline_usec = USEC_INFINITY; /* the connection keeps the time until it is established */
        r = connection_new(sd_event_source_get_event(outlet->timer), fd, tls, &connection_handler, outlet,
                           &outlet->connection);
        if (r >= 0)
                r = connection_start(outlet->connection, outlet->options.connect_usec);
        if (r < 0) {
                outlet->connection = connection_free(outlet->connection);
                note_trouble(outlet, OUTLET_E_NETWORK, strerror(-r));
                end(outlet);
                return;
        }
        arm(outlet);
}

static void attempt(Outlet *outlet)
{
        _cleanup_(freep) char *why = NULL;
        TlsSession *tls = NULL;
        int fd = -EBADF, r;

        outlet->phase = PHASE_OPENING;
        r = outlet->options.handler->open(outlet, &fd, &tls, &why);
        if (r >= 0) {
                begin(outlet, fd, tls);
        } else if (r != -EINPROGRESS) {
                outlet_offer(outlet, -EBADF, NULL, r, why ? why : strerror(-r));
        }
}

void outlet_offer(Outlet *outlet, int fd, TlsSession *tls, int error, const char *why)
{
        if (outlet->phase != PHASE_OPENING) {
                tls_session_free(tls);
                close_fd(fd);
                return;
        }
        if (error == 0) {
                begin(outlet, fd, tls);
                return;
        }
        note_trouble(outlet, error == -EACCES || error == -EKEYREJECTED ? OUTLET_E_TLS : OUTLET_E_NETWORK,
                     why);
        end(outlet);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Outlet *outlet = userdata;
        uint64_t now = monotonic_usec();

        outlet->armed_usec = USEC_INFINITY;
        if (outlet->phase == PHASE_WAITING && now >= outlet->deadline_usec) {
                if (outlet->options.idle && !source_has_something(outlet))
                        outlet->phase = PHASE_DORMANT;
                else
                        attempt(outlet);
        } else if (outlet->phase == PHASE_CONNECTING && now >= outlet->deadline_usec) {
                end_session(outlet, LINK_BYE_TIMEOUT, OUTLET_E_TIMEOUT, "the peer did not answer in time");
        } else if (outlet->phase == PHASE_CONNECTED) {
                if (now >= silence_deadline(outlet))
                        end_session(outlet, LINK_BYE_TIMEOUT, OUTLET_E_TIMEOUT,
                                    "the peer has been silent for too long");
                else if (fill(outlet))
                        connection_flush(outlet->connection);
        }
        arm(outlet);
        return 0;
}

/* --- What the owner calls --- */

void outlet_wake(Outlet *outlet)
{
        if (outlet->phase == PHASE_CONNECTED) {
                /* A full output comes back by itself, with drained(). */
                if (buffer_size(connection_output(outlet->connection)) >= LINK_OUTPUT_TARGET)
                        return;
                if (fill(outlet))
                        connection_flush(outlet->connection);
                arm(outlet);
        } else if (outlet->phase == PHASE_DORMANT && source_has_something(outlet)) {
                outlet->phase = PHASE_WAITING;
                outlet->deadline_usec = 0;
                arm(outlet);
        }
}

bool outlet_commands(const Outlet *outlet)
{
        return outlet->phase == PHASE_CONNECTED && link_sender_commands(&outlet->sender);
}

int outlet_command(Outlet *outlet, const LinkCommand *command)
{
        int r = -ENOTCONN;

        if (outlet_commands(outlet))
                r = frame_put_command(connection_output(outlet->connection), command);
        if (r >= 0)
                connection_flush(outlet->connection);
        return r;
}

int outlet_reply(Outlet *outlet, const LinkReply *reply)
{
        int r = -ENOTCONN;

        if (outlet_commands(outlet))
                r = frame_put_reply(connection_output(outlet->connection), reply);
        if (r >= 0)
                connection_flush(outlet->connection);
        return r;
}

void outlet_end(Outlet *outlet, LinkByeCode code, const char *reason, bool reconnect)
{
        outlet->at_once = reconnect;
        outlet->stop = !reconnect;
        switch (outlet->phase) {
        case PHASE_CONNECTING:
        case PHASE_CONNECTED:
                end_session(outlet, code, OUTLET_OK, reason);
                break;
        case PHASE_FINISHING:
        case PHASE_STOPPED:
                break;
        default:
                note_trouble(outlet, OUTLET_OK, reason);
                end(outlet);
        }
}

void outlet_review(Outlet *outlet)
{
        _cleanup_(freep) char *why = NULL;

        if (outlet->phase == PHASE_WAITING) {
                outlet->deadline_usec = 0;
                arm(outlet);
        } else if (outlet->phase == PHASE_CONNECTED && outlet->options.tls &&
                   connection_tls(outlet->connection) &&
                   tls_session_judge(connection_tls(outlet->connection), *outlet->options.tls, &why) < 0) {
                end_session(outlet, LINK_BYE_CERTIFICATE, OUTLET_E_TLS, why ? why : "certificate refused");
        }
}

bool outlet_connected(const Outlet *outlet)
{
        return outlet->phase == PHASE_CONNECTED;
}

const LinkSender *outlet_sender(const Outlet *outlet)
{
        return &outlet->sender;
}

void *outlet_userdata(const Outlet *outlet)
{
        return outlet->options.userdata;
}

void outlet_name_peer(Outlet *outlet, const char *name)
{
        (void) snprintf(outlet->peer, sizeof outlet->peer, "%s", name);
}

const char *outlet_peer(const Outlet *outlet)
{
        return outlet->peer;
}

int outlet_new(sd_event *event, const OutletOptions *options, Outlet **ret)
{
        _cleanup_(outlet_freep) Outlet *outlet = calloc(1, sizeof *outlet);
        int r;

        if (!outlet)
                return -ENOMEM;
        outlet->options = *options;
        outlet->backoff_usec = options->backoff_min_usec;
        outlet->armed_usec = USEC_INFINITY;
        link_sender_init(&outlet->sender, options->source, &sender_handler, options->node,
                         options->handler->command || options->handler->reply ? LINK_FEATURE_COMMANDS : 0);
        r = sd_event_add_time(event, &outlet->timer, CLOCK_MONOTONIC, USEC_INFINITY, TIMER_ACCURACY_USEC,
                              on_timer, outlet);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(outlet->timer, "outlet");
        r = sd_event_source_set_priority(outlet->timer, LOOP_DATA);
        if (r < 0)
                return r;
        outlet->phase = PHASE_WAITING;
        arm(outlet);
        *ret = TAKE_PTR(outlet);
        return 0;
}

Outlet *outlet_free(Outlet *outlet)
{
        if (!outlet)
                return NULL;
        connection_free(outlet->connection);
        link_sender_done(&outlet->sender);
        if (outlet->timer)
                sd_event_source_disable_unref(outlet->timer);
        free(outlet->why);
        free(outlet);
        return NULL;
}
