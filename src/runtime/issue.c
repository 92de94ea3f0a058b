/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Certificates as the TLS of the link wants them, and nothing else:
 *
 * 1. A name is a DNS name in the subjectAltName; the common name repeats it for people.
 * 2. A CA may sign certificates and revocation lists, and no further CA. The others may sign handshakes, as
 *    client, or as server and client.
 * 3. Serials are random 127-bit numbers, so that no counter has to be kept.
 * 4. ECDSA P-256 (or Ed25519): a handshake costs a fraction of what it does with RSA.
 * 5. Of a request only the key is taken, which has to have signed it: the names in it are anybody's.
 */

#include "runtime/issue.h"

#include "basic/batch.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>

#define SERIAL_SIZE 16U
#define KEY_ID_MAX 64U
/* A DNS label. */
#define LABEL_MAX 63U
/* X.509's own bound: a longer name is in the subjectAltName alone. */
#define COMMON_NAME_MAX 64U

/* The objects of one call, freed together. */
typedef struct Work {
        gnutls_x509_crt_t certificate, ca;
        gnutls_x509_privkey_t key, ca_key;
        gnutls_pubkey_t public_key; /* of a key that is elsewhere */
        gnutls_x509_crq_t request;
        gnutls_x509_crl_t crl;
} Work;

static void work_done(Work *work)
{
        if (work->certificate)
                gnutls_x509_crt_deinit(work->certificate);
        if (work->ca)
                gnutls_x509_crt_deinit(work->ca);
        if (work->key)
                gnutls_x509_privkey_deinit(work->key);
        if (work->ca_key)
                gnutls_x509_privkey_deinit(work->ca_key);
        if (work->public_key)
                gnutls_pubkey_deinit(work->public_key);
        if (work->request)
                gnutls_x509_crq_deinit(work->request);
        if (work->crl)
                gnutls_x509_crl_deinit(work->crl);
}

static void free_secret(char *text)
{
        if (text)
                gnutls_memset(text, 0, strlen(text));
        free(text);
}

void issue_pair_done(IssuePair *pair)
{
        free(pair->certificate);
        free_secret(pair->key);
        *pair = (IssuePair){ 0 };
}

bool issue_name_is_valid(const char *name)
{
        size_t n = strlen(name);

        if (n == 0 || n > NODE_NAME_MAX)
                return false;
        for (const char *label = name;; label++) {
                size_t size =
                        strspn(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

                if (size == 0 || size > LABEL_MAX || label[0] == '-' || label[size - 1] == '-')
                        return false;
                label += size;
                if (*label == '\0')
                        return true;
                if (*label != '.')
                        return false;
        }
}

static int fail(char **ret_why, const char *what, int result)
{
        if (asprintf(ret_why, "%s: %s", what, gnutls_strerror(result)) < 0)
                *ret_why = NULL;
        return result == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
}

static gnutls_datum_t datum(const char *text)
{
        return (gnutls_datum_t){ (unsigned char *) text, (unsigned) strlen(text) };
}

/* A NUL-terminated copy in ordinary memory; frees GnuTLS's. */
static char *take_datum(gnutls_datum_t *from)
{
        char *text = strndup((const char *) from->data, from->size);

        gnutls_memset(from->data, 0, from->size);
        gnutls_free(from->data);
        return text;
}

static gnutls_digest_algorithm_t digest_of(gnutls_x509_privkey_t key)
{
        return gnutls_x509_privkey_get_pk_algorithm(key) == GNUTLS_PK_EDDSA_ED25519 ? GNUTLS_DIG_SHA512
                                                                                    : GNUTLS_DIG_SHA256;
}

static int load_ca(Work *work, const IssuePair *ca, char **ret_why)
{
        gnutls_datum_t certificate = datum(ca->certificate), key = datum(ca->key);
        int r;

        if (gnutls_x509_crt_init(&work->ca) < 0 || gnutls_x509_privkey_init(&work->ca_key) < 0)
                return -ENOMEM;
        r = gnutls_x509_crt_import(work->ca, &certificate, GNUTLS_X509_FMT_PEM);
        if (r < 0)
                return fail(ret_why, "The certificate of the CA cannot be read", r);
        r = gnutls_x509_privkey_import2(work->ca_key, &key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN);
        if (r < 0)
                return fail(ret_why, "The key of the CA cannot be read", r);
        return 0;
}

static int set_serial(gnutls_x509_crt_t certificate)
{
        uint8_t serial[SERIAL_SIZE];
        int r = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial);

        if (r < 0)
                return r;
        /* Positive and of full length. */
        serial[0] = (serial[0] & 0x7f) | 0x40;
        return gnutls_x509_crt_set_serial(certificate, serial, sizeof serial);
}

