/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Certificates and keys on a token: SoftHSM's, in a directory of the test. What is there is used, by both ends of a session;
 * for what is not, or not right, the message says what to do, and never the PIN. */

#include "check-main.h"
#include "runtime/tls.h"
#include "tls-fixture.h"

#include <gnutls/gnutls.h>
#include <gnutls/pkcs11.h>
#include <gnutls/x509.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define PIN "271828"
#define SO_PIN "314159"
#define COLLECTOR "logs.example.org"
#define CLIENT "web1.example.org"
#define TOKEN "pkcs11:token=ours"
#define KEY TOKEN ";object=key;type=private"
#define CERTIFICATE TOKEN ";object=cert;type=cert"
#define AUTHORITY TOKEN ";object=ca;type=cert"

static Fixture fixture;
static IssuePair pair;

/* --- The token --- */

static int run(const char *arguments)
{
        char command[512];

        (void) snprintf(command, sizeof command, "softhsm2-util %s >/dev/null 2>&1", arguments);
        return system(command);
}

static void put_certificate(const char *pem, const char *label, unsigned flags)
{
        gnutls_datum_t datum = { (unsigned char *) pem, (unsigned) strlen(pem) };
        gnutls_x509_crt_t crt;

        ck_assert_int_eq(gnutls_x509_crt_init(&crt), 0);
        ck_assert_int_eq(gnutls_x509_crt_import(crt, &datum, GNUTLS_X509_FMT_PEM), 0);
        ck_assert_int_eq(gnutls_pkcs11_copy_x509_crt(TOKEN "?pin-value=" PIN, crt, label, flags), 0);
        gnutls_x509_crt_deinit(crt);
}

/* It asks for one where the URL brings none. */
static int so_pin(void *userdata, int attempt, const char *url, const char *label, unsigned flags, char *pin, size_t size)
{
        (void) snprintf(pin, size, "%s", SO_PIN);
        return attempt == 0 ? 0 : -1;
}

static void put_authority(void)
{
        gnutls_datum_t datum = { (unsigned char *) fixture.ca.certificate, (unsigned) strlen(fixture.ca.certificate) };
        gnutls_x509_crt_t crt;

        ck_assert_int_eq(gnutls_x509_crt_init(&crt), 0);
        ck_assert_int_eq(gnutls_x509_crt_import(crt, &datum, GNUTLS_X509_FMT_PEM), 0);
        gnutls_pkcs11_set_pin_function(so_pin, NULL);
        ck_assert_int_eq(gnutls_pkcs11_copy_x509_crt(TOKEN, crt, "ca",
                                                     GNUTLS_PKCS11_OBJ_FLAG_MARK_TRUSTED | GNUTLS_PKCS11_OBJ_FLAG_LOGIN_SO),
                         0);
        gnutls_pkcs11_set_pin_function(NULL, NULL);
        gnutls_x509_crt_deinit(crt);
}

/* Its key is made and certified where the CA is, as `audit-relay cert` does it, and then put into the token. */
static void setup(void)
{
        char text[256];

        fixture_setup(&fixture);
        ck_assert_int_eq(mkdir(fixture_path(&fixture, "tokens"), 0700), 0);
        (void) snprintf(text, sizeof text, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n",
                        fixture_path(&fixture, "tokens"));
        fixture_write(&fixture, "softhsm2.conf", text);
        ck_assert_int_eq(setenv("SOFTHSM2_CONF", fixture_path(&fixture, "softhsm2.conf"), 1), 0);
        ck_assert_int_eq(run("--init-token --free --label ours --pin " PIN " --so-pin " SO_PIN), 0);
        pair = fixture_issue(ISSUE_COLLECTOR, COLLECTOR, &fixture.ca, -1, 1);
        fixture_write(&fixture, "cert.pem", pair.certificate);
        fixture_write(&fixture, "key.pem", pair.key);
        (void) snprintf(text, sizeof text, "--import %s --token ours --label key --id 01 --pin " PIN,
                        fixture_path(&fixture, "key.pem"));
        ck_assert_int_eq(run(text), 0);
        put_certificate(pair.certificate, "cert", 0);
        ck_assert_int_eq(unlink(fixture_path(&fixture, "key.pem")), 0);
        fixture_write(&fixture, "pin", PIN);
}

static void teardown(void)
{
        issue_pair_done(&pair);
        fixture_teardown(&fixture);
}

static const char *key_url(const char *pin_file)
{
        static char url[256];

        (void) snprintf(url, sizeof url, KEY "?module-name=softhsm2&pin-source=%s", fixture_path(&fixture, pin_file));
        return url;
}

/* --- What works --- */

static void expect_session(const TlsOptions *options)
{
        Tls *server, *client = fixture_tls(&fixture, ISSUE_CLIENT, CLIENT);
        Transport *ends[2];
        char *why = NULL;
        int fds[2], r[2] = { -EAGAIN, -EAGAIN };

        ck_assert_msg(tls_new(options, &server, &why) == 0, "%s", why);
        ck_assert_str_eq(tls_name(server), COLLECTOR);
        ck_assert_int_gt(tls_expires(server), time(NULL));
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        ck_assert_int_eq(tls_session_new(server, true, NULL, fds[0], &ends[0]), 0);
        ck_assert_int_eq(tls_session_new(client, false, COLLECTOR, fds[1], &ends[1]), 0);
        for (unsigned i = 0; i < 40 && (r[0] == -EAGAIN || r[1] == -EAGAIN); i++)
                if (r[i % 2] == -EAGAIN)
                        r[i % 2] = ends[i % 2]->handshake(ends[i % 2]);
        ck_assert_msg(r[0] == 0 && r[1] == 0, "%s; %s", ends[0]->error(ends[0]), ends[1]->error(ends[1]));
        for (unsigned i = 0; i < 2; i++)
                ck_assert_msg(tls_session_judge(tls_session_of(ends[i]), i == 0 ? server : client, &why) == 0, "%s", why);
        ck_assert_str_eq(tls_session_peer_name(tls_session_of(ends[1])), COLLECTOR);
        for (unsigned i = 0; i < 2; i++) {
                transport_free(ends[i]);
                (void) close(fds[i]);
        }
        tls_unref(server);
        tls_unref(client);
}

