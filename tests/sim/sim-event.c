/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* As much of sd-event as the shipping code uses. A process has one loop; sources run by priority, those of
 * equal priority in random order, one at a time, whenever the world says that this process is next.
 */

#include "sim.h"
#include "sim-event.h"

#undef NDEBUG
#include <assert.h>

struct sd_event {
        Process *process;
        sd_event_source *sources;
        sd_event_source *dispatching;
        bool condemned; /* the one being dispatched has freed itself */
};

struct sd_event_source {
        sd_event *event;
        sd_event_source *next;
        enum { SOURCE_IO, SOURCE_TIME, SOURCE_DEFER } type;
        int enabled;
        int64_t priority;
        int fd;
        bool fd_owned;
        uint32_t events;
        uint64_t usec;
        sd_event_io_handler_t on_io;
        sd_event_time_handler_t on_time;
        sd_event_handler_t on_defer;
        void *userdata;
};

sd_event *sim_event_new(Process *process)
{
        sd_event *event = calloc(1, sizeof *event);

        assert(event);
        event->process = process;
        return event;
}

void sim_event_free(sd_event *event)
{
        while (event && event->sources)
                (void) sd_event_source_disable_unref(event->sources);
        free(event);
}

Process *sim_event_process(const sd_event *event)
{
        return event->process;
}

static uint32_t io_events(const sd_event_source *source)
{
        /* A hang-up is told also when nothing is asked for. */
        return sim_net_ready(source->fd) & (source->events | EPOLLHUP | EPOLLERR);
}

static bool is_ready(const sd_event_source *source)
{
        if (source->enabled == SD_EVENT_OFF)
                return false;
        switch (source->type) {
        case SOURCE_DEFER:
                return true;
        case SOURCE_TIME:
                return source->usec <= sim.now;
        default:
                return io_events(source) != 0;
        }
}

sd_event_source *sim_event_ready(sd_event *event)
{
        sd_event_source *best = NULL;
        unsigned n = 0;

        for (sd_event_source *s = event->sources; s; s = s->next) {
                if ((best && s->priority > best->priority) || !is_ready(s))
                        continue;
                n = best && s->priority == best->priority ? n + 1 : 1;
                if (sim_below(n) == 0)
                        best = s;
        }
        return best;
}

void sim_event_dispatch(sd_event_source *source)
{
        sd_event *event = source->event;
        int r = 0;

        event->dispatching = source;
        event->condemned = false;
        if (source->enabled == SD_EVENT_ONESHOT)
                source->enabled = SD_EVENT_OFF;
        switch (source->type) {
        case SOURCE_IO:
                r = source->on_io(source, source->fd, io_events(source), source->userdata);
                break;
        case SOURCE_TIME:
                r = source->on_time(source, source->usec, source->userdata);
                break;
        case SOURCE_DEFER:
                r = source->on_defer(source, source->userdata);
                break;
        }
        /* What sd-event does with a source that fails. */
        if (r < 0 && !event->condemned)
                source->enabled = SD_EVENT_OFF;
        event->dispatching = NULL;
        if (event->condemned)
                free(source);
}

void sim_event_abandon(sd_event *event)
{
        if (event->condemned)
                free(event->dispatching);
        event->dispatching = NULL;
        event->condemned = false;
}

uint64_t sim_event_next(const sd_event *event)
{
        uint64_t next = USEC_INFINITY;

        for (const sd_event_source *s = event->sources; s; s = s->next)
                if (s->type == SOURCE_TIME && s->enabled != SD_EVENT_OFF)
                        next = MIN(next, s->usec);
        return next;
}

/* --- The library's functions --- */

static sd_event_source *add(sd_event *event, sd_event_source **ret, void *userdata)
{
        sd_event_source *source = calloc(1, sizeof *source);

        assert(source);
        source->event = event;
        source->userdata = userdata;
        source->enabled = SD_EVENT_ONESHOT;
        source->fd = -EBADF;
        source->next = event->sources;
        event->sources = source;
        *ret = source;
        return source;
}

int sd_event_add_io(sd_event *event, sd_event_source **ret, int fd, uint32_t events,
                    sd_event_io_handler_t callback, void *userdata)
{
        sd_event_source *source = add(event, ret, userdata);

        source->type = SOURCE_IO;
        source->enabled = SD_EVENT_ON;
        source->fd = fd;
        source->events = events;
        source->on_io = callback;
        return 0;
}

int sd_event_add_time(sd_event *event, sd_event_source **ret, clockid_t clock, uint64_t usec,
                      uint64_t accuracy, sd_event_time_handler_t callback, void *userdata)
{
        sd_event_source *source = add(event, ret, userdata);

        source->type = SOURCE_TIME;
        source->usec = usec;
        source->on_time = callback;
        return 0;
}

int sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock, uint64_t usec,
                               uint64_t accuracy, sd_event_time_handler_t callback, void *userdata)
{
        return sd_event_add_time(event, ret, clock, sim.now + usec, accuracy, callback, userdata);
}

int sd_event_add_defer(sd_event *event, sd_event_source **ret, sd_event_handler_t callback, void *userdata)
{
        sd_event_source *source = add(event, ret, userdata);

        source->type = SOURCE_DEFER;
        source->on_defer = callback;
        return 0;
}

sd_event_source *sd_event_source_unref(sd_event_source *source)
{
        sd_event_source **p;

        if (!source)
                return NULL;
        for (p = &source->event->sources; *p != source; p = &(*p)->next)
                assert(*p);
        *p = source->next;
        if (source->fd_owned)
                (void) close(source->fd);
        if (source->event->dispatching == source)
                source->event->condemned = true;
        else
                free(source);
        return NULL;
}

sd_event_source *sd_event_source_disable_unref(sd_event_source *source)
{
        return sd_event_source_unref(source);
}

int sd_event_source_set_enabled(sd_event_source *source, int enabled)
{
        source->enabled = enabled;
        return 0;
}

int sd_event_source_set_time(sd_event_source *source, uint64_t usec)
{
        source->usec = usec;
        return 0;
}

int sd_event_source_set_priority(sd_event_source *source, int64_t priority)
{
        source->priority = priority;
        return 0;
}

int sd_event_source_set_description(sd_event_source *source, const char *description)
{
        return 0;
}

int sd_event_source_set_io_events(sd_event_source *source, uint32_t events)
{
        source->events = events;
        return 0;
}

int sd_event_source_set_io_fd_own(sd_event_source *source, int own)
{
        source->fd_owned = own;
        return 0;
}

int sd_event_source_get_io_fd(sd_event_source *source)
{
        return source->fd;
}

sd_event *sd_event_source_get_event(sd_event_source *source)
{
        return source->event;
}

int sd_event_now(sd_event *event, clockid_t clock, uint64_t *ret)
{
        *ret = sim.now;
        return 0;
}

sd_event *sd_event_ref(sd_event *event)
{
        return event;
}

sd_event *sd_event_unref(sd_event *event)
{
        return NULL;
}
