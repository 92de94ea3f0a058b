/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Owns loop, ring, inputs and subscribers, and knows how they act on each other: what was published wakes
 * the subscribers, what was acked makes room, and little room holds the producers, who can wait, for the
 * sake of the kernel, which cannot.
 *
 *  1. What landed in the ring before a crash is published before anything else is written to it.
 *  2. Nothing is sealed and left unpublished when a function here returns to the loop.
 *  3. Producers are held from PRODUCERS_HOLD on, which is ordinary flow control: the rest of the ring is the
 *     kernel's.
 */

#include "dispatcher/dispatcher.h"
#include "dispatcher/gap.h"
#include "dispatcher/input.h"
#include "dispatcher/kernel-register.h"
#include "dispatcher/pull.h"
#include "dispatcher/report.h"
#include "runtime/listen.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>

/* Of the ring's bytes held by an awaited subscriber: where producers are held and let go, where ring_low
 * begins and ends. */
#define PRODUCERS_HOLD(size) ((size) / 4)
#define PRODUCERS_GO(size) ((size) / 8)
/* Of what is between these, what one user's producers may add. */
#define USER_SHARE(size) ((size) / 32)
#define RING_LOW(size) ((size) / 4 * 3)
#define RING_LOW_END(size) ((size) / 2)
/* Producers held for so long are not merely faster than a subscriber: ring_low says so. */
#define HELD_TICKS 10U
/* Without a further drop for so long, what was dropped is told out of the reserve, also when the ring is
 * still full. */
#define DROP_QUIET_TICKS 5U

struct Dispatcher {
        DispatcherConfig config;
        Loop *loop;
        State *state;
        Ring *ring;
        Kernel *kernel; /* NULL: not read */
        Auditd *auditd;
        Input *input;   /* NULL: no socket */
        Commands *commands;
        Subscribers *subscribers;
        Pull *pull;
        sd_event_source *idle; /* while draining: nothing is left to be read */
        bool own_kernel;       /* the socket ends with us */
        bool drained;
        bool held; /* producers are */
        unsigned held_ticks;
        unsigned drop_ticks;
};

/* --- Room --- */

static void raise_low(Dispatcher *dispatcher, const RingStatus *status, const char *reason)
{
        char keys[64];

        if (state_holds(dispatcher->state, "ring_low"))
                return;
        (void) snprintf(keys, sizeof keys, "USED=%" PRIu64 "\nSIZE=%" PRIu64, status->used, status->size);
        state_raise(dispatcher->state, "ring_low", reason, keys);
}

static void hold_producers(Dispatcher *dispatcher, bool hold)
{
        if (hold == dispatcher->held)
                return;
        dispatcher->held = hold;
        dispatcher->held_ticks = 0;
        if (dispatcher->input)
                input_hold(dispatcher->input, hold);
}

/* Room was taken or made: who may write? */
static void check_room(Dispatcher *dispatcher)
{
        RingStatus status;

        ring_status(dispatcher->ring, &status);
        if (status.used >= PRODUCERS_HOLD(status.size))
                hold_producers(dispatcher, true);
        else if (status.used <= PRODUCERS_GO(status.size))
                hold_producers(dispatcher, false);
        if (dispatcher->input)
                input_press(dispatcher->input, status.used > PRODUCERS_GO(status.size));
        if (status.used >= RING_LOW(status.size))
                raise_low(dispatcher, &status, "A subscriber the ring waits for is far behind");
        else if (dispatcher->held && dispatcher->held_ticks >= HELD_TICKS)
                raise_low(dispatcher, &status,
                          "A subscriber the ring waits for is far behind: producers are held");
        else if (status.used <= RING_LOW_END(status.size) && !dispatcher->held)
                state_clear(dispatcher->state, "ring_low");
        if (status.used <= RING_LOW_END(status.size) && ring_state(dispatcher->ring)->dropped == 0)
                state_clear(dispatcher->state, "ring_full");
}

static void on_published(void *userdata)
{
        Dispatcher *dispatcher = userdata;

        if (dispatcher->subscribers)
                subscribers_wake(dispatcher->subscribers);
        if (dispatcher->pull)
                pull_wake(dispatcher->pull);
        check_room(dispatcher);
}