START_TEST(a_session_with_the_key_on_a_token)
{
        _cleanup_(freep) char *certificate = strdup(fixture_path(&fixture, "token.pem"));
        _cleanup_(freep) char *ca = strdup(fixture_path(&fixture, "ca.pem"));
        TlsOptions options = { certificate, key_url("pin"), ca, NULL };

        fixture_write(&fixture, "token.pem", pair.certificate);
        expect_session(&options);
        options.certificate = CERTIFICATE;
        expect_session(&options);
        options.key = KEY "?pin-value=" PIN;
        expect_session(&options);
        put_authority();
        options.ca = AUTHORITY;
        expect_session(&options);
}
END_TEST

/* --- What does not --- */

static void expect_unusable(const char *certificate, const char *key, const char *ca, const char *words)
{
        TlsOptions options = { certificate, key, ca ? ca : fixture_path(&fixture, "ca.pem"), NULL };
        _cleanup_(freep) char *message = NULL;
        Tls *tls = NULL;

        ck_assert_int_lt(tls_new(&options, &tls, &message), 0);
        ck_assert_ptr_nonnull(message);
        ck_assert_msg(strstr(message, words), "\"%s\" does not say \"%s\"", message, words);
        ck_assert_msg(!strstr(message, PIN) && !strstr(message, "161803"), "\"%s\" says the PIN", message);
}

START_TEST(a_pin_that_is_not_right)
{
        _cleanup_(freep) char *certificate = strdup(fixture_path(&fixture, "cert.pem"));

        fixture_write(&fixture, "wrong", "161803");
        fixture_write(&fixture, "newline", PIN "\n");
        fixture_write(&fixture, "empty", "");
        expect_unusable(certificate, KEY, NULL, "needs a PIN: write it to a file without a newline, and ?pin-source=FILE");
        expect_unusable(certificate, KEY "?module-name=softhsm2", NULL, "needs a PIN");
        expect_unusable(certificate, KEY "?pin-value=161803", NULL, "does not take the PIN in the URL");
        expect_unusable(certificate, key_url("wrong"), NULL, "/wrong: correct it before the token is locked");
        expect_unusable(certificate, key_url("empty"), NULL, "/empty: correct it");
        expect_unusable(certificate, key_url("newline"), NULL, "/newline has a newline behind it");
        expect_unusable(certificate, key_url("nowhere"), NULL, "/nowhere: No such file or directory");
        expect_unusable(certificate, key_url("no%77here"), NULL, "/nowhere: No such file");
}
END_TEST

START_TEST(what_is_not_on_a_token)
{
        _cleanup_(freep) char *certificate = strdup(fixture_path(&fixture, "cert.pem"));
        const char *key = KEY "?pin-value=" PIN;
        IssuePair other = fixture_issue(ISSUE_COLLECTOR, COLLECTOR, &fixture.ca, -1, 1);

        expect_unusable(certificate, "pkcs11:token=theirs;object=key;type=private?pin-value=" PIN, NULL,
                        "The key pkcs11:token=theirs;object=key;type=private is not found: `p11tool ");
        expect_unusable("pkcs11:token=theirs;object=cert;type=cert", key, NULL, "The certificate pkcs11:token=theirs;object=cert;type=cert is not");
        expect_unusable(certificate, TOKEN ";object=none;type=private?pin-value=" PIN, NULL, "The key " TOKEN ";object=none");
        expect_unusable(TOKEN ";object=none;type=cert", key, NULL, "The certificate " TOKEN ";object=none;type=cert is not found");
        expect_unusable(certificate, "pkcs11:no-url", NULL, "The key pkcs11:no-url cannot be used: ");
        expect_unusable(certificate, key, TOKEN ";object=none;type=cert?pin-value=" PIN, "marked as trusted");
        /* Files beside it are looked at first. */
        expect_unusable("/nowhere/cert.pem", key, NULL, "/nowhere/cert.pem: No such file");
        expect_unusable(CERTIFICATE, "/nowhere/key.pem", NULL, "/nowhere/key.pem: No such file");
        expect_unusable("tpmkey:file=x", key, NULL, "cannot be a tpmkey: URL");
        expect_unusable("tpmkey:file=x", key, NULL, "a key in a TPM has a pkcs11: URL once tpm2_ptool has put it there");
        fixture_write(&fixture, "other.pem", other.certificate);
        expect_unusable(fixture_path(&fixture, "other.pem"), key, NULL, "they must be made together");
        issue_pair_done(&other);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("tls-token");
        TCase *tcase = tcase_create("token");

        if (run("--version") != 0) {
                puts("1..0 # SKIP no SoftHSM");
                return EXIT_SUCCESS;
        }
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, a_session_with_the_key_on_a_token);
        tcase_add_test(tcase, a_pin_that_is_not_right);
        tcase_add_test(tcase, what_is_not_on_a_token);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
