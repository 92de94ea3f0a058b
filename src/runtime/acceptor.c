/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who connects, until he is served.
 *
 *  1. An arrival is freed by its owner alone, through free(): by us while it has no connection or could not begin one, and in
 *     closed() afterwards.
 *  2. Listeners rest while there is no room, and after accept() failed until the next tick: never in a circle.
 *  3. Whoever leaves, by the end of his handshake or of his connection, lets the next one begin.
 */

#include "runtime/acceptor.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <poll.h>
#include <sys/socket.h>

/* Connections taken from one listener in one turn of the loop. */
#define ACCEPT_TURN_MAX 16U
/* Failures are logged so often. */
#define FAILED_LOG_USEC (10 * USEC_PER_SEC)
/* How long the last words of all connections may take together: on a network that works a round trip. */
#define LEAVE_USEC (1 * USEC_PER_SEC)
/* Only those who own the program may connect to a Unix socket of its own making. */
#define UNIX_MODE 0600U

struct Acceptor {
        AcceptorOptions options;
        sd_event *event;
        sd_event_source *listeners[ACCEPTOR_LISTENERS_MAX];
        size_t n_listeners;
        Admission *admission;
        size_t n_connections;
        bool rests; /* the listeners do */
        sd_event_source *leaving;
        void (*left)(void *userdata); /* NULL: we stay, or have left */
        void *left_userdata;
        uint64_t logged_usec;
        AcceptorCounters counters;
};

static bool is_full(const Acceptor *acceptor)
{
        return acceptor->n_connections >= acceptor->options.connections_max || admission_is_full(acceptor->admission);
}

static void rest(Acceptor *acceptor, bool rests)
{
        acceptor->rests = rests;
        for (size_t i = 0; i < acceptor->n_listeners; i++)
                (void) sd_event_source_set_enabled(acceptor->listeners[i], rests ? SD_EVENT_OFF : SD_EVENT_ON);
}

static void make_use(Acceptor *acceptor)
{
        if (acceptor->rests && !is_full(acceptor))
                rest(acceptor, false);
}

static void say_failed(Acceptor *acceptor, const char *what, int error)
{
        if (log_limit(&acceptor->logged_usec, FAILED_LOG_USEC))
                log_warning("Cannot %s a connection: %s", what, strerror(-error));
}

/* --- Leaving --- */

static void leave_now(Acceptor *acceptor)
{
        void (*left)(void *userdata) = acceptor->left;

        acceptor->left = NULL;
        acceptor->leaving = sd_event_source_disable_unref(acceptor->leaving);
        if (left)
                left(acceptor->left_userdata);
}

static int on_leaving(sd_event_source *source, uint64_t usec, void *userdata)
{
        leave_now(userdata);
        return 0;
}

void acceptor_leave(Acceptor *acceptor, void (*done)(void *userdata), void *userdata)
{
        acceptor->left = done;
        acceptor->left_userdata = userdata;
        if (acceptor->n_connections == 0 ||
            sd_event_add_time_relative(acceptor->event, &acceptor->leaving, CLOCK_MONOTONIC, LEAVE_USEC, 0, on_leaving,
                                       acceptor) < 0)
                leave_now(acceptor);
}

/* --- Serving --- */

static void let_go(Arrival *arrival)
{
        arrival->acceptor->options.handler->free(arrival);
}

/* His turn has come. Frees him when that fails. */
static int serve(Arrival *arrival)
{
        Acceptor *acceptor = arrival->acceptor;
        const AcceptorHandler *handler = acceptor->options.handler;
        Transport *transport = NULL;
        int fd = TAKE_FD(arrival->fd), r = 0;

        if (handler->secure)
                r = handler->secure(arrival, fd, &transport);
        if (r < 0)
                close_fd(fd);
        else
                r = connection_new(acceptor->event, fd, transport, handler->connection, arrival, &arrival->connection);
        if (r >= 0) {
                acceptor->n_connections++;
                handler->served(arrival);
                r = connection_start(arrival->connection, acceptor->options.connect_usec);
        }
        if (r < 0)
                let_go(arrival);
        return r;
}

