/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the checks share: their findings, and looking at files of the host. */

#include "tool/doctor/doctor.h"
#include "basic/unix.h"
#include "tool/systemctl.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

/* No file that a check reads is larger: those of /proc, /sys and /etc. */
#define FILE_MAX (1024U * 1024U)

const DoctorCheck doctor_checks[] = {
        { "units", doctor_units, "units and sockets: installed, not masked, running, enabled" },
        { "input", doctor_input, "which socket of the kernel the generator chose, and why" },
        { "kernel", doctor_kernel, "audit=1, on, backlog, lost records, another audit daemon" },
        { "rules", doctor_rules, "audit rules written and loaded" },
        { "journald", doctor_journald, "journald's Audit=, which may switch audit off" },
        { "disk", doctor_disk, "space and inodes of the stores, MaxUse= against the file system" },
        { "certificates", doctor_certificates, "readable, in time, of the right CA and name, the key's mode" },
        { "clock", doctor_clock, "synchronised" },
        { "collectors", doctor_collectors, "name, connection, TLS handshake, acceptance on both sides" },
        { "conditions", doctor_conditions, "conditions that hold, and what to do" },
        { "security", doctor_security, "SELinux and AppArmor" },
        { 0 },
};

/* One line: what came from elsewhere must not make a second one, nor move a terminal's cursor. */
static void make_line(char *text)
{
        for (; text && *text != '\0'; text++)
                if ((unsigned char) *text < 0x20 || *text == 0x7f)
                        *text = ' ';
}

void doctor_say(Doctor *doctor, DoctorVerdict verdict, const char *todo, const char *format, ...)
{
        DoctorFinding finding = { .check = doctor->check, .verdict = verdict, .todo = todo ? strdup(todo) : NULL };
        DoctorFinding *grown = reallocarray(doctor->findings, doctor->n_findings + 1, sizeof *grown);
        va_list arguments;

        va_start(arguments, format);
        if (vasprintf(&finding.what, format, arguments) < 0)
                finding.what = NULL;
        va_end(arguments);
        if (grown)
                doctor->findings = grown;
        if (!grown || !finding.what || (todo && !finding.todo)) {
                free(finding.what);
                free(finding.todo);
                doctor->failed = true;
                return;
        }
        make_line(finding.what);
        make_line(finding.todo);
        grown[doctor->n_findings++] = finding;
}

const char *doctor_path(const Doctor *doctor, const char *path)
{
        static char paths[4][PATH_MAX];
        static unsigned i;
        char *ret = paths[i++ % ELEMENTSOF(paths)];

        (void) snprintf(ret, PATH_MAX, "%s%s", doctor->facts.root, path);
        return ret;
}

char *doctor_read(const Doctor *doctor, const char *path)
{
        _cleanup_(close_fdp) int fd = open(doctor_path(doctor, path), O_RDONLY | O_CLOEXEC);
        char *text;

        return fd >= 0 && read_text(fd, FILE_MAX, &text, NULL) >= 0 ? text : NULL;
}

bool doctor_unit_is(const Doctor *doctor, const char *unit, const char *property, const char *value)
{
        return doctor->facts.units && systemctl_is(doctor->facts.units, unit, property, value);
}

bool doctor_in_container(const Doctor *doctor)
{
        return access(doctor_path(doctor, "/run/systemd/container"), F_OK) == 0;
}

bool doctor_auditd_enabled(const Doctor *doctor)
{
        return doctor_unit_is(doctor, "auditd.service", "UnitFileState", "enabled");
}

bool doctor_booted_with(const Doctor *doctor, const char *word)
{
        _cleanup_(freep) char *text = doctor_read(doctor, "/proc/cmdline");
        char *position = NULL;

        for (char *p = text ? strtok_r(text, " \n", &position) : NULL; p; p = strtok_r(NULL, " \n", &position))
                if (strcmp(p, word) == 0)
                        return true;
        return false;
}

bool doctor_booted_without_audit(const Doctor *doctor)
{
        return doctor_booted_with(doctor, "audit=0") || doctor_booted_with(doctor, "audit=off");
}
