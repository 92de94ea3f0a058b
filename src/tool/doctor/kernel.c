/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The kernel's audit: on, with room, and in our hands. */

#include "tool/doctor/doctor.h"

#include <limits.h>
#include <stdio.h>

/* Below it a burst of some thousand records is lost before anybody can read it; the kernel's own default is 64. */
#define BACKLOG_LIMIT_ENOUGH 8192U
/* `enabled` and `failure`, as auditctl -e and -f set them. */
#define ENABLED_LOCKED 2U
#define FAILURE_PANIC 2U

bool doctor_audit_is_locked(const Doctor *doctor)
{
        return doctor->facts.kernel.enabled == ENABLED_LOCKED;
}

static void judge_enabled(Doctor *doctor)
{
        static const char boot[] = "add audit=1 audit_backlog_limit=8192 to the kernel's command line (GRUB_CMDLINE_LINUX in /etc/default/grub), then "
                                   "`update-grub`, and boot";

        if (doctor->facts.kernel.enabled == 0)
                doctor_say(doctor, DOCTOR_WRONG, "`auditctl -e 1`; see journald, which may switch it off", "the kernel's audit is off");
        else if (!doctor_booted_with(doctor, "audit=1") && !doctor_booted_with(doctor, "audit=on"))
                doctor_say(doctor, DOCTOR_WARNING, boot, "audit=1 is missing: processes that began before the dispatcher are not audited");
        else
                doctor_say(doctor, DOCTOR_OK, NULL, "audit is on, since boot%s", doctor_audit_is_locked(doctor) ? ", and locked until the next (-e 2)" : "");
}

static void judge_backlog(Doctor *doctor)
{
        const DoctorKernel *kernel = &doctor->facts.kernel;
        const char *larger = doctor_audit_is_locked(doctor) ? "a line \"-b 8192\" in a file of /etc/audit/rules.d, and boot: it is locked until then (-e 2)"
                                               : "`auditctl -b 8192`, and a line \"-b 8192\" in a file of /etc/audit/rules.d";

        if (kernel->backlog_limit != 0 && kernel->backlog_limit < BACKLOG_LIMIT_ENOUGH)
                doctor_say(doctor, DOCTOR_WARNING, larger, "backlog_limit is %u: a short burst loses records", kernel->backlog_limit);
        else if (kernel->backlog_limit != 0 && kernel->backlog > kernel->backlog_limit / 2)
                doctor_say(doctor, DOCTOR_WARNING,
                           "`systemctl status audit-relay-dispatcher.service`; audit less (`auditctl -l` lists the rules), or raise the limit",
                           "backlog is %u of %u: records come faster than they are read", kernel->backlog, kernel->backlog_limit);
        else
                doctor_say(doctor, DOCTOR_OK, NULL, "backlog %u of %u", kernel->backlog, kernel->backlog_limit);
        if (kernel->lost > 0)
                doctor_say(doctor, DOCTOR_WARNING,
                           "at the collector, `audit-relay log --type=DAEMON_ERR` names each gap; raise the backlog limit; here, `auditctl --reset-lost` "
                           "counts anew",
                           "the kernel counted %u lost records since boot", kernel->lost);
}

/* Who the kernel sends its records to. The pid may be an earlier dispatcher's, as PID 1 keeps its socket, and by now that of some
 * other process: what the dispatcher says of its registration counts. */
static void judge_daemon(Doctor *doctor)
{
        unsigned pid = doctor->facts.kernel.pid;
        _cleanup_(freep) char *name = NULL;
        char path[PATH_MAX];
        bool refused;

        (void) snprintf(path, sizeof path, "%s/dispatcher/kernel_refused", doctor->facts.state_directory);
        refused = access(path, F_OK) == 0;
        (void) snprintf(path, sizeof path, "/proc/%u/comm", pid);
        name = doctor_read(doctor, path);
        if (name)
                name[strcspn(name, "\n")] = '\0';
        if (pid == 0)
                doctor_say(doctor, DOCTOR_WRONG, "`systemctl restart audit-relay-dispatcher.service`",
                           "nobody is the kernel's audit daemon: its records go to the kernel log");
        else if (name && strcmp(name, "dispatcher") != 0 && (refused || strcmp(name, "auditd") == 0))
                doctor_say(doctor, DOCTOR_WRONG, strcmp(name, "auditd") == 0
                                                         ? "`service auditd stop; systemctl disable auditd; systemctl restart audit-relay-client.target`"
                                                         : "stop that program, then `systemctl restart audit-relay-client.target`",
                           "another audit daemon has the kernel's records: %s, pid %u", name, pid);
        else
                doctor_say(doctor, DOCTOR_OK, NULL, "the audit daemon is the dispatcher (registered as pid %u)", pid);
}

/* Of a socket that the kernel does not have. */
static bool has_no_audit(int error)
{
        return error == -EPROTONOSUPPORT || error == -EAFNOSUPPORT || error == -EINVAL;
}

static void judge_absence(Doctor *doctor)
{
        if (doctor_booted_without_audit(doctor))
                doctor_say(doctor, DOCTOR_WRONG, "take audit=0 out of GRUB_CMDLINE_LINUX in /etc/default/grub, then `update-grub`, and boot",
                           "audit is switched off on the kernel's command line: nothing is recorded");
        else
                doctor_say(doctor, DOCTOR_WRONG, "boot another kernel: those of distributions have it",
                           "this kernel has no audit: nothing is recorded");
}

void doctor_kernel(Doctor *doctor)
{
        const DoctorKernel *kernel = &doctor->facts.kernel;

        if (!doctor->client)
                return;
        if (doctor_in_container(doctor)) {
                doctor_say(doctor, DOCTOR_OK, NULL, "the kernel's audit is that of this container's host: look there");
                return;
        }
        if (doctor_booted_without_audit(doctor) || has_no_audit(kernel->error)) {
                judge_absence(doctor);
                return;
        }
        if (kernel->error < 0) {
                doctor_say(doctor, DOCTOR_WARNING, "run doctor as root", "the kernel's audit cannot be asked: %s", strerror(-kernel->error));
                return;
        }
        judge_enabled(doctor);
        judge_backlog(doctor);
        if (!doctor_auditd_enabled(doctor))
                judge_daemon(doctor);
        if (kernel->failure == FAILURE_PANIC)
                doctor_say(doctor, DOCTOR_WARNING,
                           doctor_audit_is_locked(doctor) ? "a line \"-f 1\" in a file of /etc/audit/rules.d, and boot, unless that is wanted"
                                             : "`auditctl -f 1`, unless that is wanted",
                           "the kernel panics when it loses a record (auditctl -f 2)");
}
