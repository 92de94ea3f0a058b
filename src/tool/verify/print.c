/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A verification as tables for people, and as JSON. */

#include "tool/json.h"
#include "tool/table.h"
#include "tool/verify/report.h"

#include <inttypes.h>
#include <time.h>

static const struct {
        const char *name;   /* in JSON; docs/verify.md */
        const char *what;
        const char *advice; /* NULL: none */
} kinds[_VERIFY_KIND_MAX] = {
        [VERIFY_DELETED] = { "deleted", "deleted by the store's owner", NULL },
        [VERIFY_UNFINISHED] = { "unfinished", "behind what was promised", NULL },
        [VERIFY_ENTRY] = { "entry", "index entries are damaged",
                           "The text may be whole: its lines can still be read. If nobody changed the file, look after the disk" },
        [VERIFY_CHAIN] = { "chain", "the entry before this one was changed, or this one",
                           "A disk does not do that: somebody wrote the entry again. Compare with a copy, or with another collector" },
        [VERIFY_ORDER] = { "order", "batches are missing here, or not in their order",
                           "Entries were removed, inserted or exchanged. Compare with a copy, or with another collector" },
        [VERIFY_LINK] = { "link", "does not go on where the segment before ended",
                          "The end of the segment before was changed or cut off, or this header. Compare with a copy" },
        [VERIFY_MISSING] = { "missing", "segments are missing, and no entry says that they were deleted",
                             "Put both files of each segment back if they were moved away; else they were removed by hand" },
        [VERIFY_TEXT] = { "text", "the text is not what was stored",
                          "The records may still be on another collector, in their sender's store (KeepAcked=) or in a backup" },
        [VERIFY_INSERTED] = { "inserted", "bytes were inserted here",
                              "Lines that nobody delivered are in the text: the records around them are whole" },
        [VERIFY_REMOVED] = { "removed", "bytes are missing here",
                             "The records may still be on another collector, in their sender's store (KeepAcked=) or in a backup" },
        [VERIFY_SURPLUS] = { "surplus", "bytes behind the end, of no batch",
                             "Somebody appended them; or, if the journal has a disk error of that time, they are what it left of "
                             "a group that was sent again" },
        [VERIFY_STREAM] = { "stream", "seqs of this stream are not here",
                            "They were acked and are gone: look for them on another collector, in their sender's store or in a backup" },
        [VERIFY_REPEATED] = { "repeated", "seqs of this stream are here twice",
                              "Batches were inserted, or the index is of several stores. Compare with a copy" },
        [VERIFY_CHECKPOINT] = { "checkpoint", "the checkpoint is of another history than this store's",
                                "What stands before it was written again, or it was. Compare with a copy, or with receipts" },
};

static const struct {
        const char *name;
        const char *what;
        const char *advice;
} proofs[_PROOF_KIND_MAX] = {
        [PROOF_SIGNATURE] = { "signature", "the signature of this checkpoint is wrong",
                              "The store was written again up to here, by somebody without the key. Compare with a copy" },
        [PROOF_SEQUENCE] = { "sequence", "checkpoints before this one are missing, or others",
                             "CHECKPOINT entries were removed or exchanged, and what they would have proved with them" },
        [PROOF_UNSIGNED] = { "unsigned", "nothing in this store is signed by this key",
                             "It is another store or key, none was signed yet, or all of it was written again" },
        [PROOF_TRUNCATED] = { "truncated", "the store ends before what a checkpoint says it had",
                              "The end was cut off, or the store was set back. The senders may have the records still (KeepAcked=)" },
        [PROOF_HISTORY] = { "history", "a checkpoint that was kept is of another history",
                            "Records of these seqs were changed, removed or inserted, and the chain was computed again; or the store was "
                            "set back and went on" },
        [PROOF_STREAM] = { "receipt", "these seqs of the client's stream are not here, which its receipt says were",
                           "The collector told the client that it had them, and did not write them down. They may still be with the client "
                           "(KeepAcked=)" },
        [PROOF_STORE] = { "store", "a checkpoint that was kept is of a store that is not here", "Name that store, too; or it is gone" },
};

