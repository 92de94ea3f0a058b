/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay cert: certificates without knowing how certificates are made.
 *
 * Where the CA is:
 *      DIR/ca.pem, ca-key.pem        the CA; whoever has the key can make clients and collectors
 *      DIR/crl.pem                   what was revoked, if anything was
 *      DIR/issued/NAME-SERIAL.pem    every certificate ever issued, so that all of a NAME's can be revoked
 *      DIR/NAME/cert.pem, ca.pem (and crl.pem)   what the host NAME has
 *      DIR/NAME/key.pem              its key, if that was made here; it goes to that host with the others
 *      DIR/NAME/sign.pem             its key for checkpoints (sign.c)
 * On a host: the same names in /etc/audit-relay/tls, and request-key.pem, a key whose certificate has not come yet.
 *
 * Nothing is overwritten without --force but what renew and install are there to replace.
 */

#include "tool/cert/cert.h"
#include "tool/cert/list.h"
#include "tool/cert/show.h"
#include "tool/cert/sign.h"
#include "tool/number.h"
#include "tool/tool.h"

#include <getopt.h>
#include <stdio.h>

#define DAYS_MAX 36500

static void help(void)
{
        printf("Usage: audit-relay cert COMMAND [OPTION...]\n"
               "\n"
               "Where the CA is:\n"
               "  init              Make a CA\n"
               "  collector NAME    Make key and certificate of the collector NAME, its DNS name for clients; a CA, if there is none\n"
               "  client NAME       Make key and certificate of the client NAME, the node it may speak for\n"
               "  issue NAME        Make the certificate of the client NAME for the request on standard input; prints it\n"
               "  renew NAME        Make a new one for the key that the newest certificate of NAME has; prints it\n"
               "  list              All certificates that were made here, their days and what became of them\n"
               "  revoke NAME       Revoke all certificates made for NAME: writes crl.pem\n"
               "  signer NAME       Make a key that signs checkpoints of the store of the collector NAME\n"
               "  verifier NAME     Print the key that verifies these, for VerifierKey= and audit-relay verify --key=\n"
               "\n"
               "On the host that it is for:\n"
               "  request [NAME]    Make a key, which stays here, and print the request for its certificate\n"
               "  install           Take what issue or renew has printed from standard input, and reload what runs\n"
               "  show FILE         What the certificates in FILE say\n"
               "\n"
               "  --dir=DIR         Of the CA (" CERT_AUTHORITY_DIRECTORY ")\n"
               "  --out=DIR         Where to put what is made (DIR of the CA/NAME; on the host itself " CREDENTIALS_DIRECTORY ")\n"
               "  --collector       issue: for a collector\n"
               "  --days=N          How long it is valid (%d; a CA: %d)\n"
               "  --not-before=DATE --not-after=DATE\n"
               "                    Instead: from and until, 2026-01-31 or 2026-01-31T12:00:00Z\n"
               "  --ed25519         An Ed25519 key instead of ECDSA P-256\n"
               "  --force           Overwrite what is there; install: also the CA that is trusted; request: another key\n"
               "  --json            As JSON\n"
               "  --help            This text\n"
               "\n"
               "Enrols web1 from where the CA is:\n"
               "    ssh root@web1 audit-relay cert request | audit-relay cert issue web1 | ssh root@web1 audit-relay cert install\n"
               "Renews its certificate:\n"
               "    audit-relay cert renew web1 | ssh root@web1 audit-relay cert install\n"
               "\n"
               "Exit status: 0 done; 1 it did not work; 2 the command line is wrong.\n",
               CERT_DAYS, CERT_AUTHORITY_DAYS);
}

static bool parse_date(const char *text, time_t *ret)
{
        static const char *const formats[] = { "%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S" };

        for (size_t i = 0; i < ELEMENTSOF(formats); i++) {
                struct tm tm = { 0 };
                const char *end = strptime(text, formats[i], &tm);

                if (end && *end == '\0') {
                        *ret = timegm(&tm);
                        return true;
                }
        }
        fprintf(stderr, "\"%s\" is not a date such as 2026-01-31 or 2026-01-31T12:00:00Z\n", text);
        return false;
}

static bool parse_days(const char *text, uint64_t *ret)
{
        if (number_parse(text, 1, DAYS_MAX, ret))
                return true;
        fprintf(stderr, "\"%s\" is not a number of days from 1 to %d\n", text, DAYS_MAX);
        return false;
}

