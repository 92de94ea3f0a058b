/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/config-bounds.h"

static int parse_within(ConfigParse parse, const ConfigKey *key, const char *value, void *field)
{
        const ConfigBounds *bounds = key->argument;
        uint64_t parsed;
        int r = parse(key, value, &parsed);

        if (r < 0)
                return r;
        if (parsed < bounds->min || parsed > bounds->max)
                return -EINVAL;
        *(uint64_t *) field = parsed;
        return 0;
}

int config_parse_size_within(const ConfigKey *key, const char *value, void *field)
{
        return parse_within(config_parse_size, key, value, field);
}

int config_parse_unsigned_within(const ConfigKey *key, const char *value, void *field)
{
        return parse_within(config_parse_unsigned, key, value, field);
}

int config_parse_usec_within(const ConfigKey *key, const char *value, void *field)
{
        return parse_within(config_parse_usec, key, value, field);
}
