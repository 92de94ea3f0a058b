/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The host: disks, the clock, what mandatory access control may forbid; and the conditions that hold. */

#include "runtime/state.h"
#include "tool/doctor/advice.h"
#include "tool/component.h"
#include "tool/doctor/doctor.h"

#include <inttypes.h>
#include <stdio.h>

/* --- Disks --- */

/* Less than this, and no segment can be begun: text, index, and the new link audit.log. */
#define DISK_EMPTY_BYTES (UINT64_C(32) * 1024 * 1024)
#define DISK_EMPTY_INODES 3U

static void judge_space(Doctor *doctor, const char *what, const DoctorConfig *config, const struct statvfs *st)
{
        static const char room[] = "make room, enlarge the file system, or bound the store (MaxUse=, KeepFree=)";
        uint64_t total = (uint64_t) st->f_blocks * st->f_frsize, left = (uint64_t) st->f_bavail * st->f_frsize;

        if (left < DISK_EMPTY_BYTES)
                doctor_say(doctor, DOCTOR_WRONG, room, "the %s's disk is full: %" PRIu64 " MB are left at %s", what, left >> 20, config->directory);
        else if (left < disk_amount_of(config->space_left, total))
                doctor_say(doctor, DOCTOR_WARNING, room, "the %s's disk is low: %" PRIu64 " MB are left at %s, less than SpaceLeft=", what, left >> 20,
                           config->directory);
        if (config->use_max > total)
                doctor_say(doctor, DOCTOR_WARNING, "lower MaxUse=, or set KeepFree=", "the %s's MaxUse= is more than the %" PRIu64 " MB of its file system",
                           what, total >> 20);
}

/* A file system without a number of its own has as many as there is room. */
static void judge_inodes(Doctor *doctor, const char *what, const DoctorConfig *config, const struct statvfs *st)
{
        static const char more[] = "delete small files, or make the file system with more inodes";

        if (st->f_files == 0)
                return;
        if (st->f_favail < DISK_EMPTY_INODES)
                doctor_say(doctor, DOCTOR_WRONG, more, "the %s's disk is full: %" PRIu64 " inodes are left at %s", what, (uint64_t) st->f_favail,
                           config->directory);
        else if (st->f_favail < disk_amount_of(config->inodes_left, st->f_files))
                doctor_say(doctor, DOCTOR_WARNING, more, "the %s's disk has %" PRIu64 " inodes left, less than InodesLeft=", what,
                           (uint64_t) st->f_favail);
}

static void judge_store(Doctor *doctor, const char *what, const DoctorConfig *config)
{
        size_t before = doctor->n_findings;
        char writable[512];
        struct statvfs st;

        if (!config->directory || doctor->facts.statvfs(doctor_path(doctor, config->directory), &st) < 0) {
                doctor_say(doctor, errno == ENOENT ? DOCTOR_OK : DOCTOR_WARNING, errno == ENOENT ? NULL : "run doctor as root",
                           "the %s's store %s: %s", what, config->directory ? config->directory : "", strerror(errno));
                return;
        }
        judge_space(doctor, what, config, &st);
        judge_inodes(doctor, what, config, &st);
        (void) snprintf(writable, sizeof writable, "`mount -o remount,rw $(findmnt -no TARGET -T %s)`, after a look at `journalctl -k -p err`",
                        config->directory);
        if (st.f_flag & ST_RDONLY)
                doctor_say(doctor, DOCTOR_WRONG, writable, "the %s's file system is mounted read-only at %s", what, config->directory);
        if (doctor->n_findings == before)
                doctor_say(doctor, DOCTOR_OK, NULL, "the %s's disk has room: %" PRIu64 " of %" PRIu64 " MB", what,
                           (uint64_t) st.f_bavail * st.f_frsize >> 20, (uint64_t) st.f_blocks * st.f_frsize >> 20);
}

void doctor_disk(Doctor *doctor)
{
        if (doctor->client)
                judge_store(doctor, "remote", &doctor->remote);
        if (doctor->collector)
                judge_store(doctor, "aggregator", &doctor->aggregator);
}

