/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Commands that we send and that we are sent, and their answers. */

#include "lib/relay.h"

#include <stdio.h>

Message *message_free(Message *message)
{
        if (message) {
                free(message->verb);
                free(message->text);
                free(message);
        }
        return NULL;
}
DEFINE_CLEANUP(Message *, message_free)

static Message *message_new(AuditRelayKind kind, uint64_t id, LinkString verb, LinkString text)
{
        _cleanup_(message_freep) Message *message = calloc(1, sizeof *message);

        if (!message)
                return NULL;
        message->kind = kind;
        message->id = id;
        message->verb = strndup(verb.size > 0 ? verb.data : "", verb.size);
        message->text = strndup(text.size > 0 ? text.data : "", text.size);
        return message->verb && message->text ? TAKE_PTR(message) : NULL;
}

static void append(AuditRelay *relay, Message *message)
{
        TAILQ_INSERT_TAIL(&relay->messages, message, messages);
        relay->n_messages++;
}

/* The session makes sure that there is room for one. */
void commands_take(AuditRelay *relay, const LinkCommand *command)
{
        Message *message = message_new(AUDIT_RELAY_COMMAND, command->id, command->verb, command->arguments);

        if (message)
                append(relay, message);
        else
                (void) audit_relay_reply(relay, command->id, AUDIT_RELAY_FAILED, "no memory");
}

void commands_take_reply(AuditRelay *relay, const LinkReply *reply)
{
        Message *message = message_new(AUDIT_RELAY_REPLY, reply->id, (LinkString) { 0 }, reply->text);

        /* As if the answer had been lost: that is what a time-out is for. */
        if (!message)
                return;
        message->status = MIN(reply->status, (uint16_t) AUDIT_RELAY_FAILED);
        if (relay->awaited_id != 0 && reply->id == relay->awaited_id) {
                message_free(relay->awaited);
                relay->awaited = message;
        } else {
                append(relay, message);
        }
}

_public_ int audit_relay_command(AuditRelay *relay, const char *verb, const char *arguments,
                                 uint32_t timeout_sec, uint64_t *ret_id)
{
        LinkCommand command = {
                .id = relay->command_id + 1,
                .timeout_sec = timeout_sec,
                .verb = link_string(verb),
                .arguments = link_string(arguments ? arguments : ""),
        };
        int r;

        if (!session_connected(relay))
                return -ENOTCONN;
        if (!(relay->receiver.features & LINK_FEATURE_COMMANDS))
                return -EOPNOTSUPP;
        r = frame_put_command(&relay->wire.output, &command);
        if (r < 0)
                return r;
        relay->command_id++;
        if (ret_id)
                *ret_id = command.id;
        /* A failure is one of the connection, and is found by who reads from it. */
        (void) wire_flush(&relay->wire);
        return 0;
}

static int connected_by(AuditRelay *relay, uint64_t deadline_usec)
{
        for (;;) {
                uint64_t now = wire_now();
                int r = session_run(relay, RELAY_WINDOW, now);

                if (r < 0 || session_connected(relay))
                        return r;
                if (now >= deadline_usec)
                        return -ETIMEDOUT;
                wire_arm(&relay->wire, USEC_INFINITY);
                r = wire_wait(&relay->wire, deadline_usec);
                if (r < 0)
                        return r;
        }
}

static int answered_by(AuditRelay *relay, uint64_t deadline_usec)
{
        while (!relay->awaited) {
                uint64_t now = wire_now();
                int r = session_run(relay, RELAY_WINDOW, now);

                if (r < 0)
                        return r;
                if (relay->awaited)
                        break;
                /* The answer went with the connection; whether the command was obeyed is not known. */
                if (!session_connected(relay))
                        return -ECONNRESET;
                if (now >= deadline_usec)
                        return -ETIMEDOUT;
                /* No room for more that has to be looked at first: nothing is read, so nothing is to be
                 * waited for. */
                if (relay->n_messages == RELAY_MESSAGES_MAX || buffer_size(&relay->queue) >= RELAY_WINDOW)
                        return -ENOBUFS;
                wire_arm(&relay->wire, USEC_INFINITY);
                r = wire_wait(&relay->wire, deadline_usec);
                if (r < 0)
                        return r;
        }
        return 0;
}

_public_ int audit_relay_command_wait(AuditRelay *relay, const char *verb, const char *arguments,
                                      uint32_t timeout_sec, char *text, size_t size)
{
        uint64_t deadline_usec = wire_now() + timeout_sec * USEC_PER_SEC;
        int r;

        items_forget(relay);
        r = connected_by(relay, deadline_usec);
        if (r >= 0)
                r = audit_relay_command(relay, verb, arguments, timeout_sec, &relay->awaited_id);
        if (r >= 0)
                r = answered_by(relay, deadline_usec);
        if (r >= 0) {
                r = relay->awaited->status;
                if (text && size > 0)
                        (void) snprintf(text, size, "%s", relay->awaited->text);
        }
        relay->awaited = message_free(relay->awaited);
        relay->awaited_id = 0;
        return r;
}

_public_ int audit_relay_reply(AuditRelay *relay, uint64_t id, AuditRelayStatus status, const char *text)
{
        LinkReply reply = { .id = id, .status = (uint16_t) status, .text = link_string(text ? text : "") };
        int r;

        if (!session_connected(relay))
                return 0;
        r = frame_put_reply(&relay->wire.output, &reply);
        if (r >= 0)
                (void) wire_flush(&relay->wire);
        return r;
}

_public_ int audit_relay_argument(const AuditRelayItem *command, const char *name, char *value, size_t size)
{
        const size_t name_size = strlen(name);

        for (const char *p = command->text; p && *p != '\0';) {
                const char *end = strchrnul(p, '\n');

                if ((size_t) (end - p) > name_size && strncmp(p, name, name_size) == 0 &&
                    p[name_size] == '=') {
                        size_t n = (size_t) (end - p) - name_size - 1;

                        if (n >= size)
                                return -ENOBUFS;
                        memcpy(value, p + name_size + 1, n);
                        value[n] = '\0';
                        return (int) n;
                }
                p = *end == '\n' ? end + 1 : end;
        }
        return -ENOENT;
}
