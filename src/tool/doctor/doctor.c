/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay doctor: what is wrong on this host, and what to type. It only looks; each check is in a file of its own. */

#include "tool/doctor/doctor.h"
#include "runtime/state.h"
#include "tool/json.h"
#include "tool/terminal.h"
#include "tool/tool.h"

#include <getopt.h>
#include <stdio.h>

/* A further exit status. */
#define DOCTOR_EXIT_WRONG 3
#define TIMEOUT_USEC (5 * USEC_PER_SEC)

static const char *const verdicts[N_DOCTOR_VERDICTS] = { "ok", "warning", "wrong" };
static const char *const colours[N_DOCTOR_VERDICTS] = { "\x1b[32m", "\x1b[33m", "\x1b[1;31m" };

static void help(void)
{
        printf("Usage: audit-relay doctor [OPTION...] [CHECK...]\n"
               "\n"
               "Says what is wrong on this host and what to do. It changes nothing; run it as root.\n"
               "\n");
        for (const DoctorCheck *check = doctor_checks; check->name; check++)
                printf("  %-14s %s\n", check->name, check->help);
        printf("\n"
               "  --json   As JSON\n"
               "  --help   This text\n"
               "\n"
               "Exit status: 0 nothing is wrong; 3 something is; 1 it did not work; 2 wrong usage.\n");
}

static void print_findings(const Doctor *doctor)
{
        bool colour = terminal_has_colours(stdout);

        for (size_t i = 0; i < doctor->n_findings; i++) {
                const DoctorFinding *finding = &doctor->findings[i];

                printf("%s%-7s%s  %-12s  %s\n", colour ? colours[finding->verdict] : "", verdicts[finding->verdict], colour ? "\x1b[0m" : "",
                       finding->check, finding->what);
                if (finding->todo)
                        printf("%23sto do: %s\n", "", finding->todo);
        }
}

static void print_json(const Doctor *doctor)
{
        Json json = JSON_INIT(stdout);

        json_array_begin(&json, NULL);
        for (size_t i = 0; i < doctor->n_findings; i++) {
                json_object_begin(&json, NULL);
                json_string(&json, "check", doctor->findings[i].check);
                json_string(&json, "verdict", verdicts[doctor->findings[i].verdict]);
                json_string(&json, "what", doctor->findings[i].what);
                json_string(&json, "todo", doctor->findings[i].todo);
                json_object_end(&json);
        }
        json_array_end(&json);
        putchar('\n');
}

static bool is_wanted(const char *name, int n, char **names)
{
        for (int i = 0; i < n; i++)
                if (strcmp(names[i], name) == 0)
                        return true;
        return n == 0;
}

static bool is_check(const char *name)
{
        for (const DoctorCheck *check = doctor_checks; check->name; check++)
                if (strcmp(check->name, name) == 0)
                        return true;
        return false;
}

static int examine(int n, char **names, bool json)
{
        Doctor doctor = { .facts = { .root = "", .state_directory = STATE_DIRECTORY, .timeout_usec = TIMEOUT_USEC, .statvfs = statvfs } };
        int status = EXIT_SUCCESS;

        doctor_facts_read(&doctor.facts);
        doctor_begin(&doctor);
        for (const DoctorCheck *check = doctor_checks; check->name; check++) {
                doctor.check = check->name;
                if (!is_wanted(check->name, n, names))
                        continue;
                terminal_progress("Looking at %s", check->name);
                check->make(&doctor);
        }
        terminal_progress_end();
        if (json)
                print_json(&doctor);
        else
                print_findings(&doctor);
        for (size_t i = 0; i < doctor.n_findings; i++)
                if (doctor.findings[i].verdict == DOCTOR_WRONG)
                        status = DOCTOR_EXIT_WRONG;
        if (doctor.failed) {
                fprintf(stderr, "audit-relay doctor: out of memory, the checks are incomplete: run it again when there is some\n");
                status = TOOL_EXIT_FAILURE;
        }
        doctor_done(&doctor);
        return status;
}

int verb_doctor(int argc, char **argv)
{
        static const struct option long_options[] = {
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        bool json = false;
        int c;

        while ((c = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
                switch (c) {
                case 'j':
                        json = true;
                        break;
                case 'h':
                        help();
                        return EXIT_SUCCESS;
                default:
                        return TOOL_EXIT_USAGE;
                }
        for (int i = optind; i < argc; i++)
                if (!is_check(argv[i])) {
                        fprintf(stderr, "audit-relay doctor: there is no check \"%s\"; --help lists them\n", argv[i]);
                        return TOOL_EXIT_USAGE;
                }
        return examine(argc - optind, argv + optind, json);
}
