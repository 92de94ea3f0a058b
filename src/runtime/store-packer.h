/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Compresses the closed segments of a store, one after the other, on a thread of its own: it takes seconds, and
 * commits do not wait for it. */

#include "store/store.h"

#include <systemd/sd-event.h>

typedef struct StorePacker StorePacker;

int store_packer_new(sd_event *event, Store *store, StorePacker **ret) _must_check_;
/* Before the store is freed. Waits for the segment under way, which is packed again after the next start. */
StorePacker *store_packer_free(StorePacker *packer);
DEFINE_CLEANUP(StorePacker *, store_packer_free)

/* Begins with the next segment, if there is one and none is under way: to be called now and then. */
void store_packer_check(StorePacker *packer);
