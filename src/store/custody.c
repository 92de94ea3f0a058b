/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The collectors: how far each has the store's records in its custody, and what explains the seqs that a
 * collector is not shown.
 *
 * 1. A collector is not shown what another has in custody: it is told so instead (reason custody), once that is
 *    durable here. Told before, a crash would make it forgotten here, and the batch that was told is none of
 *    ours then.
 * 2. What nobody acked and is not held any more is told as lost, with the reason for which it was deleted.
 * 3. A collector that comes back with less than it had acked was restored from a backup: from now on it has
 *    what it says. Others may have been told that it had the rest, and have no more than that, whether we have heard
 *    so from them or not yet; so of theirs counts only what is newer than all it ever acked.
 * 4. After the store's stream was restarted nobody has anything of the new one; below the oldest held,
 *    custody is what the old stream's collectors had. Which these were is not known any more: once one is found to have
 *    been restored, it is told as lost.
 */

#include "store/store-internal.h"

static const char *const deleted_reasons[_INDEX_DELETED_MAX] = {
        [INDEX_DELETED_ACKED] = "deleted-when-acked", [INDEX_DELETED_SIZE] = "deleted-for-size",
        [INDEX_DELETED_AGE] = "deleted-for-age",      [INDEX_DELETED_SPACE] = "deleted-for-space",
        [INDEX_DELETED_ASKED] = "deleted-by-hand",
};

static Collector *collector_free(Collector *collector)
{
        reader_close(collector);
        free(collector->cache);
        free(collector->payload);
        free(collector);
        return NULL;
}

void custody_done(Store *store)
{
        while (store->n_collectors > 0)
                (void) collector_free(store->collectors[--store->n_collectors]);
}

/* The table is full: the one that is only remembered and furthest behind makes room. */
static bool displace(Store *store)
{
        Collector **victim = NULL;

        for (size_t i = 0; i < store->n_collectors; i++)
                if (store->collectors[i]->users == 0 && (!victim || store->collectors[i]->seq < (*victim)->seq))
                        victim = &store->collectors[i];
        if (!victim)
                return false;
        (void) collector_free(*victim);
        *victim = store->collectors[--store->n_collectors];
        return true;
}

Collector *custody_collector(Store *store, const char *name)
{
        Collector *collector;

        if (strlen(name) > NODE_NAME_MAX)
                return NULL;
        for (size_t i = 0; i < store->n_collectors; i++)
                if (strcmp(store->collectors[i]->name, name) == 0)
                        return store->collectors[i];
        if (store->n_collectors == STORE_COLLECTORS_MAX && !displace(store))
                return NULL;
        collector = calloc(1, sizeof *collector);
        if (!collector)
                return NULL;
        collector->store = store;
        collector->files = SEGMENT_FILES_NULL;
        collector->text = SEGMENT_TEXT_NULL;
        collector->from = store->doubted > 0 ? store->doubted + 1 : 0;
        strcpy(collector->name, name);
        reader_init(collector);
        store->collectors[store->n_collectors++] = collector;
        return collector;
}

uint64_t custody_until(const Store *store, uint64_t seq)
{
        for (size_t i = 0; i < store->n_collectors;) {
                const Collector *c = store->collectors[i++];

                if (c->from <= seq && c->seq >= seq) {
                        seq = c->seq + 1;
                        i = 0;
                }
        }
        return seq - 1;
}

uint64_t custody_released(const Store *store)
{
        return MIN(custody_until(store, 1), store->durable.last);
}

uint64_t custody_released_before(const Store *store)
{
        return store->restart.kind == INDEX_RESTART ? store->restart.restart.released : 0;
}

static uint64_t oldest_held(const Store *store)
{
        return store->n_segments > 0 ? MIN(store->segments[0].first, store->durable.last + 1)
                                     : store->durable.last + 1;
}

/* Another collector that has seq; of several the one that has most. */
static const Collector *other(const Collector *collector, uint64_t seq)
{
        const Collector *best = NULL;

        for (size_t i = 0; i < collector->store->n_collectors; i++) {
                const Collector *o = collector->store->collectors[i];

                if (o != collector && o->from <= seq && o->durable >= seq &&
                    (!best || o->durable > best->durable))
                        best = o;
        }
        return best;
}

uint64_t custody_oldest(const Collector *collector)
{
        uint64_t seq = oldest_held(collector->store);
        const Collector *o;

        while ((o = other(collector, seq)))
                seq = o->durable + 1;
        return seq;
}

