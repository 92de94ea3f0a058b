/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sockets. What is sent waits in the receiver's wire, arrives in pieces of random size at random times, in
 * order; the wire is short, so that senders find it full. A connection can be cut (both ends see an error,
 * what is under way is lost) or go half-open (nothing arrives any more and nobody is told). The C library's
 * functions are defined here for these descriptors.
 */

#include "sim.h"
#include "sim-event.h"
#include "basic/buffer.h"

#undef NDEBUG
#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SOCKETS_MAX 256
#define BACKLOG_MAX 16U
/* Above all descriptors that the system gives out. */
#define FD_BASE (1 << 24)

struct Service {
        Machine *machine;
        bool network;
        unsigned listeners;
        int backlog[BACKLOG_MAX];
        unsigned n_backlog;
};

typedef struct Socket {
        bool used;
        Service *service;     /* a listener's */
        const Process *owner; /* NULL: waits in the backlog */
        const Machine *machine;
        bool network;
        int peer; /* -1: gone without a word */
        int generation;
        uint64_t connect_usec; /* 0: connected */
        bool refused;
        bool hole; /* half-open: what arrives here never does */
        int error;
        uint64_t error_usec; /* when it is heard of */
        Buffer wire;
        size_t arrived;
        uint64_t arrive_usec;
        bool fin; /* the peer half-closed */
} Socket;

static Socket sockets[SOCKETS_MAX];
static Service services[1 + SIM_CLIENTS_MAX];
static unsigned n_services;

static Socket *socket_of(int fd)
{
        return fd >= FD_BASE && fd < FD_BASE + SOCKETS_MAX && sockets[fd - FD_BASE].used
                       ? &sockets[fd - FD_BASE]
                       : NULL;
}

static int number_of(const Socket *s)
{
        return (int) (s - sockets);
}

static Socket *peer_of(const Socket *s)
{
        return s->peer >= 0 ? &sockets[s->peer] : NULL;
}

