/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tool/cert/incoming.h"
#include "runtime/config.h"
#include "tool/cert/show.h"

#include <gnutls/x509.h>
#include <stdio.h>

typedef struct Certificates {
        gnutls_x509_crt_t *list;
        unsigned n;
} Certificates;

static void certificates_done(Certificates *certificates)
{
        for (unsigned i = 0; i < certificates->n; i++)
                gnutls_x509_crt_deinit(certificates->list[i]);
        gnutls_free(certificates->list);
}

/* In the order in which they stand there. */
static int certificates_load(const char *pem, Certificates *ret)
{
        gnutls_datum_t text = { (unsigned char *) pem, (unsigned) strlen(pem) };
        int r = gnutls_x509_crt_list_import2(&ret->list, &ret->n, &text, GNUTLS_X509_FMT_PEM, 0);

        if (r >= 0)
                return 0;
        *ret = (Certificates){ 0 };
        return -EINVAL;
}

void incoming_done(Incoming *incoming)
{
        free(incoming->certificate);
        free(incoming->authority);
        free(incoming->revocation);
        strings_free(incoming->names);
}

static int append(char **text, gnutls_x509_crt_t certificate)
{
        gnutls_datum_t pem = { 0 };
        char *longer;
        int n;

        if (gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem) < 0)
                return -EINVAL;
        n = asprintf(&longer, "%s%.*s", *text ? *text : "", (int) pem.size, (char *) pem.data);
        gnutls_free(pem.data);
        if (n < 0)
                return -ENOMEM;
        free(*text);
        *text = longer;
        return 0;
}

/* NULL: there is none. */
static int take_revocation(const char *text, char **ret)
{
        gnutls_datum_t in = { (unsigned char *) text, (unsigned) strlen(text) }, pem = { 0 };
        gnutls_x509_crl_t list;
        int r;

        if (!strstr(text, "-----BEGIN X509 CRL"))
                return 0;
        r = gnutls_x509_crl_init(&list);
        if (r < 0)
                return -ENOMEM;
        r = gnutls_x509_crl_import(list, &in, GNUTLS_X509_FMT_PEM);
        if (r >= 0)
                r = gnutls_x509_crl_export2(list, GNUTLS_X509_FMT_PEM, &pem);
        gnutls_x509_crl_deinit(list);
        if (r < 0) {
                fprintf(stderr, "The revocation list on standard input cannot be read: %s; copy all of its lines\n", gnutls_strerror(r));
                return -EINVAL;
        }
        *ret = strndup((char *) pem.data, pem.size);
        gnutls_free(pem.data);
        return *ret ? 0 : -ENOMEM;
}

int incoming_parse(const char *text, Incoming *ret)
{
        _cleanup_(certificates_done) Certificates all = { 0 };
        CertSummary summary;
        int r = certificates_load(text, &all);

        if (r < 0 || gnutls_x509_crt_get_ca_status(all.list[0], NULL) > 0) {
                fprintf(stderr, "Standard input does not begin with a certificate for a host: \"audit-relay cert issue\" prints one\n");
                return -EINVAL;
        }
        for (unsigned i = 0; r >= 0 && i < all.n; i++)
                r = append(gnutls_x509_crt_check_issuer(all.list[i], all.list[i]) ? &ret->authority : &ret->certificate, all.list[i]);
        if (r >= 0)
                r = cert_names(ret->certificate, &ret->names);
        if (r >= 0)
                r = cert_summary(ret->certificate, &summary);
        if (r >= 0)
                r = take_revocation(text, &ret->revocation);
        if (r < 0)
                return r;
        ret->end = summary.end;
        ret->collector = summary.collector;
        return 0;
}

bool incoming_is_trusted(const Incoming *incoming, const char *authority)
{
        _cleanup_(certificates_done) Certificates ours = { 0 }, theirs = { 0 };

        if (certificates_load(incoming->authority, &theirs) < 0 || certificates_load(authority, &ours) < 0)
                return false;
        for (unsigned i = 0; i < theirs.n; i++) {
                bool found = false;

                for (unsigned k = 0; k < ours.n && !found; k++)
                        found = gnutls_x509_crt_equals(theirs.list[i], ours.list[k]);
                if (!found)
                        return false;
        }
        return true;
}

int incoming_verify(const Incoming *incoming, const char *authority)
{
        _cleanup_(certificates_done) Certificates chain = { 0 }, ca = { 0 };
        gnutls_datum_t why = { 0 };
        unsigned status = 0;
        int r = certificates_load(incoming->certificate, &chain);

        if (r >= 0)
                r = certificates_load(authority, &ca);
        if (r >= 0 && gnutls_x509_crt_list_verify(chain.list, chain.n, ca.list, ca.n, NULL, 0, 0, &status) < 0)
                r = -EINVAL;
        if (r >= 0 && status == 0)
                return 0;
        if (r >= 0)
                (void) gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &why, 0);
        fprintf(stderr, "The certificate is not taken: %s; check the CA that is to be trusted, and this host's clock\n",
                why.data ? (char *) why.data : "it cannot be verified");
        gnutls_free(why.data);
        return -EKEYREJECTED;
}
