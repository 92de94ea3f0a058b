/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* WhenFull= of the configuration: what happens when a store has reached MaxUse= or KeepFree=. */

typedef enum WhenFull {
        WHEN_FULL_BLOCK,       /* nothing is taken: the senders keep theirs */
        WHEN_FULL_DROP_OLDEST, /* the oldest segment goes, whoever has not had it */
} WhenFull;

/* For config_parse_enum(). */
extern const char *const when_full_names[];
