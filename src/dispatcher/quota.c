/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* 1. An account that is not full is never forgotten, so that who disconnects and comes back has what he had.
 * 2. Nobody's use changes another one's account, but where there are more users than accounts.
 */

#include "dispatcher/quota.h"

void quota_init(Quota *quota, const QuotaOptions *options, uint64_t now_usec)
{
        *quota = (Quota) { .options = *options, .self = geteuid(), .refilled_usec = now_usec };
        quota->others = (QuotaAccount) { .tokens = (int64_t) options->rate };
}

bool quota_trusts(const Quota *quota, uid_t uid)
{
        if (uid == 0 || uid == quota->self)
                return true;
        for (size_t i = 0; i < quota->options.n_trusted; i++)
                if (quota->options.trusted[i] == uid)
                        return true;
        return false;
}

bool quota_admits(const Quota *quota, uid_t uid, uint64_t own, uint64_t all)
{
        uint64_t max = quota->options.connections_max;

        if (all >= max)
                return false;
        if (quota_trusts(quota, uid))
                return true;
        return own < quota->options.user_connections_max && (all < max / 4 * 3 || own == 0);
}

/* NULL: he has none. */
static const QuotaAccount *find_account(const Quota *quota, uid_t uid)
{
        for (size_t i = 0; i < QUOTA_USERS_MAX; i++)
                if (quota->accounts[i].used && quota->accounts[i].uid == uid)
                        return &quota->accounts[i];
        return NULL;
}

static QuotaAccount *open_account(Quota *quota, uid_t uid)
{
        QuotaAccount *account = (QuotaAccount *) find_account(quota, uid);

        if (account)
                return account;
        for (size_t i = 0; i < QUOTA_USERS_MAX; i++) {
                if (quota->accounts[i].used)
                        continue;
                quota->accounts[i] = (QuotaAccount) { .uid = uid, .used = true, .tokens = (int64_t) quota->options.rate };
                return &quota->accounts[i];
        }
        quota->crowded = true;
        return &quota->others;
}

void quota_charge(Quota *quota, uid_t uid, uint64_t bytes)
{
        QuotaAccount *account;

        if (bytes == 0 || quota_trusts(quota, uid))
                return;
        account = open_account(quota, uid);
        if (quota->options.rate > 0)
                account->tokens -= (int64_t) bytes;
        if (quota->pressure)
                account->share += bytes;
}

static bool is_exhausted(const Quota *quota, const QuotaAccount *account)
{
        return (quota->options.rate > 0 && account->tokens <= 0) ||
               (quota->pressure && account->share >= quota->options.share);
}

bool quota_exhausted(const Quota *quota, uid_t uid)
{
        const QuotaAccount *account = find_account(quota, uid);

        if (quota_trusts(quota, uid))
                return false;
        /* Who has none yet would get one, or share the one of all others. */
        return account ? is_exhausted(quota, account) : quota->crowded && is_exhausted(quota, &quota->others);
}

bool quota_any_exhausted(const Quota *quota)
{
        for (size_t i = 0; i < QUOTA_USERS_MAX; i++)
                if (quota->accounts[i].used && is_exhausted(quota, &quota->accounts[i]))
                        return true;
        return is_exhausted(quota, &quota->others);
}

static void refill(Quota *quota, QuotaAccount *account, int64_t bytes)
{
        int64_t full = (int64_t) quota->options.rate;

        account->tokens = account->tokens >= full - bytes ? full : account->tokens + bytes;
        account->used = account->tokens < full || account->share > 0;
}

void quota_refill(Quota *quota, uint64_t now_usec)
{
        uint64_t usec = MIN(now_usec - quota->refilled_usec, USEC_PER_SEC);
        int64_t bytes = (int64_t) (quota->options.rate / USEC_PER_MSEC * usec / USEC_PER_MSEC);

        quota->refilled_usec = now_usec;
        for (size_t i = 0; i < QUOTA_USERS_MAX; i++)
                if (quota->accounts[i].used)
                        refill(quota, &quota->accounts[i], bytes);
        refill(quota, &quota->others, bytes);
        quota->crowded = quota->others.used;
}

void quota_press(Quota *quota, bool pressure)
{
        if (quota->pressure && !pressure)
                for (size_t i = 0; i < QUOTA_USERS_MAX; i++)
                        quota->accounts[i].share = 0;
        if (quota->pressure && !pressure)
                quota->others.share = 0;
        quota->pressure = pressure;
}
