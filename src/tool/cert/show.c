/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a certificate says, as far as the link cares. */

#include "tool/cert/show.h"

#include "tool/cert/files.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>

#define SECONDS_PER_DAY (24 * 60 * 60)

void cert_show_time(char ret[static 32], time_t when)
{
        struct tm tm;

        if (!gmtime_r(&when, &tm) || strftime(ret, 32, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
                snprintf(ret, 32, "@%lld", (long long) when);
}

static void hex(char *ret, const uint8_t *bytes, size_t size)
{
        for (size_t i = 0; i < size; i++)
                sprintf(ret + 2 * i, "%02x", bytes[i]);
        ret[2 * size] = '\0';
}

static void serial_of(gnutls_x509_crt_t certificate, char ret[static 129])
{
        uint8_t serial[64];
        size_t size = sizeof serial;

        if (gnutls_x509_crt_get_serial(certificate, serial, &size) < 0)
                size = 0;
        hex(ret, serial, size);
}

int cert_summary(const char *pem, char ret_serial[static 129], time_t *ret_end)
{
        gnutls_datum_t text = { (unsigned char *) pem, (unsigned) strlen(pem) };
        gnutls_x509_crt_t certificate;
        int r;

        if (gnutls_x509_crt_init(&certificate) < 0)
                return -ENOMEM;
        r = gnutls_x509_crt_import(certificate, &text, GNUTLS_X509_FMT_PEM);
        if (r >= 0) {
                serial_of(certificate, ret_serial);
                *ret_end = gnutls_x509_crt_get_expiration_time(certificate);
        }
        gnutls_x509_crt_deinit(certificate);
        return r < 0 ? -EINVAL : 0;
}

/* Text out of a certificate, which anybody may have written, for a terminal. */
static void print_text(const char *text, size_t size)
{
        for (size_t i = 0; i < size; i++)
                putchar(text[i] < ' ' || text[i] > '~' ? '?' : text[i]);
}

static void print_names(gnutls_x509_crt_t certificate)
{
        printf("  speaks for  ");
        for (unsigned i = 0, n = 0;; i++) {
                char name[256];
                size_t size = sizeof name;
                int r = gnutls_x509_crt_get_subject_alt_name(certificate, i, name, &size, NULL);

                if (r == GNUTLS_E_SHORT_MEMORY_BUFFER)
                        continue;
                if (r < 0) {
                        printf("%s\n", n == 0 ? "no DNS name" : "");
                        return;
                }
                if (r != GNUTLS_SAN_DNSNAME)
                        continue;
                printf("%s", n++ > 0 ? ", " : "");
                print_text(name, size);
        }
}

static void print_use(gnutls_x509_crt_t certificate)
{
        bool server = false, client = false;

        if (gnutls_x509_crt_get_ca_status(certificate, NULL) > 0) {
                printf("  use         CA\n");
                return;
        }
        for (unsigned i = 0;; i++) {
                char oid[128];
                size_t size = sizeof oid;
                int r = gnutls_x509_crt_get_key_purpose_oid(certificate, i, oid, &size, NULL);

                if (r < 0)
                        break;
                server = server || strcmp(oid, GNUTLS_KP_TLS_WWW_SERVER) == 0;
                client = client || strcmp(oid, GNUTLS_KP_TLS_WWW_CLIENT) == 0;
        }
        printf("  use         %s\n", server   ? client ? "collector, client (relay)" : "collector"
                                     : client ? "client"
                                              : "not restricted to collector or client");
}

static void print_times(gnutls_x509_crt_t certificate)
{
        time_t begin = gnutls_x509_crt_get_activation_time(certificate);
        time_t end = gnutls_x509_crt_get_expiration_time(certificate);
        time_t now = time(NULL);
        char text[32];

        cert_show_time(text, begin);
        printf("  valid from  %s%s\n", text, begin > now ? "  NOT YET VALID" : "");
        cert_show_time(text, end);
        if (end < now)
                printf("  until       %s  EXPIRED\n", text);
        else
                printf("  until       %s (%lld days)\n", text, (long long) ((end - now) / SECONDS_PER_DAY));
}

static void print_certificate(gnutls_x509_crt_t certificate)
{
        gnutls_datum_t subject = { 0 }, issuer = { 0 };
        uint8_t fingerprint[32];
        char text[129];
        size_t size = sizeof fingerprint;
        unsigned bits = 0;
        int algorithm = gnutls_x509_crt_get_pk_algorithm(certificate, &bits);

        (void) gnutls_x509_crt_get_dn3(certificate, &subject, 0);
        (void) gnutls_x509_crt_get_issuer_dn3(certificate, &issuer, 0);
        print_text((char *) subject.data, subject.size);
        printf("\n");
        print_use(certificate);
        if (gnutls_x509_crt_get_ca_status(certificate, NULL) <= 0)
                print_names(certificate);
        printf("  issued by   ");
        print_text((char *) issuer.data, issuer.size);
        printf("\n");
        print_times(certificate);
        serial_of(certificate, text);
        printf("  serial      %s\n", text);
        printf("  key         %s, %u bits\n",
               algorithm < 0 ? "unknown" : gnutls_pk_get_name((gnutls_pk_algorithm_t) algorithm), bits);
        if (gnutls_x509_crt_get_fingerprint(certificate, GNUTLS_DIG_SHA256, fingerprint, &size) >= 0) {
                hex(text, fingerprint, size);
                printf("  SHA-256     %s\n", text);
        }
        gnutls_free(subject.data);
        gnutls_free(issuer.data);
}

int cert_show(const char *path)
{
        _cleanup_(freep) char *pem = NULL;
        gnutls_x509_crt_t *list = NULL;
        gnutls_datum_t text;
        unsigned n = 0;
        int r;

        r = cert_read(path, false, &pem);
        if (r < 0)
                return r;
        text = (gnutls_datum_t){ (unsigned char *) pem, (unsigned) strlen(pem) };
        r = gnutls_x509_crt_list_import2(&list, &n, &text, GNUTLS_X509_FMT_PEM, 0);
        if (r < 0) {
                fprintf(stderr, "There is no certificate to read in %s: %s\n", path, gnutls_strerror(r));
                return -EINVAL;
        }
        for (unsigned i = 0; i < n; i++) {
                print_certificate(list[i]);
                gnutls_x509_crt_deinit(list[i]);
        }
        gnutls_free(list);
        return 0;
}
