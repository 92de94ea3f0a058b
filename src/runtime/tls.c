/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Credentials: our certificate and key, the CAs and revocation lists to judge peers by.
 *
 * 1. They never change once made. A reload makes new ones; sessions hold a reference to those they began
 *    with.
 * 2. Whatever is wrong with a file is an error with its name: a revocation list that cannot be used is not
 *    ignored. Only one that does not exist means that nothing is revoked.
 * 3. The key of the tickets, and a client's tickets, are part of them: after a reload nobody goes on with a session
 *    that began with other certificates.
 * 4. A revocation list past its next update still revokes what it names: a list that nobody renewed must not
 *    stop the collection of evidence, nor let a revoked peer in.
 */

#include "runtime/tls-private.h"

#include <stdarg.h>
#include <stdio.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

/* TLS 1.3 only. AES-GCM stands before ChaCha20, which costs twelve times the CPU where the hardware has AES, and
 * behind it where it has not; the server's order decides, as it has the work of all its clients. */
#define TLS_PRIORITY(ciphers)                                                                               \
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:" ciphers                                                \
        ":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:%SERVER_PRECEDENCE"

const char *tls_priority(bool aes_is_fast)
{
        return aes_is_fast ? TLS_PRIORITY("+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305")
                           : TLS_PRIORITY("+CHACHA20-POLY1305:+AES-128-GCM:+AES-256-GCM");
}

/* Whether the CPU has AES and the multiplication that GCM is made of. */
static bool aes_is_fast(void)
{
#if defined(__x86_64__) || defined(__i386__)
        return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
        return (getauxval(AT_HWCAP) & (HWCAP_AES | HWCAP_PMULL)) == (HWCAP_AES | HWCAP_PMULL);
#elif defined(__s390x__) || defined(__powerpc64__)
        return true; /* all that Debian runs on */
#else
        return false;
#endif
}

int tls_fail(char **ret_message, int error, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        if (vasprintf(ret_message, format, ap) < 0)
                *ret_message = NULL;
        va_end(ap);
        return error;
}

void tls_datum_done(gnutls_datum_t *datum)
{
        if (datum->data)
                gnutls_memset(datum->data, 0, datum->size);
        gnutls_free(datum->data);
        datum->data = NULL;
}

static int load(const char *what, const char *path, gnutls_datum_t *ret, char **ret_message)
{
        int r = tls_refuse_url(what, path, ret_message);

        if (r < 0)
                return r;
        errno = 0;
        if (gnutls_load_file(path, ret) < 0) {
                int error = errno > 0 ? errno : EIO;

                return tls_fail(ret_message, -error, "Cannot read the %s %s: %s", what, path,
                                strerror(error));
        }
        return 0;
}

