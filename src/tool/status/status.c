/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay status: what the state directories say, on one screen or as JSON. */

#include "basic/macro.h"
#include "runtime/config.h"
#include "runtime/state.h"
#include "tool/component.h"
#include "tool/json.h"
#include "tool/reason.h"
#include "tool/status/peers.h"
#include "tool/status/summary.h"
#include "tool/terminal.h"
#include "tool/tool.h"

#include <getopt.h>
#include <stdio.h>

/* Further exit statuses; the worst one counts. */
#define STATUS_EXIT_CONDITION 3
#define STATUS_EXIT_NOT_RUNNING 4

typedef struct Options {
        const char *directory;
        bool json;
        bool all;
        bool peers;
        bool watch;
        bool colour;
} Options;

/* --- For people --- */

static const char *paint(const Options *options, const char *escape)
{
        return options->colour ? escape : "";
}

static void print_condition(const Options *options, const char *name, const char *file)
{
        char *key, *value;

        printf("  %s! %s%s\n", paint(options, "\x1b[1;31m"), name, paint(options, "\x1b[0m"));
        while ((file = component_next_pair(file, &key, &value))) {
                if (key && value && strcmp(key, "COMPONENT") != 0 && strcmp(key, "CONDITION") != 0)
                        printf("      %-8s %s\n", key, value);
                free(key);
                free(value);
        }
}

static void print_samples(const Component *component)
{
        const char *p = component->text;
        char *name, *value;

        while (p && (p = component_next_sample(component, p, &name, &value))) {
                if (name && value)
                        printf("    %-32s %16s\n", name, value);
                free(name);
                free(value);
        }
}

static int print_component(const Options *options, const Component *component)
{
        bool good = component->health == HEALTH_RUNNING;

        printf("%s%s%s  %s%s%s\n", paint(options, "\x1b[1m"), component->name, paint(options, "\x1b[0m"),
               paint(options, good ? "\x1b[32m" : "\x1b[1;31m"), health_names[component->health],
               paint(options, "\x1b[0m"));
        if (component->status)
                printf("  %s\n", component->status);
        for (size_t i = 0; component->conditions && component->conditions[i]; i++)
                print_condition(options, component->conditions[i], component->files[i]);
        if (!options->all)
                return status_summary(component);
        print_samples(component);
        return 0;
}

/* --- For programs --- */

static void json_component(Json *json, const Component *component)
{
        const char *p = component->text;
        char *key, *value;

        json_object_begin(json, NULL);
        json_string(json, "component", component->name);
        json_string(json, "health", health_names[component->health]);
        json_string(json, "status", component->status);
        json_array_begin(json, "conditions");
        for (size_t i = 0; component->conditions && component->conditions[i]; i++) {
                const char *file = component->files[i];

                json_object_begin(json, NULL);
                json_string(json, "name", component->conditions[i]);
                while ((file = component_next_pair(file, &key, &value))) {
                        if (key && value)
                                json_string(json, key, value);
                        free(key);
                        free(value);
                }
                json_object_end(json);
        }
        json_array_end(json);
        json_object_begin(json, "metrics");
        while (p && (p = component_next_sample(component, p, &key, &value))) {
                if (key && value)
                        json_number(json, key, value);
                free(key);
                free(value);
        }
        json_object_end(json);
        json_object_end(json);
}

/* --- The verb --- */

static void help(void)
{
        printf("Usage: audit-relay status [OPTION...] [COMPONENT...]\n"
               "\n"
               "Shows what the programs of this host are doing and what is wrong: all that have a\n"
               "state directory, or those named.\n"
               "\n"
               "  --json            As JSON\n"
               "  --all             All metrics instead\n"
               "  --watch           Again every second, until it is interrupted\n"
               "  --peers           The aggregator's peers, connected or not, and nothing else\n"
               "  --state-dir=PATH  Where the state is, instead of %s\n"
               "  --help            This text\n"
               "\n"
               "Exit status: 0 all is well; 3 a condition holds; 4 a component is not running or does not\n"
               "respond, or there is none; 1 the state cannot be read; 2 wrong usage.\n",
               STATE_DIRECTORY);
}

