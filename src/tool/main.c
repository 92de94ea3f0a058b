/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay: the one command for people. Everything it does is a verb with a file of its own. */

#include "basic/macro.h"
#include "runtime/log.h"
#include "tool/reason.h"
#include "tool/tool.h"

#include <stdio.h>

typedef struct Verb {
        const char *name;
        int (*run)(int argc, char **argv);
        const char *help;
        const char *exits; /* statuses above 2; NULL: there is none */
} Verb;

static const Verb verbs[] = {
        { "status", verb_status, "What the programs on this host are doing, and what is wrong",
          "3 a condition holds; 4 a program does not run, or there is none" },
        { "doctor", verb_doctor, "What is wrong on this host, and what to type",
          "3 something is wrong" },
        { "tail", verb_tail, "Records as the dispatcher gets them, as lines or JSON", NULL },
        { "log", verb_log, "Records from stores, by time, node, type, key or serial",
          "3 some records are damaged" },
        { "verify", verb_verify, "Whether stores are whole: text, index, chain, and what is missing",
          "3 damaged; 4 intact, but records were lost before they came here" },
        { "send", verb_send, "Records from standard input into the dispatcher, acked", NULL },
        { "command", verb_command, "Ask something of the dispatcher or of the plugins behind it",
          "3 refused; 4 nobody knows the verb; 5 failed" },
        { "drill", verb_drill, "Which reaction a condition has, and whether it works",
          "3 there is no reaction; 4 the program does not run, or the condition holds already" },
        { "stop", verb_stop, "Stop all of it in the right order, so that nothing is lost",
          "3 stopped, and records are left" },
        { "import", verb_import, "Configuration from auditd's files, and what became of each key",
          "3 something is not possible, or unknown" },
        { "cert", verb_cert, "Make a CA, and certificates for collectors and clients", NULL },
        { "complete", verb_complete, "Words for the completion of a shell", NULL },
};

static void help(FILE *to)
{
        fprintf(to, "Usage: audit-relay VERB [OPTION...]\n"
                    "\n"
                    "Carries Linux audit records from this host to a collector.\n"
                    "\n");
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                fprintf(to, "  %-10s %s\n", verbs[i].name, verbs[i].help);
        fprintf(to, "\n"
                    "  --help     This text; audit-relay VERB --help for that of a verb\n"
                    "  --version  Version of the package\n"
                    "\n"
                    "Exit status of all verbs: 0 done, and all is well; 1 it did not work, as standard error says;\n"
                    "2 the command line is wrong; 3 and above: it worked, and not all is well:\n"
                    "\n");
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (verbs[i].exits)
                        fprintf(to, "    %-8s %s\n", verbs[i].name, verbs[i].exits);
        fprintf(to, "\n"
                    "With --json standard output is JSON and nothing else. Colours and progress are for terminals;\n"
                    "NO_COLOR in the environment turns colours off.\n");
}

/* What a verb printed may be somebody's certificate: half of it on a full disk is no success. A verb that found that out has said so. */
static int flush(int status)
{
        int error = fflush(stdout) != 0 ? errno : ferror(stdout) ? EIO : 0;

        if (error == 0)
                return status;
        if (status != TOOL_EXIT_FAILURE)
                fprintf(stderr, "Cannot write to standard output: %s\n", tool_reason(error));
        return TOOL_EXIT_FAILURE;
}

int main(int argc, char **argv)
{
        const char *verb = argc > 1 ? argv[1] : "--help";

        log_init_tool("audit-relay", LOG_INFO);
        if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0 || strcmp(verb, "help") == 0) {
                help(stdout);
                return EXIT_SUCCESS;
        }
        if (strcmp(verb, "--version") == 0) {
                printf("audit-relay %s\n", AUDIT_RELAY_VERSION);
                return EXIT_SUCCESS;
        }
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (strcmp(verb, verbs[i].name) == 0) {
                        static char name[64];

                        /* What getopt_long() puts in front of its complaints. */
                        (void) snprintf(name, sizeof name, "audit-relay %s", verb);
                        argv[1] = name;
                        return flush(verbs[i].run(argc - 1, argv + 1));
                }
        fprintf(stderr, "audit-relay: there is no verb \"%s\", use one of these:\n\n", verb);
        help(stderr);
        return TOOL_EXIT_USAGE;
}
