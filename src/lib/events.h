/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whole events out of single records: all records of one (origin, node, time, serial). Pure: the clock is
 * handed in.
 *
 * An event ends with its EOE, or with a record that by auditd's rules is alone or the last. What does not
 * end is given out when its time is over, or when more is waiting than the limits allow. Events come out in
 * the order in which they began: one that has ended waits for those that began before it.
 */

#include "basic/batch.h"
#include "lib/audit-relay.h"
#include "lib/fields.h"

#include <sys/queue.h>

/* Records of one event, at most: beyond, it is cut. The kernel makes a few hundred of the longest command
 * line. */
#define EVENT_RECORDS_MAX 4096U

typedef struct EventId {
        BatchOrigin origin;
        RecordTime time;
        uint8_t node_size;
        uint8_t node[NODE_NAME_MAX];
} EventId;

typedef struct Event {
        EventId id;
        AuditRelayEnd ended; /* 0: not yet */
        bool wanted;         /* one of the keys was seen */
        uint64_t began_usec;
        AuditRelayCursor before; /* everything before the event's first batch */
        uint8_t *lines;          /* each with its newline */
        size_t size, allocated;
        size_t n_records;
        TAILQ_ENTRY(Event) events;
        struct Event *bucket_next;
} Event;

typedef struct EventLimits {
        size_t events;
        size_t bytes; /* of lines; the memory for them is at most twice that */
        uint64_t timeout_usec;
} EventLimits;

typedef struct Events Events;

/* `keys` with n > 0: only events that carry one of them come out. Must outlive the object. */
int events_new(const EventLimits *limits, const Keys *keys, Events **ret) _must_check_;
Events *events_free(Events *events);
DEFINE_CLEANUP(Events *, events_free)

/* Takes a line, with its newline. `before`: the cursor at the end of the batch before the line's own.
 * Returns 0; -EBADMSG when it is no record; -ENOMEM. */
int events_push(Events *events, BatchOrigin origin, const uint8_t *line, size_t size,
                const AuditRelayCursor *before, uint64_t now_usec) _must_check_;

/* The next event that is to be given out, owned by the caller, or NULL. */
Event *events_pop(Events *events, uint64_t now_usec);
Event *event_free(Event *event);
DEFINE_CLEANUP(Event *, event_free)

/* Of the oldest event that was not given out yet; false when there is none. */
bool events_before(const Events *events, AuditRelayCursor *ret);

/* When events_pop() will have something without another record; USEC_INFINITY: never. */
uint64_t events_deadline(const Events *events);