static const char *const verdicts[] = {
        [REPORT_INTACT] = "intact",
        [REPORT_GAPS] = "gaps",
        [REPORT_DAMAGED] = "damaged",
};

static const char *const deletions[_INDEX_DELETED_MAX] = {
        [INDEX_DELETED_ACKED] = "acked", [INDEX_DELETED_SIZE] = "size",     [INDEX_DELETED_AGE] = "age",
        [INDEX_DELETED_SPACE] = "space", [INDEX_DELETED_ASKED] = "by hand",
};

static const char *deletion_name(IndexDeleted reason)
{
        return reason < _INDEX_DELETED_MAX && deletions[reason] ? deletions[reason] : "";
}

static void show_time(uint64_t usec, char ret[static 32])
{
        time_t seconds = (time_t) (usec / USEC_PER_SEC);
        struct tm tm;

        if (usec == 0 || !gmtime_r(&seconds, &tm) || strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                ret[0] = '\0';
}

static void show_range(uint64_t first, uint64_t last, char ret[static 48])
{
        if (last < first)
                ret[0] = '\0';
        else
                (void) snprintf(ret, 48, "%" PRIu64 "..%" PRIu64, first, last);
}

static void show_file(const VerifyFinding *finding, char ret[static 48])
{
        (void) snprintf(ret, 48, "%020" PRIu64 "%s", finding->segment,
                        !finding->text ? ".idx" : finding->packed ? ".log.zst" : ".log");
}

/* --- For people --- */

static int print_titled(const char *title, Table *table, FILE *to)
{
        if (!table_has_rows(table))
                return 0;
        fprintf(to, "\n%s\n", title);
        return table_print(table, to);
}

static int print_streams(const Report *report, FILE *to)
{
        _cleanup_(table_freep) Table *table = NULL;
        char id[33], time[32];
        int r = table_new("OWNER STREAM >FIRST >LAST >RECORDS >FILTERED >ELSEWHERE >LOST RECEIVED", &table);

        for (size_t i = 0; r == 0 && i < report->result.n_streams; i++) {
                const VerifyStream *s = &report->result.streams[i];

                stream_id_format(&s->id, id);
                show_time(s->last_usec, time);
                table_add(table, "%s", s->owner);
                table_add(table, "%s", id);
                table_add(table, "%" PRIu64, s->first);
                table_add(table, "%" PRIu64, s->last);
                table_add(table, "%" PRIu64, s->records);
                table_add(table, "%" PRIu64, s->filtered);
                table_add(table, "%" PRIu64, s->elsewhere);
                table_add(table, "%" PRIu64, s->lost);
                table_add(table, "%s", time);
        }
        return r < 0 ? r : print_titled("Who delivered", table, to);
}

static int print_gaps(const Report *report, FILE *to)
{
        _cleanup_(table_freep) Table *table = NULL;
        char time[32], range[48];
        int r = table_new("NODE TIME >LOST COUNT WHERE REASON SEQS", &table);

        for (size_t i = 0; r == 0 && i < report->n_gaps; i++) {
                const ReportGap *gap = &report->gaps[i];

                show_time(gap->time_usec, time);
                show_range(gap->seq, gap->last_seq, range);
                table_add(table, "%s", gap->node);
                table_add(table, "%s", time);
                table_add(table, "%s", gap->lost);
                table_add(table, "%s", gap->count);
                table_add(table, "%s", gap->where);
                table_add(table, "%s", gap->reason);
                table_add(table, "%s", range);
        }
        if (r == 0)
                r = print_titled("Gaps that were told (op=relay-gap)", table, to);
        if (report->gaps_more > 0)
                fprintf(to, "… and %" PRIu64 " more\n", report->gaps_more);
        return r;
}

static int print_deleted(const Report *report, FILE *to)
{
        _cleanup_(table_freep) Table *table = NULL;
        char time[32], range[48];
        int r = table_new("SEQS TIME >BYTES REASON", &table);

        for (size_t i = 0; r == 0 && i < report->n_findings; i++) {
                const VerifyFinding *finding = &report->findings[i].finding;

                if (finding->kind != VERIFY_DELETED)
                        continue;
                show_range(finding->first, finding->last, range);
                show_time(finding->time_usec, time);
                table_add(table, "%s", range);
                table_add(table, "%s", time);
                table_add(table, "%" PRIu64, finding->size);
                table_add(table, "%s", deletion_name(finding->reason));
        }
        return r < 0 ? r : print_titled("Deleted by the store's owner", table, to);
}

static void add_damage(Table *table, const ReportFinding *kept)
{
        const VerifyFinding *finding = &kept->finding;
        char file[48], range[48];

        show_file(finding, file);
        show_range(finding->first, finding->last, range);
        table_add(table, "%s", file);
        table_add(table, "%" PRIu64, finding->offset);
        table_add(table, "%" PRIu64, finding->size);
        table_add(table, "%s", range);
        table_add(table, "%s", kept->owner);
        table_add(table, "%s", kinds[finding->kind].what);
}

static int print_damages(const Report *report, FILE *to)
{
        _cleanup_(table_freep) Table *table = NULL;
        bool seen[_VERIFY_KIND_MAX] = { false };
        int r = table_new("FILE >OFFSET >BYTES SEQS STREAM WHAT", &table);

        for (size_t i = 0; r == 0 && i < report->n_findings; i++)
                if (verify_is_damage(report->findings[i].finding.kind)) {
                        seen[report->findings[i].finding.kind] = true;
                        add_damage(table, &report->findings[i]);
                }
        if (r == 0)
                r = print_titled("Damage", table, to);
        if (report->findings_more > 0)
                fprintf(to, "… and %" PRIu64 " more\n", report->findings_more);
        for (VerifyKind kind = _VERIFY_DAMAGE; kind < _VERIFY_KIND_MAX; kind++)
                if (seen[kind])
                        fprintf(to, "%s: %s.\n", kinds[kind].what, kinds[kind].advice);
        return r;
}

static int print_proofs(const Report *report, FILE *to)
{
        _cleanup_(table_freep) Table *table = NULL;
        bool seen[_PROOF_KIND_MAX] = { false };
        char range[48], time[32], number[24];
        int r = table_new(">CHECKPOINT TIME SEQS FROM WHAT", &table);

        for (size_t i = 0; r == 0 && i < report->n_proofs; i++) {
                const Proof *proof = &report->proofs[i];

                seen[proof->kind] = true;
                show_range(proof->first, proof->last, range);
                show_time(proof->time_sec * USEC_PER_SEC, time);
                (void) snprintf(number, sizeof number, "%" PRIu64, proof->number);
                table_add(table, "%s", proof->number > 0 ? number : "");
                table_add(table, "%s", time);
                table_add(table, "%s", range);
                table_add(table, "%s", proof->path ? proof->path : "index");
                table_add(table, "%s", proofs[proof->kind].what);
        }
        if (r == 0)
                r = print_titled("Evidence against it", table, to);
        for (ProofKind kind = 0; kind < _PROOF_KIND_MAX; kind++)
                if (seen[kind])
                        fprintf(to, "%s: %s.\n", proofs[kind].what, proofs[kind].advice);
        return r;
}

void report_print_rest(const Proof *proof, FILE *to)
{
        char id[33], time[32];

        stream_id_format(&proof->store, id);
        show_time(proof->time_sec * USEC_PER_SEC, time);
        fprintf(to, "%s: checkpoint %" PRIu64 " of %s, up to seq %" PRIu64 ", is of store %s, which is not here: %s\n", proof->path,
                proof->number, time, proof->last, id, proofs[PROOF_STORE].advice);
}

static void print_signed(const Report *report, FILE *to)
{
        char time[32];

        if (report->checkpoints > 0 && !report->has_keys)
                fprintf(to, "%" PRIu64 " checkpoints, whose signatures nobody has looked at: see --key=\n", report->checkpoints);
        if (report->signed_sec == 0)
                return;
        show_time(report->signed_sec * USEC_PER_SEC, time);
        fprintf(to, "Signed up to seq %" PRIu64 " at %s", report->signed_seq, time);
        if (report->result.newest > report->signed_seq)
                fprintf(to, "; the %" PRIu64 " records behind are not signed yet", report->result.newest - report->signed_seq);
        fputc('\n', to);
}

static void print_summary(const Report *report, FILE *to)
{
        const VerifyResult *result = &report->result;
        char id[33];

        stream_id_format(&result->stream, id);
        fprintf(to, "%s\n", report->directory);
        fprintf(to, "stream %s, seqs %" PRIu64 "..%" PRIu64 ": %" PRIu64 " records, %" PRIu64
                    " bytes of text in %" PRIu64 " segments (%" PRIu64 " compressed)\n",
                id, result->oldest, result->newest, result->records, result->text_bytes, result->segments,
                result->packed);
        if (result->unchained > 0)
                fprintf(to, "%" PRIu64 " segments have no chain: there, only what happened by accident is sure to be found\n",
                        result->unchained);
        print_signed(report, to);
        if (report->unfinished > 0)
                fprintf(to, "%" PRIu64 " bytes at the end were promised to nobody: a group under way, or what a crash left\n",
                        report->unfinished);
}

static void print_verdict(const Report *report, FILE *to)
{
        switch (report_verdict(report)) {
        case REPORT_INTACT:
                fprintf(to, "\nIntact.\n");
                break;
        case REPORT_GAPS:
                fprintf(to, "\nIntact, with gaps that were told when they came about.\n");
                break;
        default:
                fprintf(to, "\nDAMAGED in %" PRIu64 " place%s. Nothing was changed here; keep a copy before you do.\n",
                        report->result.damages + report->n_proofs,
                        report->result.damages + report->n_proofs == 1 ? "" : "s");
        }
}

int report_print(const Report *report, FILE *to)
{
        int r;

        print_summary(report, to);
        if ((r = print_streams(report, to)) < 0 || (r = print_gaps(report, to)) < 0 ||
            (r = print_deleted(report, to)) < 0 || (r = print_damages(report, to)) < 0 || (r = print_proofs(report, to)) < 0)
                return r;
        print_verdict(report, to);
        return 0;
}

/* --- JSON --- */

static void put_time(Json *json, const char *name, uint64_t usec)
{
        char text[32];

        show_time(usec, text);
        json_string(json, name, text[0] ? text : NULL);
}

static void put_streams(Json *json, const VerifyResult *result)
{
        char id[33];

        json_array_begin(json, "streams");
        for (size_t i = 0; i < result->n_streams; i++) {
                const VerifyStream *s = &result->streams[i];

                stream_id_format(&s->id, id);
                json_object_begin(json, NULL);
                json_string(json, "owner", s->owner);
                json_string(json, "stream", id);
                json_unsigned(json, "first", s->first);
                json_unsigned(json, "last", s->last);
                json_unsigned(json, "records", s->records);
                json_unsigned(json, "filtered", s->filtered);
                json_unsigned(json, "elsewhere", s->elsewhere);
                json_unsigned(json, "lost", s->lost);
                put_time(json, "received", s->last_usec);
                json_object_end(json);
        }
        json_array_end(json);
}

static void put_gaps(Json *json, const Report *report)
{
        json_array_begin(json, "gaps");
        for (size_t i = 0; i < report->n_gaps; i++) {
                const ReportGap *gap = &report->gaps[i];

                json_object_begin(json, NULL);
                json_string(json, "node", gap->node);
                put_time(json, "time", gap->time_usec);
                json_number(json, "lost", gap->lost);
                json_string(json, "count", gap->count);
                json_string(json, "where", gap->where);
                json_string(json, "reason", gap->reason);
                json_unsigned(json, "first", gap->seq);
                json_unsigned(json, "last", gap->last_seq);
                json_object_end(json);
        }
        json_array_end(json);
}

static void put_finding(Json *json, const ReportFinding *kept)
{
        const VerifyFinding *finding = &kept->finding;
        char text[48];

        json_object_begin(json, NULL);
        json_string(json, "kind", kinds[finding->kind].name);
        show_file(finding, text);
        json_string(json, "file", text);
        json_unsigned(json, "offset", finding->offset);
        json_unsigned(json, "bytes", finding->size);
        json_unsigned(json, "first", finding->first);
        json_unsigned(json, "last", finding->last);
        if (finding->kind == VERIFY_DELETED) {
                json_string(json, "reason", deletion_name(finding->reason));
                put_time(json, "time", finding->time_usec);
        }
        if (!stream_id_is_null(&kept->stream)) {
                stream_id_format(&kept->stream, text);
                json_string(json, "stream", text);
                json_string(json, "owner", kept->owner);
        }
        if (kinds[finding->kind].advice) {
                json_string(json, "what", kinds[finding->kind].what);
                json_string(json, "advice", kinds[finding->kind].advice);
        }
        json_object_end(json);
}

static void put_findings(Json *json, const Report *report, const char *name, bool damage)
{
        json_array_begin(json, name);
        for (size_t i = 0; i < report->n_findings; i++)
                if (verify_is_damage(report->findings[i].finding.kind) == damage)
                        put_finding(json, &report->findings[i]);
        json_array_end(json);
}

static void put_proofs(Json *json, const Report *report)
{
        char stream[33];

        json_array_begin(json, "evidence");
        for (size_t i = 0; i < report->n_proofs; i++) {
                const Proof *proof = &report->proofs[i];

                json_object_begin(json, NULL);
                json_string(json, "kind", proofs[proof->kind].name);
                json_unsigned(json, "checkpoint", proof->number);
                put_time(json, "time", proof->time_sec * USEC_PER_SEC);
                json_unsigned(json, "first", proof->first);
                json_unsigned(json, "last", proof->last);
                json_string(json, "file", proof->path);
                stream_id_format(&proof->stream, stream);
                json_string(json, "stream", stream_id_is_null(&proof->stream) ? NULL : stream);
                json_string(json, "what", proofs[proof->kind].what);
                json_string(json, "advice", proofs[proof->kind].advice);
                json_object_end(json);
        }
        json_array_end(json);
}

static void put_report(Json *json, const Report *report)
{
        const VerifyResult *result = &report->result;
        char id[33];

        stream_id_format(&result->stream, id);
        json_object_begin(json, NULL);
        json_string(json, "directory", report->directory);
        json_string(json, "verdict", verdicts[report_verdict(report)]);
        json_string(json, "stream", id);
        json_unsigned(json, "oldest", result->oldest);
        json_unsigned(json, "newest", result->newest);
        json_unsigned(json, "records", result->records);
        json_unsigned(json, "text_bytes", result->text_bytes);
        json_unsigned(json, "segments", result->segments);
        json_unsigned(json, "compressed", result->packed);
        json_unsigned(json, "unchained", result->unchained);
        json_unsigned(json, "unfinished_bytes", report->unfinished);
        put_streams(json, result);
        put_gaps(json, report);
        put_findings(json, report, "deleted", false);
        json_unsigned(json, "damage_count", result->damages);
        put_findings(json, report, "damages", true);
        json_unsigned(json, "checkpoints", report->checkpoints);
        json_unsigned(json, "signed_seq", report->signed_seq);
        put_time(json, "signed_time", report->signed_sec * USEC_PER_SEC);
        put_proofs(json, report);
        json_object_end(json);
}

void report_print_json(Report *const *reports, size_t n, FILE *to)
{
        Json json = JSON_INIT(to);

        json_array_begin(&json, NULL);
        for (size_t i = 0; i < n; i++)
                put_report(&json, reports[i]);
        json_array_end(&json);
        fputc('\n', to);
}
