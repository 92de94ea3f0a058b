/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay cert, run as a program (its path is the first argument); what it wrote is then used for
 * TLS. */

#include "runtime/signing.h"
#include "tls-fixture.h"
#include "tool-run.h"

#include <sys/stat.h>

static Fixture fixture; /* for its directory */

static void setup(void)
{
        fixture_setup(&fixture);
}

static void teardown(void)
{
        fixture_teardown(&fixture);
}

/* Runs it with these arguments, the CA's directory being DIRECTORY/new/ca; what it says is in `output`. */
static int run(const char *arguments)
{
        return tool_run("umask 0; '%s' cert --dir='%s/new/ca' %s", tool, fixture.directory, arguments);
}

static void expect(int status, const char *arguments, const char *words)
{
        ck_assert_msg(run(arguments) == status, "%s: %s", arguments, output);
        ck_assert_msg(strstr(output, words), "%s: \"%s\" does not say \"%s\"", arguments, output, words);
}

static mode_t mode_of(const char *name)
{
        struct stat st;

        ck_assert_int_eq(stat(fixture_path(&fixture, name), &st), 0);
        return st.st_mode & 07777;
}

static Tls *use(const char *name)
{
        char certificate[128], key[128], *message = NULL;
        TlsOptions options = {certificate, key, fixture_path(&fixture, "new/ca/ca.pem"),
                              fixture_path(&fixture, "new/ca/crl.pem")};
        Tls *tls = NULL;

        snprintf(certificate, sizeof certificate, "%s/new/ca/%s/cert.pem", fixture.directory, name);
        snprintf(key, sizeof key, "%s/new/ca/%s/key.pem", fixture.directory, name);
        ck_assert_msg(tls_new(&options, &tls, &message) == 0, "%s", message);
        return tls;
}

START_TEST(makes_what_tls_can_use)
{
        Tls *tls;

        expect(1, "client web1", "audit-relay cert init");
        expect(0, "init", "Made the CA");
        expect(0, "collector logs.example.org", "collector \"logs.example.org\"");
        expect(0, "client web1 --ed25519 --days=10", "client \"web1\"");
        ck_assert_uint_eq(mode_of("new/ca"), 0700);
        ck_assert_uint_eq(mode_of("new/ca/ca-key.pem"), 0600);
        ck_assert_uint_eq(mode_of("new/ca/web1"), 0700);
        ck_assert_uint_eq(mode_of("new/ca/web1/key.pem"), 0600);
        ck_assert_uint_eq(mode_of("new/ca/web1/cert.pem"), 0644);
        tls = use("logs.example.org");
        ck_assert_str_eq(tls_name(tls), "logs.example.org");
        tls_unref(tls);
        tls = use("web1");
        ck_assert_str_eq(tls_name(tls), "web1");
        ck_assert_int_le(tls_expires(tls), time(NULL) + 10 * FIXTURE_DAY);
        ck_assert_int_ge(tls_expires(tls), time(NULL) + 9 * FIXTURE_DAY);
        tls_unref(tls);
}
END_TEST

START_TEST(the_first_collector_brings_the_ca)
{
        Tls *tls;

        expect(0, "collector log1.example.org --days=10", "Made the CA");
        ck_assert_uint_eq(mode_of("new/ca/ca-key.pem"), 0600);
        tls = use("log1.example.org");
        ck_assert_int_le(tls_expires(tls), time(NULL) + 10 * FIXTURE_DAY);
        tls_unref(tls);
        /* The CA is for longer: what it makes is never valid for longer than itself. */
        expect(0, "collector log2.example.org --days=800", "collector \"log2.example.org\"");
        ck_assert_msg(!strstr(output, "Made the CA"), "%s", output);
        tls = use("log2.example.org");
        ck_assert_int_ge(tls_expires(tls), time(NULL) + 799 * FIXTURE_DAY);
        tls_unref(tls);
        /* Half of one is no CA, and nothing to write over. */
        ck_assert_int_eq(unlink(fixture_path(&fixture, "new/ca/ca.pem")), 0);
        expect(1, "collector log3.example.org", "--force");
}
END_TEST

