/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What `audit-relay doctor` says of certificates, and on its way to the collectors. */

#include "doctor-fixture.h"
#include "link/frame.h"
#include "tls-fixture.h"
#include "transport-write.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* --- Certificates --- */

static void write_certificates(Fixture *fixture, IssueKind kind, const char *name, const IssuePair *ca, int end)
{
        IssuePair pair = fixture_issue(kind, name, ca, -10, end);
        char path[128];

        scratch_write(directory, "etc/audit-relay/tls/cert.pem", pair.certificate);
        scratch_write(directory, "etc/audit-relay/tls/key.pem", pair.key);
        (void) snprintf(path, sizeof path, "%s/etc/audit-relay/tls/key.pem", directory);
        ck_assert_int_eq(chmod(path, 0640), 0);
        scratch_write(directory, "etc/audit-relay/tls/ca.pem", fixture->ca.certificate);
        issue_pair_done(&pair);
}

START_TEST(certificates)
{
        Fixture fixture;
        char path[128];

        fixture_setup(&fixture);
        good_client();
        unit("audit-relay-remote.service", "active", "static", "DropInPaths=/etc/x.conf\n");
        doctor.facts.now = time(NULL);
        check("certificates");
        expect_only(DOCTOR_WRONG, "remote: Cannot read the certificate ", "audit-relay cert issue");
        write_certificates(&fixture, ISSUE_CLIENT, "web1", &fixture.ca, 50);
        (void) snprintf(path, sizeof path, "%s/etc/audit-relay/tls/key.pem", directory);
        check_again("certificates");
        expect_only(DOCTOR_OK, "remote's certificate is for \"web1\"", NULL);
        ck_assert_int_eq(chmod(path, 0644), 0);
        check_again("certificates");
        expect_only(DOCTOR_WRONG, "everybody may read remote's key ", "`chmod o= /");
        write_certificates(&fixture, ISSUE_CLIENT, "web2", &fixture.other_ca, 20);
        check_again("certificates");
        expect(DOCTOR_WARNING, "remote's certificate expires in ", "audit-relay cert renew");
        expect(DOCTOR_WARNING, "is not issued by the CA in ", "copy ca.pem");
        expect(DOCTOR_WRONG, "the certificate is for \"web2\", and the node in the records is \"web1\"", "Node=web2");
        ck_assert_uint_eq(doctor.n_findings, 3);
        scratch_write(directory, "etc/audit-relay/dispatcher.conf.d/50-node.conf", "[Dispatcher]\nNode=web2\n");
        doctor.facts.now += 21 * FIXTURE_DAY;
        check_again("certificates");
        expect(DOCTOR_WRONG, "remote's certificate expired ", "audit-relay cert");
        ck_assert_uint_eq(doctor.n_findings, 2);
        fixture_teardown(&fixture);
}
END_TEST

/* Whoever may not read them is not sent to make new ones. */
START_TEST(certificates_that_only_root_reads)
{
        static const char *const directories[] = { "", "/etc", "/etc/audit-relay" };
        Fixture fixture;
        char path[128];

        if (geteuid() != 0)
                return;
        fixture_setup(&fixture);
        good_client();
        unit("audit-relay-remote.service", "active", "static", "DropInPaths=/etc/x.conf\n");
        write_certificates(&fixture, ISSUE_CLIENT, "web1", &fixture.ca, 50);
        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                (void) snprintf(path, sizeof path, "%s%s", directory, directories[i]);
                ck_assert_int_eq(chmod(path, 0755), 0);
        }
        (void) snprintf(path, sizeof path, "%s/etc/audit-relay/tls", directory);
        ck_assert_int_eq(chmod(path, 0700), 0);
        ck_assert_int_eq(setresuid(65534, 65534, 0), 0);
        check("certificates");
        ck_assert_int_eq(setresuid(0, 0, 0), 0);
        expect_only(DOCTOR_WARNING, "remote: Cannot read the certificate ", "run it as root");
        fixture_teardown(&fixture);
}
END_TEST

START_TEST(a_clock_that_is_behind_the_certificate)
{
        Fixture fixture;

        fixture_setup(&fixture);
        good_client();
        doctor.facts.now = time(NULL) - 11 * FIXTURE_DAY;
        write_certificates(&fixture, ISSUE_CLIENT, "web1", &fixture.ca, 50);
        check("certificates");
        expect_only(DOCTOR_WRONG, "remote's certificate is not valid yet, but 24.0 hours from now", "`date` here and on the host with the CA");
        fixture_teardown(&fixture);
}
END_TEST

