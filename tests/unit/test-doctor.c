/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each check of `audit-relay doctor`, on hosts that are made up: facts, and files in a directory. Certificates and collectors are
 * in test-doctor-tls.c. */

#include "doctor-fixture.h"
#include "runtime/state.h"

#include <sys/stat.h>

static const char *manual;

/* --- Units --- */

START_TEST(units_are_there_and_run)
{
        good_client();
        unit("audit-relay-remote.service", "active", "static", "Result=success\nExecMainStatus=0\n");
        unit("audit-relay-collector.target", "inactive", "disabled", "");
        check("units");
        expect_only(DOCTOR_OK, "the client runs", NULL);
}
END_TEST

START_TEST(units_that_are_not)
{
        good_client();
        unit("audit-relay-remote.service", "activating", "static", "Result=exit-code\nExecMainStatus=78\nNeedDaemonReload=yes\n");
        unit("audit-relay-collector.target", "active", "disabled", "");
        unit("audit-relay-aggregator.service", "failed", "static", "Result=signal\nExecMainStatus=11\n");
        unit("audit-relay-aggregator.socket", "inactive", "masked", "");
        check("units");
        expect(DOCTOR_WRONG, "audit-relay-remote.service cannot use its configuration", "journalctl -u audit-relay-remote.service");
        expect(DOCTOR_WRONG, "audit-relay-aggregator.service does not come up (failed, result signal)", "journalctl -u audit-relay-aggregator.service");
        expect(DOCTOR_WRONG, "audit-relay-aggregator.socket is masked",
               "`systemctl unmask audit-relay-aggregator.socket && systemctl restart audit-relay-collector.target`");
        expect(DOCTOR_WARNING, "audit-relay-collector.target is not enabled", "systemctl enable --now audit-relay-collector.target");
        expect(DOCTOR_WARNING, "unit files were changed", "systemctl daemon-reload");
}
END_TEST

START_TEST(units_that_are_missing)
{
        unit("audit-relay-client.target", "inactive", "enabled", "");
        unit("audit-relay-dispatcher.service", "inactive", "static", "");
        unit("audit-relay-dispatcher.socket", "inactive", "static", "");
        check("units");
        expect(DOCTOR_WRONG, "audit-relay-dispatcher.socket is not active", "`systemctl restart audit-relay-client.target`");
        expect(DOCTOR_WRONG, "audit-relay-client.target is not active", "systemctl enable --now audit-relay-client.target");
        expect(DOCTOR_WRONG, "audit-relay-dispatcher.service is not active", "`systemctl start audit-relay-dispatcher.service`");
        expect(DOCTOR_WRONG, "audit-relay-remote.service is not installed", "install audit-relay again");
}
END_TEST

START_TEST(no_role_and_no_systemd)
{
        unit("audit-relay-client.target", "inactive", "disabled", "");
        check("units");
        expect_only(DOCTOR_WRONG, "neither a client nor a collector", "systemctl enable --now audit-relay-client.target");
        free(doctor.facts.units);
        doctor.facts.units = NULL;
        check_again("units");
        expect_only(DOCTOR_WARNING, "systemd does not run here", "audit-relay status");
}
END_TEST

/* --- The kernel --- */

START_TEST(the_socket_that_the_generator_chose)
{
        good_client();
        unit("audit-relay-dispatcher-kernel.socket", "active", "static", "");
        unit("auditd.service", "inactive", "disabled", "");
        check("input");
        expect_only(DOCTOR_OK, "audit-relay-dispatcher-kernel.socket (the generator's choice, auditd.service is not enabled)", NULL);
        scratch_write(directory, "run/systemd/container", "systemd-nspawn");
        check_again("input");
        expect_only(DOCTOR_WRONG, "audit-relay-dispatcher-kernel.socket is open, but audit-relay-dispatcher-multicast.socket", "daemon-reload");
}
END_TEST

