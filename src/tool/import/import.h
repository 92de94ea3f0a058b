/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What `audit-relay import` takes from auditd's files: the settings it found, what became of each, and the files
 * that come of them. Nothing is written before import_write().
 */

#include "basic/macro.h"

#include <stdio.h>

/* Where the generator finds auditd's plugins. */
#define IMPORT_PLUGINS "/etc/audit/plugins.d"
/* Where they were with audit 2. */
#define IMPORT_PLUGINS_2 "/etc/audisp/plugins.d"

typedef enum ImportFile {
        IMPORT_AUDITD, /* auditd.conf, and audit 2's audispd.conf */
        IMPORT_REMOTE, /* audisp-remote.conf */
        IMPORT_PLUGIN, /* plugins.d/NAME.conf */
        N_IMPORT_FILES,
} ImportFile;

typedef enum ImportFate {
        IMPORT_TAKEN,
        IMPORT_UNNEEDED,
        IMPORT_IMPOSSIBLE,
        IMPORT_UNKNOWN,
        N_IMPORT_FATES,
} ImportFate;

/* "taken", "not needed", "not possible", "unknown" */
extern const char *const import_fates[N_IMPORT_FATES];
/* "auditd.conf", … as the table of keys names them */
extern const char *const import_files[N_IMPORT_FILES];

typedef struct ImportSetting {
        ImportFile file;
        char *path;
        unsigned line;
        char *name, *value, *option; /* option: the words behind the value, or "" */
        ImportFate fate;
        char *became; /* a sentence for people */
} ImportSetting;

/* A file to be written, or with `target` a link to be made. */
typedef struct ImportOutput {
        char *path;
        char *text, *target;
} ImportOutput;

typedef struct Import {
        const char *root;      /* "" or a directory in which /etc is */
        const char *collector; /* --collector=, takes the place of remote_server, or NULL */
        bool stock;            /* the collector stays a stock auditd */
        ImportSetting *settings;
        size_t n_settings;
        ImportOutput *outputs;
        size_t n_outputs;
        int error; /* the first one: -ENOMEM */
} Import;

typedef struct ImportKey ImportKey;
struct ImportKey {
        const char *name;
        ImportFate fate;  /* what becomes of it, as a rule */
        const char *text; /* what of it, and why: as the table of keys says it */
        void (*take)(Import *import, const ImportKey *key, ImportSetting *setting); /* NULL: always just that */
        const char *argument;
};

/* The keys of auditd 3.0.9 and 4.2 in each of their files; the last one has no name. */
extern const ImportKey *const import_keys[N_IMPORT_FILES];

/* Reads auditd's files below the root. Says on stderr what cannot be read. Returns 0, or a negative errno; -ENOENT: there
 * is none. */
int import_read(Import *import) _must_check_;
void import_done(Import *import);

/* The setting that counts, the last one; NULL: none, or an empty one. */
const ImportSetting *import_find(const Import *import, ImportFile file, const char *name);
/* Whether it is set to this word, whatever the case. */
bool import_is(const Import *import, ImportFile file, const char *name, const char *value);
/* Whether this host is a collector: auditd listens. */
bool import_listens(const Import *import);

/* Whether this collector is named by an address alone, and so nobody could tell its certificate: one of ours has to have a name. */
bool import_lacks_name(const Import *import, const char *host);

/* What became of a setting. */
void import_became(Import *import, ImportSetting *setting, ImportFate fate, const char *format, ...) _printf_(4, 5);

/* A line of /etc/audit-relay/PROGRAM.conf.d/50-imported.conf, once. */
void import_assign(Import *import, const char *program, const char *key, const char *value);
/* A drop-in of our unit `unit`, a file with this text or a link to `target`; and a unit that is enabled for `wanted_by`. */
void import_drop_in(Import *import, const char *unit, const char *name, const char *text, const char *target);
void import_enable(Import *import, const char *instance, const char *unit, const char *wanted_by);

/* Decides about each setting, and collects the files. */
void import_take(Import *import);

/* Takes back the drop-ins of an import before, and writes. Says errors. */
int import_write(const Import *import) _must_check_;
