/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* TLS 1.3 with X.509 on both sides, on GnuTLS. A finished handshake is not acceptance: judge the peer with
 * tls_session_judge(), and tell it the refusal as a BYE.
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

/* Seconds since 1970 at which our own certificate expires, and the name it speaks for (its first DNS name,
 * NULL: none). */
int64_t tls_expires(const Tls *tls);
const char *tls_name(const Tls *tls);
/* The same of the revocation list: when its issuer meant to have the next one out; 0: it does not say, or there
 * is no list. */
int64_t tls_revocation_expires(const Tls *tls);

typedef struct TlsSession TlsSession;

/* One session on a connected non-blocking socket (not taken over; also one that still connects). A client
 * gives the name the collector must have. */
int tls_session_new(Tls *tls, bool server, const char *expected_name, int fd, TlsSession **ret) _must_check_;
TlsSession *tls_session_free(TlsSession *session);
DEFINE_CLEANUP(TlsSession *, tls_session_free)

/* The five calls of a stream. All of them return a negative errno on failure: that of the socket, or -EPROTO
 * when TLS itself failed (the handshake, an alert of the peer, a bad record), and tls_session_error() is the
 * sentence. -EAGAIN: wait for the socket; to become writable as well when tls_session_wants_write(). After
 * another error nothing works any more.
 */

/* 0: done; the protocol name was agreed, nobody was judged. */
int tls_session_handshake(TlsSession *session) _must_check_;
/* As many bytes as there are, up to `size`: fewer means that the socket has no more now. 0: the peer ended
 * its direction with close_notify. EOF without one is -ECONNRESET. */
ssize_t tls_session_read(TlsSession *session, void *data, size_t size) _must_check_;
/* Takes up to `size` bytes and never wants them again, though they may still wait in the session
 * (tls_session_wants_write()). -EAGAIN: took nothing, because they do. With size 0 it only moves those: 0
 * when all are with the socket. */
ssize_t tls_session_write(TlsSession *session, const void *data, size_t size) _must_check_;
/* Bytes of ours wait in the session for the socket to become writable. */
bool tls_session_wants_write(const TlsSession *session);
/* Bytes that were taken from the socket already and that tls_session_read() has yet to deliver; poll() does
 * not see them. (At least 1 also when the next read has an end or an error to tell.) */
size_t tls_session_pending(const TlsSession *session);
/* Half-close: close_notify, then shutdown(SHUT_WR). Repeat after -EAGAIN. */
int tls_session_shutdown(TlsSession *session) _must_check_;

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
/* Seconds since 1970 at which the peer's certificate expires; 0: it sent none. */
int64_t tls_session_peer_expires(const TlsSession *session);
/* Whether it goes on with an earlier session; its certificates are those of that one. */
bool tls_session_resumed(const TlsSession *session);
/* "TLS1.3 AES-128-GCM", for the log. */
const char *tls_session_description(const TlsSession *session);
/* The last error as a sentence. */
const char *tls_session_error(const TlsSession *session);