static void finish_if_drained(Dispatcher *dispatcher)
{
        if (dispatcher->drained && !subscribers_pending(dispatcher->subscribers) &&
            subscribers_end(dispatcher->subscribers))
                loop_exit(dispatcher->loop, EXIT_SUCCESS);
}

static void on_acked(void *userdata)
{
        Dispatcher *dispatcher = userdata;

        check_room(dispatcher);
        if (dispatcher->input)
                input_retry(dispatcher->input);
        finish_if_drained(dispatcher);
}

/* Kernel records found no room. */
static void on_dropped(uint64_t n, void *userdata)
{
        Dispatcher *dispatcher = userdata;
        const RingState *state = ring_state(dispatcher->ring);
        char keys[96];

        dispatcher->drop_ticks = 0;
        (void) snprintf(keys, sizeof keys, "DROPPED=%" PRIu64 "\nDROPPED_TOTAL=%" PRIu64, state->dropped,
                        state->dropped_total);
        state_raise(dispatcher->state, "ring_full",
                    "The ring is full: kernel records are dropped, and counted", keys);
}

/* Out of the reserve if need be. Where records go on, the one that comes first tells it (see writer.c). */
static void tell_dropped(Dispatcher *dispatcher)
{
        uint64_t n = ring_state(dispatcher->ring)->dropped;

        if (n == 0 || !gap_write_dropped(dispatcher->ring, true))
                return;
        ring_publish(dispatcher->ring);
        log_message(LOG_WARNING, MESSAGE_ID_GAP, NULL,
                    "%" PRIu64 " kernel records were dropped because the ring was full", n);
        on_published(dispatcher);
}

/* --- The loop's handler --- */

static void on_tick(void *userdata)
{
        Dispatcher *dispatcher = userdata;
        Report report = {
                .state = dispatcher->state,
                .ring = dispatcher->ring,
                .kernel = dispatcher->kernel,
                .auditd = dispatcher->auditd,
                .input = dispatcher->input,
                .subscribers = dispatcher->subscribers,
                .pull = dispatcher->pull,
                .commands = dispatcher->commands,
        };

        if (dispatcher->kernel)
                kernel_tick(dispatcher->kernel);
        else
                auditd_tick(dispatcher->auditd);
        if (dispatcher->input)
                input_tick(dispatcher->input);
        subscribers_tick(dispatcher->subscribers);
        pull_tick(dispatcher->pull);
        commands_tick(dispatcher->commands);
        if (++dispatcher->drop_ticks >= DROP_QUIET_TICKS)
                tell_dropped(dispatcher);
        dispatcher->held_ticks++;
        check_room(dispatcher);
        report_write(&report);
}

/* Of dispatcher.conf that alone counts at once. */
static void reload_policy(Dispatcher *dispatcher)
{
        DispatcherConfig config;

        if (dispatcher_config_load(dispatcher->config.path, &config) < 0) {
                log_error("dispatcher.conf is wrong, see above: who may send commands stays as it was");
                return;
        }
        commands_set_policy(dispatcher->commands, &config.commands);
        dispatcher_config_done(&config);
}

static void on_reload(void *userdata)
{
        Dispatcher *dispatcher = userdata;

        reload_policy(dispatcher);
        if (subscribers_load(dispatcher->subscribers) < 0)
                log_error("Not all of subscribers.d could be used; see the messages above");
        else
                log_message(LOG_INFO, MESSAGE_ID_RELOADED, NULL, "Read subscribers.d and Commands= again");
        subscribers_wake(dispatcher->subscribers);
}

static int on_idle(sd_event_source *source, void *userdata)
{
        Dispatcher *dispatcher = userdata;

        if (dispatcher->kernel && dispatcher->own_kernel)
                kernel_stop(dispatcher->kernel, true);
        dispatcher->input = input_free(dispatcher->input);
        tell_dropped(dispatcher);
        dispatcher->drained = true;
        finish_if_drained(dispatcher);
        return 0;
}

