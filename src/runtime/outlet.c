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
 *
 * An accepted connection begins at CONNECTING and waits for the subscriber's HELLO as well; its end is the
 * outlet's. A peer that only reads is CONNECTED as soon as its connection is.
 */

#include "runtime/loop.h"
#include "runtime/outlet-private.h"

#include <stdio.h>
#include <sys/random.h>

#define TIMER_ACCURACY_USEC (20 * USEC_PER_MSEC)
/* Sessions that end as soon as they begin are not begun anew, or elsewhere, at once more often than this. */
#define AT_ONCE_USEC (500 * USEC_PER_MSEC)

/* --- The timer --- */

static uint64_t silence_deadline(const Outlet *outlet)
{
        uint64_t since = outlet->sender.unacked_usec;

        if (since == USEC_INFINITY || outlet->options.timeout_usec == USEC_INFINITY)
                return USEC_INFINITY;
        return MAX(since, connection_heard_usec(outlet->connection)) + outlet->options.timeout_usec;
}

void outlet_arm(Outlet *outlet)
{
        uint64_t next = USEC_INFINITY;

        if (outlet->phase == PHASE_WAITING || outlet->phase == PHASE_CONNECTING ||
            (outlet->phase == PHASE_CONNECTED && outlet->options.speech))
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

void outlet_note_trouble(Outlet *outlet, OutletTrouble trouble, const char *why)
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

        if (outlet->options.speech)
                return outlet->options.speech->pending(outlet->options.speaker);
        outlet->options.source->range(outlet->options.source, &range);
        return range.newest >= range.oldest && range.newest > outlet->acked;
}

static bool has_another(Outlet *outlet)
{
        return outlet->options.handler->another && outlet->options.handler->another(outlet);
}

/* Plans the next attempt. From one peer that cannot be reached to another there is no wait, as there is an end of
 * them; behind sessions, which may end as soon as they begin, there is. */
static void plan(Outlet *outlet)
{
        uint64_t now = monotonic_usec(), wait;
        bool another;

        if (outlet->stop) {
                outlet->phase = PHASE_STOPPED;
                return;
        }
        another = has_another(outlet);
        if (another && !outlet->welcomed) {
                wait = 0;
        } else if ((another || outlet->at_once) &&
                   now - outlet->at_once_usec >= MIN(outlet->options.backoff_min_usec, AT_ONCE_USEC)) {
                outlet->at_once_usec = now;
                wait = 0;
        } else {
                wait = jitter(outlet->backoff_usec);
                wait = MAX(wait, outlet->retry_after_usec);
                outlet->backoff_usec = MIN(outlet->backoff_usec * 2, outlet->options.backoff_max_usec);
                outlet->retry_after_usec = 0;
        }
        outlet->at_once = outlet->welcomed = false;
        outlet->deadline_usec = now + wait;
        outlet->phase = PHASE_WAITING;
        outlet_arm(outlet);
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

void outlet_over(Outlet *outlet)
{
        outlet->phase = PHASE_WAITING;
        outlet->deadline_usec = USEC_INFINITY;
        tell(outlet);
        free(TAKE_PTR(outlet->why));
        outlet->trouble = OUTLET_OK;
        outlet->told = false;
        plan(outlet);
}

void outlet_finish(Outlet *outlet)
{
        outlet->phase = PHASE_FINISHING;
        connection_finish(outlet->connection);
        if (outlet->trouble != OUTLET_OK)
                tell(outlet);
}

void outlet_end_session(Outlet *outlet, LinkByeCode code, OutletTrouble trouble, const char *why)
{
        outlet_note_trouble(outlet, trouble, why);
        if (!outlet->established) {
                outlet->connection = connection_free(outlet->connection);
                outlet_over(outlet);
                return;
        }
        if (!outlet->options.speech)
                (void) link_sender_end(&outlet->sender, connection_output(outlet->connection), code, why);
        outlet_finish(outlet);
}

/* --- Attempts --- */

static int begin_connection(Outlet *outlet, int fd, Transport *transport)
{
        int r;

        outlet->established = false;
        outlet->phase = PHASE_CONNECTING;
        outlet->deadline_usec = USEC_INFINITY; /* the connection keeps the time until it is established */
        r = connection_new(sd_event_source_get_event(outlet->timer), fd, transport, &outlet_connection_handler,
                           outlet, &outlet->connection);
        if (r >= 0)
                r = connection_start(outlet->connection, outlet->options.connect_usec);
        if (r < 0)
                outlet->connection = connection_free(outlet->connection);
        else
                outlet_arm(outlet);
        return r;
}

static void begin(Outlet *outlet, int fd, Transport *transport)
{
        int r = begin_connection(outlet, fd, transport);

        if (r >= 0)
                return;
        outlet_note_trouble(outlet, OUTLET_E_NETWORK, strerror(-r));
        outlet_over(outlet);
}

static void attempt(Outlet *outlet)
{
        _cleanup_(freep) char *why = NULL;
        Transport *transport = NULL;
        int fd = -EBADF, r;

        outlet->phase = PHASE_OPENING;
        r = outlet->options.handler->open(outlet, &fd, &transport, &why);
        if (r >= 0) {
                begin(outlet, fd, transport);
        } else if (r != -EINPROGRESS) {
                outlet_offer(outlet, -EBADF, NULL, r, why ? why : strerror(-r));
        }
}

void outlet_offer(Outlet *outlet, int fd, Transport *transport, int error, const char *why)
{
        if (outlet->phase != PHASE_OPENING) {
                transport_free(transport);
                close_fd(fd);
                return;
        }
        if (error == 0) {
                begin(outlet, fd, transport);
                return;
        }
        outlet_note_trouble(
                outlet, error == -EACCES || error == -EKEYREJECTED ? OUTLET_E_TLS : OUTLET_E_NETWORK, why);
        outlet_over(outlet);
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
                outlet_end_session(outlet, LINK_BYE_TIMEOUT, OUTLET_E_TIMEOUT,
                                   "the peer did not answer in time");
        } else if (outlet->phase == PHASE_CONNECTED && outlet->options.speech) {
                if (now >= outlet->deadline_usec)
                        outlet_look(outlet);
        } else if (outlet->phase == PHASE_CONNECTED) {
                if (now >= silence_deadline(outlet))
                        outlet_end_session(outlet, LINK_BYE_TIMEOUT, OUTLET_E_TIMEOUT,
                                           "the peer has been silent for too long");
                else
                        outlet_send(outlet);
        }
        outlet_arm(outlet);
        return 0;
}