START_TEST(a_kernel_booted_without_audit)
{
        good_client();
        unit("audit-relay-dispatcher-kernel.socket", "inactive", "static", "ConditionResult=no\n");
        scratch_write(directory, "proc/cmdline", "quiet audit=0\n");
        check("input");
        expect_only(DOCTOR_WRONG, "no record comes from the kernel: it was booted without audit", "see kernel");
        doctor.facts.kernel = (DoctorKernel) { .error = -EPROTONOSUPPORT };
        check_again("kernel");
        expect_only(DOCTOR_WRONG, "switched off on the kernel's command line", "take audit=0 out");
        scratch_write(directory, "proc/cmdline", "quiet\n");
        check_again("kernel");
        expect_only(DOCTOR_WRONG, "this kernel has no audit", "boot another kernel");
}
END_TEST

START_TEST(a_container_without_audit)
{
        good_client();
        unit("audit-relay-dispatcher-multicast.socket", "inactive", "static", "ConditionResult=no\n");
        scratch_write(directory, "run/systemd/container", "lxc");
        check("input");
        expect_only(DOCTOR_WARNING, "this container may not read its audit", "CAP_AUDIT_READ");
}
END_TEST

START_TEST(auditd_is_enabled)
{
        good_client();
        unit("auditd.service", "active", "enabled", "");
        check("input");
        expect_only(DOCTOR_WRONG, "no record comes from the kernel: audit-relay-dispatcher-multicast.socket", "daemon-reload");
        scratch_write(directory, "etc/audit/plugins.d/audit-relay.conf", "active = yes\n");
        check_again("input");
        expect_only(DOCTOR_OK, "auditd hands its records over", NULL);
        scratch_write(directory, "etc/audit/plugins.d/audit-relay.conf", "active = no\n");
        unit("audit-relay-dispatcher-multicast.socket", "active", "static", "");
        check_more("input");
        expect_only(DOCTOR_OK, "multicast: audit-relay-dispatcher-multicast.socket (the generator's choice, auditd.service is enabled)", NULL);
}
END_TEST

START_TEST(auditd_that_is_to_hand_over_and_does_not_run)
{
        good_client();
        unit("auditd.service", "failed", "enabled", "");
        scratch_write(directory, "etc/audit/plugins.d/audit-relay.conf", "active = yes\n");
        check("input");
        expect_only(DOCTOR_WRONG, "auditd is to hand its records over, and does not run", "`service auditd start`");
}
END_TEST

START_TEST(auditd_runs_unasked)
{
        good_client();
        unit("audit-relay-dispatcher-kernel.socket", "inactive", "static", "");
        unit("auditd.service", "active", "disabled", "");
        check("input");
        expect(DOCTOR_WRONG, "auditd runs though it is not enabled", "service auditd stop");
}
END_TEST

START_TEST(the_kernel_is_well)
{
        good_client();
        scratch_write(directory, "proc/cmdline", "quiet audit=1 root=/dev/vda1\n");
        scratch_write(directory, "proc/321/comm", "dispatcher\n");
        check("kernel");
        expect(DOCTOR_OK, "audit is on, since boot", NULL);
        expect(DOCTOR_OK, "backlog 0 of 8192", NULL);
        expect(DOCTOR_OK, "the audit daemon is the dispatcher", NULL);
        ck_assert_uint_eq(doctor.n_findings, 3);
}
END_TEST

START_TEST(the_kernel_is_not_well)
{
        good_client();
        scratch_write(directory, "proc/cmdline", "quiet\n");
        scratch_write(directory, "proc/321/comm", "auditd\n");
        doctor.facts.kernel = (DoctorKernel) { .enabled = 1, .failure = 2, .pid = 321, .backlog_limit = 64, .lost = 7 };
        check("kernel");
        expect(DOCTOR_WARNING, "audit=1 is missing", "GRUB_CMDLINE_LINUX");
        expect(DOCTOR_WARNING, "backlog_limit is 64", "auditctl -b 8192");
        expect(DOCTOR_WARNING, "counted 7 lost records", "audit-relay log");
        expect(DOCTOR_WRONG, "another audit daemon has the kernel's records: auditd, pid 321", "service auditd stop");
        expect(DOCTOR_WARNING, "panics", "auditctl -f 1");
        doctor.facts.kernel = (DoctorKernel) { .enabled = 0, .backlog_limit = 8192, .backlog = 5000 };
        check_again("kernel");
        expect(DOCTOR_WRONG, "the kernel's audit is off", "auditctl -e 1");
        expect(DOCTOR_WARNING, "backlog is 5000 of 8192", "auditctl -l");
        expect(DOCTOR_WRONG, "nobody is the kernel's audit daemon", "systemctl restart audit-relay-dispatcher");
}
END_TEST

