/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Judging the peer's certificate, after the handshake and again on each reload.
 *
 * 1. A certificate speaks for its DNS names alone: never for a common name, never by a wildcard.
 * 2. What a certificate says is the peer's word until it is trusted: in sentences it is shown printable and
 *    cut.
 */

#include "runtime/tls-private.h"

#include <stdio.h>
#include <strings.h>
#include <time.h>

/* As GnuTLS itself accepts. */
#define CHAIN_MAX 16U
/* A DNS name has at most 253 bytes; for a distinguished name in a sentence it is enough, too. */
#define NAME_SHOWN_MAX 256U

char *tls_certificate_dns_name(gnutls_x509_crt_t certificate, unsigned i)
{
        for (unsigned san = 0;; san++) {
                char name[NAME_SHOWN_MAX];
                size_t size = sizeof name;
                bool printable = true;
                int r = gnutls_x509_crt_get_subject_alt_name(certificate, san, name, &size, NULL);

                if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE ||
                    (r < 0 && r != GNUTLS_E_SHORT_MEMORY_BUFFER))
                        return NULL;
                if (r != GNUTLS_SAN_DNSNAME || size == 0)
                        continue;
                for (size_t j = 0; j < size; j++)
                        printable = printable && name[j] > ' ' && name[j] <= '~';
                if (printable && i-- == 0)
                        return strndup(name, size);
        }
}

int tls_session_load_peer(TlsSession *session)
{
        unsigned n = 0;
        const gnutls_datum_t *list = gnutls_certificate_get_peers(session->gnutls, &n);
        int r;

        if (!list || n == 0)
                return 0;
        if (gnutls_x509_crt_init(&session->peer) < 0)
                return -ENOMEM;
        r = gnutls_x509_crt_import(session->peer, &list[0], GNUTLS_X509_FMT_DER);
        if (r < 0) {
                snprintf(session->error, sizeof session->error, "The peer's certificate cannot be read: %s",
                         gnutls_strerror(r));
                return -EPROTO;
        }
        session->peer_name = tls_certificate_dns_name(session->peer, 0);
        return 0;
}

const char *tls_session_peer_name(const TlsSession *session)
{
        return session->peer_name;
}

char *tls_session_peer_names(const TlsSession *session, unsigned i)
{
        return session->peer ? tls_certificate_dns_name(session->peer, i) : NULL;
}

int64_t tls_session_peer_expires(const TlsSession *session)
{
        return session->peer ? gnutls_x509_crt_get_expiration_time(session->peer) : 0;
}

char *tls_session_peer_spelling(const TlsSession *session, const char *name)
{
        char *spelt;

        for (unsigned i = 0; (spelt = tls_session_peer_names(session, i)) && strcasecmp(spelt, name) != 0; i++)
                free(spelt);
        return spelt;
}

bool tls_session_speaks_for(const TlsSession *session, const char *name)
{
        _cleanup_(freep) char *spelt = tls_session_peer_spelling(session, name);

        return spelt != NULL;
}

static void show_dn(char ret[static NAME_SHOWN_MAX], gnutls_x509_crt_t certificate, bool issuer)
{
        gnutls_datum_t dn = { 0 };
        int r = issuer ? gnutls_x509_crt_get_issuer_dn3(certificate, &dn, 0)
                       : gnutls_x509_crt_get_dn3(certificate, &dn, 0);

        snprintf(ret, NAME_SHOWN_MAX, "%s", r < 0 ? "(unreadable)" : (const char *) dn.data);
        gnutls_free(dn.data);
        for (char *p = ret; *p; p++)
                if (*p < ' ' || *p > '~')
                        *p = '?';
}

