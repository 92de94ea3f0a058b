/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sockets. What is sent waits in the receiver's wire, arrives in pieces of random size at random times, in
 * order; the wire is short, so that senders find it full. A connection can be cut (both ends see an error,
 * what is under way is lost) or go half-open (nothing arrives any more and nobody is told). sim-sockets.c
 * has the C library's functions for these descriptors.
 */

#include "sim-net.h"
#include "sim-event.h"

#undef NDEBUG
#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static Socket sockets[SOCKETS_MAX];
static Service services[SIM_COLLECTORS_MAX + SIM_CLIENTS_MAX];
static unsigned n_services;

Socket *socket_of(int fd)
{
        return fd >= FD_BASE && fd < FD_BASE + SOCKETS_MAX && sockets[fd - FD_BASE].used
                       ? &sockets[fd - FD_BASE]
                       : NULL;
}

int socket_number(const Socket *s)
{
        return (int) (s - sockets);
}

Socket *socket_peer(const Socket *s)
{
        return s->peer >= 0 ? &sockets[s->peer] : NULL;
}

static Socket *socket_new(const Machine *machine, bool network)
{
        for (int i = 0; i < SOCKETS_MAX; i++)
                if (!sockets[i].used) {
                        sockets[i] = (Socket) {
                                .used = true,
                                .machine = machine,
                                .network = network,
                                .peer = -1,
                                .wire = BUFFER_INIT(network ? sim.socket_size : 4 * sim.socket_size),
                                .arrive_usec = USEC_INFINITY,
                                .error_usec = USEC_INFINITY,
                        };
                        return &sockets[i];
                }
        assert(!"sockets are closed");
        return NULL;
}

static uint64_t delay(const Socket *s)
{
        return sim.now + (s->network ? sim_spread(sim.delay_usec) : 1 + sim_below(50));
}

void socket_expect(Socket *s)
{
        if (s->arrive_usec == USEC_INFINITY && !s->hole)
                s->arrive_usec = delay(s);
}

static void fail_at(Socket *s, int error, uint64_t usec)
{
        if (s->error == 0 && usec < s->error_usec) {
                s->error = error;
                s->error_usec = usec;
        }
}

bool socket_has_failed(const Socket *s)
{
        return s->error != 0 && s->error_usec <= sim.now;
}

/* --- Time --- */

static bool reached(const Socket *s)
{
        const Socket *peer = socket_peer(s);

        return !s->hole && s->machine->cut_until <= sim.now &&
               (!peer || peer->machine->cut_until <= sim.now);
}

static void establish(Socket *s)
{
        Service *service = s->service;
        Socket *other;

        s->service = NULL;
        s->connect_usec = 0;
        if (!service->machine->up || service->listeners == 0 || service->n_backlog == BACKLOG_MAX) {
                s->refused = true;
                return;
        }
        other = socket_new(service->machine, s->network);
        other->peer = socket_number(s);
        s->peer = socket_number(other);
        service->backlog[service->n_backlog++] = socket_number(other);
}

void sim_net_advance(void)
{
        for (int i = 0; i < SOCKETS_MAX; i++) {
                Socket *s = &sockets[i];
                size_t left;

                if (!s->used)
                        continue;
                if (s->connect_usec != 0 && s->connect_usec <= sim.now) {
                        if (s->machine->cut_until > sim.now || s->service->machine->cut_until > sim.now)
                                s->connect_usec = sim.now + USEC_PER_SEC; /* SYN again */
                        else
                                establish(s);
                }
                if (s->arrive_usec > sim.now)
                        continue;
                left = buffer_size(&s->wire) - s->arrived;
                if (s->hole)
                        s->arrive_usec = USEC_INFINITY;
                else if (!reached(s))
                        s->arrive_usec = sim.now + sim_spread(USEC_PER_SEC / 2);
                else {
                        s->arrived += sim_chance(70) ? left : sim_below(left + 1);
                        s->arrive_usec = s->arrived < buffer_size(&s->wire) ? delay(s) : USEC_INFINITY;
                }
        }
}

uint64_t sim_net_next(void)
{
        uint64_t next = USEC_INFINITY;

        for (int i = 0; i < SOCKETS_MAX; i++) {
                const Socket *s = &sockets[i];

                if (!s->used)
                        continue;
                next = MIN(next, s->arrive_usec);
                if (s->connect_usec != 0)
                        next = MIN(next, s->connect_usec);
                if (s->error != 0 && s->error_usec > sim.now)
                        next = MIN(next, s->error_usec);
        }
        return next;
}

bool socket_ended(const Socket *s)
{
        return s->fin && s->arrived == buffer_size(&s->wire) && reached(s);
}

size_t socket_room(const Socket *s)
{
        const Socket *peer = socket_peer(s);

        return peer ? peer->wire.maximum - buffer_size(&peer->wire) : SIZE_MAX;
}

