/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Those who come: accepting, and whose handshake is served (admission.h). Who waits for that has a descriptor
 * here and nothing else.
 */

#include "runtime/inlet-private.h"
#include "runtime/loop.h"

#include <poll.h>
#include <sys/socket.h>

/* Connections taken from one listener in one turn of the loop. */
#define ACCEPT_TURN_MAX 16U

bool inlet_is_full(const Inlet *inlet)
{
        const InletOptions *options = &inlet->options;

        return inlet->n_sessions >= options->connections_max + options->admission.max + INLET_SURPLUS ||
               admission_is_full(inlet->admission);
}

void inlet_rest(Inlet *inlet, bool rest)
{
        inlet->full = rest;
        for (size_t i = 0; i < inlet->n_listeners; i++)
                (void) sd_event_source_set_enabled(inlet->listeners[i], rest ? SD_EVENT_OFF : SD_EVENT_ON);
}

static void turn_out(InletSession *session)
{
        admission_leave(session->inlet->admission, &session->visitor);
        close_fd(session->fd);
        free(session);
}

/* Its turn has come. Frees the session when that fails. */
static int serve(InletSession *session)
{
        Inlet *inlet = session->inlet;
        Transport *transport = NULL;
        int fd = TAKE_FD(session->fd), r = 0;

        if (inlet->options.handler->secure)
                r = inlet->options.handler->secure(inlet, fd, &transport);
        if (r < 0)
                close_fd(fd);
        else
                r = connection_new(inlet->event, fd, transport, &inlet_connection_handler, session,
                                   &session->connection);
        if (r < 0) {
                turn_out(session);
                return r;
        }
        LIST_INSERT_HEAD(&inlet->sessions, session, sessions);
        inlet->n_sessions++;
        r = connection_start(session->connection, inlet->options.connect_usec);
        if (r < 0)
                inlet_session_free(session);
        return r;
}

static void say_failed(Inlet *inlet, int error)
{
        if (log_limit(&inlet->logged_usec, REFUSED_LOG_USEC))
                log_warning("Cannot serve a connection: %s", strerror(-error));
}

static void serve_next(Inlet *inlet)
{
        Visitor *visitor;
        int r;

        while ((visitor = admission_next(inlet->admission, monotonic_usec()))) {
                r = serve(container_of(visitor, InletSession, visitor));
                if (r < 0)
                        say_failed(inlet, r);
        }
}

void inlet_leave(InletSession *session)
{
        admission_leave(session->inlet->admission, &session->visitor);
        serve_next(session->inlet);
}

/* Whoever is too slow while others wait. */
static void clear_the_way(Inlet *inlet, uint64_t now)
{
        Visitor *visitor;

        while ((visitor = admission_in_the_way(inlet->admission, now))) {
                inlet->counters.hurried++;
                /* It is closed from the loop; until then it is no visitor any more. */
                admission_leave(inlet->admission, visitor);
                connection_cut(container_of(visitor, InletSession, visitor)->connection);
                serve_next(inlet);
        }
}

void inlet_accept_tick(Inlet *inlet, uint64_t now)
{
        Visitor *visitor;

        while ((visitor = admission_overdue(inlet->admission, now, inlet->options.connect_usec))) {
                inlet->counters.timeouts++;
                turn_out(container_of(visitor, InletSession, visitor));
        }
        serve_next(inlet);
        clear_the_way(inlet, now);
        if (inlet->full && !inlet_is_full(inlet))
                inlet_rest(inlet, false);
}

/* Frees who wait, as the inlet goes: none of them is to be served. */
void inlet_turn_out(Inlet *inlet)
{
        Visitor *visitor;

        while ((visitor = admission_overdue(inlet->admission, UINT64_MAX, 0)))
                turn_out(container_of(visitor, InletSession, visitor));
}

static AdmissionKey key_of(int fd)
{
        struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
        socklen_t size = sizeof address;

        if (getpeername(fd, (struct sockaddr *) &address, &size) < 0)
                address.ss_family = AF_UNSPEC;
        return admission_key((const struct sockaddr *) &address);
}

int inlet_take(Inlet *inlet, int fd)
{
        InletSession *session = calloc(1, sizeof *session);
        AdmissionKey key;
        int r;

        if (!session) {
                close_fd(fd);
                return -ENOMEM;
        }
        session->inlet = inlet;
        session->fd = fd;
        inlet->counters.accepted++;
        key = key_of(fd);
        r = admission_enter(inlet->admission, &session->visitor, &key, monotonic_usec());
        if (r == ADMISSION_SERVED)
                return serve(session);
        if (r == ADMISSION_SURPLUS)
                inlet->counters.surplus++;
        if (r != ADMISSION_WAITS)
                turn_out(session);
        return r < 0 ? r : 0;
}

static int on_listener(sd_event_source *source, int listener, uint32_t events, void *userdata)
{
        Inlet *inlet = userdata;

        for (unsigned i = 0; i < ACCEPT_TURN_MAX; i++) {
                int fd, r;

                if (inlet_is_full(inlet)) {
                        inlet_rest(inlet, true);
                        return 0;
                }
                fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0 && errno == ECONNABORTED)
                        continue;
                if (fd < 0 && errno != EAGAIN && errno != EINTR) {
                        /* No descriptors or no memory: again with the next tick, not in a circle. */
                        inlet_rest(inlet, true);
                        if (log_limit(&inlet->logged_usec, REFUSED_LOG_USEC))
                                log_error("Cannot accept a connection: %s", strerror(errno));
                }
                if (fd < 0)
                        return 0;
                r = inlet_take(inlet, fd);
                if (r < 0)
                        say_failed(inlet, r);
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
