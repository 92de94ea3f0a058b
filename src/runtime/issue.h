/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Making certificates: a CA of one's own, certificates for collectors and clients, a revocation list. In
 * memory, as PEM text; `audit-relay cert` adds the files, and tests make with it what they need.
 */

#include "basic/macro.h"

#include <time.h>

typedef enum IssueKind {
        ISSUE_CA,
        ISSUE_COLLECTOR, /* to be connected to; may also connect on, as a relay does */
        ISSUE_CLIENT,    /* to connect */
} IssueKind;

typedef struct IssueRequest {
        IssueKind kind;
        const char *name; /* the DNS name it speaks for; of a CA, what people call it */
        time_t not_before;
        time_t not_after; /* no certificate outlives its CA: cut to that */
        bool ed25519;     /* instead of ECDSA P-256 */
        /* A PKCS#10 request, or a certificate, as PEM: it is for their key, which is elsewhere. NULL: a new key. */
        const char *key_of;
} IssueRequest;

/* PEM texts, owned; `key` is NULL where it is elsewhere. */
typedef struct IssuePair {
        char *certificate;
        char *key;
} IssuePair;

/* Frees both; the key's bytes are overwritten. */
void issue_pair_done(IssuePair *pair);

/* Whether it can stand in a certificate as a node's or collector's name: a DNS name (labels may have '_'),
 * no wildcard. */
bool issue_name_is_valid(const char *name);

/* Makes a key and its certificate, signed by `ca`; by itself when that is NULL. On failure *ret_why, owned
 * by the caller, is a sentence. */
int issue_certificate(const IssueRequest *request, const IssuePair *ca, IssuePair *ret,
                      char **ret_why) _must_check_;

/* A PKCS#10 request for the name, signed by *key (PEM), which is made when it is NULL; both are the caller's to free, and the key
 * to overwrite before. Failure as above. */
int issue_request(const char *name, bool ed25519, char **key, char **ret_request, char **ret_why) _must_check_;

/* The list of all that `previous` (a revocation list, or NULL) revokes, and of these certificates (PEM).
 * *ret_added: how many it did not have. */
int issue_revocations(const IssuePair *ca, const char *previous, char *const *certificates,
                      size_t n_certificates, char **ret_list, size_t *ret_added,
                      char **ret_why) _must_check_;
