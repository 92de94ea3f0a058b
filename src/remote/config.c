/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "remote/config.h"
#include "basic/batch.h"
#include "link/link-receiver.h"
#include "remote/stock-feed.h"
#include "runtime/config-bounds.h"
#include "runtime/log.h"
#include "runtime/outlet.h"
#include "runtime/state.h"
#include "runtime/when-full.h"

#include <stddef.h>

#define PORT_DEFAULT "6560"
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
        KEY("Collector", config_parse_string, collector, "HOST, HOST:PORT or [ADDRESS]:PORT"),
        KEY("CollectorName", config_parse_node, collector_name, "a host name"),
        KEY("Node", config_parse_node, node, "a host name"),
        KEY("TLSCertificate", config_parse_string, tls.certificate, "a path or pkcs11: URL"),
        KEY("TLSKey", config_parse_string, tls.key, "a path or pkcs11: URL"),
        KEY("TLSAuthority", config_parse_string, tls.authority, "a path or pkcs11: URL"),
        KEY("TLSRevocation", config_parse_string, tls.revocation, "a path"),
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

/* "host", "host:port", "[v6]", "[v6]:port". */
static int split_collector(RemoteConfig *config)
{
        const char *text = config->collector, *end;
        const char *port = config->protocol == PROTOCOL_AUDITD ? STOCK_PORT_DEFAULT : PORT_DEFAULT;

        if (!text)
                return wrong("Collector= is missing: the host to send to");
        if (text[0] == '[') {
                text++;
                end = strchr(text, ']');
                if (!end || (end[1] != '\0' && end[1] != ':'))
                        return wrong("Collector= is not [ADDRESS] or [ADDRESS]:PORT");
                if (end[1] == ':')
                        port = end + 2;
        } else {
                end = strchr(text, ':');
                if (end)
                        port = end + 1;
                else
                        end = text + strlen(text);
        }
        if (end == text || *port == '\0' || strspn(port, "0123456789") != strlen(port))
                return wrong("Collector= is not HOST, HOST:PORT or [ADDRESS]:PORT");
        config->host = strndup(text, (size_t) (end - text));
        config->port = strdup(port);
        return config->host && config->port ? 0 : -ENOMEM;
}

static int check(RemoteConfig *config)
{
        int r = split_collector(config);

        if (r < 0)
                return r;
        if (!config->auditd_psk_identity != !config->auditd_psk_file)
                return wrong("AuditdPSKIdentity= and AuditdPSKFile= need each other");
        if (!config->collector_name && config->protocol == PROTOCOL_LINK) {
                if (!node_name_is_valid(config->host))
                        return wrong("CollectorName= is missing: the name in the collector's certificate");
                config->collector_name = strdup(config->host);
                if (!config->collector_name)
                        return -ENOMEM;
        }
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
