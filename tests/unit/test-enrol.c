/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay cert request, issue, install and renew, run as a program in pipes as people type them, between the directory of a CA
 * and that of a host.
 */

#include "tls-fixture.h"
#include "tool-run.h"

#include <sys/stat.h>

static Fixture fixture; /* for its directory */

/* Runs a shell's command line; in it $ca, $host and $other are directories, and "cert" is the program. */
static int run(const char *line)
{
        return tool_run("umask 0; ca=%s/new/ca host=%s/new/host other=%s/new/other; cert() { '%s' cert --dir=$ca \"$@\"; }; { %s; }",
                        fixture.directory, fixture.directory, fixture.directory, tool, line);
}

static void expect(int status, const char *line, const char *words)
{
        ck_assert_msg(run(line) == status, "%s: %s", line, output);
        ck_assert_msg(strstr(output, words), "%s: \"%s\" does not say \"%s\"", line, output, words);
}

#define ENROL "cert request --out=$host | cert issue web1 | cert install --out=$host"

static void setup(void)
{
        fixture_setup(&fixture);
        expect(0, "cert init", "Made the CA");
}

static void teardown(void)
{
        fixture_teardown(&fixture);
}

/* The host's files do for TLS; the days that its certificate has. */
static int64_t days_of_host(void)
{
        char certificate[128], key[128], ca[128], *message = NULL;
        TlsOptions options = { certificate, key, ca, NULL };
        Tls *tls = NULL;
        int64_t days;

        (void) snprintf(certificate, sizeof certificate, "%s/new/host/cert.pem", fixture.directory);
        (void) snprintf(key, sizeof key, "%s/new/host/key.pem", fixture.directory);
        (void) snprintf(ca, sizeof ca, "%s/new/host/ca.pem", fixture.directory);
        ck_assert_msg(tls_new(&options, &tls, &message) == 0, "%s", message);
        ck_assert_str_eq(tls_name(tls), "web1");
        days = (tls_expires(tls) - time(NULL) + FIXTURE_DAY / 2) / FIXTURE_DAY;
        tls_unref(tls);
        return days;
}

static bool is_there(const char *name)
{
        return access(fixture_path(&fixture, name), F_OK) == 0;
}

static mode_t mode_of(const char *name)
{
        struct stat st;

        ck_assert_int_eq(stat(fixture_path(&fixture, name), &st), 0);
        return st.st_mode & 07777;
}

START_TEST(enrols_in_one_line)
{
        expect(0, ENROL, "Installed the certificate of \"web1\"");
        ck_assert_int_eq(days_of_host(), 825);
        ck_assert_uint_eq(mode_of("new/host/key.pem"), 0600);
        ck_assert_uint_eq(mode_of("new/host"), 0700);
        ck_assert(!is_there("new/host/request-key.pem"));
        /* The key has not left the host; what was issued is in the book. */
        ck_assert(!is_there("new/ca/web1/key.pem"));
        expect(0, "cert list", "web1  valid   82");
        expect(0, "cert revoke web1", "Revoked 1 certificate of");
}
END_TEST

START_TEST(names_are_given_where_the_ca_is)
{
        expect(0, "cert request --out=$host collector.example.org | cert issue web1 | cert install --out=$host", "web1");
        ck_assert_int_eq(days_of_host(), 825);
        expect(0, "cert show $host/cert.pem", "speaks for  web1\n");
        ck_assert_ptr_null(strstr(output, "collector"));
        expect(2, "cert request --out=$host ../web1", "not a host name");
        expect(2, "cert issue ../web1 </dev/null", "not a host name");
        expect(0, "cert request --out=$other | cert issue --collector logs | cert install --out=$other", "logs");
        expect(0, "cert show $other/cert.pem", "collector, client (relay)");
}
END_TEST

START_TEST(may_be_typed_again)
{
        expect(0, "cert request --out=$host >$host.1 && cert request --out=$host >$host.2", "The key");
        expect(0, "cert issue web1 <$host.1 >$host.c", "Made");
        /* It did not arrive: the same key again, and no --force. */
        expect(0, "cert issue web1 <$host.2 >$host.c", "Made");
        expect(0, "cert install --out=$host <$host.c && cert install --out=$host <$host.c", "Installed");
        /* Another host that is called the same by mistake. */
        expect(1, "cert request --out=$other | cert issue web1 | cert install --out=$other", "--force");
        expect(0, "cert request --out=$other --force | cert issue web1 --force | cert install --out=$other", "Installed");
}
END_TEST

START_TEST(replaces_key_and_certificate_and_keeps_the_old)
{
        expect(0, ENROL, "Installed");
        expect(0, "cp $host/key.pem $host/k && cp $host/cert.pem $host/c", "");
        expect(0, "cert request --out=$host --ed25519 | cert issue web1 --force --days=20 | cert install --out=$host", "Installed");
        ck_assert_int_eq(days_of_host(), 20);
        expect(0, "cmp $host/k $host/key.pem.old && cmp $host/c $host/cert.pem.old && ! cmp -s $host/k $host/key.pem", "");
        /* Between the two files it was interrupted: the same line again. */
        expect(0, "cert request --out=$host >$host.r && cert issue web1 --force <$host.r >$host.c && mv $host/request-key.pem $host/key.pem", "");
        expect(0, "cert install --out=$host <$host.c", "Installed");
        ck_assert_int_eq(days_of_host(), 825);
}
END_TEST

