/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/program.h"
#include "basic/batch.h"
#include "runtime/config.h"

#include <getopt.h>
#include <stdio.h>

static void help(const char *name, const char *what)
{
        printf("Usage: %s [OPTION...]\n"
               "\n"
               "%s\n"
               "\n"
               "  --config=FILE  Read this file alone, instead of %s.conf and its drop-ins\n"
               "  --help         This text\n"
               "  --version      Version of the package\n"
               "\n"
               "Signals, exit statuses and environment: audit-relay-units(8).\n",
               name, what, name);
}

int program_arguments(int argc, char **argv, const char *name, const char *what, const char **ret_config)
{
        static const struct option options[] = {
                { "config", required_argument, NULL, 'c' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'v' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        *ret_config = NULL;
        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'c':
                        *ret_config = optarg;
                        break;
                case 'h':
                        help(name, what);
                        return 0;
                case 'v':
                        printf("audit-relay %s %s\n", name, AUDIT_RELAY_VERSION);
                        return 0;
                default:
                        return -EINVAL;
                }
        if (optind < argc) {
                fprintf(stderr, "%s: \"%s\" is no option, see --help\n", name, argv[optind]);
                return -EINVAL;
        }
        return 1;
}

char *program_host_name(void)
{
        char name[NODE_NAME_MAX + 1] = "";

        if (gethostname(name, sizeof name - 1) < 0 || name[0] == '\0')
                return strdup("localhost");
        for (char *p = name; *p; p++) {
                char one[] = { *p, '\0' };

                if (!node_name_is_valid(one))
                        *p = '_';
        }
        return strdup(name);
}
