/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* On the host that a certificate is for: `request` makes its key, which does not leave it, and `install` takes what the CA made of
 * that, or of the key that is in use.
 *
 *  1. The key of a request is request-key.pem until its certificate is installed: what is in use stays in use, and the same request can be
 *     printed again.
 *  2. Nothing is replaced before all that came has been looked at; then each file in one step, and key and certificate next to
 *     each other. Who was interrupted between these types the command again.
 *  3. Whom this host trusts is not changed unasked.
 */

#include "tool/cert/cert.h"
#include "tool/cert/files.h"
#include "tool/cert/incoming.h"
#include "tool/cert/key.h"
#include "tool/cert/show.h"
#include "tool/reason.h"
#include "tool/systemctl.h"
#include "tool/tool.h"

#include <stdio.h>

#define REQUEST_KEY "request-key.pem"
#define FRESH_CERTIFICATE "cert-new.pem"

static const char *out_of(const CertOptions *options)
{
        return options->out ? options->out : CREDENTIALS_DIRECTORY;
}

/* --- request --- */

static int tell_request(const CertOptions *options, const char *name, const char *request)
{
        char key[CERT_KEY_ID_SIZE];
        Json json = JSON_INIT(stdout);

        if (cert_key_id(request, key) < 0)
                return TOOL_EXIT_FAILURE;
        if (options->json) {
                json_object_begin(&json, NULL);
                json_string(&json, "name", name);
                json_string(&json, "key_sha256", key);
                json_string(&json, "request", request);
                json_object_end(&json);
                putchar('\n');
                return EXIT_SUCCESS;
        }
        fprintf(stderr, "The key of this request: %s\n", key);
        if (isatty(STDOUT_FILENO))
                fprintf(stderr, "All lines from here on are for \"audit-relay cert issue %s\" where the CA is:\n", name);
        fputs(request, stdout);
        return EXIT_SUCCESS;
}

int cert_request(const CertOptions *options, const char *name)
{
        const char *out = out_of(options);
        _cleanup_(freep) char *path = cert_path(out, REQUEST_KEY), *why = NULL;
        _cleanup_(issue_pair_done) IssuePair made = { 0 };
        char host[256] = "";
        bool is_new;
        int r;

        (void) gethostname(host, sizeof host - 1);
        name = name ? name : host;
        if (!issue_name_is_valid(name)) {
                fprintf(stderr, "\"%s\" is not a host name: name one, audit-relay cert request NAME\n", name);
                return TOOL_EXIT_USAGE;
        }
        if (!path || (!options->force && cert_read(path, true, &made.key) < 0))
                return TOOL_EXIT_FAILURE;
        is_new = !made.key;
        r = issue_request(name, options->ed25519, &made.key, &made.certificate, &why);
        if (r < 0) {
                fprintf(stderr, "Cannot make the request: %s\n", why ? why : tool_reason(r));
                return TOOL_EXIT_FAILURE;
        }
        if (is_new && (cert_make_directory(out, 0700) < 0 || cert_write(out, REQUEST_KEY, made.key, 0600) < 0))
                return TOOL_EXIT_FAILURE;
        return tell_request(options, name, made.certificate);
}

/* --- install --- */

/* Whether the file holds the key of the certificate. */
static int is_key(const char *out, const char *name, const char *certificate, bool *ret)
{
        _cleanup_(freep) char *path = cert_path(out, name);
        _cleanup_(issue_pair_done) IssuePair pair = { 0 };
        char key[CERT_KEY_ID_SIZE], wanted[CERT_KEY_ID_SIZE];
        int r = path ? cert_read(path, true, &pair.key) : -ENOMEM;

        *ret = r >= 0 && pair.key && cert_key_id(pair.key, key) >= 0 && cert_key_id(certificate, wanted) >= 0 &&
               strcmp(key, wanted) == 0;
        return r;
}

/* Whether the certificate is for the key in use, or for that of the request. */
static int find_key(const char *out, const char *certificate, bool *ret_requested)
{
        bool in_use = false;
        int r = is_key(out, "key.pem", certificate, &in_use);

        *ret_requested = false;
        if (r >= 0 && !in_use)
                r = is_key(out, REQUEST_KEY, certificate, ret_requested);
        if (r < 0 || in_use || *ret_requested)
                return r;
        fprintf(stderr,
                "The certificate is for another key than those of this host, in %s: \"audit-relay cert request\" here, then\n"
                "\"audit-relay cert issue\" where the CA is\n",
                out);
        return -EKEYREJECTED;
}