/* --- The clock --- */

void doctor_clock(Doctor *doctor)
{
        static const char todo[] = "install systemd-timesyncd or chrony, on the host of a container; `timedatectl` says how it is";

        if (doctor->facts.now < 1600000000)
                doctor_say(doctor, DOCTOR_WRONG, todo, "the clock is years behind: no certificate is valid yet");
        else if (!doctor->facts.clock_known)
                doctor_say(doctor, DOCTOR_WARNING, todo, "the clock cannot be asked");
        else if (!doctor->facts.clock_synchronised)
                doctor_say(doctor, DOCTOR_WARNING, todo, "the clock is not synchronised: times of records and certificates may be off");
        else
                doctor_say(doctor, DOCTOR_OK, NULL, "the clock is synchronised");
}

/* --- Mandatory access control --- */

void doctor_security(Doctor *doctor)
{
        _cleanup_(freep) char *enforce = doctor_read(doctor, "/sys/fs/selinux/enforce");
        _cleanup_(freep) char *profiles = doctor_read(doctor, "/sys/kernel/security/apparmor/profiles");
        const char *node = doctor->dispatcher.node ? doctor->dispatcher.node : doctor->facts.host;
        bool selinux = enforce && enforce[0] == '1', apparmor = profiles && strstr(profiles, "/usr/lib/audit-relay/");
        char denials[256], todo[512];

        /* They are audit records: the kernel log has none of them as long as there is an audit daemon. */
        (void) snprintf(denials, sizeof denials, "at the collector, `audit-relay log --type=AVC --node=%s`", node ? node : "");
        (void) snprintf(todo, sizeof todo, "%s; audit2allow makes a module of what it finds", denials);
        if (selinux)
                doctor_say(doctor, DOCTOR_WARNING, todo, "SELinux enforces: audit-relay has no policy of its own, look for denials");
        (void) snprintf(todo, sizeof todo, "%s; aa-complain the profile to try without", denials);
        if (apparmor)
                doctor_say(doctor, DOCTOR_WARNING, todo, "AppArmor has a profile of its own for programs of audit-relay: look for denials");
        if (!selinux && !apparmor)
                doctor_say(doctor, DOCTOR_OK, NULL, "neither SELinux nor AppArmor stands in the way");
}

/* --- Conditions --- */

static void judge_component(Doctor *doctor, const char *name)
{
        Component component;
        char stuck[256];

        if (component_read(doctor->facts.state_directory, name, &component) < 0) {
                doctor_say(doctor, DOCTOR_WARNING, "run doctor as root", "the state of %s cannot be read", name);
                return;
        }
        for (size_t i = 0; component.conditions && component.conditions[i]; i++) {
                _cleanup_(freep) char *reason = component_find_pair(component.files[i], "REASON");
                _cleanup_(freep) char *since = component_find_pair(component.files[i], "SINCE");
                _cleanup_(freep) char *todo = advice_of(name, component.conditions[i]);

                doctor_say(doctor, DOCTOR_WRONG, todo, "%s/%s since %s: %s", name, component.conditions[i], since ? since : "?",
                           reason ? reason : "it holds");
        }
        (void) snprintf(stuck, sizeof stuck, "systemd restarts it by its watchdog; else `systemctl restart audit-relay-%s.service`", name);
        if (component.health == HEALTH_STUCK)
                doctor_say(doctor, DOCTOR_WRONG, stuck,
                           "%s does not respond", name);
        component_done(&component);
}

void doctor_conditions(Doctor *doctor)
{
        size_t before = doctor->n_findings;

        if (doctor->client) {
                judge_component(doctor, "dispatcher");
                judge_component(doctor, "remote");
        }
        if (doctor->collector)
                judge_component(doctor, "aggregator");
        if (doctor->n_findings == before)
                doctor_say(doctor, DOCTOR_OK, NULL, "no condition holds");
}
