/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/credentials.h"
#include "runtime/expiry.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <stdio.h>

/* The path of one file. `credential`: its name among systemd's credentials, NULL: there is none. */
static int choose(const char *configured, const char *credential, const char *file, char **ret)
{
        const char *directory = getenv("CREDENTIALS_DIRECTORY");
        char *path;

        if (configured) {
                path = strdup(configured);
        } else {
                if (directory && credential) {
                        if (asprintf(&path, "%s/%s", directory, credential) < 0)
                                return -ENOMEM;
                        if (access(path, F_OK) >= 0) {
                                *ret = path;
                                return 0;
                        }
                        free(path);
                }
                if (asprintf(&path, "%s/%s", CREDENTIALS_DIRECTORY, file) < 0)
                        return -ENOMEM;
        }
        *ret = path;
        return path ? 0 : -ENOMEM;
}

int credentials_load(const CredentialsPaths *paths, Tls **tls, char **ret_why)
{
        _cleanup_(freep) char *certificate = NULL, *key = NULL, *ca = NULL, *crl = NULL;
        Tls *new = NULL;
        int r;

        *ret_why = NULL;
        r = choose(paths->certificate, "cert", "cert.pem", &certificate);
        if (r >= 0)
                r = choose(paths->key, "key", "key.pem", &key);
        if (r >= 0)
                r = choose(paths->authority, "ca", "ca.pem", &ca);
        if (r >= 0)
                r = choose(paths->revocation, NULL, "crl.pem", &crl);
        if (r >= 0)
                r = tls_new(&(TlsOptions) { certificate, key, ca, crl }, &new, ret_why);
        if (r < 0) {
                if (!*ret_why)
                        *ret_why = strdup(strerror(-r));
                return r;
        }
        tls_unref(*tls);
        *tls = new;
        return 0;
}

int credentials_load_signing_key(const char *path, const char *name, SigningKey **key, char **ret_why)
{
        _cleanup_(freep) char *chosen = NULL;
        SigningKey *new = NULL;
        int r = choose(path, "sign", "sign.pem", &chosen);

        *ret_why = NULL;
        if (r >= 0 && (path || access(chosen, F_OK) >= 0 || errno != ENOENT))
                r = signing_key_load(chosen, name, &new, ret_why);
        if (r < 0) {
                if (!*ret_why)
                        *ret_why = strdup(strerror(-r));
                return r;
        }
        signing_key_free(*key);
        *key = new;
        return 0;
}

static int64_t now_sec(void)
{
        return (int64_t) (realtime_usec() / USEC_PER_SEC);
}

static void watch(const char *what, int64_t expires, unsigned *warned)
{
        int64_t now = now_sec();
        char text[64];

        if (expiry_due(warned, expires, now))
                log_message(LOG_WARNING, MESSAGE_ID_CERTIFICATE_EXPIRING, NULL, "Our %s %s", what,
                            expiry_text(expires, now, text, sizeof text));
}

void credentials_tick(const Tls *tls, CredentialsWarned *warned)
{
        if (!tls)
                return;
        watch("certificate", tls_expires(tls), &warned->certificate);
        watch("revocation list", tls_revocation_expires(tls), &warned->revocation);
}

void credentials_status(const Tls *tls, State *state)
{
        int64_t now = now_sec();

        if (!tls)
                return;
        status_gauge(state, "certificate_days", NULL, expiry_days(tls_expires(tls), now),
                     "Days until our certificate expires");
        if (tls_revocation_expires(tls) != 0)
                status_gauge(state, "revocation_list_days", NULL,
                             expiry_days(tls_revocation_expires(tls), now),
                             "Days until the next revocation list should be there");
}
