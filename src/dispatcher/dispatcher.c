/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Owns loop, ring, inputs and subscribers, and knows how they act on each other: what was published wakes
 * the subscribers, what was acked makes room, and little room holds the producers, who can wait, for the
 * sake of the kernel, which cannot.
 *
 *  1. Nothing is sealed and left unpublished when a function here returns to the loop.
 *  2. Producers are held from PRODUCERS_HOLD on, which is ordinary flow control: the rest of the ring is the
 *     kernel's.
 */

#include "dispatcher/dispatcher-private.h"
#include "dispatcher/gap.h"
#include "dispatcher/report.h"
#include "runtime/log.h"

#include <inttypes.h>
#include <stdio.h>

/* Of the ring's bytes held by an awaited subscriber: where ring_low begins and ends. */
#define RING_LOW(size) ((size) / 4 * 3)
#define RING_LOW_END(size) ((size) / 2)
/* Producers held for so long are not merely faster than a subscriber: ring_low says so. */
#define HELD_TICKS 10U
/* Without a further drop for so long, what was dropped is told out of the reserve, also when the ring is
 * still full. */
#define DROP_QUIET_TICKS 5U

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

void dispatcher_published(void *userdata)
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

void dispatcher_acked(void *userdata)
{
        Dispatcher *dispatcher = userdata;

        check_room(dispatcher);
        if (dispatcher->input)
                input_retry(dispatcher->input);
        finish_if_drained(dispatcher);
}

/* Kernel records found no room. */
void dispatcher_dropped(uint64_t n, void *userdata)
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
        dispatcher_published(dispatcher);
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
static bool reload_policy(Dispatcher *dispatcher)
{
        DispatcherConfig config;

        if (dispatcher_config_load(dispatcher->config.path, &config) < 0) {
                log_error("dispatcher.conf is wrong, see above: who may send commands stays as it was");
                return false;
        }
        commands_set_policy(dispatcher->commands, &config.commands);
        dispatcher_config_done(&config);
        return true;
}

static void on_reload(void *userdata)
{
        Dispatcher *dispatcher = userdata;
        bool policy = reload_policy(dispatcher);

        if (subscribers_load(dispatcher->subscribers) < 0)
                log_error("Not all of subscribers.d could be used; see the messages above");
        else if (policy)
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
        r = dispatcher_open_parts(dispatcher, &fds);
        if (r >= 0)
                listen_fds_warn_rest(&fds);
        listen_fds_done(&fds);
        if (r < 0)
                return r;
        if (!dispatcher->kernel && !dispatcher->input)
                log_warning("Nothing to read from, as no socket was handed in: start the kernel's socket unit, or "
                            "set Kernel= or Input=");
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
