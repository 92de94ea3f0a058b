/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* TLS with pre-shared keys: key files, and both ends over a socket pair. */

#include "check-main.h"
#include "runtime/tls-psk.h"
#include "transport-write.h"

#include <stdio.h>
#include <sys/socket.h>

#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OTHER "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static char directory[64], path[128];

static void setup(void)
{
        strcpy(directory, "/tmp/test-tls-psk.XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void teardown(void)
{
        char command[128];

        snprintf(command, sizeof command, "rm -r %s", directory);
        ck_assert_int_eq(system(command), 0);
}

static const char *key_file(const char *name, const char *text)
{
        FILE *file;

        snprintf(path, sizeof path, "%s/%s", directory, name);
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(text, file), 0);
        ck_assert_int_eq(fclose(file), 0);
        return path;
}

static Tls *server(void)
{
        char *why;
        Tls *tls;

        ck_assert_int_eq(tls_psk_server_new(directory, &tls, &why), 0);
        return tls;
}

static Tls *client(const char *identity, const char *text)
{
        char *why;
        Tls *tls;

        ck_assert_int_eq(tls_psk_client_new(identity, key_file("client", text), &tls, &why), 0);
        return tls;
}

static void expect_no_client(const char *text)
{
        char *why = NULL;
        Tls *tls;

        ck_assert_int_eq(tls_psk_client_new("web1", key_file("client", text), &tls, &why), -EINVAL);
        ck_assert_ptr_nonnull(strstr(why, path));
        free(why);
}

/* Returns what the two handshakes came to, of the server first; the sessions are the caller's. */
static void shake(Tls *server_tls, Tls *client_tls, Transport *sessions[2], int results[2])
{
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        ck_assert_int_eq(tls_session_new(server_tls, true, NULL, fds[0], &sessions[0]), 0);
        ck_assert_int_eq(tls_session_new(client_tls, false, NULL, fds[1], &sessions[1]), 0);
        results[0] = results[1] = -EAGAIN;
        for (unsigned i = 0; i < 20; i++)
                for (size_t end = 2; end-- > 0;)
                        if (results[end] == -EAGAIN)
                                results[end] = sessions[end]->handshake(sessions[end]);
}

START_TEST(an_identity_with_its_key_is_known)
{
        Transport *sessions[2];
        char data[8] = { 0 };
        int results[2];
        Tls *s, *c;

        key_file("web1.psk", KEY "\n");
        key_file("web2.psk", OTHER "\r\nmore is ignored\n");
        key_file("notes", "no key");
        key_file(".web3.psk", "no key");
        s = server();
        c = client("web1", KEY);
        shake(s, c, sessions, results);
        ck_assert_int_eq(results[0], 0);
        ck_assert_int_eq(results[1], 0);
        ck_assert_str_eq(tls_session_psk_identity(tls_session_of(sessions[0])), "web1");
        ck_assert_ptr_null(tls_session_psk_identity(tls_session_of(sessions[1])));
        ck_assert_str_eq(tls_session_description(tls_session_of(sessions[0])), "TLS1.3 AES-128-GCM");
        ck_assert_int_eq(transport_write(sessions[1], "record", 6), 6);
        ck_assert_int_eq(sessions[0]->read(sessions[0], data, sizeof data), 6);
        ck_assert_str_eq(data, "record");
        transport_free(sessions[0]);
        transport_free(sessions[1]);
        tls_unref(s);
        tls_unref(c);
}
END_TEST

START_TEST(nobody_else_is)
{
        static const struct {
                const char *identity, *key;
        } others[] = { { "web1", OTHER }, { "web2", KEY }, { "web", KEY }, { "notes", KEY } };
        Transport *sessions[2];
        int results[2];
        Tls *s, *c;

        key_file("web1.psk", KEY "\n");
        s = server();
        c = client(others[_i].identity, others[_i].key);
        shake(s, c, sessions, results);
        ck_assert_int_eq(results[0], -EPROTO);
        ck_assert_int_ne(results[1], 0);
        transport_free(sessions[0]);
        transport_free(sessions[1]);
        tls_unref(s);
        tls_unref(c);
}
END_TEST

START_TEST(without_any_key_nobody_is)
{
        Transport *sessions[2];
        int results[2];
        Tls *s = server(), *c = client("web1", KEY);

        shake(s, c, sessions, results);
        ck_assert_int_eq(results[0], -EPROTO);
        transport_free(sessions[0]);
        transport_free(sessions[1]);
        tls_unref(s);
        tls_unref(c);
}
END_TEST

START_TEST(a_reload_tells_who_may_stay)
{
        Tls *before, *after;

        key_file("same.psk", KEY);
        key_file("other.psk", KEY);
        key_file("gone.psk", KEY);
        before = server();
        key_file("other.psk", OTHER);
        key_file("new.psk", KEY);
        key_file("gone.psk", "");
        ck_assert_int_eq(unlink(path), 0);
        after = server();
        ck_assert(tls_psk_same(after, before, "same"));
        ck_assert(!tls_psk_same(after, before, "other"));
        ck_assert(!tls_psk_same(after, before, "gone"));
        ck_assert(!tls_psk_same(after, before, "new"));
        tls_unref(before);
        tls_unref(after);
}
END_TEST

START_TEST(what_is_no_key_is_said)
{
        char *why = NULL;
        Tls *tls;

        expect_no_client("");
        expect_no_client("00112233");
        expect_no_client("zz112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
        expect_no_client(KEY "0");
        ck_assert_int_eq(tls_psk_client_new("web1", "/nowhere/key", &tls, &why), -ENOENT);
        ck_assert_ptr_nonnull(strstr(why, "/nowhere/key"));
        free(why);
        ck_assert_int_eq(tls_psk_server_new("/nowhere", &tls, &why), -ENOENT);
        ck_assert_ptr_nonnull(strstr(why, "/nowhere"));
        free(why);
        key_file("web1.psk", "no key");
        ck_assert_int_eq(tls_psk_server_new(directory, &tls, &why), -EINVAL);
        ck_assert_ptr_nonnull(strstr(why, "web1.psk"));
        free(why);
        ck_assert_int_eq(unlink(path), 0);
        key_file("no node.psk", KEY);
        ck_assert_int_eq(tls_psk_server_new(directory, &tls, &why), -EINVAL);
        ck_assert_ptr_nonnull(strstr(why, "no node"));
        free(why);
}
END_TEST

static Suite *psk_suite(void)
{
        Suite *suite = suite_create("tls-psk");
        TCase *all = tcase_create("all");

        tcase_add_checked_fixture(all, setup, teardown);
        tcase_add_test(all, an_identity_with_its_key_is_known);
        tcase_add_loop_test(all, nobody_else_is, 0, 4);
        tcase_add_test(all, without_any_key_nobody_is);
        tcase_add_test(all, a_reload_tells_who_may_stay);
        tcase_add_test(all, what_is_no_key_is_said);
        suite_add_tcase(suite, all);
        return suite;
}

int main(void)
{
        return check_main(psk_suite());
}
