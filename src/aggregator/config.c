/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "aggregator/config.h"
#include "aggregator/peers.h"
#include "aggregator/stores.h"
#include "basic/batch.h"
#include "link/link-receiver.h"
#include "runtime/config-bounds.h"
#include "runtime/log.h"
#include "runtime/program.h"
#include "runtime/state.h"
#include "runtime/when-full.h"

#include <stddef.h>

#define DAY_USEC (24 * 3600 * USEC_PER_SEC)

static const ConfigBounds window = { BATCH_PAYLOAD_MAX, 1024U * 1024U * 1024U };
/* Smaller ones would be made all the time. */
static const ConfigBounds segment_size = { 1024U * 1024U, UINT64_MAX };
static const ConfigBounds connections = { 1, 1024U * 1024U };
static const ConfigBounds handshakes = { 1, 65536 };
/* Senders speak once a second: a shorter time-out would end healthy sessions. */
static const ConfigBounds silence = { 3 * USEC_PER_SEC, USEC_INFINITY };

/* A signature and a commit each time; and for longer nobody wants to be without evidence. */
static const ConfigBounds checkpoint = { 1 * USEC_PER_SEC, DAY_USEC };

static const char *const layout_names[] = {
        [LAYOUT_BLENDED] = "blended",
        [LAYOUT_BY_NODE] = "by-node",
        NULL,
};

#define BOUNDED(name, parse, field, expected, bounds) \
        { "Aggregator", name, parse, offsetof(AggregatorConfig, field), expected, bounds }
#define KEY(name, parse, field, expected) BOUNDED(name, parse, field, expected, NULL)

static const ConfigKey keys[] = {
        KEY("Name", config_parse_node, name, "a host name"),
        KEY("TLSCertificate", config_parse_string, tls.certificate, "a path or pkcs11: URL"),
        KEY("TLSKey", config_parse_string, tls.key, "a path or pkcs11: URL"),
        KEY("TLSAuthority", config_parse_string, tls.authority, "a path or pkcs11: URL"),
        KEY("TLSRevocation", config_parse_string, tls.revocation, "a path"),
        KEY("SignKey", config_parse_string, sign_key, "a path or pkcs11: URL"),
        BOUNDED("CheckpointSec", config_parse_usec_within, checkpoint_usec, "a time from 1s to 1d", &checkpoint),
        KEY("Directory", config_parse_path, directory, "an absolute path"),
        BOUNDED("Layout", config_parse_enum, layout, "blended or by-node", layout_names),
        KEY("NodeMaxUse", config_parse_disk_size, node_use_max, "a size such as 10G, or 5%, 0 for none"),
        KEY("StateDirectory", config_parse_path, state_directory, "an absolute path"),
        KEY("Listen", config_parse_strings, listen, "ADDRESS:PORT, [ADDRESS]:PORT or PORT"),
        KEY("PeersDirectory", config_parse_path, peers_directory, "an absolute path"),
        KEY("PeersRequired", config_parse_bool, peers_required, "yes or no"),
        KEY("AuditdListen", config_parse_strings, auditd_listen, "ADDRESS:PORT, [ADDRESS]:PORT or PORT"),
        KEY("AuditdPSKDirectory", config_parse_path, auditd_psk_directory, "an absolute path"),
        KEY("AuditdAllow", config_parse_strings, auditd_allow_texts, "networks such as 192.0.2.0/24 2001:db8::/32"),
        BOUNDED("Window", config_parse_size_within, window, "a size from 256K to 1G", &window),
        BOUNDED("NetworkTimeout", config_parse_usec_within, network_timeout_usec, "a time of at least 3s",
                &silence),
        BOUNDED("ConnectTimeout", config_parse_usec_within, connect_timeout_usec, "a time of at least 3s",
                &silence),
        BOUNDED("MaxConnections", config_parse_unsigned_within, connections_max,
                "a number from 1 to 1048576", &connections),
        BOUNDED("MaxConnectionsPerPeer", config_parse_unsigned_within, peer_connections_max,
                "a number from 1 to 1048576", &connections),
        BOUNDED("MaxHandshakes", config_parse_unsigned_within, handshakes_max, "a number from 1 to 65536",
                &handshakes),
        BOUNDED("MaxHandshakesPerAddress", config_parse_unsigned_within, address_handshakes_max,
                "a number from 1 to 65536", &handshakes),
        BOUNDED("PeerRate", config_parse_size_within, peer_rate, "bytes a second, at least 64K",
                &peer_rate_bounds),
        BOUNDED("SegmentMaxSize", config_parse_size_within, segment_size_max, "a size of at least 1M",
                &segment_size),
        KEY("SegmentCompress", config_parse_bool, segment_compress, "yes or no"),
        KEY("SegmentMaxSec", config_parse_usec, segment_age_usec, "a time such as 1d, 0 for none"),
        KEY("MaxUse", config_parse_size, use_max, "a size such as 100G, 0 for none"),
        KEY("KeepFree", config_parse_disk_size, keep_free, "a size such as 10G, or 5%, 0 for none"),
        BOUNDED("WhenFull", config_parse_enum, when_full, "block or drop-oldest", when_full_names),
        KEY("SpaceLeft", config_parse_disk_size, space_left, "a size such as 1G, or 5%, 0 for none"),
        KEY("InodesLeft", config_parse_disk_count, inodes_left, "a number, or 5%, 0 for none"),
        KEY("MaxRetentionSec", config_parse_usec, retention_usec, "a time such as 365d, 0 for ever"),
        KEY("StreamForget", config_parse_usec, stream_forget_usec, "a time such as 400d, 0 for never"),
        KEY("Publish", config_parse_bool, publish, "yes or no"),
        KEY("PublishSocket", config_parse_socket, publish_socket, "an absolute path of at most 107 bytes"),
        KEY("PassCommands", config_parse_bool, pass_commands, "yes or no"),
        { 0 },
};

