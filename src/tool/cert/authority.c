/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Where the CA is: the CA itself, and certificates that it signs: with a new key, for the key of a request, and again for the key of
 * an earlier certificate.
 *
 *  1. The book has a certificate before it is anywhere else: none is out that could not be revoked.
 *  2. The name is the one that was typed here, whatever a request says.
 *  3. A key of which a certificate was revoked gets no other one.
 */

#include "runtime/config.h"
#include "tool/cert/book.h"
#include "tool/cert/cert.h"
#include "tool/cert/files.h"
#include "tool/cert/key.h"
#include "tool/cert/show.h"
#include "tool/reason.h"
#include "tool/tool.h"

#include <stdio.h>

#define SECONDS_PER_DAY (24 * 60 * 60)
/* Clocks of hosts differ: a new certificate is to be valid on one that is late. */
#define CLOCK_MARGIN_SEC (60 * 60)

/* What a command has made. */
typedef struct Made {
        IssueKind kind;
        const char *name; /* NULL: a CA's, see ca_name */
        char ca_name[65];
        char *out; /* the directory */
        bool also_ca;
        IssuePair ca, pair;
} Made;

static void made_done(Made *made)
{
        issue_pair_done(&made->ca);
        issue_pair_done(&made->pair);
        free(made->out);
}

static const char *const kinds[] = { [ISSUE_CA] = "ca", [ISSUE_COLLECTOR] = "collector", [ISSUE_CLIENT] = "client" };

/* --- Making --- */

/* Whether the file may be written. */
static bool is_free(const CertOptions *options, const char *directory, const char *name)
{
        _cleanup_(freep) char *path = cert_path(directory, name);

        if (!path)
                return false;
        if (options->force || access(path, F_OK) < 0)
                return true;
        fprintf(stderr, "%s is there already: give --force to overwrite it\n", path);
        return false;
}

