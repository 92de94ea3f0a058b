/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the world has to be in the end, kept apart from everything that runs in it.
 *
 *  1. What a ring has published is accepted. Its life is an epoch: one stream, seq after seq a numbered
 * record or a gap record.
 *  2. All of a client's records between two of a ring's are counted by that ring's gap records: nothing is
 * dropped silently.
 *  3. Each accepted record is in the collector's store once, byte for byte, in the order of its epochs and
 * seqs.
 *  4. Of an epoch whose machine died the end may be missing: what nobody had acked. Nothing else may.
 *  5. What was acked is on the acker's medium at that moment, and there in the end.
 *  6. Nothing else is in the collector's store but gap records that somebody had to write.
 */

#include "sim.h"

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define PROMISES_MAX 512U
#define EPOCHS_MAX 256U

typedef struct Accepted {
        uint64_t number; /* 0: a gap record */
        uint64_t line;   /* checksum of the line */
        bool seen;
} Accepted;

typedef struct Epoch {
        unsigned client;
        StreamId stream;
        Accepted *records; /* [seq - 1] */
        uint64_t newest, allocated;
        uint64_t base;     /* the kernel's records before it */
        uint64_t numbered; /* records among them */
        uint64_t last_number;
        uint64_t told; /* dropped, by its gap records */
        bool died;
} Epoch;

typedef struct Promise {
        StreamId stream;
        bool by_collector;
        uint64_t out; /* checked against the medium when it was said */
        uint64_t in;  /* heard */
} Promise;

static Epoch epochs[EPOCHS_MAX];
static size_t n_epochs;
static Promise promises[PROMISES_MAX];
static size_t n_promises;
static bool clean_end[SIM_CLIENTS_MAX];
static uint64_t deaths[SIM_CLIENTS_MAX], deaths_to_tell[SIM_CLIENTS_MAX], dropped_total;

/* --- The lines --- */

static uint64_t mix(uint64_t a, uint64_t b)
{
        uint64_t z = (a + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ b * UINT64_C(0xbf58476d1ce4e5b9);

        return z ^ z >> 29;
}

size_t oracle_text(unsigned client, uint64_t number, char *out, size_t size)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789 =\"";
        uint64_t h = mix(client, number),
                 padding = h % 100 < sim.long_percent ? mix(h, 1) % sim.text_max : h % 200;
        int n = snprintf(out, size,
                         "audit(%" PRIu64 ".%03" PRIu64 ":%" PRIu64 "): client=%u number=%" PRIu64 " pad=",
                         1700000000 + number / 1000, number % 1000, number, client, number);

        padding = MIN(padding, RECORD_TEXT_MAX - (uint64_t) n);
        assert((size_t) n + padding < size);
        for (uint64_t i = 0; i < padding; i++)
                out[(size_t) n + i] = letters[(h >> (i % 32)) % (sizeof letters - 1)];
        return (size_t) n + padding;
}

size_t oracle_line(unsigned client, uint64_t number, char *out, size_t size)
{
        size_t n = (size_t) snprintf(out, size, "node=c%u type=USER msg=", client);

        n += oracle_text(client, number, out + n, size - n);
        out[n++] = '\n';
        return n;
}

/* The number after a word in a line, 0 if it is not there. */
static uint64_t find_number(const uint8_t *line, size_t size, const char *word)
{
        const uint8_t *p = memmem(line, size, word, strlen(word));
        uint64_t value = 0;

        for (p = p ? p + strlen(word) : line + size; p < line + size && *p >= '0' && *p <= '9'; p++)
                value = value * 10 + (uint64_t) (*p - '0');
        return value;
}

static bool contains(const uint8_t *line, size_t size, const char *word)
{
        return memmem(line, size, word, strlen(word)) != NULL;
}

static bool is_gap(const uint8_t *line, size_t size)
{
        return contains(line, size, " type=DAEMON_ERR ") && contains(line, size, " op=relay-gap ");
}