static int set_use(gnutls_x509_crt_t certificate, const IssueRequest *request)
{
        int r;

        if (request->kind == ISSUE_CA) {
                r = gnutls_x509_crt_set_basic_constraints(certificate, 1, 0);
                return r < 0 ? r
                             : gnutls_x509_crt_set_key_usage(certificate,
                                                             GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
        }
        r = gnutls_x509_crt_set_basic_constraints(certificate, 0, -1);
        if (r < 0)
                return r;
        r = gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE);
        if (r < 0)
                return r;
        r = gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, request->name,
                                                 (unsigned) strlen(request->name), GNUTLS_FSAN_SET);
        if (r >= 0 && request->kind == ISSUE_COLLECTOR)
                r = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
        return r < 0 ? r : gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_CLIENT, 0);
}

static int set_key_ids(Work *work)
{
        uint8_t id[KEY_ID_MAX];
        size_t size = sizeof id;
        int r = gnutls_x509_crt_get_key_id(work->certificate, 0, id, &size);

        if (r < 0)
                return r;
        r = gnutls_x509_crt_set_subject_key_id(work->certificate, id, size);
        if (r < 0 || !work->ca)
                return r;
        size = sizeof id;
        r = gnutls_x509_crt_get_subject_key_id(work->ca, id, &size, NULL);
        /* A CA made elsewhere need not have one. */
        return r < 0 ? 0 : gnutls_x509_crt_set_authority_key_id(work->certificate, id, size);
}

static int make_key(Work *work, bool ed25519)
{
        int r = gnutls_x509_privkey_init(&work->key);

        if (r < 0)
                return r;
        return gnutls_x509_privkey_generate(work->key, ed25519 ? GNUTLS_PK_EDDSA_ED25519 : GNUTLS_PK_ECDSA,
                                            ed25519 ? 256 : GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
}

static int take_key_of_request(Work *work, const char *pem)
{
        gnutls_datum_t text = datum(pem);
        int r;

        if ((r = gnutls_x509_crq_init(&work->request)) < 0 ||
            (r = gnutls_x509_crq_import(work->request, &text, GNUTLS_X509_FMT_PEM)) < 0 ||
            (r = gnutls_x509_crq_verify(work->request, 0)) < 0)
                return r;
        return gnutls_pubkey_import_x509_crq(work->public_key, work->request, 0);
}

static int take_key_of_certificate(Work *work, const char *pem)
{
        gnutls_datum_t text = datum(pem);
        gnutls_x509_crt_t certificate;
        int r = gnutls_x509_crt_init(&certificate);

        if (r < 0)
                return r;
        r = gnutls_x509_crt_import(certificate, &text, GNUTLS_X509_FMT_PEM);
        if (r >= 0)
                r = gnutls_pubkey_import_x509(work->public_key, certificate, 0);
        gnutls_x509_crt_deinit(certificate);
        return r;
}

/* The key of somebody who asks for a certificate, or has one. */
static int take_key(Work *work, const char *pem, char **ret_why)
{
        bool asks = strstr(pem, "CERTIFICATE REQUEST");
        unsigned bits = 0;
        int algorithm, r = gnutls_pubkey_init(&work->public_key);

        if (r >= 0)
                r = asks ? take_key_of_request(work, pem) : take_key_of_certificate(work, pem);
        if (r < 0)
                return fail(ret_why, asks ? "The request cannot be used" : "There is no request, and no certificate", r);
        algorithm = gnutls_pubkey_get_pk_algorithm(work->public_key, &bits);
        if (gnutls_pk_bits_to_sec_param((gnutls_pk_algorithm_t) algorithm, bits) < GNUTLS_SEC_PARAM_MEDIUM)
                return fail(ret_why, "The key of the request is too weak", GNUTLS_E_INSUFFICIENT_SECURITY);
        return 0;
}

static int fill(Work *work, const IssueRequest *request)
{
        time_t end = request->not_after;
        int r;

        if (work->ca)
                end = MIN(end, gnutls_x509_crt_get_expiration_time(work->ca));
        if ((r = gnutls_x509_crt_init(&work->certificate)) < 0 ||
            (r = gnutls_x509_crt_set_version(work->certificate, 3)) < 0 ||
            (r = set_serial(work->certificate)) < 0 ||
            (r = gnutls_x509_crt_set_activation_time(work->certificate, request->not_before)) < 0 ||
            (r = gnutls_x509_crt_set_expiration_time(work->certificate, end)) < 0 ||
            (r = work->key ? gnutls_x509_crt_set_key(work->certificate, work->key)
                           : gnutls_x509_crt_set_pubkey(work->certificate, work->public_key)) < 0 ||
            (r = set_use(work->certificate, request)) < 0 || (r = set_key_ids(work)) < 0)
                return r;
        if (strlen(request->name) <= COMMON_NAME_MAX)
                r = gnutls_x509_crt_set_dn_by_oid(work->certificate, GNUTLS_OID_X520_COMMON_NAME, 0,
                                                  request->name, (unsigned) strlen(request->name));
        return r;
}

static int export_key(gnutls_x509_privkey_t key, char **ret)
{
        gnutls_datum_t pem = { 0 };
        int r = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem);

        if (r < 0)
                return r;
        *ret = take_datum(&pem);
        return *ret ? 0 : GNUTLS_E_MEMORY_ERROR;
}

