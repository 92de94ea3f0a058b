/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The verbs of audit-relay(1). Each gets argv from its own name on (argv[0] is "audit-relay VERB"), parses
 * its options with getopt_long(), answers --help on stdout, and returns the exit status of the program.
 */

/* Exit status 1: it did not work; 2: the command line was wrong. Further ones are the verb's own: it worked, and what it found is not well;
 * said in its --help, and in the table of main.c. */
#define TOOL_EXIT_FAILURE 1
#define TOOL_EXIT_USAGE 2

int verb_status(int argc, char **argv);
int verb_cert(int argc, char **argv);
int verb_send(int argc, char **argv);
int verb_command(int argc, char **argv);
int verb_tail(int argc, char **argv);
int verb_log(int argc, char **argv);
int verb_import(int argc, char **argv);
int verb_verify(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_drill(int argc, char **argv);
int verb_stop(int argc, char **argv);
int verb_complete(int argc, char **argv);