/* Returns 1 to go on, 0 when help was asked for, -EINVAL for a wrong option. */
static int parse_options(int argc, char **argv, CertOptions *options)
{
        enum {
                OPTION_DIR = 256,
                OPTION_OUT,
                OPTION_COLLECTOR,
                OPTION_DAYS,
                OPTION_BEFORE,
                OPTION_AFTER,
                OPTION_ED25519,
                OPTION_FORCE,
                OPTION_JSON,
        };
        static const struct option table[] = {
                {"help", no_argument, NULL, 'h'},
                {"dir", required_argument, NULL, OPTION_DIR},
                {"out", required_argument, NULL, OPTION_OUT},
                {"collector", no_argument, NULL, OPTION_COLLECTOR},
                {"days", required_argument, NULL, OPTION_DAYS},
                {"not-before", required_argument, NULL, OPTION_BEFORE},
                {"not-after", required_argument, NULL, OPTION_AFTER},
                {"ed25519", no_argument, NULL, OPTION_ED25519},
                {"force", no_argument, NULL, OPTION_FORCE},
                {"json", no_argument, NULL, OPTION_JSON},
                { 0 },
        };
        bool ok = true;
        int c;

        optind = 0;
        while (ok && (c = getopt_long(argc, argv, "h", table, NULL)) >= 0)
                switch (c) {
                case 'h':
                        return 0;
                case OPTION_DIR:
                        options->directory = optarg;
                        break;
                case OPTION_OUT:
                        options->out = optarg;
                        break;
                case OPTION_COLLECTOR:
                        options->collector = true;
                        break;
                case OPTION_DAYS:
                        ok = parse_days(optarg, &options->days);
                        break;
                case OPTION_BEFORE:
                        ok = parse_date(optarg, &options->not_before);
                        break;
                case OPTION_AFTER:
                        ok = parse_date(optarg, &options->not_after);
                        break;
                case OPTION_ED25519:
                        options->ed25519 = true;
                        break;
                case OPTION_FORCE:
                        options->force = true;
                        break;
                case OPTION_JSON:
                        options->json = true;
                        break;
                default:
                        ok = false;
                }
        return ok ? 1 : -EINVAL;
}

/* --- The commands --- */

static int run_init(const CertOptions *options, const char *none)
{
        return cert_init(options);
}

static int run_collector(const CertOptions *options, const char *name)
{
        return cert_make(options, ISSUE_COLLECTOR, name);
}

static int run_client(const CertOptions *options, const char *name)
{
        return cert_make(options, ISSUE_CLIENT, name);
}

static int run_install(const CertOptions *options, const char *none)
{
        return cert_install(options);
}

static int run_list(const CertOptions *options, const char *none)
{
        return cert_list(options->directory, options->json) < 0 ? TOOL_EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_show(const CertOptions *options, const char *file)
{
        return cert_show(file, options->json) < 0 ? TOOL_EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_signer(const CertOptions *options, const char *name)
{
        if (!cert_name_is_usable(name))
                return TOOL_EXIT_USAGE;
        return cert_make_signer(options, name) < 0 ? TOOL_EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_verifier(const CertOptions *options, const char *name)
{
        if (!cert_name_is_usable(name))
                return TOOL_EXIT_USAGE;
        return cert_print_verifier(options, name) < 0 ? TOOL_EXIT_FAILURE : EXIT_SUCCESS;
}

typedef struct Command {
        const char *name, *argument; /* NULL: it takes none */
        bool optional;
        int (*run)(const CertOptions *options, const char *argument); /* the exit status */
} Command;

static const Command commands[] = {
        { "init", NULL, false, run_init },
        { "collector", "NAME", false, run_collector },
        { "client", "NAME", false, run_client },
        { "issue", "NAME", false, cert_issue },
        { "renew", "NAME", false, cert_renew },
        { "list", NULL, false, run_list },
        { "revoke", "NAME", false, cert_revoke },
        { "signer", "NAME", false, run_signer },
        { "verifier", "NAME", false, run_verifier },
        { "request", "NAME", true, cert_request },
        { "install", NULL, false, run_install },
        { "show", "FILE", false, run_show },
};

static void say_commands(void)
{
        fprintf(stderr, "audit-relay cert: expected is one of");
        for (const Command *c = commands; c < commands + ELEMENTSOF(commands); c++)
                fprintf(stderr, "%s %s%s%s%s%s", c > commands ? "," : "", c->name, c->argument ? " " : "", c->optional ? "[" : "",
                        c->argument ? c->argument : "", c->optional ? "]" : "");
        fprintf(stderr, "; see --help\n");
}

int verb_cert(int argc, char **argv)
{
        CertOptions options = { .directory = CERT_AUTHORITY_DIRECTORY };
        int n, r;

        r = parse_options(argc, argv, &options);
        if (r == 0) {
                help();
                return EXIT_SUCCESS;
        }
        if (r < 0)
                return TOOL_EXIT_USAGE;
        n = argc - optind;
        for (const Command *c = commands; n > 0 && c < commands + ELEMENTSOF(commands); c++)
                if (strcmp(argv[optind], c->name) == 0 && (n == 1 + !!c->argument || (n == 1 && c->optional)))
                        return c->run(&options, n > 1 ? argv[optind + 1] : NULL);
        say_commands();
        return TOOL_EXIT_USAGE;
}
