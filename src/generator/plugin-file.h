/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A file of /etc/audit/plugins.d, in auditd's syntax: `key = value`, one a line. */

#include "basic/macro.h"

#include <stdio.h>

/* Of one file: what auditd allows on a line of 511 bytes. */
#define PLUGIN_ARGUMENTS_MAX 128U
#define PLUGIN_LINE_MAX 512U

typedef struct PluginFile {
        bool active;
        bool builtin; /* a part of auditd, no program */
        bool binary;  /* format = binary */
        char *path;   /* of the program; NULL: none is named */
        char *arguments[PLUGIN_ARGUMENTS_MAX];
        unsigned n_arguments;
} PluginFile;

/* Reads it. Returns 0; -EBADMSG when auditd would not take it either, *ret_line and *ret_why say where and why; or
 * another negative errno. */
int plugin_file_read(FILE *file, PluginFile *ret, unsigned *ret_line, const char **ret_why) _must_check_;
void plugin_file_done(PluginFile *plugin);
