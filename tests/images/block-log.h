/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the two disks under test were asked to do, and what the stores on them promised, in the one order in
 * which it happened: entries of this size, a write's bytes behind its own. Written by log-disk, read by
 * check.
 */

#include "basic/macro.h"

/* The sender's disk and the collector's. */
enum {
        DISK_SENDER,
        DISK_COLLECTOR,
        _DISK_MAX,
};

typedef enum LogKind {
        LOG_WRITE = 1, /* of `size` bytes at `value` */
        LOG_FLUSH = 2, /* all written before stays */
        LOG_ACK = 3, /* the store on this disk is about to say: all up to record `value` are in my custody */
} LogKind;

typedef struct LogEntry {
        uint32_t kind;
        uint32_t disk;
        uint64_t value;
        uint32_t size;
        uint32_t zero;
} LogEntry;

/* What a disk writes whole or not at all. Not BLOCK_SIZE, which <sys/mount.h> sets to something else. */
#define LOG_BLOCK_SIZE 4096U

/* What the workload writes to log-disk's file "acks". */
typedef struct AckMessage {
        uint32_t disk;
        uint32_t zero;
        uint64_t seq;
} AckMessage;
