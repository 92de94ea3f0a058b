/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A disk in memory that keeps no promise POSIX does not make. At a power cut any subset of the 512-byte
 * sectors that were not synced survives, whole or torn, sizes and directory entries likewise; a failed sync
 * drops what was dirty while reads still show it, and the next sync succeeds.
 *
 * One SimDisk is the medium; sim_disk_attach() gives a process its Disk on it. Everything random comes from
 * the seed.
 */

#include "store/disk.h"

typedef struct SimDisk SimDisk;

SimDisk *sim_disk_new(uint64_t seed);
SimDisk *sim_disk_free(SimDisk *sim);
DEFINE_CLEANUP(SimDisk *, sim_disk_free)

/* What a snapshot of the running machine holds, or a backup of its disk: as after a power cut now. Further
 * chance comes from its own seed. */
SimDisk *sim_disk_copy(const SimDisk *sim, uint64_t seed);
/* Everything reaches the medium: it is unmounted. */
void sim_disk_settle(SimDisk *sim);

/* A process comes. Freed by disk_free(), after which handles and lock are gone and the cache stays: a
 * kill. */
Disk *sim_disk_attach(SimDisk *sim);

/* Bytes all files may have allocated. */
void sim_disk_set_capacity(SimDisk *sim, uint64_t bytes);

/* The nth call from now that changes anything (1: the next) is interrupted by a power cut: it happens in
 * part or not at all, and every call from then on fails. 0: none. */
void sim_disk_cut_at(SimDisk *sim, uint64_t n);
bool sim_disk_is_cut(const SimDisk *sim);

/* Power comes back: what survived is what is there. */
void sim_disk_power_cycle(SimDisk *sim);

/* The nth sync of a file from now fails with EIO. 0: none. */
void sim_disk_fail_sync_at(SimDisk *sim, uint64_t n);

/* Reads show what is on the medium from now on. */
void sim_disk_drop_caches(SimDisk *sim);

/* Calls so far that changed something. */
uint64_t sim_disk_calls(const SimDisk *sim);

/* Puts a file there, durable (a test's input); or flips the bits of `mask` in one byte of it, as a bad
 * medium does. */
void sim_disk_put(SimDisk *sim, const char *name, const void *data, size_t size);
bool sim_disk_flip(SimDisk *sim, const char *name, uint64_t offset, uint8_t mask);
/* The bytes of a file as a reader sees them; NULL: there is none. */
const uint8_t *sim_disk_bytes(const SimDisk *sim, const char *name, uint64_t *ret_size);
/* The i-th file that a power cut now would leave at least, with its bytes on the medium; NULL: there is
 * none. */
const uint8_t *sim_disk_synced(const SimDisk *sim, size_t i, const char **ret_name, uint64_t *ret_size);
