/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What must be in the collectors' stores when all has arrived.
 *
 *  1. In each stream of each store records are in the order in which they were accepted, each once; in each
 *     store each once, but for what a new stream repeats, or its predecessor after it.
 *  2. Each accepted record is in some store, byte for byte. Missing may be, of a ring that died with its
 *     machine, the end, which nobody had acked; what went with a client's disk before any collector had it;
 *     and what a collector lost by being restored, if its client did not hold it any more, or what a full
 *     client deleted: that is told as lost in a store.
 *  3. Told as lost is nothing else.
 *  4. A collector is not sent what its client knew to be with another.
 *  5. Nothing else is in the stores but gap records that somebody had to write.
 */

#include "sim-oracle.h"

#undef NDEBUG
#include <assert.h>
#include <stdlib.h>

#define STREAMS_MAX 128U
#define TOLD_MAX 512U

typedef struct Told {
        StreamId stream;
        uint64_t first, last;
} Told;

typedef struct Judge {
        Verdict *verdict;
        unsigned collector;
        struct {
                StreamId stream;
                Place last;
        } streams[STREAMS_MAX];
        size_t n_streams;
        Told told[TOLD_MAX]; /* as lost */
        size_t n_told;
        uint64_t deaths_told[SIM_CLIENTS_MAX];
} Judge;

static Place *last_of(Judge *judge, const StreamId *stream)
{
        size_t i;

        for (i = 0; i < judge->n_streams; i++)
                if (stream_id_equal(&judge->streams[i].stream, stream))
                        return &judge->streams[i].last;
        assert(judge->n_streams < STREAMS_MAX);
        judge->streams[i].stream = *stream;
        judge->streams[i].last = (Place){0};
        judge->n_streams++;
        return &judge->streams[i].last;
}

static void unaccounted(Judge *judge, const char *what, const uint8_t *line, size_t size)
{
        judge->verdict->unaccounted++;
        sim_trace("%s: %.*s", what, (int) MIN(size, 150U), (const char *) line);
}

static void judge_record(Judge *judge, const ReaderBatch *batch, uint64_t seq, Place place,
                         const uint8_t *line, size_t size)
{
        Accepted *record = oracle_record(place);
        Place *last = last_of(judge, &batch->stream);
        bool here = record->seen & 1U << judge->collector;

        if ((last->seq > 0 && !oracle_before(*last, place)) || (here && !record->cloned && seq > history_repeats(&batch->stream))) {
                judge->verdict->duplicated++;
                sim_trace("%s in stream %02x%02x as %" PRIu64 ", which repeats %" PRIu64 ": %.*s",
                          here ? "again" : "in another order", batch->stream.bytes[0], batch->stream.bytes[1],
                          seq, history_repeats(&batch->stream), (int) MIN(size, 80U), (const char *) line);
                return;
        }
        judge->verdict->gap_records += record->number == 0 && !record->seen;
        judge->verdict->sent_twice += record->seen != 0;
        record->seen |= 1U << judge->collector;
        *last = place;
}

static void judge_line(Judge *judge, const ReaderBatch *batch, uint64_t seq, const uint8_t *line, size_t size)
{
        bool gap = oracle_is_gap(line, size);
        Place place;

        if (batch->received_reason == BATCH_LOST) {
                if (!gap || oracle_find_number(line, size, " lost=") != batch->received_last - batch->received_first + 1 ||
                    (sim.use_max > 0 && !oracle_contains(line, size, " reason=deleted-for-size ")))
                        unaccounted(judge, "no gap record of that", line, size);
        } else if (gap && oracle_contains(line, size, "reason=machine-death")) {
                uint64_t identity = oracle_find_number(line, size, "node=c");

                judge->deaths_told[identity % SIM_CLIENTS_MAX]++;
                judge->verdict->death_records++;
        } else if (oracle_find(line, size, judge->collector, &place)) {
                judge_record(judge, batch, seq, place, line, size);
        } else {
                unaccounted(judge, "nobody accepted", line, size);
        }
}

static void judge_told(Judge *judge, const ReaderBatch *batch)
{
        if (!history_lost(&batch->stream, batch->received_first, batch->received_last)) {
                judge->verdict->unaccounted++;
                sim_trace("told as lost, and not: %" PRIu64 " to %" PRIu64, batch->received_first,
                          batch->received_last);
        }
        assert(judge->n_told < TOLD_MAX);
        judge->told[judge->n_told++] = (Told){batch->stream, batch->received_first, batch->received_last};
}

static void judge_batch(const ReaderBatch *batch, void *userdata)
{
        Judge *judge = userdata;
        uint64_t seq = batch->received_first, n;
        const uint8_t *end;

        if (batch->received_reason == BATCH_LOST)
                judge_told(judge, batch);
        else if (batch->received_reason != BATCH_RECORDS && batch->received_reason != BATCH_CUSTODY)
                judge->verdict->unaccounted++;
        n = batch->received_reason == BATCH_RECORDS
                    ? history_too_much(judge->collector, &batch->stream, seq, batch->received_last)
                    : 0;
        judge->verdict->duplicated += n;
        if (n > 0)
                sim_trace("%" PRIu64 " of %" PRIu64 " to %" PRIu64 " were known to be with another collector", n,
                          seq, batch->received_last);
        for (const uint8_t *p = batch->text; p < batch->text + batch->size; p = end) {
                end = memchr(p, '\n', (size_t) (batch->text + batch->size - p));
                if (!end)
                        break;
                judge_line(judge, batch, seq++, p, (size_t) (++end - p));
        }
}

