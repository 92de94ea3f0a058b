/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What one user's producers may take of the dispatcher, all together. Pure: no I/O, no clock.
 *
 *      connections   so many; and of the last quarter of all places each user gets one
 *      rate          bytes a second into the ring, with a second's worth at once
 *      share         of the ring while a subscriber is behind: a part of what all producers have, so that no user alone makes
 *                    the others wait
 *
 * Beyond rate and share the user's connections are not read: back-pressure, never a drop. Trusted users have no account: they own
 * this host anyway.
 */

#include "basic/macro.h"

#include <sys/types.h>

/* Users in the account at once. One more shares an account with those before: each is held by the others' use. */
#define QUOTA_USERS_MAX 256U

typedef struct QuotaOptions {
        uint64_t connections_max;      /* of all users */
        uint64_t user_connections_max; /* of one */
        uint64_t rate;                 /* bytes a second; 0: any */
        uint64_t share;                /* bytes, while there is pressure */
        const uid_t *trusted;          /* not owned */
        size_t n_trusted;
} QuotaOptions;

typedef struct QuotaAccount {
        uid_t uid;
        bool used;
        int64_t tokens;  /* bytes that may be taken; below 0: one batch more than there was room for */
        uint64_t share;  /* bytes taken since the pressure began */
} QuotaAccount;

typedef struct Quota {
        QuotaOptions options;
        uid_t self;
        bool pressure;
        bool crowded; /* there were more users than accounts */
        uint64_t refilled_usec;
        QuotaAccount accounts[QUOTA_USERS_MAX];
        QuotaAccount others;
} Quota;

void quota_init(Quota *quota, const QuotaOptions *options, uint64_t now_usec);

bool quota_trusts(const Quota *quota, uid_t uid);

/* Whether a user with `own` of `all` connections may have another. */
bool quota_admits(const Quota *quota, uid_t uid, uint64_t own, uint64_t all);

/* So many bytes of his went into the ring. */
void quota_charge(Quota *quota, uid_t uid, uint64_t bytes);

/* Whether he has to wait. */
bool quota_exhausted(const Quota *quota, uid_t uid);

/* Whether anybody has to. */
bool quota_any_exhausted(const Quota *quota);

/* Time has gone by: accounts fill up again, full ones are closed. */
void quota_refill(Quota *quota, uint64_t now_usec);

/* A subscriber is behind, or no longer: then all shares begin anew. */
void quota_press(Quota *quota, bool pressure);