/* The CA that is trusted here stays, unless there is none; *ret: whether what came is to be written. */
static int judge_authority(const CertOptions *options, Incoming *incoming, bool *ret_write)
{
        _cleanup_(freep) char *path = cert_path(out_of(options), "ca.pem"), *pem = NULL;
        int r = path ? cert_read(path, true, &pem) : -ENOMEM;

        *ret_write = false;
        if (r < 0)
                return r;
        if (!pem && !incoming->authority) {
                fprintf(stderr, "No CA came with the certificate, and there is no %s: copy the CA's ca.pem there\n", path);
                return -ENOKEY;
        }
        if (incoming->authority && (!pem || options->force)) {
                *ret_write = !pem || strcmp(pem, incoming->authority) != 0;
                return incoming_verify(incoming, incoming->authority);
        }
        if (incoming->authority && !incoming_is_trusted(incoming, pem)) {
                fprintf(stderr,
                        "The certificate is of another CA than %s trusts: give --force to trust that one instead (ca.pem.old keeps the other)\n", path);
                return -EKEYREJECTED;
        }
        return incoming_verify(incoming, pem);
}

static int write_files(const char *out, const Incoming *incoming, bool authority, bool requested)
{
        _cleanup_(freep) char *crl = cert_path(out, "crl.pem"), *request_key = cert_path(out, REQUEST_KEY),
                              *key = cert_path(out, "key.pem"), *fresh = cert_path(out, FRESH_CERTIFICATE),
                              *certificate = cert_path(out, "cert.pem");
        int r = 0;

        if (!crl || !request_key || !key || !fresh || !certificate)
                return -ENOMEM;
        if (authority && ((r = cert_keep_old(out, "ca.pem", false)) < 0 || (r = cert_write(out, "ca.pem", incoming->authority, 0644)) < 0))
                return r;
        /* A list that is here may be of more than one CA: it is never taken back. */
        if (incoming->revocation && access(crl, F_OK) < 0 && (r = cert_write(out, "crl.pem", incoming->revocation, 0644)) < 0)
                return r;
        if ((r = cert_write(out, FRESH_CERTIFICATE, incoming->certificate, 0644)) < 0 ||
            (r = cert_keep_old(out, "cert.pem", false)) < 0 || (requested && (r = cert_keep_old(out, "key.pem", false)) < 0))
                return r;
        if ((requested && rename(request_key, key) < 0) || rename(fresh, certificate) < 0) {
                r = -errno;
                fprintf(stderr, "Cannot rename files in %s: %s\n", out, tool_reason(errno));
        }
        return r;
}

/* Those that run take it, and no connection is dropped; the units see to who may read the key. The patterns: that there is no such
 * service here is no error. */
static bool reload(void)
{
        static const char *const arguments[] = { "try-reload-or-restart", "audit-relay-remote*.service", "audit-relay-aggregator*.service",
                                                 NULL };
        int r = systemctl_run(arguments, NULL);

        if (r != 0)
                fprintf(stderr, "Reload what runs, by SIGHUP if there is no systemd: %s\n", r < 0 ? strerror(-r) : "systemctl has failed");
        return r == 0;
}

static void say_name(const Incoming *incoming)
{
        char host[256] = "";

        (void) gethostname(host, sizeof host - 1);
        for (size_t i = 0; incoming->names && incoming->names[i]; i++)
                if (strcasecmp(incoming->names[i], host) == 0)
                        return;
        if (incoming->names && !incoming->collector)
                printf("This host calls itself \"%s\": set Node=%s in remote.conf.\n", host, incoming->names[0]);
}

static void tell_installed(const CertOptions *options, const Incoming *incoming, bool requested, bool reloaded)
{
        const char *name = incoming->names ? incoming->names[0] : "";
        Json json = JSON_INIT(stdout);
        char end[32];

        if (options->json) {
                json_object_begin(&json, NULL);
                json_string(&json, "name", name);
                json_string(&json, "directory", out_of(options));
                cert_json_days(&json, incoming->end);
                json_bool(&json, "new_key", requested);
                json_bool(&json, "reloaded", reloaded);
                json_object_end(&json);
                putchar('\n');
                return;
        }
        cert_show_time(end, incoming->end);
        printf("Installed the certificate of \"%s\" in %s, valid until %s%s.\n", name, out_of(options), end,
               reloaded ? "; what runs has been told" : "");
        say_name(incoming);
}

int cert_install(const CertOptions *options)
{
        _cleanup_(incoming_done) Incoming incoming = { 0 };
        _cleanup_(freep) char *text = NULL;
        bool authority, requested, reloaded = false;

        if (cert_read_input("the certificate, which \"audit-relay cert issue\" prints where the CA is", &text) < 0 ||
            incoming_parse(text, &incoming) < 0 || find_key(out_of(options), incoming.certificate, &requested) < 0 ||
            judge_authority(options, &incoming, &authority) < 0 ||
            write_files(out_of(options), &incoming, authority, requested) < 0)
                return TOOL_EXIT_FAILURE;
        /* Elsewhere nobody reads it who could be told. */
        if (strcmp(out_of(options), CREDENTIALS_DIRECTORY) == 0 && !(reloaded = reload())) {
                tell_installed(options, &incoming, requested, reloaded);
                return TOOL_EXIT_FAILURE;
        }
        tell_installed(options, &incoming, requested, reloaded);
        return EXIT_SUCCESS;
}
