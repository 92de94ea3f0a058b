/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What systemd would do: the path unit, and the service with all drop-ins merged. */

#include "runtime/config.h"
#include "tool/doctor/advice.h"
#include "tool/drill/drill.h"
#include "tool/systemctl.h"

#include <stdio.h>

/* "{ path=/bin/sh ; argv[]=/bin/sh -c … ; flags=ignore-failure privileged ; start_time=… }" */
static int add_command(DrillCommands *commands, const char *text)
{
        const char *begin = strstr(text, "argv[]="), *flags = strstr(text, " ; flags="), *end;
        DrillCommand *grown;

        if (!begin)
                return 0;
        begin += strlen("argv[]=");
        end = flags ? flags : begin + strcspn(begin, "}");
        grown = reallocarray(commands->items, commands->n + 1, sizeof *grown);
        if (!grown)
                return -ENOMEM;
        commands->items = grown;
        grown[commands->n] = (DrillCommand) { strndup(begin, (size_t) (end - begin)), flags && strstr(flags, "privileged") };
        return grown[commands->n++].command ? 0 : -ENOMEM;
}

static int read_commands(const char *text, const char *unit, const char *property, DrillCommands *ret)
{
        _cleanup_(strings_freep) char **values = NULL;
        int r = systemctl_properties(text, unit, property, &values);

        for (size_t i = 0; values && values[i] && r == 0; i++)
                r = add_command(ret, values[i]);
        return r;
}

int drill_plan_read(const char *component, const char *condition, DrillPlan *ret)
{
        DrillPlan plan = { .component = component, .condition = condition };
        const char *units[] = { plan.path_unit, plan.service, NULL };
        _cleanup_(freep) char *text = NULL;
        int r;

        (void) snprintf(plan.path_unit, sizeof plan.path_unit, "audit-relay-state@%s-%s.path", component, condition);
        (void) snprintf(plan.service, sizeof plan.service, "audit-relay-state@%s-%s.service", component, condition);
        r = systemctl_show("ActiveState,UnitFileState,DropInPaths,ExecStartPreEx,ExecStopPostEx", units, &text);
        if (r < 0)
                return r;
        plan.active = systemctl_is(text, plan.path_unit, "ActiveState", "active");
        plan.enabled = systemctl_is(text, plan.path_unit, "UnitFileState", "enabled");
        plan.drop_ins = systemctl_property(text, plan.service, "DropInPaths");
        plan.advice = advice_of(component, condition);
        r = plan.advice ? read_commands(text, plan.service, "ExecStartPreEx", &plan.begin) : -ENOMEM;
        if (r == 0)
                r = read_commands(text, plan.service, "ExecStopPostEx", &plan.end);
        if (r < 0)
                drill_plan_done(&plan);
        else
                *ret = plan;
        return r;
}

static void commands_done(DrillCommands *commands)
{
        for (size_t i = 0; i < commands->n; i++)
                free(commands->items[i].command);
        free(commands->items);
}

void drill_plan_done(DrillPlan *plan)
{
        commands_done(&plan->begin);
        commands_done(&plan->end);
        free(plan->drop_ins);
        free(plan->advice);
}
