/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rounds of commits.
 *
 *  1. A round takes all that have asked when it begins, in the order in which they did; who asks while it runs is
 *     in the next. So nobody waits for more than the rest of one round.
 *  2. Each job has its own result: what fails on one store is nothing to the others.
 *  3. The jobs in flight belong to the thread until the round is over.
 */

#include "runtime/store-workers.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/worker.h"

#include <inttypes.h>

/* After packing failed: room does not come back at once, and trying costs a segment's worth of work. */
#define PACK_REST_USEC (60 * USEC_PER_SEC)

typedef TAILQ_HEAD(CommitList, StoreCommit) CommitList;

struct StoreWorkers {
        Worker *committer;
        sd_event_source *round;
        CommitList asked, flying;
        bool ending; /* a round is: the next follows at once */

        Worker *packer; /* NULL: closed segments stay as they are */
        Store *packed;  /* being worked on, NULL: none is */
        StorePack pack;
        uint64_t rest_until; /* monotonic */
};

/* --- Commits --- */

static int run_round(void *userdata)
{
        StoreWorkers *workers = userdata;
        StoreCommit *commit;

        TAILQ_FOREACH(commit, &workers->flying, entries)
                commit->result = store_job_run(&commit->job);
        return 0;
}

static void begin_round(StoreWorkers *workers);

static void on_round_done(int result, void *userdata)
{
        StoreWorkers *workers = userdata;
        StoreCommit *commit;

        workers->ending = true;
        while ((commit = TAILQ_FIRST(&workers->flying))) {
                TAILQ_REMOVE(&workers->flying, commit, entries);
                commit->in_flight = false;
                commit->end(commit, commit->result);
        }
        workers->ending = false;
        begin_round(workers);
}

/* What asks within begin() is for the next round; whose job is run, for none. */
static void begin_one(StoreWorkers *workers, StoreCommit *commit)
{
        commit->asked = false;
        if (!commit->begin(commit))
                return;
        store_workers_leave(workers, commit);
        commit->in_flight = true;
        TAILQ_INSERT_TAIL(&workers->flying, commit, entries);
}

static void begin_round(StoreWorkers *workers)
{
        CommitList round = TAILQ_HEAD_INITIALIZER(round);
        StoreCommit *commit;

        TAILQ_CONCAT(&round, &workers->asked, entries);
        while ((commit = TAILQ_FIRST(&round))) {
                TAILQ_REMOVE(&round, commit, entries);
                begin_one(workers, commit);
        }
        if (!TAILQ_EMPTY(&workers->flying))
                worker_start(workers->committer, run_round, on_round_done, workers);
}

static int on_round(sd_event_source *source, void *userdata)
{
        StoreWorkers *workers = userdata;

        if (!worker_busy(workers->committer))
                begin_round(workers);
        return 0;
}

void store_workers_commit(StoreWorkers *workers, StoreCommit *commit)
{
        if (commit->asked || commit->in_flight)
                return;
        commit->asked = true;
        TAILQ_INSERT_TAIL(&workers->asked, commit, entries);
        if (!workers->ending && !worker_busy(workers->committer))
                (void) sd_event_source_set_enabled(workers->round, SD_EVENT_ONESHOT);
}

/* --- Packing --- */

static int run_pack(void *userdata)
{
        StoreWorkers *workers = userdata;

        return store_pack_run(&workers->pack);
}

static void on_pack_done(int result, void *userdata)
{
        StoreWorkers *workers = userdata;
        Store *store = workers->packed;

        workers->packed = NULL;
        if (store_pack_end(store, &workers->pack, result) < 0) {
                log_warning("The segment that begins at %" PRIu64 " stays uncompressed until it is tried again: %s",
                            workers->pack.first, strerror(-result));
                workers->rest_until = monotonic_usec() + PACK_REST_USEC;
        }
        store_workers_pack(workers, store);
}

void store_workers_pack(StoreWorkers *workers, Store *store)
{
        if (!workers->packer || workers->packed || monotonic_usec() < workers->rest_until ||
            !store_pack_begin(store, &workers->pack))
                return;
        workers->packed = store;
        worker_start(workers->packer, run_pack, on_pack_done, workers);
}

/* --- Life --- */

bool store_workers_busy(const StoreWorkers *workers, const StoreCommit *commit, const Store *store)
{
        return commit->in_flight || workers->packed == store;
}

void store_workers_leave(StoreWorkers *workers, StoreCommit *commit)
{
        assert(!commit->in_flight);
        if (commit->asked)
                TAILQ_REMOVE(&workers->asked, commit, entries);
        commit->asked = false;
}

static int make(StoreWorkers *workers, sd_event *event, bool pack)
{
        int r = worker_new(event, "store", LOOP_DATA, &workers->committer);

        if (r == 0 && pack)
                r = worker_new(event, "store-packer", LOOP_STATUS, &workers->packer);
        if (r < 0)
                return r;
        r = sd_event_add_defer(event, &workers->round, on_round, workers);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(workers->round, SD_EVENT_OFF);
        (void) sd_event_source_set_description(workers->round, "store-commit");
        return sd_event_source_set_priority(workers->round, LOOP_COMMIT);
}

int store_workers_new(sd_event *event, bool pack, StoreWorkers **ret)
{
        _cleanup_(store_workers_freep) StoreWorkers *workers = calloc(1, sizeof *workers);
        int r;

        if (!workers)
                return -ENOMEM;
        TAILQ_INIT(&workers->asked);
        TAILQ_INIT(&workers->flying);
        r = make(workers, event, pack);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(workers);
        return 0;
}

static void let_go(CommitList *commits)
{
        StoreCommit *commit;

        while ((commit = TAILQ_FIRST(commits))) {
                TAILQ_REMOVE(commits, commit, entries);
                commit->asked = commit->in_flight = false;
        }
}

StoreWorkers *store_workers_free(StoreWorkers *workers)
{
        if (!workers)
                return NULL;
        worker_free(workers->committer);
        worker_free(workers->packer);
        if (workers->round)
                sd_event_source_disable_unref(workers->round);
        let_go(&workers->asked);
        let_go(&workers->flying);
        free(workers);
        return NULL;
}
