/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay cert: certificates without knowing how certificates are made.
 *
 *      DIR/ca.pem, ca-key.pem        the CA; whoever has the key can make clients and collectors
 *      DIR/crl.pem                   what was revoked, if anything was
 *      DIR/issued/NAME-SERIAL.pem    every certificate ever issued, so that all of a NAME's can be revoked
 *      DIR/NAME/cert.pem, key.pem, ca.pem (and crl.pem)   what goes to the host NAME
 *      DIR/NAME/sign.pem             its key for checkpoints (sign.c)
 *
 * Nothing is overwritten without --force. The record in issued/ is written before the pair itself: no
 * certificate is ever out that could not be revoked.
 */

#include "runtime/issue.h"
#include "tool/cert/files.h"
#include "tool/cert/list.h"
#include "tool/cert/show.h"
#include "tool/cert/sign.h"
#include "tool/tool.h"

#include <dirent.h>
#include <getopt.h>
#include <stdio.h>

#define CA_DIRECTORY "/etc/audit-relay/ca"
#define TLS_DIRECTORY "/etc/audit-relay/tls"
#define SECONDS_PER_DAY (24 * 60 * 60)
/* A CA is replaced by hand on every host; a certificate by one command and a copy. */
#define CA_DAYS 3650
#define CERTIFICATE_DAYS 825
#define DAYS_MAX 36500
/* Clocks of hosts differ: a new certificate is to be valid on one that is late. */
#define CLOCK_MARGIN_SEC (60 * 60)

typedef struct Options {
        const char *directory;
        const char *out;
        unsigned long days;
        time_t not_before, not_after;
        bool force, ed25519, json;
} Options;

static void help(void)
{
        printf("Usage: audit-relay cert COMMAND [OPTION...]\n"
               "\n"
               "  init              Make a CA\n"
               "  collector NAME    Make a certificate for the collector NAME, its DNS name for clients; a CA, if there is none\n"
               "  client NAME       Make a certificate for the client NAME, the node it may speak for\n"
               "  list              All certificates that were made here, their days and what became of them\n"
               "  revoke NAME       Revoke all certificates made for NAME: writes crl.pem\n"
               "  show FILE         What the certificates in FILE say\n"
               "  signer NAME       Make a key that signs checkpoints of the store of the collector NAME\n"
               "  verifier NAME     Print the key that verifies these, for VerifierKey= and audit-relay verify --key=\n"
               "\n"
               "  --dir=DIR         Of the CA (" CA_DIRECTORY ")\n"
               "  --out=DIR         Where to put a new certificate (DIR of the CA/NAME)\n"
               "  --days=N          How long it is valid (%d; a CA: %d)\n"
               "  --not-before=DATE --not-after=DATE\n"
               "                    Instead: from and until, 2026-01-31 or 2026-01-31T12:00:00Z\n"
               "  --ed25519         An Ed25519 key instead of ECDSA P-256\n"
               "  --force           Overwrite what is there: a new certificate in place of the old one\n"
               "  --json            list as JSON\n"
               "  --help            This text\n"
               "\n"
               "Exit status: 0 done; 1 it did not work; 2 the command line is wrong.\n",
               CERTIFICATE_DAYS, CA_DAYS);
}

static int read_pair(const Options *options, IssuePair *ret)
{
        _cleanup_(freep) char *certificate = cert_path(options->directory, "ca.pem");
        _cleanup_(freep) char *key = cert_path(options->directory, "ca-key.pem");
        int r;

        if (!certificate || !key)
                return -ENOMEM;
        if (access(certificate, F_OK) < 0 && errno == ENOENT) {
                fprintf(stderr, "There is no CA in %s: make one with \"audit-relay cert init\"\n",
                        options->directory);
                return -ENOENT;
        }
        r = cert_read(certificate, false, &ret->certificate);
        return r < 0 ? r : cert_read(key, false, &ret->key);
}

/* Whether the file may be written. */
static bool is_free(const Options *options, const char *directory, const char *name)
{
        _cleanup_(freep) char *path = cert_path(directory, name);

        if (!path)
                return false;
        if (options->force || access(path, F_OK) < 0)
                return true;
        fprintf(stderr, "%s is there already: not overwritten without --force\n", path);
        return false;
}

