/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/store-packer.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/worker.h"

#include <inttypes.h>

/* After a failure: room does not come back at once, and trying costs a segment's worth of work. */
#define REST_USEC (60 * USEC_PER_SEC)

struct StorePacker {
        Store *store;
        Worker *worker;
        StorePack job;
        uint64_t rest_until; /* monotonic */
};

static int run(void *userdata)
{
        StorePacker *packer = userdata;

        return store_pack_run(&packer->job);
}

static void on_done(int result, void *userdata)
{
        StorePacker *packer = userdata;

        if (store_pack_end(packer->store, &packer->job, result) < 0) {
                log_warning("The segment that begins at %" PRIu64 " stays uncompressed for now: %s", packer->job.first,
                            strerror(-result));
                packer->rest_until = monotonic_usec() + REST_USEC;
        }
        store_packer_check(packer);
}

void store_packer_check(StorePacker *packer)
{
        if (worker_busy(packer->worker) || monotonic_usec() < packer->rest_until ||
            !store_pack_begin(packer->store, &packer->job))
                return;
        worker_start(packer->worker, run, on_done, packer);
}

int store_packer_new(sd_event *event, Store *store, StorePacker **ret)
{
        _cleanup_(store_packer_freep) StorePacker *packer = calloc(1, sizeof *packer);
        int r;

        if (!packer)
                return -ENOMEM;
        packer->store = store;
        r = worker_new(event, "store-packer", LOOP_STATUS, &packer->worker);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(packer);
        return 0;
}

StorePacker *store_packer_free(StorePacker *packer)
{
        if (packer)
                worker_free(packer->worker);
        free(packer);
        return NULL;
}
