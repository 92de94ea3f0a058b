/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Makes the parts of a dispatcher, each of the socket that systemd hands in or of its own, and in an order:
 *
 *  1. What landed in the ring before a crash is published before anything else is written to it.
 *  2. Before anything is written to the ring, it knows whom it waits for.
 */

#include "dispatcher/dispatcher-private.h"
#include "dispatcher/gap.h"
#include "dispatcher/kernel-register.h"
#include "runtime/log.h"

#include <sys/random.h>
#include <sys/socket.h>

/* Of what is between PRODUCERS_GO and PRODUCERS_HOLD, what one user's producers may add. */
#define USER_SHARE(size) ((size) / 32)

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
                log_error("Cannot open the ring %s: %s", options.path, r == -EBUSY ? "another dispatcher has it" : strerror(-r));
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
                log_warning("A kernel socket was handed in and is closed, as Kernel=none: set Kernel=auto, or stop its unit");
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
                .published = dispatcher_published,
                .dropped = dispatcher_dropped,
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
                .published = dispatcher_published,
                .dropped = dispatcher_dropped,
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
                .published = dispatcher_published,
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
                log_error("Cannot listen on %s: %s", dispatcher->config.input, strerror(-options.fd));
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
                .published = dispatcher_published,
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
                .acked = dispatcher_acked,
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
                log_error("Cannot listen on %s: %s", path, strerror(-fd));
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

int dispatcher_open_parts(Dispatcher *dispatcher, ListenFds *fds)
{
        int r = state_new(dispatcher->config.state_directory, "dispatcher", &dispatcher->state);

        if (r >= 0)
                r = open_ring(dispatcher);
        if (r >= 0)
                r = tell_set_aside(dispatcher);
        if (r >= 0)
                r = add_commands(dispatcher);
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
