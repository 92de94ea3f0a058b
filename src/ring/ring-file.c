/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Opening: take the file for this process alone, verify it, or make one.
 *
 *  1. The file appears under its name complete: made as PATH.new, renamed.
 *  2. Who makes PATH holds the lock of PATH.new, and who uses it the file's own: the same open file, by inode.
 *  3. Every byte of it is allocated before it is mapped: a tmpfs that is full says so here, not by SIGBUS later.
 *  4. A file that contradicts itself anywhere is not repaired but set aside whole, as PATH.damaged.
 *  5. Verifying reads only what its sizes allow and ends: each step goes forward.
 */

#include "ring/ring-internal.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Opens and locks the file of that name; *ret_size is its size. Somebody may rename between open and lock: try again. */
static int lock_file(const char *path, int flags, uint64_t *ret_size)
{
        for (unsigned attempt = 0; attempt < 10; attempt++) {
                _cleanup_(close_fdp) int fd = open(path, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
                struct stat ours, named;

                if (fd < 0 || fstat(fd, &ours) < 0)
                        return -errno;
                if (!S_ISREG(ours.st_mode))
                        return -EINVAL;
                if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                        return errno == EWOULDBLOCK ? -EBUSY : -errno;
                if (stat(path, &named) == 0 && named.st_dev == ours.st_dev && named.st_ino == ours.st_ino) {
                        *ret_size = (uint64_t) ours.st_size;
                        return TAKE_FD(fd);
                }
        }
        return -EBUSY;
}

static int allocate(int fd, uint64_t size)
{
        int r;

        do
                r = posix_fallocate(fd, 0, (off_t) size);
        while (r == EINTR);
        return -r;
}

/* Maps the whole file, every page present. Takes fd over on success. */
static int map_file(Ring *ring, int fd, uint64_t size)
{
        void *memory;
        int r = allocate(fd, size);

        if (r < 0)
                return r;
        memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
        if (memory == MAP_FAILED)
                return -errno;
        ring->file = memory;
        ring->area = (uint8_t *) memory + sizeof(RingFile);
        ring->size = size - sizeof(RingFile);
        ring->fd = fd;
        /* A fault while the kernel writes a message would lose it. Where the limit forbids it, being populated must do. */
        (void) mlock(&ring->file->landing, sizeof ring->file->landing);
        return 0;
}

static void unmap_file(Ring *ring)
{
        if (ring->file)
                (void) munmap(ring->file, sizeof(RingFile) + ring->size);
        ring->file = NULL;
        ring->fd = close_fd(ring->fd);
}

/* --- Verifying; each returns NULL or what is wrong --- */

static uint64_t header_checksum(const RingHeader *header)
{
        return checksum64(header, offsetof(RingHeader, checksum));
}

static const char *verify_header(const RingHeader *header, uint64_t size)
{
        if (header->magic != RING_MAGIC)
                return "not a ring";
        if (header->version != RING_FORMAT_VERSION || header->landing_max != RING_LANDING_MAX ||
            header->state_size != sizeof(RingState) || header->landing_size != sizeof(RingLanding))
                return "another format version";
        if (header->checksum != header_checksum(header))
                return "header damaged";
        if (header->area_size < RING_SIZE_MIN || header->area_size % RING_PAGE != 0 ||
            header->area_size != size - sizeof(RingFile))
                return "wrong size";
        if (strnlen(header->node, NODE_NAME_MAX + 1) > NODE_NAME_MAX || stream_id_is_null(&header->stream))
                return "header damaged";
        return NULL;
}

/* Walks all entries; sets ring->oldest. */
static const char *verify_entries(Ring *ring)
{
        uint64_t published = ring_word(&ring->file->words.published), head = ring_head(ring), end = ring_end(ring);
        uint64_t newest = ring_published(ring)->newest, last = newest, next;
        Batch batch;
        int r;

        /* No ring lives long enough for numbers that could overflow below. */
        if ((published & 7) > 1 || head % 8 != 0 || head > end || end - head > ring->size || end > INT64_MAX ||
            newest > INT64_MAX)
                return "words damaged";
        ring->oldest = newest + 1;
        for (uint64_t position = head; (r = ring_entry(ring, position, &batch, &next)) > 0; position = next) {
                if (position == head)
                        ring->oldest = batch.first;
                else if (batch.first != last + 1)
                        return "batches damaged";
                if (batch.reason != BATCH_RECORDS || batch_is_heartbeat(&batch))
                        return "batches damaged";
                last = batch.last;
        }
        return r < 0 || last != newest ? "batches damaged" : NULL;
}

static const char *verify_tables(const Ring *ring)
{
        const RingState *state = ring_published(ring);

        for (size_t i = 0; i < RING_KEPT_MAX; i++) {
                const RingKept *row = &ring->file->words.kept[i];

                if (ring_word(&row->used) > RING_REMEMBERS || ring_word(&row->turn) > 1)
                        return "subscribers damaged";
                if (ring_word(&row->used) && (strnlen(row->name, NODE_NAME_MAX + 1) > NODE_NAME_MAX ||
                                              ring_kept_seq(row) > state->newest))
                        return "subscribers damaged";
        }
        return state->n_dropped_types > RING_DROPPED_TYPES_MAX ? "state damaged" : NULL;
}

/* --- Opening --- */

/* The file is there, locked. Returns 0, or 1 when it is damaged (ring->set_aside says how). */
static int load_file(Ring *ring, int fd, uint64_t size)
{
        RingHeader header;
        ssize_t n;
        int r;

        if (size <= sizeof(RingFile)) {
                ring->set_aside = "too short";
                return 1;
        }
        n = pread(fd, &header, sizeof header, 0);
        /* An error is no damage: the next process may read it. */
        if (n != (ssize_t) sizeof header)
                return n < 0 ? -errno : -EIO;
        ring->set_aside = verify_header(&header, size);
        if (ring->set_aside)
                return 1;
        r = map_file(ring, fd, size);
        if (r < 0)
                return r;
        ring->set_aside = verify_entries(ring);
        if (!ring->set_aside)
                ring->set_aside = verify_tables(ring);
        if (!ring->set_aside)
                return 0;
        ring->fd = -EBADF; /* still the caller's */
        unmap_file(ring);
        return 1;
}

static void write_header(RingFile *file, const RingOptions *options, uint64_t area_size)
{
        file->header = (RingHeader) {
                .magic = RING_MAGIC,
                .version = RING_FORMAT_VERSION,
                .landing_max = RING_LANDING_MAX,
                .state_size = sizeof(RingState),
                .landing_size = sizeof(RingLanding),
                .area_size = area_size,
                .stream = options->stream,
        };
        memcpy(file->header.node, options->node, strlen(options->node));
        file->header.checksum = header_checksum(&file->header);
}

/* Makes the file. Returns 1; 0 when another process was faster. */
static int create_file(Ring *ring, const RingOptions *options)
{
        uint64_t area_size = ALIGN_UP(MAX(options->size, (uint64_t) RING_SIZE_MIN), RING_PAGE), unused;
        _cleanup_(close_fdp) int fd = -EBADF;
        char temporary[PATH_MAX];
        struct stat st;
        int r;

        if (strlen(options->node) > NODE_NAME_MAX || stream_id_is_null(&options->stream) ||
            area_size > INT64_MAX - sizeof(RingFile))
                return -EINVAL;
        if ((size_t) snprintf(temporary, sizeof temporary, "%s.new", options->path) >= sizeof temporary)
                return -ENAMETOOLONG;
        fd = lock_file(temporary, O_CREAT, &unused);
        if (fd < 0)
                return fd;
        if (stat(options->path, &st) == 0 && st.st_size > 0) {
                (void) unlink(temporary);
                return 0;
        }
        r = ftruncate(fd, 0) < 0 ? -errno : map_file(ring, fd, sizeof(RingFile) + area_size);
        if (r < 0) {
                (void) unlink(temporary);
                return r;
        }
        (void) TAKE_FD(fd);
        write_header(ring->file, options, area_size);
        STEP();
        if (rename(temporary, options->path) < 0) {
                r = -errno;
                (void) unlink(temporary);
                return r;
        }
        ring->oldest = 1;
        return 1;
}

/* Returns 1 when the file was made, 0 when it was there, -EAGAIN when another process made it meanwhile. */
static int open_or_create(Ring *ring, const RingOptions *options)
{
        _cleanup_(close_fdp) int fd = -EBADF;
        char aside[PATH_MAX];
        uint64_t size;
        int r;

        fd = lock_file(options->path, 0, &size);
        if (fd < 0 && fd != -ENOENT)
                return fd;
        if (fd >= 0 && size > 0) {
                r = load_file(ring, fd, size);
                if (r == 0)
                        (void) TAKE_FD(fd);
                if (r <= 0)
                        return r;
                if ((size_t) snprintf(aside, sizeof aside, "%s.damaged", options->path) >= sizeof aside)
                        return -ENAMETOOLONG;
                if (rename(options->path, aside) < 0)
                        return -errno;
        }
        r = create_file(ring, options);
        return r == 0 ? -EAGAIN : r;
}

int ring_open(const RingOptions *options, Ring **ret_ring, bool *ret_created)
{
        _cleanup_(ring_freep) Ring *ring = NULL;
        int r;

        ring = calloc(1, sizeof *ring);
        if (!ring)
                return -ENOMEM;
        ring->fd = -EBADF;
        LIST_INIT(&ring->sources);
        ring_sink_init(ring);
        r = open_or_create(ring, options);
        if (r == -EAGAIN)
                r = open_or_create(ring, options);
        if (r < 0)
                return r;
        /* The copy that the last process was changing is worth nothing. */
        *ring_state(ring) = *ring_published(ring);
        ring->pending = ring_end(ring);
        ring_advance_held(ring);
        MARK_IF(ring_landed(ring) > 0, "ring.landed");
        *ret_created = r > 0;
        *ret_ring = TAKE_PTR(ring);
        return 0;
}

Ring *ring_free(Ring *ring)
{
        RingSource *source;

        if (!ring)
                return NULL;
        while ((source = LIST_FIRST(&ring->sources)) != NULL) {
                LIST_REMOVE(source, sources);
                free(source);
        }
        unmap_file(ring);
        free(ring);
        return NULL;
}
