/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What tls.c (credentials), tls-token.c (those on a token), tls-session.c (bytes) and tls-peer.c (judging certificates) share; nobody else
 * includes it. */

#include "basic/buffer.h"
#include "runtime/tls.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

/* Collectors whose ticket a client keeps. */
#define TLS_TICKETS_MAX 8U

/* What a client needs to go on with a session: of the collector of that name; used once. */
typedef struct TlsTicket {
        char *name;
        gnutls_datum_t data;
} TlsTicket;

struct Tls {
        unsigned n_ref;
        /* With pre-shared keys one of these is set, and of the rest only the priority. */
        gnutls_psk_client_credentials_t psk_client;
        gnutls_psk_server_credentials_t psk_server;
        struct TlsPsk *psks; /* the server's */
        size_t n_psks;
        gnutls_certificate_credentials_t credentials; /* our certificate and key */
        gnutls_x509_trust_list_t trust;               /* CAs and revocation lists, to judge peers by */
        gnutls_priority_t priority;
        gnutls_datum_t ticket_key;
        TlsTicket tickets[TLS_TICKETS_MAX];
        unsigned next_ticket;
        char *ca_path, *crl_path; /* for messages */
        char *name;
        int64_t expires, revocation_expires;
};

struct TlsSession {
        Transport transport;
        Tls *tls;
        gnutls_session_t gnutls;
        int fd;
        bool server;
        bool said_bye;
        bool kept_ticket;
        size_t socket_turn;     /* bytes that this call may still take from the socket; it stops behind them */
        bool ended;             /* close_notify came */
        int failed;             /* GnuTLS's result that ended reading; 0: none */
        int socket_error;       /* errno behind GNUTLS_E_PULL_ERROR and _PUSH_ERROR */
        char *expected_name;    /* of the collector, on the client */
        gnutls_x509_crt_t peer; /* its own certificate, once the handshake is done; NULL: it sent none */
        char *peer_name;
        Buffer incoming; /* records as they came, not yet decrypted */
        Buffer outgoing; /* records not yet taken by the socket */
        char description[48];
        char error[256];
};

/* The i-th DNS name of the certificate that is one (printable, no NUL inside), owned by the caller; NULL: no
 * more. */
char *tls_certificate_dns_name(gnutls_x509_crt_t certificate, unsigned i);

/* Writes a message for people, which the caller owns; NULL when there is no memory. Returns error. */
int tls_fail(char **ret_message, int error, const char *format, ...) _printf_(3, 4);

/* tls-token.c */
bool tls_is_url(const char *path);
/* What may be said of a path or URL, without a PIN; the caller owns it. NULL: no memory. */
char *tls_url_shown(const char *path);
/* Why a pair of which one is on a token did not go in. Returns a negative errno. */
int tls_explain_token(const TlsOptions *options, int gnutls_error, char **ret_message);
/* A URL that nobody here knows is no path, either. Returns 0: it is none; or -EINVAL. */
int tls_refuse_url(const char *what, const char *path, char **ret_message);

/* Overwrites what may be a key, and frees it. */
void tls_datum_done(gnutls_datum_t *datum);

/* GnuTLS's priority string. */
const char *tls_priority(bool aes_is_fast);

void tls_ticket_done(TlsTicket *ticket);
/* The data, of gnutls_malloc(), is taken over. */
void tls_ticket_keep(Tls *tls, const char *name, gnutls_datum_t data);
bool tls_ticket_take(Tls *tls, const char *name, TlsTicket *ret);

static inline bool tls_is_psk(const Tls *tls)
{
        return tls->psk_client || tls->psk_server;
}
void tls_psk_free(Tls *tls);

/* Reads the certificate the peer sent, if any. */
int tls_session_load_peer(TlsSession *session) _must_check_;
