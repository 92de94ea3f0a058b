/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dispatcher/config.h"
#include "basic/batch.h"
#include "ring/ring.h"
#include "runtime/config-bounds.h"
#include "runtime/log.h"
#include "runtime/program.h"
#include "runtime/state.h"

#include <pwd.h>
#include <stdio.h>

static const char *const kernel_modes[] = { "auto", "none", "unicast", "multicast", NULL };

/* As whom the aggregator of this host runs, where there is one. */
#define AGGREGATOR_USER "audit-relay-aggregator"

static const ConfigBounds ring_sizes = { RING_SIZE_MIN, UINT64_C(64) * 1024 * 1024 * 1024 };
/* setsockopt() takes an int, which the kernel doubles. */
static const ConfigBounds receive_buffers = { 64U * 1024U, INT32_MAX / 2 };
/* A client may have a megabyte of buffers and a descriptor. */
static const ConfigBounds pull_clients = { 1, 4096 };
/* Each costs a descriptor and up to CONNECTION_TURN_MAX of memory. */
static const ConfigBounds producers = { 1, 65536 };
static const ConfigBounds producer_rates = { 0, UINT64_C(1) << 40 };

#define DISPATCHER(name, parse, field, expected, argument) \
        { "Dispatcher", name, parse, offsetof(DispatcherConfig, field), expected, argument }

static const ConfigKey dispatcher_keys[] = {
        DISPATCHER("Node", config_parse_node, node, "a host name", NULL),
        DISPATCHER("RingFile", config_parse_path, ring_file, "an absolute path", NULL),
        DISPATCHER("RingSize", config_parse_size_within, ring_size, "a size from 8M to 64G, such as 64M",
                   &ring_sizes),
        DISPATCHER("StateDirectory", config_parse_path, state_directory, "an absolute path", NULL),
        DISPATCHER("SubscribersDirectory", config_parse_path, subscribers_directory, "an absolute path",
                   NULL),
        DISPATCHER("Input", config_parse_socket, input, "an absolute path of at most 107 bytes", NULL),
        DISPATCHER("Subscribe", config_parse_socket, subscribe, "an absolute path of at most 107 bytes",
                   NULL),
        DISPATCHER("Lines", config_parse_socket, lines, "an absolute path of at most 107 bytes", NULL),
        DISPATCHER("PullQueueLimit", config_parse_size, pull_queue_limit, "a size such as 16M", NULL),
        DISPATCHER("PullClientsMax", config_parse_unsigned_within, pull_clients_max,
                   "a number from 1 to 4096", &pull_clients),
        DISPATCHER("PullClientsPerUser", config_parse_unsigned_within, pull_user_clients_max,
                   "a number from 1 to 4096", &pull_clients),
        DISPATCHER("ProducersMax", config_parse_unsigned_within, producers_max, "a number from 1 to 65536",
                   &producers),
        DISPATCHER("ProducersPerUser", config_parse_unsigned_within, user_producers_max,
                   "a number from 1 to 65536", &producers),
        DISPATCHER("ProducerRate", config_parse_size_within, producer_rate,
                   "bytes a second such as 4M, or 0 for any", &producer_rates),
        DISPATCHER("ProducerTypes", config_parse_string, producer_types, "record types", NULL),
        DISPATCHER("TrustedProducers", config_parse_strings, trusted_producers, "names or numbers of users",
                   NULL),
        DISPATCHER("RemoteProducers", config_parse_strings, remote_producers, "names or numbers of users",
                   AGGREGATOR_USER),
        DISPATCHER("Kernel", config_parse_enum, kernel, "auto, none, unicast or multicast", kernel_modes),
        DISPATCHER("ReceiveBuffer", config_parse_size_within, receive_buffer,
                   "a size from 64K to 1023M, such as 64M", &receive_buffers),
        DISPATCHER("Commands", command_policy_parse, commands,
                   "user:NAME or group:NAME and verbs of commands", NULL),
        { 0 },
};

static int make_types(DispatcherConfig *config)
{
        const char *text = config->producer_types ? config->producer_types : "";
        _cleanup_(freep) char *why = NULL;
        int r = record_filter_parse(text, strlen(text), &config->producer_filter, &why);

        if (r < 0)
                log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL, "ProducerTypes=%s: %s", text,
                            why ? why : strerror(-r));
        return r;
}

/* A user who is not there (yet) is trusted with nothing: that keeps nobody's records from being carried. */
static bool look_up_user(const char *key, const char *name, uid_t *ret)
{
        char *end;
        unsigned long number;
        const struct passwd *user;

        errno = 0;
        number = strtoul(name, &end, 10);
        if (*end == '\0' && errno == 0 && number < UINT32_MAX) {
                *ret = (uid_t) number;
                return true;
        }
        user = getpwnam(name);
        /* Most hosts are no collectors. */
        if (!user && strcmp(name, AGGREGATOR_USER) == 0)
                return false;
        if (!user) {
                log_message(LOG_WARNING, MESSAGE_ID_CONFIG_WARNING, NULL,
                            "%s=: there is no user \"%s\"", key, name);
                return false;
        }
        *ret = user->pw_uid;
        return true;
}

static int look_up_users(const char *key, char *const *names, uid_t **ret, size_t *ret_n)
{
        size_t n = strings_count(names);

        *ret = calloc(n + 1, sizeof **ret);
        if (!*ret)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                *ret_n += look_up_user(key, names[i], *ret + *ret_n);
        return 0;
}

int dispatcher_config_look_up(DispatcherConfig *config)
{
        int r = look_up_users("TrustedProducers", config->trusted_producers, &config->trusted_uids,
                              &config->n_trusted);

        if (r >= 0)
                r = look_up_users("RemoteProducers", config->remote_producers, &config->remote_uids,
                                  &config->n_remote);
        return r;
}

int dispatcher_config_load(const char *path, DispatcherConfig *ret)
{
        DispatcherConfig config = {
                .path = path ? strdup(path) : NULL,
                .node = program_host_name(),
                .ring_file = strdup("/run/audit-relay/dispatcher/ring"),
                .ring_size = RING_SIZE_DEFAULT,
                .state_directory = strdup(STATE_DIRECTORY),
                .kernel = KERNEL_AUTO,
                .receive_buffer = 64U * 1024U * 1024U,
                .pull_clients_max = 64,
                .pull_user_clients_max = 16,
                .producers_max = 512,
                .user_producers_max = 64,
                .producer_rate = 4U * 1024U * 1024U,
                .producer_types = strdup("user"),
        };
        int r = -ENOMEM;

        if ((config.path || !path) && config.node && config.ring_file && config.state_directory &&
            config.producer_types)
                r = config_load("dispatcher", path, dispatcher_keys, &config);
        if (r >= 0)
                r = make_types(&config);
        if (r < 0) {
                dispatcher_config_done(&config);
                return r;
        }
        command_policy_resolve(&config.commands);
        *ret = config;
        return 0;
}

void dispatcher_config_done(DispatcherConfig *config)
{
        free(config->path);
        free(config->node);
        free(config->ring_file);
        free(config->state_directory);
        free(config->subscribers_directory);
        free(config->input);
        free(config->subscribe);
        free(config->lines);
        command_policy_done(&config->commands);
        free(config->producer_types);
        record_filter_free(config->producer_filter);
        strings_free(config->trusted_producers);
        free(config->trusted_uids);
        strings_free(config->remote_producers);
        free(config->remote_uids);
        *config = (DispatcherConfig) { 0 };
}