/* `key_of`: as in IssueRequest. */
static int make(const CertOptions *options, Made *made, const char *key_of)
{
        uint64_t days = options->days > 0 ? options->days : made->kind == ISSUE_CA ? CERT_AUTHORITY_DAYS : CERT_DAYS;
        time_t now = time(NULL);
        IssueRequest request = {
                .kind = made->kind,
                .name = made->name ? made->name : made->ca_name,
                .not_before = options->not_before ? options->not_before : now - CLOCK_MARGIN_SEC,
                .not_after = options->not_after ? options->not_after : now + (time_t) days * SECONDS_PER_DAY,
                .ed25519 = options->ed25519,
                .key_of = key_of,
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
        r = issue_certificate(&request, made->kind == ISSUE_CA ? NULL : &made->ca, &made->pair, &why);
        if (r < 0)
                fprintf(stderr, "Cannot issue the certificate: %s\n", why ? why : tool_reason(r));
        return r;
}

static int make_ca(const CertOptions *options, Made *made)
{
        char host[65] = "";

        if (!is_free(options, options->directory, "ca.pem") || !is_free(options, options->directory, "ca-key.pem"))
                return -EEXIST;
        (void) gethostname(host, sizeof host - 1);
        snprintf(made->ca_name, sizeof made->ca_name, "audit-relay CA of %.40s", host[0] ? host : "this host");
        if (make(options, made, NULL) < 0 || cert_make_directory(options->directory, 0700) < 0 ||
            cert_write(options->directory, "ca-key.pem", made->pair.key, 0600) < 0 ||
            cert_write(options->directory, "ca.pem", made->pair.certificate, 0644) < 0)
                return -EIO;
        return 0;
}

/* --- Files --- */

/* Whether the PEM texts are of the same key. */
static bool is_same_key(const char *a, const char *b)
{
        char x[CERT_KEY_ID_SIZE], y[CERT_KEY_ID_SIZE];

        return cert_key_id(a, x) >= 0 && cert_key_id(b, y) >= 0 && strcmp(x, y) == 0;
}

/* Where a certificate is there already: who asks for it again, as it did not arrive, needs no --force. */
static bool is_free_for(const CertOptions *options, const char *out, const char *request)
{
        _cleanup_(freep) char *path = cert_path(out, "cert.pem"), *pem = NULL;

        if (!path || cert_read(path, true, &pem) < 0)
                return false;
        return !pem || is_same_key(pem, request) || is_free(options, out, "cert.pem");
}

/* A key beside a certificate that is for another one helps nobody who copies both; but somewhere it may still be in use. */
static int set_key_aside(const char *out, const char *certificate)
{
        _cleanup_(freep) char *path = cert_path(out, "key.pem"), *pem = NULL;
        int r = path ? cert_read(path, true, &pem) : -ENOMEM;

        if (r < 0 || !pem)
                return r;
        if (!is_same_key(pem, certificate))
                r = cert_keep_old(out, "key.pem", true);
        explicit_bzero(pem, strlen(pem));
        return r;
}

static int write_host_files(const CertOptions *options, const Made *made)
{
        _cleanup_(freep) char *crl_path = cert_path(options->directory, "crl.pem"), *crl = NULL;
        int r;

        if (!crl_path)
                return -ENOMEM;
        r = cert_read(crl_path, true, &crl);
        if (r < 0)
                return r;
        if ((r = cert_make_directory(made->out, 0700)) < 0 ||
            (r = made->pair.key ? cert_write(made->out, "key.pem", made->pair.key, 0600)
                                : set_key_aside(made->out, made->pair.certificate)) < 0 ||
            (r = cert_write(made->out, "cert.pem", made->pair.certificate, 0644)) < 0 ||
            (r = cert_write(made->out, "ca.pem", made->ca.certificate, 0644)) < 0)
                return r;
        return crl ? cert_write(made->out, "crl.pem", crl, 0644) : 0;
}

static char *default_out(const CertOptions *options, const char *name)
{
        return options->out ? strdup(options->out) : cert_path(options->directory, name);
}

/* For the key of a request or of a certificate. */
static int make_for_key(const CertOptions *options, Made *made, const char *key_of)
{
        int r = make(options, made, key_of);

        if (r < 0)
                return r;
        r = cert_book_key_is_revoked(options->directory, made->pair.certificate);
        if (r > 0) {
                fprintf(stderr,
                        "A certificate of this key is revoked: that host has to make a new one, with \"audit-relay cert request --force\"\n");
                return -EKEYREVOKED;
        }
        if (r < 0 || (r = cert_book_add(options->directory, made->name, made->pair.certificate)) < 0)
                return r;
        return write_host_files(options, made);
}

/* What that host's `audit-relay cert install` takes. */
static char *bundle(const CertOptions *options, const Made *made)
{
        _cleanup_(freep) char *path = cert_path(options->directory, "crl.pem"), *crl = NULL;
        char *text;

        if (!path || cert_read(path, true, &crl) < 0)
                return NULL;
        return asprintf(&text, "%s%s%s", made->pair.certificate, made->ca.certificate, crl ? crl : "") < 0 ? NULL : text;
}

/* --- Telling --- */

/* `text`: what goes to the host, or NULL. */
static int tell_json(const Made *made, const char *text)
{
        char key[CERT_KEY_ID_SIZE];
        Json json = JSON_INIT(stdout);
        CertSummary summary;

        if (cert_summary(made->pair.certificate, &summary) < 0 || cert_key_id(made->pair.certificate, key) < 0)
                return TOOL_EXIT_FAILURE;
        json_object_begin(&json, NULL);
        json_string(&json, "kind", kinds[made->kind]);
        json_string(&json, "name", made->name ? made->name : made->ca_name);
        json_string(&json, "directory", made->out);
        cert_json_days(&json, summary.end);
        json_string(&json, "serial", summary.serial);
        json_string(&json, "key_sha256", key);
        json_bool(&json, "made_ca", made->also_ca);
        if (text)
                json_string(&json, "pem", text);
        json_object_end(&json);
        putchar('\n');
        return EXIT_SUCCESS;
}

static int tell_ca(const CertOptions *options, const Made *made)
{
        CertSummary summary;
        char end[32];

        if (cert_summary(made->pair.certificate, &summary) < 0)
                return TOOL_EXIT_FAILURE;
        cert_show_time(end, summary.end);
        printf("Made the CA \"%s\" in %s, valid until %s.\n"
               "Whoever has %s/ca-key.pem can make clients and collectors: keep it here, and back it up.\n"
               "\n",
               made->ca_name, options->directory, end, options->directory);
        return EXIT_SUCCESS;
}

static void tell_copy(const Made *made)
{
        const char *service = made->kind == ISSUE_COLLECTOR ? "aggregator" : "remote";

        if (strcmp(made->out, CREDENTIALS_DIRECTORY) == 0)
                printf("If it runs already: systemctl reload-or-restart audit-relay-%s.service\n", service);
        else
                printf("Copy the .pem files there to " CREDENTIALS_DIRECTORY "/ on that host, and there:\n"
                       "    systemctl reload-or-restart audit-relay-%s.service\n",
                       service);
        if (made->kind == ISSUE_CLIENT)
                printf("If that host does not call itself \"%s\", set Node=%s in its configuration.\n", made->name, made->name);
        else
                printf("Clients have to connect to it by this name.\n");
}

static int tell_made(const CertOptions *options, const Made *made)
{
        CertSummary summary;
        char end[32];

        if (options->json)
                return tell_json(made, NULL);
        if (cert_summary(made->pair.certificate, &summary) < 0)
                return TOOL_EXIT_FAILURE;
        cert_show_time(end, summary.end);
        printf("Made a certificate for the %s \"%s\" in %s, valid until %s.\n"
               "\n",
               kinds[made->kind], made->name, made->out, end);
        tell_copy(made);
        return EXIT_SUCCESS;
}

/* The certificate goes to standard output, as it is part of a pipe most of the time; so words to standard error. */
static int tell_for_key(const CertOptions *options, const Made *made)
{
        _cleanup_(freep) char *text = bundle(options, made);
        char key[CERT_KEY_ID_SIZE], end[32];
        CertSummary summary;

        if (!text || cert_summary(made->pair.certificate, &summary) < 0 || cert_key_id(made->pair.certificate, key) < 0)
                return TOOL_EXIT_FAILURE;
        if (options->json)
                return tell_json(made, text);
        cert_show_time(end, summary.end);
        fprintf(stderr, "Made a certificate for the %s \"%s\", valid until %s; its key: %s\n", kinds[made->kind], made->name, end, key);
        if (isatty(STDOUT_FILENO))
                fprintf(stderr, "All lines from here on are for \"audit-relay cert install\" on that host:\n");
        fputs(text, stdout);
        return EXIT_SUCCESS;
}

/* --- The commands --- */

int cert_read_authority(const char *directory, IssuePair *ret)
{
        _cleanup_(freep) char *certificate = cert_path(directory, "ca.pem"), *key = cert_path(directory, "ca-key.pem");
        int r;

        if (!certificate || !key)
                return -ENOMEM;
        if (access(certificate, F_OK) < 0 && errno == ENOENT) {
                fprintf(stderr, "There is no CA in %s: make one with \"audit-relay cert init\"\n", directory);
                return -ENOENT;
        }
        r = cert_read(certificate, false, &ret->certificate);
        return r < 0 ? r : cert_read(key, false, &ret->key);
}

bool cert_name_is_usable(const char *name)
{
        static const char *const ours[] = { "issued", "ca.pem", "ca-key.pem", "crl.pem" };

        for (size_t i = 0; i < ELEMENTSOF(ours); i++)
                if (strcmp(name, ours[i]) == 0) {
                        fprintf(stderr, "\"%s\" is the name of a file here: choose another one\n", name);
                        return false;
                }
        if (!issue_name_is_valid(name)) {
                fprintf(stderr, "\"%s\" is not a host name: letters, digits, '-' and '_', parts separated by '.'\n", name);
                return false;
        }
        return true;
}

int cert_init(const CertOptions *options)
{
        _cleanup_(made_done) Made made = { .out = strdup(options->directory) };

        if (!made.out || make_ca(options, &made) < 0)
                return TOOL_EXIT_FAILURE;
        if (options->json)
                return tell_json(&made, NULL);
        if (tell_ca(options, &made) != EXIT_SUCCESS)
                return TOOL_EXIT_FAILURE;
        printf("Next:  audit-relay cert collector NAME    NAME: the DNS name clients connect to\n"
               "       audit-relay cert issue NAME        NAME: the client's node name, once for each client\n");
        return EXIT_SUCCESS;
}

/* The first collector is where the CA is made, too; a client that asks here asks at the wrong host. --days= and the like are
 * of the collector's certificate. */
static int make_first_ca(const CertOptions *options, bool *ret_made)
{
        const CertOptions ca = { .directory = options->directory, .ed25519 = options->ed25519 };
        _cleanup_(freep) char *path = cert_path(options->directory, "ca.pem");
        _cleanup_(made_done) Made made = { 0 };

        if (!path)
                return -ENOMEM;
        if (access(path, F_OK) == 0 || errno != ENOENT)
                return 0;
        if (make_ca(&ca, &made) < 0 || (!options->json && tell_ca(&ca, &made) != EXIT_SUCCESS))
                return -EIO;
        *ret_made = true;
        return 0;
}

int cert_make(const CertOptions *options, IssueKind kind, const char *name)
{
        _cleanup_(made_done) Made made = { .kind = kind, .name = name, .out = default_out(options, name) };

        if (!cert_name_is_usable(name))
                return TOOL_EXIT_USAGE;
        if (!made.out || !is_free(options, made.out, "cert.pem") || !is_free(options, made.out, "key.pem") ||
            (kind == ISSUE_COLLECTOR && make_first_ca(options, &made.also_ca) < 0) || cert_read_authority(options->directory, &made.ca) < 0)
                return TOOL_EXIT_FAILURE;
        if (make(options, &made, NULL) < 0 || cert_book_add(options->directory, name, made.pair.certificate) < 0 ||
            write_host_files(options, &made) < 0)
                return TOOL_EXIT_FAILURE;
        return tell_made(options, &made);
}

int cert_issue(const CertOptions *options, const char *name)
{
        _cleanup_(made_done) Made made = {
                .kind = options->collector ? ISSUE_COLLECTOR : ISSUE_CLIENT,
                .name = name,
                .out = default_out(options, name),
        };
        _cleanup_(freep) char *request = NULL;

        if (!cert_name_is_usable(name))
                return TOOL_EXIT_USAGE;
        if (!made.out || cert_read_authority(options->directory, &made.ca) < 0 ||
            cert_read_input("the request, which \"audit-relay cert request\" prints on that host", &request) < 0)
                return TOOL_EXIT_FAILURE;
        if (!strstr(request, "CERTIFICATE REQUEST")) {
                fprintf(stderr, "There is no request on standard input: \"audit-relay cert request\" on that host prints one\n");
                return TOOL_EXIT_FAILURE;
        }
        if (!is_free_for(options, made.out, request) || make_for_key(options, &made, request) < 0)
                return TOOL_EXIT_FAILURE;
        return tell_for_key(options, &made);
}

int cert_renew(const CertOptions *options, const char *name)
{
        _cleanup_(made_done) Made made = { .kind = ISSUE_CLIENT, .name = name, .out = default_out(options, name) };
        _cleanup_(strings_freep) char **book = NULL;
        const char *newest;
        CertSummary summary;

        if (!cert_name_is_usable(name))
                return TOOL_EXIT_USAGE;
        if (!made.out || cert_read_authority(options->directory, &made.ca) < 0 || cert_book_load(options->directory, name, &book) < 0)
                return TOOL_EXIT_FAILURE;
        if (!book) {
                fprintf(stderr, "No certificate was made here for \"%s\": `audit-relay cert list` shows those that were\n", name);
                return TOOL_EXIT_FAILURE;
        }
        newest = book[strings_count(book) - 1];
        if (cert_summary(newest, &summary) < 0)
                return TOOL_EXIT_FAILURE;
        if (summary.collector)
                made.kind = ISSUE_COLLECTOR;
        if (make_for_key(options, &made, newest) < 0)
                return TOOL_EXIT_FAILURE;
        return tell_for_key(options, &made);
}
