/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a certificate says, as far as the link cares. */

#include "tool/cert/show.h"
#include "runtime/config.h"
#include "runtime/expiry.h"
#include "tool/cert/files.h"
#include "tool/cert/key.h"
#include "tool/json.h"
#include "tool/reason.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>

/* Of one certificate; the texts are anybody's. */
typedef struct Shown {
        char *subject, *issuer, *key;
        char **names; /* the DNS names that it speaks for; NULL: none */
        const char *use;
        bool authority;
        time_t begin, end;
        char serial[129], fingerprint[65];
} Shown;

static void shown_done(Shown *shown)
{
        free(shown->subject);
        free(shown->issuer);
        free(shown->key);
        strings_free(shown->names);
}

void cert_show_time(char ret[static 32], time_t when)
{
        struct tm tm;

        if (!gmtime_r(&when, &tm) || strftime(ret, 32, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
                snprintf(ret, 32, "@%lld", (long long) when);
}

void cert_json_days(Json *json, time_t end)
{
        char text[32];

        json_integer(json, "days", (int64_t) expiry_days(end, time(NULL)));
        cert_show_time(text, end);
        json_string(json, "end", text);
}

/* --- Reading --- */

static void serial_of(gnutls_x509_crt_t certificate, char ret[static 129])
{
        uint8_t serial[64];
        size_t size = sizeof serial;

        if (gnutls_x509_crt_get_serial(certificate, serial, &size) < 0)
                size = 0;
        cert_hex(ret, serial, size);
}

static void fingerprint_of(gnutls_x509_crt_t certificate, char ret[static 65])
{
        uint8_t fingerprint[32];
        size_t size = sizeof fingerprint;

        if (gnutls_x509_crt_get_fingerprint(certificate, GNUTLS_DIG_SHA256, fingerprint, &size) < 0)
                size = 0;
        cert_hex(ret, fingerprint, size);
}

static void purposes_of(gnutls_x509_crt_t certificate, bool *ret_server, bool *ret_client)
{
        *ret_server = *ret_client = false;
        for (unsigned i = 0;; i++) {
                char oid[128];
                size_t size = sizeof oid;

                if (gnutls_x509_crt_get_key_purpose_oid(certificate, i, oid, &size, NULL) < 0)
                        return;
                *ret_server = *ret_server || strcmp(oid, GNUTLS_KP_TLS_WWW_SERVER) == 0;
                *ret_client = *ret_client || strcmp(oid, GNUTLS_KP_TLS_WWW_CLIENT) == 0;
        }
}

static const char *use_of(gnutls_x509_crt_t certificate)
{
        bool server, client;

        if (gnutls_x509_crt_get_ca_status(certificate, NULL) > 0)
                return "CA";
        purposes_of(certificate, &server, &client);
        return server ? client ? "collector, client (relay)" : "collector" : client ? "client" : "not restricted to collector or client";
}

static int names_of(gnutls_x509_crt_t certificate, char ***ret)
{
        for (unsigned i = 0;; i++) {
                char name[256];
                size_t size = sizeof name;
                int r = gnutls_x509_crt_get_subject_alt_name(certificate, i, name, &size, NULL);

                if (r == GNUTLS_E_SHORT_MEMORY_BUFFER)
                        continue;
                if (r < 0)
                        return 0;
                if (r == GNUTLS_SAN_DNSNAME && (r = strings_append(ret, name)) < 0)
                        return r;
        }
}

/* A copy in ordinary memory; frees GnuTLS's. */
static char *take_text(gnutls_datum_t *from)
{
        char *text = from->data ? strndup((char *) from->data, from->size) : strdup("");

        gnutls_free(from->data);
        return text;
}

static int look(gnutls_x509_crt_t certificate, Shown *ret)
{
        gnutls_datum_t subject = { 0 }, issuer = { 0 };
        unsigned bits = 0;
        int algorithm = gnutls_x509_crt_get_pk_algorithm(certificate, &bits);
        const char *name = algorithm < 0 ? NULL : gnutls_pk_get_name((gnutls_pk_algorithm_t) algorithm);

        (void) gnutls_x509_crt_get_dn3(certificate, &subject, 0);
        (void) gnutls_x509_crt_get_issuer_dn3(certificate, &issuer, 0);
        ret->subject = take_text(&subject);
        ret->issuer = take_text(&issuer);
        if (asprintf(&ret->key, "%s, %u bits", name ? name : "unknown", bits) < 0)
                ret->key = NULL;
        ret->use = use_of(certificate);
        ret->authority = gnutls_x509_crt_get_ca_status(certificate, NULL) > 0;
        ret->begin = gnutls_x509_crt_get_activation_time(certificate);
        ret->end = gnutls_x509_crt_get_expiration_time(certificate);
        serial_of(certificate, ret->serial);
        fingerprint_of(certificate, ret->fingerprint);
        return ret->subject && ret->issuer && ret->key ? names_of(certificate, &ret->names) : -ENOMEM;
}

int cert_summary(const char *pem, CertSummary *ret)
{
        gnutls_datum_t text = { (unsigned char *) pem, (unsigned) strlen(pem) };
        gnutls_x509_crt_t certificate;
        bool client;
        int r;

        if (gnutls_x509_crt_init(&certificate) < 0)
                return -ENOMEM;
        r = gnutls_x509_crt_import(certificate, &text, GNUTLS_X509_FMT_PEM);
        if (r >= 0) {
                serial_of(certificate, ret->serial);
                ret->begin = gnutls_x509_crt_get_activation_time(certificate);
                ret->end = gnutls_x509_crt_get_expiration_time(certificate);
                purposes_of(certificate, &ret->collector, &client);
        }
        gnutls_x509_crt_deinit(certificate);
        return r < 0 ? -EINVAL : 0;
}

int cert_names(const char *pem, char ***ret)
{
        gnutls_datum_t text = { (unsigned char *) pem, (unsigned) strlen(pem) };
        gnutls_x509_crt_t certificate;
        int r;

        if (gnutls_x509_crt_init(&certificate) < 0)
                return -ENOMEM;
        r = gnutls_x509_crt_import(certificate, &text, GNUTLS_X509_FMT_PEM) < 0 ? -EINVAL : names_of(certificate, ret);
        gnutls_x509_crt_deinit(certificate);
        return r;
}

/* --- Showing --- */

/* For a terminal. */
static void print_text(const char *before, const char *text)
{
        fputs(before, stdout);
        for (; *text; text++)
                putchar(*text < ' ' || *text > '~' ? '?' : *text);
}

static void print_times(const Shown *shown)
{
        time_t now = time(NULL);
        char text[32];

        cert_show_time(text, shown->begin);
        printf("  valid from  %s%s\n", text, shown->begin > now ? "  NOT YET VALID" : "");
        cert_show_time(text, shown->end);
        if (shown->end < now)
                printf("  until       %s  EXPIRED\n", text);
        else
                printf("  until       %s (%lld days)\n", text, (long long) expiry_days(shown->end, now));
}

static void print(const Shown *shown)
{
        print_text("", shown->subject);
        printf("\n  use         %s\n", shown->use);
        if (!shown->authority) {
                printf("  speaks for  %s", shown->names ? "" : "no DNS name");
                for (size_t i = 0; shown->names && shown->names[i]; i++)
                        print_text(i > 0 ? ", " : "", shown->names[i]);
                putchar('\n');
        }
        print_text("  issued by   ", shown->issuer);
        putchar('\n');
        print_times(shown);
        printf("  serial      %s\n"
               "  key         %s\n"
               "  SHA-256     %s\n",
               shown->serial, shown->key, shown->fingerprint);
}

static void add_json(Json *json, const Shown *shown)
{
        char begin[32];

        cert_show_time(begin, shown->begin);
        json_object_begin(json, NULL);
        json_string(json, "subject", shown->subject);
        json_string(json, "use", shown->use);
        json_array_begin(json, "names");
        for (size_t i = 0; shown->names && shown->names[i]; i++)
                json_string(json, NULL, shown->names[i]);
        json_array_end(json);
        json_string(json, "issuer", shown->issuer);
        json_string(json, "begin", begin);
        cert_json_days(json, shown->end);
        json_string(json, "serial", shown->serial);
        json_string(json, "key", shown->key);
        json_string(json, "sha256", shown->fingerprint);
        json_object_end(json);
}

int cert_show(const char *path, bool json)
{
        _cleanup_(freep) char *pem = NULL;
        Json out = JSON_INIT(stdout);
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
                fprintf(stderr, "There is no certificate in %s: %s; name a PEM file\n", path, gnutls_strerror(r));
                return -EINVAL;
        }
        if (json)
                json_array_begin(&out, NULL);
        for (unsigned i = 0; i < n; i++) {
                _cleanup_(shown_done) Shown shown = { 0 };

                if (r >= 0)
                        r = look(list[i], &shown);
                if (r >= 0 && json)
                        add_json(&out, &shown);
                else if (r >= 0)
                        print(&shown);
                gnutls_x509_crt_deinit(list[i]);
        }
        gnutls_free(list);
        if (json) {
                json_array_end(&out);
                putchar('\n');
        }
        if (r < 0)
                fprintf(stderr, "Cannot show %s: %s\n", path, tool_reason(r));
        return MIN(r, 0);
}