static void serve_next(Acceptor *acceptor)
{
        Visitor *visitor;
        int r;

        while ((visitor = admission_next(acceptor->admission, monotonic_usec()))) {
                r = serve(container_of(visitor, Arrival, visitor));
                if (r < 0)
                        say_failed(acceptor, "serve", r);
        }
}

void acceptor_established(Arrival *arrival)
{
        admission_leave(arrival->acceptor->admission, &arrival->visitor);
        serve_next(arrival->acceptor);
}

void acceptor_closed(Arrival *arrival)
{
        Acceptor *acceptor = arrival->acceptor;

        acceptor_established(arrival);
        let_go(arrival);
        make_use(acceptor);
        if (acceptor->n_connections == 0)
                leave_now(acceptor);
}

void acceptor_part(Arrival *arrival)
{
        admission_leave(arrival->acceptor->admission, &arrival->visitor);
        if (arrival->connection)
                arrival->acceptor->n_connections--;
        connection_free(arrival->connection);
        close_fd(arrival->fd);
}

/* --- Accepting --- */

static int take(Acceptor *acceptor, int fd, const struct sockaddr *from)
{
        AdmissionKey key = admission_key(from);
        Arrival *arrival;
        int r;

        r = acceptor->options.handler->admit(acceptor, fd, from, &arrival);
        if (r < 0 || !arrival) {
                close_fd(fd);
                return r;
        }
        arrival->acceptor = acceptor;
        arrival->fd = fd;
        acceptor->counters.accepted++;
        r = admission_enter(acceptor->admission, &arrival->visitor, &key, monotonic_usec());
        if (r == ADMISSION_SERVED)
                return serve(arrival);
        if (r == ADMISSION_SURPLUS)
                acceptor->counters.surplus++;
        if (r != ADMISSION_WAITS)
                let_go(arrival);
        return MIN(r, 0);
}

int acceptor_take(Acceptor *acceptor, int fd)
{
        struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
        socklen_t size = sizeof address;

        if (getpeername(fd, (struct sockaddr *) &address, &size) < 0)
                address.ss_family = AF_UNSPEC;
        return take(acceptor, fd, (const struct sockaddr *) &address);
}

static int on_listener(sd_event_source *source, int listener, uint32_t events, void *userdata)
{
        Acceptor *acceptor = userdata;

        for (unsigned i = 0; i < ACCEPT_TURN_MAX; i++) {
                struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
                socklen_t size = sizeof address;
                int fd, r;

                if (is_full(acceptor)) {
                        rest(acceptor, true);
                        return 0;
                }
                fd = accept4(listener, (struct sockaddr *) &address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0 && errno == ECONNABORTED)
                        continue;
                if (fd < 0 && errno != EAGAIN && errno != EINTR) {
                        /* No descriptors or no memory. */
                        rest(acceptor, true);
                        say_failed(acceptor, "accept", -errno);
                }
                if (fd < 0)
                        return 0;
                r = take(acceptor, fd, (const struct sockaddr *) &address);
                if (r < 0)
                        say_failed(acceptor, "serve", r);
        }
        return 0;
}

int acceptor_listen(Acceptor *acceptor, int fd)
{
        sd_event_source *source = NULL;
        int r = -ENOBUFS;

        if (acceptor->n_listeners < ACCEPTOR_LISTENERS_MAX)
                r = sd_event_add_io(acceptor->event, &source, fd, EPOLLIN, on_listener, acceptor);
        if (r < 0) {
                close_fd(fd);
                return r;
        }
        acceptor->listeners[acceptor->n_listeners++] = source;
        (void) sd_event_source_set_description(source, "listener");
        r = sd_event_source_set_io_fd_own(source, true);
        if (r < 0)
                return r;
        return sd_event_source_set_priority(source, LOOP_DATA);
}

