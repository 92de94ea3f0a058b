/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files that verbs read and write: certificates, and configuration. All functions say on stderr what went wrong. */

#include "basic/macro.h"

#include <sys/types.h>

/* No PEM file of ours comes near it. */
#define CERT_FILE_MAX (256U * 1024U)

char *cert_path(const char *directory, const char *name);
/* Makes the directory with `mode`, its parents with 0755; one that exists stays as it is. */
int cert_make_directory(const char *path, mode_t mode) _must_check_;
/* Puts the text there in one step, replacing what was there. */
int cert_write(const char *directory, const char *name, const char *text, mode_t mode) _must_check_;
/* Keeps what is there under NAME.old, which goes; under NAME as well unless `move`. One that is not there is none to keep. */
int cert_keep_old(const char *directory, const char *name, bool move) _must_check_;
/* All of standard input, NUL-terminated; at a terminal it says what is wanted. Nothing at all is an error: whoever was to write it has
 * failed. */
int cert_read_input(const char *what, char **ret) _must_check_;
/* *ret is NUL-terminated. With `missing_ok`, NULL for a file that is not there. */
int cert_read(const char *path, bool missing_ok, char **ret) _must_check_;