/* Why the pair did not go in: asked of each file alone, so that the message names the right one. */
static int explain_pair(const TlsOptions *options, const gnutls_datum_t *certificate, int gnutls_error,
                        char **ret_message)
{
        gnutls_x509_crt_t *list = NULL;
        unsigned n = 0;
        int r;

        if (gnutls_error == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
                return tls_fail(ret_message, -EINVAL,
                                "The key %s is not the one of the certificate %s: they must be made together",
                                options->key, options->certificate);
        r = gnutls_x509_crt_list_import2(&list, &n, certificate, GNUTLS_X509_FMT_PEM, 0);
        for (unsigned i = 0; r >= 0 && i < n; i++)
                gnutls_x509_crt_deinit(list[i]);
        gnutls_free(list);
        if (r < 0)
                return tls_fail(ret_message, -EINVAL, "The certificate %s cannot be used: %s",
                                options->certificate, gnutls_strerror(r));
        return tls_fail(ret_message, -EINVAL, "The key %s cannot be used: %s", options->key,
                        gnutls_strerror(gnutls_error));
}

static int load_pair_from_files(Tls *tls, const TlsOptions *options, char **ret_message)
{
        _cleanup_(tls_datum_done) gnutls_datum_t certificate = { 0 }, key = { 0 };
        int r;

        r = load("certificate", options->certificate, &certificate, ret_message);
        if (r < 0)
                return r;
        r = load("key", options->key, &key, ret_message);
        if (r < 0)
                return r;
        r = gnutls_certificate_set_x509_key_mem2(tls->credentials, &certificate, &key, GNUTLS_X509_FMT_PEM,
                                                 NULL, 0);
        return r < 0 ? explain_pair(options, &certificate, r, ret_message) : 0;
}

/* At least one of the two is on a token; what is a file can be read, then. */
static int load_pair_from_token(Tls *tls, const TlsOptions *options, char **ret_message)
{
        _cleanup_(tls_datum_done) gnutls_datum_t file = { 0 };
        int r = 0;

        if (!tls_is_url(options->certificate))
                r = load("certificate", options->certificate, &file, ret_message);
        else if (!tls_is_url(options->key))
                r = load("key", options->key, &file, ret_message);
        if (r < 0)
                return r;
        r = gnutls_certificate_set_x509_key_file2(tls->credentials, options->certificate, options->key,
                                                  GNUTLS_X509_FMT_PEM, NULL, 0);
        return r < 0 ? tls_explain_token(options, r, ret_message) : 0;
}

static int load_pair(Tls *tls, const TlsOptions *options, char **ret_message)
{
        gnutls_x509_crt_t *list = NULL;
        unsigned n = 0;
        int r;

        if (!tls_is_url(options->certificate) && !tls_is_url(options->key))
                r = load_pair_from_files(tls, options, ret_message);
        else
                r = load_pair_from_token(tls, options, ret_message);
        if (r < 0)
                return r;
        r = gnutls_certificate_get_x509_crt(tls->credentials, 0, &list, &n);
        if (r < 0)
                return tls_fail(ret_message, -EINVAL, "Our certificate cannot be used: %s", gnutls_strerror(r));
        if (n > 0) {
                tls->name = tls_certificate_dns_name(list[0], 0);
                tls->expires = gnutls_x509_crt_get_expiration_time(list[0]);
        }
        for (unsigned i = 0; i < n; i++)
                gnutls_x509_crt_deinit(list[i]);
        gnutls_free(list);
        return 0;
}

static int load_ca(Tls *tls, const TlsOptions *options, char **ret_message)
{
        _cleanup_(tls_datum_done) gnutls_datum_t pem = { 0 };
        int r;

        if (tls_is_url(options->ca)) {
                r = gnutls_x509_trust_list_add_trust_file(tls->trust, options->ca, NULL, GNUTLS_X509_FMT_PEM,
                                                          0, 0);
        } else {
                r = load("CA", options->ca, &pem, ret_message);
                if (r < 0)
                        return r;
                r = gnutls_x509_trust_list_add_trust_mem(tls->trust, &pem, NULL, GNUTLS_X509_FMT_PEM, 0, 0);
        }
        if (r == 0 && tls_is_url(options->ca))
                return tls_fail(ret_message, -EINVAL,
                                "The CA %s cannot be used: there is no such certificate that is marked as trusted "
                                "(p11tool --mark-trusted)",
                                tls->ca_path);
        if (r <= 0)
                return tls_fail(ret_message, -EINVAL, "The CA %s cannot be used: %s", tls->ca_path,
                                r == 0 ? "there is no certificate in it" : gnutls_strerror(r));
        return 0;
}

/* Whether the list was signed by one of our CAs. Its times do not count, see invariant 3. */
static bool is_signed_by_us(Tls *tls, gnutls_x509_crl_t crl)
{
        gnutls_x509_trust_list_iter_t iter = NULL;
        gnutls_x509_crt_t ca;
        bool found = false;

        while (gnutls_x509_trust_list_iter_get_ca(tls->trust, &iter, &ca) >= 0) {
                unsigned status = 0;

                if (!found &&
                    gnutls_x509_crl_verify(crl, &ca, 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &status) >= 0)
                        found = status == 0;
                gnutls_x509_crt_deinit(ca);
        }
        return found;
}

static int load_crl(Tls *tls, const TlsOptions *options, char **ret_message)
{
        _cleanup_(tls_datum_done) gnutls_datum_t pem = { 0 };
        gnutls_x509_crl_t *list = NULL;
        unsigned n = 0;
        int r;

        if (!options->crl)
                return 0;
        r = load("revocation list", options->crl, &pem, ret_message);
        if (r == -ENOENT) {
                free(*ret_message);
                *ret_message = NULL;
                return 0;
        }
        if (r < 0)
                return r;
        r = gnutls_x509_crl_list_import2(&list, &n, &pem, GNUTLS_X509_FMT_PEM, 0);
        if (r < 0)
                return tls_fail(ret_message, -EINVAL, "The revocation list %s cannot be used: %s",
                                options->crl, gnutls_strerror(r));
        r = 0;
        for (unsigned i = 0; i < n; i++) {
                time_t next = gnutls_x509_crl_get_next_update(list[i]);

                if (next > 0 && (tls->revocation_expires == 0 || next < tls->revocation_expires))
                        tls->revocation_expires = next;
                /* The trust list takes over what it adds, and frees what it does not. */
                if (r < 0)
                        gnutls_x509_crl_deinit(list[i]);
                else if (!is_signed_by_us(tls, list[i])) {
                        gnutls_x509_crl_deinit(list[i]);
                        r = tls_fail(ret_message, -EINVAL,
                                     "The revocation list %s was not signed by a CA in %s",
                                     options->crl, options->ca);
                } else if (gnutls_x509_trust_list_add_crls(tls->trust, &list[i], 1, GNUTLS_TL_NO_DUPLICATES,
                                                           0) < 0)
                        r = tls_fail(ret_message, -EINVAL, "The revocation list %s cannot be used",
                                 options->crl);
        }
        gnutls_free(list);
        return r;
}

int tls_new(const TlsOptions *options, Tls **ret, char **ret_message)
{
        _cleanup_(tls_unrefp) Tls *tls = NULL;
        int r;

        *ret_message = NULL;
        tls = calloc(1, sizeof *tls);
        if (!tls)
                return -ENOMEM;
        tls->n_ref = 1;
        tls->ca_path = tls_url_shown(options->ca);
        tls->crl_path = options->crl ? strdup(options->crl) : NULL;
        if (!tls->ca_path || (options->crl && !tls->crl_path) ||
            gnutls_certificate_allocate_credentials(&tls->credentials) < 0 ||
            gnutls_x509_trust_list_init(&tls->trust, 0) < 0 ||
            gnutls_session_ticket_key_generate(&tls->ticket_key) < 0)
                return -ENOMEM;
        if (gnutls_priority_init2(&tls->priority, tls_priority(aes_is_fast()), NULL, 0) < 0)
                return tls_fail(ret_message, -ENOTSUP,
                                "This system's GnuTLS offers no TLS 1.3 with AES-GCM");
        r = load_pair(tls, options, ret_message);
        if (r < 0)
                return r;
        r = load_ca(tls, options, ret_message);
        if (r < 0)
                return r;
        r = load_crl(tls, options, ret_message);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(tls);
        return 0;
}

/* --- Tickets --- */

void tls_ticket_done(TlsTicket *ticket)
{
        tls_datum_done(&ticket->data);
        free(ticket->name);
        *ticket = (TlsTicket) { 0 };
}

/* One that is free, or the next to be overwritten. */
static TlsTicket *ticket_place(Tls *tls, const char *name)
{
        for (size_t i = 0; i < TLS_TICKETS_MAX; i++)
                if (!tls->tickets[i].name || strcmp(tls->tickets[i].name, name) == 0)
                        return &tls->tickets[i];
        return &tls->tickets[tls->next_ticket++ % TLS_TICKETS_MAX];
}

void tls_ticket_keep(Tls *tls, const char *name, gnutls_datum_t data)
{
        TlsTicket *ticket = ticket_place(tls, name);

        tls_ticket_done(ticket);
        *ticket = (TlsTicket) { strdup(name), data };
        /* Without memory, a full handshake next time. */
        if (!ticket->name)
                tls_ticket_done(ticket);
}

bool tls_ticket_take(Tls *tls, const char *name, TlsTicket *ret)
{
        for (size_t i = 0; i < TLS_TICKETS_MAX; i++)
                if (tls->tickets[i].name && strcmp(tls->tickets[i].name, name) == 0) {
                        *ret = tls->tickets[i];
                        tls->tickets[i] = (TlsTicket) { 0 };
                        return true;
                }
        return false;
}

Tls *tls_ref(Tls *tls)
{
        tls->n_ref++;
        return tls;
}

Tls *tls_unref(Tls *tls)
{
        if (!tls || --tls->n_ref > 0)
                return NULL;
        tls_psk_free(tls);
        if (tls->credentials)
                gnutls_certificate_free_credentials(tls->credentials);
        if (tls->trust)
                gnutls_x509_trust_list_deinit(tls->trust, 1);
        if (tls->priority)
                gnutls_priority_deinit(tls->priority);
        for (size_t i = 0; i < TLS_TICKETS_MAX; i++)
                tls_ticket_done(&tls->tickets[i]);
        tls_datum_done(&tls->ticket_key);
        free(tls->ca_path);
        free(tls->crl_path);
        free(tls->name);
        free(tls);
        return NULL;
}

int64_t tls_expires(const Tls *tls)
{
        return tls->expires;
}

int64_t tls_revocation_expires(const Tls *tls)
{
        return tls->revocation_expires;
}

const char *tls_name(const Tls *tls)
{
        return tls->name;
}
