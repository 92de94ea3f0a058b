/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which key it is: the same for a private key, the request that it signed and every certificate for it. */

#include "tool/cert/key.h"

#include <gnutls/x509.h>
#include <stdio.h>

void cert_hex(char *ret, const uint8_t *bytes, size_t size)
{
        for (size_t i = 0; i < size; i++)
                (void) sprintf(ret + 2 * i, "%02x", bytes[i]);
        ret[2 * size] = '\0';
}

static int id_of_certificate(const gnutls_datum_t *pem, uint8_t *ret, size_t *size)
{
        gnutls_x509_crt_t certificate;
        int r = gnutls_x509_crt_init(&certificate);

        if (r < 0)
                return r;
        r = gnutls_x509_crt_import(certificate, pem, GNUTLS_X509_FMT_PEM);
        if (r >= 0)
                r = gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, ret, size);
        gnutls_x509_crt_deinit(certificate);
        return r;
}

static int id_of_request(const gnutls_datum_t *pem, uint8_t *ret, size_t *size)
{
        gnutls_x509_crq_t request;
        int r = gnutls_x509_crq_init(&request);

        if (r < 0)
                return r;
        r = gnutls_x509_crq_import(request, pem, GNUTLS_X509_FMT_PEM);
        if (r >= 0)
                r = gnutls_x509_crq_get_key_id(request, GNUTLS_KEYID_USE_SHA256, ret, size);
        gnutls_x509_crq_deinit(request);
        return r;
}

static int id_of_key(const gnutls_datum_t *pem, uint8_t *ret, size_t *size)
{
        gnutls_x509_privkey_t key;
        int r = gnutls_x509_privkey_init(&key);

        if (r < 0)
                return r;
        r = gnutls_x509_privkey_import2(key, pem, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN);
        if (r >= 0)
                r = gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, ret, size);
        gnutls_x509_privkey_deinit(key);
        return r;
}

int cert_key_id(const char *pem, char ret[static CERT_KEY_ID_SIZE])
{
        gnutls_datum_t text = { (unsigned char *) pem, (unsigned) strlen(pem) };
        uint8_t id[(CERT_KEY_ID_SIZE - 1) / 2];
        size_t size = sizeof id;
        int r;

        if (strstr(pem, "PRIVATE KEY"))
                r = id_of_key(&text, id, &size);
        else if (strstr(pem, "CERTIFICATE REQUEST"))
                r = id_of_request(&text, id, &size);
        else
                r = id_of_certificate(&text, id, &size);
        if (r < 0 || size != sizeof id)
                return -EINVAL;
        cert_hex(ret, id, sizeof id);
        return 0;
}
