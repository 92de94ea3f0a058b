/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay tail: records from the dispatcher's `subscribe` socket, as they come, on the plugin library.
 *
 *  1. The cursor file never names what was not written out before.
 *  2. What is missing is said: on stderr, and as an object of its own in JSON.
 */

#include "lib/audit-relay.h"
#include "record/record-filter.h"
#include "tool/json.h"
#include "tool/number.h"
#include "tool/reason.h"
#include "tool/tool.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>

#define SOCKET_DEFAULT "/run/audit-relay/subscribe"
/* How often a signal is looked for, and the cursor saved, while nothing comes. */
#define TURN_USEC USEC_PER_SEC

typedef struct Tail {
        const char *socket, *types, *cursor_file;
        bool event, json, positioned;
        uint64_t most; /* items; UINT64_MAX: until it is stopped */
        AuditRelay *relay;
        RecordFilter *filter; /* of events; of single records it is the dispatcher's work */
        AuditRelayCursor written, saved;
        bool any; /* `written` says something */
} Tail;

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
        stop = 1;
}

/* --- Writing --- */

static void write_slice(Json *json, const char *name, const char *text, size_t size)
{
        _cleanup_(freep) char *copy = strndup(text ? text : "", size);

        json_string(json, name, copy ? copy : "");
}

static void write_id(Json *json, const AuditRelayRecord *record)
{
        char time[40];

        (void) snprintf(time, sizeof time, "%" PRIu64 ".%03" PRIu32, record->sec, record->msec);
        if (record->node_size > 0)
                write_slice(json, "node", record->node, record->node_size);
        json_number(json, "time", time);
        json_unsigned(json, "serial", record->serial);
}

static void write_record(Json *json, const AuditRelayRecord *record)
{
        write_slice(json, "type", record->type, record->type_size);
        write_slice(json, "text", record->text, record->text_size);
}

/* One object a line. */
static void write_json(const AuditRelayItem *item)
{
        static const char *const ends[] = { [AUDIT_RELAY_COMPLETE] = "complete",
                                            [AUDIT_RELAY_TIMED_OUT] = "timed out",
                                            [AUDIT_RELAY_CUT] = "cut" };
        static const char *const origins[] = { "", "kernel", "local", "remote" };
        Json json = JSON_INIT_COMPACT(stdout);

        json_object_begin(&json, NULL);
        if (item->kind == AUDIT_RELAY_GAP) {
                json_string(&json, "gap", item->text);
                json_unsigned(&json, "first", item->first);
                json_unsigned(&json, "last", item->last);
        } else {
                json_string(&json, "origin", origins[item->origin]);
                write_id(&json, item->records);
        }
        if (item->kind == AUDIT_RELAY_RECORD)
                write_record(&json, item->records);
        if (item->kind == AUDIT_RELAY_EVENT) {
                json_string(&json, "end", ends[item->ended]);
                json_array_begin(&json, "records");
                for (size_t i = 0; i < item->n_records; i++) {
                        json_object_begin(&json, NULL);
                        write_record(&json, &item->records[i]);
                        json_object_end(&json);
                }
                json_array_end(&json);
        }
        json_object_end(&json);
        fputc('\n', stdout);
}

static void say_gap(const AuditRelayItem *item)
{
        if (item->first > 0)
                fprintf(stderr, "Missing: %" PRIu64 " records (%s)\n", item->last - item->first + 1,
                        item->text);
        else
                fprintf(stderr, "Missing: nobody knows how many records (%s)\n", item->text);
}

/* Events of ausearch's looks: a line between two. */
static void write_raw(const AuditRelayItem *item)
{
        if (item->kind == AUDIT_RELAY_EVENT)
                fputs("----\n", stdout);
        for (size_t i = 0; i < item->n_records; i++) {
                (void) fwrite(item->records[i].line, 1, item->records[i].line_size, stdout);
                fputc('\n', stdout);
        }
}

static bool is_wanted(const Tail *tail, const AuditRelayItem *item)
{
        for (size_t i = 0; i < item->n_records; i++)
                if (record_filter_line(tail->filter, (const uint8_t *) item->records[i].line,
                                       item->records[i].line_size))
                        return true;
        return item->kind == AUDIT_RELAY_GAP;
}