static int export_pair(Work *work, IssuePair *ret)
{
        gnutls_datum_t certificate = { 0 };
        int r = gnutls_x509_crt_export2(work->certificate, GNUTLS_X509_FMT_PEM, &certificate);

        if (r < 0)
                return r;
        *ret = (IssuePair){ .certificate = take_datum(&certificate) };
        r = !ret->certificate ? GNUTLS_E_MEMORY_ERROR : work->key ? export_key(work->key, &ret->key) : 0;
        if (r < 0)
                issue_pair_done(ret);
        return r;
}

int issue_certificate(const IssueRequest *request, const IssuePair *ca, IssuePair *ret, char **ret_why)
{
        _cleanup_(work_done) Work work = { 0 };
        int r;

        *ret_why = NULL;
        if (ca) {
                r = load_ca(&work, ca, ret_why);
                if (r < 0)
                        return r;
        }
        if (request->key_of) {
                r = take_key(&work, request->key_of, ret_why);
                if (r < 0)
                        return r;
        } else if ((r = make_key(&work, request->ed25519)) < 0) {
                return fail(ret_why, "Cannot make a key", r);
        }
        r = fill(&work, request);
        if (r < 0)
                return fail(ret_why, "Cannot make the certificate", r);
        r = gnutls_x509_crt_sign2(work.certificate, ca ? work.ca : work.certificate,
                                  ca ? work.ca_key : work.key, digest_of(ca ? work.ca_key : work.key), 0);
        if (r < 0)
                return fail(ret_why, "Cannot sign the certificate", r);
        r = export_pair(&work, ret);
        return r < 0 ? fail(ret_why, "Cannot write the certificate as PEM", r) : 0;
}

static int load_or_make_key(Work *work, bool ed25519, const char *pem)
{
        gnutls_datum_t text;
        int r;

        if (!pem)
                return make_key(work, ed25519);
        text = datum(pem);
        r = gnutls_x509_privkey_init(&work->key);
        return r < 0 ? r : gnutls_x509_privkey_import2(work->key, &text, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN);
}

static int fill_request(Work *work, const char *name)
{
        unsigned n = (unsigned) strlen(name);
        int r;

        if ((r = gnutls_x509_crq_init(&work->request)) < 0 || (r = gnutls_x509_crq_set_version(work->request, 1)) < 0 ||
            (r = gnutls_x509_crq_set_key(work->request, work->key)) < 0 ||
            (r = gnutls_x509_crq_set_subject_alt_name(work->request, GNUTLS_SAN_DNSNAME, name, n, GNUTLS_FSAN_SET)) < 0)
                return r;
        if (n <= COMMON_NAME_MAX)
                r = gnutls_x509_crq_set_dn_by_oid(work->request, GNUTLS_OID_X520_COMMON_NAME, 0, name, n);
        return r < 0 ? r : gnutls_x509_crq_sign2(work->request, work->key, digest_of(work->key), 0);
}

