/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Power cuts, kills and failing syncs at random calls of a random workload, over a disk that keeps only
 * what POSIX promises (tests/lib/sim-disk.h); the recovery that follows is cut, too. What must hold then is
 * in tests/lib/store-world.c.
 *
 * Five bugs, put between store and disk, must each be caught by this, or the test proves nothing.
 */

#include "check-main.h"
#include "mark.h"
#include "store-world.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OPERATIONS 60U
#define LIVES 4U

typedef enum Bug {
        BUG_NONE,
        BUG_ACK_BEFORE_SYNC,
        BUG_NO_DIRECTORY_SYNC,
        BUG_UNSYNCED_ROTATION,
        BUG_RETRY_AFTER_EIO,
        BUG_TAIL_NOT_CUT,
        _BUG_MAX,
} Bug;

/* --- The bugs: a disk in front of the disk --- */

typedef struct BuggyDisk {
        Disk disk;
        Disk *inner;
        Bug bug;
} BuggyDisk;

static int buggy_sync(Disk *disk, int handle)
{
        BuggyDisk *buggy = container_of(disk, BuggyDisk, disk);
        int r;

        if (buggy->bug == BUG_ACK_BEFORE_SYNC)
                return 0;
        r = buggy->inner->sync(buggy->inner, handle);
        if (r == -EIO && buggy->bug == BUG_RETRY_AFTER_EIO)
                r = buggy->inner->sync(buggy->inner, handle);
        return r;
}

static int buggy_sync_directory(Disk *disk)
{
        BuggyDisk *buggy = container_of(disk, BuggyDisk, disk);

        return buggy->bug == BUG_NO_DIRECTORY_SYNC ? 0 : buggy->inner->sync_directory(buggy->inner);
}

static int buggy_truncate(Disk *disk, int handle, uint64_t size)
{
        BuggyDisk *buggy = container_of(disk, BuggyDisk, disk);

        return buggy->bug == BUG_TAIL_NOT_CUT ? 0 : buggy->inner->truncate(buggy->inner, handle, size);
}

#define PASS(type, call, parameters, arguments)                                  \
        static type buggy_##call parameters                                      \
        {                                                                        \
                Disk *inner = container_of(disk, BuggyDisk, disk)->inner;        \
                                                                                 \
                return inner->call arguments;                                    \
        }
PASS(int, open, (Disk *disk, const char *name, int flags), (inner, name, flags))
PASS(ssize_t, read, (Disk * disk, int handle, void *data, size_t n, uint64_t at),
     (inner, handle, data, n, at))
PASS(ssize_t, write, (Disk * disk, int handle, const struct iovec *v, int n, uint64_t at),
     (inner, handle, v, n, at))
PASS(int, size, (Disk *disk, int handle, uint64_t *ret), (inner, handle, ret))
PASS(int, allocate, (Disk *disk, int handle, uint64_t at, uint64_t n), (inner, handle, at, n))
PASS(int, rename, (Disk *disk, const char *from, const char *to), (inner, from, to))
PASS(int, unlink, (Disk *disk, const char *name), (inner, name))
PASS(int, list, (Disk *disk, const char *name, int (*f)(const char *, void *), void *u), (inner, name, f, u))
PASS(int, space, (Disk *disk, DiskSpace *ret), (inner, ret))
PASS(int, lock, (Disk *disk), (inner))

static void buggy_close(Disk *disk, int handle)
{
        Disk *inner = container_of(disk, BuggyDisk, disk)->inner;

        inner->close(inner, handle);
}

static void buggy_free(Disk *disk)
{
        BuggyDisk *buggy = container_of(disk, BuggyDisk, disk);

        (void) disk_free(buggy->inner);
        free(buggy);
}

static Disk *buggy_disk(Disk *inner, void *userdata)
{
        BuggyDisk *buggy = calloc(1, sizeof *buggy);

        assert(buggy);
        *buggy = (BuggyDisk) {
                .disk = {
                        .open = buggy_open,
                        .close = buggy_close,
                        .read = buggy_read,
                        .write = buggy_write,
                        .size = buggy_size,
                        .truncate = buggy_truncate,
                        .allocate = buggy_allocate,
                        .sync = buggy_sync,
                        .sync_directory = buggy_sync_directory,
                        .rename = buggy_rename,
                        .unlink = buggy_unlink,
                        .list = buggy_list,
                        .space = buggy_space,
                        .lock = buggy_lock,
                        .free = buggy_free,
                },
                .inner = inner,
                .bug = *(const Bug *) userdata,
        };
        return &buggy->disk;
}

