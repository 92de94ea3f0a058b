/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The oracle's account of stores that are set back, and of several collectors.
 *
 *  1. A collector never has less than it acked, unless it was restored from a backup; what it lost then is
 *     told as lost only if the client does not hold it any more when it has written down that it knows; so is,
 *     after a new stream, all that was deleted under the old one.
 *  2. A client deletes nothing but what a collector has, as far as it can know; or could, when the commit began that
 *     said it would.
 *  3. A collector knows another history only of a client whose disk was set back, or which was cloned; the
 *     new stream repeats no more than what was held then. The old one may bring as much behind it, to a collector
 *     that has it from the new stream alone: when the disk is then set back to before the new stream, or the
 *     collector, which was out of room, takes only now what a connection that has ended had brought.
 *  4. What a client knows to be with one collector it does not send to another one.
 *  5. With a client's disk goes what was written since, and had not been acked by a collector.
 *  6. A client whose store is full and drops its oldest may say of exactly what it deleted that it is lost, but for what was
 *     written down to be with a collector.
 */

#include "sim-oracle.h"
#include "store/store.h"

#undef NDEBUG
#include <assert.h>
#include <limits.h>
#include <stdlib.h>

#define LOSSES_MAX 256U
#define RESTARTS_MAX 128U
#define LIMITS_MAX 1024U
#define DEATHS_MAX 64U
#define NEVER UINT_MAX /* is no era */

/* A client, as far as it delivers to collectors. */
typedef struct Sender {
        StreamId stream;
        uint64_t heard[SIM_COLLECTORS_MAX]; /* that much it knows for certain to be there */
        uint64_t known[SIM_COLLECTORS_MAX]; /* that much it may believe to be there */
        bool learning[SIM_COLLECTORS_MAX];  /* it heard of less, and that is not yet durable; of these: */
        size_t n_dropped[SIM_COLLECTORS_MAX];
        bool stale[SIM_COLLECTORS_MAX];     /* the collector was restored since */
        bool set_back;                      /* it did, under this stream: what others have is in doubt */
        bool may_diverge;
        uint64_t deletable; /* by what it knew when the commit in flight, if there is one, began */
        bool left; /* the stream: another takes its place */
        uint64_t oldest;   /* held */
        uint64_t noted;    /* own seqs whose records are known */
        uint64_t repeats;  /* newest when it had to begin a new stream */
} Sender;

/* first..last of a stream was with a collector, and is no more; or it was deleted before any had it. */
typedef struct Loss {
        unsigned collector; /* SIM_COLLECTORS_MAX: none */
        StreamId stream;
        uint64_t first, last;
} Loss;

typedef struct Dropped {
        Place place;
        unsigned collector;
        StreamId stream;
        uint64_t seq;
        unsigned era;
        bool held; /* its client has it and knows that it has to deliver it */
} Dropped;

typedef struct Restart {
        StreamId stream, old;
        uint64_t last;
        bool doubted;   /* a collector was restored: who has what was deleted under the old one is not known any more */
} Restart;

/* Behind `after` up to `last` no records go to that collector: another one has them. */
typedef struct Limit {
        unsigned client, collector;
        StreamId stream;
        uint64_t after, last;
} Limit;

/* A gap record in a client's store: that so many deaths have happened. */
typedef struct Death {
        unsigned client;
        uint64_t seq, deaths;
} Death;

static Sender senders[SIM_CLIENTS_MAX];
static Loss losses[LOSSES_MAX];
static Restart restarts[RESTARTS_MAX];
static Limit limits[LIMITS_MAX];
static Death deaths[DEATHS_MAX];
static size_t n_losses, n_restarts, n_limits, n_deaths;
static Dropped *dropped;
static size_t n_dropped, allocated_dropped;
static unsigned era; /* clients' disks set back, clones, new streams */
static uint64_t set_backs;

/* --- What clients know --- */

static uint64_t elsewhere(const Sender *sender, unsigned collector)
{
        uint64_t most = 0;

        for (unsigned k = 0; k < sim.n_collectors; k++)
                if (k != collector)
                        most = MAX(most, sender->heard[k]);
        return most;
}

/* What it does not know to be elsewhere any more, it may send. */
static void lower_limits(unsigned client)
{
        for (size_t i = 0; i < n_limits; i++)
                if (limits[i].client == client)
                        limits[i].last = MIN(limits[i].last, elsewhere(&senders[client], limits[i].collector));
}

