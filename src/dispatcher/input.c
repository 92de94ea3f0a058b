/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Producers connect to one socket and say by their first two bytes which way they take: the link's magic,
 * text, or the greeting of auditd's plugin. The bytes are looked at and left in the socket; then the
 * connection is an inlet's session, one of plain lines, or handed to the reader of auditd.
 *
 *  1. Back-pressure is not reading, for plain producers, and no credit for the others; what they hold is
 *     theirs to lose. Nothing of this touches the kernel's socket.
 *  2. Whatever a producer sends harms nobody but itself. Its user's connections, bytes a second and share of the
 *     ring are bounded (quota.h), and so are the types: kernel records come from the kernel.
 */

#include "dispatcher/input-private.h"
#include "basic/bytes.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#define ACCEPTS_PER_TURN 16U
/* So often those who wait for their rate are looked at. */
#define REFILL_USEC (100 * USEC_PER_MSEC)

typedef struct Producer {
        Input *input;
        sd_event_source *first; /* until its first bytes are there; owns the socket */
        Connection *connection; /* afterwards, of a plain one */
        bool paused;
        uid_t uid;
        Lines lines;
        LIST_ENTRY(Producer) producers;
} Producer;

static void producer_pause(Producer *producer, bool pause)
{
        if (!producer->connection || producer->paused == pause)
                return;
        producer->paused = pause;
        connection_pause(producer->connection, pause);
}

/* --- Quotas --- */

bool input_is_remote(const Input *input, uid_t uid)
{
        for (size_t i = 0; i < input->options.n_remote; i++)
                if (input->options.remote[i] == uid)
                        return true;
        return false;
}

/* Who is read now? What the ring says of all sessions of the link, the intake does. */
static void apply_holds(Input *input)
{
        Producer *producer;

        LIST_FOREACH(producer, &input->producers, producers)
                producer_pause(producer, input->held || quota_exhausted(&input->quota, producer->uid));
        input_link_hold(input);
}

static void watch_refill(Input *input)
{
        if (!quota_any_exhausted(&input->quota))
                return;
        (void) sd_event_source_set_time_relative(input->refill, REFILL_USEC);
        (void) sd_event_source_set_enabled(input->refill, SD_EVENT_ONESHOT);
}

static int on_refill(sd_event_source *source, uint64_t usec, void *userdata)
{
        Input *input = userdata;

        quota_refill(&input->quota, monotonic_usec());
        apply_holds(input);
        watch_refill(input);
        return 0;
}

void input_charge(Input *input, uid_t uid, uint64_t bytes)
{
        bool before = quota_exhausted(&input->quota, uid);

        if (input_is_remote(input, uid))
                return;
        quota_charge(&input->quota, uid, bytes);
        if (before || !quota_exhausted(&input->quota, uid))
                return;
        input->waited++;
        apply_holds(input);
        watch_refill(input);
}

static bool trusts(const Input *input, uid_t uid)
{
        return quota_trusts(&input->quota, uid) || input_is_remote(input, uid);
}

const RecordFilter *input_types(const Input *input, uid_t uid)
{
        return trusts(input, uid) ? NULL : input->options.types;
}

static void producer_free(Producer *producer)
{
        lines_end(&producer->lines);
        LIST_REMOVE(producer, producers);
        producer->input->n_producers--;
        sd_event_source_disable_unref(producer->first);
        connection_free(producer->connection);
        free(producer);
}

/* --- Plain lines --- */

static int on_established(Connection *connection)
{
        return 0;
}

static int on_lines(Connection *connection, Buffer *buffer)
{
        Producer *producer = connection_userdata(connection);
        Input *input = producer->input;
        uint64_t batches = input->lines.batches, bytes = input->lines.bytes;

        if (lines_take(&producer->lines, input->options.ring, buffer) == 0)
                producer_pause(producer, true);
        if (input->lines.batches > batches)
                input->options.published(input->options.userdata);
        input_charge(input, producer->uid, input->lines.bytes - bytes);
        return 0;
}

