/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "remote/config.h"
#include "basic/batch.h"
#include "link/link-receiver.h"
#include "remote/collectors.h"
#include "remote/stock-feed.h"
#include "runtime/config-bounds.h"
#include "runtime/log.h"
#include "runtime/outlet.h"
#include "runtime/state.h"
#include "runtime/when-full.h"

#include <stddef.h>
#include <stdio.h>

#define STOCK_PORT_DEFAULT "60"

static const ConfigBounds window = { BATCH_PAYLOAD_MAX, 1024U * 1024U * 1024U };
static const ConfigBounds stock_window = { 1, STOCK_WINDOW_MAX };
/* Smaller ones would be made and deleted all the time. */
static const ConfigBounds segment_size = { 1024U * 1024U, UINT64_MAX };
/* A retry without a wait would be a storm. */
static const ConfigBounds retry = { 10 * USEC_PER_MSEC, USEC_INFINITY };

/* The dispatcher waits for its ack as long. */
static const ConfigBounds patience = { 10 * USEC_PER_MSEC, 5 * USEC_PER_SEC };
static const char *const protocols[] = { "link", "auditd", NULL }; /* RemoteProtocol */
static const ConfigBounds fail_back = { 1 * USEC_PER_SEC, USEC_INFINITY };
static const char *const compressions[] = { "no", "yes", "auto", NULL }; /* OutletCompress */

/* yes, no, or for how long */
static int parse_keep_acked(const ConfigKey *key, const char *value, void *field)
{
        bool keep;

        if (config_parse_bool(key, value, &keep) < 0)
                return config_parse_usec(key, value, field);
        *(uint64_t *) field = keep ? USEC_INFINITY : 0;
        return 0;
}

#define BOUNDED(name, parse, field, expected, bounds) \
        { "Remote", name, parse, offsetof(RemoteConfig, field), expected, bounds }
#define KEY(name, parse, field, expected) BOUNDED(name, parse, field, expected, NULL)

static const ConfigKey keys[] = {
        KEY("Collector", config_parse_strings, collectors, "HOST, HOST:PORT, [ADDRESS]:PORT or srv:DOMAIN"),
        KEY("CollectorName", config_parse_node, collector_name, "a host name"),
        KEY("Spread", config_parse_bool, spread, "yes or no"),
        BOUNDED("FailBackSec", config_parse_usec_within, fail_back_usec, "a time of at least 1s, or infinity",
                &fail_back),
        KEY("Node", config_parse_node, node, "a host name"),
        KEY("TLSCertificate", config_parse_string, tls.certificate, "a path or pkcs11: URL"),
        KEY("TLSKey", config_parse_string, tls.key, "a path or pkcs11: URL"),
        KEY("TLSAuthority", config_parse_string, tls.authority, "a path or pkcs11: URL"),
        KEY("TLSRevocation", config_parse_string, tls.revocation, "a path"),
        KEY("VerifierKey", config_parse_strings, verifier_keys, "NAME+ID+BASE64, as audit-relay cert verifier prints it"),
        KEY("Directory", config_parse_path, directory, "an absolute path"),
        KEY("StateDirectory", config_parse_path, state_directory, "an absolute path"),
        KEY("Listen", config_parse_path, listen, "an absolute path"),
        KEY("DispatcherUser", config_parse_string, dispatcher_user, "a user's name"),
        { "Remote", "Protocol", config_parse_enum, offsetof(RemoteConfig, protocol), "link or auditd", protocols },
        BOUNDED("AuditdWindow", config_parse_unsigned_within, auditd_window, "a number from 1 to 1024", &stock_window),
        KEY("AuditdPSKIdentity", config_parse_string, auditd_psk_identity, "an identity"),
        KEY("AuditdPSKFile", config_parse_path, auditd_psk_file, "an absolute path"),
        BOUNDED("Window", config_parse_size_within, window, "a size from 256K to 1G", &window),
        BOUNDED("NetworkTimeout", config_parse_usec_within, network_timeout_usec, "a time such as 30s",
                &retry),
        BOUNDED("ConnectTimeout", config_parse_usec_within, connect_timeout_usec, "a time such as 10s",
                &retry),
        BOUNDED("RetryMin", config_parse_usec_within, retry_min_usec, "a time such as 500ms", &retry),
        BOUNDED("RetryMax", config_parse_usec_within, retry_max_usec, "a time such as 30s", &retry),
        BOUNDED("SegmentMaxSize", config_parse_size_within, segment_size_max, "a size of at least 1M",
                &segment_size),
        KEY("SegmentMaxSec", config_parse_usec, segment_age_usec, "a time such as 1d, 0 for none"),
        KEY("MaxUse", config_parse_size, use_max, "a size such as 10G, 0 for none"),
        KEY("KeepFree", config_parse_disk_size, keep_free, "a size such as 1G, or 5%, 0 for none"),
        BOUNDED("WhenFull", config_parse_enum, when_full, "block or drop-oldest", when_full_names),
        KEY("SpaceLeft", config_parse_disk_size, space_left, "a size such as 256M, or 5%, 0 for none"),
        KEY("InodesLeft", config_parse_disk_count, inodes_left, "a number, or 5%, 0 for none"),
        KEY("KeepAcked", parse_keep_acked, keep_acked_usec, "yes, no or a time such as 7d"),
        { "Remote", "Compress", config_parse_enum, offsetof(RemoteConfig, compress), "yes, no or auto",
          compressions },
        KEY("Relay", config_parse_bool, relay, "yes or no"),
        KEY("Enrich", config_parse_bool, enrich, "yes or no"),
        BOUNDED("EnrichTimeout", config_parse_usec_within, enrich_timeout_usec, "a time from 10ms to 5s", &patience),
        KEY("MaxRetentionSec", config_parse_usec, retention_usec, "a time such as 30d, 0 for ever"),
        { 0 },
};

