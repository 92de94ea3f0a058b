/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a store counts, alone or several together, and what becomes of it in the status file. */

#include "runtime/store-loop-private.h"

void store_loop_facts(const StoreLoop *loop, StoreFacts *ret)
{
        *ret = (StoreFacts) {
                .intake = *intake_counters(loop->intake),
                .commits = loop->commits,
                .errors = loop->errors,
                .commit_time = loop->commit_time,
                .checkpoints = loop->checkpoints,
        };
        store_status(loop->store, &ret->store);
}

void store_facts_count(StoreFacts *facts, const StoreFacts *more)
{
        IntakeCounters *intake = &facts->intake;

        intake->batches += more->intake.batches;
        intake->records += more->intake.records;
        intake->bytes += more->intake.bytes;
        intake->refused += more->intake.refused;
        intake->lost += more->intake.lost;
        intake->replaced += more->intake.replaced;
        intake->resumed += more->intake.resumed;
        facts->commits += more->commits;
        facts->errors += more->errors;
        histogram_merge(&facts->commit_time, &more->commit_time);
        facts->checkpoints += more->checkpoints;
        facts->store.dropped += more->store.dropped;
        facts->store.damaged += more->store.damaged;
}

void store_facts_hold(StoreFacts *facts, const StoreFacts *more)
{
        facts->store.bytes += more->store.bytes;
        facts->store.bytes_awaited += more->store.bytes_awaited;
        facts->store.segments += more->store.segments;
        facts->store.packed += more->store.packed;
        facts->store.streams += more->store.streams;
}

void store_facts_status(const StoreFacts *facts, State *state)
{
        status_counter(state, "records", NULL, facts->intake.records, "Records taken into the store");
        status_counter(state, "bytes", NULL, facts->intake.bytes, "Bytes of records taken");
        status_counter(state, "batches", NULL, facts->intake.batches, "Batches taken");
        status_counter(state, "records_refused", NULL, facts->intake.refused,
                       "Records stored escaped: they broke a rule");
        status_counter(state, "records_reported_lost", NULL, facts->intake.lost,
                       "Records that senders reported lost");
        status_counter(state, "sessions_replaced", NULL, facts->intake.replaced,
                       "Sessions that another one of the same stream took the place of");
        status_counter(state, "step_backs", NULL, facts->intake.resumed,
                       "Times all senders had to deliver again what was not durable");
        status_counter(state, "commits", NULL, facts->commits, "Groups made durable");
        status_histogram(state, "commit_seconds", &facts->commit_time,
                         "Time a group took to become durable: written, synced");
        status_counter(state, "disk_errors", NULL, facts->errors, "Failed writes and syncs");
        status_counter(state, "records_dropped", NULL, facts->store.dropped, "Records deleted before a collector had them");
        status_counter(state, "batches_damaged", NULL, facts->store.damaged, "Batches found damaged when read");
        status_gauge(state, "store_bytes", NULL, (double) facts->store.bytes, "Size of all segments");
        status_gauge(state, "store_awaited_bytes", NULL, (double) facts->store.bytes_awaited,
                     "Size of those that somebody still waits for");
        status_gauge(state, "store_segments", NULL, (double) facts->store.segments, "Number of segments");
        status_gauge(state, "store_segments_compressed", NULL, (double) facts->store.packed, "Segments that are compressed");
        status_gauge(state, "store_streams", NULL, (double) facts->store.streams, "Streams whose position is known");
}

void store_loop_status(const StoreLoop *loop)
{
        State *state = loop->options.state;
        StoreFacts facts;

        store_loop_facts(loop, &facts);
        store_facts_status(&facts, state);
        status_gauge(state, "store_oldest_seq", NULL, (double) facts.store.oldest, "First seq held");
        status_gauge(state, "store_newest_seq", NULL, (double) facts.store.newest, "Last durable seq");
        status_gauge(state, "store_written_seq", NULL, (double) facts.store.written,
                     "Last seq written, not necessarily durable");
        status_gauge(state, "store_released_seq", NULL, (double) facts.store.released,
                     "Last seq that is in others' custody");
}