static int listen_at(Acceptor *acceptor, const char *address)
{
        int fd = address[0] == '/' ? listen_unix(address, UNIX_MODE) : listen_tcp(address);

        if (fd >= 0)
                return acceptor_listen(acceptor, fd);
        log_error("Cannot listen on %s: %s", address, strerror(-fd));
        return fd;
}

int acceptor_listen_all(Acceptor *acceptor, ListenFds *fds, const char *name, int family, char *const *addresses)
{
        int fd, r = 0;

        while (r >= 0 && (fd = listen_fds_take(fds, name, family)) >= 0)
                r = acceptor_listen(acceptor, fd);
        for (; r >= 0 && addresses && *addresses; addresses++)
                r = listen_at(acceptor, *addresses);
        return r < 0 ? r : (int) acceptor->n_listeners;
}

bool acceptor_waiting(const Acceptor *acceptor)
{
        for (size_t i = 0; i < acceptor->n_listeners; i++) {
                struct pollfd waiting = { .fd = sd_event_source_get_io_fd(acceptor->listeners[i]), .events = POLLIN };

                if (poll(&waiting, 1, 0) != 0)
                        return true;
        }
        return false;
}

/* --- Time --- */

/* Whoever is too slow while others wait. */
static void clear_the_way(Acceptor *acceptor, uint64_t now)
{
        Visitor *visitor;

        while ((visitor = admission_in_the_way(acceptor->admission, now))) {
                acceptor->counters.hurried++;
                /* He is closed from the loop; until then he is no visitor any more. */
                admission_leave(acceptor->admission, visitor);
                connection_cut(container_of(visitor, Arrival, visitor)->connection);
                serve_next(acceptor);
        }
}

void acceptor_tick(Acceptor *acceptor, uint64_t now)
{
        Visitor *visitor;

        while ((visitor = admission_overdue(acceptor->admission, now, acceptor->options.connect_usec))) {
                acceptor->counters.overdue++;
                let_go(container_of(visitor, Arrival, visitor));
        }
        serve_next(acceptor);
        clear_the_way(acceptor, now);
        make_use(acceptor);
}

/* --- Facts --- */

void *acceptor_userdata(const Acceptor *acceptor)
{
        return acceptor->options.userdata;
}

const AcceptorCounters *acceptor_counters(const Acceptor *acceptor)
{
        return &acceptor->counters;
}

size_t acceptor_connections(const Acceptor *acceptor)
{
        return acceptor->n_connections;
}

size_t acceptor_handshakes(const Acceptor *acceptor, size_t *ret_waiting)
{
        *ret_waiting = admission_waiting(acceptor->admission);
        return admission_served(acceptor->admission);
}

/* --- Life --- */

int acceptor_new(sd_event *event, const AcceptorOptions *options, Acceptor **ret)
{
        Acceptor *acceptor = calloc(1, sizeof *acceptor);
        int r;

        if (!acceptor)
                return -ENOMEM;
        acceptor->options = *options;
        acceptor->event = event;
        r = admission_new(&options->admission, &acceptor->admission);
        if (r < 0) {
                free(acceptor);
                return r;
        }
        *ret = acceptor;
        return 0;
}

void acceptor_close(Acceptor *acceptor)
{
        Visitor *visitor;

        for (size_t i = 0; i < acceptor->n_listeners; i++)
                sd_event_source_disable_unref(acceptor->listeners[i]);
        acceptor->n_listeners = 0;
        while ((visitor = admission_overdue(acceptor->admission, UINT64_MAX, 0)))
                let_go(container_of(visitor, Arrival, visitor));
}

Acceptor *acceptor_free(Acceptor *acceptor)
{
        if (!acceptor)
                return NULL;
        sd_event_source_disable_unref(acceptor->leaving);
        acceptor_close(acceptor);
        admission_free(acceptor->admission);
        free(acceptor);
        return NULL;
}
