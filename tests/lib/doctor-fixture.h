/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A host that is made up for the checks of `audit-relay doctor`: facts, and files in a directory that goes with it. */

#include "check-main.h"
#include "capture.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "tool/doctor/doctor.h"

#define NOW 1800000000

static char directory[64];
static Doctor doctor;
static char *units;
static struct statvfs disk;

/* --- The host --- */

/* Adds a unit as `systemctl show` has it. */
static inline void unit(const char *id, const char *active, const char *file, const char *more)
{
        char *longer;

        ck_assert_int_ge(asprintf(&longer, "%s%sId=%s\nLoadState=%s\nActiveState=%s\nUnitFileState=%s\n%s", units ? units : "", units ? "\n" : "",
                                  id, strcmp(file, "masked") == 0 ? "masked" : *file ? "loaded" : "not-found", active, file, more), 0);
        free(units);
        units = longer;
}

static inline void good_client(void)
{
        unit("audit-relay-client.target", "active", "enabled", "");
        unit("audit-relay-dispatcher.service", "active", "static", "Result=success\nExecMainStatus=0\n");
        unit("audit-relay-dispatcher.socket", "active", "static", "");
        unit("audit-relay-dispatcher-subscribe.socket", "active", "static", "");
        unit("audit-relay-dispatcher-lines.socket", "active", "static", "");
        unit("audit-relay-remote.socket", "active", "static", "");
}

static inline void make_executable(const char *file)
{
        char path[128];

        (void) snprintf(path, sizeof path, "%s/%s", directory, file);
        ck_assert_int_eq(chmod(path, 0755), 0);
}

static inline void remove_file(const char *file)
{
        char path[128];

        (void) snprintf(path, sizeof path, "%s/%s", directory, file);
        ck_assert_int_eq(unlink(path), 0);
}

/* A disk with room; 1,000 blocks of a MiB each are a GB. */
static inline int planted_statvfs(const char *path, struct statvfs *ret)
{
        if (access(path, F_OK) < 0)
                return -1;
        *ret = disk;
        return 0;
}

static inline void setup(void)
{
        scratch_make(directory);
        disk = (struct statvfs) { .f_frsize = 1 << 20, .f_blocks = 100000, .f_bavail = 50000, .f_files = 1000000, .f_favail = 500000 };
        /* Whoever needs it missing removes it. */
        scratch_write(directory, "usr/sbin/augenrules", "");
        make_executable("usr/sbin/augenrules");
        log_init("test", -1);
        /* A name server that is not there is not waited for. */
        ck_assert_int_eq(setenv("RES_OPTIONS", "timeout:1 attempts:1", 1), 0);
        units = NULL;
        doctor = (Doctor) {
                .facts = {
                        .root = directory,
                        .state_directory = directory,
                        .host = strdup("web1"),
                        .kernel = { .enabled = 1, .backlog_limit = 8192, .rules = 12, .pid = 321 },
                        .clock_known = true,
                        .clock_synchronised = true,
                        .now = NOW,
                        .timeout_usec = 5 * USEC_PER_SEC,
                        .statvfs = planted_statvfs,
                },
        };
}

static inline void teardown(void)
{
        doctor_done(&doctor);
        scratch_remove(directory);
}

/* Makes one check, of the host as it is now. */
static inline void check(const char *name)
{
        doctor.facts.units = units;
        units = NULL;
        doctor_begin(&doctor);
        doctor.check = name;
        for (const DoctorCheck *c = doctor_checks; c->name; c++)
                if (strcmp(c->name, name) == 0) {
                        c->make(&doctor);
                        ck_assert(!doctor.failed);
                        return;
                }
        ck_abort_msg("there is no check %s", name);
}

/* The same host again, after a change of its facts alone. */
static inline void check_again(const char *name)
{
        DoctorFacts facts = doctor.facts;

        doctor.facts.units = doctor.facts.host = NULL;
        doctor_done(&doctor);
        doctor.facts = facts;
        units = facts.units;
        check(name);
}

/* The same, and the units that were added meanwhile. */
static inline void check_more(const char *name)
{
        DoctorFacts facts = doctor.facts;
        char *added = units;

        ck_assert_int_ge(asprintf(&units, "%s\n%s", facts.units, added), 0);
        free(added);
        free(facts.units);
        doctor.facts.units = units;
        units = NULL;
        check_again(name);
}

static inline void expect(DoctorVerdict verdict, const char *what, const char *todo)
{
        for (size_t i = 0; i < doctor.n_findings; i++) {
                const DoctorFinding *f = &doctor.findings[i];

                if (f->verdict == verdict && strstr(f->what, what)) {
                        if (todo)
                                ck_assert_msg(f->todo && strstr(f->todo, todo), "%s: %s", f->what, f->todo ? f->todo : "nothing to do");
                        else
                                ck_assert_msg(!f->todo, "%s: %s", f->what, f->todo);
                        return;
                }
        }
        for (size_t i = 0; i < doctor.n_findings; i++)
                fprintf(stderr, "%d %s (%s)\n", (int) doctor.findings[i].verdict, doctor.findings[i].what,
                        doctor.findings[i].todo ? doctor.findings[i].todo : "");
        ck_abort_msg("no finding \"%s\" of verdict %d", what, (int) verdict);
}

static inline void expect_only(DoctorVerdict verdict, const char *what, const char *todo)
{
        expect(verdict, what, todo);
        ck_assert_uint_eq(doctor.n_findings, 1);
}
