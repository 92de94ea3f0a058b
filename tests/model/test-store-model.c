/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Random operations on a store and on an array that does the same the simple way; after each commit and
 * each start both must agree in everything a user of the store can ask: positions, range, every batch,
 * every explanation, every checksum.
 *
 * Seeds are random and printed; AUDIT_RELAY_SEED=n replays one, AUDIT_RELAY_SEEDS=m takes more or fewer.
 */

#include "check-main.h"
#include "mark.h"
#include "store-verify.h"

#include <inttypes.h>
#include <sys/random.h>

#define STREAMS 4U
#define COLLECTORS 2U
#define BATCHES_MAX 2048U
#define OPERATIONS 250U
#define SEEDS 150U
/* A few segments of these. */
#define USE_MAX (16U * 1024U)

typedef struct Kept {
        uint64_t first, last; /* own seqs */
        unsigned stream;
        uint64_t stream_first;
} Kept;

typedef struct Position {
        uint64_t last, checksum;
        bool ends;
} Position;

typedef struct Model {
        uint64_t random;
        SimDisk *sim;
        Store *store;
        uint64_t now;
        Kept kept[BATCHES_MAX];
        size_t n_kept, n_durable;
        Position written[STREAMS], durable[STREAMS];
        uint64_t custody[COLLECTORS], custody_checksum[COLLECTORS];
        StreamId stream, old_stream;
        uint64_t old_released; /* what collectors had of the old stream */
        bool restart_wanted;
        uint64_t oldest;
        uint64_t checkpoint; /* number of the last that was asked for; known to be durable by the next check */
        bool drops; /* has WhenFull=drop-oldest, and a small bound */
        uint64_t dropped;
} Model;

static const char *const collectors[COLLECTORS] = { "alpha", "beta" };

static uint64_t below(Model *model, uint64_t n)
{
        return fixture_draw(&model->random) % n;
}

static uint64_t newest(const Model *model)
{
        return model->n_durable > 0 ? model->kept[model->n_durable - 1].last : 0;
}

static Source *source_of(const Model *model, unsigned c)
{
        Source *source = store_source(model->store, collectors[c]);

        ck_assert(source);
        return source;
}

/* --- Comparing --- */

static void check_positions(Model *model)
{
        Sink *sink = store_sink(model->store);

        for (unsigned s = 0; s < STREAMS; s++) {
                StreamId id = fixture_stream(s);
                uint64_t last, checksum;

                ck_assert_int_eq(sink->position(sink, &id, "owner", &last, &checksum), 0);
                ck_assert_uint_eq(last, model->written[s].last);
                ck_assert_uint_eq(checksum, last > 0 ? model->written[s].checksum : 0);
                if (last > 0)
                        ck_assert_int_eq(sink->position(sink, &id, "other", &last, &checksum), -EPERM);
        }
}

static const Kept *kept_at(const Model *model, uint64_t seq)
{
        for (size_t i = 0; i < model->n_durable; i++)
                if (model->kept[i].first <= seq && seq <= model->kept[i].last)
                        return &model->kept[i];
        return NULL;
}

/* What collector c must be told when it asks for seq. */
static void check_get(Model *model, unsigned c, uint64_t seq, Cursor *cursor)
{
        Source *source = source_of(model, c);
        uint64_t others = model->custody[1 - c], shown_from = MAX(model->oldest, others + 1), checksum;
        const Kept *kept = kept_at(model, seq);
        Batch batch, expected;
        char text[4096], old[33];
        int r = source->get(source, seq, cursor, &batch);

        if (seq == newest(model) + 1) {
                ck_assert_int_eq(r, 0);
        } else if (seq > newest(model)) {
                ck_assert_int_eq(r, -ESTALE);
        } else if (seq < shown_from && others >= seq) {
                ck_assert_int_eq(r, 1);
                ck_assert_int_eq(batch.reason, BATCH_CUSTODY);
                ck_assert_mem_eq(batch.payload, collectors[1 - c], batch.size);
                ck_assert_uint_eq(batch.last, others);
        } else if (seq < shown_from) {
                ck_assert_int_eq(r, 1);
                stream_id_format(&model->old_stream, old);
                ck_assert_int_eq(batch.reason, model->old_released >= seq ? BATCH_CUSTODY : BATCH_LOST);
                if (batch.reason == BATCH_CUSTODY)
                        ck_assert_mem_eq(batch.payload, old, batch.size);
                ck_assert_uint_lt(batch.last, shown_from);
        } else if (seq != kept->first) {
                ck_assert_int_eq(r, -ESTALE);
        } else {
                ck_assert_int_eq(r, 1);
                expected = fixture_batch(kept->stream, kept->stream_first,
                                         kept->stream_first + (kept->last - kept->first), text);
                batch_renumber(&expected, kept->first, kept->last);
                ck_assert_uint_eq(batch.last, kept->last);
                ck_assert_uint_eq(batch.checksum, expected.checksum);
                ck_assert_mem_eq(batch.payload, text, expected.size);
                if (model->custody[c] != kept->last) {
                        ck_assert_int_eq(source->ended(source, kept->last, &checksum), 1);
                        ck_assert_uint_eq(checksum, expected.checksum);
                }
        }
}