/* The record that a line is; 0: none, or not byte for byte. */
static uint64_t numbered_line(unsigned client, const uint8_t *line, size_t size)
{
        static char expected[RECORD_LINE_MAX];
        uint64_t number = find_number(line, size, " number=");

        if (number == 0 || oracle_line(client, number, expected, sizeof expected) != size ||
            memcmp(line, expected, size) != 0)
                return 0;
        return number;
}

/* --- Rings and promises --- */

static Promise *promise_of(const StreamId *stream, bool by_collector)
{
        for (size_t i = 0; i < n_promises; i++)
                if (promises[i].by_collector == by_collector && stream_id_equal(&promises[i].stream, stream))
                        return &promises[i];
        assert(n_promises < PROMISES_MAX);
        promises[n_promises] = (Promise){.stream = *stream, .by_collector = by_collector};
        return &promises[n_promises++];
}

static Epoch *epoch_of(unsigned client)
{
        for (size_t i = n_epochs; i-- > 0;)
                if (epochs[i].client == client)
                        return &epochs[i];
        return NULL;
}

void oracle_ring(unsigned client, const StreamId *stream, uint64_t read)
{
        Epoch *before = epoch_of(client);

        if (before && !before->died)
                sim_fail("the ring of c%u began anew though its machine lives", client);
        assert(n_epochs < EPOCHS_MAX);
        sim_trace("ring of c%u begins behind %" PRIu64, client, read);
        epochs[n_epochs++] = (Epoch){.client = client, .stream = *stream, .base = read, .last_number = read};
}

static void accept_line(Epoch *epoch, const uint8_t *line, size_t size)
{
        Accepted record = {.number = numbered_line(epoch->client, line, size),
                           .line = checksum64(line, size)};

        if (epoch->newest == epoch->allocated) {
                epoch->allocated = MAX(2 * epoch->allocated, UINT64_C(256));
                epoch->records = reallocarray(epoch->records, epoch->allocated, sizeof *epoch->records);
                assert(epoch->records);
        }
        if (record.number > 0) {
                if (record.number <= epoch->last_number)
                        sim_fail("the ring of c%u has record %" PRIu64 " behind %" PRIu64, epoch->client,
                                 record.number, epoch->last_number);
                epoch->last_number = record.number;
                epoch->numbered++;
        } else if (is_gap(line, size) && contains(line, size, "reason=ring-full")) {
                epoch->told += find_number(line, size, " lost=");
        } else {
                sim_fail("the ring of c%u has a line that nobody wrote", epoch->client);
        }
        epoch->records[epoch->newest++] = record;
}

void oracle_published(unsigned client, Source *source, uint64_t dropped, uint64_t read)
{
        Epoch *epoch = epoch_of(client);
        SourceRange range;
        Cursor cursor = {0};
        Batch batch;

        source->range(source, &range);
        while (epoch->newest < range.newest) {
                const uint8_t *p, *end;

                if (source->get(source, epoch->newest + 1, &cursor, &batch) != 1 ||
                    batch.reason != BATCH_RECORDS) {
                        sim_fail("the ring of c%u does not have seq %" PRIu64, client, epoch->newest + 1);
                        return;
                }
                for (p = batch.payload; p < batch.payload + batch.size; p = end) {
                        end = (const uint8_t *) memchr(p, '\n', (size_t) (batch.payload + batch.size - p)) +
                              1;
                        accept_line(epoch, p, (size_t) (end - p));
                }
                if (epoch->newest != batch.last) {
                        sim_fail("a batch of the ring of c%u has another number of lines", client);
                        return;
                }
        }
        if (read - epoch->base != epoch->numbered + epoch->told + dropped)
                sim_fail("c%u: %" PRIu64 " records read, %" PRIu64 " published, %" PRIu64
                         " told as dropped, %" PRIu64 " to be told",
                         client, read - epoch->base, epoch->numbered, epoch->told, dropped);
}

