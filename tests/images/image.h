/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From a log to the images a crash at any of its points may leave, and to a mounted file system. */

#include "block-log.h"

typedef struct LoggedEntry {
        LogEntry entry;
        const uint8_t *data;
} LoggedEntry;

typedef struct BlockLog {
        LoggedEntry *entries;
        size_t n;
        void *map;
        size_t size;
} BlockLog;

int block_log_read(const char *path, BlockLog *ret) _must_check_;
void block_log_done(BlockLog *log);

/* What becomes of that which was written and not flushed. */
typedef enum Fate {
        FATE_ALL,    /* all stays */
        FATE_NONE,   /* nothing does */
        FATE_PREFIX, /* what came first stays, the last of it torn */
        FATE_HALF,   /* any half of the blocks does */
        FATE_MOST,   /* all blocks but a few do */
        _FATE_MAX,
} Fate;

/* A disk on the way through the log. */
typedef struct Medium {
        uint32_t disk;
        uint8_t *durable;
        size_t size;
        uint32_t *blocks; /* those that are ever not zero */
        size_t n_blocks;
        const LoggedEntry **cached; /* writes since the last flush */
        size_t n_cached;
        int image_fd;
        uint8_t *image;
        char path[128]; /* where it is mounted */
        bool mounted;
} Medium;

int medium_init(Medium *medium, uint32_t disk, const char *base, const BlockLog *log,
                const char *path) _must_check_;
void medium_done(Medium *medium);
void medium_advance(Medium *medium, const LoggedEntry *entry);
/* Makes the image. Returns how many blocks were lost. */
uint64_t medium_crash(Medium *medium, Fate fate, uint64_t (*draw)(uint64_t n));
/* Writes the image, not mounted since it was made, to a file: a base for what follows the crash. */
int medium_save(const Medium *medium, const char *path) _must_check_;
int medium_mount(Medium *medium, const char *type) _must_check_;
int medium_unmount(Medium *medium) _must_check_;
