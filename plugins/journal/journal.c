/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* journal: whole events into the systemd journal, one entry each, with the fields that journald itself would
 * give them (but without the underscore in front, which is for what journald vouches for).
 *
 *  1. The cursor is saved behind what the journal has taken: after a crash some events may come twice, none
 * is left out.
 *  2. An entry has a bound: of what is beyond it, the records are there whole (AUDIT_RECORD=), their fields
 * are not.
 */

/* Our own source lines are of no interest in an audit event. */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "basic/macro.h"
#include "runtime/log.h"

#include <audit-relay.h>
#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

/* sd_journal_sendv() hands each to the kernel as two pieces, of which one call takes 1,024. */
#define FIELDS_MAX 500U
/* The longest name that journald takes has 64; so many are left behind "AUDIT_FIELD_". */
#define NAME_MAX_SIZE 52U
/* How often the cursor is saved: as much may come twice after a crash. */
#define SAVE_USEC USEC_PER_SEC
#define RETRY_USEC (100 * USEC_PER_MSEC)

typedef struct Journal {
        AuditRelay *relay;
        const char *cursor_file, *socket;
        AuditRelayCursor written, saved;
        struct iovec fields[FIELDS_MAX];
        size_t n_fields;
        bool any;
        uint64_t saved_usec;
} Journal;

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
        stop = 1;
}

/* --- An entry --- */

static void add(Journal *journal, char *text, size_t size)
{
        if (text && journal->n_fields < FIELDS_MAX)
                journal->fields[journal->n_fields++] = (struct iovec) { text, size };
        else
                free(text);
}

static void add_format(Journal *journal, const char *format, ...) _printf_(2, 3);

static void add_format(Journal *journal, const char *format, ...)
{
        va_list arguments;
        char *text;
        int size;

        va_start(arguments, format);
        size = vasprintf(&text, format, arguments);
        va_end(arguments);
        if (size >= 0)
                add(journal, text, (size_t) size);
}

static void forget(Journal *journal)
{
        while (journal->n_fields > 0)
                free(journal->fields[--journal->n_fields].iov_base);
}

/* As journald makes them: capitals, digits, underscores. */
static void add_field(Journal *journal, const AuditRelayField *field)
{
        static const char prefix[] = "AUDIT_FIELD_";
        size_t head = sizeof prefix - 1 + field->name_size + 1;
        char *text;

        if (field->name_size > NAME_MAX_SIZE)
                return;
        text = malloc(head + field->value_size);
        if (!text)
                return;
        memcpy(text, prefix, sizeof prefix - 1);
        for (size_t i = 0; i < field->name_size; i++) {
                unsigned char c = (unsigned char) field->name[i];

                text[sizeof prefix - 1 + i] = (char) (isalnum(c) && c < 0x80 ? toupper(c) : '_');
        }
        text[head - 1] = '=';
        memcpy(text + head, field->value, field->value_size);
        add(journal, text, head + field->value_size);
}

static void describe(Journal *journal, const AuditRelayItem *event)
{
        static const char *const ends[] = { [AUDIT_RELAY_COMPLETE] = "complete",
                                            [AUDIT_RELAY_TIMED_OUT] = "timed-out",
                                            [AUDIT_RELAY_CUT] = "cut" };
        static const char *const origins[] = { "", "kernel", "local", "remote" };
        const AuditRelayRecord *first = event->records;

        add_format(journal, "MESSAGE=%.*s %.*s", (int) first->type_size, first->type, (int) first->text_size,
                   first->text);
        add_format(journal, "PRIORITY=%d", LOG_NOTICE);
        add_format(journal, "SYSLOG_IDENTIFIER=audit");
        add_format(journal, "AUDIT_ID=%" PRIu64, first->serial);
        add_format(journal, "AUDIT_TIME=%" PRIu64 ".%03" PRIu32, first->sec, first->msec);
        add_format(journal, "AUDIT_NODE=%.*s", (int) first->node_size,
                   first->node_size > 0 ? first->node : "");
        add_format(journal, "AUDIT_ORIGIN=%s", origins[event->origin]);
        add_format(journal, "AUDIT_END=%s", ends[event->ended]);
}

/* All records first: they are what counts. */
static void describe_records(Journal *journal, const AuditRelayItem *event)
{
        for (size_t i = 0; i < event->n_records; i++) {
                const AuditRelayRecord *record = &event->records[i];

                add_format(journal, "AUDIT_TYPE=%" PRIu32, record->type_number);
                add_format(journal, "AUDIT_TYPE_NAME=%.*s", (int) record->type_size, record->type);
                add_format(journal, "AUDIT_RECORD=%.*s", (int) record->line_size, record->line);
        }
        for (size_t i = 0; i < event->n_records; i++) {
                AuditRelayField field = { 0 };

                while (journal->n_fields < FIELDS_MAX &&
                       audit_relay_next_field(&event->records[i], &field) > 0)
                        add_field(journal, &field);
        }
}