/* A crash may have made it forget what was not written down. */
static void forget_unwritten(unsigned client, const SimDisk *disk)
{
        Sender *sender = &senders[client];

        for (unsigned k = 0; k < sim.n_collectors; k++) {
                uint64_t written = reader_custody(disk, sim_collector_name(k));

                sender->heard[k] = MIN(sender->heard[k], written);
                sender->known[k] = MAX(sender->known[k], written);
                sender->learning[k] = false;
        }
        sender->deletable = 0;
        lower_limits(client);
}

/* --- What a full store deletes --- */

static void note_death(unsigned client, uint64_t seq)
{
        assert(n_deaths < DEATHS_MAX);
        deaths[n_deaths++] = (Death){client, seq, oracle_deaths_to_tell[sim.identity[client]]};
}

typedef struct Note {
        unsigned client;
        uint64_t newest; /* durable */
} Note;

/* By the stream it came from: seq after seq the records of a ring, or one of remote's own. */
static void note_batch(const ReaderBatch *batch, void *userdata)
{
        const Note *note = userdata;
        const Epoch *epoch = oracle_epoch(&batch->stream);

        if (batch->last > note->newest || batch->count == 0)
                return;
        assert(batch->first == senders[note->client].noted + 1);
        senders[note->client].noted = batch->last;
        if (!epoch && oracle_contains(batch->text, batch->size, "reason=machine-death"))
                note_death(note->client, batch->first);
        for (uint64_t i = 0; epoch && i < batch->count && batch->received_first + i <= epoch->newest; i++)
                epoch->records[batch->received_first + i - 1].own = batch->first + i;
}

static void note_records(unsigned client, const StoreStatus *status)
{
        Note note = {client, status->newest};

        reader_scan(sim.current->machine->disk, senders[client].noted + 1, note_batch, &note);
}

/* Without the last segment that went there was room. What the store has now it had when it chose, and what the group has brought. */
static void judge_need(unsigned client, const StoreStatus *status)
{
        uint64_t bytes = reader_deleted(sim.current->machine->disk, status->oldest - 1);

        if (bytes > 0 && status->bytes + bytes <= sim.use_max)
                sim_fail("c%u deletes %" PRIu64 " bytes up to %" PRIu64 " that no collector has, and with them had only %" PRIu64
                         " of %" PRIu64,
                         client, bytes, status->oldest - 1, status->bytes + bytes, sim.use_max);
}

/* What is written down to be with a collector is never told as lost. */
static void note_deleted(unsigned client, const StoreStatus *status)
{
        Sender *sender = &senders[client];
        uint64_t first = sender->oldest, last = status->oldest - 1;

        for (unsigned k = 0; k < sim.n_collectors; k++)
                first = MAX(first, reader_custody(sim.current->machine->disk, sim_collector_name(k)) + 1);
        if (first > last)
                return;
        sim_trace("%" PRIu64 " to %" PRIu64 " are deleted, and no collector is known to have them", first, last);
        judge_need(client, status);
        for (size_t i = 0; i < n_losses; i++)
                if (losses[i].collector == SIM_COLLECTORS_MAX && stream_id_equal(&losses[i].stream, &status->stream) &&
                    losses[i].last + 1 == first) {
                        losses[i].last = last;
                        return;
                }
        assert(n_losses < LOSSES_MAX);
        losses[n_losses++] = (Loss){SIM_COLLECTORS_MAX, status->stream, first, last};
}

static void note_store(unsigned client, const StoreStatus *status)
{
        if (sim.use_max == 0)
                return;
        note_records(client, status);
        note_deleted(client, status);
}

void oracle_remote_started(unsigned client, Store *store)
{
        StoreStatus status;

        forget_unwritten(client, sim.current->machine->disk);
        store_status(store, &status);
        note_store(client, &status);
        senders[client].oldest = status.oldest;
}

static Restart *find_restart(const StreamId *stream)
{
        for (size_t i = 0; i < n_restarts; i++)
                if (stream_id_equal(&restarts[i].stream, stream))
                        return &restarts[i];
        return NULL;
}

/* The stream that it took the place of, which may have had a predecessor in turn. */
static bool descends(const Restart *restart, const StreamId *from)
{
        for (size_t depth = 0; restart && depth <= n_restarts; depth++) {
                if (stream_id_equal(&restart->old, from))
                        return true;
                restart = find_restart(&restart->old);
        }
        return false;
}

/* By that collector, or any. Under this stream or the one it took the place of: seqs go on. */
static bool is_lost_from(unsigned collector, const StreamId *stream, uint64_t first, uint64_t *ret_last)
{
        for (size_t depth = 0; stream && depth <= n_restarts; depth++) {
                const Restart *restart = find_restart(stream);

                for (size_t i = 0; i < n_losses; i++)
                        if ((collector == SIM_COLLECTORS_MAX || losses[i].collector == collector) &&
                            stream_id_equal(&losses[i].stream, stream) && losses[i].first <= first &&
                            losses[i].last >= first) {
                                *ret_last = losses[i].last;
                                return true;
                        }
                stream = restart ? &restart->old : NULL;
        }
        return false;
}

