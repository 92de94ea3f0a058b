/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* guard: counts failed logins per address, and asks for a block (the command block-address) of one from
 * which too many came.
 *
 *  1. Only what the kernel passed on counts: members of the group audit-relay may inject records, and would
 * else have whom they like blocked. (Programs that report logins need CAP_AUDIT_WRITE.)
 *  2. Only what is recent counts: the ring may hold days.
 *  3. An address is asked for once per block; again when the answer was not "done".
 */

#include "never.h"
#include "guard/counter.h"
#include "runtime/config-bounds.h"
#include "runtime/log.h"

#include <audit-relay.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* A block's answer is waited for so long. */
#define ANSWER_SEC 10U
/* Blocks that were asked for and are not answered; further ones are asked for at the next failure. */
#define ASKED_MAX 64U
/* Not to let an attacker fill the log. */
#define LOG_INTERVAL_USEC (10 * USEC_PER_SEC)
#define LOG_BURST 20U

typedef struct Config {
        uint64_t threshold, window_usec, block_usec, addresses_max, prefix6;
        char **never;
        char *subscribe;
        int origin; /* ORIGIN_… */
} Config;

enum {
        ORIGIN_KERNEL,
        ORIGIN_ANY
};
static const char *const origins[] = { "kernel", "any", NULL };
static const ConfigBounds thresholds = { 1, 100 }, sizes = { 16, 1U << 20 }, prefixes = { 16, 128 };
/* nft-block and the dispatcher take as much. */
static const ConfigBounds times = { USEC_PER_SEC, 30 * 24 * 3600 * USEC_PER_SEC };

#define KEY(name, parse, field, expected, argument)                                                         \
        {                                                                                                   \
                "Guard", name, parse, offsetof(Config, field), expected, argument                           \
        }

static const ConfigKey keys[] = {
        KEY("Threshold", config_parse_unsigned_within, threshold, "a number from 1 to 100", &thresholds),
        KEY("Window", config_parse_usec_within, window_usec, "a time from 1s to 30d", &times),
        KEY("BlockTime", config_parse_usec_within, block_usec, "a time from 1s to 30d", &times),
        KEY("Never", config_parse_strings, never, "addresses and prefixes", NULL),
        KEY("Addresses", config_parse_unsigned_within, addresses_max, "a number from 16 to 1048576", &sizes),
        KEY("Prefix6", config_parse_unsigned_within, prefix6, "a number from 16 to 128", &prefixes),
        KEY("Origin", config_parse_enum, origin, "kernel or any", origins),
        KEY("Subscribe", config_parse_path, subscribe, "the path of a socket", NULL),
        { NULL },
};

typedef struct Asked {
        uint64_t id;
        Address address;
} Asked;

typedef struct Guard {
        Config config;
        AuditRelay *relay;
        Counter *counter;
        Address *never;
        size_t n_never;
        Asked asked[ASKED_MAX]; /* a ring: the oldest answer may never come */
        unsigned n_asked;
        LogBurst burst;
} Guard;

/* --- Failed logins --- */

static void ask(Guard *guard, const Address *address)
{
        char text[ADDRESS_TEXT_SIZE], arguments[200];
        uint64_t id;
        int r;

        address_format(address, text);
        (void) snprintf(arguments, sizeof arguments,
                        "ADDRESS=%s\nSECONDS=%" PRIu64 "\nREASON=%" PRIu64 " failed logins", text,
                        guard->config.block_usec / USEC_PER_SEC, guard->config.threshold);
        r = audit_relay_command(guard->relay, "block-address", arguments, ANSWER_SEC, &id);
        if (r < 0)
                counter_retry(guard->counter, address);
        else
                guard->asked[guard->n_asked++ % ASKED_MAX] = (Asked) { id, *address };
        if (!log_burst(&guard->burst, LOG_INTERVAL_USEC, LOG_BURST))
                return;
        if (r < 0)
                log_warning("Cannot ask for a block of %s: %s", text, strerror(-r));
        else
                log_notice("Too many failed logins from %s: asked for a block", text);
}

static bool is_recent(const Guard *guard, uint64_t sec)
{
        uint64_t now = (uint64_t) time(NULL), window = guard->config.window_usec / USEC_PER_SEC;

        /* A clock that was wrong for a while: what is of the future is as of now. */
        return sec > now || now - sec <= window;
}

