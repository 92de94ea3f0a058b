/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* nft-block: takes block-address and unblock-address, and puts addresses into sets of nftables, whose
 * time-outs take them out again.
 *
 *  1. The table `inet audit_relay` is ours alone; nothing else is touched. It stays when we stop, and so do
 * the blocks in it: they end by their own time-outs.
 *  2. Nothing of a command's text reaches nftables: an address is parsed, and written anew.
 *  3. What Never= names, and prefixes so wide that they are a mistake, are refused.
 */

#include "never.h"
#include "runtime/config-bounds.h"
#include "runtime/log.h"

#include <audit-relay.h>
#include <getopt.h>
#include <inttypes.h>
#include <nftables/libnftables.h>
#include <stdio.h>

#define SECONDS_MAX (30U * 24U * 3600U)
#define LOG_INTERVAL_USEC (10 * USEC_PER_SEC)
#define LOG_BURST 20U
/* No record has this type: of records we want none. */
#define NO_RECORDS "1"

typedef struct Config {
        char **never;
        uint64_t block_usec, shortest4, shortest6, addresses_max;
        char *subscribe;
} Config;

static const ConfigBounds times = { USEC_PER_SEC, SECONDS_MAX *USEC_PER_SEC }, prefixes4 = { 0, 32 },
                          prefixes6 = { 0, 128 }, sizes = { 16, 1U << 20 };

#define KEY(name, parse, field, expected, argument)                                                         \
        {                                                                                                   \
                "Block", name, parse, offsetof(Config, field), expected, argument                           \
        }

static const ConfigKey keys[] = {
        KEY("Never", config_parse_strings, never, "addresses and prefixes", NULL),
        KEY("BlockTime", config_parse_usec_within, block_usec, "a time from 1s to 30d", &times),
        KEY("ShortestPrefix4", config_parse_unsigned_within, shortest4, "a number from 0 to 32", &prefixes4),
        KEY("ShortestPrefix6", config_parse_unsigned_within, shortest6, "a number from 0 to 128",
            &prefixes6),
        KEY("Addresses", config_parse_unsigned_within, addresses_max, "a number from 16 to 1048576", &sizes),
        KEY("Subscribe", config_parse_path, subscribe, "the path of a socket", NULL),
        { NULL },
};

typedef struct Block {
        Config config;
        AuditRelay *relay;
        struct nft_ctx *nft;
        Address *never;
        size_t n_never;
        LogBurst burst;
} Block;

/* --- nftables --- */

/* All lines at once, or none. */
static int run_nft(Block *block, const char *commands)
{
        return nft_run_cmd_from_buffer(block->nft, commands) == 0 ? 0 : -EIO;
}

/* The first line of what nftables complains of. */
static const char *nft_complaint(Block *block)
{
        static char text[200];
        const char *error = nft_ctx_get_error_buffer(block->nft);

        (void) snprintf(text, sizeof text, "%.*s", (int) strcspn(error, "\n"), error);
        return text;
}

/* Made if it is not there; what is in the sets stays. */
static int make_table(Block *block)
{
        static const char format[] =
                "add table inet audit_relay\n"
                "add set inet audit_relay blocked4 { type ipv4_addr; flags interval, timeout; size %" PRIu64
                "; }\n"
                "add set inet audit_relay blocked6 { type ipv6_addr; flags interval, timeout; size %" PRIu64
                "; }\n"
                "add chain inet audit_relay input { type filter hook input priority -10; policy accept; }\n"
                "flush chain inet audit_relay input\n"
                "add rule inet audit_relay input ip saddr @blocked4 counter drop\n"
                "add rule inet audit_relay input ip6 saddr @blocked6 counter drop\n";
        char commands[sizeof format + 40];

        (void) snprintf(commands, sizeof commands, format, block->config.addresses_max,
                        block->config.addresses_max);
        if (run_nft(block, commands) < 0) {
                log_error("Cannot make the table inet audit_relay of nftables: %s", nft_complaint(block));
                return -EIO;
        }
        return 0;
}

static const char *set_of(const Address *address)
{
        return address->size == 4 ? "blocked4" : "blocked6";
}

/* Added, deleted, added: its time-out begins anew, whether it was there or not. */
static int add_element(Block *block, const Address *address, uint64_t seconds)
{
        char text[ADDRESS_TEXT_SIZE], commands[500];
        const char *set = set_of(address);

        address_format(address, text);
        (void) snprintf(commands, sizeof commands,
                        "add element inet audit_relay %s { %s timeout %" PRIu64 "s }\n"
                        "delete element inet audit_relay %s { %s }\n"
                        "add element inet audit_relay %s { %s timeout %" PRIu64 "s }\n",
                        set, text, seconds, set, text, set, text, seconds);
        return run_nft(block, commands);
}

static int delete_element(Block *block, const Address *address)
{
        char text[ADDRESS_TEXT_SIZE], commands[200];

        address_format(address, text);
        (void) snprintf(commands, sizeof commands, "delete element inet audit_relay %s { %s }\n",
                        set_of(address), text);
        return run_nft(block, commands);
}

/* --- Commands --- */

static bool is_too_wide(const Block *block, const Address *address)
{
        return address->bits < (address->size == 4 ? block->config.shortest4 : block->config.shortest6);
}