static void check_all(Model *model)
{
        StoreStatus status;
        SourceRange range;
        VerifyFinding damage;
        uint64_t acked;

        check_positions(model);
        ck_assert_uint_eq(fixture_damages(model->sim, &damage), 0);
        store_status(model->store, &status);
        /* Which whole segments went is the store's business; what is not acked goes only if it may, and is counted. */
        acked = MAX(MAX(model->custody[0], model->custody[1]), model->old_released);
        ck_assert_uint_ge(status.oldest, model->oldest);
        if (model->drops && status.oldest > acked + 1)
                ck_assert_uint_ge(model->dropped + status.dropped, 1);
        else
                ck_assert_uint_le(status.oldest, acked + 1);
        model->oldest = status.oldest;
        for (unsigned c = 0; c < COLLECTORS; c++) {
                Source *source = source_of(model, c);
                Cursor cursor = { { 0 } };

                source->range(source, &range);
                ck_assert_uint_eq(range.newest, newest(model));
                ck_assert_uint_eq(range.oldest, MAX(model->oldest, model->custody[1 - c] + 1));
                ck_assert(stream_id_equal(&range.stream, &model->stream));
                for (unsigned i = 0; i < 8; i++)
                        check_get(model, c, 1 + below(model, newest(model) + 2),
                                  below(model, 2) ? &cursor : NULL);
        }
}

/* --- Operating --- */

static void open_store(Model *model)
{
        StoreOptions options = fixture_options(sim_disk_attach(model->sim));
        StoreReport report;

        options.hash = fixture_hash;
        options.segment_size_max = 700;
        options.delete_acked = true;
        if (model->drops) {
                options.delete_unacked = true;
                options.use_max = USE_MAX;
        }
        ck_assert_int_eq(store_open(&options, ++model->now, &model->store, &report), 0);
        ck_assert_uint_eq(report.n_damages, 0);
        ck_assert_uint_eq(report.cut_bytes, 0);
        store_report_done(&report);
}

static void append(Model *model)
{
        unsigned s = (unsigned) below(model, STREAMS);
        uint64_t first = model->written[s].last + 1, last = first + below(model, 5);
        Sink *sink = store_sink(model->store);
        StreamId id = fixture_stream(s);
        char text[4096];
        Batch batch = fixture_batch(s, first, last, text);
        int r;

        if (below(model, 4) == 0) {
                batch.reason = BATCH_FILTERED;
                batch.count = batch.size = 0;
                batch_seal(&batch);
        }
        r = sink->append(sink, &id, "owner", &batch, &batch, ++model->now);
        /* What waits for its commit fills its share of a small bound, or all there is when nothing can go for it. */
        if ((r == -EAGAIN || r == -ENOSPC) && model->drops)
                return;
        ck_assert_int_eq(r, 0);
        model->written[s] = (Position) { .last = last, .checksum = batch.checksum };
        if (batch.count == 0)
                return;
        ck_assert_uint_lt(model->n_kept, BATCHES_MAX);
        first = model->n_kept > 0 ? model->kept[model->n_kept - 1].last + 1 : 1;
        model->kept[model->n_kept++] = (Kept) { first, first + batch.count - 1, s, batch.first };
}

static void commit_all(Model *model)
{
        StoreStatus status;

        while (store_dirty(model->store))
                ck_assert_int_eq(fixture_commit(model->store, ++model->now), 1);
        model->n_durable = model->n_kept;
        for (unsigned s = 0; s < STREAMS; s++) {
                if (model->written[s].ends)
                        model->written[s] = (Position) { 0 };
                model->durable[s] = model->written[s];
        }
        if (model->restart_wanted) {
                model->old_released = MAX(model->old_released, MAX(model->custody[0], model->custody[1]));
                memset(model->custody, 0, sizeof model->custody);
                model->old_stream = model->stream;
                store_status(model->store, &status);
                ck_assert(!stream_id_equal(&status.stream, &model->stream));
                model->stream = status.stream;
                model->restart_wanted = false;
        }
}

