/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "aggregator/roster.h"

#include <stdio.h>

/* Chains of a few for some thousand peers. */
#define BUCKETS 1024U

LIST_HEAD(RowList, RosterRow);

struct Roster {
        struct RowList buckets[BUCKETS];
        size_t n;
};

int roster_new(Roster **ret)
{
        *ret = calloc(1, sizeof **ret);
        return *ret ? 0 : -ENOMEM;
}

static void row_free(Roster *roster, RosterRow *row)
{
        LIST_REMOVE(row, bucket);
        roster->n--;
        free(row);
}

Roster *roster_free(Roster *roster)
{
        RosterRow *row, *next;

        for (row = roster ? roster_next(roster, NULL) : NULL; row; row = next) {
                next = roster_next(roster, row);
                row_free(roster, row);
        }
        free(roster);
        return NULL;
}

size_t roster_count(const Roster *roster)
{
        return roster->n;
}

static struct RowList *bucket_of(Roster *roster, const char *node)
{
        return &roster->buckets[checksum64(node, strlen(node)) % BUCKETS];
}

RosterRow *roster_find(Roster *roster, const char *node)
{
        RosterRow *row;

        LIST_FOREACH(row, bucket_of(roster, node), bucket)
                if (strcmp(row->node, node) == 0)
                        return row;
        return NULL;
}

RosterRow *roster_get(Roster *roster, const char *node)
{
        RosterRow *row = roster_find(roster, node);

        if (row)
                return row;
        row = calloc(1, sizeof *row);
        if (!row)
                return NULL;
        assert(strlen(node) < sizeof row->node);
        strcpy(row->node, node);
        LIST_INSERT_HEAD(bucket_of(roster, node), row, bucket);
        roster->n++;
        return row;
}

RosterRow *roster_next(Roster *roster, RosterRow *row)
{
        struct RowList *bucket = roster->buckets;

        if (row) {
                if (LIST_NEXT(row, bucket))
                        return LIST_NEXT(row, bucket);
                bucket = bucket_of(roster, row->node) + 1;
        }
        for (; bucket < roster->buckets + BUCKETS; bucket++)
                if (!LIST_EMPTY(bucket))
                        return LIST_FIRST(bucket);
        return NULL;
}

/* "192.0.2.1:4711" and "[2001:db8::1]:4711" without the port, which is another with each connection. */
static void set_address(RosterRow *row, const char *peer)
{
        const char *begin = peer + (peer[0] == '[');
        const char *end = begin > peer ? strchr(begin, ']') : strrchr(begin, ':');

        (void) snprintf(row->address, sizeof row->address, "%.*s",
                        (int) (end ? (size_t) (end - begin) : strlen(begin)), begin);
}

RosterRow *roster_connected(Roster *roster, const char *node, const char *peer, const StreamId *stream)
{
        RosterRow *row = roster_get(roster, node);

        if (!row)
                return NULL;
        if (!stream_id_equal(&row->stream, stream))
                row->seq = 0;
        row->stream = *stream;
        row->sessions++;
        row->refused = false;
        set_address(row, peer);
        return row;
}

static void add(RosterCounters *to, const RosterCounters *counters)
{
        to->records += counters->records;
        to->bytes += counters->bytes;
        to->refused += counters->refused;
        to->lost += counters->lost;
}

void roster_disconnected(Roster *roster, const char *node, const RosterCounters *counters)
{
        RosterRow *row = roster_find(roster, node);

        if (!row || row->sessions == 0)
                return;
        row->sessions--;
        add(&row->ended, counters);
}

void roster_set_rate(RosterRow *row, uint64_t rate)
{
        if (row->rate != rate)
                row->tokens = (int64_t) rate;
        row->rate = rate;
}

bool roster_charge(RosterRow *row, uint64_t bytes)
{
        bool before = row->tokens < 0;

        if (row->rate == 0)
                return false;
        row->tokens -= (int64_t) bytes;
        return !before && row->tokens < 0;
}

bool roster_refill(Roster *roster, uint64_t elapsed_usec)
{
        bool waits = false;

        for (RosterRow *row = NULL; (row = roster_next(roster, row));) {
                /* As a floating number: a rate times a time may be more than fits. */
                double filled = (double) row->tokens +
                                (double) row->rate * (double) elapsed_usec / (double) USEC_PER_SEC;

                row->tokens = row->rate == 0 || filled >= (double) row->rate ? (int64_t) row->rate
                                                                            : (int64_t) filled;
                waits = waits || row->tokens < 0;
        }
        return waits;
}

void roster_look_begin(Roster *roster)
{
        for (RosterRow *row = NULL; (row = roster_next(roster, row));) {
                row->live = (RosterCounters) { 0 };
                row->streams = 0;
                if (row->sessions == 0)
                        row->seq = row->seen_usec = 0;
        }
}

void roster_look_session(Roster *roster, const char *node, const RosterCounters *counters, uint64_t delay_usec)
{
        RosterRow *row = roster_find(roster, node);

        if (!row)
                return;
        add(&row->live, counters);
        row->delay_usec = delay_usec;
}

int roster_look_stream(Roster *roster, const char *node, const StreamId *stream, uint64_t seq,
                       uint64_t seen_usec)
{
        RosterRow *row = roster_get(roster, node);

        if (!row)
                return -ENOMEM;
        if (row->streams++ == 0 || seen_usec < row->silent_usec) {
                row->silent = *stream;
                row->silent_usec = seen_usec;
        }
        /* The one that it delivers; of one that is not connected, the one that moved last. */
        if (row->sessions > 0 ? !stream_id_equal(&row->stream, stream) : seen_usec <= row->seen_usec)
                return 0;
        row->stream = *stream;
        row->seq = seq;
        row->seen_usec = seen_usec;
        return 0;
}

void roster_look_end(Roster *roster)
{
        RosterRow *row, *next;

        for (row = roster_next(roster, NULL); row; row = next) {
                next = roster_next(roster, row);
                if (row->sessions == 0 && row->streams == 0)
                        row_free(roster, row);
        }
}