static int wrong(const char *what)
{
        log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL, "%s", what);
        return -EINVAL;
}

/* CollectorName= is an older way to say #NAME. */
static int name_collector(RemoteConfig *config)
{
        char *named;

        if (!config->collector_name)
                return 0;
        if (config->collectors[1] || collectors_is_service(config->collectors[0]) ||
            strchr(config->collectors[0], '#'))
                return wrong("CollectorName= is for a single collector: write Collector=HOST#NAME");
        if (asprintf(&named, "%s#%s", config->collectors[0], config->collector_name) < 0)
                return -ENOMEM;
        free(config->collectors[0]);
        config->collectors[0] = named;
        return 0;
}

/* To one that has no certificate. */
static int check_stock_collector(RemoteConfig *config)
{
        char text[300];
        const char *why;
        int r;

        if (strings_count(config->collectors) != 1 || config->collector_name)
                return wrong("Protocol=auditd needs one Collector=, and no CollectorName=");
        r = collectors_split(config->collectors[0], STOCK_PORT_DEFAULT, &config->host, &config->port, &why);
        if (r != -EINVAL)
                return r;
        (void) snprintf(text, sizeof text, "Collector=%.150s: %s", config->collectors[0], why);
        return wrong(text);
}

static int check_collectors(RemoteConfig *config)
{
        Collectors *collectors = NULL;
        char text[300];
        const char *why;
        int r;

        if (strings_count(config->collectors) == 0)
                return wrong("Collector= is missing: the host to send to");
        r = name_collector(config);
        if (r < 0)
                return r;
        for (size_t i = 0; config->collectors[i]; i++)
                if (collectors_check(config->collectors[i], &why) < 0) {
                        (void) snprintf(text, sizeof text, "Collector=%.150s: %s", config->collectors[i], why);
                        return wrong(text);
                }
        r = collectors_new(config->collectors, "", false, &collectors);
        collectors_free(collectors);
        if (r == -E2BIG)
                return wrong("Collector= names too many: at most 16");
        if (r == -EEXIST)
                return wrong("Collector= names one collector twice: each has a name of its own, behind a #");
        return r;
}

static int check_verifier_keys(RemoteConfig *config)
{
        VerifierKey key;
        char text[300];

        for (char **one = config->verifier_keys; one && *one; one++)
                if (verifier_key_parse(*one, &key) < 0) {
                        (void) snprintf(text, sizeof text, "VerifierKey=%.200s: this is no verifier key, or not all of it", *one);
                        return wrong(text);
                }
        return 0;
}

static int check(RemoteConfig *config)
{
        int r = config->protocol == PROTOCOL_AUDITD ? check_stock_collector(config) : check_collectors(config);

        if (r >= 0)
                r = check_verifier_keys(config);
        if (r < 0)
                return r;
        if (!config->auditd_psk_identity != !config->auditd_psk_file)
                return wrong("AuditdPSKIdentity= and AuditdPSKFile= need each other");
        if (config->when_full == WHEN_FULL_DROP_OLDEST && config->use_max == 0 && config->keep_free.n == 0)
                return wrong("WhenFull=drop-oldest needs MaxUse= or KeepFree=, which say when the store is full");
        if (config->retry_max_usec < config->retry_min_usec)
                return wrong("RetryMax= is below RetryMin=");
        return 0;
}

int remote_config_load(const char *path, RemoteConfig *ret)
{
        RemoteConfig config = {
                .directory = strdup("/var/lib/audit-relay/remote"),
                .state_directory = strdup(STATE_DIRECTORY),
                .dispatcher_user = strdup("audit-relay-dispatcher"),
                .window = LINK_WINDOW_DEFAULT,
                .auditd_window = STOCK_WINDOW_DEFAULT,
                .compress = OUTLET_COMPRESS_AUTO,
                .enrich_timeout_usec = 500 * USEC_PER_MSEC,
                .network_timeout_usec = 30 * USEC_PER_SEC,
                .connect_timeout_usec = 10 * USEC_PER_SEC,
                .retry_min_usec = 500 * USEC_PER_MSEC,
                .retry_max_usec = 30 * USEC_PER_SEC,
                .fail_back_usec = 5 * 60 * USEC_PER_SEC,
                .segment_size_max = 16U * 1024U * 1024U,
                .space_left = { .n = 256U * 1024U * 1024U },
                .inodes_left = { .n = 1000 },
                .when_full = WHEN_FULL_BLOCK,
        };
        int r = -ENOMEM;

        if (config.directory && config.state_directory && config.dispatcher_user)
                r = config_load("remote", path, keys, &config);
        if (r >= 0)
                r = check(&config);
        if (r < 0) {
                remote_config_done(&config);
                return r;
        }
        *ret = config;
        return 0;
}

void remote_config_done(RemoteConfig *config)
{
        config_done(keys, config);
        free(config->host);
        free(config->port);
        *config = (RemoteConfig) { 0 };
}
