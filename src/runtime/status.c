/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The status file: the component's health and counters as OpenMetrics text, for `audit-relay status` and
 * node_exporter alike.
 *
 * The line for people stands in the help text of the metric "up": OpenMetrics knows no other comments, and a
 * label would make a new time series of each text.
 */

#include "runtime/conditions.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/notify.h"
#include "runtime/state-internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>

static void print_escaped(FILE *to, const char *text)
{
        for (; *text != '\0'; text++) {
                if (*text == '"' || *text == '\\')
                        fputc('\\', to);
                fputc((unsigned char) *text < 0x20 || *text == 0x7f ? ' ' : *text, to);
        }
}

static void print_head(State *state, const char *name, const char *type, const char *help)
{
        fprintf(state->status, "# TYPE audit_relay_%s_%s %s\n# HELP audit_relay_%s_%s ", state->component,
                name, type, state->component, name);
        print_escaped(state->status, help);
        fputc('\n', state->status);
}

static void print_name(State *state, const char *name, const char *suffix, const char *labels)
{
        fprintf(state->status, "audit_relay_%s_%s%s", state->component, name, suffix);
        if (labels)
                fprintf(state->status, "{%s}", labels);
}

void status_begin(State *state)
{
        assert(!state->status);
        free(state->status_text);
        state->status_text = NULL;
        state->status = open_memstream(&state->status_text, &state->status_size);
        if (!state->status)
                state_say_failed(state, "status", -ENOMEM);
}

void status_counter(State *state, const char *name, const char *labels, uint64_t value, const char *help)
{
        if (!state->status)
                return;
        if (help)
                print_head(state, name, "counter", help);
        print_name(state, name, "_total", labels);
        fprintf(state->status, " %" PRIu64 "\n", value);
}

void status_gauge(State *state, const char *name, const char *labels, double value, const char *help)
{
        if (!state->status)
                return;
        if (help)
                print_head(state, name, "gauge", help);
        print_name(state, name, "", labels);
        if (isnan(value))
                fputs(" NaN\n", state->status);
        else if (isinf(value))
                fputs(value > 0 ? " +Inf\n" : " -Inf\n", state->status);
        else
                fprintf(state->status, " %.15g\n", value);
}

void status_histogram(State *state, const char *name, const Histogram *histogram, const char *help)
{
        char labels[64];
        uint64_t n = 0;

        if (!state->status)
                return;
        print_head(state, name, "histogram", help);
        for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++) {
                n += histogram->counts[i];
                if (i < HISTOGRAM_BOUNDS)
                        (void) snprintf(labels, sizeof labels, "le=\"%g\"",
                                        (double) histogram_bound(i) / (double) USEC_PER_SEC);
                print_name(state, name, "_bucket", i < HISTOGRAM_BOUNDS ? labels : "le=\"+Inf\"");
                fprintf(state->status, " %" PRIu64 "\n", n);
        }
        print_name(state, name, "_sum", NULL);
        fprintf(state->status, " %.15g\n", (double) histogram->sum_usec / (double) USEC_PER_SEC);
        print_name(state, name, "_count", NULL);
        fprintf(state->status, " %" PRIu64 "\n", n);
}

const char *status_label(State *state, const char *key, const char *value)
{
        size_t size;
        FILE *to;

        free(state->label);
        state->label = NULL;
        to = open_memstream(&state->label, &size);
        if (!to)
                return NULL;
        fprintf(to, "%s=\"", key);
        print_escaped(to, value);
        fputc('"', to);
        return fclose(to) == 0 ? state->label : NULL;
}

static void print_condition(State *state, const char *name, bool holds)
{
        fprintf(state->status, "audit_relay_condition{component=\"%s\",condition=\"%s\"} %d\n",
                state->component, name, holds);
}

/* All there are, so that an alert rule has a series before the first failure; then held ones that are in no
 * table. */
static void print_conditions(State *state)
{
        const Held *held;

        fputs("# TYPE audit_relay_condition gauge\n# HELP audit_relay_condition Whether the condition "
              "holds.\n",
              state->status);
        for (const Condition *c = conditions; c->name; c++)
                if (strcmp(c->component, state->component) == 0)
                        print_condition(state, c->name, state_find(state, c->name) != NULL);
        TAILQ_FOREACH (held, &state->held, entries)
                if (!condition_find(state->component, held->name))
                        print_condition(state, held->name, true);
}

/* Whether the new text is to be written now: it says something else, or the old one would look as if we were
 * stuck. */
static bool status_is_due(const State *state)
{
        uint64_t age = monotonic_usec() - state->published_usec;

        if (!state->published || age >= STATUS_FRESH_USEC)
                return true;
        if (age < STATE_INTERVAL_USEC)
                return false;
        return state->published_size != state->status_size ||
               memcmp(state->published, state->status_text, state->status_size) != 0;
}

static void status_publish(State *state)
{
        int r = state_write_file(state, "status", state->status_text, state->status_size);

        if (r < 0) {
                state_say_failed(state, "status", r);
                return;
        }
        free(state->published);
        state->published = TAKE_PTR(state->status_text);
        state->published_size = state->status_size;
        state->published_usec = monotonic_usec();
}

/* One line for `systemctl status`: the text, and behind it the conditions that hold. */
static void status_notify(State *state, const char *text)
{
        char line[sizeof state->notified], assignment[sizeof line + sizeof "STATUS="];
        const char *before = "; conditions: ";
        const Held *held;
        size_t n;

        n = (size_t) snprintf(line, sizeof line, "%s", text);
        TAILQ_FOREACH (held, &state->held, entries) {
                if (n < sizeof line)
                        n += (size_t) snprintf(line + n, sizeof line - n, "%s%s", before, held->name);
                before = ", ";
        }
        if (strcmp(line, state->notified) == 0)
                return;
        (void) snprintf(assignment, sizeof assignment, "STATUS=%s", line);
        /* What the manager does not take now is said again with the next status. */
        if (notify_manager(assignment) != -EAGAIN)
                (void) snprintf(state->notified, sizeof state->notified, "%s", line);
}

void status_end(State *state, const char *format, ...)
{
        char text[STATUS_TEXT_MAX], help[STATUS_TEXT_MAX + sizeof "STATUS="];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        for (char *p = text; *p != '\0'; p++)
                if ((unsigned char) *p < 0x20 || *p == 0x7f)
                        *p = ' ';
        state_look_for_drill(state);
        status_notify(state, text);
        state_flush_held(state);
        if (!state->status)
                return;
        print_conditions(state);
        (void) snprintf(help, sizeof help, "STATUS=%s", text);
        status_gauge(state, "up", NULL, 1, help);
        fputs("# EOF\n", state->status);
        if (fclose(state->status) != 0)
                state_say_failed(state, "status", -ENOMEM);
        else if (status_is_due(state))
                status_publish(state);
        state->status = NULL;
}