static void take(Tail *tail, const AuditRelayItem *item)
{
        tail->written = item->cursor;
        tail->any = true;
        if (tail->event && !is_wanted(tail, item))
                return;
        if (item->kind == AUDIT_RELAY_GAP)
                say_gap(item);
        if (tail->json)
                write_json(item);
        else
                write_raw(item);
        if (item->kind != AUDIT_RELAY_GAP && tail->most != UINT64_MAX)
                tail->most--;
}

/* --- Running --- */

/* What is written is out, before the cursor says so. */
static int settle(Tail *tail)
{
        int r = fflush(stdout) < 0 || ferror(stdout) ? -errno : 0;

        if (r < 0) {
                fprintf(stderr, "Cannot write to standard output: %s\n", tool_reason(r));
                return r;
        }
        if (!tail->cursor_file || !tail->any ||
            memcmp(&tail->written, &tail->saved, sizeof tail->saved) == 0)
                return 0;
        r = audit_relay_cursor_save(tail->cursor_file, &tail->written);
        if (r < 0)
                fprintf(stderr, "Cannot save the cursor in %s: %s\n", tail->cursor_file, tool_reason(r));
        else
                tail->saved = tail->written;
        return r;
}

static int run(Tail *tail)
{
        int r = 0;

        while (r >= 0 && !stop && tail->most > 0) {
                const AuditRelayItem *item;

                r = audit_relay_process(tail->relay, &item);
                if (r == 0)
                        r = settle(tail);
                if (r == 0 && !item)
                        r = audit_relay_next(tail->relay, TURN_USEC, &item);
                if (r == -EINTR)
                        r = 0;
                else if (r < 0 && tail->relay)
                        fprintf(stderr, "Cannot go on reading from %s: %s\n", tail->socket,
                                *audit_relay_why(tail->relay) ? audit_relay_why(tail->relay) : tool_reason(r));
                if (r > 0)
                        take(tail, item);
        }
        return r < 0 ? r : settle(tail);
}

/* A cursor file that is there goes before --from=. */
static int load_cursor(Tail *tail)
{
        AuditRelayCursor cursor;
        int r = tail->cursor_file ? audit_relay_cursor_load(tail->cursor_file, &cursor) : -ENOENT;

        if (r == -ENOENT)
                return 0;
        if (r < 0)
                fprintf(stderr, "Cannot begin where %s says: %s\n", tail->cursor_file,
                        r == -EINVAL ? "it holds no cursor; remove it to begin anew" : tool_reason(r));
        return r < 0 ? r : audit_relay_set_cursor(tail->relay, &cursor);
}

static int set_up(Tail *tail)
{
        struct sigaction action = { .sa_handler = on_signal };
        int r = load_cursor(tail);

        if (r < 0)
                return r;
        if (tail->event)
                r = audit_relay_set_unit(tail->relay, AUDIT_RELAY_EVENT);
        else if (tail->types)
                r = audit_relay_set_filter(tail->relay, tail->types);
        if (r < 0)
                return r;
        (void) sigaction(SIGINT, &action, NULL);
        (void) sigaction(SIGTERM, &action, NULL);
        r = audit_relay_connect(tail->relay, tail->socket);
        if (r < 0)
                fprintf(stderr, "Cannot read from %s: %s; %s\n", tail->socket, strerror(-r),
                        r == -EACCES ? "run it as root, or join the group audit-relay-read" :
                                       "`audit-relay status` says whether the dispatcher runs");
        return r;
}

/* --- The command line --- */

static void help(void)
{
        printf("Usage: audit-relay tail [OPTION...]\n"
               "\n"
               "Prints the records of this host as the dispatcher gets them, until it is stopped.\n"
               "\n"
               "  --type=TYPES         Only these: names, numbers, ranges, groups, separated by space; ~ "
               "excludes.\n"
               "                       With --event: whole events in which one of them is\n"
               "  --key=KEY            Only whole events with this audit key; may be repeated\n"
               "  --event              Whole events: the records of one event together\n"
               "  --from=WHERE         now (default), oldest, or a cursor\n"
               "  --cursor-file=FILE   Begin where this file says, and keep in it what has been printed\n"
               "  --format=FORMAT      raw (default): the lines as they are; json: one object a line\n"
               "  --json               The same as --format=json\n"
               "  -n NUMBER            End after so many records, or events\n"
               "  --socket=PATH        The dispatcher's socket (" SOCKET_DEFAULT ")\n"
               "  --help               This text\n"
               "\n"
               "Records that are missing, because they were faster than the reader, are told on stderr; in "
               "JSON\n"
               "as an object with \"gap\" too.\n"
               "\n"
               "Exit status: 0 stopped; 1 it did not work; 2 the command line is wrong.\n");
}

