/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tool/log/options.h"
#include "runtime/config.h"
#include "runtime/loop.h"
#include "tool/log/time.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>

/* As journalctl -f has it. */
#define LINES_FOLLOW 10U

void log_options_help(void)
{
        printf("Usage: audit-relay log [OPTION...]\n"
               "\n"
               "Prints records from stores: the collector's, the sender's, or copies of them.\n"
               "\n"
               "  --store=DIR        Read this store; may be repeated: records of several are merged, "
               "each once.\n"
               "                     Default: the stores of this host\n"
               "  -S --since=TIME    Records from this time on: 2026-11-22 10:00, 10:00, -1h, today, "
               "yesterday, @SECONDS,\n"
               "  -U --until=TIME    2026-11-22T10:00:00Z; the time is the record's own\n"
               "  --node=NODE        Records of this node; may be repeated\n"
               "  --type=TYPES       Names, numbers, ranges, groups, separated by space; ~ excludes\n"
               "  --key=KEY          Records with this audit key; may be repeated: any of them\n"
               "  --serial=N[-M]     Records of these serials\n"
               "  --event            Whole events: all records of an event in which those asked for are\n"
               "  --format=FORMAT    raw (default): the lines as they are stored; json: one object a line;\n"
               "                     interpreted: numbers as names, as ausearch -i has it\n"
               "  --json             The same as --format=json\n"
               "  -n --lines=N       Only the last N\n"
               "  -f --follow        The last 10, and what comes then, until it is stopped\n"
               "  -r --reverse       The newest first\n"
               "  --cursor=FILE      What came since the last time, the first time all; FILE keeps how far "
               "that was\n"
               "  --cursor=CURSOR    What came since --show-cursor printed this\n"
               "  --show-cursor      A last line that says how far this was\n"
               "  --help             This text\n"
               "\n"
               "Exit status: 0 done; 1 it did not work; 2 the command line is wrong; 3 done, but some records "
               "are damaged.\n");
}

static int wrong(const char *option, const char *value, const char *expected)
{
        fprintf(stderr, "--%s=%s: %s expected\n", option, value, expected);
        return -EINVAL;
}

static int parse_number(const char **p, uint64_t *ret)
{
        char *end;

        if (!isdigit((unsigned char) **p))
                return -EINVAL;
        errno = 0;
        *ret = strtoull(*p, &end, 10);
        *p = end;
        return errno > 0 ? -EINVAL : 0;
}

static int parse_serial(LogQuery *query, const char *value)
{
        const char *p = value;
        int r = parse_number(&p, &query->serial_first);

        query->serial_last = query->serial_first;
        if (r == 0 && *p == '-') {
                p++;
                r = parse_number(&p, &query->serial_last);
        }
        if (r < 0 || *p != '\0' || query->serial_last < query->serial_first)
                return wrong("serial", value, "a number, or two as in 100-200,");
        return 0;
}

static int parse_lines(LogOptions *options, const char *value)
{
        const char *p = value;

        if (strcmp(value, "all") == 0) {
                options->lines = LOG_LINES_ALL;
                return 0;
        }
        if (parse_number(&p, &options->lines) < 0 || *p != '\0' || options->lines == LOG_LINES_ALL)
                return wrong("lines", value, "a number or \"all\"");
        return 0;
}

static int parse_time(const char *option, const char *value, uint64_t *ret)
{
        if (log_time_parse(value, realtime_usec(), ret) < 0)
                return wrong(option, value, "a time such as \"2026-11-22 10:00\", -1h or today");
        return 0;
}

static int parse_types(LogQuery *query, const char *value)
{
        _cleanup_(freep) char *why = NULL;
        int r;

        query->types = record_filter_free(query->types);
        r = record_filter_parse(value, strlen(value), &query->types, &why);
        if (r < 0)
                fprintf(stderr, "--type=%s: %s; see audit-relay-records(7)\n", value, why ? why : strerror(-r));
        return r;
}

static int parse_format(LogOptions *options, const char *value)
{
        static const char *const names[] = { "raw", "json", "interpreted" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcmp(names[i], value) == 0) {
                        options->format = (LogFormat) i;
                        return 0;
                }
        return wrong("format", value, "raw, json or interpreted");
}

