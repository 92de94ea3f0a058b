/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay log: records out of stores, found by their indexes.
 *
 *      stores ─▶ merge.c ─▶ match.c ─▶ [whole events] ─▶ print.c
 *
 * The last N are found by going over them twice: first they are counted, from further and further back, then
 * all but the last N are left out. So nothing is kept in memory but the events whose end did not come yet.
 */

#include "lib/events.h"
#include "runtime/loop.h"
#include "tool/log/follow.h"
#include "tool/log/merge.h"
#include "tool/log/options.h"
#include "tool/log/stores.h"
#include "tool/reason.h"
#include "tool/terminal.h"
#include "tool/tool.h"

#include <stdio.h>

#define EXIT_DAMAGED 3

/* Events whose end is awaited. A store of many nodes has some of each at once. */
#define EVENTS_MAX 8192U
#define EVENTS_BYTES_MAX (32U * 1024U * 1024U)
/* Of a live store, an event that has not ended by then never will: auditd's end_of_event_timeout. */
#define EVENT_TIMEOUT_USEC (2 * USEC_PER_SEC)
/* When events are waiting while nothing is written. */
#define EVENT_TURN_MSEC 1000
/* Each look for the last N goes so many times further back than the one before. */
#define BACK_FACTOR 16U
/* Events that may have begun before the place from where we look, and would be shown in part. */
#define EVENTS_CUT 256U
#define PROGRESS_USEC (200 * USEC_PER_MSEC)

typedef struct Log {
        LogOptions options;
        LogMerge *merge;
        LogFollow *follow;
        LogPrint print;
        Events *events; /* NULL: single records */
        Keys no_keys;
        LogStores stores;
        bool counting; /* prints nothing */
        uint64_t count, skip;
        uint64_t left; /* going back: so many more */
        LogCursor cursor; /* where we were last time, or are */
        const char *cursor_file; /* NULL: it is not kept */
        bool damaged;
        bool progress; /* it is worth while, and does not get between the records */
        uint64_t shown_usec;
} Log;

/* --- From batches to what is printed --- */

static int emit(Log *log, const uint8_t *lines, size_t size)
{
        if (log->counting) {
                log->count++;
                return 0;
        }
        if (log->skip > 0) {
                log->skip--;
                return 0;
        }
        log->left--;
        return log_print(&log->print, lines, size);
}

/* Each thing that is asked for may be in another record of the event. */
static int emit_event(Log *log, const Event *event)
{
        const uint8_t *p = event->lines;
        size_t left = event->size, size;
        RecordPrefix prefix;
        unsigned match = 0;

        for (; (size = record_next(p, left)) > 0; p += size, left -= size)
                if (record_parse(p, size, &prefix) == RECORD_OK)
                        match |= log_match(&log->options.query, p, size, &prefix);
        return match == LOG_MATCH_ALL ? emit(log, event->lines, event->size) : 0;
}

static int emit_events(Log *log, uint64_t now_usec)
{
        Event *event;
        int r = 0;

        while (r == 0 && log->events && (event = events_pop(log->events, now_usec))) {
                r = emit_event(log, event);
                event_free(event);
        }
        return r;
}

/* Of a store that is not followed, nothing is known of the time that passes: an event waits for its end as
 * long as there is room. */
static uint64_t event_now(const Log *log)
{
        return log->options.follow ? monotonic_usec() : 0;
}

static int take_line(Log *log, const ViewBatch *batch, const uint8_t *line, size_t size)
{
        static const AuditRelayCursor nowhere;
        RecordPrefix prefix;
        unsigned match;
        int r;

        if (record_parse(line, size, &prefix) != RECORD_OK)
                return 0;
        match = log_match(&log->options.query, line, size, &prefix);
        if (!log->events)
                return match == LOG_MATCH_ALL ? emit(log, line, size) : 0;
        if (!(match & LOG_MATCH_EVENT))
                return 0;
        r = events_push(log->events, batch->stored.origin, line, size, &nowhere, event_now(log));
        return r == -EBADMSG ? 0 : r;
}

