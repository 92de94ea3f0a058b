/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who promised what, kept apart from everything that runs in the world; sim-judge.c compares.
 *
 *  1. What a ring has published is accepted. Its life is an epoch: one stream, seq after seq a numbered
 *     record or a gap record.
 *  2. All of a client's records between two of a ring's are counted by that ring's gap records: nothing is
 *     dropped silently.
 *  3. What was acked is on the acker's medium at that moment.
 */

#include "sim-oracle.h"

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define PROMISES_MAX 512U

typedef struct Promise {
        StreamId stream;
        unsigned keeper;
        uint64_t out; /* checked against the medium when it was said */
        uint64_t in;  /* heard */
} Promise;

Epoch oracle_epochs[EPOCHS_MAX];
size_t oracle_n_epochs;
uint64_t oracle_deaths[SIM_CLIENTS_MAX], oracle_deaths_to_tell[SIM_CLIENTS_MAX], oracle_clean_ends;
static Promise promises[PROMISES_MAX];
static size_t n_promises;
/* Where each numbered record is. */
static struct {
        Place *places; /* [number - 1]; seq 0: nowhere */
        uint64_t allocated;
} numbered[SIM_CLIENTS_MAX];

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
        size_t n = (size_t) snprintf(out, size, "node=c%u type=USER msg=", sim.identity[client]);

        n += oracle_text(client, number, out + n, size - n);
        out[n++] = '\n';
        return n;
}

/* The number after a word in a line, 0 if it is not there. */
uint64_t oracle_find_number(const uint8_t *line, size_t size, const char *word)
{
        const uint8_t *p = memmem(line, size, word, strlen(word));
        uint64_t value = 0;

        for (p = p ? p + strlen(word) : line + size; p < line + size && *p >= '0' && *p <= '9'; p++)
                value = value * 10 + (uint64_t) (*p - '0');
        return value;
}

bool oracle_contains(const uint8_t *line, size_t size, const char *word)
{
        return memmem(line, size, word, strlen(word)) != NULL;
}

bool oracle_is_gap(const uint8_t *line, size_t size)
{
        return oracle_contains(line, size, " type=DAEMON_ERR ") && oracle_contains(line, size, " op=relay-gap ");
}

/* The record that a line is; 0: none, or not byte for byte. */
static uint64_t numbered_line(unsigned client, const uint8_t *line, size_t size)
{
        static char expected[RECORD_LINE_MAX];
        uint64_t number = oracle_find_number(line, size, " number=");

        if (number == 0 || oracle_line(client, number, expected, sizeof expected) != size ||
            memcmp(line, expected, size) != 0)
                return 0;
        return number;
}

/* --- Rings and promises --- */

static Promise *promise_of(const StreamId *stream, unsigned keeper)
{
        for (size_t i = 0; i < n_promises; i++)
                if (promises[i].keeper == keeper && stream_id_equal(&promises[i].stream, stream))
                        return &promises[i];
        assert(n_promises < PROMISES_MAX);
        promises[n_promises] = (Promise){.stream = *stream, .keeper = keeper};
        return &promises[n_promises++];
}

uint64_t oracle_promised(const StreamId *stream, unsigned keeper)
{
        const Promise *promise = promise_of(stream, keeper);

        return MAX(promise->in, promise->out);
}

void oracle_promise_less(const StreamId *stream, unsigned keeper, uint64_t seq)
{
        Promise *promise = promise_of(stream, keeper);

        promise->out = MIN(promise->out, seq);
        promise->in = MIN(promise->in, seq);
}

void oracle_promises(unsigned keeper, void (*found)(const StreamId *stream, uint64_t seq, void *userdata),
                     void *userdata)
{
        for (size_t i = 0; i < n_promises; i++)
                if (promises[i].keeper == keeper)
                        found(&promises[i].stream, MAX(promises[i].in, promises[i].out), userdata);
}

static Epoch *epoch_of(unsigned client)
{
        for (size_t i = oracle_n_epochs; i-- > 0;)
                if (oracle_epochs[i].client == client)
                        return &oracle_epochs[i];
        return NULL;
}

Epoch *oracle_epoch(const StreamId *stream)
{
        for (size_t i = 0; i < oracle_n_epochs; i++)
                if (stream_id_equal(&oracle_epochs[i].stream, stream))
                        return &oracle_epochs[i];
        return NULL;
}

