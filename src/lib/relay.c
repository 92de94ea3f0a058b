/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The public face of a subscription: settings, life, and the loop of its two halves: make an item of what is
 * here; if there is nothing, do I/O.
 */

#include "lib/relay.h"
#include "lib/listen-fds.h"

#include <stdio.h>
#include <sys/socket.h>

#define SUBSCRIBE_SOCKET "/run/audit-relay/subscribe"
/* Batches that make no item, taken in one call before the caller has a turn. */
#define BATCHES_TURN 256U

/* --- Settings --- */

static int set_text(AuditRelay *relay, char **text, const char *value)
{
        char *copy;

        if (relay->begun)
                return -EISCONN;
        copy = strdup(value);
        if (!copy)
                return -ENOMEM;
        free(*text);
        *text = copy;
        return 0;
}

_public_ int audit_relay_set_name(AuditRelay *relay, const char *name)
{
        static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:";
        size_t size = strlen(name);

        if (size == 0 || size > NODE_NAME_MAX || strspn(name, allowed) != size)
                return -EINVAL;
        return set_text(relay, &relay->name, name);
}

_public_ int audit_relay_set_filter(AuditRelay *relay, const char *types)
{
        /* As much as a HELLO has room for beside its names. */
        if (strlen(types) > LINK_BODY_MAX / 2)
                return -EINVAL;
        return set_text(relay, &relay->filter, types);
}

_public_ int audit_relay_set_start(AuditRelay *relay, AuditRelayStart start)
{
        if (start != AUDIT_RELAY_OLDEST && start != AUDIT_RELAY_NOW)
                return -EINVAL;
        if (relay->begun)
                return -EISCONN;
        relay->start = start;
        return 0;
}

_public_ int audit_relay_set_cursor(AuditRelay *relay, const AuditRelayCursor *cursor)
{
        /* The largest number is none. */
        if (cursor->seq == UINT64_MAX)
                return -EINVAL;
        if (relay->begun)
                return -EISCONN;
        relay->acked = relay->given = relay->taken = relay->arrived = relay->base = *cursor;
        relay->positioned = true;
        return 0;
}

_public_ int audit_relay_set_unit(AuditRelay *relay, AuditRelayKind unit)
{
        if (unit != AUDIT_RELAY_BATCH && unit != AUDIT_RELAY_RECORD && unit != AUDIT_RELAY_EVENT)
                return -EINVAL;
        if (relay->begun)
                return -EISCONN;
        /* Keys are those of events. */
        if (relay->keys.n > 0 && unit != AUDIT_RELAY_EVENT)
                return -EINVAL;
        relay->unit = unit;
        return 0;
}

_public_ int audit_relay_set_event_limits(AuditRelay *relay, size_t events, size_t bytes,
                                          uint64_t timeout_usec)
{
        if (events == 0 || bytes == 0)
                return -EINVAL;
        if (relay->begun)
                return -EISCONN;
        relay->limits = (EventLimits) { .events = events, .bytes = bytes, .timeout_usec = timeout_usec };
        return 0;
}

_public_ int audit_relay_add_key(AuditRelay *relay, const char *key)
{
        if (relay->begun)
                return -EISCONN;
        relay->unit = AUDIT_RELAY_EVENT;
        return keys_add(&relay->keys, key);
}

_public_ int audit_relay_set_auto_ack(AuditRelay *relay, int on)
{
        if (relay->begun)
                return -EISCONN;
        relay->auto_ack = on != 0;
        return 0;
}

_public_ int audit_relay_set_commands(AuditRelay *relay, unsigned flags)
{
        if (flags & ~(AUDIT_RELAY_SEND_COMMANDS | AUDIT_RELAY_TAKE_COMMANDS))
                return -EINVAL;
        if (relay->begun)
                return -EISCONN;
        relay->commands = flags;
        return 0;
}

/* --- Connecting --- */

static int begin(AuditRelay *relay)
{
        if (relay->begun)
                return -EISCONN;
        if (relay->unit == AUDIT_RELAY_EVENT) {
                int r = events_new(&relay->limits, &relay->keys, &relay->events);

                if (r < 0)
                        return r;
        }
        relay->begun = true;
        return 0;
}

_public_ int audit_relay_connect(AuditRelay *relay, const char *path)
{
        int r = begin(relay);

        if (r < 0)
                return r;
        relay->pull = true;
        relay->wire.path = strdup(path ? path : SUBSCRIBE_SOCKET);
        if (!relay->wire.path)
                return -ENOMEM;
        r = wire_connect(&relay->wire);
        if (r < 0)
                (void) snprintf(relay->wire.why, sizeof relay->wire.why, "%s: %s", relay->wire.path,
                                strerror(-r));
        return r;
}

_public_ int audit_relay_listen(AuditRelay *relay, int fd)
{
        socklen_t size = sizeof(int);
        int listening = 0, r = begin(relay);

        if (r >= 0 && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0)
                r = -errno;
        if (r < 0) {
                close_fd(fd);
                return r;
        }
        listen_fd_prepare(fd);
        return listening ? wire_listen(&relay->wire, fd) : wire_take(&relay->wire, fd);
}

_public_ int audit_relay_activated(AuditRelay *relay, const char *name)
{
        int fd = listen_fd_take(name), r;

        if (fd == -ENOENT)
                return 0;
        r = fd < 0 ? fd : audit_relay_listen(relay, fd);
        return r < 0 ? r : 1;
}

/* --- Running --- */

_public_ int audit_relay_fd(const AuditRelay *relay)
{
        return relay->wire.epoll;
}

_public_ const char *audit_relay_why(const AuditRelay *relay)
{
        return relay->wire.why;
}