static int take_back(Log *log, const ViewBatch *batch)
{
        const uint8_t *begin = batch->stored.payload, *end = begin + batch->stored.size, *line;
        int r = 0;

        for (; r == 0 && log->left > 0 && end > begin; end = line) {
                for (line = end - 1; line > begin && line[-1] != '\n';)
                        line--;
                r = take_line(log, batch, line, (size_t) (end - line));
        }
        return r;
}

static int take_batch(Log *log, const ViewBatch *batch, const char *directory)
{
        const uint8_t *p = batch->stored.payload;
        size_t left = batch->stored.size, size;
        int r = 0;

        if (batch->damaged) {
                log->damaged = true;
                terminal_progress_end();
                return log->counting ? 0 : log_print_damage(&log->print, batch, directory);
        }
        if (log->options.reverse)
                return take_back(log, batch);
        for (; r == 0 && (size = record_next(p, left)) > 0 && size != SIZE_MAX; p += size, left -= size)
                r = take_line(log, batch, p, size);
        return r < 0 ? r : emit_events(log, event_now(log));
}

/* --- Passes --- */

static void show_progress(Log *log, const ViewBatch *batch)
{
        time_t received = (time_t) (batch->received_usec / USEC_PER_SEC);
        uint64_t now = monotonic_usec();
        char text[32];
        struct tm tm;

        if (now < log->shown_usec + PROGRESS_USEC || !localtime_r(&received, &tm) || strftime(text, sizeof text, "%F %T", &tm) == 0)
                return;
        log->shown_usec = now;
        terminal_progress("Looking at what was received at %s", text);
}

/* All that is there now. */
static int pass(Log *log)
{
        const char *directory = "";
        ViewBatch batch;
        int r = 0, error;

        while (log->left > 0 && (r = log_merge_next(log->merge, &batch, &directory)) > 0) {
                if (log->progress)
                        show_progress(log, &batch);
                error = take_batch(log, &batch, directory);
                if (error < 0) {
                        terminal_progress_end();
                        fprintf(stderr, "Cannot write to standard output: %s\n", tool_reason(error));
                        return error;
                }
        }
        terminal_progress_end();
        if (r < 0) {
                fprintf(stderr, "Cannot read %s: %s\n", directory, log_merge_reason(r));
                return r;
        }
        return emit_events(log, log->options.follow ? monotonic_usec() : UINT64_MAX);
}

static int begin_events(Log *log)
{
        const EventLimits limits = {
                .events = EVENTS_MAX,
                .bytes = EVENTS_BYTES_MAX,
                .timeout_usec = log->options.follow ? EVENT_TIMEOUT_USEC : USEC_INFINITY,
        };

        log->events = events_free(log->events);
        return log->options.event ? events_new(&limits, &log->no_keys, &log->events) : 0;
}

/* Puts the beginning where the last N are behind it, and counts how many more. */
static int find_last(Log *log)
{
        uint64_t wanted = log->options.lines + (log->options.event ? EVENTS_CUT : 0), back = MAX(wanted, 1);
        bool all = false;
        int r = 0;

        log->counting = true;
        for (;;) {
                log->count = 0;
                r = log_merge_seek(log->merge, back);
                all = r > 0;
                if (r >= 0)
                        r = begin_events(log);
                if (r == 0)
                        r = pass(log);
                if (r < 0 || all || log->count >= wanted)
                        break;
                if (__builtin_mul_overflow(back, BACK_FACTOR, &back))
                        back = UINT64_MAX;
        }
        log->counting = false;
        log->skip = log->count - MIN(log->count, log->options.lines);
        return r < 0 ? r : MIN(log_merge_seek(log->merge, back), 0);
}

static int flush(void)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return 0;
        fprintf(stderr, "Cannot write to standard output: %s\n", tool_reason(errno));
        return -EIO;
}

