/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay drill: which reaction a condition has; and with --yes whether it works, by having the condition hold. */

#include "tool/drill/drill.h"
#include "runtime/conditions.h"
#include "runtime/config.h"
#include "runtime/state.h"
#include "tool/json.h"
#include "tool/number.h"
#include "tool/reason.h"
#include "tool/systemctl.h"
#include "tool/table.h"
#include "tool/tool.h"

#include <getopt.h>
#include <stdio.h>

#define DRILL_EXIT_NO_REACTION 3
#define DRILL_EXIT_NOT_RUNNING 4
#define SECONDS_DEFAULT 3U
/* A component ends it after a minute by itself; its beginning and end take seconds, too. */
#define SECONDS_MAX 30U

typedef struct Options {
        const char *state_directory;
        bool json, yes;
        uint64_t seconds;
} Options;

static void help(void)
{
        printf("Usage: audit-relay drill [OPTION...] [COMPONENT/CONDITION]\n"
               "\n"
               "Shows which reaction systemd would run while a condition holds; without a condition, which\n"
               "conditions have one.\n"
               "\n"
               "  --yes             Has the condition hold for real, for a moment, and watches the reaction:\n"
               "                    with one such as `halt` the host powers off\n"
               "  --seconds=N       For so long, %u unless told otherwise, at most %u\n"
               "  --json            As JSON\n"
               "  --state-dir=PATH  Where the state is, instead of %s\n"
               "  --help            This text\n"
               "\n"
               "Exit status: 0 there is a reaction (and it has worked); 3 there is none; 4 the component does\n"
               "not run, or the condition holds already; 1 the reaction failed, or cannot be looked at; 2 wrong\n"
               "usage.\n",
               SECONDS_DEFAULT, SECONDS_MAX, STATE_DIRECTORY);
}

/* --- All conditions --- */

static int show_all(bool json)
{
        const char *units[64] = { NULL };
        static char names[64][160];
        _cleanup_(table_freep) Table *table = NULL;
        _cleanup_(freep) char *text = NULL;
        Json out = JSON_INIT(stdout);
        size_t n = 0;
        int r;

        for (const Condition *c = conditions; c->name && n < ELEMENTSOF(names) - 1; c++, n++) {
                (void) snprintf(names[n], sizeof names[n], "audit-relay-state@%s-%s.path", c->component, c->name);
                units[n] = names[n];
        }
        r = systemctl_show("ActiveState,UnitFileState", units, &text);
        if (r == 0)
                r = table_new("CONDITION REACTION BOOT", &table);
        if (r < 0)
                return r;
        if (json)
                json_array_begin(&out, NULL);
        for (size_t i = 0; i < n; i++) {
                bool active = systemctl_is(text, names[i], "ActiveState", "active");
                bool enabled = systemctl_is(text, names[i], "UnitFileState", "enabled");
                char condition[160];

                (void) snprintf(condition, sizeof condition, "%s/%s", conditions[i].component, conditions[i].name);
                if (json) {
                        json_object_begin(&out, NULL);
                        json_string(&out, "condition", condition);
                        json_string(&out, "path_unit", names[i]);
                        json_bool(&out, "active", active);
                        json_bool(&out, "enabled", enabled);
                        json_object_end(&out);
                } else {
                        table_add(table, "%s", condition);
                        table_add(table, "%s", active ? "on" : "");
                        table_add(table, "%s", enabled ? "enabled" : "");
                }
        }
        if (!json)
                return table_print(table, stdout);
        json_array_end(&out);
        putchar('\n');
        return 0;
}

/* --- One --- */

static void print_commands(const char *when, const DrillCommands *commands)
{
        for (size_t i = 0; i < commands->n; i++)
                printf("  %-10s %s%s\n", i == 0 ? when : "", commands->items[i].command, commands->items[i].root ? "    (as root)" : "");
}

static bool has_reaction(const DrillPlan *plan)
{
        return plan->active && plan->begin.n + plan->end.n > 0;
}

static void print_plan(const DrillPlan *plan)
{
        printf("%s/%s\n", plan->component, plan->condition);
        printf("  %-10s %s\n", "to do", plan->advice);
        printf("  %-10s %s: %s, %s\n", "path unit", plan->path_unit, plan->active ? "active" : "not active",
               plan->enabled ? "enabled" : "not enabled");
        if (plan->drop_ins && plan->drop_ins[0] != '\0')
                printf("  %-10s %s\n", "drop-ins", plan->drop_ins);
        print_commands("begin", &plan->begin);
        print_commands("end", &plan->end);
        if (has_reaction(plan))
                return;
        printf("  No reaction would run. To have one, of those in /usr/lib/audit-relay/reactions:\n");
        if (plan->begin.n + plan->end.n == 0)
                printf("    mkdir -p /etc/systemd/system/%s.d\n    ln -s /usr/lib/audit-relay/reactions/email.conf /etc/systemd/system/%s.d/\n",
                       plan->service, plan->service);
        printf("    systemctl daemon-reload && systemctl enable --now %s\n", plan->path_unit);
}

