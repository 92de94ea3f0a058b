/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A machine's SimDisk as one process sees it: calls come back short or interrupted, writes fail, the process
 * dies between two of them; and the seeded bugs, as far as they are mistakes in using a disk. Those that are
 * mistakes around jobs and acks stand between the shipping objects, put there by the linker (--wrap).
 */

#include "sim.h"
#include "runtime/intake.h"
#include "store/store.h"

#undef NDEBUG
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>

#define HANDLES_MAX 128

typedef struct FaultyDisk {
        Disk disk;
        Disk *inner;
        Process *process;
        bool late[HANDLES_MAX]; /* synced with the next one (BUG_ACK_BEFORE_SYNC) */
} FaultyDisk;

static FaultyDisk *faulty_of(Disk *disk)
{
        return container_of(disk, FaultyDisk, disk);
}

/* Before a call that changes something. Returns 0, or -EIO: it does not happen, its process is dead. */
static int gate(FaultyDisk *faulty)
{
        Process *process = faulty->process;

        if (sim_process_is_gone(process))
                return -EIO;
        if (process->kill_call == 0 || --process->kill_call > 0)
                return 0;
        sim_trace("dies at a call of its disk");
        process->condemned = true;
        return sim_chance(50) ? 0 : -EIO;
}

static int faulty_open(Disk *disk, const char *name, int flags)
{
        FaultyDisk *faulty = faulty_of(disk);
        int r = flags & O_CREAT ? gate(faulty) : 0;

        return r < 0 ? r : faulty->inner->open(faulty->inner, name, flags);
}

static void sync_late(FaultyDisk *faulty, int handle)
{
        if (faulty->late[handle] && !sim_process_is_gone(faulty->process))
                (void) faulty->inner->sync(faulty->inner, handle);
        faulty->late[handle] = false;
}

static void faulty_close(Disk *disk, int handle)
{
        FaultyDisk *faulty = faulty_of(disk);

        sync_late(faulty, handle);
        faulty->inner->close(faulty->inner, handle);
}

static ssize_t faulty_read(Disk *disk, int handle, void *data, size_t size, uint64_t offset)
{
        Disk *inner = faulty_of(disk)->inner;

        return inner->read(inner, handle, data, sim_chance(2) ? 1 + sim_below(size) : size, offset);
}

static ssize_t faulty_write(Disk *disk, int handle, const struct iovec *parts, int n_parts, uint64_t offset)
{
        FaultyDisk *faulty = faulty_of(disk);
        struct iovec part = parts[0];
        bool fails;
        int r = gate(faulty);

        assert(n_parts == 1);
        if (r < 0)
                return r;
        if (sim_chance(1))
                return -EINTR;
        fails = faulty->process->fail_write > 0 && --faulty->process->fail_write == 0;
        if ((fails || sim_chance(2)) && part.iov_len > 0)
                part.iov_len = fails ? sim_below(part.iov_len) : 1 + sim_below(part.iov_len);
        if (fails && part.iov_len == 0)
                return -EIO;
        if (fails)
                sim_trace("a write fails");
        if (!fails)
                return faulty->inner->write(faulty->inner, handle, &part, 1, offset);
        (void) faulty->inner->write(faulty->inner, handle, &part, 1, offset);
        return -EIO;
}

static int faulty_size(Disk *disk, int handle, uint64_t *ret_size)
{
        Disk *inner = faulty_of(disk)->inner;

        return inner->size(inner, handle, ret_size);
}

static int faulty_truncate(Disk *disk, int handle, uint64_t size)
{
        FaultyDisk *faulty = faulty_of(disk);
        int r = gate(faulty);

        if (r < 0)
                return r;
        if (sim.options.bug == BUG_TORN_TAIL_NOT_CUT && faulty->process->starting)
                return 0;
        return faulty->inner->truncate(faulty->inner, handle, size);
}

static int faulty_allocate(Disk *disk, int handle, uint64_t offset, uint64_t size)
{
        FaultyDisk *faulty = faulty_of(disk);

        if (sim_process_is_gone(faulty->process))
                return -EIO;
        return faulty->inner->allocate(faulty->inner, handle, offset, size);
}

static int faulty_sync(Disk *disk, int handle)
{
        FaultyDisk *faulty = faulty_of(disk);
        int r = gate(faulty);

        if (r < 0)
                return r;
        if (sim.options.bug == BUG_ACK_BEFORE_SYNC) {
                sync_late(faulty, handle);
                faulty->late[handle] = true;
                return 0;
        }
        r = faulty->inner->sync(faulty->inner, handle);
        if (r < 0)
                sim_trace("a sync fails");
        if (r < 0 && sim.options.bug == BUG_RETRY_AFTER_EIO)
                r = faulty->inner->sync(faulty->inner, handle);
        return r;
}