START_TEST(a_locked_kernel)
{
        good_client();
        scratch_write(directory, "proc/cmdline", "audit=1\n");
        scratch_write(directory, "etc/audit/rules.d/10.rules", "-w /etc -p wa\n");
        doctor.facts.kernel = (DoctorKernel) { .enabled = 2, .failure = 2, .pid = 321, .backlog_limit = 64 };
        check("kernel");
        expect(DOCTOR_OK, "audit is on, since boot, and locked until the next", NULL);
        expect(DOCTOR_WARNING, "backlog_limit is 64", "-b 8192\" in a file of /etc/audit/rules.d, and boot");
        expect(DOCTOR_WARNING, "panics", "-f 1\" in a file of /etc/audit/rules.d, and boot");
        for (size_t i = 0; i < doctor.n_findings; i++)
                ck_assert_msg(!doctor.findings[i].todo || !strstr(doctor.findings[i].todo, "auditctl"), "%s", doctor.findings[i].todo);
        check_again("rules");
        expect(DOCTOR_WRONG, "1 rules are written in /etc/audit/rules.d, and none is loaded", "locked until then");
}
END_TEST

START_TEST(the_pid_of_an_earlier_dispatcher)
{
        good_client();
        scratch_write(directory, "proc/cmdline", "audit=1\n");
        scratch_write(directory, "proc/321/comm", "beat\n");
        check("kernel");
        expect(DOCTOR_OK, "the audit daemon is the dispatcher (registered as pid 321)", NULL);
        scratch_write(directory, "dispatcher/kernel_refused", "REASON=x\n");
        check_again("kernel");
        expect(DOCTOR_WRONG, "another audit daemon has the kernel's records: beat, pid 321", "stop that program");
}
END_TEST

START_TEST(a_kernel_that_cannot_be_asked)
{
        good_client();
        doctor.facts.kernel.error = -EPERM;
        check("kernel");
        expect_only(DOCTOR_WARNING, "cannot be asked", "as root");
        scratch_write(directory, "run/systemd/container", "lxc");
        check_again("kernel");
        expect_only(DOCTOR_OK, "this container's host", NULL);
}
END_TEST

START_TEST(rules_that_are_not_loaded)
{
        good_client();
        scratch_write(directory, "etc/audit/rules.d/00-audit-relay.rules", "-b 8192\n -a never,exit -F exe=/x\n");
        scratch_write(directory, "etc/audit/rules.d/10.rules", "# -w /etc\n-w /etc -p wa\n");
        check("rules");
        expect_only(DOCTOR_OK, "12 rules are loaded", NULL);
        doctor.facts.kernel.rules = 0;
        check_again("rules");
        expect_only(DOCTOR_WRONG, "2 rules are written in /etc/audit/rules.d, and none is loaded", "`systemctl restart audit-relay-rules.service`");
        doctor.facts.kernel.rules = 1;
        check_again("rules");
        expect_only(DOCTOR_WARNING, "2 rules are written in /etc/audit/rules.d, and 1 are loaded", "`journalctl -u audit-relay-rules.service");
        remove_file("usr/sbin/augenrules");
        doctor.facts.kernel.rules = 2;
        check_again("rules");
        expect(DOCTOR_OK, "2 rules are loaded", NULL);
        expect(DOCTOR_WARNING, "augenrules and auditctl are not installed", "`systemctl mask auditd.service && apt-get install");
        unit("auditd.service", "active", "enabled", "");
        doctor.facts.kernel.rules = 0;
        check_more("rules");
        expect_only(DOCTOR_WRONG, "none is loaded", "`augenrules --load`");
}
END_TEST

START_TEST(no_rules_at_all)
{
        good_client();
        doctor.facts.kernel.rules = 0;
        check("rules");
        expect(DOCTOR_WARNING, "there are no rules", "/etc/audit/rules.d");
        expect(DOCTOR_WARNING, "00-audit-relay.rules is missing", "install");
}
END_TEST

