/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay complete: the words that only the program knows, for the shells' completion. Verbs and options they take from
 * --help.
 */

#include "runtime/conditions.h"
#include "runtime/state.h"
#include "tool/component.h"
#include "tool/doctor/doctor.h"
#include "tool/reason.h"
#include "tool/tool.h"

#include <getopt.h>
#include <stdio.h>

static void help(void)
{
        printf("Usage: audit-relay complete [OPTION...] WHAT\n"
               "\n"
               "Prints words for a shell's completion, one a line: checks (of doctor), components, conditions,\n"
               "or nodes (that the aggregator of this host knows).\n"
               "\n"
               "  --state-dir=PATH  Where the state is, instead of %s\n"
               "  --help            This text\n"
               "\n"
               "Exit status: 0 done; 1 the state cannot be read; 2 wrong usage.\n",
               STATE_DIRECTORY);
}

static void print_checks(void)
{
        for (const DoctorCheck *check = doctor_checks; check->name; check++)
                puts(check->name);
}

static void print_conditions(bool components)
{
        const char *last = "";

        for (const Condition *c = conditions; c->name; c++) {
                if (!components)
                        printf("%s/%s\n", c->component, c->name);
                else if (strcmp(c->component, last) != 0)
                        puts(c->component);
                last = c->component;
        }
}

static int print_nodes(const char *directory)
{
        static const char family[] = "peer_connected{node=\"";
        Component component;
        char *name, *value;
        const char *p;
        int r = component_read(directory, "aggregator", &component);

        if (r < 0) {
                fprintf(stderr, "audit-relay: cannot read %s/aggregator: %s\n", directory, tool_reason(r));
                return TOOL_EXIT_FAILURE;
        }
        p = component.text;
        while (p && (p = component_next_sample(&component, p, &name, &value))) {
                if (name && strncmp(name, family, strlen(family)) == 0)
                        printf("%.*s\n", (int) strcspn(name + strlen(family), "\""), name + strlen(family));
                free(name);
                free(value);
        }
        component_done(&component);
        return EXIT_SUCCESS;
}

int verb_complete(int argc, char **argv)
{
        static const struct option long_options[] = {
                { "state-dir", required_argument, NULL, 'd' },
                { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        const char *directory = STATE_DIRECTORY, *what;
        int c;

        while ((c = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
                switch (c) {
                case 'd':
                        directory = optarg;
                        break;
                case 'h':
                        help();
                        return EXIT_SUCCESS;
                default:
                        return TOOL_EXIT_USAGE;
                }
        what = optind + 1 == argc ? argv[optind] : "";
        if (strcmp(what, "checks") == 0)
                print_checks();
        else if (strcmp(what, "components") == 0 || strcmp(what, "conditions") == 0)
                print_conditions(strcmp(what, "components") == 0);
        else if (strcmp(what, "nodes") == 0)
                return print_nodes(directory);
        else {
                fprintf(stderr, "audit-relay complete: say checks, components, conditions or nodes\n");
                return TOOL_EXIT_USAGE;
        }
        return EXIT_SUCCESS;
}
