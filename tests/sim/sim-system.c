/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What else the shipping code asks the system and its own lower half for: clocks, randomness, the worker's
 * thread, where a store's disk is, peers' names; and its log and states, which become lines of the trace.
 */

#include "sim.h"
#include "basic/mark.h"
#include "runtime/connection-peer.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/state.h"
#include "runtime/tls.h"
#include "runtime/worker.h"

#undef NDEBUG
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

/* --- Clocks and chance --- */

uint64_t monotonic_usec(void)
{
        return sim.now;
}

uint64_t realtime_usec(void)
{
        const Machine *machine = sim.current ? sim.current->machine : NULL;

        return SIM_EPOCH + sim.now + (uint64_t) (machine ? machine->clock_usec : 0);
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
        uint64_t usec = clock == CLOCK_REALTIME ? realtime_usec() : sim.now;

        *ret = (struct timespec){(time_t) (usec / USEC_PER_SEC), (long) (usec % USEC_PER_SEC) * 1000};
        return 0;
}

ssize_t getrandom(void *data, size_t size, unsigned flags)
{
        uint8_t *p = data;

        for (size_t i = 0; i < size; i++)
                p[i] = (uint8_t) sim_draw();
        return (ssize_t) size;
}

/* --- The worker: its job runs at one random moment and is done at a later one --- */

struct Worker {
        sd_event_source *timer;
        bool busy, ran;
        int result;
        int (*run)(void *userdata);
        void (*done)(int result, void *userdata);
        void *userdata;
};

static uint64_t job_time(void)
{
        return sim.now +
               sim_spread(sim.current->machine->slow_until > sim.now ? 2 * USEC_PER_SEC : sim.job_usec);
}

static int on_worker(sd_event_source *source, uint64_t usec, void *userdata)
{
        Worker *worker = userdata;

        if (!worker->ran) {
                worker->result = worker->run(worker->userdata);
                worker->ran = true;
                (void) sd_event_source_set_time(source, job_time());
                (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
                return 0;
        }
        worker->busy = false;
        worker->done(worker->result, worker->userdata);
        return 0;
}

int worker_new(sd_event *event, const char *name, int64_t priority, Worker **ret)
{
        Worker *worker = calloc(1, sizeof *worker);

        assert(worker);
        (void) sd_event_add_time(event, &worker->timer, CLOCK_MONOTONIC, USEC_INFINITY, 0, on_worker,
                                 worker);
        (void) sd_event_source_set_priority(worker->timer, priority);
        *ret = worker;
        return 0;
}

Worker *worker_free(Worker *worker)
{
        if (worker)
                (void) sd_event_source_disable_unref(worker->timer);
        free(worker);
        return NULL;
}

bool worker_busy(const Worker *worker)
{
        return worker->busy;
}

void worker_start(Worker *worker, int (*run)(void *userdata), void (*done)(int result, void *userdata),
                  void *userdata)
{
        assert(!worker->busy);
        worker->busy = true;
        worker->ran = false;
        worker->run = run;
        worker->done = done;
        worker->userdata = userdata;
        (void) sd_event_source_set_time(worker->timer, job_time());
        (void) sd_event_source_set_enabled(worker->timer, SD_EVENT_ONESHOT);
}

/* --- Disks --- */

int mkdir(const char *path, mode_t mode)
{
        return 0;
}

int disk_open(const char *path, Disk **ret)
{
        *ret = sim_faulty_disk(sim.current);
        return 0;
}

/* --- Peers --- */

void connection_peer_init(ConnectionPeer *peer)
{
        *peer = (ConnectionPeer){.pid = -1, .uid = (uid_t) -1, .gid = (gid_t) -1};
}

int connection_peer_get(ConnectionPeer *peer, int fd)
{
        if (!sim_net_connected(fd))
                return -ENOTCONN;
        (void) snprintf(peer->name, sizeof peer->name, "socket %d", fd & 0xffff);
        return 0;
}

int tls_session_new(Tls *tls, bool server, const char *expected_name, int fd, Transport **ret)
{
        *ret = NULL;
        return 0;
}

int tls_session_judge(TlsSession *session, Tls *tls, char **ret_why)
{
        assert(!session);
        return 0;
}

TlsSession *tls_session_of(Transport *transport)
{
        assert(!transport);
        return NULL;
}

/* --- Log and states --- */

void log_message(int priority, const char *id, const char *field, const char *format, ...)
{
        char text[200];
        va_list ap;

        if (!sim.options.trace)
                return;
        va_start(ap, format);
        (void) vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        sim_trace("<%d> %s", priority, text);
}

bool log_limit(uint64_t *last_usec, uint64_t interval_usec)
{
        return true;
}

void state_raise(State *state, const char *condition, const char *reason, const char *keys)
{
        sim_trace("%s: %s", condition, reason);
}

void state_clear(State *state, const char *condition)
{
        sim_trace("%s has ended", condition);
}

void status_counter(State *state, const char *name, const char *labels, uint64_t value, const char *help)
{
}

void status_gauge(State *state, const char *name, const char *labels, double value, const char *help)
{
}

const char *status_label(State *state, const char *key, const char *value)
{
        return key;
}

/* --- What the ring calls where a kill may strike --- */

void step_hit(void)
{
        Process *process = sim.current;

        if (process && process->kill_step > 0 && --process->kill_step == 0)
                _longjmp(sim.jump, 1);
}