void oracle_ring(unsigned client, const StreamId *stream, uint64_t read)
{
        Epoch *before = epoch_of(client);

        if (before && !before->died)
                sim_fail("the ring of c%u began anew though its machine lives", client);
        assert(oracle_n_epochs < EPOCHS_MAX);
        sim_trace("ring of c%u begins behind %" PRIu64, client, read);
        oracle_epochs[oracle_n_epochs++] = (Epoch){.client = client, .stream = *stream, .base = read, .last_number = read};
}

static void note_place(const Epoch *epoch, uint64_t number)
{
        unsigned c = epoch->client;
        uint64_t before = numbered[c].allocated;

        if (number > before) {
                numbered[c].allocated = MAX(2 * before, number + 256);
                numbered[c].places =
                        reallocarray(numbered[c].places, numbered[c].allocated, sizeof *numbered[c].places);
                assert(numbered[c].places);
                memset(numbered[c].places + before, 0,
                       (numbered[c].allocated - before) * sizeof *numbered[c].places);
        }
        numbered[c].places[number - 1] = (Place){(size_t) (epoch - oracle_epochs), epoch->newest + 1};
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
                note_place(epoch, record.number);
        } else if (oracle_is_gap(line, size) && oracle_contains(line, size, "reason=ring-full")) {
                epoch->told += oracle_find_number(line, size, " lost=");
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

void oracle_client_died(unsigned client, bool begun, bool clean)
{
        Epoch *epoch = epoch_of(client);
        unsigned identity = sim.identity[client];
        bool lost;

        lost = epoch && !epoch->died && epoch->newest > promise_of(&epoch->stream, KEEPER_REMOTE)->out;
        if (epoch)
                epoch->died = true;
        oracle_clean_ends += clean && !lost;
        oracle_deaths[identity] += lost || !clean;
        oracle_deaths_to_tell[identity] += lost && begun;
}

void oracle_acked(const StreamId *stream, uint64_t seq, unsigned keeper)
{
        Promise *promise = promise_of(stream, keeper);

        promise->in = MAX(promise->in, seq);
}

void oracle_ack_out(const Machine *machine, const StreamId *stream, uint64_t seq)
{
        Promise *promise =
                promise_of(stream, machine->client < SIM_CLIENTS_MAX ? KEEPER_REMOTE : machine->collector);
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

/* --- Looking up --- */

static bool find_gap_record(uint64_t line, unsigned identity, unsigned collector, Place *ret)
{
        bool found = false;

        for (size_t e = 0; e < oracle_n_epochs; e++) {
                if (sim.identity[oracle_epochs[e].client] != identity)
                        continue;
                for (uint64_t i = 0; i < oracle_epochs[e].newest; i++) {
                        const Accepted *record = &oracle_epochs[e].records[i];

                        if (record->number != 0 || record->line != line)
                                continue;
                        *ret = (Place){e, i + 1};
                        found = true;
                        if (!(record->seen & 1U << collector))
                                return true;
                }
        }
        return found;
}

bool oracle_find(const uint8_t *line, size_t size, unsigned collector, Place *ret)
{
        unsigned client = (unsigned) oracle_find_number(line, size, " client=");
        uint64_t number = oracle_find_number(line, size, " number=");

        if (oracle_is_gap(line, size))
                return find_gap_record(checksum64(line, size),
                                       (unsigned) oracle_find_number(line, size, "node=c"), collector, ret);
        if (client >= sim.n_clients || number == 0 || number > numbered[client].allocated)
                return false;
        *ret = numbered[client].places[number - 1];
        return ret->seq > 0 && oracle_record(*ret)->line == checksum64(line, size);
}

void oracle_begin(void)
{
        oracle_n_epochs = n_promises = 0;
        memset(oracle_deaths, 0, sizeof oracle_deaths);
        memset(oracle_deaths_to_tell, 0, sizeof oracle_deaths_to_tell);
        oracle_clean_ends = 0;
        history_begin();
}

void oracle_done(void)
{
        for (size_t i = 0; i < oracle_n_epochs; i++)
                free(oracle_epochs[i].records);
        for (unsigned c = 0; c < SIM_CLIENTS_MAX; c++) {
                free(numbered[c].places);
                numbered[c].places = NULL;
                numbered[c].allocated = 0;
        }
        oracle_n_epochs = 0;
        history_done();
}
