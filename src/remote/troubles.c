/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*  1. Of the conditions that say why there is no connection at most one holds; a connection (WELCOME) ends
 *     it. It tells of the collector that was lost; when all have failed, of the preferred one. That our own store cannot be
 *     read is none of them: the store says so, and when that has ended.
 *  2. What a collector said of itself in the session before, the next says again with WELCOME; a condition
 *     that is not repeated ends.
 */

#include "remote/troubles.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const connection_conditions[] = {
        [OUTLET_E_NETWORK] = "network_down",     [OUTLET_E_TIMEOUT] = "network_timeout",
        [OUTLET_E_TLS] = "tls_refused",          [OUTLET_E_REFUSED] = "refused",
        [OUTLET_E_PROTOCOL] = "collector_error", [OUTLET_E_ENDING] = "collector_ending",
        [OUTLET_E_RESUME] = "collector_error",
};

/* What a collector says of itself, and our condition. */
static const struct {
        const char *state, *condition;
} collector_states[] = {
        { "disk_low", "collector_disk_low" },
        { "disk_full", "collector_disk_full" },
        { "disk_error", "collector_disk_error" },
        { "refused", "refused" },
};

static void raise_with(Troubles *troubles, const char *condition, const char *reason, const char *name,
                       const char *peer)
{
        char keys[NODE_NAME_MAX + OUTLET_PEER_MAX + 32];

        (void) snprintf(keys, sizeof keys, "COLLECTOR=%s\nPEER=%s", name, peer);
        state_raise(troubles->state, condition, reason, keys);
}

/* --- No connection --- */

static void clear_connection_conditions(Troubles *troubles, const char *except)
{
        for (size_t i = 0; i < ELEMENTSOF(connection_conditions); i++) {
                const char *name = connection_conditions[i];

                if (name && (!except || strcmp(name, except) != 0))
                        state_clear(troubles->state, name);
        }
}

static void note_first(Troubles *troubles, const Outlet *outlet, const char *name, OutletTrouble trouble,
                       const char *why)
{
        troubles->first = trouble;
        troubles->first_raised = false;
        (void) snprintf(troubles->first_why, sizeof troubles->first_why, "%s", why);
        (void) snprintf(troubles->first_name, sizeof troubles->first_name, "%s", name);
        (void) snprintf(troubles->first_peer, sizeof troubles->first_peer, "%s", outlet_peer(outlet));
}

static void raise_first(Troubles *troubles)
{
        const char *condition = troubles->first == OUTLET_E_SOURCE ? NULL : connection_conditions[troubles->first];

        clear_connection_conditions(troubles, condition);
        if (condition)
                raise_with(troubles, condition, troubles->first_why, troubles->first_name, troubles->first_peer);
        troubles->first_raised = true;
}

static void tell_store(Troubles *troubles, OutletTrouble trouble, const char *why)
{
        if (trouble == OUTLET_E_SOURCE)
                store_loop_not_read(troubles->store, why);
}

void troubles_lost(Troubles *troubles, Outlet *outlet, const char *name, OutletTrouble trouble, const char *why)
{
        tell_store(troubles, trouble, why);
        note_first(troubles, outlet, name, trouble, why);
        raise_first(troubles);
}

void troubles_left(Troubles *troubles, Outlet *outlet, const char *name, const char *why)
{
        note_first(troubles, outlet, name, OUTLET_E_ENDING, why);
        troubles->first_raised = true; /* as the condition that it has made us raise */
}

void troubles_missed(Troubles *troubles, Outlet *outlet, const char *name, OutletTrouble trouble,
                     const char *why)
{
        tell_store(troubles, trouble, why);
        if (troubles->first == OUTLET_OK)
                note_first(troubles, outlet, name, trouble, why);
}

void troubles_round_over(Troubles *troubles)
{
        if (troubles->first != OUTLET_OK && !troubles->first_raised)
                raise_first(troubles);
        troubles->first = OUTLET_OK;
}

/* --- A connection --- */

/* The store has noticed while WELCOME was judged. */
static void tell_set_back(Troubles *troubles, Outlet *outlet, const char *name, uint64_t last)
{
        StoreStatus status;
        char reason[200];

        store_status(store_loop_store(troubles->store), &status);
        if (status.set_backs == troubles->set_backs)
                return;
        troubles->set_backs = status.set_backs;
        troubles->set_back_seq = status.newest;
        (void) snprintf(reason, sizeof reason,
                        "The collector has our records up to %" PRIu64
                        ", less than it had acknowledged: what is still held is sent again, the rest is told "
                        "as lost",
                        last);
        raise_with(troubles, "collector_set_back", reason, name, outlet_peer(outlet));
        store_loop_wake(troubles->store);
}