static int make(const Options *options, IssueKind kind, const char *name, const IssuePair *ca,
                IssuePair *ret)
{
        unsigned long days = options->days > 0  ? options->days
                             : kind == ISSUE_CA ? CA_DAYS
                                                : CERTIFICATE_DAYS;
        time_t now = time(NULL);
        IssueRequest request = {
                .kind = kind,
                .name = name,
                .not_before = options->not_before ? options->not_before : now - CLOCK_MARGIN_SEC,
                .not_after = options->not_after ? options->not_after : now + (time_t) days * SECONDS_PER_DAY,
                .ed25519 = options->ed25519,
        };
        _cleanup_(freep) char *why = NULL;
        int r;

        /* A certificate that was not valid yesterday either: the tests and the trials of the expired. */
        if (!options->not_before && request.not_after <= request.not_before)
                request.not_before = request.not_after - SECONDS_PER_DAY;
        if (request.not_after <= request.not_before) {
                fprintf(stderr, "It would end before it begins: see --not-before= and --not-after=\n");
                return -EINVAL;
        }
        r = issue_certificate(&request, ca, ret, &why);
        if (r < 0)
                fprintf(stderr, "%s\n", why ? why : strerror(-r));
        return r;
}

static int make_ca(const Options *options)
{
        _cleanup_(issue_pair_done) IssuePair pair = { 0 };
        char host[65] = "", name[65], serial[129] = "", end[32];
        time_t expires = 0;

        if (!is_free(options, options->directory, "ca.pem") ||
            !is_free(options, options->directory, "ca-key.pem"))
                return TOOL_EXIT_FAILURE;
        (void) gethostname(host, sizeof host - 1);
        snprintf(name, sizeof name, "audit-relay CA of %.40s", host[0] ? host : "this host");
        if (make(options, ISSUE_CA, name, NULL, &pair) < 0 ||
            cert_make_directory(options->directory, 0700) < 0 ||
            cert_write(options->directory, "ca-key.pem", pair.key, 0600) < 0 ||
            cert_write(options->directory, "ca.pem", pair.certificate, 0644) < 0 ||
            cert_summary(pair.certificate, serial, &expires) < 0)
                return TOOL_EXIT_FAILURE;
        cert_show_time(end, expires);
        printf("Made the CA \"%s\" in %s, valid until %s.\n"
               "Whoever has %s/ca-key.pem can make clients and collectors: keep it here, and back it up.\n"
               "\n",
               name, options->directory, end, options->directory);
        return EXIT_SUCCESS;
}

static int run_init(const Options *options)
{
        if (make_ca(options) != EXIT_SUCCESS)
                return TOOL_EXIT_FAILURE;
        printf("Next:  audit-relay cert collector NAME    NAME: the DNS name clients connect to\n"
               "       audit-relay cert client NAME       NAME: the client's node name, once for each "
               "client\n");
        return EXIT_SUCCESS;
}

/* The first collector is where the CA is made, too; a client that asks here asks at the wrong host. --days= and the like are
 * of the collector's certificate. */
static int make_first_ca(const Options *options)
{
        const Options ca = { .directory = options->directory, .ed25519 = options->ed25519 };
        _cleanup_(freep) char *path = cert_path(options->directory, "ca.pem");

        if (!path)
                return TOOL_EXIT_FAILURE;
        return access(path, F_OK) < 0 && errno == ENOENT ? make_ca(&ca) : EXIT_SUCCESS;
}

static bool name_is_usable(const char *name)
{
        static const char *const ours[] = { "issued", "ca.pem", "ca-key.pem", "crl.pem" };

        for (size_t i = 0; i < ELEMENTSOF(ours); i++)
                if (strcmp(name, ours[i]) == 0) {
                        fprintf(stderr, "\"%s\" is the name of a file here: choose another one\n", name);
                        return false;
                }
        if (!issue_name_is_valid(name)) {
                fprintf(stderr,
                        "\"%s\" is not a host name: letters, digits, '-' and '_', parts separated by '.'\n",
                        name);
                return false;
        }
        return true;
}

/* Keeps the certificate, before it is out. */
static int record(const Options *options, const char *name, const char *certificate, time_t *ret_end)
{
        _cleanup_(freep) char *issued = cert_path(options->directory, "issued"), *file = NULL;
        char serial[129];

        if (cert_summary(certificate, serial, ret_end) < 0 || !issued ||
            asprintf(&file, "%s-%s.pem", name, serial) < 0)
                return -ENOMEM;
        if (cert_make_directory(issued, 0700) < 0)
                return -EIO;
        return cert_write(issued, file, certificate, 0644);
}