static void begin_stream(Sender *sender, const StreamId *stream)
{
        bool known = !!find_restart(stream);

        for (unsigned k = 0; k < sim.n_collectors; k++)
                known = known || oracle_promised(stream, k) > 0;
        if (!known && !stream_id_is_null(&sender->stream)) {
                assert(n_restarts < RESTARTS_MAX);
                restarts[n_restarts++] = (Restart){*stream, sender->stream, sender->repeats, sender->set_back};
        }
        *sender = (Sender){.stream = *stream,
                           .oldest = sender->oldest,
                           .noted = sender->noted,
                           .may_diverge = sender->may_diverge,
                           .repeats = sender->repeats};
}

static void learn_less(unsigned client, unsigned collector, uint64_t last)
{
        Sender *sender = &senders[client];
        Restart *restart = find_restart(&sender->stream);

        sim_trace("%s was set back to %" PRIu64 " from %" PRIu64, sim_collector_name(collector), last,
                  sender->known[collector]);
        sender->learning[collector] = sender->set_back = true;
        sender->deletable = MAX(sender->deletable, sender->known[collector]);
        sender->n_dropped[collector] = n_dropped;
        if (restart)
                restart->doubted = true;
        set_backs++;
}

void oracle_welcomed(unsigned client, unsigned collector, const StreamId *stream, uint64_t last, Store *store)
{
        Sender *sender = &senders[client];
        StoreStatus status;
        uint64_t end;

        store_status(store, &status);
        if (!stream_id_equal(&sender->stream, stream)) {
                begin_stream(sender, stream);
                /* A stream that came back with its disk. */
                for (unsigned k = 0; k < sim.n_collectors; k++)
                        sender->known[k] = reader_custody(sim.current->machine->disk, sim_collector_name(k));
        }
        if (last < sender->known[collector] && !is_lost_from(collector, stream, last + 1, &end))
                sim_fail("%s has %" PRIu64 " of c%u, and acked more", sim_collector_name(collector), last, client);
        if (last > status.newest)
                sim_fail("c%u goes on at %" PRIu64 ", its newest is %" PRIu64, client, last, status.newest);
        if (last < sender->known[collector])
                learn_less(client, collector, last);
        sender->heard[collector] = sender->known[collector] = last;
        sender->stale[collector] = false;
        oracle_acked(stream, last, collector);
        if (sender->set_back)
                lower_limits(client);
        if (sender->set_back || elsewhere(sender, collector) <= last)
                return;
        assert(n_limits < LIMITS_MAX);
        limits[n_limits++] = (Limit){client, collector, *stream, last, elsewhere(sender, collector)};
}

void oracle_heard(unsigned client, unsigned collector, const StreamId *stream, uint64_t seq)
{
        senders[client].heard[collector] = senders[client].known[collector] = seq;
        oracle_acked(stream, seq, collector);
}

uint64_t oracle_heard_up_to(unsigned client, unsigned collector)
{
        return senders[client].stale[collector] ? 0 : senders[client].heard[collector];
}

void oracle_diverged(unsigned client, uint64_t newest)
{
        Sender *sender = &senders[client];

        if (!sender->may_diverge && !sender->set_back)
                sim_fail("c%u: a collector knows another history, though there is none", client);
        sender->repeats = MAX(sender->repeats, newest);
        sender->left = true;
        era++;
}

/* What it still holds it has to deliver from now on. */
static void learned(unsigned client, unsigned collector, uint64_t oldest)
{
        for (size_t i = 0; i < senders[client].n_dropped[collector]; i++)
                if (dropped[i].collector == collector && dropped[i].seq >= oldest &&
                    oracle_epochs[dropped[i].place.epoch].client == client &&
                    !oracle_record(dropped[i].place)->forgotten &&
                    stream_id_equal(&dropped[i].stream, &senders[client].stream))
                        dropped[i].held = true;
}

