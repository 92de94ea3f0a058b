/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A subscriber for tests, on libaudit-relay: appends the lines it gets to a file, and comes back whenever it is cut off.
 *
 *      pull SOCKET FILE now|oldest [CURSOR-FILE [FILTER]]
 *
 * With a file for its cursor it goes on where that says. A lost range becomes a line "LOST first last why". SIGTERM ends it
 * between two batches: then FILE and cursor agree. A refusal ends it with status 2 and its reason on stderr.
 */

#undef NDEBUG
#include "audit-relay.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
        (void) signal;
        stop = 1;
}

static void append(int out, const char *data, size_t size)
{
        while (size > 0) {
                ssize_t n = write(out, data, size);

                assert(n > 0);
                data += n;
                size -= (size_t) n;
        }
}

static void take(int out, const AuditRelayItem *item)
{
        char line[512];
        int n;

        if (item->kind != AUDIT_RELAY_GAP) {
                append(out, item->payload, item->payload_size);
                return;
        }
        n = snprintf(line, sizeof line, "LOST %" PRIu64 " %" PRIu64 " %s\n", item->first, item->last, item->text);
        append(out, line, (size_t) n);
}

static void set_up(AuditRelay *relay, const char *start, const char *cursor_file, const char *filter)
{
        AuditRelayCursor cursor;

        assert(audit_relay_set_name(relay, "pull") == 0);
        assert(audit_relay_set_unit(relay, AUDIT_RELAY_BATCH) == 0);
        assert(audit_relay_set_auto_ack(relay, 0) == 0);
        assert(audit_relay_set_start(relay, strcmp(start, "now") == 0 ? AUDIT_RELAY_NOW : AUDIT_RELAY_OLDEST) == 0);
        if (cursor_file && *cursor_file && audit_relay_cursor_load(cursor_file, &cursor) == 0)
                assert(audit_relay_set_cursor(relay, &cursor) == 0);
        if (filter)
                assert(audit_relay_set_filter(relay, filter) == 0);
}

int main(int argc, char **argv)
{
        const struct sigaction action = { .sa_handler = on_signal };
        const char *cursor_file = argc > 4 ? argv[4] : NULL;
        const AuditRelayItem *item;
        AuditRelay *relay;
        int out, r = 0;

        assert(argc >= 4);
        assert(sigaction(SIGTERM, &action, NULL) == 0);
        out = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        assert(out >= 0);
        assert(audit_relay_new(&relay) == 0);
        set_up(relay, argv[3], cursor_file, argc > 5 ? argv[5] : NULL);
        while ((r = audit_relay_connect(relay, argv[1])) < 0 && !stop)
                (void) usleep(20000);
        while (r >= 0 && !stop) {
                r = audit_relay_next(relay, UINT64_MAX, &item);
                if (r == -EINTR)
                        r = 0;
                if (r <= 0)
                        continue;
                take(out, item);
                if (cursor_file && *cursor_file)
                        assert(audit_relay_cursor_save(cursor_file, &item->cursor) == 0);
                r = audit_relay_ack(relay, &item->cursor);
        }
        if (r < 0 && !stop)
                fprintf(stderr, "%s\n", audit_relay_why(relay));
        audit_relay_free(relay);
        return r < 0 && !stop ? 2 : 0;
}