static void on_closed(Connection *connection, int error, const char *why)
{
        Producer *producer = connection_userdata(connection);

        if (error != 0)
                log_message(LOG_INFO, MESSAGE_ID_PEER_DISCONNECTED, NULL, "Lost the producer %s: %s",
                            connection_peer(connection), why);
        producer_free(producer);
}

static const ConnectionHandler lines_handler = {
        .established = on_established,
        .received = on_lines,
        .closed = on_closed,
};

static int producer_begin_lines(Producer *producer, int fd)
{
        Input *input = producer->input;
        int r;

        r = connection_new(input->options.event, fd, NULL, &lines_handler, producer, &producer->connection);
        if (r < 0)
                return r;
        r = connection_start(producer->connection, USEC_INFINITY);
        if (r < 0)
                return r;
        producer->lines = (Lines) {
                .counters = &input->lines,
                .peer = connection_peer(producer->connection),
                .types = input_types(input, producer->uid),
        };
        producer_pause(producer, input->held || quota_exhausted(&input->quota, producer->uid));
        return 0;
}

/* --- First bytes --- */

static int turn_away(Input *input, int error)
{
        if (log_limit(&input->logged_usec, INPUT_LOG_INTERVAL_USEC))
                log_warning("Turned a producer away: %s", strerror(-error));
        return 0;
}

/* Edge-triggered: a single byte of the magic waits for the next one without turning the loop. */
static int on_first(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        Producer *producer = userdata;
        Input *input = producer->input;
        uint8_t bytes[2], magic[2];
        ssize_t n = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
        int r;

        put_le16(magic, LINK_MAGIC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                producer_free(producer);
                return 0;
        }
        if (n == 1 && bytes[0] == magic[0] && !(events & (EPOLLHUP | EPOLLRDHUP)))
                return 0;

        (void) sd_event_source_set_io_fd_own(source, false);
        producer->first = sd_event_source_disable_unref(producer->first);
        if (n == sizeof bytes && memcmp(bytes, AUDITD_GREETING, sizeof bytes) == 0) {
                producer_free(producer);
                auditd_take_plugin(input->options.auditd, fd);
                return 0;
        }
        if (n == sizeof bytes && memcmp(bytes, magic, sizeof magic) == 0) {
                producer_free(producer);
                r = acceptor_take(inlet_acceptor(input->inlet), fd);
                return r < 0 ? turn_away(input, r) : 0;
        }
        r = producer_begin_lines(producer, fd);
        if (r >= 0)
                return 0;
        producer_free(producer);
        return turn_away(input, r);
}

/* Returns 0, or -EUSERS when the user, or all together, have enough. */
static int admit_user(Input *input, int fd, uid_t *ret_uid)
{
        struct ucred peer;
        socklen_t size = sizeof peer;
        uint64_t own = 0;
        const Producer *producer;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return -errno;
        *ret_uid = peer.uid;
        LIST_FOREACH(producer, &input->producers, producers)
                own += producer->uid == peer.uid;
        own += inlet_user_connections(input->inlet, peer.uid);
        if (quota_admits(&input->quota, peer.uid, own, input->n_producers + inlet_connections(input->inlet)))
                return 0;
        input->turned_away++;
        return -EUSERS;
}

static int producer_new(Input *input, int fd)
{
        Producer *producer = NULL;
        uid_t uid;
        int r = admit_user(input, fd, &uid);

        if (r >= 0) {
                producer = calloc(1, sizeof *producer);
                r = -ENOMEM;
        }
        if (producer)
                r = sd_event_add_io(input->options.event, &producer->first, fd,
                                    EPOLLIN | EPOLLRDHUP | EPOLLET, on_first, producer);
        if (r < 0) {
                (void) close_fd(fd);
                free(producer);
                return r;
        }
        producer->input = input;
        producer->uid = uid;
        LIST_INSERT_HEAD(&input->producers, producer, producers);
        input->n_producers++;
        (void) sd_event_source_set_io_fd_own(producer->first, true);
        r = sd_event_source_set_priority(producer->first, LOOP_DATA);
        if (r < 0)
                producer_free(producer);
        return r;
}

