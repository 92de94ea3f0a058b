/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The values that a configuration key can have. Each parser writes its field only when the whole value is
 * right. */

#include "basic/batch.h"
#include "runtime/config.h"

#include <strings.h>
#include <sys/un.h>

static const char blanks[] = " \t";

bool node_name_is_valid(const char *name)
{
        size_t n = strlen(name);

        if (n == 0 || n > NODE_NAME_MAX)
                return false;
        return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:") == n;
}

static int replace_string(char **field, const char *value)
{
        char *copy = strdup(value);

        if (!copy)
                return -ENOMEM;
        free(*field);
        *field = copy;
        return 0;
}

int config_parse_string(const ConfigKey *key, const char *value, void *field)
{
        return replace_string(field, value);
}

int config_parse_path(const ConfigKey *key, const char *value, void *field)
{
        return value[0] == '/' ? config_parse_string(key, value, field) : -EINVAL;
}

int config_parse_socket(const ConfigKey *key, const char *value, void *field)
{
        return strlen(value) < sizeof((struct sockaddr_un *) NULL)->sun_path
                       ? config_parse_path(key, value, field)
                       : -EINVAL;
}

int config_parse_node(const ConfigKey *key, const char *value, void *field)
{
        if (!node_name_is_valid(value))
                return -EINVAL;
        return replace_string(field, value);
}

int config_parse_strings(const ConfigKey *key, const char *value, void *field)
{
        _cleanup_(strings_freep) char **words = NULL;
        char ***list = field;
        int r = 0;

        for (const char *p = value + strspn(value, blanks); *p != '\0'; p += strspn(p, blanks)) {
                bool quoted = *p == '"' || *p == '\'';
                const char *begin = p + quoted;
                const char *end = quoted ? strchr(begin, *p) : begin + strcspn(begin, blanks);
                _cleanup_(freep) char *word = NULL;

                if (!end)
                        return -EINVAL;
                p = end + quoted;
                if (quoted && *p != '\0' && !strchr(blanks, *p))
                        return -EINVAL;
                word = strndup(begin, (size_t) (end - begin));
                r = word ? strings_append(&words, word) : -ENOMEM;
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; words && words[i] && r == 0; i++)
                r = strings_append(list, words[i]);
        return r;
}

int config_parse_bool(const ConfigKey *key, const char *value, void *field)
{
        static const char *const yes[] = { "yes", "y", "true", "t", "on", "1" };
        static const char *const no[] = { "no", "n", "false", "f", "off", "0" };

        for (size_t i = 0; i < ELEMENTSOF(yes); i++)
                if (strcasecmp(value, yes[i]) == 0) {
                        *(bool *) field = true;
                        return 0;
                }
        for (size_t i = 0; i < ELEMENTSOF(no); i++)
                if (strcasecmp(value, no[i]) == 0) {
                        *(bool *) field = false;
                        return 0;
                }
        return -EINVAL;
}

/* Reads the digits at *p, at least one, and moves *p behind them. No sign, no blanks, no octal. */
static int read_number(const char **p, uint64_t *ret)
{
        uint64_t n = 0;

        if (**p < '0' || **p > '9')
                return -EINVAL;
        for (; **p >= '0' && **p <= '9'; (*p)++)
                if (__builtin_mul_overflow(n, UINT64_C(10), &n) ||
                    __builtin_add_overflow(n, (uint64_t) (**p - '0'), &n))
                        return -EINVAL;
        *ret = n;
        return 0;
}

int config_parse_unsigned(const ConfigKey *key, const char *value, void *field)
{
        uint64_t n;
        int r = read_number(&value, &n);

        if (r < 0 || *value != '\0')
                return -EINVAL;
        *(uint64_t *) field = n;
        return 0;
}

int config_parse_size(const ConfigKey *key, const char *value, void *field)
{
        static const char suffixes[] = "KMGTPE";
        uint64_t n;
        int r = read_number(&value, &n);

        if (r < 0)
                return r;
        if (*value != '\0' && *value != 'B') {
                const char *suffix = strchr(suffixes, *value);
                uint64_t factor;

                if (!suffix)
                        return -EINVAL;
                factor = UINT64_C(1) << (10 * (suffix - suffixes + 1));
                if (__builtin_mul_overflow(n, factor, &n))
                        return -EINVAL;
                value++;
        }
        if (*value == 'B')
                value++;
        if (*value != '\0')
                return -EINVAL;
        *(uint64_t *) field = n;
        return 0;
}

