/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Two lists: `held`, the events that are waiting, in the order in which they began; and `ready`, those that
 * have ended and before which none is held. Only what is held counts against the limits: `ready` is taken
 * out before the next batch goes in.
 *
 *  1. Each record that was pushed comes out in exactly one event, in the order of arrival within it; EOE,
 * which has no text, and events without a wanted key come out in none.
 *  2. Events come out in the order of their first records.
 *  3. In the table are exactly those that have not ended: a record that comes after its event has ended
 * begins another one of the same id. An EOE that comes then has nothing to end (PROCTITLE, which is last
 * before it, has done so).
 *  4. The origin is part of the id: what a local producer says is never taken for a part of a kernel's
 * event.
 */

#include "lib/events.h"

#include <libaudit.h>

/* A chain has one event on the average when as many are held as the default allows. */
#define BUCKETS 1024U
#define LINES_FIRST 512U

TAILQ_HEAD(EventList, Event);

struct Events {
        EventLimits limits;
        const Keys *keys;
        struct EventList held, ready;
        size_t n_held, bytes_held;
        Event *buckets[BUCKETS];
};

/* auditd's rule (ausearch and auparse have the same). */
static bool ends_event(uint32_t type)
{
        return type == AUDIT_EOE || type == AUDIT_PROCTITLE || type == AUDIT_KERNEL ||
               (type >= AUDIT_USER && type < AUDIT_FIRST_EVENT && type != AUDIT_LOGIN) ||
               (type >= AUDIT_MAC_UNLBL_ALLOW && type <= AUDIT_MAC_CALIPSO_DEL) ||
               type >= AUDIT_FIRST_USER_MSG2;
}

Event *event_free(Event *event)
{
        if (event) {
                free(event->lines);
                free(event);
        }
        return NULL;
}

/* --- The table --- */

static Event **bucket_of(Events *events, const EventId *id)
{
        /* Serials count up: neighbours spread over the table. */
        return &events->buckets[(id->time.serial + id->origin) % BUCKETS];
}

static bool id_equal(const EventId *a, const EventId *b)
{
        return a->time.serial == b->time.serial && a->time.sec == b->time.sec &&
               a->time.msec == b->time.msec && a->origin == b->origin && a->node_size == b->node_size &&
               memcmp(a->node, b->node, a->node_size) == 0;
}

static Event *find(Events *events, const EventId *id)
{
        for (Event *event = *bucket_of(events, id); event; event = event->bucket_next)
                if (id_equal(&event->id, id))
                        return event;
        return NULL;
}

static void end_event(Events *events, Event *event, AuditRelayEnd how)
{
        Event **place = bucket_of(events, &event->id);

        while (*place != event)
                place = &(*place)->bucket_next;
        *place = event->bucket_next;
        event->ended = how;
}

/* --- From held to ready --- */

static void let_go(Events *events, Event *event)
{
        TAILQ_REMOVE(&events->held, event, events);
        events->n_held--;
        events->bytes_held -= event->size;
        if (events->keys->n > 0 && !event->wanted)
                event_free(event);
        else
                TAILQ_INSERT_TAIL(&events->ready, event, events);
}

static void settle(Events *events, uint64_t now_usec)
{
        Event *event;

        while ((event = TAILQ_FIRST(&events->held))) {
                if (!event->ended && now_usec - event->began_usec >= events->limits.timeout_usec)
                        end_event(events, event, AUDIT_RELAY_TIMED_OUT);
                else if (!event->ended && (events->n_held > events->limits.events ||
                                           events->bytes_held > events->limits.bytes))
                        end_event(events, event, AUDIT_RELAY_CUT);
                if (!event->ended)
                        return;
                let_go(events, event);
        }
}

/* --- From records to held --- */

static int begin_event(Events *events, const EventId *id, const AuditRelayCursor *before, uint64_t now_usec,
                       Event **ret)
{
        Event *event = calloc(1, sizeof *event), **bucket = bucket_of(events, id);

        if (!event)
                return -ENOMEM;
        event->id = *id;
        event->before = *before;
        event->began_usec = now_usec;
        event->bucket_next = *bucket;
        *bucket = event;
        TAILQ_INSERT_TAIL(&events->held, event, events);
        events->n_held++;
        *ret = event;
        return 0;
}