/* Ours say that they hold as long as their CA. */
START_TEST(an_old_revocation_list)
{
        Fixture fixture;
        IssuePair ca, revoked;
        size_t added;
        char *list, *why;

        fixture_setup(&fixture);
        good_client();
        doctor.facts.now = time(NULL);
        ca = fixture_issue(ISSUE_CA, "short", NULL, -10, 40);
        revoked = fixture_issue(ISSUE_CLIENT, "web2", &ca, -10, 30);
        ck_assert_int_eq(issue_revocations(&ca, NULL, &revoked.certificate, 1, &list, &added, &why), 0);
        write_certificates(&fixture, ISSUE_CLIENT, "web1", &ca, 40);
        scratch_write(directory, "etc/audit-relay/tls/ca.pem", ca.certificate);
        scratch_write(directory, "etc/audit-relay/tls/crl.pem", list);
        check("certificates");
        expect_only(DOCTOR_OK, "remote's certificate is for \"web1\"", NULL);
        doctor.facts.now += 20 * FIXTURE_DAY;
        check_again("certificates");
        expect(DOCTOR_WARNING, "remote's revocation list expires in ", "`systemctl reload audit-relay-remote.service`");
        doctor.facts.now += 30 * FIXTURE_DAY;
        check_again("certificates");
        expect(DOCTOR_WRONG, "remote's revocation list expired ", "copy a newer one of its CA");
        free(list);
        issue_pair_done(&revoked);
        issue_pair_done(&ca);
        fixture_teardown(&fixture);
}
END_TEST

START_TEST(certificates_as_credentials)
{
        good_client();
        unit("audit-relay-remote.service", "active", "static", "DropInPaths=/etc/none.conf /etc/x.conf\n");
        scratch_write(directory, "etc/x.conf", "[Service]\nLoadCredential=cert:/root/cert.pem\n");
        check("certificates");
        expect_only(DOCTOR_OK, "from systemd (LoadCredential=)", NULL);
}
END_TEST

/* --- Collectors --- */

static void configure(const char *text)
{
        scratch_write(directory, "etc/audit-relay/remote.conf.d/50.conf", text);
}

START_TEST(collectors_that_cannot_be_reached)
{
        good_client();
        check("collectors");
        expect_only(DOCTOR_WRONG, "no collector is named", "Collector=HOST");
        configure("[Remote]\nCollector=no-such-host.invalid [127.0.0.1]:1#logs\n");
        check_again("collectors");
        expect(DOCTOR_WRONG, "collector no-such-host.invalid: its name is not found", "getent hosts no-such-host.invalid");
        expect(DOCTOR_WRONG, "collector [127.0.0.1]:1#logs: no connection to port 1: Connection refused", "is port 1 open");
        ck_assert_uint_eq(doctor.n_findings, 2);
        configure("[Remote]\nCollector=srv:no-such-domain.invalid\n");
        check_again("collectors");
        expect_only(DOCTOR_WRONG, "the DNS knows no host of _audit-relay._tcp.no-such-domain.invalid", "SRV");
}
END_TEST

static void wait_readable(int fd)
{
        (void) poll(&(struct pollfd) { .fd = fd, .events = POLLIN }, 1, 5000);
}

/* A collector for one connection, which judges it as ours does. */
_Noreturn static void serve(const Fixture *fixture, int listener, const char *ca)
{
        TlsOptions options = { fixture_path(fixture, "server.pem"), fixture_path(fixture, "server-key.pem"), fixture_path(fixture, ca), NULL };
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        Transport *transport;
        Buffer buffer = BUFFER_INIT(LINK_FRAME_MAX);
        uint8_t byte;
        char *why;
        Tls *tls;

        if (fd < 0 || tls_new(&options, &tls, &why) < 0 || tls_session_new(tls, true, NULL, fd, &transport) < 0)
                _exit(1);
        while (transport->handshake(transport) == -EAGAIN)
                wait_readable(fd);
        if (tls_session_judge(tls_session_of(transport), tls, &why) < 0) {
                LinkBye bye = { .code = LINK_BYE_CERTIFICATE, .reason = { why, strlen(why) } };

                if (frame_put_bye(&buffer, &bye) < 0 || transport_write(transport, buffer_head(&buffer), buffer_size(&buffer)) < 0)
                        _exit(2);
        }
        while (transport->read(transport, &byte, 1) == -EAGAIN)
                wait_readable(fd);
        _exit(0);
}

/* Returns the process; its port is written into the configuration. `name` is its own, `ca` what it trusts. */
static pid_t start_server(const Fixture *fixture, const char *name, const char *ca, const char *client)
{
        IssuePair pair = fixture_issue(ISSUE_COLLECTOR, name, &fixture->ca, -1, 10), own = fixture_issue(ISSUE_CLIENT, client, &fixture->ca, -1, 10);
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof address;
        char text[1024];
        pid_t pid;

        fixture_write(fixture, "server.pem", pair.certificate);
        fixture_write(fixture, "server-key.pem", pair.key);
        fixture_write(fixture, "client.pem", own.certificate);
        fixture_write(fixture, "client-key.pem", own.key);
        issue_pair_done(&pair);
        issue_pair_done(&own);
        ck_assert_int_eq(bind(listener, (struct sockaddr *) &address, size), 0);
        ck_assert_int_eq(listen(listener, 1), 0);
        ck_assert_int_eq(getsockname(listener, (struct sockaddr *) &address, &size), 0);
        (void) snprintf(text, sizeof text, "[Remote]\nCollector=127.0.0.1:%u#logs\nTLSCertificate=%s\nTLSKey=%s\nTLSAuthority=%s\n",
                        (unsigned) ntohs(address.sin_port), fixture_path(fixture, "client.pem"), fixture_path(fixture, "client-key.pem"),
                        fixture_path(fixture, "ca.pem"));
        configure(text);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                serve(fixture, listener, ca);
        (void) close(listener);
        return pid;
}

