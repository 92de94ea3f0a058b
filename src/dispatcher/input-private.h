/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What input.c (who comes, and plain lines) and input-link.c (the producers that speak the link) share; nobody else
 * includes it. */

#include "dispatcher/foreign.h"
#include "dispatcher/input-peers.h"
#include "dispatcher/input.h"
#include "dispatcher/lines.h"
#include "runtime/inlet.h"

/* Between two messages of one kind about what producers do. */
#define INPUT_LOG_INTERVAL_USEC (10 * USEC_PER_SEC)

struct Input {
        InputOptions options;
        sd_event_source *source; /* owns the listening socket */
        Intake *intake;
        Inlet *inlet;
        InputPeers peers;
        LinesCounters lines;
        Foreign foreign;
        Quota quota;
        sd_event_source *refill; /* while somebody waits for his rate or share */
        uint64_t turned_away, waited;
        bool held;
        bool stopped;
        bool resting; /* out of descriptors: accepts again at the next tick */
        uint64_t n_producers;
        uint64_t logged_usec;
        LIST_HEAD(, Producer) producers; /* plain ones, and those whose first bytes are awaited */
};

/* Whether the user delivers what others have recorded, and nothing else. */
bool input_is_remote(const Input *input, uid_t uid);

/* What the user may send. NULL: anything. */
const RecordFilter *input_types(const Input *input, uid_t uid);

/* So many bytes of the user's went into the ring; whoever has used up what is his waits from now on. */
void input_charge(Input *input, uid_t uid, uint64_t bytes);

/* Makes intake and inlet. Returns a negative errno on failure. */
int input_link_new(Input *input) _must_check_;

/* Holds those sessions whose user has to wait, and lets go of the others. */
void input_link_hold(Input *input);
