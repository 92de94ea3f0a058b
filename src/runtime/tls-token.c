/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Certificates and keys on a token (PKCS#11 URLs, RFC 7512): why one cannot be used, and what helps. GnuTLS says the same
 * of most mistakes, so what can be looked at is looked at here.
 *
 * 1. What follows the "?" of a URL may be a PIN: it is in no message, neither to people nor to peers.
 */

#include "runtime/tls-private.h"

#include <fcntl.h>
#include <gnutls/pkcs11.h>
#include <stdio.h>

/* Longer ones no token takes. */
#define PIN_MAX 255U

bool tls_is_url(const char *path)
{
        return gnutls_url_is_supported(path) != 0;
}

char *tls_url_shown(const char *path)
{
        return tls_is_url(path) ? strndup(path, strcspn(path, "?")) : strdup(path);
}

static int from_hex(char c)
{
        return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* The value of an attribute behind the "?", unescaped; NULL: it has none. */
static char *find_attribute(const char *url, const char *name)
{
        const char *p = url + strcspn(url, "?");
        size_t size = strlen(name);
        char *value, *out;

        while (*p && !(strncmp(p + 1, name, size) == 0 && p[1 + size] == '='))
                p += 1 + strcspn(p + 1, "&");
        if (!*p)
                return NULL;
        p += 2 + size;
        value = out = strndup(p, strcspn(p, "&"));
        for (const char *in = value; value && *in; in++)
                if (in[0] == '%' && from_hex(in[1]) >= 0 && from_hex(in[2]) >= 0) {
                        *out++ = (char) (from_hex(in[1]) << 4 | from_hex(in[2]));
                        in += 2;
                } else {
                        *out++ = *in;
                }
        if (value)
                *out = '\0';
        return value;
}

static int explain_pin_file(const char *file, const char *shown, char **ret_message)
{
        char pin[PIN_MAX + 1];
        _cleanup_(close_fdp) int fd = open(file, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, pin, sizeof pin) : -1;
        char last = n > 0 ? pin[n - 1] : '\0';
        int error = errno;

        gnutls_memset(pin, 0, sizeof pin);
        if (n < 0)
                return tls_fail(ret_message, -EINVAL, "The PIN of %s cannot be read from %s: %s", shown, file,
                                strerror(error));
        if (last == '\n')
                return tls_fail(ret_message, -EINVAL,
                                "The PIN of %s in %s has a newline behind it, which counts: write it without one (printf %%s)",
                                shown, file);
        return tls_fail(ret_message, -EINVAL,
                        "The token does not take the PIN of %s that is in %s: correct it before the token is locked", shown,
                        file);
}

static int explain_pin(const char *url, const char *shown, char **ret_message)
{
        _cleanup_(freep) char *file = find_attribute(url, "pin-source"), *value = find_attribute(url, "pin-value");

        if (file)
                return explain_pin_file(file, shown, ret_message);
        if (!value)
                return tls_fail(ret_message, -EINVAL,
                                "%s needs a PIN: write it to a file without a newline, and ?pin-source=FILE behind the URL",
                                shown);
        gnutls_memset(value, 0, strlen(value));
        return tls_fail(ret_message, -EINVAL,
                        "The token does not take the PIN in the URL of %s: correct it before the token is locked", shown);
}

static int explain(const char *what, const char *url, int gnutls_error, char **ret_message)
{
        _cleanup_(freep) char *shown = tls_url_shown(url);

        if (!shown)
                return -ENOMEM;
        switch (gnutls_error) {
        case GNUTLS_E_PKCS11_PIN_ERROR:
                return explain_pin(url, shown, ret_message);
        case GNUTLS_E_PKCS11_PIN_LOCKED:
                return tls_fail(ret_message, -EINVAL,
                                "The token of %s has locked its PIN after wrong ones: unlock it with the tool it came with",
                                shown);
        /* The token, or the object on it: which, it does not always say. */
        case GNUTLS_E_PKCS11_REQUESTED_OBJECT_NOT_AVAILBLE:
        case GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE:
                return tls_fail(ret_message, -EINVAL,
                                "The %s %s is not found: `p11tool --list-tokens` shows the tokens there are, "
                                "`p11tool --login --list-all TOKEN-URL` what is on one; may this user use it?",
                                what, shown);
        default:
                return tls_fail(ret_message, -EINVAL, "The %s %s cannot be used: %s", what, shown,
                                gnutls_strerror(gnutls_error));
        }
}

int tls_explain_token(const TlsOptions *options, int gnutls_error, char **ret_message)
{
        _cleanup_(freep) char *key = NULL, *certificate = NULL;
        gnutls_x509_crt_t crt;
        int r;

        if (gnutls_error == GNUTLS_E_CERTIFICATE_KEY_MISMATCH) {
                key = tls_url_shown(options->key);
                certificate = tls_url_shown(options->certificate);
                return tls_fail(ret_message, -EINVAL,
                                "The key %s is not the one of the certificate %s: they must be made together",
                                key ? key : "", certificate ? certificate : "");
        }
        /* Which of the two? */
        if (tls_is_url(options->certificate) && gnutls_x509_crt_init(&crt) >= 0) {
                r = gnutls_x509_crt_import_url(crt, options->certificate, 0);
                gnutls_x509_crt_deinit(crt);
                if (r < 0)
                        return explain("certificate", options->certificate, r, ret_message);
        }
        return explain("key", options->key, gnutls_error, ret_message);
}

int tls_refuse_url(const char *what, const char *path, char **ret_message)
{
        size_t scheme = strspn(path, "abcdefghijklmnopqrstuvwxyz0123456789");

        if (scheme == 0 || path[scheme] != ':' || tls_is_url(path))
                return 0;
        return tls_fail(ret_message, -EINVAL,
                        "The %s cannot be a %.*s: URL: this system's GnuTLS knows none; a key in a TPM has a pkcs11: URL "
                        "once tpm2_ptool has put it there (libtpm2-pkcs11-1, libtpm2-pkcs11-tools; docs/tls.md)",
                        what, (int) scheme, path);
}
