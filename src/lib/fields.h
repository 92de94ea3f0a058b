/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* NAME=value inside a record's text, audit keys, type numbers. Pure. */

#include "basic/macro.h"
#include "record/record.h"

/* Longest key with which a rule may be marked, and how many one subscription may ask for. The kernel has
 * 256. */
#define KEY_MAX 256U
#define KEYS_MAX 64U

typedef struct Keys {
        char *keys[KEYS_MAX];
        size_t n;
} Keys;

typedef struct Field {
        RecordSlice name, value;
        bool quoted; /* in double quotes, which are left out */
} Field;

/* The first field at or behind *offset, which is moved behind it. */
bool field_next(RecordSlice text, size_t *offset, Field *ret);
/* The first field of that name. */
bool field_find(RecordSlice text, const char *name, Field *ret);

/* Returns the number of bytes written to `out`, which may be the text itself; -EINVAL. */
ssize_t field_decode(RecordSlice text, uint8_t *out, size_t size);

/* The number of a type's name, 0 when it has none. */
uint32_t type_number(RecordSlice name);

int keys_add(Keys *keys, const char *key) _must_check_;
void keys_done(Keys *keys);
/* Whether a record that carries the keys of its event carries one of these. */
bool keys_match(const Keys *keys, uint32_t type, RecordSlice text);