static int show(const Options *options, char *const *names)
{
        Json json = JSON_INIT(stdout);
        int worst = strings_count(names) == 0 ? STATUS_EXIT_NOT_RUNNING : EXIT_SUCCESS;

        if (options->json)
                json_array_begin(&json, NULL);
        else if (worst != EXIT_SUCCESS)
                printf("No program of audit-relay is running here.\n");
        for (size_t i = 0; names && names[i]; i++) {
                Component component;
                int r = component_read(options->directory, names[i], &component);

                if (r < 0) {
                        fprintf(stderr, "audit-relay: cannot read %s/%s: %s\n", options->directory, names[i],
                                tool_reason(r));
                        worst = TOOL_EXIT_FAILURE;
                        break;
                }
                if (strings_count(component.conditions) > 0)
                        worst = MAX(worst, STATUS_EXIT_CONDITION);
                if (component.health != HEALTH_RUNNING)
                        worst = STATUS_EXIT_NOT_RUNNING;
                if (options->json)
                        json_component(&json, &component);
                else
                        r = print_component(options, &component);
                component_done(&component);
                if (r < 0) {
                        fprintf(stderr, "audit-relay status: cannot show %s: %s\n", names[i], tool_reason(r));
                        worst = TOOL_EXIT_FAILURE;
                        break;
                }
        }
        if (options->json) {
                json_array_end(&json);
                putchar('\n');
        }
        return worst;
}

/* The list alone; the exit status tells whether there is an aggregator that says it. */
static int show_peers(const Options *options)
{
        Component component = { 0 };
        int r = component_read(options->directory, "aggregator", &component);

        if (r >= 0 && component.text)
                r = status_peers(component.text, options->json);
        else if (r >= 0)
                printf("%s", options->json ? "[]\n" : "No aggregator is running here.\n");
        if (r < 0)
                fprintf(stderr, "audit-relay: cannot read %s/aggregator: %s\n", options->directory, tool_reason(r));
        else
                r = component.health == HEALTH_RUNNING ? EXIT_SUCCESS : STATUS_EXIT_NOT_RUNNING;
        component_done(&component);
        return r < 0 ? TOOL_EXIT_FAILURE : r;
}

/* Those that are named, or all that there are. */
static int show_once(const Options *options, int n, char **wanted)
{
        _cleanup_(strings_freep) char **names = NULL;
        int r = 0, status;

        for (int i = 0; i < n && r == 0; i++)
                r = strings_append(&names, wanted[i]);
        if (n == 0)
                r = component_list(options->directory, &names);
        if (r < 0) {
                fprintf(stderr, "audit-relay: cannot read %s: %s\n", options->directory, tool_reason(r));
                return TOOL_EXIT_FAILURE;
        }
        if (options->watch && isatty(STDOUT_FILENO))
                printf("\x1b[H\x1b[J");
        status = options->peers ? show_peers(options) : show(options, names);
        (void) fflush(stdout);
        return status;
}

int verb_status(int argc, char **argv)
{
        static const struct option long_options[] = {
                { "json", no_argument, NULL, 'j' },
                { "all", no_argument, NULL, 'a' },
                { "peers", no_argument, NULL, 'p' },
                { "watch", no_argument, NULL, 'w' },
                { "state-dir", required_argument, NULL, 'd' },
                { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        Options options = { .directory = STATE_DIRECTORY, .colour = terminal_has_colours(stdout) };
        int c, status;

        while ((c = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
                switch (c) {
                case 'j':
                        options.json = true;
                        break;
                case 'a':
                        options.all = true;
                        break;
                case 'p':
                        options.peers = true;
                        break;
                case 'w':
                        options.watch = true;
                        break;
                case 'd':
                        options.directory = optarg;
                        break;
                case 'h':
                        help();
                        return EXIT_SUCCESS;
                default:
                        return TOOL_EXIT_USAGE;
                }
        do
                status = show_once(&options, argc - optind, argv + optind);
        while (options.watch && status != TOOL_EXIT_FAILURE && sleep(1) == 0);
        return status;
}