static void take_record(Guard *guard, const AuditRelayItem *item)
{
        const AuditRelayRecord *record = item->records;
        char result[16], text[ADDRESS_TEXT_SIZE];
        Address address;

        if (item->origin != AUDIT_RELAY_KERNEL && guard->config.origin != ORIGIN_ANY)
                return;
        if (record->type_number != 1112 /* USER_LOGIN */ && record->type_number != 1100 /* USER_AUTH */)
                return;
        if (audit_relay_field(record, "res", result, sizeof result) < 0 || strcmp(result, "failed") != 0)
                return;
        /* "?" is no address: a login on the machine itself. */
        if (audit_relay_field(record, "addr", text, sizeof text) < 0 || address_parse(text, &address) < 0)
                return;
        if (!is_recent(guard, record->sec) || address_list_touches(guard->never, guard->n_never, &address))
                return;
        /* Who has one address of IPv6 has a whole network of them. */
        if (address.size == 16)
                address_widen(&address, (uint8_t) guard->config.prefix6);
        if (counter_fail(guard->counter, &address, record->sec))
                ask(guard, &address);
}

static void take_reply(Guard *guard, const AuditRelayItem *item)
{
        char text[ADDRESS_TEXT_SIZE];

        for (unsigned i = 0; i < MIN(guard->n_asked, ASKED_MAX); i++) {
                Asked *asked = &guard->asked[i];

                if (asked->id != item->id || asked->address.size == 0)
                        continue;
                address_format(&asked->address, text);
                if (item->status != AUDIT_RELAY_DONE) {
                        counter_retry(guard->counter, &asked->address);
                        if (log_burst(&guard->burst, LOG_INTERVAL_USEC, LOG_BURST))
                                log_warning("%s was not blocked: %s", text, item->text);
                }
                asked->address.size = 0;
        }
}

/* --- Life --- */

static int load(Guard *guard, const char *path)
{
        int r;

        guard->config = (Config) {
                .threshold = 5,
                .window_usec = 600 * USEC_PER_SEC,
                .block_usec = 3600 * USEC_PER_SEC,
                .addresses_max = 16384,
                .prefix6 = 64,
        };
        r = never_default(&guard->config.never);
        if (r >= 0)
                r = config_load("guard", path, keys, &guard->config);
        return r < 0 ? r : never_parse(guard->config.never, &guard->never, &guard->n_never);
}

static int begin(Guard *guard)
{
        const Config *config = &guard->config;
        CounterOptions options = {
                .threshold = (unsigned) config->threshold,
                .window_sec = config->window_usec / USEC_PER_SEC,
                .block_sec = config->block_usec / USEC_PER_SEC,
                .addresses_max = config->addresses_max,
        };
        int r = counter_new(&options, &guard->counter);

        if (r >= 0)
                r = audit_relay_new(&guard->relay);
        if (r >= 0)
                r = audit_relay_set_filter(guard->relay, "USER_LOGIN USER_AUTH");
        /* What failed before we were started counts, too: by its own time. */
        if (r >= 0)
                r = audit_relay_set_start(guard->relay, AUDIT_RELAY_OLDEST);
        if (r >= 0)
                r = audit_relay_set_commands(guard->relay, AUDIT_RELAY_SEND_COMMANDS);
        if (r >= 0)
                r = audit_relay_activated(guard->relay, NULL);
        if (r == 0)
                r = audit_relay_connect(guard->relay, config->subscribe);
        if (r < 0)
                log_error("Cannot read from the dispatcher: %s", guard->relay && *audit_relay_why(guard->relay)
                                                      ? audit_relay_why(guard->relay)
                                                      : strerror(-r));
        return r;
}

static int run(Guard *guard)
{
        for (;;) {
                const AuditRelayItem *item;
                int r = audit_relay_next(guard->relay, UINT64_MAX, &item);

                if (r == -EINTR)
                        continue;
                if (r < 0) {
                        log_error("Cannot go on reading from the dispatcher: %s", audit_relay_why(guard->relay));
                        return r;
                }
                if (item->kind == AUDIT_RELAY_RECORD)
                        take_record(guard, item);
                else if (item->kind == AUDIT_RELAY_REPLY)
                        take_reply(guard, item);
                else if (item->kind == AUDIT_RELAY_GAP)
                        log_notice("Records are missing (%s): failed logins among them are not counted",
                                   item->text);
        }
}

int main(int argc, char **argv)
{
        static const struct option options[] = { { "config", required_argument, NULL, 'c' },
                                                 { NULL, 0, NULL, 0 } };
        const char *path = NULL;
        Guard guard = { 0 };
        int c, r;

        log_init("audit-relay-guard", LOG_INFO);
        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (c == 'c')
                        path = optarg;
                else
                        return 2;
        r = load(&guard, path);
        if (r >= 0)
                r = begin(&guard);
        if (r >= 0)
                r = run(&guard);
        audit_relay_free(guard.relay);
        counter_free(guard.counter);
        free(guard.never);
        config_done(keys, &guard.config);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