static Socket *socket_new(const Machine *machine, bool network)
{
        for (int i = 0; i < SOCKETS_MAX; i++)
                if (!sockets[i].used) {
                        sockets[i] = (Socket){
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

static void fail_at(Socket *s, int error, uint64_t usec)
{
        if (s->error == 0 && usec < s->error_usec) {
                s->error = error;
                s->error_usec = usec;
        }
}

static bool has_failed(const Socket *s)
{
        return s->error != 0 && s->error_usec <= sim.now;
}

/* --- Time --- */

static bool reached(const Socket *s)
{
        const Socket *peer = peer_of(s);

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
        other->peer = number_of(s);
        s->peer = number_of(other);
        service->backlog[service->n_backlog++] = number_of(other);
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

static bool ended(const Socket *s)
{
        return s->fin && s->arrived == buffer_size(&s->wire) && reached(s);
}

static size_t room(const Socket *s)
{
        const Socket *peer = peer_of(s);

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
        if (has_failed(s) || s->refused)
                return EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR;
        if (s->arrived > 0 || ended(s))
                events |= EPOLLIN;
        if (room(s) > 0)
                events |= EPOLLOUT;
        return events;
}

/* --- Services and connecting --- */

Service *sim_service_new(Machine *machine, bool network)
{
        Service *service = &services[n_services++];

        assert(n_services <= ELEMENTSOF(services));
        *service = (Service){.machine = machine, .network = network, .listeners = sim.activated};
        return service;
}

int sim_service_listen(Service *service)
{
        Socket *s = socket_new(service->machine, service->network);

        s->service = service;
        s->owner = sim.current;
        service->listeners++;
        return FD_BASE + number_of(s);
}

int sim_connect(Service *service)
{
        Socket *s = socket_new(sim.current->machine, service->network);

        s->owner = sim.current;
        s->service = service;
        if (service->network) {
                s->connect_usec = delay(s);
                return FD_BASE + number_of(s);
        }
        establish(s);
        if (!s->refused)
                return FD_BASE + number_of(s);
        s->used = false;
        return -ECONNREFUSED;
}

/* --- Ends --- */

static void drop(Socket *s)
{
        buffer_done(&s->wire);
        s->used = false;
}

static void close_socket(Socket *s)
{
        Socket *peer = peer_of(s);

        if (peer) {
                peer->peer = -1;
                /* Data that nobody read is answered by a reset, which overtakes what was on its way. */
                if (buffer_size(&s->wire) > 0)
                        fail_at(peer, ECONNRESET, s->hole || peer->hole ? USEC_INFINITY - 1 : delay(peer));
                peer->fin = true;
                if (peer->arrive_usec == USEC_INFINITY && !peer->hole)
                        peer->arrive_usec = delay(peer);
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

static void leave_backlog(int number)
{
        for (unsigned i = 0; i < n_services; i++)
                for (unsigned k = 0; k < services[i].n_backlog; k++)
                        if (services[i].backlog[k] == number) {
                                services[i].n_backlog--;
                                memmove(&services[i].backlog[k], &services[i].backlog[k + 1],
                                        (services[i].n_backlog - k) * sizeof services[i].backlog[0]);
                                return;
                        }
}

static void close_any(Socket *s)
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
                        close_any(&sockets[i]);
}

/* Nobody says goodbye: the peers hear of it when they send to a machine that does not know them. */
void sim_net_machine_died(const Machine *machine)
{
        for (int i = 0; i < SOCKETS_MAX; i++) {
                Socket *s = &sockets[i], *peer = peer_of(s);

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
        peer = peer_of(chosen);
        sim_trace("connection %d-%d %s", number_of(chosen), chosen->peer,
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

/* --- The C library's functions --- */

static int failed(int error)
{
        errno = error;
        return -1;
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
        Socket *s = socket_of(fd), *peer = peer_of(s);
        size_t n;

        if (sim_process_is_gone(sim.current))
                return (ssize_t) size;
        if (has_failed(s) || s->refused)
                return failed(s->refused ? ECONNREFUSED : s->error == ECONNRESET ? EPIPE : s->error);
        if (!peer) {
                if (!s->hole && s->fin)
                        return failed(EPIPE);
                return (ssize_t) size; /* into the void */
        }
        n = MIN(size, room(s));
        if (n == 0)
                return failed(EAGAIN);
        if (sim_chance(20))
                n = 1 + sim_below(n);
        assert(buffer_append(&peer->wire, data, n) == 0);
        if (peer->arrive_usec == USEC_INFINITY && !peer->hole)
                peer->arrive_usec = delay(peer);
        return (ssize_t) n;
}

ssize_t recv(int fd, void *data, size_t size, int flags)
{
        Socket *s = socket_of(fd);
        size_t n = MIN(size, s->arrived);

        if (sim_process_is_gone(sim.current))
                return failed(EAGAIN);
        if (has_failed(s) || s->refused)
                return failed(s->refused ? ECONNREFUSED : s->error);
        if (n == 0)
                return ended(s) ? 0 : failed(EAGAIN);
        if (sim_chance(10))
                n = 1 + sim_below(n);
        memcpy(data, buffer_head(&s->wire), n);
        buffer_consume(&s->wire, n);
        s->arrived -= n;
        return (ssize_t) n;
}

int shutdown(int fd, int how)
{
        Socket *s = socket_of(fd), *peer = peer_of(s);

        if (has_failed(s))
                return failed(ENOTCONN);
        if (peer && !sim_process_is_gone(sim.current)) {
                peer->fin = true;
                if (peer->arrive_usec == USEC_INFINITY && !peer->hole)
                        peer->arrive_usec = delay(peer);
        }
        return 0;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
        const Socket *s = socket_of(fd);
        int error = s->refused ? ECONNREFUSED : has_failed(s) ? s->error : 0;

        assert(level == SOL_SOCKET && name == SO_ERROR && *size >= sizeof error);
        memcpy(value, &error, sizeof error);
        return 0;
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *size, int flags)
{
        Service *service = socket_of(fd)->service;
        Socket *s;

        if (service->n_backlog == 0 || sim_process_is_gone(sim.current))
                return failed(EAGAIN);
        s = &sockets[service->backlog[0]];
        leave_backlog(service->backlog[0]);
        s->owner = sim.current;
        return FD_BASE + number_of(s);
}

int close(int fd)
{
        Socket *s = socket_of(fd);

        if (!s && fd >= FD_BASE)
                return failed(EBADF);
        if (!s)
                return (int) syscall(SYS_close, fd);
        close_any(s);
        return 0;
}

bool sim_net_connected(int fd)
{
        const Socket *s = socket_of(fd);

        return s->connect_usec == 0 && !s->refused;
}