/* --- What the owner calls --- */

void outlet_wake(Outlet *outlet)
{
        if (outlet->phase == PHASE_CONNECTED) {
                /* What waits already is first: drained() comes back. */
                if (connection_is_full(outlet->connection))
                        return;
                outlet_send(outlet);
                outlet_arm(outlet);
        } else if (outlet->phase == PHASE_DORMANT && source_has_something(outlet)) {
                outlet->phase = PHASE_WAITING;
                outlet->deadline_usec = 0;
                outlet_arm(outlet);
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
                outlet_end_session(outlet, code, OUTLET_OK, reason);
                break;
        case PHASE_FINISHING:
        case PHASE_STOPPED:
                break;
        default:
                outlet_note_trouble(outlet, OUTLET_OK, reason);
                outlet_over(outlet);
        }
}

void outlet_review(Outlet *outlet)
{
        _cleanup_(freep) char *why = NULL;

        if (outlet->phase == PHASE_WAITING) {
                outlet->deadline_usec = 0;
                outlet_arm(outlet);
        } else if (outlet->phase == PHASE_CONNECTED && outlet_judge(outlet, &why) < 0) {
                outlet_end_session(outlet, LINK_BYE_CERTIFICATE, OUTLET_E_TLS,
                                   why ? why : "certificate refused");
        }
}

bool outlet_connected(const Outlet *outlet)
{
        return outlet->phase == PHASE_CONNECTED;
}

const Connection *outlet_connection(const Outlet *outlet)
{
        return outlet->connection;
}

const LinkSender *outlet_sender(const Outlet *outlet)
{
        return &outlet->sender;
}

void *outlet_userdata(const Outlet *outlet)
{
        return outlet->options.userdata;
}

void outlet_set_source(Outlet *outlet, Source *source)
{
        outlet->sender.source = outlet->options.source = source;
}

void outlet_name_peer(Outlet *outlet, const char *name)
{
        (void) snprintf(outlet->peer, sizeof outlet->peer, "%s", name);
}

const char *outlet_peer(const Outlet *outlet)
{
        return outlet->peer;
}

static int outlet_make(sd_event *event, const OutletOptions *options, Outlet **ret)
{
        _cleanup_(outlet_freep) Outlet *outlet = calloc(1, sizeof *outlet);
        int r;

        if (!outlet)
                return -ENOMEM;
        outlet->options = *options;
        outlet->backoff_usec = options->backoff_min_usec;
        outlet->armed_usec = USEC_INFINITY;
        link_sender_init(&outlet->sender, options->source, &outlet_sender_handler, options->node,
                         options->handler->command || options->handler->reply ? LINK_FEATURE_COMMANDS : 0);
        r = sd_event_add_time(event, &outlet->timer, CLOCK_MONOTONIC, USEC_INFINITY, TIMER_ACCURACY_USEC,
                              on_timer, outlet);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(outlet->timer, "outlet");
        r = sd_event_source_set_priority(outlet->timer, LOOP_DATA);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(outlet);
        return 0;
}

int outlet_new(sd_event *event, const OutletOptions *options, Outlet **ret)
{
        int r = outlet_make(event, options, ret);

        if (r < 0)
                return r;
        (*ret)->phase = PHASE_WAITING;
        outlet_arm(*ret);
        return 0;
}

int outlet_accept(sd_event *event, const OutletOptions *options, int fd, Outlet **ret)
{
        _cleanup_(outlet_freep) Outlet *outlet = NULL;
        int r = outlet_make(event, options, &outlet);

        if (r < 0) {
                (void) close_fd(fd);
                return r;
        }
        outlet->accepted = outlet->stop = true;
        r = begin_connection(outlet, fd, NULL);
        if (r < 0)
                return r;
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