static void describe_gap(Journal *journal, const AuditRelayItem *gap)
{
        if (gap->first > 0)
                add_format(journal, "MESSAGE=%" PRIu64 " audit records are missing (%s)",
                           gap->last - gap->first + 1, gap->text);
        else
                add_format(journal, "MESSAGE=Audit records are missing, nobody knows how many (%s)",
                           gap->text);
        add_format(journal, "PRIORITY=%d", LOG_WARNING);
        add_format(journal, "SYSLOG_IDENTIFIER=audit");
        add_format(journal, "AUDIT_GAP=%s", gap->text);
}

/* journald may be restarting, or behind: it is tried until it takes it, or we are told to stop. */
static int send_entry(Journal *journal)
{
        for (;;) {
                int r = sd_journal_sendv(journal->fields, (int) journal->n_fields);

                if (r != -EAGAIN && r != -ECONNREFUSED && r != -ENOBUFS && r != -EINTR) {
                        if (r < 0)
                                log_error("The journal does not take an entry: %s", strerror(-r));
                        return r;
                }
                if (stop)
                        return r;
                (void) usleep(RETRY_USEC);
        }
}

static int take(Journal *journal, const AuditRelayItem *item)
{
        int r = 0;

        if (item->kind == AUDIT_RELAY_GAP) {
                describe_gap(journal, item);
        } else {
                describe(journal, item);
                describe_records(journal, item);
        }
        r = send_entry(journal);
        forget(journal);
        if (r >= 0) {
                journal->written = item->cursor;
                journal->any = true;
        }
        return r;
}

/* --- Where we are --- */

static int load(Journal *journal)
{
        AuditRelayCursor cursor;
        int r = journal->cursor_file ? audit_relay_cursor_load(journal->cursor_file, &cursor) : -ENOENT;

        if (r == -EINVAL)
                log_warning("%s is no cursor: beginning with the oldest record", journal->cursor_file);
        if (r == -ENOENT || r == -EINVAL)
                return 0;
        if (r < 0)
                log_error("Cannot begin where %s says: %s", journal->cursor_file, strerror(-r));
        return r < 0 ? r : audit_relay_set_cursor(journal->relay, &cursor);
}

static int save(Journal *journal)
{
        int r;

        if (!journal->cursor_file || !journal->any ||
            memcmp(&journal->written, &journal->saved, sizeof journal->saved) == 0)
                return 0;
        r = audit_relay_cursor_save(journal->cursor_file, &journal->written);
        if (r < 0)
                log_error("Cannot save the cursor in %s: %s", journal->cursor_file, strerror(-r));
        else
                journal->saved = journal->written;
        return r;
}

static int begin(Journal *journal)
{
        int r = audit_relay_new(&journal->relay);

        if (r >= 0)
                r = audit_relay_set_unit(journal->relay, AUDIT_RELAY_EVENT);
        if (r >= 0)
                r = audit_relay_set_start(journal->relay, AUDIT_RELAY_OLDEST);
        if (r >= 0)
                r = load(journal);
        if (r >= 0)
                r = audit_relay_connect(journal->relay, journal->socket);
        if (r < 0)
                log_error("Cannot read from the dispatcher: %s", journal->relay && *audit_relay_why(journal->relay)
                                                      ? audit_relay_why(journal->relay)
                                                      : strerror(-r));
        return r;
}

static int run(Journal *journal)
{
        int r = 0;

        while (r >= 0 && !stop) {
                const AuditRelayItem *item;

                r = audit_relay_next(journal->relay, SAVE_USEC, &item);
                if (r > 0)
                        r = take(journal, item);
                else if (r < 0 && r != -EINTR)
                        log_error("Cannot go on reading from the dispatcher: %s", audit_relay_why(journal->relay));
                else
                        r = 0;
                if (r >= 0 && log_limit(&journal->saved_usec, SAVE_USEC))
                        r = save(journal);
        }
        return MIN(r, save(journal));
}

static int usage(void)
{
        fprintf(stderr, "Usage: journal [--cursor-file=FILE] [--subscribe=SOCKET]\n");
        return 2;
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                { "cursor-file", required_argument, NULL, 'c' },
                { "subscribe", required_argument, NULL, 's' },
                { NULL, 0, NULL, 0 },
        };
        struct sigaction action = { .sa_handler = on_signal };
        static Journal journal;
        int c, r;

        log_init("audit-relay-journal", LOG_INFO);
        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (c == 'c')
                        journal.cursor_file = optarg;
                else if (c == 's')
                        journal.socket = optarg;
                else
                        return usage();
        (void) sigaction(SIGTERM, &action, NULL);
        (void) sigaction(SIGINT, &action, NULL);
        r = begin(&journal);
        if (r >= 0)
                r = run(&journal);
        audit_relay_free(journal.relay);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