/* The names of a store beside a blended one's files. */
static int check_layout(const AggregatorConfig *config)
{
        if (config->layout == LAYOUT_BLENDED && config->node_use_max.n > 0) {
                log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL, "NodeMaxUse= is for Layout=by-node");
                return -EINVAL;
        }
        if (config->layout == LAYOUT_BY_NODE && config->publish) {
                log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL,
                            "Publish=yes reads one store: it does not go with Layout=by-node");
                return -EINVAL;
        }
        if (config->layout == LAYOUT_BY_NODE && !stores_name_is_free(config->name)) {
                log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL,
                            "Name=%s: with Layout=by-node there cannot be a directory of this name", config->name);
                return -EINVAL;
        }
        return 0;
}

static int check(AggregatorConfig *config)
{
        const char *wrong = "";
        int r = networks_parse(config->auditd_allow_texts, &config->auditd_allow, &wrong);

        if (r == -EINVAL)
                log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL,
                            "AuditdAllow=: \"%s\" is no network (ADDRESS or ADDRESS/BITS)", wrong);
        return r < 0 ? r : check_layout(config);
}

int aggregator_config_load(const char *path, AggregatorConfig *ret)
{
        AggregatorConfig config = {
                .name = program_host_name(),
                .directory = strdup("/var/log/audit-relay"),
                .state_directory = strdup(STATE_DIRECTORY),
                .checkpoint_usec = 5 * 60 * USEC_PER_SEC,
                .window = LINK_WINDOW_DEFAULT,
                .network_timeout_usec = 30 * USEC_PER_SEC,
                .connect_timeout_usec = 10 * USEC_PER_SEC,
                .connections_max = 4096,
                .peer_connections_max = 8,
                .handshakes_max = 128,
                .address_handshakes_max = 32,
                .segment_size_max = 128U * 1024U * 1024U,
                .space_left = { .n = 1024U * 1024U * 1024U },
                .inodes_left = { .n = 1000 },
                .when_full = -1,
                .stream_forget_usec = 400 * DAY_USEC,
                .publish_socket = strdup("/run/audit-relay/input"),
        };
        int r = -ENOMEM;

        if (config.name && config.directory && config.state_directory && config.publish_socket)
                r = config_load("aggregator", path, keys, &config);
        if (r >= 0)
                r = check(&config);
        if (r < 0) {
                aggregator_config_done(&config);
                return r;
        }
        *ret = config;
        return 0;
}

void aggregator_config_done(AggregatorConfig *config)
{
        config_done(keys, config);
        networks_done(&config->auditd_allow);
        *config = (AggregatorConfig) { 0 };
}