static int parse_option(LogOptions *options, int option, const char *value)
{
        LogQuery *query = &options->query;

        switch (option) {
        case 'd':
                return strings_append(&options->stores, value);
        case 'S':
                return parse_time("since", value, &query->since_usec);
        case 'U':
                return parse_time("until", value, &query->until_usec);
        case 'N':
                return strings_append(&query->nodes, value);
        case 't':
                return parse_types(query, value);
        case 'k':
                return keys_add(&query->keys, value) < 0 ? wrong("key", value, "an audit key") : 0;
        case 's':
                return parse_serial(query, value);
        case 'o':
                return parse_format(options, value);
        case 'n':
                return parse_lines(options, value);
        case 'e':
                options->event = true;
                return 0;
        case 'j':
                options->format = LOG_FORMAT_JSON;
                return 0;
        case 'f':
                options->follow = true;
                return 0;
        case 'r':
                options->reverse = true;
                return 0;
        case 'c':
                options->cursor = value;
                return 0;
        case 'C':
                options->show_cursor = true;
                return 0;
        case 'h':
                options->help = true;
                return 0;
        default:
                return -EINVAL;
        }
}

/* What would leave out what lies behind, or show it in halves. */
static const char *find_conflict(const LogOptions *options, bool lines_given)
{
        if (options->reverse && (options->follow || options->event))
                return "--reverse goes back, record by record: --follow and --event do not go with it";
        if (!options->cursor && !options->show_cursor)
                return NULL;
        if (options->reverse || (options->cursor && lines_given) || options->query.until_usec < UINT64_MAX)
                return "A cursor is to go on from: --reverse, --until= and, with --cursor=, --lines= do not go with it";
        if (options->follow && options->show_cursor)
                return "--follow has no end at which --show-cursor could print one";
        if (options->follow && options->event && options->cursor)
                return "Events that have not ended stand before the cursor: --follow --event does not go with it";
        return NULL;
}

static int check(LogOptions *options, bool lines_given)
{
        const LogQuery *query = &options->query;
        const char *conflict = find_conflict(options, lines_given);

        if (conflict) {
                fprintf(stderr, "%s\n", conflict);
                return -EINVAL;
        }
        if (options->follow && query->until_usec < UINT64_MAX) {
                fprintf(stderr, "--follow has no end: --until= does not go with it\n");
                return -EINVAL;
        }
        if (query->since_usec > query->until_usec) {
                fprintf(stderr, "--since= is later than --until=: exchange them\n");
                return -EINVAL;
        }
        if (options->follow && !lines_given && query->since_usec == 0 && !options->cursor)
                options->lines = LINES_FOLLOW;
        return 0;
}

int log_options_parse(int argc, char **argv, LogOptions *ret)
{
        static const struct option names[] = {
                /* clang-format off */
                { "store", required_argument, NULL, 'd' }, { "since", required_argument, NULL, 'S' },
                { "until", required_argument, NULL, 'U' }, { "node", required_argument, NULL, 'N' },
                { "type", required_argument, NULL, 't' }, { "key", required_argument, NULL, 'k' },
                { "serial", required_argument, NULL, 's' }, { "format", required_argument, NULL, 'o' },
                { "lines", required_argument, NULL, 'n' }, { "event", no_argument, NULL, 'e' },
                { "follow", no_argument, NULL, 'f' }, { "help", no_argument, NULL, 'h' },
                { "reverse", no_argument, NULL, 'r' }, { "cursor", required_argument, NULL, 'c' },
                { "show-cursor", no_argument, NULL, 'C' }, { "json", no_argument, NULL, 'j' },
                { 0 },
                /* clang-format on */
        };
        LogOptions options = {
                .query = { .until_usec = UINT64_MAX, .serial_last = UINT64_MAX },
                .lines = LOG_LINES_ALL,
        };
        bool lines_given = false;
        int option, r = 0;

        while (r == 0 && (option = getopt_long(argc, argv, "S:U:n:frh", names, NULL)) >= 0) {
                r = parse_option(&options, option, optarg);
                lines_given = lines_given || option == 'n';
        }
        if (r == 0 && optind < argc && !options.help) {
                fprintf(stderr, "\"%s\" is no option, see --help\n", argv[optind]);
                r = -EINVAL;
        }
        if (r == 0)
                r = check(&options, lines_given);
        if (r < 0)
                log_options_done(&options);
        else
                *ret = options;
        return r;
}

void log_options_done(LogOptions *options)
{
        options->stores = strings_free(options->stores);
        options->query.nodes = strings_free(options->query.nodes);
        options->query.types = record_filter_free(options->query.types);
        keys_done(&options->query.keys);
}