static void show_time(char ret[static 32], time_t when)
{
        struct tm tm;

        if (!gmtime_r(&when, &tm) || strftime(ret, 32, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
                memcpy(ret, "a time", 7);
}

/* The names it has, for the message about the one it has not. */
static void show_names(const TlsSession *session, char *ret, size_t size)
{
        size_t used = 0;

        *ret = '\0';
        for (unsigned i = 0; used < size; i++) {
                _cleanup_(freep) char *dns = tls_certificate_dns_name(session->peer, i);

                if (!dns)
                        break;
                used += (size_t) snprintf(ret + used, size - used, "%s%s", i > 0 ? ", " : "", dns);
        }
        if (used == 0)
                snprintf(ret, size, "no DNS name");
}

static int verify(TlsSession *session, Tls *tls, unsigned *ret_status)
{
        gnutls_typed_vdata_st purpose = {
                .type = GNUTLS_DT_KEY_PURPOSE_OID,
                .data = (unsigned char *) (session->server ? GNUTLS_KP_TLS_WWW_CLIENT
                                                           : GNUTLS_KP_TLS_WWW_SERVER),
        };
        gnutls_x509_crt_t chain[CHAIN_MAX];
        unsigned n = 0, n_chain = 0;
        const gnutls_datum_t *list = gnutls_certificate_get_peers(session->gnutls, &n);
        int r = 0;

        for (; n_chain < MIN(n, CHAIN_MAX); n_chain++) {
                r = gnutls_x509_crt_init(&chain[n_chain]);
                if (r < 0)
                        break;
                r = gnutls_x509_crt_import(chain[n_chain], &list[n_chain], GNUTLS_X509_FMT_DER);
                if (r < 0) {
                        gnutls_x509_crt_deinit(chain[n_chain]);
                        break;
                }
        }
        if (r >= 0)
                r = gnutls_x509_trust_list_verify_crt2(tls->trust, chain, n_chain, &purpose, 1, 0,
                                                       ret_status, NULL);
        for (unsigned i = 0; i < n_chain; i++)
                gnutls_x509_crt_deinit(chain[i]);
        return r;
}

/* The one check to name out of those that failed: the gravest first, so that nobody renews what is
 * revoked. */
static char *explain(const TlsSession *session, const Tls *tls, unsigned status)
{
        const char *side = session->server ? "client" : "collector";
        time_t begin = gnutls_x509_crt_get_activation_time(session->peer);
        time_t end = gnutls_x509_crt_get_expiration_time(session->peer);
        char dn[NAME_SHOWN_MAX], issuer[NAME_SHOWN_MAX], date[32], *why = NULL;
        const char *who = session->peer_name;
        int r;

        if (!who) {
                show_dn(dn, session->peer, false);
                who = dn;
        }
        if (status & GNUTLS_CERT_REVOKED)
                r = asprintf(
                        &why,
                        "The %s's certificate \"%s\" is revoked (by %s): issue a new one with a new key",
                        side, who, tls->crl_path ? tls->crl_path : "the revocation list");
        else if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNATURE_FAILURE)) {
                show_dn(issuer, session->peer, true);
                r = asprintf(&why,
                             "The %s's certificate \"%s\" is issued by an unknown CA, \"%s\": trusted are "
                             "those in %s",
                             side, who, issuer, tls->ca_path);
        } else if (status & GNUTLS_CERT_NOT_ACTIVATED && begin > time(NULL)) {
                show_time(date, begin);
                r = asprintf(&why,
                             "The %s's certificate \"%s\" is not yet valid, only from %s: check both clocks",
                             side, who, date);
        } else if (status & GNUTLS_CERT_EXPIRED && end < time(NULL)) {
                show_time(date, end);
                r = asprintf(&why, "The %s's certificate \"%s\" expired on %s: issue a new one", side, who,
                             date);
        } else if (status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED))
                r = asprintf(&why,
                             "The CA of the %s's certificate \"%s\" is expired or not yet valid: see %s",
                             side, who, tls->ca_path);
        else if (status & GNUTLS_CERT_PURPOSE_MISMATCH)
                r = asprintf(&why,
                             "The %s's certificate \"%s\" may not be used by a %s (extended key usage): "
                             "issue it as one",
                             side, who, side);
        else {
                gnutls_datum_t text = { 0 };

                (void) gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0);
                r = asprintf(&why, "The %s's certificate \"%s\" is not trusted: %s", side, who,
                             text.data ? (const char *) text.data : "it did not verify");
                gnutls_free(text.data);
        }
        return r < 0 ? NULL : why;
}

static int fault_of(unsigned status)
{
        if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNATURE_FAILURE))
                return -EACCES;
        if (status & GNUTLS_CERT_REVOKED)
                return -EKEYREVOKED;
        return status & GNUTLS_CERT_EXPIRED ? -EKEYEXPIRED : -EACCES;
}

int tls_session_judge(TlsSession *session, Tls *tls, char **ret_why)
{
        char names[NAME_SHOWN_MAX * 2];
        unsigned status = GNUTLS_CERT_INVALID;
        int r;

        *ret_why = NULL;
        if (!session->peer) {
                *ret_why = strdup(session->server ? "The client sent no certificate: give it one "
                                                    "(audit-relay cert client NAME)"
                                                  : "The collector sent no certificate");
                return -EACCES;
        }
        r = verify(session, tls, &status);
        if (r < 0 || status != 0) {
                status = r < 0 ? GNUTLS_CERT_INVALID : status;
                *ret_why = explain(session, tls, status);
                return fault_of(status);
        }
        if (!session->expected_name || tls_session_speaks_for(session, session->expected_name))
                return 0;
        show_names(session, names, sizeof names);
        if (asprintf(ret_why, "The collector's certificate is for another name: wanted \"%s\", it has %s",
                     session->expected_name, names) < 0)
                *ret_why = NULL;
        return -EACCES;
}
