/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* `audit-relay doctor`: facts about this host are read first, then each check judges them and says what it found, and what to
 * do. Files are read below facts.root, all else is in the facts: so tests make up hosts.
 */

#include "runtime/credentials.h"
#include "store/disk.h"

#include <sys/statvfs.h>

typedef enum DoctorVerdict {
        DOCTOR_OK,
        DOCTOR_WARNING,
        DOCTOR_WRONG,
        N_DOCTOR_VERDICTS,
} DoctorVerdict;

typedef struct DoctorFinding {
        const char *check;
        DoctorVerdict verdict;
        char *what; /* one line */
        char *todo; /* one line; NULL: nothing. What is in backquotes can be typed as it stands */
} DoctorFinding;

/* The answers of the kernel's audit. */
typedef struct DoctorKernel {
        int error; /* a negative errno: it could not be asked */
        unsigned enabled, failure, pid, backlog_limit, backlog, lost;
        unsigned rules; /* that are loaded */
} DoctorKernel;

typedef struct DoctorFacts {
        const char *root; /* "" */
        const char *state_directory;
        char *units; /* as `systemctl show` has it; NULL: systemd does not run here */
        char *host;  /* its name */
        DoctorKernel kernel;
        bool clock_known, clock_synchronised;
        int64_t now;          /* seconds since 1970 */
        uint64_t timeout_usec; /* for each step with a collector */
        int (*statvfs)(const char *path, struct statvfs *ret);
} DoctorFacts;

/* What the checks need of a program's configuration. */
typedef struct DoctorConfig {
        char *node, *protocol, *directory;
        char **collectors;
        char *collector_name;
        CredentialsPaths tls;
        uint64_t use_max;
        DiskAmount space_left, inodes_left;
} DoctorConfig;

typedef struct Doctor {
        DoctorFacts facts;
        DoctorConfig dispatcher, remote, aggregator;
        bool client, collector; /* what this host is */
        const char *check;      /* that is being made */
        DoctorFinding *findings;
        size_t n_findings;
        bool failed; /* no memory */
} Doctor;

typedef struct DoctorCheck {
        const char *name;
        void (*make)(Doctor *doctor);
        const char *help;
} DoctorCheck;

/* Ends with one that has no name. */
extern const DoctorCheck doctor_checks[];

/* What systemd, the kernel and the clock say; `units` and `host` are the facts' own. */
void doctor_facts_read(DoctorFacts *facts);
/* Reads the configuration of the three programs, and judges what this host is. */
void doctor_begin(Doctor *doctor);
void doctor_done(Doctor *doctor);

/* A finding of the check that is being made. `todo` is a sentence, with commands in backquotes; NULL: nothing. */
void doctor_say(Doctor *doctor, DoctorVerdict verdict, const char *todo, const char *format, ...) _printf_(4, 5);

/* A file of the host, the caller's to free; NULL: it cannot be read. */
char *doctor_read(const Doctor *doctor, const char *path);
/* PATH of the host; one of four buffers in turn. */
const char *doctor_path(const Doctor *doctor, const char *path);
bool doctor_unit_is(const Doctor *doctor, const char *unit, const char *property, const char *value);
/* As the generator judges it. */
bool doctor_in_container(const Doctor *doctor);
bool doctor_auditd_enabled(const Doctor *doctor);
/* Whether this word is on the kernel's command line. */
bool doctor_booted_with(const Doctor *doctor, const char *word);
/* Whether it says that there is to be no audit. */
bool doctor_booted_without_audit(const Doctor *doctor);
/* Whether the kernel's audit takes no change before the next boot (auditctl -e 2). */
bool doctor_audit_is_locked(const Doctor *doctor);

/* The checks */
void doctor_units(Doctor *doctor);
void doctor_input(Doctor *doctor);
void doctor_kernel(Doctor *doctor);
void doctor_rules(Doctor *doctor);
void doctor_journald(Doctor *doctor);
void doctor_disk(Doctor *doctor);
void doctor_certificates(Doctor *doctor);
void doctor_clock(Doctor *doctor);
void doctor_collectors(Doctor *doctor);
void doctor_conditions(Doctor *doctor);
void doctor_security(Doctor *doctor);
