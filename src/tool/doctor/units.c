/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Units: whether those of a client, of a collector are there, run, and come again at the next boot; and which socket of the
 * kernel the generator has chosen, and why.
 */

#include "tool/doctor/doctor.h"
#include "tool/systemctl.h"

#include <stdio.h>

/* As in systemd.exec(5): a configuration that cannot be used. */
#define EXIT_CONFIG "78"

static const char *const client_units[] = {
        "audit-relay-dispatcher.socket",       "audit-relay-dispatcher-subscribe.socket",
        "audit-relay-dispatcher-lines.socket", "audit-relay-dispatcher.service",
        "audit-relay-remote.socket",           "audit-relay-remote.service",
        NULL,
};
static const char *const collector_units[] = { "audit-relay-aggregator.socket", "audit-relay-aggregator.service", NULL };

/* What is wrong with a unit that is to be active. Returns whether something is. */
static bool judge_unit(Doctor *doctor, const char *target, const char *unit)
{
        _cleanup_(freep) char *active = systemctl_property(doctor->facts.units, unit, "ActiveState");
        _cleanup_(freep) char *result = systemctl_property(doctor->facts.units, unit, "Result");
        _cleanup_(freep) char *status = systemctl_property(doctor->facts.units, unit, "ExecMainStatus");
        /* Restarting the target opens sockets that are not open, which systemd does not do while their service runs. */
        bool is_socket = strstr(unit, ".socket");
        char todo[256];

        if (doctor_unit_is(doctor, unit, "LoadState", "masked")) {
                (void) snprintf(todo, sizeof todo, "`systemctl unmask %s && systemctl restart %s`", unit, target);
                doctor_say(doctor, DOCTOR_WRONG, todo, "%s is masked", unit);
        } else if (!doctor_unit_is(doctor, unit, "LoadState", "loaded")) {
                doctor_say(doctor, DOCTOR_WRONG, "install audit-relay again, then `systemctl daemon-reload`", "%s is not installed", unit);
        } else if (active && strcmp(active, "active") == 0) {
                return false;
        } else if (status && strcmp(status, EXIT_CONFIG) == 0) {
                (void) snprintf(todo, sizeof todo, "`journalctl -u %s -p err -n 5` names file and line", unit);
                doctor_say(doctor, DOCTOR_WRONG, todo, "%s cannot use its configuration", unit);
        } else if (active && (strcmp(active, "failed") == 0 || strcmp(active, "activating") == 0)) {
                (void) snprintf(todo, sizeof todo, "`journalctl -u %s -p warning -n 10` says why", unit);
                doctor_say(doctor, DOCTOR_WRONG, todo, "%s does not come up (%s, result %s)", unit, active, result ? result : "unknown");
        } else {
                (void) snprintf(todo, sizeof todo, is_socket ? "`systemctl restart %s`" : "`systemctl start %s`", is_socket ? target : unit);
                doctor_say(doctor, DOCTOR_WRONG, todo, "%s is not active", unit);
        }
        return true;
}

static void judge_role(Doctor *doctor, const char *what, const char *target, const char *const *units)
{
        bool wrong = false;
        char todo[256];

        for (size_t i = 0; units[i]; i++)
                wrong = judge_unit(doctor, target, units[i]) || wrong;
        (void) snprintf(todo, sizeof todo, "`systemctl enable --now %s`", target);
        if (!doctor_unit_is(doctor, target, "UnitFileState", "enabled")) {
                doctor_say(doctor, DOCTOR_WARNING, todo, "%s is not enabled: after the next boot nothing runs", target);
                wrong = true;
        } else if (!doctor_unit_is(doctor, target, "ActiveState", "active")) {
                doctor_say(doctor, DOCTOR_WRONG, todo, "%s is not active", target);
                wrong = true;
        }
        if (!wrong)
                doctor_say(doctor, DOCTOR_OK, NULL, "the %s runs, and will after a boot", what);
}

