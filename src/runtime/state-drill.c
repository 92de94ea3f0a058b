/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A drill: a condition that holds without reason, so that its reaction can be seen to work. Who asks for it writes a file
 * beside our directory, where nobody but root (or, without installation, ourselves) can; it is level-triggered like the
 * conditions themselves: while the file is there the condition holds, and no longer than a minute, whatever became of who wrote it.
 */

#include "runtime/conditions.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/state-internal.h"
#include "runtime/state.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Of a condition's name. */
#define NAME_SIZE 64U

/* The condition that is asked for; false: none is. */
static bool read_wish(const State *state, char ret[static NAME_SIZE])
{
        _cleanup_(close_fdp) int fd = open(state->drill_path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        uint64_t modified;
        struct stat st;
        ssize_t n;

        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_uid != 0 && st.st_uid != geteuid()))
                return false;
        modified = (uint64_t) st.st_mtim.tv_sec * USEC_PER_SEC;
        if (modified + STATE_DRILL_USEC < realtime_usec())
                return false;
        n = read(fd, ret, NAME_SIZE - 1);
        if (n <= 0)
                return false;
        ret[n] = '\0';
        ret[strcspn(ret, "\n")] = '\0';
        return condition_find(state->component, ret);
}

void state_look_for_drill(State *state)
{
        char name[NAME_SIZE];
        bool wish = read_wish(state, name);
        Held *held, *next;

        for (held = TAILQ_FIRST(&state->held); held; held = next) {
                next = TAILQ_NEXT(held, entries);
                if (held->drill && !(wish && strcmp(held->name, name) == 0))
                        state_end(state, held);
        }
        if (wish && !state_find(state, name) &&
            state_begin(state, name, "A drill (audit-relay drill): nothing is wrong", "DRILL=yes", true) < 0)
                state_say_failed(state, name, -ENOMEM);
}