/* What was printed is out, before the cursor says so. */
static int settle(Log *log)
{
        LogCursor before = log->cursor;
        int r = flush();

        if (r < 0 || !log->cursor_file)
                return r;
        log_merge_position(log->merge, &log->cursor);
        if (log->cursor.n == before.n && memcmp(log->cursor.places, before.places, before.n * sizeof *before.places) == 0)
                return 0;
        return log_cursor_save(&log->cursor, log->cursor_file);
}

static int show_cursor(Log *log)
{
        char text[LOG_CURSOR_SIZE];

        log_merge_position(log->merge, &log->cursor);
        log_cursor_format(&log->cursor, text);
        if (log->options.format == LOG_FORMAT_JSON)
                printf("{\"cursor\":\"%s\"}\n", text);
        else
                printf("-- cursor: %s\n", text);
        return flush();
}

/* A node that is new has all its records still to be shown. */
static int look(Log *log)
{
        int r = log_stores_look(&log->stores);

        if (r > 0)
                log_merge_select(log->merge, &log->options.query);
        return MIN(r, 0);
}

static int run(Log *log)
{
        int r = 0;

        log->left = log->options.reverse ? log->options.lines : UINT64_MAX;
        if (log->options.lines != LOG_LINES_ALL && !log->options.reverse)
                r = find_last(log);
        if (r == 0)
                r = begin_events(log);
        if (r == 0)
                r = pass(log);
        if (r == 0)
                r = settle(log);
        if (r == 0 && log->options.show_cursor)
                r = show_cursor(log);
        while (r == 0 && log->options.follow) {
                bool waiting = log->events && events_deadline(log->events) != USEC_INFINITY;

                r = log_follow_wait(log->follow, waiting ? EVENT_TURN_MSEC : -1);
                if (r == -EINTR)
                        r = 0;
                if (r == 0)
                        r = look(log);
                if (r == 0)
                        r = pass(log);
                if (r == 0)
                        r = settle(log);
        }
        return r;
}

/* --- Opening --- */

static int set_up(Log *log)
{
        int r = log_merge_new(&log->merge);

        if (r == 0 && log->options.follow)
                r = log_follow_new(&log->follow);
        if (r == 0 && log->options.format == LOG_FORMAT_INTERPRETED)
                r = log_interpreter_new(&log->print.interpreter);
        if (r < 0) {
                fprintf(stderr, "Cannot begin to read records: %s\n", tool_reason(r));
                return r;
        }
        log->print.format = log->options.format;
        log->print.event = log->options.event;
        log->progress = !log->options.follow && !isatty(STDOUT_FILENO);
        log->stores = (LogStores) {
                .merge = log->merge,
                .follow = log->follow,
                /* What is not yet durable may be taken back, and other records have its seqs then: no cursor stands
                 * behind it. */
                .durable = log->options.follow || log->options.cursor || log->options.show_cursor,
        };
        r = log_stores_add(&log->stores, log->options.stores);
        if (r == 0 && log->options.cursor)
                r = log_cursor_load(&log->cursor, log->options.cursor, &log->cursor_file);
        if (r == 0 && log->options.cursor)
                r = log_merge_resume(log->merge, &log->cursor);
        if (r == 0 && log->options.reverse)
                log_merge_reverse(log->merge);
        if (r == 0)
                log_merge_select(log->merge, &log->options.query);
        return r;
}

int verb_log(int argc, char **argv)
{
        Log log = { 0 };
        int r = log_options_parse(argc, argv, &log.options);

        if (r < 0)
                return TOOL_EXIT_USAGE;
        if (log.options.help) {
                log_options_help();
        } else {
                r = set_up(&log);
                if (r == 0)
                        r = run(&log);
        }
        events_free(log.events);
        log_merge_free(log.merge);
        log_stores_done(&log.stores);
        log_follow_free(log.follow);
        log_interpreter_free(log.print.interpreter);
        log_options_done(&log.options);
        if (r < 0)
                return TOOL_EXIT_FAILURE;
        return log.damaged ? EXIT_DAMAGED : EXIT_SUCCESS;
}
