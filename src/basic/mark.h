/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What tests hook into; nothing in a production build.
 *
 *      MARK("store.rotate")  counts that an interesting state was reached, so that a suite can insist on having seen it
 *      STEP()                a point at which a test may kill the process
 */

#ifdef AUDIT_RELAY_TESTING
void mark_hit(const char *name);
void step_hit(void);
#define MARK(name) mark_hit(name)
#define STEP() step_hit()
#else
#define MARK(name) ((void) 0)
#define STEP() ((void) 0)
#endif