/* What producers have written is read to its end; subscribers that are connected may ack it. The kernel's
 * socket is PID 1's, or auditd's its plugin's, and keeps what comes for the next dispatcher; our own ends with
 * us and is read first. */
static void on_terminate(void *userdata)
{
        Dispatcher *dispatcher = userdata;
        int r;

        if (dispatcher->input)
                input_stop(dispatcher->input);
        pull_stop(dispatcher->pull);
        if (dispatcher->kernel && !dispatcher->own_kernel)
                kernel_stop(dispatcher->kernel, false);
        auditd_stop(dispatcher->auditd);
        r = sd_event_add_defer(loop_event(dispatcher->loop), &dispatcher->idle, on_idle, dispatcher);
        if (r >= 0)
                r = sd_event_source_set_priority(dispatcher->idle, LOOP_EXIT_IDLE);
        if (r < 0)
                loop_exit(dispatcher->loop, EXIT_SUCCESS);
}

static const LoopHandler loop_handler = {
        .terminate = on_terminate,
        .reload = on_reload,
        .tick = on_tick,
};

/* --- Beginning --- */

static int open_ring(Dispatcher *dispatcher)
{
        RingOptions options = {
                .path = dispatcher->config.ring_file,
                .size = dispatcher->config.ring_size,
                .node = dispatcher->config.node,
        };
        unsigned recovered;
        bool created;
        int r;

        if (getrandom(&options.stream, sizeof options.stream, 0) != sizeof options.stream)
                return -errno;
        r = ring_open(&options, &dispatcher->ring, &created);
        if (r < 0) {
                log_error("%s: %s", options.path, r == -EBUSY ? "another dispatcher has it" : strerror(-r));
                return r;
        }
        if (!created && strcmp(ring_node(dispatcher->ring), options.node) != 0)
                log_warning("The ring goes on as node %s: a new Node= (%s) counts when %s is removed",
                            ring_node(dispatcher->ring), options.node, options.path);
        recovered = kernel_recover(dispatcher->ring);
        if (recovered > 0)
                log_notice("Took %u kernel messages over from the dispatcher before", recovered);
        return 0;
}

/* What was in a ring that cannot be used any more is lost: said as the first record of the new one. */
static int tell_set_aside(Dispatcher *dispatcher)
{
        const char *why = ring_set_aside(dispatcher->ring);

        if (!why)
                return 0;
        log_message(LOG_ERR, MESSAGE_ID_GAP, NULL,
                    "%s was no usable ring (%s) and is set aside; what it held is lost",
                    dispatcher->config.ring_file, why);
        if (!gap_write_damaged(dispatcher->ring))
                return -ENOBUFS;
        ring_publish(dispatcher->ring);
        return 0;
}

/* The socket that was handed in, or our own. Returns fd, -ENOENT when there is to be none, or another
 * negative errno. */
static int take_kernel_socket(Dispatcher *dispatcher, ListenFds *fds)
{
        int fd = listen_fds_take(fds, "kernel", AF_NETLINK);

        if (fd == -ENOENT)
                fd = listen_fds_take(fds, "multicast", AF_UNSPEC);
        if (fd >= 0 && dispatcher->config.kernel == KERNEL_NONE) {
                log_warning("A kernel socket was handed in, but the configuration says Kernel=none");
                (void) close_fd(fd);
                fd = -ENOENT;
        }
        if (fd != -ENOENT || dispatcher->config.kernel == KERNEL_NONE ||
            dispatcher->config.kernel == KERNEL_AUTO)
                return fd;
        fd = kernel_socket_open(dispatcher->config.kernel == KERNEL_MULTICAST,
                                dispatcher->config.receive_buffer);
        dispatcher->own_kernel = true;
        if (fd < 0)
                log_error("Cannot open the kernel's audit socket: %s", strerror(-fd));
        return fd;
}

static int add_kernel(Dispatcher *dispatcher, ListenFds *fds)
{
        KernelOptions options = {
                .event = loop_event(dispatcher->loop),
                .ring = dispatcher->ring,
                .state = dispatcher->state,
                .published = on_published,
                .dropped = on_dropped,
                .userdata = dispatcher,
        };
        int r;

        options.fd = take_kernel_socket(dispatcher, fds);
        if (options.fd == -ENOENT)
                return 0;
        if (options.fd < 0)
                return options.fd;
        r = kernel_new(&options, &dispatcher->kernel);
        if (r < 0)
                log_error("Cannot read the kernel's audit socket: %s", strerror(-r));
        return r;
}

