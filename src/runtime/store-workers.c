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

/* After packing or the links failed: room does not come back at once, and trying costs a segment's worth of work, or a name for
 * each segment. */
#define TROUBLE_REST_USEC (60 * USEC_PER_SEC)
/* Between two makings of a store's links: this, or so many times what one took, which goes with the number of segments. So no
 * disk does more than a tenth of the time for names. */
#define LINKS_REST_USEC USEC_PER_SEC
#define LINKS_REST_TIMES 9U

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

        Worker *linker; /* NULL: stores have no links */
        Store *linked;  /* whose are made, NULL: none are */
        StoreLinks links;
        uint64_t links_usec; /* monotonic, when that began */
        uint64_t *links_rest_until;
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
                workers->rest_until = monotonic_usec() + TROUBLE_REST_USEC;
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

/* --- Links --- */

static int run_links(void *userdata)
{
        StoreWorkers *workers = userdata;

        return store_links_run(&workers->links);
}

static void on_links_done(int result, void *userdata)
{
        StoreWorkers *workers = userdata;
        Store *store = workers->linked;
        uint64_t now = monotonic_usec();
        uint64_t rest_usec = MAX(LINKS_REST_USEC, LINKS_REST_TIMES * (now - workers->links_usec));

        workers->linked = NULL;
        if (store_links_end(store, &workers->links, result) < 0) {
                log_warning("The store's links for ausearch cannot be made, and are tried again in a minute: %s", strerror(-result));
                rest_usec = MAX(rest_usec, TROUBLE_REST_USEC);
        }
        *workers->links_rest_until = now + rest_usec;
}

void store_workers_links(StoreWorkers *workers, Store *store, uint64_t *rest_until)
{
        if (!workers->linker || workers->linked || monotonic_usec() < *rest_until ||
            !store_links_begin(store, &workers->links))
                return;
        workers->linked = store;
        workers->links_usec = monotonic_usec();
        workers->links_rest_until = rest_until;
        worker_start(workers->linker, run_links, on_links_done, workers);
}

/* --- Life --- */

bool store_workers_busy(const StoreWorkers *workers, const StoreCommit *commit, const Store *store)
{
        return commit->in_flight || workers->packed == store || workers->linked == store;
}

void store_workers_leave(StoreWorkers *workers, StoreCommit *commit)
{
        assert(!commit->in_flight);
        if (commit->asked)
                TAILQ_REMOVE(&workers->asked, commit, entries);
        commit->asked = false;
}

static int make(StoreWorkers *workers, sd_event *event, bool pack, bool links)
{
        int r = worker_new(event, "store", LOOP_DATA, &workers->committer);

        if (r == 0 && pack)
                r = worker_new(event, "store-packer", LOOP_STATUS, &workers->packer);
        if (r == 0 && links)
                r = worker_new(event, "store-links", LOOP_STATUS, &workers->linker);
        if (r < 0)
                return r;
        r = sd_event_add_defer(event, &workers->round, on_round, workers);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(workers->round, SD_EVENT_OFF);
        (void) sd_event_source_set_description(workers->round, "store-commit");
        return sd_event_source_set_priority(workers->round, LOOP_COMMIT);
}

int store_workers_new(sd_event *event, bool pack, bool links, StoreWorkers **ret)
{
        _cleanup_(store_workers_freep) StoreWorkers *workers = calloc(1, sizeof *workers);
        int r;

        if (!workers)
                return -ENOMEM;
        TAILQ_INIT(&workers->asked);
        TAILQ_INIT(&workers->flying);
        r = make(workers, event, pack, links);
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
        worker_free(workers->linker);
        if (workers->linked)
                (void) store_links_end(workers->linked, &workers->links, -ECANCELED);
        if (workers->round)
                sd_event_source_disable_unref(workers->round);
        let_go(&workers->asked);
        let_go(&workers->flying);
        free(workers);
        return NULL;
}