int issue_request(const char *name, bool ed25519, char **key, char **ret_request, char **ret_why)
{
        _cleanup_(work_done) Work work = { 0 };
        gnutls_datum_t pem = { 0 };
        bool is_new = !*key;
        int r;

        *ret_why = NULL;
        r = load_or_make_key(&work, ed25519, *key);
        if (r < 0)
                return fail(ret_why, is_new ? "Cannot make a key" : "The key cannot be read", r);
        r = fill_request(&work, name);
        if (r >= 0)
                r = gnutls_x509_crq_export2(work.request, GNUTLS_X509_FMT_PEM, &pem);
        if (r >= 0 && is_new)
                r = export_key(work.key, key);
        if (r >= 0)
                *ret_request = take_datum(&pem);
        else
                gnutls_free(pem.data);
        if (r < 0)
                return fail(ret_why, "Cannot make the request", r);
        return *ret_request ? 0 : -ENOMEM;
}

/* Returns 1 when it was added, 0 when it was there. */
static int revoke_one(gnutls_x509_crl_t crl, const char *pem, time_t now)
{
        uint8_t serial[64], listed[64];
        size_t size = sizeof serial;
        gnutls_datum_t text = datum(pem);
        gnutls_x509_crt_t certificate;
        int n, r = gnutls_x509_crt_init(&certificate);

        if (r < 0)
                return r;
        r = gnutls_x509_crt_import(certificate, &text, GNUTLS_X509_FMT_PEM);
        if (r >= 0)
                r = gnutls_x509_crt_get_serial(certificate, serial, &size);
        gnutls_x509_crt_deinit(certificate);
        if (r < 0)
                return r;
        n = gnutls_x509_crl_get_crt_count(crl);
        for (int i = 0; i < n; i++) {
                size_t listed_size = sizeof listed;
                time_t when;

                if (gnutls_x509_crl_get_crt_serial(crl, (unsigned) i, listed, &listed_size, &when) >= 0 &&
                    listed_size == size && memcmp(listed, serial, size) == 0)
                        return 0;
        }
        r = gnutls_x509_crl_set_crt_serial(crl, serial, size, now);
        return r < 0 ? r : 1;
}

static int sign_list(Work *work, time_t now)
{
        uint8_t number[8], id[KEY_ID_MAX];
        size_t size = sizeof id;
        int r;

        /* Seconds rise from list to list without a counter being kept. */
        for (unsigned i = 0; i < sizeof number; i++)
                number[i] = (uint8_t) ((uint64_t) now >> (56 - 8 * i));
        if ((r = gnutls_x509_crl_set_version(work->crl, 2)) < 0 ||
            (r = gnutls_x509_crl_set_this_update(work->crl, now)) < 0 ||
            (r = gnutls_x509_crl_set_next_update(work->crl, gnutls_x509_crt_get_expiration_time(work->ca))) <
                    0 ||
            (r = gnutls_x509_crl_set_number(work->crl, number, sizeof number)) < 0)
                return r;
        if (gnutls_x509_crt_get_subject_key_id(work->ca, id, &size, NULL) >= 0) {
                r = gnutls_x509_crl_set_authority_key_id(work->crl, id, size);
                if (r < 0)
                        return r;
        }
        return gnutls_x509_crl_sign2(work->crl, work->ca, work->ca_key, digest_of(work->ca_key), 0);
}

int issue_revocations(const IssuePair *ca, const char *previous, char *const *certificates,
                      size_t n_certificates, char **ret_list, size_t *ret_added, char **ret_why)
{
        _cleanup_(work_done) Work work = { 0 };
        gnutls_datum_t pem = { 0 };
        time_t now = time(NULL);
        int r;

        *ret_why = NULL;
        *ret_added = 0;
        r = load_ca(&work, ca, ret_why);
        if (r < 0)
                return r;
        r = gnutls_x509_crl_init(&work.crl);
        if (r >= 0 && previous) {
                gnutls_datum_t text = datum(previous);

                r = gnutls_x509_crl_import(work.crl, &text, GNUTLS_X509_FMT_PEM);
        }
        if (r < 0)
                return fail(ret_why, "The revocation list there is cannot be read", r);
        for (size_t i = 0; i < n_certificates; i++) {
                r = revoke_one(work.crl, certificates[i], now);
                if (r < 0)
                        return fail(ret_why, "A certificate to revoke cannot be read", r);
                *ret_added += (size_t) r;
        }
        r = sign_list(&work, now);
        if (r < 0)
                return fail(ret_why, "Cannot sign the revocation list", r);
        r = gnutls_x509_crl_export2(work.crl, GNUTLS_X509_FMT_PEM, &pem);
        if (r < 0)
                return fail(ret_why, "Cannot write the revocation list as PEM", r);
        *ret_list = take_datum(&pem);
        return *ret_list ? 0 : -ENOMEM;
}
