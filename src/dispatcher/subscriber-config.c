/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dispatcher/subscriber-config.h"
#include "dispatcher/command-policy.h"
#include "runtime/config-bounds.h"
#include "runtime/log.h"

#include <pwd.h>
#include <stdio.h>

static const char *const overflows[] = { "drop-oldest", "drop-newest", "block", NULL };
static const char *const formats[] = { "link", "lines", "audisp", NULL };
/* Room for a few batches of the largest size; no ring is larger. */
static const ConfigBounds queue_limits = { 1024U * 1024U, UINT64_C(64) * 1024 * 1024 * 1024 };

#define SUBSCRIBER(name, parse, field, expected, argument)                                                  \
        {                                                                                                   \
                "Subscriber", name, parse, offsetof(SubscriberConfig, field), expected, argument            \
        }

static const ConfigKey keys[] = {
        SUBSCRIBER("Socket", config_parse_socket, socket, "an absolute path of at most 107 bytes", NULL),
        SUBSCRIBER("User", config_parse_string, user, "a user's name", NULL),
        SUBSCRIBER("Format", config_parse_enum, format, "link, lines or audisp", formats),
        SUBSCRIBER("Filter", config_parse_strings, filter_words, "record types", NULL),
        SUBSCRIBER("PressureFilter", config_parse_strings, pressure_words, "record types", NULL),
        SUBSCRIBER("QueueLimit", config_parse_size_within, queue_limit, "a size from 1M to 64G, such as 16M",
                   &queue_limits),
        SUBSCRIBER("Commands", command_verbs_parse, commands, "verbs of commands", NULL),
        SUBSCRIBER("Overflow", config_parse_enum, overflow, "block, drop-oldest or drop-newest", overflows),
        { 0 },
};

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

/* One text of all the lines of a key. */
static char *join(char *const *words)
{
        size_t size = 1, at = 0;
        char *text;

        for (size_t i = 0; words[i]; i++)
                size += strlen(words[i]) + 1;
        text = malloc(size);
        if (!text)
                return NULL;
        for (size_t i = 0; words[i]; i++)
                at += (size_t) snprintf(text + at, size - at, "%s ", words[i]);
        return text;
}

static int make_filter(const char *path, const char *key, char *const *words, RecordFilter **ret)
{
        _cleanup_(freep) char *text = NULL, *why = NULL;
        int r;

        if (strings_count(words) == 0)
                return 0;
        text = join(words);
        if (!text)
                return -ENOMEM;
        r = record_filter_parse(text, strlen(text), ret, &why);
        if (r == -EINVAL)
                log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL, "%s: %s= is wrong: %s", path, key,
                            why ? why : "out of memory");
        return r;
}

static int check(const char *path, SubscriberConfig *config)
{
        int r;

        if (!node_name_is_valid(config->name)) {
                log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL,
                            "%s: the file's name is the subscriber's: letters, digits, '.', '-', '_'", path);
                return -EINVAL;
        }
        if (!config->socket) {
                log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL, "%s: Socket= is missing", path);
                return -EINVAL;
        }
        if (config->overflow == OVERFLOW_DROP_NEWEST && config->queue_limit == 0)
                log_message(LOG_WARNING, MESSAGE_ID_CONFIG_WARNING, NULL,
                            "%s: Overflow=drop-newest without QueueLimit=: only the ring itself sets a limit, "
                            "and it drops the oldest",
                            path);
        r = make_filter(path, "Filter", config->filter_words, &config->filter);
        if (r >= 0)
                r = make_filter(path, "PressureFilter", config->pressure_words, &config->pressure_filter);
        return r < 0 ? r : look_up_user(path, config);
}

int subscriber_config_load(const char *path, SubscriberConfig *ret)
{
        SubscriberConfig config = { .name = name_of_path(path) };
        int r = -ENOMEM;

        if (config.name) {
                /* The way to the collector loses nothing unless told otherwise. */
                config.overflow = strcmp(config.name, "remote") == 0 ? OVERFLOW_BLOCK : OVERFLOW_DROP_OLDEST;
                r = config_load_file(path, keys, &config);
        }
        if (r >= 0)
                r = check(path, &config);
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
        record_filter_free(config->filter);
        record_filter_free(config->pressure_filter);
        strings_free(config->commands);
        config_done(keys, config);
        *config = (SubscriberConfig) { 0 };
}

static bool equal_words(char *const *a, char *const *b)
{
        size_t n = strings_count(a);

        if (strings_count(b) != n)
                return false;
        for (size_t i = 0; i < n; i++)
                if (strcmp(a[i], b[i]) != 0)
                        return false;
        return true;
}

bool subscriber_config_equal(const SubscriberConfig *a, const SubscriberConfig *b)
{
        /* A pressure filter that lets all pass replaces the filter; none does not. */
        return strcmp(a->name, b->name) == 0 && strcmp(a->socket, b->socket) == 0 && a->uid == b->uid &&
               record_filter_equal(a->filter, b->filter) && !a->pressure_filter == !b->pressure_filter &&
               record_filter_equal(a->pressure_filter, b->pressure_filter) &&
               a->queue_limit == b->queue_limit && a->overflow == b->overflow && a->format == b->format &&
               equal_words(a->commands, b->commands);
}