/* Of what is durable now. */
static void checkpoint(Model *model)
{
        StoreHead head;

        if (!store_head(model->store, &head))
                return;
        ck_assert_uint_eq(head.seq, newest(model));
        ck_assert_uint_eq(head.last.kind == INDEX_CHECKPOINT ? head.last.checkpoint.serial : 0, model->checkpoint);
        ck_assert(fixture_checkpoint(model->store, ++model->now));
        ck_assert(!fixture_checkpoint(model->store, model->now));
        if (below(model, 2))
                append(model);
        commit_all(model);
        ck_assert(store_head(model->store, &head));
        ck_assert_uint_eq(head.last.checkpoint.serial, ++model->checkpoint);
}

static void release(Model *model)
{
        unsigned c = (unsigned) below(model, COLLECTORS);
        Source *source = source_of(model, c);
        SourceRange range;
        Batch batch;

        source->range(source, &range);
        if (range.oldest > range.newest || model->restart_wanted)
                return;
        /* A sender goes on where it is: explanations first. */
        if (source->get(source, model->custody[c] + 1, NULL, &batch) <= 0)
                return;
        source->release(source, batch.last, batch.checksum);
        model->custody[c] = batch.last;
        model->custody_checksum[c] = batch.checksum;
}

/* A kill: what was not committed is not there, or all of it is, as the disk kept running. */
static void reopen(Model *model)
{
        StoreStatus status;

        commit_all(model);
        if (below(model, 2)) {
                ck_assert_int_eq(store_finish(model->store, true, ++model->now), 0);
                commit_all(model);
        } else {
                /* Without a clean end a lone collector's last acks may be forgotten: write them down with
                 * something. */
                append(model);
                commit_all(model);
        }
        store_status(model->store, &status);
        model->dropped += status.dropped;
        model->store = store_free(model->store);
        open_store(model);
        check_all(model);
        for (unsigned c = 0; c < COLLECTORS; c++) {
                Source *source = source_of(model, c);
                uint64_t checksum;

                if (model->custody[c] == 0)
                        continue;
                ck_assert_int_eq(source->ended(source, model->custody[c], &checksum), 1);
                ck_assert_uint_eq(checksum, model->custody_checksum[c]);
        }
}

static void operate(Model *model)
{
        uint64_t dice = below(model, 100);
        unsigned s = (unsigned) below(model, STREAMS);
        StreamId id = fixture_stream(s);

        if (dice < 55) {
                append(model);
        } else if (dice < 75) {
                commit_all(model);
                check_all(model);
        } else if (dice < 88) {
                release(model);
        } else if (dice < 90) {
                store_rotate(model->store);
        } else if (dice == 99) {
                checkpoint(model);
        } else if (dice < 92) {
                ck_assert_int_eq(store_stream_end(model->store, &id, ++model->now), 0);
                model->written[s].ends = model->written[s].last > 0;
        } else if (dice < 93) {
                commit_all(model);
                ck_assert_int_eq(store_restart_stream(model->store, ++model->now), 0);
                model->restart_wanted = true;
        } else if (dice < 96) {
                reopen(model);
        } else {
                check_positions(model);
        }
}

static void run(uint64_t seed)
{
        Model *model = calloc(1, sizeof *model);
        StoreStatus status;

        assert(model);
        model->random = fixture_random_state = seed;
        model->sim = sim_disk_new(seed);
        model->oldest = 1;
        model->drops = seed % 2;
        open_store(model);
        store_status(model->store, &status);
        model->stream = status.stream;
        for (unsigned i = 0; i < OPERATIONS; i++)
                operate(model);
        commit_all(model);
        check_all(model);
        (void) store_free(model->store);
        (void) sim_disk_free(model->sim);
        free(model);
}

static uint64_t environment(const char *name, uint64_t otherwise)
{
        const char *value = getenv(name);

        return value ? strtoull(value, NULL, 0) : otherwise;
}

START_TEST(the_store_does_what_the_array_does)
{
        uint64_t seed, n = environment("AUDIT_RELAY_SEEDS", getenv("AUDIT_RELAY_SEED") ? 1 : SEEDS);

        ck_assert_int_eq(getrandom(&seed, sizeof seed, 0), sizeof seed);
        seed = environment("AUDIT_RELAY_SEED", seed);
        for (uint64_t i = 0; i < n; i++) {
                /* A failing check ends the test: the last such line says which seed it was. */
                printf("# AUDIT_RELAY_SEED=%" PRIu64 "\n", seed + i);
                fflush(stdout);
                run(seed + i);
        }
        ck_assert(n < SEEDS || marks_reached("store-model"));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-model");
        TCase *tcase = tcase_create("store-model");

        tcase_set_timeout(tcase, 120);
        tcase_add_test(tcase, the_store_does_what_the_array_does);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