static int write_host_files(const Options *options, const char *out, const IssuePair *ca,
                            const IssuePair *pair)
{
        _cleanup_(freep) char *crl_path = cert_path(options->directory, "crl.pem"), *crl = NULL;
        int r;

        if (!crl_path)
                return -ENOMEM;
        r = cert_read(crl_path, true, &crl);
        if (r < 0)
                return r;
        if ((r = cert_make_directory(out, 0700)) < 0 ||
            (r = cert_write(out, "key.pem", pair->key, 0600)) < 0 ||
            (r = cert_write(out, "cert.pem", pair->certificate, 0644)) < 0 ||
            (r = cert_write(out, "ca.pem", ca->certificate, 0644)) < 0)
                return r;
        return crl ? cert_write(out, "crl.pem", crl, 0644) : 0;
}

static void say_next(IssueKind kind, const char *name, const char *out, time_t expires)
{
        const char *user = kind == ISSUE_COLLECTOR ? "audit-relay-aggregator" : "audit-relay-remote";
        const char *service = kind == ISSUE_COLLECTOR ? "aggregator" : "remote";
        char end[32];

        cert_show_time(end, expires);
        printf("Made a certificate for the %s \"%s\" in %s, valid until %s.\n"
               "\n",
               kind == ISSUE_COLLECTOR ? "collector" : "client", name, out, end);
        /* Where the units look for it, they also see to who may read the key. */
        if (strcmp(out, TLS_DIRECTORY) == 0)
                printf("If it runs already: systemctl reload-or-restart audit-relay-%s.service\n", service);
        else
                printf("Copy the .pem files there to " TLS_DIRECTORY "/ on that host, and there:\n"
                       "    chown %s: " TLS_DIRECTORY "/key.pem\n"
                       "    chmod 0400 " TLS_DIRECTORY "/key.pem\n"
                       "    systemctl reload-or-restart audit-relay-%s.service\n",
                       user, service);
        if (kind == ISSUE_CLIENT)
                printf("If that host does not call itself \"%s\", set Node=%s in its configuration.\n", name,
                       name);
        else
                printf("Clients have to connect to it by this name.\n");
}

static int run_issue(const Options *options, IssueKind kind, const char *name)
{
        _cleanup_(issue_pair_done) IssuePair ca = { 0 }, pair = { 0 };
        _cleanup_(freep) char *out =
                options->out ? strdup(options->out) : cert_path(options->directory, name);
        time_t expires = 0;

        if (!name_is_usable(name))
                return TOOL_EXIT_USAGE;
        if (!out || !is_free(options, out, "cert.pem") || !is_free(options, out, "key.pem") ||
            (kind == ISSUE_COLLECTOR && make_first_ca(options) != EXIT_SUCCESS) || read_pair(options, &ca) < 0)
                return TOOL_EXIT_FAILURE;
        if (make(options, kind, name, &ca, &pair) < 0 ||
            record(options, name, pair.certificate, &expires) < 0 ||
            write_host_files(options, out, &ca, &pair) < 0)
                return TOOL_EXIT_FAILURE;
        say_next(kind, name, out, expires);
        return EXIT_SUCCESS;
}

/* The certificates in issued/ of exactly this name: NAME-SERIAL.pem, and names may have '-' themselves. */
static int load_issued(const Options *options, const char *name, char ***ret, size_t *ret_n)
{
        _cleanup_(freep) char *issued = cert_path(options->directory, "issued");
        size_t n = strlen(name);
        struct dirent *entry;
        DIR *dir;
        int r = 0;

        dir = issued ? opendir(issued) : NULL;
        if (!dir)
                return 0;
        while (r >= 0 && (entry = readdir(dir))) {
                _cleanup_(freep) char *path = NULL;
                const char *serial = entry->d_name + n + 1;
                char **list;

                if (strncmp(entry->d_name, name, n) != 0 || entry->d_name[n] != '-' ||
                    strcmp(serial + strspn(serial, "0123456789abcdef"), ".pem") != 0)
                        continue;
                path = cert_path(issued, entry->d_name);
                list = realloc(*ret, (*ret_n + 1) * sizeof *list);
                if (!path || !list) {
                        *ret = list ? list : *ret;
                        r = -ENOMEM;
                        break;
                }
                *ret = list;
                r = cert_read(path, false, &list[*ret_n]);
                *ret_n += r >= 0;
        }
        closedir(dir);
        return r;
}

