/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* systemctl(1), found as people's shell finds it. */

#include "basic/macro.h"

/* Runs it with these arguments, behind which stands NULL. With `ret_text` what it writes to standard output is the caller's to
 * free, and what it complains of is nobody's; without, both go where ours go. Returns its exit status, or a negative errno;
 * -ENOENT: there is none. */
int systemctl_run(const char *const *arguments, char **ret_text) _must_check_;

/* The properties, separated by commas, of these units, as `systemctl show` writes them: blocks of NAME=VALUE lines. */
int systemctl_show(const char *properties, const char *const *units, char **ret_text) _must_check_;

/* The value that such a text has of a unit's property, the caller's to free; NULL: it is not there. */
char *systemctl_property(const char *text, const char *unit, const char *property);
/* All values of one that may be there several times, appended to a list (strings_free()). */
int systemctl_properties(const char *text, const char *unit, const char *property, char ***ret_values) _must_check_;
/* Whether it is this one. */
bool systemctl_is(const char *text, const char *unit, const char *property, const char *value);
