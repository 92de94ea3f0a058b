/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/credentials.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <stdio.h>

#define WARN_INTERVAL_USEC (24 * 3600 * USEC_PER_SEC)

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

void credentials_tick(const Tls *tls, uint64_t *warned_usec)
{
        int64_t left;

        if (!tls)
                return;
        left = tls_expires(tls) - (int64_t) (realtime_usec() / USEC_PER_SEC);
        if (left < CREDENTIALS_WARN_SEC && log_limit(warned_usec, WARN_INTERVAL_USEC))
                log_message(LOG_WARNING, MESSAGE_ID_CERTIFICATE_EXPIRING, NULL,
                            left > 0 ? "Our certificate expires in %" PRId64 " hours" :
                                       "Our certificate expired %" PRId64 " hours ago",
                            (left > 0 ? left : -left) / 3600);
}
