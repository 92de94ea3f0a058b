/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where certificate, key and authority are: as configured, else systemd's credentials (`cert`, `key`, `ca`),
 * else /etc/audit-relay/tls. Read when the program starts and when it reloads.
 */

#include "runtime/signing.h"
#include "runtime/state.h"
#include "runtime/tls.h"

#define CREDENTIALS_DIRECTORY "/etc/audit-relay/tls"
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

/* Likewise the key that signs checkpoints: as configured, else the credential `sign`, else sign.pem; where none of these is
 * there, *key becomes NULL. `name`: the collector's. */
int credentials_load_signing_key(const char *path, const char *name, SigningKey **key, char **ret_why) _must_check_;

/* What was warned of already; zero at first. */
typedef struct CredentialsWarned {
        unsigned certificate, revocation;
} CredentialsWarned;

/* Warns when the certificate or the revocation list is about to expire. Call once a second; tls may be NULL. */
void credentials_tick(const Tls *tls, CredentialsWarned *warned);
/* Writes the days that are left into the status being written. */
void credentials_status(const Tls *tls, State *state);