uint32_t sim_net_ready(int fd)
{
        const Socket *s = socket_of(fd);
        uint32_t events = 0;

        assert(s);
        if (s->owner && s->service && s->connect_usec == 0)
                return s->service->n_backlog > 0 ? EPOLLIN : 0;
        if (s->connect_usec != 0)
                return 0;
        if (socket_has_failed(s) || s->refused)
                return EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR;
        if (s->arrived > 0 || socket_ended(s))
                events |= EPOLLIN;
        if (socket_room(s) > 0)
                events |= EPOLLOUT;
        return events;
}

/* --- Services and connecting --- */

Service *sim_service_new(Machine *machine, bool network)
{
        Service *service = &services[n_services++];

        assert(n_services <= ELEMENTSOF(services));
        *service = (Service) { .machine = machine, .network = network, .listeners = sim.activated };
        return service;
}

int sim_service_listen(Service *service)
{
        Socket *s = socket_new(service->machine, service->network);

        s->service = service;
        s->owner = sim.current;
        service->listeners++;
        return FD_BASE + socket_number(s);
}

int sim_connect(Service *service)
{
        Socket *s = socket_new(sim.current->machine, service->network);

        s->owner = sim.current;
        s->service = service;
        establish(s);
        if (!s->refused)
                return FD_BASE + socket_number(s);
        s->used = false;
        return -ECONNREFUSED;
}

int sim_socket(void)
{
        Socket *s = socket_new(sim.current->machine, true);

        s->owner = sim.current;
        return FD_BASE + socket_number(s);
}

void sim_socket_connect(int fd, Service *service)
{
        Socket *s = socket_of(fd);

        s->service = service;
        s->connect_usec = delay(s);
}

/* --- Ends --- */

static void drop(Socket *s)
{
        buffer_done(&s->wire);
        s->used = false;
}

static void close_socket(Socket *s)
{
        Socket *peer = socket_peer(s);

        if (peer) {
                peer->peer = -1;
                /* Data that nobody read is answered by a reset, which overtakes what was on its way. */
                if (buffer_size(&s->wire) > 0)
                        fail_at(peer, ECONNRESET, s->hole || peer->hole ? USEC_INFINITY - 1 : delay(peer));
                peer->fin = true;
                socket_expect(peer);
        }
        drop(s);
}

static void close_listener(Socket *s)
{
        Service *service = s->service;

        s->used = false;
        if (--service->listeners > 0)
                return;
        while (service->n_backlog > 0)
                close_socket(&sockets[service->backlog[--service->n_backlog]]);
}

int socket_accept(Service *service)
{
        int number = service->n_backlog > 0 ? service->backlog[0] : -1;

        if (service->n_backlog > 0)
                memmove(service->backlog, service->backlog + 1,
                        --service->n_backlog * sizeof service->backlog[0]);
        return number < 0 ? -1 : FD_BASE + number;
}

void socket_close(Socket *s)
{
        if (s->service && s->connect_usec == 0)
                close_listener(s);
        else
                close_socket(s);
}

void sim_net_process_died(const Process *process)
{
        for (int i = 0; i < SOCKETS_MAX; i++)
                if (sockets[i].used && sockets[i].owner == process)
                        socket_close(&sockets[i]);
}

/* Nobody says goodbye: the peers hear of it when they send to a machine that does not know them. */
void sim_net_machine_died(const Machine *machine)
{
        for (int i = 0; i < SOCKETS_MAX; i++) {
                Socket *s = &sockets[i], *peer = socket_peer(s);

                if (!s->used || s->machine != machine || (s->service && s->connect_usec == 0))
                        continue;
                if (peer && peer->machine != machine) {
                        peer->peer = -1;
                        peer->hole = true;
                        if (sim_chance(50))
                                fail_at(peer, ECONNRESET, machine->up_usec + sim_spread(5 * USEC_PER_SEC));
                }
                s->peer = -1;
        }
        for (unsigned i = 0; i < n_services; i++)
                while (services[i].machine == machine && services[i].n_backlog > 0)
                        drop(&sockets[services[i].backlog[--services[i].n_backlog]]);
}

bool sim_net_strike(NetFault fault)
{
        Socket *chosen = NULL, *peer;
        unsigned n = 0;

        for (int i = 0; i < SOCKETS_MAX; i++) {
                Socket *s = &sockets[i];

                if (s->used && s->peer >= 0 && s->owner && !s->hole && (s->network || fault == NET_CUT) &&
                    sim_below(++n) == 0)
                        chosen = s;
        }
        if (!chosen)
                return false;
        peer = socket_peer(chosen);
        sim_trace("connection %d-%d %s", socket_number(chosen), chosen->peer,
                  fault == NET_CUT ? "is cut" : "goes half-open");
        if (fault == NET_HALF_OPEN) {
                chosen->hole = true;
                peer->hole = sim_chance(50);
                return true;
        }
        chosen->hole = peer->hole = true;
        fail_at(chosen, ECONNRESET, sim.now);
        fail_at(peer, ECONNRESET, delay(peer));
        return true;
}

void sim_net_reset(void)
{
        for (int i = 0; i < SOCKETS_MAX; i++)
                if (sockets[i].used)
                        drop(&sockets[i]);
        n_services = 0;
}

bool sim_net_connected(int fd)
{
        const Socket *s = socket_of(fd);

        return s->connect_usec == 0 && !s->refused;
}