void oracle_durable(unsigned client, Store *store)
{
        Sender *sender = &senders[client];
        uint64_t most = sender->deletable;
        StoreStatus status;

        sender->deletable = 0;
        store_status(store, &status);
        for (unsigned k = 0; k < sim.n_collectors; k++)
                most = MAX(most, sender->known[k]);
        note_store(client, &status);
        if (status.oldest > sender->oldest && status.oldest - 1 > most && sim.use_max == 0)
                sim_fail("c%u deletes up to %" PRIu64 ", with collectors are %" PRIu64, client,
                         status.oldest - 1, most);
        sender->oldest = status.oldest;
        for (unsigned k = 0; k < sim.n_collectors; k++)
                if (sender->learning[k] && stream_id_equal(&status.stream, &sender->stream) &&
                    reader_custody(sim.current->machine->disk, sim_collector_name(k)) <= sender->known[k]) {
                        sender->learning[k] = false;
                        sim_trace("holds what it has from %" PRIu64 " on for %s", status.oldest,
                                  sim_collector_name(k));
                        learned(client, k, status.oldest);
                }
}

/* --- What is set back --- */

typedef struct Scan {
        unsigned collector;
        const Loss *losses; /* those just noted; NULL: all that the collector acked is looked at */
        size_t n;
} Scan;

static void each_line(const ReaderBatch *batch, unsigned collector,
                      void (*found)(Place place, uint64_t seq, void *userdata), void *userdata)
{
        uint64_t seq = batch->received_first;
        const uint8_t *end;
        Place place;

        if (batch->received_reason != BATCH_RECORDS)
                return;
        for (const uint8_t *p = batch->text; p < batch->text + batch->size; p = end, seq++) {
                end = memchr(p, '\n', (size_t) (batch->text + batch->size - p));
                if (!end++)
                        return;
                if (oracle_find(p, (size_t) (end - p), collector, &place))
                        found(place, seq, userdata);
        }
}

typedef struct Line {
        const Scan *scan;
        const StreamId *stream;
        uint64_t acked;
} Line;

/* Whether its client can find out: by the stream that it sends, not by one that it has left. */
static bool may_learn(Place place, const StreamId *stream)
{
        const Sender *sender = &senders[oracle_epochs[place.epoch].client];

        return !sender->left && stream_id_equal(&sender->stream, stream);
}

static void drop_line(Place place, uint64_t seq, void *userdata)
{
        const Line *line = userdata;

        for (size_t i = 0; i < line->scan->n; i++) {
                const Loss *loss = &line->scan->losses[i];

                if (!stream_id_equal(&loss->stream, line->stream) || seq < loss->first || seq > loss->last)
                        continue;
                if (n_dropped == allocated_dropped) {
                        allocated_dropped = MAX(2 * allocated_dropped, (size_t) 256);
                        dropped = reallocarray(dropped, allocated_dropped, sizeof *dropped);
                        assert(dropped);
                }
                dropped[n_dropped++] = (Dropped){place, line->scan->collector, *line->stream, seq,
                                                 may_learn(place, line->stream) ? era : NEVER, false};
        }
}

static void drop_batch(const ReaderBatch *batch, void *userdata)
{
        const Scan *scan = userdata;
        Line line = {scan, &batch->stream, 0};

        each_line(batch, scan->collector, drop_line, &line);
}

static void keep_line(Place place, uint64_t seq, void *userdata)
{
        const Line *line = userdata;

        if (seq <= line->acked)
                oracle_record(place)->rolled = false;
}

static void keep_batch(const ReaderBatch *batch, void *userdata)
{
        const Scan *scan = userdata;
        Line line = {scan, &batch->stream, oracle_promised(&batch->stream, scan->collector)};

        each_line(batch, scan->collector, keep_line, &line);
}

static const SimDisk *backup;
static unsigned restored;

static void note_loss(const StreamId *stream, uint64_t acked, void *userdata)
{
        uint64_t left = reader_durable(backup, stream);

        if (left >= acked)
                return;
        assert(n_losses < LOSSES_MAX);
        losses[n_losses++] = (Loss){restored, *stream, left + 1, acked};
        oracle_promise_less(stream, restored, left);
}

void oracle_restored(unsigned collector, const SimDisk *now, const SimDisk *snapshot)
{
        Scan scan = {.collector = collector, .losses = &losses[n_losses]};
        size_t before = n_losses, n = 0;

        backup = snapshot;
        restored = collector;
        oracle_promises(collector, note_loss, NULL);
        scan.n = n_losses - before;
        reader_scan(now, 1, drop_batch, &scan);
        for (size_t i = 0; i < n_limits; i++)
                if (limits[i].collector != collector)
                        limits[n++] = limits[i];
        n_limits = n;
        for (unsigned c = 0; c < sim.n_clients; c++)
                senders[c].stale[collector] = true;
        /* What was told of deaths may be among it. */
        memset(oracle_deaths_to_tell, 0, sizeof oracle_deaths_to_tell);
}