/* Its plugin may come at any time; a socket of its may also be handed in. */
static int add_auditd(Dispatcher *dispatcher, ListenFds *fds)
{
        AuditdOptions options = {
                .event = loop_event(dispatcher->loop),
                .ring = dispatcher->ring,
                .state = dispatcher->state,
                .published = on_published,
                .dropped = on_dropped,
                .userdata = dispatcher,
        };
        int r = auditd_new(&options, &dispatcher->auditd), fd;

        if (r < 0)
                return r;
        if (dispatcher->kernel) {
                auditd_refuse(dispatcher->auditd, "the dispatcher reads the kernel itself");
                return 0;
        }
        fd = listen_fds_take(fds, "auditd", AF_UNSPEC);
        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        r = auditd_take_socket(dispatcher->auditd, fd);
        if (r < 0)
                log_error("Cannot read the socket of auditd that was handed in: %s", strerror(-r));
        return r;
}

static int add_input(Dispatcher *dispatcher, ListenFds *fds)
{
        InputOptions options = {
                .event = loop_event(dispatcher->loop),
                .ring = dispatcher->ring,
                .commands = dispatcher->commands,
                .auditd = dispatcher->auditd,
                .types = dispatcher->config.producer_filter,
                .quota = {
                        .connections_max = dispatcher->config.producers_max,
                        .user_connections_max = dispatcher->config.user_producers_max,
                        .rate = dispatcher->config.producer_rate,
                        .trusted = dispatcher->config.trusted_uids,
                        .n_trusted = dispatcher->config.n_trusted,
                },
                .remote = dispatcher->config.remote_uids,
                .n_remote = dispatcher->config.n_remote,
                .published = on_published,
                .userdata = dispatcher,
        };
        RingStatus status;
        int r;

        ring_status(dispatcher->ring, &status);
        ring_limit_sink(dispatcher->ring, PRODUCERS_HOLD(status.size));
        options.quota.share = USER_SHARE(status.size);
        options.fd = listen_fds_take(fds, "input", AF_UNIX);
        if (options.fd == -ENOENT && dispatcher->config.input)
                options.fd = listen_unix(dispatcher->config.input, 0660);
        if (options.fd == -ENOENT)
                return 0;
        if (options.fd < 0) {
                log_error("%s: %s", dispatcher->config.input, strerror(-options.fd));
                return options.fd;
        }
        r = input_new(&options, &dispatcher->input);
        if (r >= 0)
                input_hold(dispatcher->input, dispatcher->held);
        return r;
}

static int add_commands(Dispatcher *dispatcher)
{
        CommandsOptions options = {
                .event = loop_event(dispatcher->loop),
                .ring = dispatcher->ring,
                .state = dispatcher->state,
                .monotonic_usec = monotonic_usec,
                .published = on_published,
                .userdata = dispatcher,
        };
        int r = commands_new(&options, &dispatcher->commands);

        if (r >= 0)
                commands_set_policy(dispatcher->commands, &dispatcher->config.commands);
        return r;
}

static int add_subscribers(Dispatcher *dispatcher)
{
        SubscribersOptions options = {
                .event = loop_event(dispatcher->loop),
                .ring = dispatcher->ring,
                .commands = dispatcher->commands,
                .state = dispatcher->state,
                .directory = dispatcher->config.subscribers_directory,
                .acked = on_acked,
                .userdata = dispatcher,
        };
        int r = subscribers_new(&options, &dispatcher->subscribers);

        return r < 0 ? r : subscribers_load(dispatcher->subscribers);
}