static void end_server(pid_t pid)
{
        int status;

        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

START_TEST(collectors_and_their_certificates)
{
        Fixture fixture;
        pid_t pid;

        fixture_setup(&fixture);
        good_client();
        pid = start_server(&fixture, "logs", "ca.pem", "web1");
        check("collectors");
        expect_only(DOCTOR_OK, "answers, both certificates are accepted (TLS1.3", NULL);
        end_server(pid);
        pid = start_server(&fixture, "other", "ca.pem", "web1");
        check_again("collectors");
        expect_only(DOCTOR_WRONG, "we refuse it: The collector's certificate is for another name: wanted \"logs\"", "audit-relay cert show");
        end_server(pid);
        pid = start_server(&fixture, "logs", "other-ca.pem", "web1");
        check_again("collectors");
        expect_only(DOCTOR_WRONG, "it refuses us: The client's certificate \"web1\" is issued by an unknown CA", "audit-relay cert show");
        end_server(pid);
        fixture_teardown(&fixture);
}
END_TEST
/* A port whose owner says nothing, or ends a connection at once. Returns it; *ret_pid: who has it. */
static unsigned start_port(bool ends, pid_t *ret_pid)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof address;

        ck_assert_int_eq(bind(listener, (struct sockaddr *) &address, size), 0);
        ck_assert_int_eq(listen(listener, 1), 0);
        ck_assert_int_eq(getsockname(listener, (struct sockaddr *) &address, &size), 0);
        *ret_pid = fork();
        ck_assert_int_ge(*ret_pid, 0);
        if (*ret_pid == 0) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

                if (!ends)
                        (void) pause();
                (void) close(fd);
                _exit(0);
        }
        (void) close(listener);
        return ntohs(address.sin_port);
}

static void end_port(pid_t pid)
{
        (void) kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(a_stock_collector)
{
        char text[128];
        pid_t pid;

        good_client();
        (void) snprintf(text, sizeof text, "[Remote]\nProtocol=auditd\nCollector=127.0.0.1:%u\n", start_port(false, &pid));
        configure(text);
        check("collectors");
        expect_only(DOCTOR_OK, "a stock auditd, takes connections", NULL);
        check_again("certificates");
        ck_assert_uint_eq(doctor.n_findings, 0);
        end_port(pid);
}
END_TEST

START_TEST(a_port_that_is_no_collector)
{
        Fixture fixture;
        IssuePair pair;
        char text[1024];
        pid_t pid;

        fixture_setup(&fixture);
        pair = fixture_issue(ISSUE_CLIENT, "web1", &fixture.ca, -1, 10);
        fixture_write(&fixture, "client.pem", pair.certificate);
        fixture_write(&fixture, "client-key.pem", pair.key);
        issue_pair_done(&pair);
        good_client();
        (void) snprintf(text, sizeof text, "[Remote]\nCollector=127.0.0.1:%u#logs\nTLSCertificate=%s\nTLSKey=%s\nTLSAuthority=%s\n",
                        start_port(true, &pid), fixture_path(&fixture, "client.pem"), fixture_path(&fixture, "client-key.pem"),
                        fixture_path(&fixture, "ca.pem"));
        configure(text);
        check("collectors");
        expect_only(DOCTOR_WRONG, "the TLS handshake fails: ", "audit-relay-aggregator.socket");
        end_port(pid);
        fixture_write(&fixture, "client.pem", "nothing\n");
        (void) snprintf(text, sizeof text, "[Remote]\nCollector=127.0.0.1:%u#logs\nTLSCertificate=%s\n", start_port(false, &pid),
                        fixture_path(&fixture, "client.pem"));
        configure(text);
        check_again("collectors");
        expect_only(DOCTOR_WARNING, "connected, but there is no certificate of ours", "see certificates");
        end_port(pid);
        fixture_teardown(&fixture);
}
END_TEST
int main(int argc, char **argv)
{
        Suite *suite = suite_create("doctor-tls");
        TCase *tcase = tcase_create("doctor-tls");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, certificates);
        tcase_add_test(tcase, certificates_that_only_root_reads);
        tcase_add_test(tcase, a_clock_that_is_behind_the_certificate);
        tcase_add_test(tcase, an_old_revocation_list);
        tcase_add_test(tcase, certificates_as_credentials);
        tcase_add_test(tcase, collectors_that_cannot_be_reached);
        tcase_add_test(tcase, collectors_and_their_certificates);
        tcase_add_test(tcase, a_stock_collector);
        tcase_add_test(tcase, a_port_that_is_no_collector);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