int custody_shows(const Collector *collector, uint64_t seq)
{
        const Store *store = collector->store;

        if (seq < oldest_held(store) || other(collector, seq))
                return -ENOENT;
        for (size_t i = 0; i < store->n_collectors; i++)
                if (store->collectors[i] != collector && store->collectors[i]->from <= seq &&
                    store->collectors[i]->seq >= seq)
                        return 0;
        return 1;
}

/* Its restored custody may have been all there was of the old stream's. A RESTART resets custody: all of it is
 * written again behind. */
static void doubt_old_stream(Store *store)
{
        store->restart.restart.released = 0;
        store->restart_unsaved = true;
        for (size_t i = 0; i < store->n_collectors; i++)
                store->collectors[i]->unsaved = store->collectors[i]->unsaved ||
                                                custody_is_noted(store->collectors[i]);
}

bool custody_is_noted(const Collector *collector)
{
        return collector->seq > 0 || collector->store->doubted > 0;
}

/* What others were told of its custody is not true any more; whether they have such seqs or only the word for
 * it is not known here. Others are also those whom we do not know yet, or not any more. */
void custody_distrust(Store *store, const Collector *collector)
{
        store->doubted = MAX(store->doubted, collector->seq);
        for (size_t i = 0; i < store->n_collectors; i++) {
                Collector *o = store->collectors[i];

                if (o != collector) {
                        o->from = MAX(o->from, collector->seq + 1);
                        o->unsaved = true;
                }
        }
}

void custody_set_back(Collector *collector, uint64_t seq)
{
        Store *store = collector->store;

        MARK("store.set-back");
        custody_distrust(store, collector);
        collector->seq = seq;
        collector->flight = MIN(collector->flight, seq);
        collector->durable = MIN(collector->durable, seq);
        collector->unsaved = store->custody_due = true;
        if (seq < custody_released_before(store))
                doubt_old_stream(store);
        store->set_backs++;
}

void custody_forget(Store *store)
{
        store->doubted = 0;
        for (size_t i = 0; i < store->n_collectors; i++) {
                Collector *c = store->collectors[i];

                c->seq = c->checksum = c->flight = c->durable = c->from = 0;
                c->unsaved = false;
        }
}

static void explain(BatchReason reason, uint64_t first, uint64_t last, const char *argument, Batch *ret)
{
        *ret = (Batch) {
                .first = first,
                .last = last,
                .size = (uint32_t) strlen(argument),
                .origin = BATCH_ORIGIN_LOCAL,
                .reason = reason,
                .payload = (const uint8_t *) argument,
        };
        batch_seal(ret);
}

void custody_explain(Collector *collector, uint64_t seq, Batch *ret)
{
        const Store *store = collector->store;
        const Collector *o = other(collector, seq);
        uint64_t end = oldest_held(store) - 1;
        uint8_t reason = store->deleted.kind == INDEX_DELETED ? store->deleted.deleted.reason : 0;

        if (o) {
                MARK("store.custody-explained");
                explain(BATCH_CUSTODY, seq, o->durable, o->name, ret);
                return;
        }
        for (size_t i = 0; i < store->n_collectors; i++) {
                o = store->collectors[i];
                if (o != collector && o->from > seq && o->durable >= o->from)
                        end = MIN(end, o->from - 1);
        }
        if (custody_released_before(store) >= seq) {
                stream_id_format(&store->restart.restart.old, collector->old_stream);
                explain(BATCH_CUSTODY, seq, MIN(end, custody_released_before(store)), collector->old_stream,
                        ret);
        } else {
                MARK("store.lost-explained");
                explain(BATCH_LOST, seq, end,
                        reason > 0 && reason < _INDEX_DELETED_MAX ? deleted_reasons[reason]
                                                                  : STORE_DAMAGED_REASON,
                        ret);
        }
}

void custody_explain_damage(uint64_t seq, uint64_t last, Batch *ret)
{
        explain(BATCH_LOST, seq, last, STORE_DAMAGED_REASON, ret);
}

void custody_forget_files(Store *store, uint64_t first)
{
        for (size_t i = 0; i < store->n_collectors; i++)
                if (store->collectors[i]->files.first == first)
                        reader_close(store->collectors[i]);
}

Source *store_source(Store *store, const char *collector_name)
{
        Collector *collector = custody_collector(store, collector_name);

        if (!collector)
                return NULL;
        collector->users++;
        return &collector->source;
}

void store_source_end(Source *source)
{
        Collector *collector = container_of(source, Collector, source);

        if (--collector->users > 0)
                return;
        reader_close(collector);
        free(TAKE_PTR(collector->cache));
        free(TAKE_PTR(collector->payload));
        collector->n_cached = 0;
}
