/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What verification finds in a store on a simulated disk, beside its owner. */

#include "store-fixture.h"
#include "store/verify.h"

#define FOUND_MAX 64U

typedef struct Found {
        VerifyFinding findings[FOUND_MAX];
        size_t n, n_damages;
        uint64_t batches, records, chained, checkpoints;
        unsigned progress;
        const IndexEntry *kept; /* a checkpoint that somebody keeps; NULL: none */
        bool seen;              /* … is of this chain */
} Found;

static inline void found_finding(const VerifyFinding *finding, void *userdata)
{
        Found *found = userdata;

        if (found->n < FOUND_MAX)
                found->findings[found->n++] = *finding;
        found->n_damages += verify_is_damage(finding->kind);
}

static inline void found_batch(const IndexEntry *entry, const VerifyStream *stream, const uint8_t *payload,
                               void *userdata)
{
        Found *found = userdata;

        found->batches++;
        found->records += payload ? entry->batch.stored.count : 0;
}

static inline void found_chained(const uint8_t chain[static SHA256_SIZE], uint64_t seq, void *userdata)
{
        Found *found = userdata;

        found->chained++;
        if (found->kept && found->kept->checkpoint.seq == seq &&
            memcmp(found->kept->checkpoint.head, chain, SHA256_SIZE) == 0)
                found->seen = true;
}

static inline void found_checkpoint(const IndexEntry *entry, void *userdata)
{
        Found *found = userdata;

        found->checkpoints++;
}

static inline void found_progress(unsigned done, void *userdata)
{
        Found *found = userdata;

        assert(done >= found->progress && done <= 1000);
        found->progress = done;
}

/* As store_verify(); the streams of *ret_result are not kept. */
static inline int fixture_verify_kept(Disk *disk, const IndexEntry *kept, Found *ret, VerifyResult *ret_result)
{
        static const VerifyHandler handler = {
                .finding = found_finding,
                .batch = found_batch,
                .chained = found_chained,
                .checkpoint = found_checkpoint,
                .progress = found_progress,
        };
        int r;

        *ret = (Found) { .kept = kept };
        *ret_result = (VerifyResult) { 0 };
        r = store_verify(disk, fixture_hash, &handler, ret, ret_result);
        if (r == 0) {
                free(ret_result->streams);
                ret_result->streams = NULL;
        }
        return r;
}

static inline int fixture_verify(Disk *disk, Found *ret, VerifyResult *ret_result)
{
        return fixture_verify_kept(disk, NULL, ret, ret_result);
}

/* Damages of the store on this disk as it is now; the first goes to *ret. */
static inline size_t fixture_damages(SimDisk *medium, VerifyFinding *ret)
{
        Disk *disk = sim_disk_attach(medium);
        static Found found; /* it is large */
        VerifyResult result;
        int r = fixture_verify(disk, &found, &result);

        assert(r == 0 || r == -ENODATA);
        for (size_t i = found.n; i > 0; i--)
                if (verify_is_damage(found.findings[i - 1].kind))
                        *ret = found.findings[i - 1];
        (void) disk_free(disk);
        return found.n_damages;
}
