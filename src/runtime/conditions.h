/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The conditions there are: docs/failure-states.md explains them, a test compares. */

typedef struct Condition {
        const char *component;
        const char *name;
        int priority; /* of the message that it began, syslog(3) */
        const char *message_id;
} Condition;

/* Ends with one whose name is NULL. */
extern const Condition conditions[];

/* NULL: it is in no table. */
const Condition *condition_find(const char *component, const char *name);
