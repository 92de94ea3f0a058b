/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What tests hook into; nothing in a production build.
 *
 *      MARK("store.begun")   counts that an interesting state was reached; the table in tests/lib/mark.c says which suite has to
 *                            reach which, and fails when it never did
 *      MARK_IF(x, "…")       the same where x holds: nothing else asks
 *      STEP()                a point at which a test may kill the process
 */

#ifdef AUDIT_RELAY_TESTING
void mark_hit(const char *name);
void step_hit(void);
#define MARK(name) mark_hit(name)
#define MARK_IF(condition, name) ((condition) ? mark_hit(name) : (void) 0)
#define STEP() step_hit()
#else
#define MARK(name) ((void) 0)
#define MARK_IF(condition, name) ((void) 0)
#define STEP() ((void) 0)
#endif
