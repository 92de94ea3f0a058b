/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "aggregator/config.h"
#include "basic/batch.h"
#include "link/link-receiver.h"
#include "runtime/config.h"
#include "runtime/program.h"
#include "runtime/state.h"

#include <stddef.h>

#define SEGMENT_SIZE_MIN (1024U * 1024U)
#define WINDOW_MIN BATCH_PAYLOAD_MAX
#define WINDOW_MAX (1024U * 1024U * 1024U)
#define CONNECTIONS_MAX (1024U * 1024U)
#define DAY_USEC (24 * 3600 * USEC_PER_SEC)

static int parse_path(const ConfigKey *key, const char *value, void *field)
{
        return value[0] == '/' ? config_parse_string(key, value, field) : -EINVAL;
}

static int parse_window(const ConfigKey *key, const char *value, void *field)
{
        uint64_t size;
        int r = config_parse_size(key, value, &size);

        if (r < 0)
                return r;
        if (size < WINDOW_MIN || size > WINDOW_MAX)
                return -EINVAL;
        *(uint64_t *) field = size;
        return 0;
}

static int parse_segment_size(const ConfigKey *key, const char *value, void *field)
{
        uint64_t size;
        int r = config_parse_size(key, value, &size);

        if (r < 0)
                return r;
        if (size < SEGMENT_SIZE_MIN)
                return -EINVAL;
        *(uint64_t *) field = size;
        return 0;
}

static int parse_connections(const ConfigKey *key, const char *value, void *field)
{
        uint64_t n;
        int r = config_parse_unsigned(key, value, &n);

        if (r < 0)
                return r;
        if (n < 1 || n > CONNECTIONS_MAX)
                return -EINVAL;
        *(uint64_t *) field = n;
        return 0;
}

/* Senders speak once a second: a shorter time-out would end healthy sessions. */
static int parse_timeout(const ConfigKey *key, const char *value, void *field)
{
        uint64_t usec;
        int r = config_parse_usec(key, value, &usec);

        if (r < 0)
                return r;
        if (usec < 3 * USEC_PER_SEC)
                return -EINVAL;
        *(uint64_t *) field = usec;
        return 0;
}

#define KEY(name, parse, field, expected) { "Aggregator", name, parse, offsetof(AggregatorConfig, field), expected, NULL }

static const ConfigKey keys[] = {
        KEY("Name", config_parse_node, name, "a host name"),
        KEY("TLSCertificate", config_parse_string, tls.certificate, "a path or pkcs11: URL"),
        KEY("TLSKey", config_parse_string, tls.key, "a path or pkcs11: URL"),
        KEY("TLSAuthority", config_parse_string, tls.authority, "a path or pkcs11: URL"),
        KEY("TLSRevocation", config_parse_string, tls.revocation, "a path"),
        KEY("Directory", parse_path, directory, "an absolute path"),
        KEY("StateDirectory", parse_path, state_directory, "an absolute path"),
        KEY("Listen", config_parse_strings, listen, "ADDRESS:PORT, [ADDRESS]:PORT or PORT"),
        KEY("Window", parse_window, window, "a size from 256K to 1G"),
        KEY("NetworkTimeout", parse_timeout, network_timeout_usec, "a time of at least 3s"),
        KEY("ConnectTimeout", parse_timeout, connect_timeout_usec, "a time of at least 3s"),
        KEY("MaxConnections", parse_connections, connections_max, "a number from 1 to 1048576"),
        KEY("SegmentMaxSize", parse_segment_size, segment_size_max, "a size of at least 1M"),
        KEY("SegmentMaxSec", config_parse_usec, segment_age_usec, "a time such as 1d, 0 for none"),
        KEY("MaxUse", config_parse_size, use_max, "a size such as 100G, 0 for none"),
        KEY("KeepFree", config_parse_size, keep_free, "a size such as 10G, 0 for none"),
        KEY("SpaceLeft", config_parse_size, space_left, "a size such as 1G, 0 for none"),
        KEY("MaxRetentionSec", config_parse_usec, retention_usec, "a time such as 365d, 0 for ever"),
        KEY("StreamForget", config_parse_usec, stream_forget_usec, "a time such as 400d, 0 for never"),
        { 0 },
};

int aggregator_config_load(const char *path, AggregatorConfig *ret)
{
        AggregatorConfig config = {
                .name = program_host_name(),
                .directory = strdup("/var/log/audit-relay"),
                .state_directory = strdup(STATE_DIRECTORY),
                .window = LINK_WINDOW_DEFAULT,
                .network_timeout_usec = 30 * USEC_PER_SEC,
                .connect_timeout_usec = 10 * USEC_PER_SEC,
                .connections_max = 4096,
                .segment_size_max = 128U * 1024U * 1024U,
                .space_left = 1024U * 1024U * 1024U,
                .stream_forget_usec = 400 * DAY_USEC,
        };
        int r = -ENOMEM;

        if (config.name && config.directory && config.state_directory)
                r = config_load("aggregator", path, keys, &config);
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
        *config = (AggregatorConfig) { 0 };
}