START_TEST(journald)
{
        static const char ours[] = "usr/lib/systemd/journald.conf.d/10-audit-relay.conf";

        good_client();
        check("journald");
        expect_only(DOCTOR_WARNING, "Audit= is not set", "systemctl restart systemd-journald");
        scratch_write(directory, "etc/systemd/journald.conf", "[Journal]\nAudit=no\n");
        check_again("journald");
        expect_only(DOCTOR_WRONG, "Audit=no in ", "systemctl restart systemd-journald");
        scratch_write(directory, ours, "[Journal]\n Audit =\n");
        check_again("journald");
        expect_only(DOCTOR_OK, "leaves the kernel's audit as it is", NULL);
        scratch_write(directory, "etc/systemd/journald.conf.d/20.conf", "[Journal]\nAudit=yes\n");
        check_again("journald");
        expect_only(DOCTOR_OK, "switches the kernel's audit on", NULL);
}
END_TEST

/* --- The host --- */

START_TEST(disks)
{
        good_client();
        unit("audit-relay-collector.target", "active", "enabled", "");
        scratch_write(directory, "etc/audit-relay/remote.conf", "[Remote]\nColour=blue\nDirectory=/spool\nSpaceLeft=0\nInodesLeft=0\n");
        scratch_write(directory, "etc/audit-relay/aggregator.conf", "[Aggregator]\nDirectory=/log\nSpaceLeft=100T\nInodesLeft=50%\nMaxUse=200T\n");
        scratch_write(directory, "spool/x", "");
        scratch_write(directory, "log/x", "");
        check("disk");
        expect(DOCTOR_OK, "the remote's disk has room", NULL);
        expect(DOCTOR_WARNING, "the aggregator's disk is low", "make room");
        expect(DOCTOR_WARNING, "the aggregator's MaxUse= is more than", "lower MaxUse=");
        scratch_write(directory, "etc/audit-relay/remote.conf", "[Remote]\nDirectory=/none\n");
        check_again("disk");
        expect(DOCTOR_OK, "the remote's store /none: No such file", NULL);
}
END_TEST

START_TEST(disks_that_run_out)
{
        good_client();
        scratch_write(directory, "etc/audit-relay/remote.conf", "[Remote]\nDirectory=/spool\nSpaceLeft=1G\nInodesLeft=1000\n");
        scratch_write(directory, "spool/x", "");
        disk.f_bavail = 1023;
        check("disk");
        expect_only(DOCTOR_WARNING, "the remote's disk is low: 1023 MB are left at /spool, less than SpaceLeft=", "make room");
        disk.f_bavail = 31;
        check_again("disk");
        expect_only(DOCTOR_WRONG, "the remote's disk is full: 31 MB are left at /spool", "make room");
        disk.f_bavail = 1024;
        disk.f_favail = 999;
        check_again("disk");
        expect_only(DOCTOR_WARNING, "the remote's disk has 999 inodes left, less than InodesLeft=", "delete small files");
        disk.f_favail = 2;
        check_again("disk");
        expect_only(DOCTOR_WRONG, "the remote's disk is full: 2 inodes are left at /spool", "delete small files");
        /* btrfs says of itself that it has none, and none free. */
        disk.f_files = disk.f_favail = 0;
        disk.f_flag = ST_RDONLY;
        check_again("disk");
        expect_only(DOCTOR_WRONG, "the remote's file system is mounted read-only at /spool", "`mount -o remount,rw $(findmnt -no TARGET -T /spool)`");
}
END_TEST

START_TEST(the_clock)
{
        check("clock");
        expect_only(DOCTOR_OK, "the clock is synchronised", NULL);
        doctor.facts.clock_synchronised = false;
        check_again("clock");
        expect_only(DOCTOR_WARNING, "not synchronised", "timedatectl");
        doctor.facts.clock_known = false;
        check_again("clock");
        expect_only(DOCTOR_WARNING, "cannot be asked", "timedatectl");
        doctor.facts.now = 1000;
        check_again("clock");
        expect_only(DOCTOR_WRONG, "years behind", "timedatectl");
}
END_TEST