static void buggy_job(StoreJob *job, void *userdata)
{
        if (*(const Bug *) userdata != BUG_UNSYNCED_ROTATION || job->n_handles < 4)
                return;
        job->n_handles = 2;
        memmove(job->handles, job->handles + 2, 2 * sizeof job->handles[0]);
}

/* One seed: several lives of a store, each ended by a power cut at a random call or by a kill. */
static bool run(uint64_t seed, Bug bug, char *ret_failure, uint64_t *cuts)
{
        World *world = world_new(seed);
        bool fine;

        world->front = buggy_disk;
        world->cuts_lasting = true;
        world->spoil = buggy_job;
        world->front_userdata = &bug;
        fine = world_come_back(world, true);
        for (unsigned life = 0; life < LIVES && fine; life++) {
                sim_disk_cut_at(world->sim,
                                world_below(world, 4) ? 1 + world_below(world, 4 * OPERATIONS) : 0);
                for (unsigned i = 0; i < OPERATIONS && !sim_disk_is_cut(world->sim); i++)
                        world_operate(world);
                world_die(world);
                sim_disk_fail_sync_at(world->sim, 0);
                if (sim_disk_is_cut(world->sim) || world_below(world, 2)) {
                        world->cuts++;
                        sim_disk_power_cycle(world->sim);
                }
                sim_disk_cut_at(world->sim, 0);
                fine = world_come_back(world, true);
        }
        strcpy(ret_failure, world->failure);
        *cuts += world->cuts;
        (void) world_free(world);
        return fine;
}

static uint64_t environment(const char *name, uint64_t otherwise)
{
        const char *value = getenv(name);

        return value ? strtoull(value, NULL, 0) : otherwise;
}

#define SEEDS 3000U

/* What a store can get into; so many seeds reach each. */
static const char *const states[] = {"store.begun",     "store.replaced", "store.deleted",
                                     "store.step-back", "store.cut",      "store.taken-back",
                                     "store.packed"};

START_TEST(nothing_acked_is_lost)
{
        uint64_t seed = environment("AUDIT_RELAY_SEED", 1), n = environment("AUDIT_RELAY_SEEDS", SEEDS),
                 cuts = 0;
        struct timespec begin_time, end_time;
        char failure[256];
        double seconds;

        clock_gettime(CLOCK_MONOTONIC, &begin_time);
        for (uint64_t i = seed; i < seed + n; i++)
                ck_assert_msg(run(i, BUG_NONE, failure, &cuts), "AUDIT_RELAY_SEED=%" PRIu64 ": %s", i,
                              failure);
        clock_gettime(CLOCK_MONOTONIC, &end_time);
        seconds = (double) (end_time.tv_sec - begin_time.tv_sec) +
                  (double) (end_time.tv_nsec - begin_time.tv_nsec) / 1e9;
        ck_assert(n < SEEDS || marks_reached("store-crash"));
        printf("# %" PRIu64 " power cuts, %.0f a second\n", cuts, (double) cuts / seconds);
}
END_TEST

START_TEST(seeded_bugs_are_caught)
{
        uint64_t cuts = 0, seed;
        char failure[256];

        for (seed = 1; seed <= SEEDS; seed++)
                if (!run(seed, (Bug) _i, failure, &cuts))
                        break;
        ck_assert_msg(seed <= SEEDS, "bug %d was not caught by %u seeds", _i, SEEDS);
        printf("# bug %d caught by seed %" PRIu64 ": %s\n", _i, seed, failure);
}
END_TEST

/* --- Points: as many as asked for, on several processors --- */

/* Seeds go to the processes in blocks, whose results count in the order of the seeds until there are enough
 * power cuts: so everything printed follows from N and S, however many processes there were. */
#define BLOCK_SEEDS 64U
#define JOBS_MAX 64U

typedef struct Block {
        uint64_t cuts, failed, first_failed;
        uint64_t marks[ELEMENTSOF(states)];
        char failure[256];
} Block;

