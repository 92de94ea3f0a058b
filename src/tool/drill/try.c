/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Has a condition hold for a moment. The component does it itself: nobody else writes where its conditions are. We write
 * its name beside that directory (runtime/state.h, STATE_DRILL_SUFFIX), and take it away again, also after a signal.
 */

#include "runtime/loop.h"
#include "runtime/state.h"
#include "tool/cert/files.h"
#include "tool/component.h"
#include "tool/drill/drill.h"
#include "tool/reason.h"
#include "tool/systemctl.h"
#include "tool/terminal.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

/* A component looks once a second; a reaction may be a program that takes its time. */
#define COMPONENT_WAIT_USEC (5 * USEC_PER_SEC)
#define REACTION_WAIT_USEC (15 * USEC_PER_SEC)
#define LOOK_USEC (100 * USEC_PER_MSEC)

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
        interrupted = 1;
}

/* Whether the file of the condition is there; `drill`: and says that it is one. */
static bool condition_holds(const DrillPlan *plan, const char *state_directory, bool drill)
{
        char path[PATH_MAX], text[4096];
        ssize_t n;
        int fd;

        (void) snprintf(path, sizeof path, "%s/%s/%s", state_directory, plan->component, plan->condition);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return false;
        n = read(fd, text, sizeof text - 1);
        (void) close(fd);
        text[MAX(n, (ssize_t) 0)] = '\0';
        return !drill || strstr(text, "\nDRILL=yes\n");
}

static bool wait_condition(const DrillPlan *plan, const char *state_directory, bool holds)
{
        uint64_t end = monotonic_usec() + COMPONENT_WAIT_USEC;

        while (condition_holds(plan, state_directory, true) != holds && monotonic_usec() < end && !interrupted)
                (void) usleep(LOOK_USEC);
        return condition_holds(plan, state_directory, true) == holds;
}

static bool service_is(const DrillPlan *plan, const char *state)
{
        const char *units[] = { plan->service, NULL };
        _cleanup_(freep) char *text = NULL;

        return systemctl_show("ActiveState", units, &text) == 0 && systemctl_is(text, plan->service, "ActiveState", state);
}

static bool wait_service(const DrillPlan *plan, const char *state)
{
        uint64_t end = monotonic_usec() + REACTION_WAIT_USEC;

        while (!service_is(plan, state) && monotonic_usec() < end && !interrupted)
                (void) usleep(LOOK_USEC);
        return service_is(plan, state);
}

static void say(bool quiet, const char *who, const char *what)
{
        if (quiet)
                return;
        printf("%s %s\n", who, what);
        (void) fflush(stdout);
}

static void hold(unsigned seconds)
{
        for (unsigned i = seconds; i > 0 && !interrupted; i--) {
                terminal_progress("it holds for %u s more", i);
                (void) sleep(1);
        }
        terminal_progress_end();
}

/* Between writing the file and taking it away. */
static int observe(const DrillPlan *plan, const char *state_directory, unsigned seconds, bool quiet)
{
        bool reacted;

        if (!wait_condition(plan, state_directory, true))
                return DRILL_NOT_RUNNING;
        say(quiet, plan->condition, "has begun");
        if (!plan->active) {
                hold(seconds);
                return DRILL_NO_REACTION;
        }
        reacted = wait_service(plan, "active");
        say(quiet, plan->service, reacted ? "runs: what it does at the beginning is done" : "did not come up");
        if (reacted)
                hold(seconds);
        return reacted ? DRILL_WORKED : DRILL_FAILED;
}

static int is_running(const DrillPlan *plan, const char *state_directory)
{
        Component component;
        int r = component_read(state_directory, plan->component, &component);

        if (r < 0) {
                fprintf(stderr, "audit-relay: cannot read %s/%s: %s\n", state_directory, plan->component, tool_reason(r));
                return r;
        }
        r = component.health == HEALTH_RUNNING;
        component_done(&component);
        return r;
}

int drill_try(const DrillPlan *plan, const char *state_directory, unsigned seconds, bool quiet)
{
        struct sigaction action = { .sa_handler = on_signal };
        char name[NAME_MAX], path[PATH_MAX];
        int r = is_running(plan, state_directory), result;

        if (r <= 0)
                return r < 0 ? r : DRILL_NOT_RUNNING;
        if (condition_holds(plan, state_directory, false))
                return DRILL_HOLDS;
        (void) sigaction(SIGINT, &action, NULL);
        (void) sigaction(SIGTERM, &action, NULL);
        (void) snprintf(name, sizeof name, "%s" STATE_DRILL_SUFFIX, plan->component);
        (void) snprintf(path, sizeof path, "%s/%s", state_directory, name);
        r = cert_write(state_directory, name, plan->condition, 0644);
        if (r < 0)
                return r;
        result = observe(plan, state_directory, seconds, quiet);
        if (unlink(path) < 0) {
                fprintf(stderr, "audit-relay: cannot remove %s: %s\n", path, tool_reason(errno));
                return -errno;
        }
        interrupted = 0;
        if (result == DRILL_NOT_RUNNING)
                return result;
        if (!wait_condition(plan, state_directory, false))
                return DRILL_FAILED;
        say(quiet, plan->condition, "has ended");
        if (result != DRILL_WORKED)
                return result;
        if (!wait_service(plan, "inactive"))
                return DRILL_FAILED;
        say(quiet, plan->service, "has ended: what it does at the end is done");
        return DRILL_WORKED;
}
