/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Counts the states that sources built with AUDIT_RELAY_TESTING mark; the table below says who has to reach which. */

#include "mark.h"
#include "basic/mark.h"

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <string.h>

#define MARKS_MAX 64U

/* Which suites must have come there, in a full run. */
static const struct {
        const char *mark, *suites;
} table[] = {
        /* A receiver says no room or busy, a sender knows another history. */
        { "link.batch-not-taken", "simulate link-model" },
        { "link.diverged", "simulate link-model" },
        /* Groups and sessions. */
        { "intake.step-back", "simulate" },
        { "intake.replaced", "simulate" },
        { "intake.welcome-waited", "simulate" },
        { "intake.commit-of-a-dead-session", "simulate" },
        /* The store's life: segments begun, put in the place of an empty one, deleted, taken back. */
        { "store.commit", "store-crash simulate" },
        { "store.begun", "store-crash simulate" },
        { "store.replaced", "store-crash simulate" },
        { "store.deleted", "store-crash simulate" },
        { "store.taken-back", "store-crash" },
        /* … its trouble … */
        { "store.step-back", "store-crash simulate" },
        { "store.failed-in-flight", "store-crash" },
        { "store.poisoned", "store-crash simulate" },
        { "store.poisoned-unsynced-rotation", "store-crash simulate" },
        { "store.cut", "store-crash simulate" },
        { "store.written-again", "store-crash simulate" },
        { "store.damage", "store-damage" },
        /* … and what it tells of seqs that it does not show. */
        { "store.restarted", "store-crash simulate" },
        { "store.custody-explained", "store-model simulate" },
        { "store.dropped", "store-model" },
        { "store.lost-explained", "store-model simulate" },
        { "store.set-back", "simulate" },
        /* The ring: around its end, full, taken over from a dead process. */
        { "ring.head", "ring-crash ring-model simulate" },
        { "ring.wrap", "ring-crash ring-model simulate" },
        { "ring.search", "ring-model simulate" },
        { "ring.full", "ring-model simulate" },
        { "ring.landed", "ring-crash simulate" },
        { "ring.lost-explained", "ring-model" },
        /* The kernel's hold queue. */
        { "kernel.late-in-the-window", "kernel-serials" },
};

static struct {
        const char *name;
        uint64_t n;
} marks[MARKS_MAX];

void mark_hit(const char *name)
{
        for (size_t i = 0; i < MARKS_MAX; i++) {
                if (marks[i].name && strcmp(marks[i].name, name) != 0)
                        continue;
                marks[i].name = name;
                marks[i].n++;
                return;
        }
        assert(false);
}

uint64_t mark_count(const char *name)
{
        for (size_t i = 0; i < MARKS_MAX && marks[i].name; i++)
                if (strcmp(marks[i].name, name) == 0)
                        return marks[i].n;
        return 0;
}

static bool wants(const char *suites, const char *suite)
{
        size_t size = strlen(suite);

        for (const char *p = suites; (p = strstr(p, suite)); p++)
                if ((p == suites || p[-1] == ' ') && (p[size] == ' ' || p[size] == '\0'))
                        return true;
        return false;
}

bool marks_reached(const char *suite)
{
        unsigned wanted = 0, missing = 0;

        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
                if (!wants(table[i].suites, suite))
                        continue;
                wanted++;
                if (mark_count(table[i].mark) > 0)
                        continue;
                missing++;
                printf("# the suite %s never reached %s\n", suite, table[i].mark);
        }
        (void) fflush(stdout);
        return wanted > 0 && missing == 0;
}

__attribute__((weak)) void step_hit(void)
{
}