void doctor_units(Doctor *doctor)
{
        if (!doctor->facts.units) {
                doctor_say(doctor, DOCTOR_WARNING, "`audit-relay status` shows the programs", "systemd does not run here");
                return;
        }
        if (!doctor->client && !doctor->collector) {
                doctor_say(doctor, DOCTOR_WRONG,
                           "`systemctl enable --now audit-relay-client.target` (its records are to be sent), or the same of audit-relay-collector.target",
                           "this host is neither a client nor a collector: no target is enabled");
                return;
        }
        if (doctor->client)
                judge_role(doctor, "client", "audit-relay-client.target", client_units);
        if (doctor->collector)
                judge_role(doctor, "collector", "audit-relay-collector.target", collector_units);
        if (strstr(doctor->facts.units, "NeedDaemonReload=yes"))
                doctor_say(doctor, DOCTOR_WARNING, "`systemctl daemon-reload`", "unit files were changed since systemd read them");
}

/* --- The kernel's socket --- */

static bool is_active(const Doctor *doctor, const char *unit)
{
        return doctor_unit_is(doctor, unit, "ActiveState", "active");
}

/* Whether our plugin of auditd hands its records over. */
static bool plugin_is_active(const Doctor *doctor)
{
        _cleanup_(freep) char *text = doctor_read(doctor, "/etc/audit/plugins.d/audit-relay.conf");
        const char *p = text ? strstr(text, "active") : NULL;

        if (!p)
                return false;
        p += strlen("active");
        p += strspn(p, " =");
        return strncmp(p, "yes", 3) == 0;
}

static void judge_socket(Doctor *doctor, const char *unit, const char *other, const char *kind, const char *why)
{
        static const char again[] = "`systemctl daemon-reload && systemctl restart audit-relay-client.target`";

        if (!is_active(doctor, unit) && doctor_booted_without_audit(doctor))
                doctor_say(doctor, DOCTOR_WRONG, "see kernel", "no record comes from the kernel: it was booted without audit");
        else if (!is_active(doctor, unit) && doctor_unit_is(doctor, unit, "ConditionResult", "no") && doctor_in_container(doctor))
                doctor_say(doctor, DOCTOR_WARNING, "give the container CAP_AUDIT_READ and the host's network, if it is to see the host's records",
                           "no record comes from the kernel: this container may not read its audit (conditions of %s)", unit);
        else if (is_active(doctor, unit))
                doctor_say(doctor, DOCTOR_OK, NULL, "%s: %s (the generator's choice, %s)", kind, unit, why);
        else if (is_active(doctor, other))
                doctor_say(doctor, DOCTOR_WRONG, again, "%s is open, but %s is what is to be: %s", other, unit, why);
        else
                doctor_say(doctor, DOCTOR_WRONG, again, "no record comes from the kernel: %s is not open, which is to be as %s", unit, why);
}

void doctor_input(Doctor *doctor)
{
        static const char kernel[] = "audit-relay-dispatcher-kernel.socket", multicast[] = "audit-relay-dispatcher-multicast.socket";
        bool auditd = doctor_auditd_enabled(doctor);

        if (!doctor->client || !doctor->facts.units)
                return;
        if (auditd && plugin_is_active(doctor)) {
                if (is_active(doctor, "auditd.service"))
                        doctor_say(doctor, DOCTOR_OK, NULL,
                                   "auditd hands its records over (the generator's choice: it is enabled, plugins.d/audit-relay.conf is active)");
                else
                        doctor_say(doctor, DOCTOR_WRONG, "`service auditd start`", "auditd is to hand its records over, and does not run");
        } else if (doctor_in_container(doctor))
                judge_socket(doctor, multicast, kernel, "multicast", "this is a container, where the kernel gives the unicast role to nobody");
        else if (auditd)
                judge_socket(doctor, multicast, kernel, "multicast", "auditd.service is enabled");
        else
                judge_socket(doctor, kernel, multicast, "unicast, we are the audit daemon", "auditd.service is not enabled");
        if (!auditd && is_active(doctor, "auditd.service"))
                doctor_say(doctor, DOCTOR_WRONG, "`service auditd stop && systemctl restart audit-relay-client.target`",
                           "auditd runs though it is not enabled: it takes the kernel's records");
}
