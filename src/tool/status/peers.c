/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay status --peers: the samples audit_relay_aggregator_peer_NAME{node="…"} of the status file, a line
 * for each node.
 */

#include "tool/status/peers.h"
#include "basic/batch.h"
#include "tool/json.h"
#include "tool/table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#define PREFIX "audit_relay_aggregator_peer_"

typedef struct PeerLine {
        char node[NODE_NAME_MAX + 1];
        char address[64], stream[40];
        double connected, refused, seq, lag_seconds, seen_timestamp_seconds, certificate_days;
        double records_total, bytes_total, records_refused_total, records_lost_total;
} PeerLine;

typedef struct PeerLines {
        PeerLine *items;
        size_t n;
} PeerLines;

#define METRIC(name) { #name, offsetof(PeerLine, name) }

static const struct {
        const char *name;
        size_t offset;
} metrics[] = {
        METRIC(connected),        METRIC(refused),      METRIC(seq),
        METRIC(lag_seconds),      METRIC(records_total), METRIC(seen_timestamp_seconds),
        METRIC(certificate_days), METRIC(bytes_total),  METRIC(records_refused_total),
        METRIC(records_lost_total),
};

/* --- Reading --- */

/* The value of a label between `begin` and `end`; empty if it is not there. */
static void get_label(const char *begin, const char *end, const char *name, char *ret, size_t size)
{
        char wanted[32];
        const char *p, *quote;

        *ret = '\0';
        (void) snprintf(wanted, sizeof wanted, "%s=\"", name);
        p = memmem(begin, (size_t) (end - begin), wanted, strlen(wanted));
        if (!p)
                return;
        p += strlen(wanted);
        quote = memchr(p, '"', (size_t) (end - p));
        (void) snprintf(ret, size, "%.*s", (int) ((quote ? quote : end) - p), p);
}

/* Nodes stand in the same order in each family of samples: the one expected is nearly always the one. */
static PeerLine *find(PeerLines *lines, const char *node, size_t *next)
{
        for (size_t i = 0; i < lines->n; i++) {
                PeerLine *line = &lines->items[(*next + i) % lines->n];

                if (strcmp(line->node, node) == 0) {
                        *next = (*next + i + 1) % lines->n;
                        return line;
                }
        }
        return NULL;
}

static PeerLine *add(PeerLines *lines, const char *node)
{
        PeerLine *grown, *line;

        /* Doubled at each power of two. */
        if ((lines->n & (lines->n - 1)) == 0) {
                grown = reallocarray(lines->items, MAX(lines->n * 2, (size_t) 1), sizeof *grown);
                if (!grown)
                        return NULL;
                lines->items = grown;
        }
        line = &lines->items[lines->n++];
        *line = (PeerLine) { .certificate_days = NAN };
        strcpy(line->node, node);
        return line;
}

static int take_sample(PeerLines *lines, const char *sample, const char *end, size_t *next)
{
        const char *labels = memchr(sample, '{', (size_t) (end - sample));
        const char *close = memrchr(sample, '}', (size_t) (end - sample));
        char node[NODE_NAME_MAX + 1];
        PeerLine *line;

        if (!labels || !close || close < labels)
                return 0;
        get_label(labels, close, "node", node, sizeof node);
        line = find(lines, node, next);
        if (!line)
                line = add(lines, node);
        if (!line)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(metrics); i++)
                if (strlen(metrics[i].name) == (size_t) (labels - sample) &&
                    memcmp(metrics[i].name, sample, (size_t) (labels - sample)) == 0)
                        *(double *) ((char *) line + metrics[i].offset) = strtod(close + 1, NULL);
        if (memmem(labels, (size_t) (close - labels), "stream=", strlen("stream="))) {
                get_label(labels, close, "address", line->address, sizeof line->address);
                get_label(labels, close, "stream", line->stream, sizeof line->stream);
        }
        return 0;
}

static int read_all(const char *text, PeerLines *ret)
{
        PeerLines lines = { 0 };
        size_t next = 0;
        int r = 0;

        for (const char *p = text, *end; r == 0 && *p; p = *end ? end + 1 : end) {
                end = strchrnul(p, '\n');
                if (strncmp(p, PREFIX, strlen(PREFIX)) == 0)
                        r = take_sample(&lines, p + strlen(PREFIX), end, &next);
        }
        if (r < 0)
                free(lines.items);
        else
                *ret = lines;
        return r;
}

/* --- Printing --- */

static const char *state_of(const PeerLine *line)
{
        return line->connected > 0 ? "connected" : line->refused > 0 ? "refused" : "away";
}

static void show_seen(const PeerLine *line, char ret[static 32])
{
        time_t seen = (time_t) line->seen_timestamp_seconds;
        struct tm tm;

        if (seen == 0 || !gmtime_r(&seen, &tm) || strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                strcpy(ret, "-");
}

static void show_days(const PeerLine *line, char ret[static 32])
{
        if (isnan(line->certificate_days))
                strcpy(ret, "-");
        else
                (void) snprintf(ret, 32, "%" PRId64 "d", (int64_t) line->certificate_days);
}

static int print_table(const PeerLines *lines)
{
        _cleanup_(table_freep) Table *table = NULL;
        int r = table_new("NODE STATE ADDRESS >SEQ >LAG >LOST >CERT SEEN", &table);

        if (r < 0)
                return r;
        for (size_t i = 0; i < lines->n; i++) {
                const PeerLine *line = &lines->items[i];
                char seen[32], days[32];

                show_seen(line, seen);
                show_days(line, days);
                table_add(table, "%s", line->node);
                table_add(table, "%s", state_of(line));
                table_add(table, "%s", line->address);
                table_add(table, "%.0f", line->seq);
                table_add(table, "%.1fs", line->lag_seconds);
                table_add(table, "%.0f", line->records_lost_total);
                table_add(table, "%s", days);
                table_add(table, "%s", seen);
        }
        return table_print(table, stdout);
}

static void json_double(Json *json, const char *name, double value)
{
        char text[40];

        (void) snprintf(text, sizeof text, "%.15g", value);
        if (isnan(value))
                json_string(json, name, NULL);
        else
                json_number(json, name, text);
}

static void print_json(const PeerLines *lines)
{
        Json json = JSON_INIT(stdout);

        json_array_begin(&json, NULL);
        for (size_t i = 0; i < lines->n; i++) {
                const PeerLine *line = &lines->items[i];

                json_object_begin(&json, NULL);
                json_string(&json, "node", line->node);
                json_string(&json, "state", state_of(line));
                json_string(&json, "address", line->address[0] ? line->address : NULL);
                json_string(&json, "stream", line->stream);
                for (size_t m = 2; m < ELEMENTSOF(metrics); m++)
                        json_double(&json, metrics[m].name,
                                    *(const double *) ((const char *) line + metrics[m].offset));
                json_object_end(&json);
        }
        json_array_end(&json);
        putchar('\n');
}

static int compare(const void *a, const void *b)
{
        return strcmp(((const PeerLine *) a)->node, ((const PeerLine *) b)->node);
}

int status_peers(const char *text, bool json)
{
        PeerLines lines;
        int r = read_all(text, &lines);

        if (r < 0)
                return r;
        if (lines.n > 0)
                qsort(lines.items, lines.n, sizeof *lines.items, compare);
        if (json)
                print_json(&lines);
        else
                r = print_table(&lines);
        free(lines.items);
        return r;
}
