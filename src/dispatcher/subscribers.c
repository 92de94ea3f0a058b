/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The subscribers that subscribers.d/ names: reading the files, following their changes, telling how each is
 * doing.
 *
 *  1. The ring waits for exactly the subscribers that the configuration names with Overflow=block: who
 *     leaves it is forgotten, also when that happened while no dispatcher ran.
 *  2. All files are read before anything is touched: one that is wrong changes nothing.
 *  3. Whose file says what it said before runs on.
 */

#include "dispatcher/subscribers.h"
#include "dispatcher/subscriber.h"
#include "runtime/config.h"
#include "runtime/log.h"

#include <inttypes.h>
#include <stdio.h>

struct Subscribers {
        SubscribersOptions options;
        char *node;
        Subscriber **list;
        size_t n;
};

/* --- Loading --- */

typedef struct ConfigList {
        SubscriberConfig *items;
        size_t n;
} ConfigList;

static void config_list_done(ConfigList *list)
{
        for (size_t i = 0; i < list->n; i++)
                subscriber_config_done(&list->items[i]);
        free(list->items);
}

static SubscriberConfig *find_config(const ConfigList *list, const char *name)
{
        for (size_t i = 0; i < list->n; i++)
                if (list->items[i].name && strcmp(list->items[i].name, name) == 0)
                        return &list->items[i];
        return NULL;
}

static Subscriber *find(const Subscribers *subscribers, const char *name)
{
        for (size_t i = 0; i < subscribers->n; i++)
                if (strcmp(subscriber_config(subscribers->list[i])->name, name) == 0)
                        return subscribers->list[i];
        return NULL;
}

static int read_files(const Subscribers *subscribers, ConfigList *ret)
{
        _cleanup_(strings_freep) char **paths = NULL;
        int r = config_list("subscribers.d", subscribers->options.directory, &paths);

        if (r < 0)
                return r;
        ret->items = calloc(strings_count(paths) + 1, sizeof *ret->items);
        if (!ret->items)
                return -ENOMEM;
        for (; r >= 0 && ret->n < strings_count(paths); ret->n++)
                r = subscriber_config_load(paths[ret->n], &ret->items[ret->n]);
        return r;
}

/* Those that the ring keeps and the configuration does not want it to. */
static void forget_others(Subscribers *subscribers)
{
        Ring *ring = subscribers->options.ring;

        for (unsigned i = 0; i < RING_KEPT_MAX; i++) {
                const char *name = ring_kept(ring, i);
                const Subscriber *subscriber = name ? find(subscribers, name) : NULL;

                if (!name || (subscriber && subscriber_is_kept(subscriber)))
                        continue;
                log_notice("The ring forgets %s: it left the configuration", name);
                ring_forget(ring, name);
        }
}

/* Ends those that are gone or have changed; what is left of `wanted` is to begin. */
static void keep_unchanged(Subscribers *subscribers, const ConfigList *wanted)
{
        size_t kept = 0;

        for (size_t i = 0; i < subscribers->n; i++) {
                Subscriber *subscriber = subscribers->list[i];
                const SubscriberConfig *config = subscriber_config(subscriber);
                SubscriberConfig *now = find_config(wanted, config->name);

                if (now && subscriber_config_equal(config, now)) {
                        subscriber_config_done(now);
                        subscribers->list[kept++] = subscriber;
                } else {
                        subscriber_free(subscriber);
                }
        }
        subscribers->n = kept;
}

