/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where certificate, key and authority are: as configured, else systemd's credentials (`cert`, `key`, `ca`),
 * else /etc/audit-relay/tls. Read when the program starts and when it reloads.
 */

#include "runtime/tls.h"

#define CREDENTIALS_DIRECTORY "/etc/audit-relay/tls"
/* A certificate that ends sooner than this is warned of, once a day. */
#define CREDENTIALS_WARN_SEC (14 * 24 * 3600)

/* As configured; NULL: the default. */
typedef struct CredentialsPaths {
        char *certificate;
        char *key;
        char *authority;
        char *revocation;
} CredentialsPaths;

/* Replaces *tls by what the files say now. On failure *tls stays as it was, and *ret_why (owned by the
 * caller; NULL: no memory) says why. */
int credentials_load(const CredentialsPaths *paths, Tls **tls, char **ret_why) _must_check_;

/* Warns when the certificate is about to expire. Call once a second. */
void credentials_tick(const Tls *tls, uint64_t *warned_usec);
