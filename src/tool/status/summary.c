/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tool/status/summary.h"
#include "tool/table.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#define LABEL_MAX 256U

static void row(const char *name, const char *format, ...) _printf_(2, 3);

static void row(const char *name, const char *format, ...)
{
        va_list arguments;

        printf("  %-12s", name);
        va_start(arguments, format);
        (void) vprintf(format, arguments);
        va_end(arguments);
        putchar('\n');
}

/* 0 where it is not there. */
static double value_of(const Component *component, const char *name)
{
        double value;

        return component_sample(component, name, &value) ? value : 0;
}

static bool has(const Component *component, const char *name)
{
        double value;

        return component_sample(component, name, &value);
}

/* "1.2G"; one of four buffers in turn. */
static const char *bytes(double n)
{
        static const char units[] = "BKMGTP";
        static char texts[4][32];
        static unsigned i;
        char *text = texts[i++ % ELEMENTSOF(texts)];
        unsigned unit = 0;

        for (; n >= 1024 && unit < sizeof units - 2; unit++)
                n /= 1024;
        (void) snprintf(text, sizeof texts[0], unit == 0 ? "%.0f%c" : "%.1f%c", n, units[unit]);
        return text;
}

/* The value of the only label of a sample that is called `family`; false: it is another sample. */
static bool label_of(const char *sample, const char *family, char ret[static LABEL_MAX])
{
        const char *quote = strchr(sample, '"');
        size_t n = strlen(family);

        if (strncmp(sample, family, n) != 0 || sample[n] != '{' || !quote)
                return false;
        (void) snprintf(ret, LABEL_MAX, "%.*s", (int) MIN(strcspn(quote + 1, "\""), LABEL_MAX - 1), quote + 1);
        return true;
}

static void print_store(const Component *component)
{
        if (has(component, "store_bytes"))
                row("store", "%s in %.0f segments", bytes(value_of(component, "store_bytes")), value_of(component, "store_segments"));
        if (has(component, "certificate_days"))
                row("certificate", "%.0f days left", value_of(component, "certificate_days"));
}

/* --- The dispatcher --- */

static double of_subscriber(const Component *component, const char *family, const char *subscriber)
{
        char name[LABEL_MAX + 64];

        (void) snprintf(name, sizeof name, "%s{subscriber=\"%s\"}", family, subscriber);
        return value_of(component, name);
}

static int print_subscribers(const Component *component)
{
        _cleanup_(table_freep) Table *table = NULL;
        int r = table_new("SUBSCRIBER STATE >LAG >QUEUED >DROPPED", &table);
        const char *p = component->text;
        char *name, *value, label[LABEL_MAX];

        while (r == 0 && p && (p = component_next_sample(component, p, &name, &value))) {
                if (name && value && label_of(name, "subscriber_connected", label)) {
                        table_add(table, "%s", label);
                        table_add(table, "%s", strcmp(value, "1") == 0 ? "connected" : "away");
                        table_add(table, "%.0f", of_subscriber(component, "subscriber_lag_records", label));
                        table_add(table, "%s", bytes(of_subscriber(component, "subscriber_queued_bytes", label)));
                        table_add(table, "%.0f", of_subscriber(component, "subscriber_dropped_total", label));
                }
                free(name);
                free(value);
        }
        if (r == 0 && table_has_rows(table)) {
                putchar('\n');
                r = table_print(table, stdout);
        }
        return r;
}

static int print_dispatcher(const Component *component)
{
        double size = value_of(component, "ring_size_bytes"), used = value_of(component, "ring_used_bytes");

        if (has(component, "records_total{origin=\"kernel\"}"))
                row("records", "%.0f from the kernel, %.0f from producers", value_of(component, "records_total{origin=\"kernel\"}"),
                    value_of(component, "records_total{origin=\"local\"}"));
        if (has(component, "kernel_events_lost_total"))
                row("lost", "%.0f events, %.0f cut; %.0f records by the kernel's count, %.0f dropped from a full ring",
                    value_of(component, "kernel_events_lost_total"), value_of(component, "kernel_events_cut_total"),
                    value_of(component, "kernel_lost"), value_of(component, "dropped_total"));
        if (has(component, "kernel_backlog"))
                row("backlog", "%.0f of %.0f in the kernel", value_of(component, "kernel_backlog"), value_of(component, "kernel_backlog_limit"));
        if (size > 0)
                row("ring", "%.1f%% of %s waits for subscribers", used * 100 / size, bytes(size));
        return print_subscribers(component);
}

/* --- remote and the aggregator --- */

static void print_remote(const Component *component)
{
        const char *p = component->text;
        char *name, *value, label[LABEL_MAX] = "";

        while (p && (p = component_next_sample(component, p, &name, &value))) {
                if (name && label[0] == '\0')
                        (void) label_of(name, "collector_in_use", label);
                free(name);
                free(value);
        }
        if (has(component, "connected"))
                row("collector", "%s%s%s", value_of(component, "connected") > 0 ? "connected" : "none takes records", label[0] ? " to " : "", label);
        if (has(component, "waiting_records"))
                row("waiting", "%.0f records", value_of(component, "waiting_records"));
        print_store(component);
}

static void print_aggregator(const Component *component)
{
        unsigned peers = 0, connected = 0;
        const char *p = component->text;
        char *name, *value, label[LABEL_MAX];
        double lag = 0, lost = 0;

        while (p && (p = component_next_sample(component, p, &name, &value))) {
                if (name && value && label_of(name, "peer_connected", label)) {
                        peers++;
                        connected += strcmp(value, "1") == 0;
                } else if (name && value && label_of(name, "peer_lag_seconds", label)) {
                        lag = MAX(lag, strtod(value, NULL));
                } else if (name && value && label_of(name, "peer_records_lost_total", label)) {
                        lost += strtod(value, NULL);
                }
                free(name);
                free(value);
        }
        if (has(component, "peers"))
                row("peers", "%u of %u connected, %.1f s behind at most, %.0f records lost on their way (--peers lists all)", connected, peers, lag,
                    lost);
        print_store(component);
}

int status_summary(const Component *component)
{
        if (strcmp(component->name, "dispatcher") == 0)
                return print_dispatcher(component);
        if (strcmp(component->name, "remote") == 0)
                print_remote(component);
        if (strcmp(component->name, "aggregator") == 0)
                print_aggregator(component);
        return 0;
}