START_TEST(overwrites_nothing_unasked)
{
        expect(0, "init", "Made");
        expect(1, "init", "--force");
        expect(0, "client web1", "Made");
        expect(1, "client web1", "--force");
        expect(0, "client web1 --force", "Made");
        tls_unref(use("web1"));
}
END_TEST

START_TEST(revokes_all_of_a_name_and_of_no_other)
{
        expect(0, "init", "Made");
        expect(0, "client web", "Made");
        expect(0, "client web-1", "Made");
        expect(0, "client web-1 --force", "Made");
        expect(1, "revoke web-2", "No certificate");
        expect(0, "revoke web-1", "Revoked 2 certificates");
        expect(0, "revoke web-1", "revoked already");
        expect(0, "revoke web", "Revoked 1 certificate of");
        tls_unref(use("web")); /* that the list is one, signed by the CA */
        expect(0, "client web3", "Made");
        ck_assert_uint_eq(mode_of("new/ca/web3/crl.pem"), 0644);
}
END_TEST

/* The row of this name and state is in the list. */
static void expect_row(const char *name, const char *state, const char *rest)
{
        for (const char *p = output; *p; p += strcspn(p, "\n"), p += *p == '\n') {
                size_t n = strcspn(p, " "), blanks = strspn(p + n, " ");
                const char *found = p + n + blanks;

                if (n == strlen(name) && strncmp(p, name, n) == 0 && strncmp(found, state, strlen(state)) == 0) {
                        ck_assert_msg(memmem(found, strcspn(found, "\n"), rest, strlen(rest)), "%s: %.200s", rest, p);
                        return;
                }
        }
        ck_abort_msg("%s, %s is not in:\n%.2000s", name, state, output);
}

START_TEST(lists_what_it_made)
{
        expect(0, "init", "Made");
        expect(0, "list", "No certificate was made in ");
        expect(0, "client web-1 --days=10", "Made");
        expect(0, "client web-1 --force --days=20", "Made");
        expect(0, "collector logs", "Made");
        expect(0, "client old --not-before=2019-01-01 --not-after=2020-01-01T12:00:00Z", "Made");
        expect(0, "client gone", "Made");
        expect(0, "revoke gone", "Revoked");
        ck_assert_int_eq(run("list"), 0);
        expect_row("web-1", "replaced", " UTC");
        expect_row("web-1", "valid", " UTC");
        /* 825 days, or a second less. */
        expect_row("logs", "valid", " 82");
        expect_row("old", "expired", "2020-01-01 12:00:00 UTC");
        expect_row("gone", "revoked", " 82");
        expect(0, "list --json", "    \"name\": \"gone\",\n    \"state\": \"revoked\",\n    \"days\": 82");
        fixture_write(&fixture, "new/ca/issued/web-1-ff.pem", "nothing\n");
        expect(1, "list", "web-1-ff.pem is no certificate");
}
END_TEST

START_TEST(shows_what_it_made)
{
        char arguments[160];

        expect(0, "init", "Made");
        expect(0, "client old --not-before=2019-01-01 --not-after=2020-01-01T12:00:00Z",
               "2020-01-01 12:00:00 UTC");
        snprintf(arguments, sizeof arguments, "show %s/new/ca/old/cert.pem", fixture.directory);
        expect(0, arguments, "EXPIRED");
        ck_assert_ptr_nonnull(strstr(output, "speaks for  old"));
        ck_assert_ptr_nonnull(strstr(output, "2019-01-01 00:00:00 UTC"));
        snprintf(arguments, sizeof arguments, "show %s/new/ca/ca.pem", fixture.directory);
        expect(0, arguments, "use         CA");
        expect(1, "show /nonexistent", "/nonexistent");
}
END_TEST

/* The key that `verifier` prints. */
static void read_verifier(const char *arguments, VerifierKey *ret)
{
        ck_assert_msg(run(arguments) == 0, "%s: %s", arguments, output);
        ck_assert_msg(verifier_key_parse(output, ret) == 0, "%s: %s", arguments, output);
}