static void accept_failed(Input *input, int error)
{
        if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
                return;
        /* The connection stays in the queue; trying again at once would turn the loop in vain. */
        input->resting = true;
        (void) sd_event_source_set_enabled(input->source, SD_EVENT_OFF);
        if (log_limit(&input->logged_usec, INPUT_LOG_INTERVAL_USEC))
                log_error("Cannot accept a producer: %s", strerror(error));
}

static int on_accept(sd_event_source *source, int listener, uint32_t events, void *userdata)
{
        Input *input = userdata;

        for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), r;

                if (fd < 0) {
                        accept_failed(input, errno);
                        break;
                }
                r = producer_new(input, fd);
                if (r < 0)
                        (void) turn_away(input, r);
        }
        return 0;
}

/* --- What the dispatcher calls --- */

void input_hold(Input *input, bool hold)
{
        if (input->held == hold)
                return;
        input->held = hold;
        intake_hold(input->intake, hold);
        if (hold)
                apply_holds(input);
        else
                input_retry(input);
}

void input_press(Input *input, bool pressure)
{
        if (input->quota.pressure == pressure)
                return;
        quota_press(&input->quota, pressure);
        apply_holds(input);
}

void input_retry(Input *input)
{
        if (input->held)
                return;
        apply_holds(input);
        intake_retry(input->intake);
}

void input_stop(Input *input)
{
        input->stopped = true;
        (void) sd_event_source_set_enabled(input->source, SD_EVENT_OFF);
        intake_stop(input->intake);
        intake_end_all(input->intake, LINK_BYE_ENDING, 0, "the dispatcher is stopping");
}

void input_tick(Input *input)
{
        if (input->resting && !input->stopped) {
                input->resting = false;
                (void) sd_event_source_set_enabled(input->source, SD_EVENT_ON);
        }
        quota_refill(&input->quota, monotonic_usec());
        intake_remind(input->intake);
        inlet_tick(input->inlet);
}

void input_counters(const Input *input, InputCounters *ret)
{
        const IntakeCounters *intake = intake_counters(input->intake);
        const InletCounters *inlet = inlet_counters(input->inlet);

        *ret = (InputCounters) {
                .connections = input->n_producers + inlet_connections(input->inlet),
                .turned_away = input->turned_away,
                .waited = input->waited,
                .violations = inlet->violations,
                .plain_records = input->lines.records,
                .plain_batches = input->lines.batches,
                .link_records = intake->records,
                .link_batches = intake->batches,
                .came_back = input->foreign.came_back,
        };
        memcpy(ret->refused, input->lines.refused, sizeof ret->refused);
}

static int add_refill(Input *input)
{
        int r = sd_event_add_time_relative(input->options.event, &input->refill, CLOCK_MONOTONIC, 0, 0, on_refill, input);

        if (r >= 0)
                r = sd_event_source_set_priority(input->refill, LOOP_DATA);
        return r >= 0 ? sd_event_source_set_enabled(input->refill, SD_EVENT_OFF) : r;
}

int input_new(const InputOptions *options, Input **ret)
{
        _cleanup_(input_freep) Input *input = calloc(1, sizeof *input);
        int r = -ENOMEM;

        if (input) {
                input->options = *options;
                input->peers.commands = options->commands;
                quota_init(&input->quota, &options->quota, monotonic_usec());
                r = sd_event_add_io(options->event, &input->source, options->fd, EPOLLIN, on_accept, input);
        }
        if (r < 0) {
                (void) close_fd(options->fd);
                return r;
        }
        (void) sd_event_source_set_description(input->source, "input");
        r = sd_event_source_set_io_fd_own(input->source, true);
        if (r >= 0)
                r = sd_event_source_set_priority(input->source, LOOP_DATA);
        if (r >= 0)
                r = input_link_new(input);
        if (r >= 0)
                r = add_refill(input);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(input);
        return 0;
}

Input *input_free(Input *input)
{
        Producer *producer;

        if (!input)
                return NULL;
        while ((producer = LIST_FIRST(&input->producers)))
                producer_free(producer);
        inlet_free(input->inlet);
        intake_free(input->intake);
        sd_event_source_disable_unref(input->refill);
        sd_event_source_disable_unref(input->source);
        free(input);
        return NULL;
}