void oracle_client_died(unsigned client)
{
        Epoch *epoch = epoch_of(client);

        if (!epoch)
                return;
        deaths[client]++;
        epoch->died = true;
        deaths_to_tell[client] += promise_of(&epoch->stream, false)->out > 0 && !clean_end[client];
}

void oracle_clean_end(unsigned client, bool clean)
{
        clean_end[client] = clean;
}

void oracle_acked(const StreamId *stream, uint64_t seq, bool by_collector)
{
        Promise *promise = promise_of(stream, by_collector);

        promise->in = MAX(promise->in, seq);
}

void oracle_ack_out(const Machine *machine, const StreamId *stream, uint64_t seq)
{
        Promise *promise = promise_of(stream, machine->client == SIM_CLIENTS_MAX);
        uint64_t durable;

        if (seq <= promise->out)
                return;
        promise->out = seq;
        if (sim.options.no_ack_check)
                return;
        durable = reader_durable(machine->disk, stream);
        if (durable < seq)
                sim_fail("%s acks %" PRIu64 ", on its medium are %" PRIu64, machine->name, seq, durable);
}

/* --- Judgement --- */

typedef struct Judge {
        Verdict *verdict;
        size_t epoch[SIM_CLIENTS_MAX]; /* where the last record of each client was */
        uint64_t seq[SIM_CLIENTS_MAX];
        uint64_t deaths_told[SIM_CLIENTS_MAX];
} Judge;

/* 1: found; 0: it was there already; -1: nobody accepted it. */
static int find_accepted(unsigned client, uint64_t number, uint64_t line, size_t *ret_epoch,
                         uint64_t *ret_seq)
{
        int result = -1;

        for (size_t e = 0; e < n_epochs; e++) {
                if (epochs[e].client != client)
                        continue;
                for (uint64_t i = 0; i < epochs[e].newest; i++) {
                        Accepted *record = &epochs[e].records[i];

                        if (record->number != number || record->line != line)
                                continue;
                        result = 0;
                        if (record->seen)
                                continue;
                        record->seen = true;
                        *ret_epoch = e;
                        *ret_seq = i + 1;
                        return 1;
                }
        }
        return result;
}

/* The expected place is looked at first: looking for it everywhere is for when something is wrong. */
static int match(const Judge *judge, unsigned client, uint64_t number, uint64_t line, size_t *ret_epoch,
                 uint64_t *ret_seq)
{
        size_t e = judge->epoch[client];
        uint64_t seq = judge->seq[client];

        if (e < n_epochs && epochs[e].client == client && seq < epochs[e].newest &&
            epochs[e].records[seq].line == line && epochs[e].records[seq].number == number &&
            !epochs[e].records[seq].seen) {
                epochs[e].records[seq].seen = true;
                *ret_epoch = e;
                *ret_seq = seq + 1;
                return 1;
        }
        return find_accepted(client, number, line, ret_epoch, ret_seq);
}

static void judge_line(Judge *judge, const uint8_t *line, size_t size)
{
        unsigned client = (unsigned) find_number(line, size, "node=c");
        uint64_t number, seq = 0;
        size_t epoch = 0;
        int r;

        if (client >= sim.n_clients) {
                judge->verdict->unaccounted++;
                return;
        }
        if (is_gap(line, size) && contains(line, size, "reason=machine-death")) {
                judge->deaths_told[client]++;
                judge->verdict->death_records++;
                return;
        }
        number = numbered_line(client, line, size);
        r = number > 0 || is_gap(line, size)
                    ? match(judge, client, number, checksum64(line, size), &epoch, &seq)
                    : -1;
        if (r < 0) {
                judge->verdict->unaccounted++;
                sim_trace("nobody accepted: %.*s", (int) MIN(size, 150U), (const char *) line);
        } else if (r == 0 || epoch < judge->epoch[client] ||
                   (epoch == judge->epoch[client] && seq <= judge->seq[client])) {
                judge->verdict->duplicated++;
                sim_trace("again, or in another order: %.*s", (int) MIN(size, 150U), (const char *) line);
        } else {
                judge->verdict->gap_records += number == 0;
                judge->epoch[client] = epoch;
                judge->seq[client] = seq;
        }
}