static void play_block(uint64_t seed, Block *ret)
{
        char failure[256];

        *ret = (Block) { 0 };
        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                ret->marks[i] = -mark_count(states[i]);
        for (uint64_t last = seed + BLOCK_SEEDS; seed < last; seed++)
                if (!run(seed, BUG_NONE, failure, &ret->cuts) && ret->failed++ == 0) {
                        ret->first_failed = seed;
                        strcpy(ret->failure, failure);
                }
        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                ret->marks[i] += mark_count(states[i]);
}

/* The child's end: every `step`-th block, until nobody wants them any more. */
static _Noreturn void play_blocks(int fd, uint64_t seed, uint64_t step)
{
        Block block;

        for (;; seed += step * BLOCK_SEEDS) {
                play_block(seed, &block);
                if (write(fd, &block, sizeof block) != (ssize_t) sizeof block)
                        _exit(EXIT_FAILURE);
        }
}

static int begin_child(uint64_t seed, uint64_t step, pid_t *ret_child)
{
        int fds[2];

        assert(pipe(fds) == 0);
        *ret_child = fork();
        assert(*ret_child >= 0);
        if (*ret_child == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                play_blocks(fds[1], seed, step);
        }
        close(fds[1]);
        return fds[0];
}

/* --points=N [--seed=S] [--jobs=J]: blocks of seeds from S on until there were N power cuts. */
static int run_points(uint64_t points, uint64_t seed, unsigned jobs)
{
        Block sum = { 0 }, block;
        pid_t children[JOBS_MAX];
        int fds[JOBS_MAX];
        uint64_t n = 0;

        printf("# --seed=%" PRIu64 "\n", seed);
        fflush(stdout);
        for (unsigned i = 0; i < jobs; i++)
                fds[i] = begin_child(seed + i * BLOCK_SEEDS, jobs, &children[i]);
        for (; sum.cuts < points; n++) {
                if (read(fds[n % jobs], &block, sizeof block) != (ssize_t) sizeof block) {
                        printf("# FAILED: a process died within --seed=%" PRIu64 " and the %u that follow\n",
                               seed + n * BLOCK_SEEDS, BLOCK_SEEDS - 1);
                        sum.failed++;
                        break;
                }
                sum.cuts += block.cuts;
                sum.failed += block.failed;
                if (block.failed > 0)
                        printf("# FAILED --points=1 --seed=%" PRIu64 ": %s\n", block.first_failed,
                               block.failure);
                for (size_t i = 0; i < ELEMENTSOF(states); i++)
                        sum.marks[i] += block.marks[i];
        }
        for (unsigned i = 0; i < jobs; i++) {
                kill(children[i], SIGKILL);
                close(fds[i]);
                waitpid(children[i], NULL, 0);
        }
        printf("# %" PRIu64 " seeds", n * BLOCK_SEEDS);
        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                printf(", %s %" PRIu64, states[i], sum.marks[i]);
        printf("\npoints %" PRIu64 " failed %" PRIu64 "\n", sum.cuts, sum.failed);
        return sum.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
        uint64_t seed = (uint64_t) time(NULL) << 16; /* so many seeds later is another run's */
        uint64_t points = 0;
        unsigned jobs = 1;
        Suite *suite;
        TCase *tcase;

        for (int i = 1; i < argc; i++) {
                const char *equals = strchr(argv[i], '=');
                uint64_t value = equals ? strtoull(equals + 1, NULL, 10) : 0;

                if (strncmp(argv[i], "--points=", 9) == 0)
                        points = value;
                else if (strncmp(argv[i], "--seed=", 7) == 0)
                        seed = value;
                else if (strncmp(argv[i], "--jobs=", 7) == 0)
                        jobs = (unsigned) MIN(MAX(value, 1U), JOBS_MAX);
        }
        if (points > 0)
                return run_points(points, seed, jobs);
        suite = suite_create("store-crash");
        tcase = tcase_create("store-crash");
        tcase_set_timeout(tcase, 120);
        tcase_add_test(tcase, nothing_acked_is_lost);
        tcase_add_loop_test(tcase, seeded_bugs_are_caught, BUG_NONE + 1, _BUG_MAX);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
