/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* TLS 1.3 with X.509 on both sides, on GnuTLS. A finished handshake is not acceptance: judge the peer with tls_session_judge(),
 * and tell it the refusal as a BYE.
 */

#include "basic/buffer.h"

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

/* Seconds since 1970 at which our own certificate expires, and the name it speaks for (its first DNS name). */
int64_t tls_expires(const Tls *tls);
const char *tls_name(const Tls *tls);

typedef struct TlsSession TlsSession;

/* One session on a connected non-blocking socket (not taken over). A client gives the name the collector must have. */
int tls_session_new(Tls *tls, bool server, const char *expected_name, int fd, TlsSession **ret) _must_check_;
TlsSession *tls_session_free(TlsSession *session);
DEFINE_CLEANUP(TlsSession *, tls_session_free)

/* The five calls of a stream. -EAGAIN: wait for the socket as tls_session_wants_write() says. */
int tls_session_handshake(TlsSession *session);
ssize_t tls_session_read(TlsSession *session, void *data, size_t size);
ssize_t tls_session_write(TlsSession *session, const void *data, size_t size);
bool tls_session_wants_write(const TlsSession *session);
size_t tls_session_pending(const TlsSession *session);
/* Half-close: close_notify, then shutdown(SHUT_WR). */
int tls_session_shutdown(TlsSession *session);

/* Whether the peer's certificate is there, in time, trusted, not revoked and (client side) of the expected name. Returns 0, or
 * -EACCES with *ret_why, owned by the caller: whose certificate, which check. `tls`: the credentials to judge by (the newest, on a
 * reload). */
int tls_session_judge(TlsSession *session, Tls *tls, char **ret_why);
/* Whether the peer's certificate speaks for the name (DNS names only, no wildcard). */
bool tls_session_speaks_for(const TlsSession *session, const char *name);
/* The peer's first DNS name, or NULL; valid as long as the session. */
const char *tls_session_peer_name(const TlsSession *session);
/* "TLS1.3 AES-128-GCM", for the log. */
const char *tls_session_description(const TlsSession *session);
/* The last error as a sentence. */
const char *tls_session_error(const TlsSession *session);