static int add_line(Events *events, Event *event, const uint8_t *line, size_t size)
{
        if (event->allocated - event->size < size) {
                size_t allocated = MAX(MAX(2 * event->allocated, event->size + size), (size_t) LINES_FIRST);
                uint8_t *lines = realloc(event->lines, allocated);

                if (!lines)
                        return -ENOMEM;
                event->lines = lines;
                event->allocated = allocated;
        }
        memcpy(event->lines + event->size, line, size);
        event->size += size;
        events->bytes_held += size;
        event->n_records++;
        return 0;
}

static RecordSlice text_of(const uint8_t *line, size_t size, const RecordPrefix *prefix)
{
        const uint8_t *end = line + size - 1, *p = prefix->type.data;

        /* The prefix was parsed: its "):" is there. */
        while (p < end && !(p[0] == ')' && p[1] == ':'))
                p++;
        p = MIN(p + 2, end);
        return (RecordSlice) { p, (size_t) (end - p) };
}

int events_push(Events *events, BatchOrigin origin, const uint8_t *line, size_t size,
                const AuditRelayCursor *before, uint64_t now_usec)
{
        EventId id = { .origin = origin };
        RecordPrefix prefix;
        uint32_t type;
        Event *event;
        int r = 0;

        if (size == 0 || record_parse(line, size, &prefix) != RECORD_OK)
                return -EBADMSG;
        id.time = prefix.time;
        id.node_size = (uint8_t) prefix.node.size;
        if (id.node_size > 0)
                memcpy(id.node, prefix.node.data, id.node_size);
        type = type_number(prefix.type);
        event = find(events, &id);
        if (type == AUDIT_EOE) {
                if (event)
                        end_event(events, event, AUDIT_RELAY_COMPLETE);
                settle(events, now_usec);
                return 0;
        }
        if (!event)
                r = begin_event(events, &id, before, now_usec, &event);
        if (r >= 0)
                r = add_line(events, event, line, size);
        if (r < 0)
                return r;
        event->wanted = event->wanted || (events->keys->n > 0 &&
                                          keys_match(events->keys, type, text_of(line, size, &prefix)));
        if (ends_event(type))
                end_event(events, event, AUDIT_RELAY_COMPLETE);
        else if (event->n_records == EVENT_RECORDS_MAX)
                end_event(events, event, AUDIT_RELAY_CUT);
        settle(events, now_usec);
        return 0;
}

/* --- Out --- */

Event *events_pop(Events *events, uint64_t now_usec)
{
        Event *event;

        settle(events, now_usec);
        event = TAILQ_FIRST(&events->ready);
        if (event)
                TAILQ_REMOVE(&events->ready, event, events);
        return event;
}

bool events_before(const Events *events, AuditRelayCursor *ret)
{
        const Event *event = TAILQ_FIRST(&events->ready);

        if (!event)
                event = TAILQ_FIRST(&events->held);
        if (event)
                *ret = event->before;
        return event != NULL;
}

uint64_t events_deadline(const Events *events)
{
        const Event *event = TAILQ_FIRST(&events->held);

        if (!TAILQ_EMPTY(&events->ready))
                return 0;
        if (!event || events->limits.timeout_usec > USEC_INFINITY - event->began_usec)
                return USEC_INFINITY;
        return event->began_usec + events->limits.timeout_usec;
}

/* --- Life --- */

int events_new(const EventLimits *limits, const Keys *keys, Events **ret)
{
        Events *events = calloc(1, sizeof *events);

        if (!events)
                return -ENOMEM;
        events->limits = *limits;
        events->keys = keys;
        TAILQ_INIT(&events->held);
        TAILQ_INIT(&events->ready);
        *ret = events;
        return 0;
}

static void list_free(struct EventList *list)
{
        Event *event;

        while ((event = TAILQ_FIRST(list))) {
                TAILQ_REMOVE(list, event, events);
                event_free(event);
        }
}

Events *events_free(Events *events)
{
        if (events) {
                list_free(&events->held);
                list_free(&events->ready);
                free(events);
        }
        return NULL;
}