static int revoke_list(const Options *options, const char *name, char *const *certificates, size_t n)
{
        _cleanup_(issue_pair_done) IssuePair ca = { 0 };
        _cleanup_(freep) char *path = cert_path(options->directory, "crl.pem"), *before = NULL, *list = NULL,
                              *why = NULL;
        size_t added = 0;
        int r;

        if (!path || read_pair(options, &ca) < 0 || cert_read(path, true, &before) < 0)
                return TOOL_EXIT_FAILURE;
        if (n == 0) {
                fprintf(stderr, "No certificate was made here for \"%s\"\n", name);
                return TOOL_EXIT_FAILURE;
        }
        r = issue_revocations(&ca, before, certificates, n, &list, &added, &why);
        if (r < 0) {
                fprintf(stderr, "%s\n", why ? why : strerror(-r));
                return TOOL_EXIT_FAILURE;
        }
        if (added == 0) {
                printf("All certificates of \"%s\" are revoked already, see %s.\n", name, path);
                return EXIT_SUCCESS;
        }
        if (cert_write(options->directory, "crl.pem", list, 0644) < 0)
                return TOOL_EXIT_FAILURE;
        printf("Revoked %zu certificate%s of \"%s\" in %s.\n"
               "\n"
               "It counts where the list is: copy it to " TLS_DIRECTORY
               "/crl.pem on every collector (and, if a collector was\n"
               "revoked, on every client), and there:\n"
               "    systemctl reload audit-relay-aggregator.service\n",
               added, added == 1 ? "" : "s", name, path);
        return EXIT_SUCCESS;
}

static int run_revoke(const Options *options, const char *name)
{
        char **certificates = NULL;
        size_t n = 0;
        int r;

        if (!name_is_usable(name))
                return TOOL_EXIT_USAGE;
        r = load_issued(options, name, &certificates, &n) < 0 ? TOOL_EXIT_FAILURE
                                                              : revoke_list(options, name, certificates, n);
        for (size_t i = 0; i < n; i++)
                free(certificates[i]);
        free(certificates);
        return r;
}

static int run_signer(const Options *options, const char *name)
{
        if (!name_is_usable(name))
                return TOOL_EXIT_USAGE;
        return cert_make_signer(options->directory, options->out, name, options->force) < 0 ? TOOL_EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_verifier(const Options *options, const char *name)
{
        if (!name_is_usable(name))
                return TOOL_EXIT_USAGE;
        return cert_print_verifier(options->directory, name) < 0 ? TOOL_EXIT_FAILURE : EXIT_SUCCESS;
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

static bool parse_days(const char *text, unsigned long *ret)
{
        char *end;

        errno = 0;
        *ret = strtoul(text, &end, 10);
        if (errno == 0 && *end == '\0' && *text >= '1' && *text <= '9' && *ret <= DAYS_MAX)
                return true;
        fprintf(stderr, "\"%s\" is not a number of days from 1 to %d\n", text, DAYS_MAX);
        return false;
}

/* Returns 1 to go on, 0 when help was asked for, -EINVAL for a wrong option. */
static int parse_options(int argc, char **argv, Options *options)
{
        enum {
                OPTION_DIR = 256,
                OPTION_OUT,
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

int verb_cert(int argc, char **argv)
{
        Options options = { .directory = CA_DIRECTORY };
        const char *command, *argument;
        int n, r;

        r = parse_options(argc, argv, &options);
        if (r == 0) {
                help();
                return EXIT_SUCCESS;
        }
        if (r < 0)
                return TOOL_EXIT_USAGE;
        n = argc - optind;
        command = n > 0 ? argv[optind] : "";
        argument = n > 1 ? argv[optind + 1] : "";
        if (n == 1 && strcmp(command, "init") == 0)
                return run_init(&options);
        if (n == 2 && strcmp(command, "collector") == 0)
                return run_issue(&options, ISSUE_COLLECTOR, argument);
        if (n == 2 && strcmp(command, "client") == 0)
                return run_issue(&options, ISSUE_CLIENT, argument);
        if (n == 1 && strcmp(command, "list") == 0)
                return cert_list(options.directory, options.json) < 0 ? TOOL_EXIT_FAILURE : EXIT_SUCCESS;
        if (n == 2 && strcmp(command, "revoke") == 0)
                return run_revoke(&options, argument);
        if (n == 2 && strcmp(command, "signer") == 0)
                return run_signer(&options, argument);
        if (n == 2 && strcmp(command, "verifier") == 0)
                return run_verifier(&options, argument);
        if (n == 2 && strcmp(command, "show") == 0)
                return cert_show(argument) < 0 ? TOOL_EXIT_FAILURE : EXIT_SUCCESS;
        fprintf(stderr, "audit-relay cert: init, collector NAME, client NAME, list, revoke NAME, show FILE, signer NAME or verifier "
                        "NAME; see --help\n");
        return TOOL_EXIT_USAGE;
}
