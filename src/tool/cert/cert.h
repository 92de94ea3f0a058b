/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The commands of audit-relay cert. Each says itself what it did, on standard output (as JSON with `json`; on standard error
 * where a certificate or a request goes to standard output), and on standard error what went wrong; it returns the exit status.
 */

#include "runtime/credentials.h"
#include "runtime/issue.h"

#define CERT_AUTHORITY_DIRECTORY "/etc/audit-relay/ca"
/* A CA is replaced by hand on every host; a certificate by one command. */
#define CERT_AUTHORITY_DAYS 3650
#define CERT_DAYS 825

typedef struct CertOptions {
        const char *directory; /* of the CA */
        const char *out;       /* NULL: where the command puts it by itself */
        uint64_t days;         /* 0: as usual for the kind */
        time_t not_before, not_after; /* 0: by the days */
        bool collector;        /* in place of a client */
        bool force, ed25519, json;
} CertOptions;

/* --- Where the CA is (authority.c, revoke.c) --- */

/* Says itself that there is none. */
int cert_read_authority(const char *directory, IssuePair *ret) _must_check_;
/* Whether it may stand in a certificate, and as a name in the CA's directory; says why not. */
bool cert_name_is_usable(const char *name);
int cert_init(const CertOptions *options);
/* With a new key, for a client or a collector. */
int cert_make(const CertOptions *options, IssueKind kind, const char *name);
/* For the key of the request on standard input. */
int cert_issue(const CertOptions *options, const char *name);
/* For the key that the newest certificate of that name has. */
int cert_renew(const CertOptions *options, const char *name);
int cert_revoke(const CertOptions *options, const char *name);

/* --- On the host that it is for (enrol.c) --- */

/* `name`: NULL for the host's own. */
int cert_request(const CertOptions *options, const char *name);
int cert_install(const CertOptions *options);
