/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes JSON. A name is given within an object and NULL within an array. */

#include "basic/macro.h"

#include <stdio.h>

typedef struct Json {
        FILE *to;
        unsigned depth;
        bool more; /* something stands before at this depth */
        bool compact; /* all in one line */
} Json;

#define JSON_INIT(file) ((Json) { .to = (file) })
#define JSON_INIT_COMPACT(file) ((Json) { .to = (file), .compact = true })

void json_object_begin(Json *json, const char *name);
void json_object_end(Json *json);
void json_array_begin(Json *json, const char *name);
void json_array_end(Json *json);
/* NULL becomes null. Bytes that are no UTF-8 become U+FFFD. */
void json_string(Json *json, const char *name, const char *value);
/* A number as text; what JSON does not know as one (NaN, +Inf) becomes a string. */
void json_number(Json *json, const char *name, const char *value);
void json_integer(Json *json, const char *name, int64_t value);
void json_unsigned(Json *json, const char *name, uint64_t value);
void json_bool(Json *json, const char *name, bool value);