/* Before it is the caller's turn to wait. */
static int rest(AuditRelay *relay, uint64_t now_usec, bool more)
{
        uint64_t deadline_usec = relay->events ? events_deadline(relay->events) : USEC_INFINITY;

        items_settle(relay);
        /* An error of the connection is found by the next read. */
        (void) session_flush(relay, now_usec);
        wire_arm(&relay->wire, more ? 0 : deadline_usec);
        return 0;
}

_public_ int audit_relay_process(AuditRelay *relay, const AuditRelayItem **ret)
{
        uint64_t now_usec = wire_now();

        *ret = NULL;
        items_forget(relay);
        if (relay->auto_ack && relay->outstanding)
                items_ack(relay, &relay->given);
        /* A caller who is busy with items is alive. */
        if (now_usec - relay->told_usec >= LINK_REPEAT_USEC / 2)
                (void) session_flush(relay, now_usec);
        for (unsigned n = 0; n < BATCHES_TURN; n++) {
                int r = items_next(relay, now_usec);

                if (r > 0)
                        *ret = &relay->item;
                if (r != 0)
                        return r;
                items_settle(relay);
                r = session_run(relay, 0, now_usec);
                /* What is still held is given out first. */
                if (r < 0 && !(relay->events && events_deadline(relay->events) != USEC_INFINITY))
                        return r;
                if (!items_waiting(relay))
                        return rest(relay, now_usec, false);
        }
        return rest(relay, now_usec, true);
}

_public_ int audit_relay_next(AuditRelay *relay, uint64_t timeout_usec, const AuditRelayItem **ret)
{
        uint64_t now = wire_now(),
                 deadline = timeout_usec > USEC_INFINITY - now ? USEC_INFINITY : now + timeout_usec;

        for (;;) {
                int r = audit_relay_process(relay, ret);

                if (r != 0)
                        return r;
                if (wire_now() >= deadline)
                        return 0;
                r = wire_wait(&relay->wire, deadline);
                if (r < 0)
                        return r;
        }
}

_public_ int audit_relay_ack(AuditRelay *relay, const AuditRelayCursor *cursor)
{
        items_ack(relay, cursor);
        return 0;
}

/* --- Life --- */

_public_ int audit_relay_new(AuditRelay **ret)
{
        AuditRelay *relay = calloc(1, sizeof *relay);
        int r;

        if (!relay)
                return -ENOMEM;
        relay->start = AUDIT_RELAY_NOW;
        relay->unit = AUDIT_RELAY_RECORD;
        relay->auto_ack = true;
        relay->limits =
                (EventLimits) { .events = 1024, .bytes = 4U << 20, .timeout_usec = 2 * USEC_PER_SEC };
        relay->queue = BUFFER_INIT(RELAY_QUEUE_MAX);
        relay->receiver.state = LINK_RECEIVER_ENDED;
        TAILQ_INIT(&relay->messages);
        r = wire_init(&relay->wire, RELAY_INPUT_MAX, RELAY_OUTPUT_MAX);
        if (r >= 0) {
                relay->n_records_allocated = 1;
                relay->records = calloc(1, sizeof *relay->records);
                r = relay->records ? 0 : -ENOMEM;
        }
        if (r >= 0)
                r = audit_relay_set_name(relay, program_invocation_short_name);
        /* A program may be called as it likes. */
        if (r == -EINVAL)
                r = audit_relay_set_name(relay, "plugin");
        if (r < 0) {
                audit_relay_free(relay);
                return r;
        }
        *ret = relay;
        return 0;
}

_public_ AuditRelay *audit_relay_free(AuditRelay *relay)
{
        Message *message;

        if (!relay)
                return NULL;
        if (session_connected(relay)) {
                (void) session_flush(relay, wire_now());
                (void) link_receiver_end(&relay->receiver, &relay->wire.output, LINK_BYE_ENDING, 0,
                                         "the plugin ends");
                (void) wire_flush(&relay->wire);
        }
        items_forget(relay);
        while ((message = TAILQ_FIRST(&relay->messages))) {
                TAILQ_REMOVE(&relay->messages, message, messages);
                message_free(message);
        }
        events_free(relay->events);
        keys_done(&relay->keys);
        link_receiver_done(&relay->receiver);
        wire_done(&relay->wire);
        buffer_done(&relay->queue);
        free(relay->records);
        free(relay->name);
        free(relay->filter);
        free(relay);
        return NULL;
}

/* --- Looking into records --- */

static RecordSlice text_of(const AuditRelayRecord *record)
{
        return (RecordSlice) { (const uint8_t *) record->text, record->text_size };
}

_public_ int audit_relay_field(const AuditRelayRecord *record, const char *name, char *value, size_t size)
{
        Field field;

        if (!field_find(text_of(record), name, &field))
                return -ENOENT;
        if (field.value.size >= size)
                return -ENOBUFS;
        memcpy(value, field.value.data, field.value.size);
        value[field.value.size] = '\0';
        return (int) field.value.size;
}

_public_ int audit_relay_next_field(const AuditRelayRecord *record, AuditRelayField *field)
{
        Field found;

        if (!field_next(text_of(record), &field->offset, &found))
                return 0;
        field->name = (const char *) found.name.data;
        field->name_size = found.name.size;
        field->value = (const char *) found.value.data;
        field->value_size = found.value.size;
        field->quoted = found.quoted;
        return 1;
}

_public_ int audit_relay_decode(const char *text, char *value, size_t size)
{
        RecordSlice slice = { (const uint8_t *) text, strlen(text) };
        ssize_t n = size > 0 ? field_decode(slice, (uint8_t *) value, size - 1) : -ENOBUFS;

        if (n >= 0)
                value[n] = '\0';
        return (int) n;
}
