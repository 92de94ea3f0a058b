/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Random decisions that can be repeated: the seed is printed, --seed=N or AUDIT_RELAY_SEED=N replays it. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t seed_state;

/* First thing in main(). */
static inline void seed_begin(int argc, char **argv)
{
        const char *text = getenv("AUDIT_RELAY_SEED");

        for (int i = 1; i < argc; i++)
                if (strncmp(argv[i], "--seed=", 7) == 0)
                        text = argv[i] + 7;
        seed_state = text ? strtoull(text, NULL, 10) : (uint64_t) time(NULL);
        printf("# --seed=%" PRIu64 "\n", seed_state);
        fflush(stdout);
}

static inline uint64_t random_below(uint64_t n)
{
        seed_state = seed_state * UINT64_C(6364136223846793005) + 1442695040888963407;
        return (seed_state >> 33) % n;
}