void oracle_rolled_back(unsigned client, const SimDisk *snapshot)
{
        Sender *sender = &senders[client];

        for (size_t e = 0; e < oracle_n_epochs; e++) {
                const Epoch *epoch = &oracle_epochs[e];

                if (epoch->client != client)
                        continue;
                for (uint64_t i = reader_durable(snapshot, &epoch->stream); i < epoch->newest; i++)
                        epoch->records[i].rolled = epoch->records[i].forgotten = true;
        }
        for (unsigned k = 0; k < sim.n_collectors; k++) {
                Scan scan = {.collector = k};

                reader_scan(sim.machines[k].disk, 1, keep_batch, &scan);
                sender->heard[k] = sender->known[k] = reader_custody(snapshot, sim_collector_name(k));
                sender->learning[k] = false;
        }
        for (size_t i = 0; i < n_limits; i++)
                if (limits[i].client == client)
                        limits[i].last = 0;
        for (size_t i = 0; i < n_dropped; i++)
                if (oracle_epochs[dropped[i].place.epoch].client == client)
                        dropped[i].held = false;
        sender->may_diverge = true;
        /* The word that it ended in order may have gone with the disk. */
        oracle_deaths[sim.identity[client]]++;
        oracle_deaths_to_tell[sim.identity[client]] = 0;
        era++;
}

static void clone_line(Place place, uint64_t seq, void *userdata)
{
        oracle_record(place)->cloned = true;
}

static void clone_batch(const ReaderBatch *batch, void *userdata)
{
        each_line(batch, SIM_COLLECTORS_MAX, clone_line, NULL);
}

void oracle_cloned(unsigned original, unsigned clone, const SimDisk *disk)
{
        senders[clone] = (Sender){.stream = senders[original].stream, .repeats = senders[original].repeats};
        senders[original].may_diverge = senders[clone].may_diverge = true;
        reader_scan(disk, 1, clone_batch, NULL);
        /* It finds that its machine went down. */
        oracle_deaths[sim.identity[clone]]++;
        era++;
}

/* --- What the judge asks --- */

bool history_lost(const StreamId *stream, uint64_t first, uint64_t last)
{
        uint64_t end;

        const Restart *r = find_restart(stream);

        for (size_t depth = 0; r && depth <= n_restarts; depth++, r = find_restart(&r->old))
                if (r->doubted)
                        first = MAX(first, r->last + 1);
        while (first <= last && is_lost_from(SIM_COLLECTORS_MAX, stream, first, &end))
                first = end + 1;
        return first > last;
}

uint64_t history_repeats(const StreamId *stream)
{
        const Restart *restart = find_restart(stream);
        uint64_t last = restart ? restart->last : 0;

        for (size_t i = 0; i < n_restarts; i++)
                if (descends(&restarts[i], stream))
                        last = MAX(last, restarts[i].last);
        return last;
}

bool history_follows(const StreamId *stream, const StreamId *before)
{
        return descends(find_restart(stream), before);
}

uint64_t history_too_much(unsigned collector, const StreamId *stream, uint64_t first, uint64_t last)
{
        uint64_t n = 0;

        for (size_t i = 0; i < n_limits; i++) {
                uint64_t from = MAX(first, limits[i].after + 1), to = MIN(last, limits[i].last);

                if (limits[i].collector == collector && stream_id_equal(&limits[i].stream, stream) && from <= to)
                        n = MAX(n, to - from + 1);
        }
        return n;
}

const StreamId *history_dropped(Place place, uint64_t *ret_seq, bool *ret_known)
{
        for (size_t i = 0; i < n_dropped; i++)
                if (dropped[i].place.epoch == place.epoch && dropped[i].place.seq == place.seq &&
                    !dropped[i].held) {
                        *ret_seq = dropped[i].seq;
                        *ret_known = dropped[i].era == era && !oracle_record(place)->forgotten;
                        return &dropped[i].stream;
                }
        return NULL;
}

const StreamId *history_stream(unsigned client)
{
        return &senders[client].stream;
}

void history_deaths(unsigned client, void (*found)(uint64_t seq, uint64_t deaths, void *userdata), void *userdata)
{
        for (size_t i = 0; i < n_deaths; i++)
                if (deaths[i].client == client)
                        found(deaths[i].seq, deaths[i].deaths, userdata);
}

void history_count(Verdict *verdict)
{
        verdict->restarts = n_restarts;
        verdict->set_backs = set_backs;
}

void history_begin(void)
{
        n_losses = n_restarts = n_limits = n_dropped = n_deaths = 0;
        era = 0;
        set_backs = 0;
        memset(senders, 0, sizeof senders);
}

void history_done(void)
{
        free(dropped);
        dropped = NULL;
        n_dropped = allocated_dropped = 0;
}