/* --- What is missing --- */

/* Under its stream, or one that took the place of that: seqs go on. */
static bool told_as_lost(const Judge *judge, const StreamId *stream, uint64_t seq)
{
        for (size_t i = 0; i < judge->n_told; i++)
                if (judge->told[i].first <= seq && judge->told[i].last >= seq &&
                    (stream_id_equal(&judge->told[i].stream, stream) ||
                     history_follows(&judge->told[i].stream, stream)))
                        return true;
        return false;
}

static void judge_missing(const Judge *judge, Place place)
{
        const Accepted *record = oracle_record(place);
        const Epoch *epoch = &oracle_epochs[place.epoch];
        const StreamId *stream;
        bool known = true;
        uint64_t seq = 0;

        stream = history_dropped(place, &seq, &known);
        if (stream && (!known || told_as_lost(judge, stream, seq))) {
                judge->verdict->restored++;
        } else if (record->own > 0 && told_as_lost(judge, history_stream(epoch->client), record->own)) {
                judge->verdict->deleted++;
        } else if (record->rolled) {
                judge->verdict->rolled_back++;
        } else {
                judge->verdict->lost++;
                sim_trace("c%u: seq %" PRIu64 " of %" PRIu64 " (record %" PRIu64
                          ") is lost; acked are %" PRIu64 "%s%s",
                          epoch->client, place.seq, epoch->newest, record->number,
                          oracle_promised(&epoch->stream, KEEPER_REMOTE),
                          epoch->died ? ", the machine died" : "", stream ? ", a collector lost it" : "");
        }
}

static void judge_epoch(const Judge *judge, size_t number)
{
        const Epoch *epoch = &oracle_epochs[number];
        uint64_t acked = oracle_promised(&epoch->stream, KEEPER_REMOTE), end = epoch->newest;

        while (epoch->died && end > acked && !epoch->records[end - 1].seen)
                end--;
        judge->verdict->machine_death += epoch->newest - end;
        for (uint64_t i = 0; i < end; i++)
                if (!epoch->records[i].seen)
                        judge_missing(judge, (Place){number, i + 1});
        judge->verdict->records += epoch->newest;
        judge->verdict->dropped += epoch->told;
}

typedef struct Deaths {
        const Judge *judge;
        unsigned client;
        uint64_t dropped;
} Deaths;

static void excuse_death(uint64_t seq, uint64_t deaths, void *userdata)
{
        Deaths *of = userdata;

        if (told_as_lost(of->judge, history_stream(of->client), seq))
                of->dropped = MAX(of->dropped, deaths);
}

/* How many had not to be told any more: the record that did so was deleted, and is told as lost. */
static uint64_t deaths_dropped(const Judge *judge, unsigned client)
{
        Deaths of = {judge, client, 0};

        history_deaths(client, excuse_death, &of);
        return of.dropped;
}

static void judge_deaths(Judge *judge)
{
        for (unsigned c = 0; c < sim.n_clients; c++) {
                if (sim.identity[c] != c ||
                    ((judge->deaths_told[c] == 0 || oracle_deaths[c] > 0) &&
                     (judge->deaths_told[c] > 0 || oracle_deaths_to_tell[c] <= deaths_dropped(judge, c))))
                        continue;
                judge->verdict->unaccounted++;
                sim_trace("c%u died %" PRIu64 " times, of which %" PRIu64 " had to be told; its log says %" PRIu64,
                          c, oracle_deaths[c], oracle_deaths_to_tell[c], judge->deaths_told[c]);
        }
}

void oracle_judge(Verdict *ret)
{
        Judge *judge = calloc(1, sizeof *judge);

        assert(judge);
        *ret = (Verdict){.clean_ends = oracle_clean_ends};
        judge->verdict = ret;
        history_count(ret);
        for (judge->collector = 0; judge->collector < sim.n_collectors; judge->collector++) {
                const char *why = reader_walk(sim.machines[judge->collector].disk, true, judge_batch, judge);

                judge->n_streams = 0;
                if (!why)
                        continue;
                ret->unaccounted++;
                sim_fail("the store of %s: %s", sim_collector_name(judge->collector), why);
        }
        for (size_t e = 0; e < oracle_n_epochs; e++)
                judge_epoch(judge, e);
        judge_deaths(judge);
        free(judge);
        if (ret->lost + ret->duplicated + ret->unaccounted > 0)
                sim_fail("%" PRIu64 " lost, %" PRIu64 " duplicated, %" PRIu64 " unaccounted", ret->lost,
                         ret->duplicated, ret->unaccounted);
}