START_TEST(a_key_that_was_made_here_does_not_stay_beside_another_certificate)
{
        expect(0, "cert client web1", "Made");
        expect(1, ENROL, "--force");
        expect(0, "cert request --out=$host | cert issue web1 --force | cert install --out=$host", "Installed");
        ck_assert(!is_there("new/ca/web1/key.pem"));
        ck_assert_uint_eq(mode_of("new/ca/web1/key.pem.old"), 0600);
}
END_TEST

START_TEST(renews_with_the_same_key)
{
        expect(0, "cert request --out=$host | cert issue web1 --days=10 | cert install --out=$host", "Installed");
        ck_assert_int_eq(days_of_host(), 10);
        expect(0, "cp $host/key.pem $host/k; cert renew web1 | cert install --out=$host && cmp $host/k $host/key.pem", "Installed");
        ck_assert_int_eq(days_of_host(), 825);
        expect(0, "cert list", "web1  replaced ");
        /* The newest, by whatever directory; what a collector has it has afterwards. */
        expect(0, "cert collector logs --out=$other --days=10 && cert renew logs | cert install --out=$other", "Installed");
        expect(0, "cert show $other/cert.pem", "use         collector, client (relay)");
        expect(1, "cert renew web2", "No certificate was made here for \"web2\"");
        /* One whose key was made here as well: the pair stays one. */
        expect(0, "cert client web3 && cp $ca/web3/key.pem $host/k && cert renew web3 >/dev/null && cmp $ca/web3/key.pem $host/k", "Made");
}
END_TEST

START_TEST(a_revoked_key_gets_no_certificate)
{
        expect(0, ENROL " && cert revoke web1", "Revoked");
        expect(1, "cert renew web1", "is revoked");
        /* Nor under another name. */
        expect(0, "cp $host/key.pem $host/request-key.pem", "");
        expect(1, "cert request --out=$host | cert issue web2", "is revoked");
        ck_assert(!is_there("new/ca/web2/cert.pem"));
        expect(0, "cert request --out=$host --force | cert issue web1 --force | cert install --out=$host", "Installed");
        ck_assert(is_there("new/host/crl.pem"));
        /* A list that cannot be read says nothing of anybody. */
        fixture_write(&fixture, "new/ca/crl.pem", "nothing\n");
        expect(1, "cert renew web1", "crl.pem");
}
END_TEST

START_TEST(takes_no_ca_unasked)
{
        expect(0, ENROL, "Installed");
        expect(0, "cp $host/ca.pem $host/before; cert --dir=$other init", "Made the CA");
        expect(0, "cert request --out=$host | cert --dir=$other issue web1 >$host.c", "Made");
        expect(1, "cert install --out=$host <$host.c", "of another CA");
        expect(0, "cmp $host/ca.pem $host/before", "");
        ck_assert_int_eq(days_of_host(), 825);
        ck_assert(is_there("new/host/request-key.pem"));
        /* Both are trusted while one takes the place of the other. */
        expect(0, "cat $other/ca.pem >>$host/ca.pem; cp $host/ca.pem $host/both; cert install --out=$host <$host.c", "Installed");
        expect(0, "cmp $host/ca.pem $host/both", "");
        expect(0, "cert install --out=$host --force <$host.c && cmp $host/ca.pem $other/ca.pem && cmp $host/ca.pem.old $host/both",
               "Installed");
        /* Of a CA of somebody's own comes the certificate alone. */
        expect(0, "cert install --out=$host <$other/web1/cert.pem", "Installed");
        expect(1, "rm $host/ca.pem; cert install --out=$host <$other/web1/cert.pem", "No CA");
}
END_TEST

START_TEST(refuses_what_is_not_for_it)
{
        expect(1, "cert issue web1 </dev/null", "nothing on standard input");
        expect(1, "echo nothing | cert issue web1", "no request on standard input");
        expect(1, "echo '-----BEGIN CERTIFICATE REQUEST-----' | cert issue web1", "The request cannot be used");
        /* Of a request nothing is taken when not its key has signed it. */
        expect(1, "cert request --out=$host >$host.r && awk 'NR == 5 { $0 = toupper($0) } 1' $host.r | cert issue web1", "The request cannot be used");
        ck_assert(!is_there("new/ca/web1/cert.pem"));
        expect(1, "cert install --out=$host </dev/null", "nothing on standard input");
        expect(1, "cert install --out=$host <$ca/ca.pem", "does not begin with a certificate");
        expect(0, "cert client web2", "Made");
        expect(1, "cert install --out=$host <$ca/web2/cert.pem", "for another key");
        expect(1, "cert request --out=$host | cert issue web1 --not-before=2019-01-01 --not-after=2020-01-01 | cert install --out=$host", "expired");
        ck_assert(!is_there("new/host/cert.pem"));
        expect(2, "cert install web1", "install");
        expect(2, "cert renew", "renew NAME");
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("enrol");
        TCase *tcase = tcase_create("enrol");

        assert(argc == 2);
        tool = argv[1];
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, enrols_in_one_line);
        tcase_add_test(tcase, names_are_given_where_the_ca_is);
        tcase_add_test(tcase, may_be_typed_again);
        tcase_add_test(tcase, replaces_key_and_certificate_and_keeps_the_old);
        tcase_add_test(tcase, a_key_that_was_made_here_does_not_stay_beside_another_certificate);
        tcase_add_test(tcase, renews_with_the_same_key);
        tcase_add_test(tcase, a_revoked_key_gets_no_certificate);
        tcase_add_test(tcase, takes_no_ca_unasked);
        tcase_add_test(tcase, refuses_what_is_not_for_it);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