START_TEST(a_signer_is_verified_by_its_verifier)
{
        const StoreHead head = { .seq = 7 };
        _cleanup_(signing_key_freep) SigningKey *signer = NULL;
        _cleanup_(freep) char *why = NULL;
        VerifierKey verifier, other;
        char note[NOTE_MAX];
        IndexEntry entry;
        Note read;

        expect(0, "signer logs.example.org", "Made a key that signs checkpoints for the collector \"logs.example.org\": ");
        ck_assert_uint_eq(mode_of("new/ca/logs.example.org/sign.pem"), 0600);
        ck_assert_ptr_null(strstr(output, "PRIVATE"));
        read_verifier("verifier logs.example.org", &verifier);
        ck_assert_str_eq(verifier.name, "logs.example.org");
        ck_assert_msg(signing_key_load(fixture_path(&fixture, "new/ca/logs.example.org/sign.pem"), "logs.example.org", &signer, &why) == 0, "%s", why);
        ck_assert_int_eq(signing_key_sign(signer, &head, 1, &entry, note), 0);
        ck_assert_int_eq(verifier_key_verify(&verifier, note, strlen(note), &read), 0);

        /* Neither another key of this name nor this key of another name. */
        expect(1, "signer logs.example.org", "--force");
        expect(0, "signer logs.example.org --force", "Made");
        read_verifier("verifier logs.example.org", &other);
        ck_assert_int_lt(verifier_key_verify(&other, note, strlen(note), &read), 0);
        ck_assert_int_eq(rename(fixture_path(&fixture, "new/ca/logs.example.org"), fixture_path(&fixture, "new/ca/logs2")), 0);
        read_verifier("verifier logs2", &other);
        ck_assert_str_eq(other.name, "logs2");
}
END_TEST

START_TEST(signers_go_where_they_are_told)
{
        ck_assert_int_eq(tool_run("'%s' cert signer logs --out=%s/tls", tool, fixture.directory), 0);
        ck_assert_uint_eq(mode_of("tls/sign.pem"), 0600);
        expect(0, "signer logs --json", "\"verifier_key\": \"logs+");
        expect(0, "verifier logs --json", "/new/ca/logs/sign.pem\",\n");
}
END_TEST

START_TEST(what_is_no_signer_is_named)
{
        expect(2, "signer", "signer NAME");
        expect(2, "signer ../logs", "not a host name");
        expect(2, "verifier issued", "choose another");
        /* Where the CA has none, it is the host's own that is asked for. */
        if (access("/etc/audit-relay/tls/sign.pem", F_OK) < 0)
                expect(1, "verifier logs", "/etc/audit-relay/tls/sign.pem");
        expect(0, "signer logs", "Made");
        fixture_write(&fixture, "new/ca/logs/sign.pem", "nothing\n");
        expect(1, "verifier logs", "logs/sign.pem");
        /* The key of a certificate is none. */
        expect(0, "collector logs --force", "Made");
        expect(0, "collector other", "Made");
        ck_assert_int_eq(rename(fixture_path(&fixture, "new/ca/other/key.pem"), fixture_path(&fixture, "new/ca/other/sign.pem")), 0);
        expect(1, "verifier other", "not of Ed25519");
}
END_TEST

START_TEST(wrong_command_lines_are_explained)
{
        expect(0, "--help", "Usage: audit-relay cert");
        expect(2, "", "init");
        expect(2, "client", "client NAME");
        expect(2, "client a b", "client NAME");
        expect(0, "init", "Made");
        expect(2, "client ../web1", "not a host name");
        expect(2, "client issued", "choose another");
        expect(2, "client web1 --days=0", "number of days");
        expect(2, "client web1 --days=-1", "number of days");
        expect(2, "client web1 --not-after=tomorrow", "not a date");
        expect(1, "client web1 --not-before=2030-01-02 --not-after=2030-01-01", "before it begins");
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("cert");
        TCase *tcase = tcase_create("cert");

        assert(argc == 2);
        tool = argv[1];
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, makes_what_tls_can_use);
        tcase_add_test(tcase, the_first_collector_brings_the_ca);
        tcase_add_test(tcase, overwrites_nothing_unasked);
        tcase_add_test(tcase, revokes_all_of_a_name_and_of_no_other);
        tcase_add_test(tcase, lists_what_it_made);
        tcase_add_test(tcase, shows_what_it_made);
        tcase_add_test(tcase, a_signer_is_verified_by_its_verifier);
        tcase_add_test(tcase, signers_go_where_they_are_told);
        tcase_add_test(tcase, what_is_no_signer_is_named);
        tcase_add_test(tcase, wrong_command_lines_are_explained);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