static int begin(Subscribers *subscribers, const ConfigList *wanted)
{
        const SubscriberOptions options = {
                .event = subscribers->options.event,
                .ring = subscribers->options.ring,
                .commands = subscribers->options.commands,
                .node = subscribers->node,
                .acked = subscribers->options.acked,
                .userdata = subscribers->options.userdata,
        };
        int result = 0;

        for (size_t i = 0; i < wanted->n; i++) {
                _cleanup_(freep) char *name = wanted->items[i].name ? strdup(wanted->items[i].name) : NULL;
                int r;

                if (!wanted->items[i].name)
                        continue; /* it runs already */
                r = subscriber_new(&options, &wanted->items[i], &subscribers->list[subscribers->n]);
                if (r >= 0) {
                        subscribers->n++;
                        continue;
                }
                log_error("Cannot send to the subscriber %s: %s", name ? name : "(no memory)",
                          r == -ENOBUFS ? "the ring waits for too many already" : strerror(-r));
                result = r;
        }
        return result;
}

static int replace(Subscribers *subscribers, const ConfigList *wanted)
{
        Subscriber **list = reallocarray(subscribers->list, wanted->n + subscribers->n + 1, sizeof *list);
        int r;

        if (!list)
                return -ENOMEM;
        subscribers->list = list;
        keep_unchanged(subscribers, wanted);
        r = begin(subscribers, wanted);
        forget_others(subscribers);
        subscribers->options.acked(subscribers->options.userdata);
        return r;
}

int subscribers_load(Subscribers *subscribers)
{
        _cleanup_(config_list_done) ConfigList wanted = { 0 };
        int r = read_files(subscribers, &wanted);

        return r < 0 ? r : replace(subscribers, &wanted);
}

/* --- What the dispatcher calls --- */

void subscribers_wake(Subscribers *subscribers)
{
        for (size_t i = 0; i < subscribers->n; i++)
                subscriber_wake(subscribers->list[i]);
}

bool subscribers_pending(const Subscribers *subscribers)
{
        RingStatus status;

        ring_status(subscribers->options.ring, &status);
        for (size_t i = 0; i < subscribers->n; i++)
                if (subscriber_pending(subscribers->list[i], status.newest))
                        return true;
        return false;
}

bool subscribers_end(Subscribers *subscribers)
{
        bool gone = true;

        for (size_t i = 0; i < subscribers->n; i++)
                gone = subscriber_end(subscribers->list[i]) && gone;
        return gone;
}

/* --- How they are doing --- */

/* Of those that are dropping: their names, and what they have lost. */
static unsigned list_dropping(const Subscribers *subscribers, char *names, size_t size,
                              uint64_t *ret_dropped)
{
        unsigned n = 0;
        size_t used = 0;

        names[0] = '\0';
        *ret_dropped = 0;
        for (size_t i = 0; i < subscribers->n; i++) {
                const SubscriberStatus *status = subscriber_status(subscribers->list[i]);

                if (!status->dropping)
                        continue;
                if (used < size)
                        used += (size_t) snprintf(names + used, size - used, "%s%s", n > 0 ? " " : "",
                                                  subscriber_config(subscribers->list[i])->name);
                *ret_dropped += status->feed.dropped;
                n++;
        }
        return n;
}

void subscribers_tick(Subscribers *subscribers)
{
        State *state = subscribers->options.state;
        char names[256], reason[512], keys[512];
        bool more = false;
        uint64_t dropped;
        RingStatus ring;
        unsigned n;

        ring_status(subscribers->options.ring, &ring);
        for (size_t i = 0; i < subscribers->n; i++)
                more = subscriber_tick(subscribers->list[i], ring.newest)->more || more;
        n = list_dropping(subscribers, names, sizeof names, &dropped);
        if (n == 0) {
                state_clear(state, "subscriber_dropping");
        } else if (more || !state_holds(state, "subscriber_dropping")) {
                (void) snprintf(reason, sizeof reason, "Dropping records for %s, which %s too slow", names,
                                n == 1 ? "is" : "are");
                (void) snprintf(keys, sizeof keys, "SUBSCRIBER=%s\nDROPPED=%" PRIu64, names, dropped);
                state_raise(state, "subscriber_dropping", reason, keys);
        }
}