/* Seconds of a command; without any, those of the configuration. */
static int read_seconds(const Block *block, const AuditRelayItem *item, uint64_t *ret)
{
        char text[24], *end;
        int r = audit_relay_argument(item, "SECONDS", text, sizeof text);

        *ret = block->config.block_usec / USEC_PER_SEC;
        if (r == -ENOENT)
                return 0;
        if (r <= 0 || text[0] < '0' || text[0] > '9')
                return -EINVAL;
        *ret = strtoull(text, &end, 10);
        return *end == '\0' && *ret >= 1 && *ret <= SECONDS_MAX ? 0 : -EINVAL;
}

/* Returns the status, and why it is not done. */
static AuditRelayStatus block_address(Block *block, const AuditRelayItem *item, const Address *address,
                                      const char **ret_why)
{
        uint64_t seconds;

        *ret_why = "SECONDS= is no number from 1 to 2592000";
        if (read_seconds(block, item, &seconds) < 0)
                return AUDIT_RELAY_FAILED;
        *ret_why = "the prefix is too short";
        if (is_too_wide(block, address))
                return AUDIT_RELAY_REFUSED;
        *ret_why = "Never= names it";
        if (address_list_touches(block->never, block->n_never, address))
                return AUDIT_RELAY_REFUSED;
        if (add_element(block, address, seconds) >= 0)
                return AUDIT_RELAY_DONE;
        *ret_why = nft_complaint(block);
        return AUDIT_RELAY_FAILED;
}

static AuditRelayStatus unblock_address(Block *block, const Address *address, const char **ret_why)
{
        *ret_why = "it is not blocked";
        return delete_element(block, address) >= 0 ? AUDIT_RELAY_DONE : AUDIT_RELAY_FAILED;
}

static void take_command(Block *block, const AuditRelayItem *item)
{
        bool on = strcmp(item->verb, "block-address") == 0, off = strcmp(item->verb, "unblock-address") == 0;
        char argument[100], text[ADDRESS_TEXT_SIZE] = "?";
        AuditRelayStatus status = AUDIT_RELAY_FAILED;
        const char *why = "ADDRESS= is no address";
        Address address;

        if (!on && !off) {
                (void) audit_relay_reply(block->relay, item->id, AUDIT_RELAY_UNKNOWN, NULL);
                return;
        }
        if (audit_relay_argument(item, "ADDRESS", argument, sizeof argument) > 0 &&
            address_parse(argument, &address) >= 0) {
                address_format(&address, text);
                status = on ? block_address(block, item, &address, &why)
                            : unblock_address(block, &address, &why);
        }
        (void) audit_relay_reply(block->relay, item->id, status, status == AUDIT_RELAY_DONE ? NULL : why);
        if (!log_burst(&block->burst, LOG_INTERVAL_USEC, LOG_BURST))
                return;
        if (status == AUDIT_RELAY_DONE)
                log_notice("%s %s", on ? "Blocked" : "Unblocked", text);
        else
                log_warning("%s of %s: %s", item->verb, text, why);
}

/* --- Life --- */

static int load(Block *block, const char *path)
{
        int r;

        block->config = (Config) {
                .block_usec = 3600 * USEC_PER_SEC,
                .shortest4 = 16,
                .shortest6 = 32,
                .addresses_max = 65536,
        };
        r = never_default(&block->config.never);
        if (r >= 0)
                r = config_load("nft-block", path, keys, &block->config);
        return r < 0 ? r : never_parse(block->config.never, &block->never, &block->n_never);
}

static int begin(Block *block)
{
        int r;

        block->nft = nft_ctx_new(NFT_CTX_DEFAULT);
        if (!block->nft || nft_ctx_buffer_output(block->nft) != 0 || nft_ctx_buffer_error(block->nft) != 0)
                return -ENOMEM;
        r = make_table(block);
        if (r < 0)
                return r;
        r = audit_relay_new(&block->relay);
        if (r >= 0)
                r = audit_relay_set_filter(block->relay, NO_RECORDS);
        if (r >= 0)
                r = audit_relay_set_commands(block->relay, AUDIT_RELAY_TAKE_COMMANDS);
        if (r >= 0)
                r = audit_relay_connect(block->relay, block->config.subscribe);
        if (r < 0)
                log_error("Cannot read from the dispatcher: %s", block->relay && *audit_relay_why(block->relay)
                                                      ? audit_relay_why(block->relay)
                                                      : strerror(-r));
        return r;
}

static int run(Block *block)
{
        for (;;) {
                const AuditRelayItem *item;
                int r = audit_relay_next(block->relay, UINT64_MAX, &item);

                if (r == -EINTR)
                        continue;
                if (r < 0) {
                        log_error("Cannot go on reading from the dispatcher: %s", audit_relay_why(block->relay));
                        return r;
                }
                if (item->kind == AUDIT_RELAY_COMMAND)
                        take_command(block, item);
        }
}

int main(int argc, char **argv)
{
        static const struct option options[] = { { "config", required_argument, NULL, 'c' },
                                                 { NULL, 0, NULL, 0 } };
        const char *path = NULL;
        Block block = { 0 };
        int c, r;

        log_init("audit-relay-nft-block", LOG_INFO);
        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (c == 'c')
                        path = optarg;
                else
                        return 2;
        r = load(&block, path);
        if (r >= 0)
                r = begin(&block);
        if (r >= 0)
                r = run(&block);
        audit_relay_free(block.relay);
        if (block.nft)
                nft_ctx_free(block.nft);
        free(block.never);
        config_done(keys, &block.config);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