static int faulty_sync_directory(Disk *disk)
{
        FaultyDisk *faulty = faulty_of(disk);
        int r = gate(faulty);

        if (r < 0 || sim.options.bug == BUG_NO_DIRECTORY_SYNC)
                return r;
        return faulty->inner->sync_directory(faulty->inner);
}

static int faulty_rename(Disk *disk, const char *from, const char *to)
{
        FaultyDisk *faulty = faulty_of(disk);
        int r = gate(faulty);

        return r < 0 ? r : faulty->inner->rename(faulty->inner, from, to);
}

static int faulty_unlink(Disk *disk, const char *name)
{
        FaultyDisk *faulty = faulty_of(disk);
        int r = gate(faulty);

        return r < 0 ? r : faulty->inner->unlink(faulty->inner, name);
}

static int faulty_make_directory(Disk *disk, const char *name)
{
        FaultyDisk *faulty = faulty_of(disk);
        int r = gate(faulty);

        return r < 0 ? r : faulty->inner->make_directory(faulty->inner, name);
}

static int faulty_remove_directory(Disk *disk, const char *name)
{
        FaultyDisk *faulty = faulty_of(disk);
        int r = gate(faulty);

        return r < 0 ? r : faulty->inner->remove_directory(faulty->inner, name);
}

static int faulty_link(Disk *disk, const char *target, const char *name)
{
        FaultyDisk *faulty = faulty_of(disk);
        int r = gate(faulty);

        return r < 0 ? r : faulty->inner->link(faulty->inner, target, name);
}

static int faulty_read_link(Disk *disk, const char *name, char *ret_target, size_t size)
{
        Disk *inner = faulty_of(disk)->inner;

        return inner->read_link(inner, name, ret_target, size);
}

static int faulty_list(Disk *disk, const char *name, int (*found)(const char *entry, void *userdata),
                       void *userdata)
{
        Disk *inner = faulty_of(disk)->inner;

        return inner->list(inner, name, found, userdata);
}

static int faulty_space(Disk *disk, DiskSpace *ret)
{
        Disk *inner = faulty_of(disk)->inner;

        return inner->space(inner, ret);
}

static int faulty_lock(Disk *disk)
{
        Disk *inner = faulty_of(disk)->inner;

        return inner->lock(inner);
}

static void faulty_free(Disk *disk)
{
        (void) disk_free(faulty_of(disk)->inner);
        free(faulty_of(disk));
}

Disk *sim_faulty_disk(Process *process)
{
        FaultyDisk *faulty = calloc(1, sizeof *faulty);

        assert(faulty);
        faulty->process = process;
        faulty->inner = sim_disk_attach(process->machine->disk);
        faulty->disk = (Disk){
                .open = faulty_open,
                .close = faulty_close,
                .read = faulty_read,
                .write = faulty_write,
                .size = faulty_size,
                .truncate = faulty_truncate,
                .allocate = faulty_allocate,
                .sync = faulty_sync,
                .sync_directory = faulty_sync_directory,
                .rename = faulty_rename,
                .unlink = faulty_unlink,
                .make_directory = faulty_make_directory,
                .remove_directory = faulty_remove_directory,
                .link = faulty_link,
                .read_link = faulty_read_link,
                .list = faulty_list,
                .space = faulty_space,
                .lock = faulty_lock,
                .free = faulty_free,
        };
        return &faulty->disk;
}

/* --- Between the shipping objects --- */

int __real_store_job_run(const StoreJob *job);
int __wrap_store_job_run(const StoreJob *job);
void __real_intake_commit_end(Intake *intake, int error);
void __wrap_intake_commit_end(Intake *intake, int error);

int __wrap_store_job_run(const StoreJob *job)
{
        StoreJob cut = *job;

        if (sim.options.bug == BUG_UNSYNCED_ROTATION && job->n_handles == 4) {
                memcpy(cut.handles, job->handles + 2, 2 * sizeof job->handles[0]);
                cut.n_handles = 2;
        }
        return __real_store_job_run(&cut);
}

void __wrap_intake_commit_end(Intake *intake, int error)
{
        if (sim.options.bug != BUG_LOST_STEP_BACK || error == 0) {
                __real_intake_commit_end(intake, error);
                return;
        }
        __real_intake_commit_end(intake, 0);
        intake_retry(intake);
}