static int parse_disk_amount(ConfigParse parse, const ConfigKey *key, const char *value, void *field)
{
        DiskAmount amount = { 0 };
        const char *p = value;

        if (read_number(&p, &amount.n) == 0 && strcmp(p, "%") == 0) {
                amount.percent = true;
                if (amount.n > 100)
                        return -EINVAL;
        } else {
                int r = parse(key, value, &amount.n);

                if (r < 0)
                        return r;
        }
        *(DiskAmount *) field = amount;
        return 0;
}

int config_parse_disk_size(const ConfigKey *key, const char *value, void *field)
{
        return parse_disk_amount(config_parse_size, key, value, field);
}

int config_parse_disk_count(const ConfigKey *key, const char *value, void *field)
{
        return parse_disk_amount(config_parse_unsigned, key, value, field);
}

/* The units of systemd.time(7); a number without one is seconds. */
static uint64_t usec_unit(const char *name, size_t size)
{
        static const struct {
                const char *name;
                uint64_t usec;
        } units[] = {
                /* clang-format off */
                { "", USEC_PER_SEC },
                { "s", USEC_PER_SEC }, { "sec", USEC_PER_SEC },
                { "second", USEC_PER_SEC }, { "seconds", USEC_PER_SEC },
                { "us", 1 }, { "usec", 1 }, { "µs", 1 },
                { "ms", USEC_PER_MSEC }, { "msec", USEC_PER_MSEC },
                { "m", 60 * USEC_PER_SEC }, { "min", 60 * USEC_PER_SEC },
                { "minute", 60 * USEC_PER_SEC }, { "minutes", 60 * USEC_PER_SEC },
                { "h", 3600 * USEC_PER_SEC }, { "hr", 3600 * USEC_PER_SEC },
                { "hour", 3600 * USEC_PER_SEC }, { "hours", 3600 * USEC_PER_SEC },
                { "d", 86400 * USEC_PER_SEC }, { "day", 86400 * USEC_PER_SEC }, { "days", 86400 * USEC_PER_SEC },
                { "w", 604800 * USEC_PER_SEC },
                { "week", 604800 * USEC_PER_SEC }, { "weeks", 604800 * USEC_PER_SEC },
                { "M", 2629800 * USEC_PER_SEC },
                { "month", 2629800 * USEC_PER_SEC }, { "months", 2629800 * USEC_PER_SEC },
                { "y", 31557600 * USEC_PER_SEC },
                { "year", 31557600 * USEC_PER_SEC }, { "years", 31557600 * USEC_PER_SEC },
                /* clang-format on */
        };

        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (strlen(units[i].name) == size && memcmp(units[i].name, name, size) == 0)
                        return units[i].usec;
        return 0;
}

int config_parse_usec(const ConfigKey *key, const char *value, void *field)
{
        uint64_t sum = 0;

        if (strcmp(value, "infinity") == 0) {
                *(uint64_t *) field = USEC_INFINITY;
                return 0;
        }
        do {
                uint64_t n, unit;
                size_t size;
                int r = read_number(&value, &n);

                if (r < 0)
                        return r;
                value += strspn(value, blanks);
                size = strcspn(value, "0123456789 \t");
                unit = usec_unit(value, size);
                if (unit == 0 || __builtin_mul_overflow(n, unit, &n) || __builtin_add_overflow(sum, n, &sum))
                        return -EINVAL;
                value += size;
                value += strspn(value, blanks);
        } while (*value != '\0');
        /* The largest number means infinity. */
        if (sum == USEC_INFINITY)
                return -EINVAL;
        *(uint64_t *) field = sum;
        return 0;
}

int config_parse_enum(const ConfigKey *key, const char *value, void *field)
{
        const char *const *names = key->argument;

        for (int i = 0; names[i]; i++)
                if (strcmp(names[i], value) == 0) {
                        *(int *) field = i;
                        return 0;
                }
        return -EINVAL;
}

void config_done(const ConfigKey *keys, void *config)
{
        for (const ConfigKey *key = keys; key->name; key++) {
                void *field = (char *) config + key->offset;

                if (key->parse == config_parse_string || key->parse == config_parse_path ||
                    key->parse == config_parse_socket || key->parse == config_parse_node) {
                        free(*(char **) field);
                        *(char **) field = NULL;
                } else if (key->parse == config_parse_strings) {
                        *(char ***) field = strings_free(*(char ***) field);
                }
        }
}