/* "remote acked, siem 512 behind" */
static void describe(const Subscribers *subscribers, char *out, size_t size)
{
        size_t used = 0;

        out[0] = '\0';
        for (size_t i = 0; i < subscribers->n && used < size; i++) {
                const SubscriberStatus *status = subscriber_status(subscribers->list[i]);
                const char *name = subscriber_config(subscribers->list[i])->name;

                if (status->known && status->lag == 0)
                        used += (size_t) snprintf(out + used, size - used, ", %s acked", name);
                else if (status->connected)
                        used += (size_t) snprintf(out + used, size - used, ", %s %" PRIu64 " behind", name,
                                                  status->lag);
                else
                        used += (size_t) snprintf(out + used, size - used, ", %s away", name);
        }
}

typedef struct Metric {
        const char *name;
        const char *help;
        bool counter;
        size_t offset; /* of a uint64_t in the status */
} Metric;

#define METRIC(name, help, counter, field)                                                                  \
        {                                                                                                   \
                name, help, counter, offsetof(SubscriberStatus, field)                                      \
        }

static const Metric metrics[] = {
        METRIC("subscriber_acked_seq", "Last seq in the subscriber's custody", false, acked),
        METRIC("subscriber_lag_records", "Records published and not yet acked by the subscriber", false,
               lag),
        METRIC("subscriber_queued_records", "Records that wait to be sent to the subscriber", false,
               feed.queued_records),
        METRIC("subscriber_queued_bytes", "The same in bytes of the ring", false, feed.queued_bytes),
        METRIC("subscriber_dropped", "Records given up because the subscriber was too slow", true,
               feed.dropped),
        METRIC("subscriber_gaps", "Gaps the subscriber was told of", true, feed.gaps),
        METRIC("subscriber_pressed", "Records left out by the subscriber's PressureFilter=", true,
               feed.pressed),
};

static uint64_t metric_value(const SubscriberStatus *status, const Metric *metric)
{
        uint64_t value;

        memcpy(&value, (const char *) status + metric->offset, sizeof value);
        return value;
}

void subscribers_status(const Subscribers *subscribers, char *out, size_t size)
{
        State *state = subscribers->options.state;

        describe(subscribers, out, size);
        for (size_t m = 0; m < ELEMENTSOF(metrics); m++)
                for (size_t i = 0; i < subscribers->n; i++) {
                        uint64_t value = metric_value(subscriber_status(subscribers->list[i]), &metrics[m]);
                        const char *label = status_label(state, "subscriber",
                                                         subscriber_config(subscribers->list[i])->name);
                        const char *help = i == 0 ? metrics[m].help : NULL;

                        if (metrics[m].counter)
                                status_counter(state, metrics[m].name, label, value, help);
                        else
                                status_gauge(state, metrics[m].name, label, (double) value, help);
                }
        for (size_t i = 0; i < subscribers->n; i++) {
                const char *name = subscriber_config(subscribers->list[i])->name;

                status_gauge(state, "subscriber_connected", status_label(state, "subscriber", name),
                             subscriber_status(subscribers->list[i])->connected,
                             i == 0 ? "Whether the subscriber is connected" : NULL);
        }
}

/* --- Life --- */

int subscribers_new(const SubscribersOptions *options, Subscribers **ret)
{
        _cleanup_(subscribers_freep) Subscribers *subscribers = calloc(1, sizeof *subscribers);

        if (!subscribers)
                return -ENOMEM;
        subscribers->options = *options;
        subscribers->node = strdup(ring_node(options->ring));
        if (!subscribers->node)
                return -ENOMEM;
        *ret = TAKE_PTR(subscribers);
        return 0;
}

Subscribers *subscribers_free(Subscribers *subscribers)
{
        if (!subscribers)
                return NULL;
        for (size_t i = 0; i < subscribers->n; i++)
                subscriber_free(subscribers->list[i]);
        free(subscribers->list);
        free(subscribers->node);
        free(subscribers);
        return NULL;
}
