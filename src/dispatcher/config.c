/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dispatcher/config.h"
#include "basic/batch.h"
#include "ring/ring.h"
#include "runtime/config-bounds.h"
#include "runtime/log.h"
#include "runtime/program.h"
#include "runtime/state.h"

#include <stdio.h>

static const char *const kernel_modes[] = { "auto", "none", "unicast", "multicast", NULL };

static const ConfigBounds ring_sizes = { RING_SIZE_MIN, UINT64_C(64) * 1024 * 1024 * 1024 };
/* setsockopt() takes an int, which the kernel doubles. */
static const ConfigBounds receive_buffers = { 64U * 1024U, INT32_MAX / 2 };
/* A client may have a megabyte of buffers and a descriptor. */
static const ConfigBounds pull_clients = { 1, 4096 };

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
        DISPATCHER("Kernel", config_parse_enum, kernel, "auto, none, unicast or multicast", kernel_modes),
        DISPATCHER("ReceiveBuffer", config_parse_size_within, receive_buffer,
                   "a size from 64K to 1023M, such as 64M", &receive_buffers),
        DISPATCHER("Commands", command_policy_parse, commands,
                   "user:NAME or group:NAME and verbs of commands", NULL),
        { 0 },
};

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
        };
        int r = -ENOMEM;

        if ((config.path || !path) && config.node && config.ring_file && config.state_directory)
                r = config_load("dispatcher", path, dispatcher_keys, &config);
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
        *config = (DispatcherConfig) { 0 };
}
