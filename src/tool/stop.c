/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay stop: sockets and services of this host in the order in which records go, so that each hands over what it has before
 * the next one stops.
 *
 * Sockets go before their service, which they would start again. The kernel's socket is systemd's and the dispatcher's: while
 * the latter runs it is read on, and what comes when both are gone is nobody's; the next dispatcher says how many events that
 * were, by their serials.
 *
 * Where a unit refuses to be stopped by hand nothing is begun: sockets that are closed before a service that goes on would leave
 * the host half audited.
 */

#include "runtime/loop.h"
#include "runtime/state.h"
#include "tool/component.h"
#include "tool/json.h"
#include "tool/number.h"
#include "tool/systemctl.h"
#include "tool/terminal.h"
#include "tool/tool.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#define STOP_EXIT_RECORDS_LEFT 3
#define TIMEOUT_DEFAULT_SEC 30U
#define TIMEOUT_MAX_SEC 86400U
#define LOOK_USEC (200 * USEC_PER_MSEC)
/* A status that is older was there before the last step. */
#define STATUS_NEXT_USEC (1500 * USEC_PER_MSEC)

typedef struct Options {
        const char *state_directory;
        bool client, collector, json;
        uint64_t timeout_sec;
} Options;

/* What a component still has to hand over. */
typedef struct Drain {
        const char *component, *metric; /* NULL: nothing */
        const char *what;               /* "records that no collector has" */
        const char *left;               /* what becomes of the rest */
} Drain;

typedef struct Step {
        const char *what;
        Drain drain; /* first waits until it is empty */
        const char *arguments[8];
} Step;

static const Step client_steps[] = {
        { "the dispatcher's sockets", { 0 },
          { "stop", "audit-relay-dispatcher.socket", "audit-relay-dispatcher-subscribe.socket", "audit-relay-dispatcher-lines.socket",
            "audit-relay-dispatcher-kernel.socket", "audit-relay-dispatcher-multicast.socket" } },
        { "the dispatcher",
          { "dispatcher", "ring_used_bytes", "bytes of the ring that remote has not taken",
            "they are in the ring, which goes with the next boot" },
          { "stop", "audit-relay-dispatcher.service" } },
        { "plugins", { 0 }, { "stop", "audit-relay-plugin@*.socket", "audit-relay-plugin@*.service" } },
        { "remote",
          { "remote", "waiting_records", "records that no collector has", "they stay on this disk, and are sent at the next start" },
          { "stop", "audit-relay-remote.socket", "audit-relay-remote.service" } },
        { "the client", { 0 }, { "stop", "audit-relay-client.target" } },
};

static const Step collector_steps[] = {
        { "the aggregator's sockets", { 0 }, { "stop", "audit-relay-aggregator.socket", "audit-relay-aggregator-auditd.socket" } },
        { "the aggregator", { 0 }, { "stop", "audit-relay-aggregator.service" } },
        { "the collector", { 0 }, { "stop", "audit-relay-collector.target" } },
};

static void help(void)
{
        printf("Usage: audit-relay stop [OPTION...]\n"
               "\n"
               "Stops the programs of this host, each after the one before it has handed over what it has.\n"
               "Enabled targets start again at the next boot, or by systemctl start. Records that clients\n"
               "have not delivered to a collector that stops stay with them. Until a dispatcher runs again\n"
               "the kernel's records go to the kernel log; how many events that were is in a gap record then.\n"
               "\n"
               "  --client          The dispatcher, plugins and remote alone\n"
               "  --collector       The aggregator alone\n"
               "  --timeout=SEC     Waits so long for each to be empty, %u unless told otherwise; 0: not at all\n"
               "  --json            As JSON\n"
               "  --state-dir=PATH  Where the state is, instead of %s\n"
               "  --help            This text\n"
               "\n"
               "Exit status: 0 stopped, and nothing is left here; 3 stopped, and records are left (which, it\n"
               "says); 1 something does not stop, or may not be stopped by hand (RefuseManualStop=): then\n"
               "nothing is; 2 wrong usage.\n",
               TIMEOUT_DEFAULT_SEC, STATE_DIRECTORY);
}

/* --- Draining --- */

/* How much it still has; 0 also when it does not run. `may_drain`: somebody takes it. */
static double look(const Options *options, const Drain *drain, bool *ret_may_drain)
{
        Component component;
        double left = 0, connected = 1;

        *ret_may_drain = false;
        if (component_read(options->state_directory, drain->component, &component) < 0)
                return 0;
        if (component.health == HEALTH_RUNNING && component_sample(&component, drain->metric, &left)) {
                (void) component_sample(&component, "connected", &connected);
                *ret_may_drain = connected != 0;
        }
        component_done(&component);
        return left;
}

/* Until it is empty, nobody takes it, or the time is over. Returns what is left. */
static double wait_empty(const Options *options, const Drain *drain)
{
        uint64_t begin = monotonic_usec(), end = begin + options->timeout_sec * USEC_PER_SEC;
        bool may_drain;
        double left;

        /* What the step before handed over is not yet in the status that is there. */
        if (options->timeout_sec > 0)
                (void) usleep(STATUS_NEXT_USEC);
        left = look(options, drain, &may_drain);
        while (left > 0 && may_drain && monotonic_usec() < end) {
                terminal_progress("%s: %.0f %s", drain->component, left, drain->what);
                (void) usleep(LOOK_USEC);
                left = look(options, drain, &may_drain);
        }
        terminal_progress_end();
        return left;
}