static void tell_failed_over(Troubles *troubles, Outlet *outlet, const char *name)
{
        char reason[TROUBLES_REASON_MAX + 2 * NODE_NAME_MAX + 64];

        if (troubles->first != OUTLET_OK)
                (void) snprintf(reason, sizeof reason, "%s is used, not the preferred collector; %s: %s", name,
                                troubles->first_name, troubles->first_why);
        else
                (void) snprintf(reason, sizeof reason, "%s is used, not the preferred collector", name);
        raise_with(troubles, "failed_over", reason, name, outlet_peer(outlet));
}

void troubles_connected(Troubles *troubles, Outlet *outlet, const char *name, const LinkWelcome *welcome,
                        bool preferred)
{
        clear_connection_conditions(troubles, NULL);
        if (preferred)
                state_clear(troubles->state, "failed_over");
        else
                tell_failed_over(troubles, outlet, name);
        troubles->first = OUTLET_OK;
        tell_set_back(troubles, outlet, name, welcome->last);
        troubles->connected_usec = monotonic_usec();
        troubles->unconfirmed = (1U << ELEMENTSOF(collector_states)) - 1;
}

void troubles_tick(Troubles *troubles)
{
        if (monotonic_usec() - troubles->connected_usec < TROUBLES_CONFIRM_USEC)
                return;
        for (size_t i = 0; i < ELEMENTSOF(collector_states); i++)
                if (troubles->unconfirmed & (1U << i))
                        state_clear(troubles->state, collector_states[i].condition);
        troubles->unconfirmed = 0;
}

/* --- Histories --- */

void troubles_diverged(Troubles *troubles, Outlet *outlet, const char *name, uint64_t peer_last)
{
        StoreStatus status;
        char reason[200];

        store_status(store_loop_store(troubles->store), &status);
        troubles->restart_seq = MAX(status.newest, (uint64_t) 1);
        (void) snprintf(reason, sizeof reason,
                        "The collector has our stream up to %" PRIu64
                        ", with another history than our store's, which ends "
                        "at %" PRIu64 ": a new stream begins, and what is held is sent again",
                        peer_last, status.newest);
        raise_with(troubles, "stream_restarted", reason, name, outlet_peer(outlet));
}

void troubles_acked(Troubles *troubles, uint64_t seq)
{
        store_loop_was_read(troubles->store);
        if (troubles->restart_seq != 0 && seq >= troubles->restart_seq) {
                troubles->restart_seq = 0;
                state_clear(troubles->state, "stream_restarted");
        }
        if (troubles->set_back_seq != 0 && seq >= troubles->set_back_seq) {
                troubles->set_back_seq = 0;
                state_clear(troubles->state, "collector_set_back");
        }
}

/* --- What the collector says of itself --- */

/* The value of REASON= among KEY=VALUE lines. */
static void find_reason(LinkString keys, char *ret, size_t size)
{
        static const char name[] = "REASON=";
        const char *p = keys.data, *end = keys.data + keys.size;

        (void) snprintf(ret, size, "The collector said so");
        while (p < end) {
                const char *newline = memchr(p, '\n', (size_t) (end - p));
                size_t n = (size_t) ((newline ? newline : end) - p);

                if (n > sizeof name - 1 && memcmp(p, name, sizeof name - 1) == 0) {
                        (void) snprintf(ret, size, "%.*s", (int) (n - (sizeof name - 1)),
                                        p + sizeof name - 1);
                        return;
                }
                p += n + 1;
        }
}

void troubles_say(Troubles *troubles, Outlet *outlet, const char *name, const LinkState *state)
{
        char reason[TROUBLES_REASON_MAX];

        for (size_t i = 0; i < ELEMENTSOF(collector_states); i++) {
                const char *said = collector_states[i].state;

                if (state->name.size != strlen(said) ||
                    memcmp(state->name.data, said, state->name.size) != 0)
                        continue;
                troubles->unconfirmed &= ~(1U << i);
                if (!state->on) {
                        state_clear(troubles->state, collector_states[i].condition);
                        return;
                }
                find_reason(state->keys, reason, sizeof reason);
                raise_with(troubles, collector_states[i].condition, reason, name, outlet_peer(outlet));
                return;
        }
}
