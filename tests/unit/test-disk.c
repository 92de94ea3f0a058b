/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The real disk's calls do what the table says, and the simulated disk agrees with it in all that the store
 * relies on. */

#include "check-main.h"
#include "sim-disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static char directory[64];
static SimDisk *sim;
static Disk *disk;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

static void open_real(void)
{
        strcpy(directory, "/tmp/test-disk-XXXXXX");
        ck_assert(mkdtemp(directory));
        ck_assert_int_eq(disk_open(directory, &disk), 0);
}

static void close_real(void)
{
        disk = disk_free(disk);
        (void) nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void open_sim(void)
{
        sim = sim_disk_new(1);
        disk = sim_disk_attach(sim);
}

static void close_sim(void)
{
        disk = disk_free(disk);
        sim = sim_disk_free(sim);
}

static ssize_t write_at(int handle, const char *text, uint64_t offset)
{
        struct iovec part = { (void *) (uintptr_t) text, strlen(text) };

        return disk->write(disk, handle, &part, 1, offset);
}

START_TEST(files_are_written_read_and_cut)
{
        char bytes[16];
        uint64_t size;
        int handle;

        ck_assert_int_eq(disk->open(disk, "a", O_RDONLY), -ENOENT);
        handle = disk->open(disk, "a", O_RDWR | O_CREAT | O_EXCL);
        ck_assert_int_ge(handle, 0);
        ck_assert_int_eq(disk->open(disk, "a", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
        ck_assert_int_eq(disk->allocate(disk, handle, 0, 8192), 0);
        ck_assert_int_eq(disk->size(disk, handle, &size), 0);
        ck_assert_uint_eq(size, 0);
        ck_assert_int_eq(write_at(handle, "hello", 0), 5);
        ck_assert_int_eq(write_at(handle, "!", 5), 1);
        ck_assert_int_eq(disk->read(disk, handle, bytes, sizeof bytes, 1), 5);
        ck_assert_mem_eq(bytes, "ello!", 5);
        ck_assert_int_eq(disk->read(disk, handle, bytes, sizeof bytes, 6), 0);
        ck_assert_int_eq(disk->sync(disk, handle), 0);
        ck_assert_int_eq(disk->truncate(disk, handle, 2), 0);
        ck_assert_int_eq(disk->size(disk, handle, &size), 0);
        ck_assert_uint_eq(size, 2);
        disk->close(disk, handle);
        ck_assert_int_eq(disk->sync_directory(disk), 0);
}
END_TEST

static int count(const char *entry, void *userdata)
{
        (*(unsigned *) userdata)++;
        return 0;
}

START_TEST(names_come_and_go)
{
        char target[16];
        unsigned n = 0;
        int handle;

        handle = disk->open(disk, "a", O_RDWR | O_CREAT);
        ck_assert_int_eq(write_at(handle, "a", 0), 1);
        disk->close(disk, handle);
        handle = disk->open(disk, "b", O_RDWR | O_CREAT);
        disk->close(disk, handle);
        ck_assert_int_eq(disk->rename(disk, "a", "b"), 0);
        ck_assert_int_eq(disk->open(disk, "a", O_RDONLY), -ENOENT);
        ck_assert_int_eq(disk->unlink(disk, "a"), -ENOENT);
        ck_assert_int_eq(disk->make_directory(disk, "d"), 0);
        ck_assert_int_eq(disk->make_directory(disk, "d"), -EEXIST);
        ck_assert_int_eq(disk->link(disk, "../b", "d/x"), 0);
        ck_assert_int_eq(disk->link(disk, "../c", "d/x"), 0);
        ck_assert_int_eq(disk->link(disk, "d", "l"), 0);
        ck_assert_int_eq(disk->read_link(disk, "l/x", target, sizeof target), 0);
        ck_assert_str_eq(target, "../c");
        ck_assert_int_eq(disk->read_link(disk, "l/y", target, sizeof target), -ENOENT);
        ck_assert_int_lt(disk->open(disk, "l", O_RDONLY), 0);
        ck_assert_int_eq(disk->list(disk, ".", count, &n), 0);
        ck_assert_uint_eq(n, 3);
        n = 0;
        ck_assert_int_eq(disk->list(disk, "d", count, &n), 0);
        ck_assert_uint_eq(n, 1);
        ck_assert_int_eq(disk->unlink(disk, "d/x"), 0);
        ck_assert_int_eq(disk->remove_directory(disk, "d"), 0);
        ck_assert_int_eq(disk->unlink(disk, "l"), 0);
        ck_assert_int_eq(disk->unlink(disk, "b"), 0);
        n = 0;
        ck_assert_int_eq(disk->list(disk, ".", count, &n), 0);
        ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(space_is_told)
{
        DiskSpace space;

        ck_assert_int_eq(disk->space(disk, &space), 0);
        ck_assert_uint_gt(space.bytes_total, 0);
        ck_assert_uint_le(space.bytes_free, space.bytes_total);
}
END_TEST

START_TEST(one_process_has_the_directory)
{
        Disk *second;

        ck_assert_int_eq(disk->lock(disk), 0);
        ck_assert_int_eq(disk_open(directory, &second), 0);
        ck_assert_int_eq(second->lock(second), -EBUSY);
        disk = disk_free(disk);
        ck_assert_int_eq(second->lock(second), 0);
        (void) disk_free(second);
        ck_assert_int_eq(disk_open("/nonexistent/directory", &second), -ENOENT);
}
END_TEST

/* --- What the system says is passed on --- */

static bool system_fails;

#define REFUSED(type, name, parameters, arguments, failure)                      \
        type __real_##name parameters;                                           \
        type __wrap_##name parameters;                                           \
        type __wrap_##name parameters                                            \
        {                                                                        \
                errno = ENOLCK;                                                  \
                return system_fails ? (failure) : __real_##name arguments;       \
        }

REFUSED(int, flock, (int fd, int how), (fd, how), -1)
REFUSED(int, fstatvfs64, (int fd, struct statvfs *st), (fd, st), -1)
REFUSED(DIR *, fdopendir, (int fd), (fd), NULL)

static int stop(const char *entry, void *userdata)
{
        return -ECANCELED;
}

START_TEST(errors_are_the_systems)
{
        char text[300], target[4];
        DiskSpace space;
        uint64_t size;
        int handle;

        handle = disk->open(disk, "a", O_WRONLY | O_CREAT);
        ck_assert_int_eq(disk->read(disk, handle, text, 1, 0), -EBADF);
        disk->close(disk, handle);
        handle = disk->open(disk, "a", O_RDONLY);
        ck_assert_int_eq(write_at(handle, "x", 0), -EBADF);
        disk->close(disk, handle);
        ck_assert_int_eq(disk->size(disk, -EBADF, &size), -EBADF);
        ck_assert_int_eq(disk->make_directory(disk, "l.new"), 0);
        handle = disk->open(disk, "l.new", O_RDONLY | O_DIRECTORY);
        ck_assert_int_eq(disk->size(disk, handle, &size), -EBADF);
        disk->close(disk, handle);
        (void) snprintf(text, sizeof text, "%s/fifo", directory);
        ck_assert_int_eq(mkfifo(text, 0600), 0); /* nobody waits for its other end */
        handle = disk->open(disk, "fifo", O_RDONLY);
        ck_assert_int_eq(disk->size(disk, handle, &size), -EBADF);
        ck_assert_int_eq(disk->read(disk, handle, text, 1, 0), -ESPIPE);
        disk->close(disk, handle);
        ck_assert_int_eq(disk->link(disk, "target", "l"), 0);
        ck_assert_int_lt(disk->link(disk, "other", "l"), 0); /* its place beside is taken */
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        ck_assert_int_eq(disk->link(disk, "target", text), -ENAMETOOLONG);
        text[NAME_MAX] = '\0';
        ck_assert_int_eq(disk->link(disk, "target", text), 0);
        ck_assert_int_eq(disk->link(disk, "other", text), -ENAMETOOLONG); /* so is one beside */
        ck_assert_int_eq(disk->link(disk, "", "m"), -ENOENT);
        ck_assert_int_eq(disk->link(disk, "target", "m"), 0);
        ck_assert_int_eq(disk->read_link(disk, "m", target, sizeof target), -ENAMETOOLONG);
        ck_assert_int_eq(disk->list(disk, "nowhere", stop, NULL), -ENOENT);
        ck_assert_int_eq(disk->list(disk, ".", stop, NULL), -ECANCELED);
        system_fails = true;
        ck_assert_int_eq(disk->lock(disk), -ENOLCK);
        ck_assert_int_eq(disk->space(disk, &space), -ENOLCK);
        ck_assert_int_eq(disk->list(disk, ".", stop, NULL), -ENOLCK);
        system_fails = false;
}
END_TEST

START_TEST(a_failed_sync_drops_what_was_dirty)
{
        uint64_t size;
        int handle;

        handle = disk->open(disk, "a", O_RDWR | O_CREAT);
        ck_assert_int_eq(write_at(handle, "old", 0), 3);
        ck_assert_int_eq(disk->sync(disk, handle), 0);
        ck_assert_int_eq(disk->sync_directory(disk), 0);
        ck_assert_int_eq(write_at(handle, "new", 0), 3);
        sim_disk_fail_sync_at(sim, 1);
        ck_assert_int_eq(disk->sync(disk, handle), -EIO);
        ck_assert_int_eq(disk->sync(disk, handle), 0);
        ck_assert_mem_eq(sim_disk_bytes(sim, "a", &size), "new", 3);
        sim_disk_drop_caches(sim);
        ck_assert_mem_eq(sim_disk_bytes(sim, "a", &size), "old", 3);
        disk->close(disk, handle);
}
END_TEST

START_TEST(what_is_not_synced_may_be_gone)
{
        unsigned gone = 0, there = 0;
        char letter[] = "x";
        uint64_t size;
        int handle;

        for (uint64_t seed = 1; seed <= 64; seed++) {
                SimDisk *s = sim_disk_new(seed);
                Disk *d = sim_disk_attach(s);

                handle = d->open(d, "a", O_RDWR | O_CREAT);
                ck_assert_int_eq(d->write(d, handle, &(struct iovec) { letter, 1 }, 1, 0), 1);
                if (seed % 2) {
                        ck_assert_int_eq(d->sync(d, handle), 0);
                        ck_assert_int_eq(d->sync_directory(d), 0);
                }
                (void) disk_free(d);
                sim_disk_power_cycle(s);
                if (!sim_disk_bytes(s, "a", &size) || size == 0)
                        gone++;
                else
                        there++;
                ck_assert(seed % 2 == 0 || (sim_disk_bytes(s, "a", &size) && size == 1));
                (void) sim_disk_free(s);
        }
        ck_assert_uint_gt(gone, 4);
        ck_assert_uint_gt(there, 32);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("disk");
        TCase *real = tcase_create("real"), *simulated = tcase_create("simulated");

        tcase_add_checked_fixture(real, open_real, close_real);
        tcase_add_test(real, files_are_written_read_and_cut);
        tcase_add_test(real, names_come_and_go);
        tcase_add_test(real, space_is_told);
        tcase_add_test(real, one_process_has_the_directory);
        tcase_add_test(real, errors_are_the_systems);
        suite_add_tcase(suite, real);
        tcase_add_checked_fixture(simulated, open_sim, close_sim);
        tcase_add_test(simulated, files_are_written_read_and_cut);
        tcase_add_test(simulated, names_come_and_go);
        tcase_add_test(simulated, space_is_told);
        tcase_add_test(simulated, a_failed_sync_drops_what_was_dirty);
        tcase_add_test(simulated, what_is_not_synced_may_be_gone);
        suite_add_tcase(suite, simulated);
        return check_main(suite);
}
