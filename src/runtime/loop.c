/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The loop every program runs in.
 *
 * Signals arrive through a descriptor in the loop, never in a handler: they are blocked in loop_new(),
 * before any thread exists, and threads inherit the mask. The watchdog is fed by the loop itself, so that a
 * handler that hangs is noticed; not by sd_event_set_watchdog(), which waits for a manager that does not
 * read.
 *
 * Invariants:
 * (1) terminate() is called at most once; from then on the exit timer runs, so that the process ends.
 * (2) While terminating, SIGHUP and SIGUSR1 are ignored.
 */

#include "runtime/loop.h"
#include "runtime/log.h"
#include "runtime/notify.h"

#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <time.h>

struct Loop {
        const LoopHandler *handler;
        void *userdata;
        sd_event *event;
        bool terminating;
        bool ready_owed; /* READY=1, which the manager did not take yet */
        uint64_t watchdog_usec; /* 0: there is none */
        uint64_t fed_usec;
        unsigned ticks;
};

/* What a burst of many peers has left in malloc's hands goes back to the system: a few milliseconds for hundreds of MiB,
 * microseconds where there is nothing. */
#define LOOP_TRIM_TICKS 5U
/* One tick may come this much late, so that the machine wakes for several timers at once. */
#define LOOP_TICK_ACCURACY_USEC (10 * USEC_PER_MSEC)

static uint64_t clock_usec(clockid_t clock)
{
        struct timespec ts;
        int r = clock_gettime(clock, &ts);

        assert(r == 0);
        (void) r;
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

uint64_t monotonic_usec(void)
{
        return clock_usec(CLOCK_MONOTONIC);
}

uint64_t realtime_usec(void)
{
        return clock_usec(CLOCK_REALTIME);
}

static void say_ready(Loop *loop, const char *text)
{
        loop->ready_owed = notify_manager(text) == -EAGAIN;
}

/* Four times as often as must be: some may find no room. */
static void feed_watchdog(Loop *loop)
{
        uint64_t now = monotonic_usec();

        if (loop->watchdog_usec == 0 || now - loop->fed_usec < loop->watchdog_usec / 4)
                return;
        if (notify_manager("WATCHDOG=1") > 0)
                loop->fed_usec = now;
}

static int on_exit_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        Loop *loop = userdata;

        log_message(LOG_WARNING, MESSAGE_ID_EXIT_TIMEOUT, NULL,
                    "Not drained within %" PRIu64 " s, ending now; what was not acked is kept by its sender",
                    (uint64_t) (LOOP_EXIT_TIMEOUT_USEC / USEC_PER_SEC));
        loop_exit(loop, EXIT_SUCCESS);
        return 0;
}

static void loop_terminate(Loop *loop)
{
        int r;

        if (loop->terminating)
                return;
        loop->terminating = true;
        (void) notify_manager("STOPPING=1\nSTATUS=Draining");
        r = sd_event_add_time_relative(loop->event, NULL, CLOCK_MONOTONIC, LOOP_EXIT_TIMEOUT_USEC, 0,
                                       on_exit_timeout, loop);
        if (r < 0) {
                /* No net below the drain: end without it. */
                loop_exit(loop, EXIT_SUCCESS);
                return;
        }
        loop->handler->terminate(loop->userdata);
}

static void loop_reload(Loop *loop)
{
        char text[64];

        if (loop->terminating)
                return;
        (void) snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, monotonic_usec());
        (void) notify_manager(text);
        loop->handler->reload(loop->userdata);
        say_ready(loop, "READY=1");
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
        Loop *loop = userdata;

        switch (info->ssi_signo) {
        case SIGHUP:
                loop_reload(loop);
                break;
        case SIGUSR1:
                if (!loop->terminating && loop->handler->rotate)
                        loop->handler->rotate(loop->userdata);
                break;
        default:
                loop_terminate(loop);
        }
        return 0;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
        Loop *loop = userdata;

        feed_watchdog(loop);
        if (loop->ready_owed)
                say_ready(loop, "READY=1");
        if (loop->handler->tick)
                loop->handler->tick(loop->userdata);
        if (++loop->ticks % LOOP_TRIM_TICKS == 0)
                (void) malloc_trim(0);
        return sd_event_source_set_time_relative(source, LOOP_TICK_USEC);
}

static int loop_add_signals(Loop *loop)
{
        static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
        sigset_t mask;

        sigemptyset(&mask);
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                sigaddset(&mask, signals[i]);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                sd_event_source *source = NULL;
                int r = sd_event_add_signal(loop->event, &source, signals[i], on_signal, loop);

                if (r < 0)
                        return r;
                r = sd_event_source_set_priority(source, LOOP_SIGNAL);
                if (r >= 0)
                        r = sd_event_source_set_floating(source, true);
                sd_event_source_unref(source);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int loop_add_tick(Loop *loop)
{
        sd_event_source *source = NULL;
        int r = sd_event_add_time_relative(loop->event, &source, CLOCK_MONOTONIC, LOOP_TICK_USEC,
                                           LOOP_TICK_ACCURACY_USEC, on_tick, loop);

        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(source, SD_EVENT_ON);
        if (r >= 0)
                r = sd_event_source_set_priority(source, LOOP_STATUS);
        if (r >= 0)
                r = sd_event_source_set_exit_on_failure(source, true);
        if (r >= 0)
                r = sd_event_source_set_floating(source, true);
        sd_event_source_unref(source);
        return r < 0 ? r : 0;
}

int loop_new(const LoopHandler *handler, void *userdata, Loop **ret)
{
        _cleanup_(loop_freep) Loop *loop = calloc(1, sizeof *loop);
        int r;

        if (!loop)
                return -ENOMEM;
        loop->handler = handler;
        loop->userdata = userdata;
        r = sd_event_new(&loop->event);
        if (r < 0)
                return r;
        r = sd_watchdog_enabled(false, &loop->watchdog_usec);
        if (r < 0)
                return r;
        r = loop_add_signals(loop);
        if (r < 0)
                return r;
        r = loop_add_tick(loop);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(loop);
        return 0;
}

Loop *loop_free(Loop *loop)
{
        if (!loop)
                return NULL;
        sd_event_unref(loop->event);
        free(loop);
        return NULL;
}

sd_event *loop_event(Loop *loop)
{
        return loop->event;
}

int loop_run(Loop *loop)
{
        say_ready(loop, "READY=1\nSTATUS=Started");
        return sd_event_loop(loop->event);
}

void loop_exit(Loop *loop, int code)
{
        (void) sd_event_exit(loop->event, code);
}

bool loop_terminating(const Loop *loop)
{
        return loop->terminating;
}
