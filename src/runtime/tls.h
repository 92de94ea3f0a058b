/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* TLS 1.3 with X.509 on both sides, on GnuTLS. A finished handshake is not acceptance: judge the peer with
 * tls_session_judge(), and tell it the refusal as a BYE. Programs that speak no TLS do not link it (libruntime-tls).
 */

#include "runtime/transport.h"

typedef struct TlsOptions {
        const char *certificate; /* paths of PEM files, or pkcs11: URLs */
        const char *key;
        const char *ca;
        const char *crl; /* may be NULL; a missing file is no revocation list */
} TlsOptions;

/* Credentials; counted, because sessions keep those they began with over a reload. */
typedef struct Tls Tls;

/* Reads the files. On failure *ret_message (owned by the caller) is a sentence that names file and cause. */
int tls_new(const TlsOptions *options, Tls **ret, char **ret_message) _must_check_;
Tls *tls_ref(Tls *tls);
Tls *tls_unref(Tls *tls);
DEFINE_CLEANUP(Tls *, tls_unref)

/* Seconds since 1970 at which our own certificate expires, and the name it speaks for (its first DNS name,
 * NULL: none). */
int64_t tls_expires(const Tls *tls);
const char *tls_name(const Tls *tls);
/* The same of the revocation list: when its issuer meant to have the next one out; 0: it does not say, or there
 * is no list. */
int64_t tls_revocation_expires(const Tls *tls);

typedef struct TlsSession TlsSession;

/* One session on a connected non-blocking socket (not taken over; also one that still connects), as the transport of its
 * connection: its handshake agrees the protocol's name, its end is TLS's close_notify. A client gives the name the collector
 * must have. */
int tls_session_new(Tls *tls, bool server, const char *expected_name, int fd, Transport **ret) _must_check_;
/* The session behind a transport that tls_session_new() made; NULL of NULL. */
TlsSession *tls_session_of(Transport *transport);

/* Whether the peer's certificate is there, in time, trusted, not revoked, meant for this use and (client
 * side) of the expected name. Returns 0; or with *ret_why, owned by the caller (whose certificate, which check,
 * what to do), -EKEYREVOKED or -EKEYEXPIRED for one that a CA of ours did issue, -EACCES for all else. `tls`: the
 * credentials to judge by (the newest, on a reload). */
int tls_session_judge(TlsSession *session, Tls *tls, char **ret_why) _must_check_;
/* Whether the peer's certificate speaks for the name (DNS names only, no wildcard, case does not matter). */
bool tls_session_speaks_for(const TlsSession *session, const char *name);
/* The peer's first DNS name, or NULL; valid as long as the session. */
const char *tls_session_peer_name(const TlsSession *session);
/* Its i-th DNS name, owned by the caller; NULL behind the last. */
char *tls_session_peer_names(const TlsSession *session, unsigned i);
/* The one of these that is `name` but for case, as the certificate spells it; the caller frees it. NULL: none is. */
char *tls_session_peer_spelling(const TlsSession *session, const char *name);
/* Seconds since 1970 at which the peer's certificate expires; 0: it sent none. */
int64_t tls_session_peer_expires(const TlsSession *session);
/* Whether it goes on with an earlier session; its certificates are those of that one. */
bool tls_session_resumed(const TlsSession *session);
/* "TLS1.3 AES-128-GCM", for the log. */
const char *tls_session_description(const TlsSession *session);