/* --- Refusal --- */

/* The first unit of the steps that runs and whose settings do not let people stop it; NULL: there is none, or no systemd to ask. */
static const char *find_refusal(const Step *steps, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                const char *const *units = steps[i].arguments + 1; /* behind "stop" */
                _cleanup_(freep) char *text = NULL;

                if (systemctl_show("ActiveState,RefuseManualStop", units, &text) != 0)
                        continue;
                for (; *units; units++)
                        if (systemctl_is(text, *units, "RefuseManualStop", "yes") && !systemctl_is(text, *units, "ActiveState", "inactive"))
                                return *units;
        }
        return NULL;
}

static int tell_refusal(const Options *options, Json *json, const char *unit)
{
        if (options->json) {
                json_object_begin(json, NULL);
                json_string(json, "step", unit);
                json_bool(json, "stopped", false);
                json_string(json, "reason", "RefuseManualStop=yes");
                json_object_end(json);
        }
        fprintf(stderr,
                "audit-relay stop: %s may not be stopped by hand here (RefuseManualStop=yes); nothing was stopped. It stops with the host. "
                "If it is to stop now: systemctl cat %s names the drop-in that forbids it; remove that, run systemctl daemon-reload, "
                "and then this again\n",
                unit, unit);
        return TOOL_EXIT_FAILURE;
}

/* --- Stopping --- */

static void tell(const Options *options, Json *json, const Step *step, int r, double left)
{
        char number[40];

        if (options->json) {
                json_object_begin(json, NULL);
                json_string(json, "step", step->what);
                json_bool(json, "stopped", r == 0);
                if (step->drain.component) {
                        (void) snprintf(number, sizeof number, "%.0f", left);
                        json_number(json, "left", number);
                        json_string(json, "unit", step->drain.what);
                }
                json_object_end(json);
                return;
        }
        printf("%-26s %s", step->what, r == 0 ? "stopped" : "does not stop");
        if (step->drain.component && left > 0)
                printf("; %.0f %s: %s", left, step->drain.what, step->drain.left);
        else if (step->drain.component && r == 0)
                printf(", nothing is left");
        putchar('\n');
        (void) fflush(stdout);
}

static int run_steps(const Options *options, Json *json, const Step *steps, size_t n)
{
        int status = EXIT_SUCCESS;

        for (size_t i = 0; i < n; i++) {
                double left = steps[i].drain.component ? wait_empty(options, &steps[i].drain) : 0;
                int r = systemctl_run(steps[i].arguments, NULL);

                if (r == -ENOENT)
                        fprintf(stderr, "audit-relay: there is no systemctl: send the programs SIGTERM, dispatcher before remote\n");
                tell(options, json, &steps[i], r, left);
                if (r != 0)
                        return TOOL_EXIT_FAILURE;
                if (left > 0)
                        status = STOP_EXIT_RECORDS_LEFT;
        }
        return status;
}

/* What this host runs, or what of it is meant. */
static int stop_roles(const Options *options, Json *json)
{
        bool all = !options->client && !options->collector, client = all || options->client, collector = all || options->collector;
        const char *refusal = client ? find_refusal(client_steps, ELEMENTSOF(client_steps)) : NULL;
        int status = EXIT_SUCCESS, r;

        if (!refusal && collector)
                refusal = find_refusal(collector_steps, ELEMENTSOF(collector_steps));
        if (refusal)
                return tell_refusal(options, json, refusal);
        if (client)
                status = run_steps(options, json, client_steps, ELEMENTSOF(client_steps));
        if (status != TOOL_EXIT_FAILURE && collector) {
                r = run_steps(options, json, collector_steps, ELEMENTSOF(collector_steps));
                status = r == EXIT_SUCCESS ? status : r;
        }
        return status;
}

static int stop(const Options *options)
{
        Json json = JSON_INIT(stdout);
        int status;

        if (options->json)
                json_array_begin(&json, NULL);
        status = stop_roles(options, &json);
        if (options->json) {
                json_array_end(&json);
                putchar('\n');
        }
        return status;
}

static bool parse_timeout(const char *text, uint64_t *ret)
{
        if (number_parse(text, 0, TIMEOUT_MAX_SEC, ret))
                return true;
        fprintf(stderr, "audit-relay stop: --timeout=%s: expected a number of seconds, at most %u\n", text, TIMEOUT_MAX_SEC);
        return false;
}

int verb_stop(int argc, char **argv)
{
        static const struct option long_options[] = {
                { "client", no_argument, NULL, 'c' },
                { "collector", no_argument, NULL, 'C' },
                { "timeout", required_argument, NULL, 't' },
                { "json", no_argument, NULL, 'j' },
                { "state-dir", required_argument, NULL, 'd' },
                { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        Options options = { .state_directory = STATE_DIRECTORY, .timeout_sec = TIMEOUT_DEFAULT_SEC };
        int c;

        while ((c = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
                switch (c) {
                case 'c':
                        options.client = true;
                        break;
                case 'C':
                        options.collector = true;
                        break;
                case 't':
                        if (!parse_timeout(optarg, &options.timeout_sec))
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
        if (optind < argc) {
                fprintf(stderr, "audit-relay stop: takes no argument such as \"%s\", see --help\n", argv[optind]);
                return TOOL_EXIT_USAGE;
        }
        return stop(&options);
}
