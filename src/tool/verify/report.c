/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is kept of a verification: the findings, and the gap records that are in the text. */

#include "tool/verify/report.h"
#include "lib/fields.h"
#include "record/record.h"

int report_new(const char *directory, Report **ret)
{
        Report *report = calloc(1, sizeof *report);

        if (!report)
                return -ENOMEM;
        report->directory = strdup(directory);
        if (!report->directory) {
                free(report);
                return -ENOMEM;
        }
        *ret = report;
        return 0;
}

Report *report_free(Report *report)
{
        if (!report)
                return NULL;
        verify_result_done(&report->result);
        free(report->gaps);
        free(report->findings);
        free(report->proofs);
        free(report->directory);
        free(report);
        return NULL;
}

/* Room for one more of `size` bytes each. */
static bool grow(Report *report, void **items, size_t n, size_t *allocated, size_t size)
{
        size_t more = MAX(2 * *allocated, (size_t) 16);
        void *grown;

        if (n < *allocated)
                return true;
        grown = reallocarray(*items, more, size);
        if (!grown) {
                report->no_memory = true;
                return false;
        }
        *items = grown;
        *allocated = more;
        return true;
}

void report_finding(const VerifyFinding *finding, void *userdata)
{
        Report *report = userdata;
        ReportFinding *kept;

        if (finding->kind == VERIFY_UNFINISHED) {
                report->unfinished += finding->size;
                return;
        }
        if (report->n_findings == REPORT_ROWS_MAX) {
                report->findings_more++;
                return;
        }
        if (!grow(report, (void **) &report->findings, report->n_findings, &report->allocated_findings, sizeof *kept))
                return;
        kept = &report->findings[report->n_findings++];
        *kept = (ReportFinding) { .finding = *finding };
        kept->finding.stream = NULL;
        if (finding->stream) {
                kept->stream = finding->stream->id;
                strcpy(kept->owner, finding->stream->owner);
        }
}

void report_proof(const Proof *proof, void *userdata)
{
        Report *report = userdata;

        if (report->n_proofs < REPORT_ROWS_MAX &&
            grow(report, (void **) &report->proofs, report->n_proofs, &report->allocated_proofs, sizeof *proof))
                report->proofs[report->n_proofs++] = *proof;
}

static void copy(RecordSlice from, char *to, size_t size)
{
        size_t n = MIN(from.size, size - 1);

        memcpy(to, from.data, n);
        to[n] = '\0';
}

static void copy_field(RecordSlice text, const char *name, char *to, size_t size)
{
        Field field;

        to[0] = '\0';
        if (field_find(text, name, &field))
                copy(field.value, to, size);
}

static bool slice_is(RecordSlice slice, const char *word)
{
        return slice.size == strlen(word) && memcmp(slice.data, word, slice.size) == 0;
}

/* Only our own programs write this type with this op: a user's words are in records of other types. */
static bool is_gap(const uint8_t *line, size_t size, RecordPrefix *ret_prefix, RecordSlice *ret_text)
{
        const uint8_t *text;
        Field op;

        if (record_parse(line, size, ret_prefix) != RECORD_OK || !slice_is(ret_prefix->type, "DAEMON_ERR"))
                return false;
        text = memmem(line, size, "): ", 3);
        if (!text)
                return false;
        *ret_text = (RecordSlice) { text + 3, size - (size_t) (text + 3 - line) };
        return field_find(*ret_text, "op", &op) && slice_is(op.value, "relay-gap");
}

static void take_gap(Report *report, const IndexEntry *entry, const RecordPrefix *prefix, RecordSlice text)
{
        ReportGap *gap;

        if (report->n_gaps == REPORT_ROWS_MAX) {
                report->gaps_more++;
                return;
        }
        if (!grow(report, (void **) &report->gaps, report->n_gaps, &report->allocated_gaps, sizeof *gap))
                return;
        gap = &report->gaps[report->n_gaps++];
        *gap = (ReportGap) {
                .seq = entry->batch.stored.first,
                .last_seq = entry->batch.stored.last,
                .time_usec = prefix->time.sec * USEC_PER_SEC + prefix->time.msec * USEC_PER_MSEC,
        };
        copy(prefix->node, gap->node, sizeof gap->node);
        copy_field(text, "where", gap->where, sizeof gap->where);
        copy_field(text, "reason", gap->reason, sizeof gap->reason);
        copy_field(text, "lost", gap->lost, sizeof gap->lost);
        copy_field(text, "count", gap->count, sizeof gap->count);
}

void report_batch(const IndexEntry *entry, const VerifyStream *stream, const uint8_t *payload, void *userdata)
{
        static const char mark[] = "op=relay-gap ";
        size_t left = entry->batch.stored.size, size;
        Report *report = userdata;
        RecordPrefix prefix;
        RecordSlice text;

        if (!payload || !memmem(payload, left, mark, strlen(mark)))
                return;
        for (; (size = record_next(payload, left)) > 0 && size != SIZE_MAX; payload += size, left -= size)
                if (is_gap(payload, size, &prefix, &text))
                        take_gap(report, entry, &prefix, text);
}

ReportVerdict report_verdict(const Report *report)
{
        if (report->result.damages > 0 || report->n_proofs > 0)
                return REPORT_DAMAGED;
        if (report->n_gaps > 0)
                return REPORT_GAPS;
        for (size_t i = 0; i < report->result.n_streams; i++)
                if (report->result.streams[i].lost > 0)
                        return REPORT_GAPS;
        return REPORT_INTACT;
}
