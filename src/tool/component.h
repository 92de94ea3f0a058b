/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a program's state directory tells of it: whether it runs, its status, the conditions that hold. */

#include "basic/macro.h"

typedef enum Health {
        HEALTH_RUNNING,
        HEALTH_STUCK,
        HEALTH_NOT_RUNNING,
        N_HEALTHS,
} Health;

extern const char *const health_names[N_HEALTHS]; /* for people */

typedef struct Component {
        char *name;
        Health health;
        char *status;      /* the line for people, or NULL */
        char *text;        /* of the status file, or NULL */
        char **conditions; /* names */
        char **files;      /* their contents */
} Component;

/* Reads DIRECTORY/NAME. A component that has no directory does not run. Returns 0 or a negative errno. */
int component_read(const char *directory, const char *name, Component *ret) _must_check_;
void component_done(Component *component);
/* The names of all that have a directory. */
int component_list(const char *directory, char ***ret_names) _must_check_;

/* A sample of the status file that has no labels, without prefix: "certificate_days". False: it is not there. */
bool component_sample(const Component *component, const char *name, double *ret);

/* One KEY=VALUE line of a condition's file. Returns where the next one begins, NULL at the end; key and
 * value are the caller's to free, NULL when there is no memory. */
const char *component_next_pair(const char *p, char **ret_key, char **ret_value);
/* The value of one of these keys, the caller's to free; NULL: it is not there. */
char *component_find_pair(const char *file, const char *wanted);
/* One sample of the status file: "audit_relay_COMPONENT_NAME{labels} VALUE". Skips all other lines and what
 * is said elsewhere: the conditions, and that it is up. As above. */
const char *component_next_sample(const Component *component, const char *p, char **ret_name, char **ret_value);