static int wrong(const char *option, const char *value, const char *expected)
{
        fprintf(stderr, "%s%s: %s expected\n", option, value, expected);
        return -EINVAL;
}

static int parse_from(Tail *tail, const char *value)
{
        AuditRelayCursor cursor;

        if (strcmp(value, "now") == 0)
                return audit_relay_set_start(tail->relay, AUDIT_RELAY_NOW);
        if (strcmp(value, "oldest") == 0)
                return audit_relay_set_start(tail->relay, AUDIT_RELAY_OLDEST);
        if (audit_relay_cursor_parse(value, &cursor) < 0)
                return wrong("--from=", value, "now, oldest or a cursor");
        return audit_relay_set_cursor(tail->relay, &cursor);
}

static int parse_number(Tail *tail, const char *value)
{
        return number_parse(value, 1, UINT64_MAX, &tail->most) ? 0 : wrong("-n ", value, "a number above 0");
}

static int parse_types(Tail *tail, const char *value)
{
        _cleanup_(freep) char *why = NULL;
        int r;

        tail->types = value;
        tail->filter = record_filter_free(tail->filter);
        r = record_filter_parse(value, strlen(value), &tail->filter, &why);
        if (r < 0)
                fprintf(stderr, "--type=%s: %s; see audit-relay-records(7)\n", value, why ? why : strerror(-r));
        return r;
}

static int parse_key(Tail *tail, const char *value)
{
        tail->event = true;
        if (audit_relay_add_key(tail->relay, value) < 0)
                return wrong("--key=", value, "an audit key");
        return 0;
}

static int parse_format(Tail *tail, const char *value)
{
        tail->json = strcmp(value, "json") == 0;
        return tail->json || strcmp(value, "raw") == 0 ? 0 : wrong("--format=", value, "raw or json");
}

static int parse_option(Tail *tail, int option, const char *value)
{
        switch (option) {
        case 't':
                return parse_types(tail, value);
        case 'k':
                return parse_key(tail, value);
        case 'f':
                return parse_from(tail, value);
        case 'o':
                return parse_format(tail, value);
        case 'n':
                return parse_number(tail, value);
        case 'c':
                tail->cursor_file = value;
                return 0;
        case 's':
                tail->socket = value;
                return 0;
        case 'e':
                tail->event = true;
                return 0;
        case 'j':
                tail->json = true;
                return 0;
        default:
                return -EINVAL;
        }
}

/* Returns 1, 0 when all is said, -EINVAL. */
static int parse(Tail *tail, int argc, char **argv)
{
        static const struct option options[] = {
                { "type", required_argument, NULL, 't' },
                { "key", required_argument, NULL, 'k' },
                { "event", no_argument, NULL, 'e' },
                { "from", required_argument, NULL, 'f' },
                { "cursor-file", required_argument, NULL, 'c' },
                { "format", required_argument, NULL, 'o' },
                { "json", no_argument, NULL, 'j' },
                { "socket", required_argument, NULL, 's' },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "hn:", options, NULL)) >= 0) {
                if (c == 'h') {
                        help();
                        return 0;
                }
                if (parse_option(tail, c, optarg) < 0)
                        return -EINVAL;
        }
        if (optind < argc) {
                fprintf(stderr, "There are no arguments besides options, see --help\n");
                return -EINVAL;
        }
        return 1;
}

int verb_tail(int argc, char **argv)
{
        Tail tail = { .socket = SOCKET_DEFAULT, .most = UINT64_MAX };
        int r = audit_relay_new(&tail.relay), status = EXIT_SUCCESS;

        if (r < 0) {
                fprintf(stderr, "Cannot begin to read records: %s\n", tool_reason(r));
                return TOOL_EXIT_FAILURE;
        }
        (void) audit_relay_set_name(tail.relay, "tail");
        r = parse(&tail, argc, argv);
        if (r < 0)
                status = TOOL_EXIT_USAGE;
        else if (r > 0 && (set_up(&tail) < 0 || run(&tail) < 0))
                status = TOOL_EXIT_FAILURE;
        audit_relay_free(tail.relay);
        record_filter_free(tail.filter);
        return status;
}