START_TEST(access_control)
{
        scratch_write(directory, "sys/fs/selinux/enforce", "0");
        check("security");
        expect_only(DOCTOR_OK, "neither", NULL);
        scratch_write(directory, "sys/fs/selinux/enforce", "1");
        scratch_write(directory, "sys/kernel/security/apparmor/profiles", "/usr/lib/audit-relay/remote (enforce)\n");
        check_again("security");
        expect(DOCTOR_WARNING, "SELinux enforces", "`audit-relay log --type=AVC --node=web1`; audit2allow");
        expect(DOCTOR_WARNING, "AppArmor has a profile", "`audit-relay log --type=AVC --node=web1`; aa-complain");
        ck_assert_uint_eq(doctor.n_findings, 2);
}
END_TEST

START_TEST(conditions_that_hold)
{
        State *state;

        good_client();
        ck_assert_int_eq(state_new(directory, "remote", &state), 0);
        check("conditions");
        expect_only(DOCTOR_OK, "no condition holds", NULL);
        state_raise(state, "spool_full", "There is\nno room", NULL);
        check_again("conditions");
        expect_only(DOCTOR_WRONG, ": There is", "");
        ck_assert_ptr_nonnull(strstr(doctor.findings[0].what, "remote/spool_full since 20"));
        state_free(state);
}
END_TEST
START_TEST(every_check_is_in_the_manual)
{
        static char text[32768];
        FILE *file = fopen(manual, "re");
        size_t rows = 0;

        ck_assert_ptr_nonnull(file);
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        (void) fclose(file);
        for (const DoctorCheck *c = doctor_checks; c->name; c++) {
                char row[64];

                (void) snprintf(row, sizeof row, "\n| `%s` | ", c->name);
                ck_assert_msg(strstr(text, row), "docs/doctor.md does not tell of %s", c->name);
                rows++;
        }
        for (const char *p = text; (p = strstr(p, "\n| `")); p++)
                rows--;
        ck_assert_uint_eq(rows, 0);
}
END_TEST
START_TEST(a_program_that_is_stuck)
{
        struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
        char path[128];
        State *state;

        unit("audit-relay-collector.target", "active", "enabled", "");
        ck_assert_int_eq(state_new(directory, "aggregator", &state), 0);
        status_begin(state);
        status_end(state, "x");
        (void) snprintf(path, sizeof path, "%s/aggregator/status", directory);
        ck_assert_int_eq(utimensat(AT_FDCWD, path, old, 0), 0);
        check("conditions");
        expect_only(DOCTOR_WRONG, "aggregator does not respond", "watchdog");
        state_free(state);
}
END_TEST
int main(int argc, char **argv)
{
        Suite *suite = suite_create("doctor");
        TCase *tcase = tcase_create("doctor");

        assert(argc == 2);
        manual = argv[1];

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, units_are_there_and_run);
        tcase_add_test(tcase, units_that_are_not);
        tcase_add_test(tcase, units_that_are_missing);
        tcase_add_test(tcase, no_role_and_no_systemd);
        tcase_add_test(tcase, the_socket_that_the_generator_chose);
        tcase_add_test(tcase, a_kernel_booted_without_audit);
        tcase_add_test(tcase, a_container_without_audit);
        tcase_add_test(tcase, auditd_is_enabled);
        tcase_add_test(tcase, auditd_that_is_to_hand_over_and_does_not_run);
        tcase_add_test(tcase, auditd_runs_unasked);
        tcase_add_test(tcase, the_kernel_is_well);
        tcase_add_test(tcase, the_kernel_is_not_well);
        tcase_add_test(tcase, a_locked_kernel);
        tcase_add_test(tcase, the_pid_of_an_earlier_dispatcher);
        tcase_add_test(tcase, a_kernel_that_cannot_be_asked);
        tcase_add_test(tcase, rules_that_are_not_loaded);
        tcase_add_test(tcase, no_rules_at_all);
        tcase_add_test(tcase, journald);
        tcase_add_test(tcase, disks);
        tcase_add_test(tcase, disks_that_run_out);
        tcase_add_test(tcase, the_clock);
        tcase_add_test(tcase, access_control);
        tcase_add_test(tcase, conditions_that_hold);
        tcase_add_test(tcase, a_program_that_is_stuck);
        tcase_add_test(tcase, every_check_is_in_the_manual);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