/* The sockets that were handed in, or our own. */
static int listen_for_readers(Dispatcher *dispatcher, ListenFds *fds, const char *name, const char *path)
{
        bool lines = strcmp(name, "lines") == 0, some = false;
        int fd, r;

        while ((fd = listen_fds_take(fds, name, AF_UNSPEC)) >= 0) {
                some = true;
                r = pull_listen(dispatcher->pull, fd, lines);
                if (r < 0)
                        return r;
        }
        if (some || !path)
                return 0;
        fd = listen_unix(path, 0660);
        if (fd < 0) {
                log_error("%s: %s", path, strerror(-fd));
                return fd;
        }
        return pull_listen(dispatcher->pull, fd, lines);
}

static int add_pull(Dispatcher *dispatcher, ListenFds *fds)
{
        PullOptions options = {
                .event = loop_event(dispatcher->loop),
                .ring = dispatcher->ring,
                .commands = dispatcher->commands,
                .queue_limit = dispatcher->config.pull_queue_limit,
                .clients_max = dispatcher->config.pull_clients_max,
                .user_clients_max = dispatcher->config.pull_user_clients_max,
        };
        int r = pull_new(&options, &dispatcher->pull);

        if (r >= 0)
                r = listen_for_readers(dispatcher, fds, "subscribe", dispatcher->config.subscribe);
        if (r >= 0)
                r = listen_for_readers(dispatcher, fds, "lines", dispatcher->config.lines);
        return r;
}

static int open_parts(Dispatcher *dispatcher, ListenFds *fds)
{
        int r = state_new(dispatcher->config.state_directory, "dispatcher", &dispatcher->state);

        if (r >= 0)
                r = open_ring(dispatcher);
        if (r >= 0)
                r = tell_set_aside(dispatcher);
        if (r >= 0)
                r = add_commands(dispatcher);
        /* Before anything is written: the ring must know whom it waits for. */
        if (r >= 0)
                r = add_subscribers(dispatcher);
        if (r >= 0)
                r = add_pull(dispatcher, fds);
        if (r >= 0)
                r = add_kernel(dispatcher, fds);
        if (r >= 0)
                r = add_auditd(dispatcher, fds);
        if (r >= 0)
                r = add_input(dispatcher, fds);
        return r;
}

int dispatcher_new(DispatcherConfig *config, Dispatcher **ret)
{
        _cleanup_(dispatcher_freep) Dispatcher *dispatcher = calloc(1, sizeof *dispatcher);
        ListenFds fds;
        int r;

        if (!dispatcher)
                return -ENOMEM;
        dispatcher->config = *config;
        *config = (DispatcherConfig) { 0 };
        r = loop_new(&loop_handler, dispatcher, &dispatcher->loop);
        if (r < 0)
                return r;
        r = listen_fds_get(&fds);
        if (r < 0)
                return r;
        r = open_parts(dispatcher, &fds);
        if (r >= 0)
                listen_fds_warn_rest(&fds);
        listen_fds_done(&fds);
        if (r < 0)
                return r;
        if (!dispatcher->kernel && !dispatcher->input)
                log_warning("Nothing to read from: no socket was handed in, and neither Kernel= nor Input= "
                            "is set");
        *ret = TAKE_PTR(dispatcher);
        return 0;
}

int dispatcher_run(Dispatcher *dispatcher)
{
        int r;

        log_message(LOG_INFO, MESSAGE_ID_STARTED, NULL, "Dispatching as node %s, %s",
                    ring_node(dispatcher->ring),
                    dispatcher->kernel ? kernel_description(dispatcher->kernel) : "no kernel");
        r = loop_run(dispatcher->loop);
        log_message(LOG_INFO, MESSAGE_ID_STOPPED, NULL, "Stopped; what is not acked stays in the ring");
        return r;
}

Dispatcher *dispatcher_free(Dispatcher *dispatcher)
{
        if (!dispatcher)
                return NULL;
        sd_event_source_disable_unref(dispatcher->idle);
        input_free(dispatcher->input);
        auditd_free(dispatcher->auditd);
        kernel_free(dispatcher->kernel);
        pull_free(dispatcher->pull);
        subscribers_free(dispatcher->subscribers);
        commands_free(dispatcher->commands);
        ring_free(dispatcher->ring);
        state_free(dispatcher->state);
        loop_free(dispatcher->loop);
        dispatcher_config_done(&dispatcher->config);
        free(dispatcher);
        return NULL;
}
