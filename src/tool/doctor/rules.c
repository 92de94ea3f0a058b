/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Audit rules: those that are written, and whether the kernel has them; and journald, which may switch audit off at boot. */

#include "runtime/config.h"
#include "tool/doctor/doctor.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>

#define OWN_RULES "/etc/audit/rules.d/00-audit-relay.rules"

/* --- Rules --- */

/* Lines of a file that are rules, not settings. */
static unsigned count_rules(const char *path)
{
        FILE *file = fopen(path, "re");
        char line[4096];
        unsigned n = 0;

        while (file && fgets(line, sizeof line, file)) {
                const char *p = line + strspn(line, " \t");

                n += strncmp(p, "-a", 2) == 0 || strncmp(p, "-A", 2) == 0 || strncmp(p, "-w", 2) == 0;
        }
        if (file)
                (void) fclose(file);
        return n;
}

static unsigned count_all_rules(const Doctor *doctor)
{
        unsigned n = 0;
        glob_t found;

        if (glob(doctor_path(doctor, "/etc/audit/rules.d/*.rules"), 0, NULL, &found) != 0)
                return 0;
        for (size_t i = 0; i < found.gl_pathc; i++)
                n += count_rules(found.gl_pathv[i]);
        globfree(&found);
        return n;
}

/* Who loads them where no auditd does: a program of its package, which starts its daemon unless that is masked. */
static void judge_loader(Doctor *doctor)
{
        if (!doctor_auditd_enabled(doctor) && access(doctor_path(doctor, "/usr/sbin/augenrules"), X_OK) < 0)
                doctor_say(doctor, DOCTOR_WARNING,
                           "`systemctl mask auditd.service && apt-get install --yes auditd && systemctl restart audit-relay-rules.service`: masked, its "
                           "daemon does not start",
                           "augenrules and auditctl are not installed: nobody loads /etc/audit/rules.d");
}

void doctor_rules(Doctor *doctor)
{
        const char *load = doctor_audit_is_locked(doctor)  ? "boot: the rules are locked until then (-e 2)"
                           : doctor_auditd_enabled(doctor) ? "`augenrules --load`"
                                                           : "`systemctl restart audit-relay-rules.service`; `journalctl -u audit-relay-rules.service -n 20` "
                                                             "says what it cannot load";
        unsigned written = count_all_rules(doctor), loaded = doctor->facts.kernel.rules;

        if (!doctor->client || doctor_in_container(doctor))
                return;
        if (access(doctor_path(doctor, OWN_RULES), R_OK) < 0 && errno == ENOENT)
                doctor_say(doctor, DOCTOR_WARNING, "install audit-relay again: it brings that file",
                           OWN_RULES " is missing: a rule on files or the network would also record what our programs do with each record");
        judge_loader(doctor);
        if (doctor->facts.kernel.error < 0)
                return;
        if (loaded == 0 && written > 0)
                doctor_say(doctor, DOCTOR_WRONG, load, "%u rules are written in /etc/audit/rules.d, and none is loaded", written);
        else if (loaded == 0)
                doctor_say(doctor, DOCTOR_WARNING, "write rules into /etc/audit/rules.d (those of a STIG or of CIS), then `systemctl restart audit-relay-rules.service`",
                           "there are no rules: logins and denials alone are recorded");
        else if (loaded < written)
                doctor_say(doctor, DOCTOR_WARNING, load,
                           "%u rules are written in /etc/audit/rules.d, and %u are loaded: the first that the kernel refuses ends the loading", written,
                           loaded);
        else
                doctor_say(doctor, DOCTOR_OK, NULL, "%u rules are loaded", loaded);
}

/* --- journald --- */

typedef struct Journald {
        bool assigned;
        char value[64], path[PATH_MAX];
} Journald;

/* The last assignment of Audit= in a file. An empty one is one, too: it is the only way to say "leave it as it is". */
static void read_file(const char *path, Journald *journald)
{
        FILE *file = fopen(path, "re");
        char line[4096];

        while (file && fgets(line, sizeof line, file)) {
                const char *p = line + strspn(line, " \t");

                if (strncmp(p, "Audit", 5) != 0 || p[5 + strspn(p + 5, " ")] != '=')
                        continue;
                p = strchr(p, '=') + 1;
                p += strspn(p, " ");
                journald->assigned = true;
                (void) snprintf(journald->value, sizeof journald->value, "%.*s", (int) MIN(strcspn(p, "\n"), sizeof journald->value - 1), p);
                (void) snprintf(journald->path, sizeof journald->path, "%s", path);
        }
        if (file)
                (void) fclose(file);
}

static void read_journald(const Doctor *doctor, Journald *ret)
{
        static const char *const directories[] = { "/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd" };
        char paths[ELEMENTSOF(directories)][PATH_MAX];
        const char *prefixed[ELEMENTSOF(directories) + 1] = { NULL };
        _cleanup_(strings_freep) char **files = NULL;

        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                (void) snprintf(paths[i], sizeof paths[i], "%s%s", doctor->facts.root, directories[i]);
                prefixed[i] = paths[i];
        }
        read_file(doctor_path(doctor, "/etc/systemd/journald.conf"), ret);
        if (config_list_from(prefixed, "journald.conf.d", &files) < 0)
                return;
        for (size_t i = 0; files && files[i]; i++)
                read_file(files[i], ret);
}

void doctor_journald(Doctor *doctor)
{
        static const char todo[] = "`mkdir -p /etc/systemd/journald.conf.d && printf '[Journal]\\nAudit=\\n' "
                                   ">/etc/systemd/journald.conf.d/zz-audit-relay.conf && systemctl restart systemd-journald`";
        Journald journald = { 0 };

        if (!doctor->client)
                return;
        read_journald(doctor, &journald);
        if (!journald.assigned)
                doctor_say(doctor, DOCTOR_WARNING, todo, "journald's Audit= is not set: Debian's then switches the kernel's audit off at boot");
        else if (journald.value[0] == '\0')
                doctor_say(doctor, DOCTOR_OK, NULL, "journald leaves the kernel's audit as it is");
        else if (strchr("yYtT1", journald.value[0]) || strcasecmp(journald.value, "on") == 0)
                doctor_say(doctor, DOCTOR_OK, NULL, "journald switches the kernel's audit on (%s)", journald.path);
        else
                doctor_say(doctor, DOCTOR_WRONG, todo, "journald switches the kernel's audit off at boot: Audit=%s in %s", journald.value,
                           journald.path);
}
