/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A disk in front of the real one that writes back behind the store's back, as a kernel may at any time, and
 * has on demand one of the bugs that this whole harness exists to find.
 */

#include "store/disk.h"

typedef enum Bug {
        BUG_NONE,
        BUG_ACK_BEFORE_SYNC,   /* a sync says done and is done with the next one */
        BUG_NO_SYNC,           /* no sync is ever done */
        BUG_UNSYNCED_ROTATION, /* of a segment that is not the newest, none is done */
        _BUG_MAX,
} Bug;

/* _BUG_MAX: there is none of that name. */
Bug bug_from_string(const char *name);

/* Takes `inner` over, also on failure. `draw` gives random numbers below n, to the thread that writes. */
Disk *front_disk_new(Disk *inner, Bug bug, uint64_t (*draw)(uint64_t n));
