/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Values of configuration keys with bounds. */

#include "runtime/config.h"

/* The argument of the keys below; both ends are allowed. Their fields are uint64_t. */
typedef struct ConfigBounds {
        uint64_t min, max;
} ConfigBounds;

int config_parse_size_within(const ConfigKey *key, const char *value, void *field);
int config_parse_unsigned_within(const ConfigKey *key, const char *value, void *field);
int config_parse_usec_within(const ConfigKey *key, const char *value, void *field);
