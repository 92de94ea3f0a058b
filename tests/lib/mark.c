/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Counts the states that sources built with AUDIT_RELAY_TESTING mark, and stops at no step. A test that does more with either
 * defines both itself; then this is not linked. */

#include "mark.h"
#include "basic/mark.h"

#undef NDEBUG
#include <assert.h>
#include <string.h>

#define MARKS_MAX 64U

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

__attribute__((weak)) void step_hit(void)
{
}