static void json_commands(Json *json, const char *name, const DrillCommands *commands)
{
        json_array_begin(json, name);
        for (size_t i = 0; i < commands->n; i++) {
                json_object_begin(json, NULL);
                json_string(json, "command", commands->items[i].command);
                json_bool(json, "root", commands->items[i].root);
                json_object_end(json);
        }
        json_array_end(json);
}

static const char *const results[] = { "worked", "no reaction", "failed", "not running", "holds already" };

/* result: negative: it was not tried. */
static void print_json(const DrillPlan *plan, int result)
{
        Json json = JSON_INIT(stdout);

        json_object_begin(&json, NULL);
        json_string(&json, "component", plan->component);
        json_string(&json, "condition", plan->condition);
        json_string(&json, "advice", plan->advice);
        json_string(&json, "path_unit", plan->path_unit);
        json_bool(&json, "active", plan->active);
        json_bool(&json, "enabled", plan->enabled);
        json_string(&json, "drop_ins", plan->drop_ins);
        json_commands(&json, "begin", &plan->begin);
        json_commands(&json, "end", &plan->end);
        json_string(&json, "result", result < 0 ? NULL : results[result]);
        json_object_end(&json);
        putchar('\n');
}

static int exit_status(const DrillPlan *plan, int result, bool tried)
{
        if (!tried)
                return has_reaction(plan) ? EXIT_SUCCESS : DRILL_EXIT_NO_REACTION;
        if (result < 0)
                return TOOL_EXIT_FAILURE;
        switch (result) {
        case DRILL_WORKED:
                return has_reaction(plan) ? EXIT_SUCCESS : DRILL_EXIT_NO_REACTION;
        case DRILL_NO_REACTION:
                return DRILL_EXIT_NO_REACTION;
        case DRILL_FAILED:
                fprintf(stderr, "audit-relay: the reaction did not do as it should: journalctl -u %s\n", plan->service);
                return TOOL_EXIT_FAILURE;
        case DRILL_HOLDS:
                fprintf(stderr, "audit-relay: %s/%s holds already, for real: see `audit-relay status`\n", plan->component, plan->condition);
                return DRILL_EXIT_NOT_RUNNING;
        default:
                fprintf(stderr, "audit-relay: %s does not run, and nobody else raises its conditions: start it first\n", plan->component);
                return DRILL_EXIT_NOT_RUNNING;
        }
}

static int say_cannot(int r)
{
        fprintf(stderr, "audit-relay: systemd cannot be asked (systemctl show): %s\n", tool_reason(r));
        return TOOL_EXIT_FAILURE;
}

static int show_one(const Condition *condition, const Options *options)
{
        DrillPlan plan;
        int r = drill_plan_read(condition->component, condition->name, &plan), result = -1, status;

        if (r < 0)
                return say_cannot(r);
        if (!options->json)
                print_plan(&plan);
        (void) fflush(stdout);
        if (options->yes)
                result = drill_try(&plan, options->state_directory, (unsigned) options->seconds, options->json);
        if (options->json)
                print_json(&plan, result);
        status = exit_status(&plan, result, options->yes);
        drill_plan_done(&plan);
        return status;
}

/* "remote/spool_full", or as the units have it, "remote-spool_full". NULL: there is none, which it says. */
static const Condition *find(const char *name)
{
        size_t n = strcspn(name, "/-");
        char component[32];
        const Condition *condition;

        (void) snprintf(component, sizeof component, "%.*s", (int) MIN(n, sizeof component - 1), name);
        condition = condition_find(component, name + n + (name[n] != '\0'));
        if (!condition)
                fprintf(stderr, "audit-relay drill: there is no condition \"%s\"; `audit-relay drill` lists them\n", name);
        return condition;
}

static bool parse_seconds(const char *text, uint64_t *ret)
{
        if (number_parse(text, 1, SECONDS_MAX, ret))
                return true;
        fprintf(stderr, "audit-relay drill: --seconds=%s: expected a number from 1 to %u\n", text, SECONDS_MAX);
        return false;
}

int verb_drill(int argc, char **argv)
{
        static const struct option long_options[] = {
                { "yes", no_argument, NULL, 'y' },
                { "seconds", required_argument, NULL, 's' },
                { "json", no_argument, NULL, 'j' },
                { "state-dir", required_argument, NULL, 'd' },
                { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        Options options = { .state_directory = STATE_DIRECTORY, .seconds = SECONDS_DEFAULT };
        const Condition *condition;
        int c, r;

        while ((c = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
                switch (c) {
                case 'y':
                        options.yes = true;
                        break;
                case 's':
                        if (!parse_seconds(optarg, &options.seconds))
                                return TOOL_EXIT_USAGE;
                        break;
                case 'j':
                        options.json = true;
                        break;
                case 'd':
                        options.state_directory = optarg;
                        break;
                case 'h':
                        help();
                        return EXIT_SUCCESS;
                default:
                        return TOOL_EXIT_USAGE;
                }
        if (optind + 1 < argc || (options.yes && optind == argc)) {
                fprintf(stderr, "audit-relay drill: name one condition at a time\n");
                return TOOL_EXIT_USAGE;
        }
        if (optind == argc) {
                r = show_all(options.json);
                return r < 0 ? say_cannot(r) : EXIT_SUCCESS;
        }
        condition = find(argv[optind]);
        return condition ? show_one(condition, &options) : TOOL_EXIT_USAGE;
}