static void judge_batch(const ReaderBatch *batch, void *userdata)
{
        Judge *judge = userdata;
        const uint8_t *end;

        if (batch->received_reason != BATCH_RECORDS)
                judge->verdict->unaccounted++; /* nothing was lost that a source would have to explain */
        for (const uint8_t *p = batch->text; p < batch->text + batch->size; p = end) {
                end = memchr(p, '\n', (size_t) (batch->text + batch->size - p));
                if (!end)
                        break;
                judge_line(judge, p, (size_t) (++end - p));
        }
}

static uint64_t promised(const StreamId *stream, bool by_collector)
{
        const Promise *promise = promise_of(stream, by_collector);

        return MAX(promise->in, promise->out);
}

/* What is missing of an epoch. */
static void judge_epoch(const Epoch *epoch, Verdict *verdict)
{
        uint64_t acked = promised(&epoch->stream, false), end = epoch->newest;

        while (epoch->died && end > acked && !epoch->records[end - 1].seen)
                end--;
        verdict->machine_death += epoch->newest - end;
        for (uint64_t i = 0; i < end; i++) {
                if (epoch->records[i].seen)
                        continue;
                verdict->lost++;
                sim_trace("c%u: seq %" PRIu64 " of %" PRIu64 " (record %" PRIu64
                          ") is lost; acked are %" PRIu64 "%s",
                          epoch->client, i + 1, epoch->newest, epoch->records[i].number, acked,
                          epoch->died ? ", the machine died" : "");
        }
        verdict->records += epoch->newest;
        dropped_total += epoch->told;
}

void oracle_judge(const Machine *collector, Verdict *ret)
{
        Judge judge = {.verdict = ret};
        const char *why;

        *ret = (Verdict){0};
        for (unsigned c = 0; c < SIM_CLIENTS_MAX; c++)
                for (size_t e = n_epochs; e-- > 0;)
                        if (epochs[e].client == c)
                                judge.epoch[c] = e;
        why = reader_walk(collector->disk, true, judge_batch, &judge);
        if (why) {
                ret->unaccounted++;
                sim_trace("the collector's store: %s", why);
                sim_fail("the collector's store: %s", why);
        }
        dropped_total = 0;
        for (size_t i = 0; i < n_epochs; i++)
                judge_epoch(&epochs[i], ret);
        ret->dropped = dropped_total;
        for (unsigned c = 0; c < sim.n_clients; c++)
                if ((judge.deaths_told[c] > 0 && deaths[c] == 0) ||
                    (judge.deaths_told[c] == 0 && deaths_to_tell[c] > 0)) {
                        ret->unaccounted++;
                        sim_trace("c%u died %" PRIu64 " times, its log says %" PRIu64, c, deaths[c],
                                  judge.deaths_told[c]);
                }
        if (ret->lost + ret->duplicated + ret->unaccounted > 0)
                sim_fail("%" PRIu64 " lost, %" PRIu64 " duplicated, %" PRIu64 " unaccounted", ret->lost,
                         ret->duplicated, ret->unaccounted);
}

void oracle_begin(void)
{
        n_epochs = n_promises = 0;
        memset(clean_end, 0, sizeof clean_end);
        memset(deaths, 0, sizeof deaths);
        memset(deaths_to_tell, 0, sizeof deaths_to_tell);
}

void oracle_done(void)
{
        for (size_t i = 0; i < n_epochs; i++)
                free(epochs[i].records);
        n_epochs = 0;
}
