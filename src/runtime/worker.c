/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A thread that does one thing at a time, and an eventfd by which it says that it is done.
 *
 * Invariants:
 * (1) `busy` belongs to the loop's thread: set by worker_start(), cleared just before done().
 * (2) The job's fields belong to the thread from worker_start() until it writes the eventfd, and to the loop
 * otherwise; `queued` and `stop`, under the mutex, are all that both look at.
 */

#include "runtime/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>

/* What pthread_setname_np() takes, with its NUL. */
#define WORKER_NAME_SIZE 16U

struct Worker {
        pthread_t thread;
        bool thread_started;
        pthread_mutex_t mutex;
        pthread_cond_t cond;
        bool queued;
        bool stop;

        bool busy;
        int (*run)(void *userdata);
        void (*done)(int result, void *userdata);
        void *userdata;
        int result;

        int done_fd;
        sd_event_source *source;
};

static void worker_report(Worker *worker)
{
        uint64_t one = 1;
        ssize_t n;

        do
                n = write(worker->done_fd, &one, sizeof one);
        while (n < 0 && errno == EINTR);
        /* The counter was zero: it cannot overflow. */
        assert(n == (ssize_t) sizeof one);
}

static void *worker_main(void *userdata)
{
        Worker *worker = userdata;

        pthread_mutex_lock(&worker->mutex);
        for (;;) {
                while (!worker->queued && !worker->stop)
                        pthread_cond_wait(&worker->cond, &worker->mutex);
                if (!worker->queued)
                        break;
                worker->queued = false;
                pthread_mutex_unlock(&worker->mutex);
                worker->result = worker->run(worker->userdata);
                worker_report(worker);
                pthread_mutex_lock(&worker->mutex);
        }
        pthread_mutex_unlock(&worker->mutex);
        return NULL;
}

static int on_done(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        Worker *worker = userdata;
        uint64_t n;

        if (read(fd, &n, sizeof n) < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        assert(worker->busy);
        worker->busy = false;
        worker->done(worker->result, worker->userdata);
        /* done() may have freed the worker. */
        return 0;
}

static int worker_start_thread(Worker *worker, const char *name)
{
        char short_name[WORKER_NAME_SIZE];
        sigset_t all, old;
        int r;

        sigfillset(&all);
        r = pthread_sigmask(SIG_SETMASK, &all, &old);
        if (r != 0)
                return -r;
        r = pthread_create(&worker->thread, NULL, worker_main, worker);
        (void) pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (r != 0)
                return -r;
        worker->thread_started = true;
        (void) snprintf(short_name, sizeof short_name, "%.15s", name);
        (void) pthread_setname_np(worker->thread, short_name);
        return 0;
}

int worker_new(sd_event *event, const char *name, int64_t priority, Worker **ret)
{
        _cleanup_(worker_freep) Worker *worker = calloc(1, sizeof *worker);
        int r;

        if (!worker)
                return -ENOMEM;
        pthread_mutex_init(&worker->mutex, NULL);
        pthread_cond_init(&worker->cond, NULL);
        worker->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (worker->done_fd < 0)
                return -errno;
        r = sd_event_add_io(event, &worker->source, worker->done_fd, EPOLLIN, on_done, worker);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(worker->source, name);
        r = sd_event_source_set_priority(worker->source, priority);
        if (r < 0)
                return r;
        /* Without its worker no program can keep its promises. */
        r = sd_event_source_set_exit_on_failure(worker->source, true);
        if (r < 0)
                return r;
        r = worker_start_thread(worker, name);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(worker);
        return 0;
}

Worker *worker_free(Worker *worker)
{
        if (!worker)
                return NULL;
        if (worker->thread_started) {
                pthread_mutex_lock(&worker->mutex);
                worker->stop = true;
                pthread_cond_signal(&worker->cond);
                pthread_mutex_unlock(&worker->mutex);
                (void) pthread_join(worker->thread, NULL);
        }
        sd_event_source_disable_unref(worker->source);
        worker->done_fd = close_fd(worker->done_fd);
        pthread_cond_destroy(&worker->cond);
        pthread_mutex_destroy(&worker->mutex);
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
        worker->run = run;
        worker->done = done;
        worker->userdata = userdata;
        pthread_mutex_lock(&worker->mutex);
        worker->queued = true;
        pthread_cond_signal(&worker->cond);
        pthread_mutex_unlock(&worker->mutex);
}
