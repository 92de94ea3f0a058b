/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dispatcher/report.h"

#include <inttypes.h>

/* From the kernel, or through auditd. */
static void count_kernel(const Report *report, uint64_t *ret_records, uint64_t *ret_batches)
{
        const AuditdCounters *auditd = auditd_counters(report->auditd);

        *ret_records = auditd->records + (report->kernel ? kernel_counters(report->kernel)->records : 0);
        *ret_batches = auditd->batches + (report->kernel ? kernel_counters(report->kernel)->batches : 0);
}

static uint64_t report_records(const Report *report)
{
        InputCounters input = { 0 };
        uint64_t kernel_records, kernel_batches;

        if (report->input)
                input_counters(report->input, &input);
        count_kernel(report, &kernel_records, &kernel_batches);
        status_counter(report->state, "records", "origin=\"kernel\"", kernel_records,
                       "Records taken into the ring");
        status_counter(report->state, "records", "origin=\"local\"",
                       input.plain_records + input.link_records, NULL);
        status_counter(report->state, "batches", "origin=\"kernel\"", kernel_batches, "Batches they made");
        status_counter(report->state, "batches", "origin=\"local\"",
                       input.plain_batches + input.link_batches, NULL);
        for (RecordFault fault = RECORD_E_FORM; fault < _RECORD_FAULT_MAX; fault++)
                status_counter(report->state, "refused",
                               status_label(report->state, "fault", record_fault_to_string(fault)),
                               input.refused[fault],
                               fault == RECORD_E_FORM ? "Lines of producers that were no records" : NULL);
        status_counter(report->state, "violations", NULL, input.violations,
                       "Sessions of producers ended for bad framing");
        status_gauge(report->state, "producers", NULL, (double) input.connections,
                     "Producers connected");
        status_counter(report->state, "producers_turned_away", NULL, input.turned_away,
                       "Producers that were too many, of their user or of all");
        status_counter(report->state, "records_came_back", NULL, input.came_back,
                       "Records of this host that the aggregator published to it, left out");
        status_counter(report->state, "producers_waited", NULL, input.waited,
                       "Times a user's producers had to wait for his rate, or his share of the ring");
        status_counter(report->state, "auditd_refused", NULL, auditd_counters(report->auditd)->refused,
                       "Messages of auditd that were no records of this node, stored escaped");
        status_gauge(report->state, "auditd_connected", NULL, auditd_counters(report->auditd)->connected,
                     "Whether a running auditd is read");
        return kernel_records + input.plain_records + input.link_records;
}

static void report_ring(const Report *report)
{
        const RingState *state = ring_state(report->ring);
        RingStatus ring;

        ring_status(report->ring, &ring);
        status_counter(report->state, "dropped", NULL, ring.dropped,
                       "Kernel records dropped because the ring was full");
        status_counter(report->state, "replaced", NULL, state->replaced,
                       "LF, CR and NUL inside texts that became spaces");
        status_gauge(report->state, "ring_newest_seq", NULL, (double) ring.newest, "Last seq published");
        status_gauge(report->state, "ring_oldest_seq", NULL, (double) ring.oldest, "Oldest seq held");
        status_gauge(report->state, "ring_used_bytes", NULL, (double) ring.used,
                     "What an awaited subscriber has not acked");
        status_gauge(report->state, "ring_size_bytes", NULL, (double) ring.size, "Size of the ring");
}

static void report_backlog(const Report *report)
{
        uint32_t waiting, limit;

        if (!report->kernel || !kernel_backlog(report->kernel, &waiting, &limit))
                return;
        status_gauge(report->state, "kernel_backlog", NULL, waiting, "Records that wait in the kernel");
        status_gauge(report->state, "kernel_backlog_limit", NULL, limit,
                     "How many may: beyond it processes are held up, then records lost");
}

static void report_kernel(const Report *report)
{
        const KernelSerials *serials = kernel_serials(report->ring);
        KernelCounters counters = { 0 };

        if (report->kernel)
                counters = *kernel_counters(report->kernel);
        status_counter(report->state, "kernel_events_lost", NULL, serials->events_lost,
                       "Events of which nothing came, by their serials");
        status_counter(report->state, "kernel_events_cut", NULL, serials->events_cut,
                       "Events of which only a part came");
        status_counter(report->state, "kernel_late", NULL, serials->late,
                       "Records that came after their serial was judged");
        status_counter(report->state, "kernel_overruns", NULL, counters.overruns,
                       "Times the audit socket ran over");
        status_gauge(report->state, "kernel_lost", NULL, serials->kernel_lost,
                     "The kernel's own counter of lost records");
        report_backlog(report);
        status_counter(report->state, "kernel_ignored", "reason=\"not-the-kernel\"", counters.foreign,
                       "Messages on the audit socket that are no records");
        status_counter(report->state, "kernel_ignored", "reason=\"malformed\"", counters.malformed,
                       NULL);
}

static const char *describe_kernel(const Report *report)
{
        if (report->kernel)
                return kernel_description(report->kernel);
        return auditd_counters(report->auditd)->connected ? "kernel by auditd" : "no kernel";
}

void report_write(const Report *report)
{
        uint64_t records;
        char subscribers[512];

        status_begin(report->state);
        records = report_records(report);
        report_ring(report);
        report_kernel(report);
        subscribers_status(report->subscribers, subscribers, sizeof subscribers);
        pull_status(report->pull, report->state);
        commands_status(report->commands);
        status_end(report->state, "%s, %" PRIu64 " records%s",
                   describe_kernel(report), records, subscribers);
}
