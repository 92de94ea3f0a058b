/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The systemd generator: chooses where audit-relay-client.target gets the kernel's records from.
 *
 * Normally the dispatcher is this host's audit daemon: the unicast socket, and the rules that auditd would have loaded. Where
 * auditd.service is enabled it stays the audit daemon, and in a container the kernel refuses that role to everybody: there the
 * multicast socket gives a copy. The choice is made again at each boot and `systemctl daemon-reload`.
 *
 * Runs before any file system but the root is sure to be there, and its failure must not hurt the boot: it only looks for
 * names, and writes only into the directory it is given.
 */

#include "basic/macro.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define UNIT_DIRECTORY "/usr/lib/systemd/system"
#define TARGET_WANTS "audit-relay-client.target.wants"

/* Where unit files and the links of `systemctl enable` are, of highest precedence first (systemd.unit(5)). */
static const char *const unit_directories[] = {
        "/etc/systemd/system",
        "/run/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
};

/* To stderr: that is where a generator's messages reach the kernel log or the journal from. */
static int complain(const char *what, const char *name)
{
        int error = errno;

        fprintf(stderr, "audit-relay-generator: cannot %s %s: %s\n", what, name, strerror(error));
        return -error;
}

static bool name_ends_with(const char *name, const char *suffix)
{
        size_t n = strlen(name), m = strlen(suffix);

        return n > m && strcmp(name + n - m, suffix) == 0;
}

/* A unit file that is empty or a link to /dev/null: "masked". */
static bool unit_file_is_mask(int directory, const char *unit)
{
        char target[PATH_MAX];
        ssize_t n = readlinkat(directory, unit, target, sizeof(target) - 1);
        struct stat st;

        if (n >= 0) {
                target[n] = '\0';
                return strcmp(target, "/dev/null") == 0;
        }
        return fstatat(directory, unit, &st, 0) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;
}

/* Whether some unit wants or requires it by a link in this directory. */
static bool unit_is_wanted_in(DIR *directory, const char *unit)
{
        struct dirent *entry;

        while ((entry = readdir(directory))) {
                char link[PATH_MAX];
                struct stat st;
                int n;

                if (!name_ends_with(entry->d_name, ".wants") && !name_ends_with(entry->d_name, ".requires"))
                        continue;
                n = snprintf(link, sizeof(link), "%s/%s", entry->d_name, unit);
                if (n > 0 && (size_t)n < sizeof(link) &&
                    fstatat(dirfd(directory), link, &st, AT_SYMLINK_NOFOLLOW) == 0)
                        return true;
        }
        return false;
}

/* Whether systemd would start the unit by itself: it exists, is not masked, and something pulls it in. */
static bool unit_is_enabled(const char *root, const char *unit)
{
        bool exists = false, wanted = false;

        for (size_t i = 0; i < ELEMENTSOF(unit_directories); i++) {
                char path[PATH_MAX];
                DIR *directory;
                struct stat st;
                int n;

                n = snprintf(path, sizeof(path), "%s%s", root, unit_directories[i]);
                if (n < 0 || (size_t)n >= sizeof(path))
                        continue;
                directory = opendir(path);
                if (!directory)
                        continue;
                if (!exists && fstatat(dirfd(directory), unit, &st, AT_SYMLINK_NOFOLLOW) == 0) {
                        exists = true;
                        if (unit_file_is_mask(dirfd(directory), unit)) {
                                closedir(directory);
                                return false;
                        }
                }
                wanted = wanted || unit_is_wanted_in(directory, unit);
                closedir(directory);
        }
        return exists && wanted;
}

/* PID 1 names the container manager to its children, and writes it here for everybody else. */
static bool in_container(const char *root)
{
        char path[PATH_MAX];
        const char *container = getenv("container");
        int n;

        if (container && *container)
                return true;
        n = snprintf(path, sizeof(path), "%s/run/systemd/container", root);
        return n > 0 && (size_t)n < sizeof(path) && access(path, F_OK) == 0;
}

static int target_add_want(int directory, const char *unit)
{
        char link[PATH_MAX], file[PATH_MAX];
        int n;

        n = snprintf(link, sizeof(link), TARGET_WANTS "/%s", unit);
        if (n < 0 || (size_t)n >= sizeof(link))
                return -ENAMETOOLONG;
        n = snprintf(file, sizeof(file), UNIT_DIRECTORY "/%s", unit);
        if (n < 0 || (size_t)n >= sizeof(file))
                return -ENAMETOOLONG;
        if (symlinkat(file, directory, link) < 0 && errno != EEXIST)
                return complain("link", link);
        return 0;
}

static int generate(const char *root, const char *destination)
{
        bool multicast = unit_is_enabled(root, "auditd.service") || in_container(root);
        int directory, r;

        directory = open(destination, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0)
                return complain("open", destination);
        r = mkdirat(directory, TARGET_WANTS, 0755);
        if (r < 0 && errno != EEXIST)
                r = complain("make", TARGET_WANTS);
        else if (multicast)
                r = target_add_want(directory, "audit-relay-dispatcher-multicast.socket");
        else {
                r = target_add_want(directory, "audit-relay-dispatcher-kernel.socket");
                if (r >= 0)
                        r = target_add_want(directory, "audit-relay-rules.service");
        }
        close(directory);
        return r;
}

/* systemd gives three directories (normal, early, late precedence); a fourth argument is put before all that is read, so that
 * it can be tried on any tree. */
int main(int argc, char *argv[])
{
        if (argc != 4 && argc != 5) {
                fprintf(stderr, "usage: %s NORMAL-DIR EARLY-DIR LATE-DIR [ROOT]\n", argv[0]);
                return EXIT_FAILURE;
        }
        return generate(argc > 4 ? argv[4] : "", argv[1]) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
