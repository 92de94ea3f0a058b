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
#include <sys/un.h>

#define SOCKET_PATH_MAX (sizeof((struct sockaddr_un *) NULL)->sun_path - 1)

static const char *const kernel_modes[] = { "auto", "none", "unicast", "multicast", NULL };
static const char *const overflows[] = { "drop-oldest", "drop-newest", "block", NULL };

static int parse_socket(const ConfigKey *key, const char *value, void *field)
{
        return strlen(value) <= SOCKET_PATH_MAX ? config_parse_path(key, value, field) : -EINVAL;
}

static const ConfigBounds ring_sizes = { RING_SIZE_MIN, UINT64_C(64) * 1024 * 1024 * 1024 };
/* setsockopt() takes an int, which the kernel doubles. */
static const ConfigBounds receive_buffers = { 64U * 1024U, INT32_MAX / 2 };

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
        DISPATCHER("Input", parse_socket, input, "an absolute path of at most 107 bytes", NULL),
        DISPATCHER("Kernel", config_parse_enum, kernel, "auto, none, unicast or multicast", kernel_modes),
        DISPATCHER("ReceiveBuffer", config_parse_size_within, receive_buffer,
                   "a size from 64K to 1023M, such as 64M", &receive_buffers),
        { 0 },
};

#define SUBSCRIBER(name, parse, field, expected, argument) \
        { "Subscriber", name, parse, offsetof(SubscriberConfig, field), expected, argument }

static const ConfigKey subscriber_keys[] = {
        SUBSCRIBER("Socket", parse_socket, socket, "an absolute path of at most 107 bytes", NULL),
        SUBSCRIBER("Overflow", config_parse_enum, overflow, "block or drop-oldest", overflows),
        SUBSCRIBER("User", config_parse_string, user, "a user's name", NULL),
        { 0 },
};

int dispatcher_config_load(const char *path, DispatcherConfig *ret)
{
        DispatcherConfig config = {
                .node = program_host_name(),
                .ring_file = strdup("/run/audit-relay/dispatcher/ring"),
                .ring_size = RING_SIZE_DEFAULT,
                .state_directory = strdup(STATE_DIRECTORY),
                .kernel = KERNEL_AUTO,
                .receive_buffer = 64U * 1024U * 1024U,
        };
        int r = -ENOMEM;

        if (config.node && config.ring_file && config.state_directory)
                r = config_load("dispatcher", path, dispatcher_keys, &config);
        if (r < 0) {
                dispatcher_config_done(&config);
                return r;
        }
        *ret = config;
        return 0;
}

void dispatcher_config_done(DispatcherConfig *config)
{
        free(config->node);
        free(config->ring_file);
        free(config->state_directory);
        free(config->subscribers_directory);
        free(config->input);
        *config = (DispatcherConfig) { 0 };
}

/* "/etc/audit-relay/subscribers.d/remote.conf" → "remote". */
static char *name_of_path(const char *path)
{
        const char *slash = strrchr(path, '/');
        const char *base = slash ? slash + 1 : path;
        const char *dot = strrchr(base, '.');

        return strndup(base, dot ? (size_t) (dot - base) : strlen(base));
}

static int look_up_user(const char *path, SubscriberConfig *config)
{
        struct passwd *user;

        config->uid = geteuid();
        if (!config->user)
                return 0;
        errno = 0;
        user = getpwnam(config->user);
        if (!user) {
                log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL, "%s: there is no user \"%s\"", path,
                            config->user);
                return errno != 0 ? -errno : -EINVAL;
        }
        config->uid = user->pw_uid;
        return 0;
}

static int subscriber_config_check(const char *path, SubscriberConfig *config)
{
        if (!node_name_is_valid(config->name)) {
                log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL,
                            "%s: the file's name is the subscriber's: letters, digits, '.', '-', '_'", path);
                return -EINVAL;
        }
        if (!config->socket) {
                log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL, "%s: Socket= is missing", path);
                return -EINVAL;
        }
        return look_up_user(path, config);
}

int subscriber_config_load(const char *path, SubscriberConfig *ret)
{
        SubscriberConfig config = { .name = name_of_path(path) };
        int r = -ENOMEM;

        if (config.name) {
                /* The way to the collector loses nothing unless told otherwise. */
                config.overflow = strcmp(config.name, "remote") == 0 ? OVERFLOW_BLOCK : OVERFLOW_DROP_OLDEST;
                r = config_load_file(path, subscriber_keys, &config);
        }
        if (r >= 0)
                r = subscriber_config_check(path, &config);
        if (r < 0) {
                subscriber_config_done(&config);
                return r;
        }
        *ret = config;
        return 0;
}

void subscriber_config_done(SubscriberConfig *config)
{
        free(config->name);
        free(config->socket);
        free(config->user);
        *config = (SubscriberConfig) { 0 };
}

bool subscriber_config_equal(const SubscriberConfig *a, const SubscriberConfig *b)
{
        return strcmp(a->name, b->name) == 0 && strcmp(a->socket, b->socket) == 0 &&
               a->overflow == b->overflow && a->uid == b->uid;
}
