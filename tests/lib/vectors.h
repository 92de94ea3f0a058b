/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files of tests/vectors: lines `name: hex`, and comments. */

#include "check-main.h"

#include <stdio.h>

typedef struct Vector {
        char name[64];
        size_t size;
        uint8_t data[2048];
} Vector;

static Vector vectors[128];
static size_t n_vectors;

static inline void parse_vector(char *line, Vector *ret)
{
        char *colon = strchr(line, ':'), *hex = colon + 2;

        ck_assert_ptr_nonnull(colon);
        *colon = '\0';
        ck_assert_uint_lt(strlen(line), sizeof ret->name);
        strcpy(ret->name, line);
        for (ret->size = 0; hex[0] && hex[0] != '\n'; hex += 2) {
                unsigned byte;

                ck_assert_uint_lt(ret->size, sizeof ret->data);
                ck_assert_int_eq(sscanf(hex, "%2x", &byte), 1);
                ret->data[ret->size++] = (uint8_t) byte;
        }
}

/* Those of `name`, of which there are more than `least`. */
static inline void vectors_read(const char *name, size_t least)
{
        const char *folder = getenv("AUDIT_RELAY_VECTORS");
        char path[4096], line[8192];
        FILE *file;

        if (n_vectors > 0)
                return;
        ck_assert_msg(folder, "AUDIT_RELAY_VECTORS must name tests/vectors");
        snprintf(path, sizeof path, "%s/%s", folder, name);
        file = fopen(path, "re");
        ck_assert_msg(file, "cannot open %s", path);
        while (fgets(line, sizeof line, file))
                if (line[0] != '#' && line[0] != '\n') {
                        ck_assert_uint_lt(n_vectors, ELEMENTSOF(vectors));
                        parse_vector(line, &vectors[n_vectors++]);
                }
        fclose(file);
        ck_assert_uint_gt(n_vectors, least);
}

static inline bool begins(const char *name, const char *prefix)
{
        return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* After vectors_read(). */
static inline const Vector *vectors_find(const char *name)
{
        for (size_t i = 0; i < n_vectors; i++)
                if (strcmp(vectors[i].name, name) == 0)
                        return &vectors[i];
        ck_abort_msg("no vector %s", name);
}
